from collections.abc import Callable, Iterable, Iterator, Sequence
from os import PathLike
from types import TracebackType
from typing import Any, Literal, Protocol, TypedDict, overload, type_check_only

__version__: str
_Function = Literal["default", "sigmoid", "softmax", "none"]

@type_check_only
class Answer(TypedDict):
    label: str
    score: float

@type_check_only
class _Pair(TypedDict):
    text: str
    text_pair: str

@type_check_only
class Stats(TypedDict):
    texts: int
    truncated: int
    tokens: int
    seconds: float

@type_check_only
class Info(TypedDict):
    model: str
    folder: str
    labels: list[str]
    device: str
    precision: str
    instruction_set: str
    threads: int
    max_length: int
    weight_bytes: int
    notes: list[str]

@type_check_only
class _ArrowArray(Protocol):
    def __arrow_c_array__(self, requested_schema: object | None = None) -> tuple[object, object]: ...

@type_check_only
class _ArrowStream(Protocol):
    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...

class Labels:
    def __len__(self) -> int: ...
    def __arrow_c_array__(self, requested_schema: object | None = None) -> tuple[object, object]: ...
    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...
    def __getitem__(self, name: Literal["label", "score", "scores"]) -> Labels: ...

class Error(RuntimeError):
    code: str
    hint: str

class ArgumentError(Error, ValueError): ...

class Measurement:
    records: list[dict[str, Any]]
    def __init__(self, records: list[dict[str, Any]]) -> None: ...
    @classmethod
    def load(cls, *paths: str | PathLike[str]) -> Measurement: ...
    def save(self, path: str | PathLike[str]) -> None: ...
    def verdict(self) -> str: ...
    def advise(self, *, load: str, cpu_price: float | None = None, gpu_price: float | None = None, p99: str | None = None,
               gpu: Literal["h100", "h200"] | None = None) -> str: ...
    def html(self, path: str | PathLike[str] | None = None) -> str: ...
    def frame(self) -> list[dict[str, Any]]: ...
    def to_pandas(self) -> Any: ...
    def to_polars(self) -> Any: ...

class Pipeline:
    @overload
    def __call__(self, inputs: str, *, function_to_apply: _Function | None = None, batch_size: int | None = None, truncation: bool = True,
                 padding: object = None) -> list[Answer]: ...
    @overload
    def __call__(self, inputs: _Pair, *, function_to_apply: _Function | None = None, batch_size: int | None = None, truncation: bool = True,
                 padding: object = None) -> Answer: ...
    @overload
    def __call__(self, inputs: list[str] | list[_Pair] | tuple[str, ...], *, function_to_apply: _Function | None = None, batch_size: int | None = None,
                 truncation: bool = True, padding: object = None) -> list[Answer]: ...
    @overload
    def __call__(self, inputs: str | _Pair, *, top_k: int | None, function_to_apply: _Function | None = None, batch_size: int | None = None,
                 truncation: bool = True, padding: object = None) -> list[Answer]: ...
    @overload
    def __call__(self, inputs: list[str] | list[_Pair] | tuple[str, ...], *, top_k: int | None, function_to_apply: _Function | None = None,
                 batch_size: int | None = None, truncation: bool = True, padding: object = None) -> list[list[Answer]]: ...
    @overload
    def __call__(self, inputs: Iterable[str | _Pair], *, top_k: int | None = ..., function_to_apply: _Function | None = None,
                 batch_size: int | None = None, truncation: bool = True, padding: object = None) -> Iterator[Any]: ...
    def arrow(self, column: _ArrowArray | _ArrowStream, pair: _ArrowArray | _ArrowStream | None = None, *,
              top_k: int | None = ..., function_to_apply: _Function | None = None) -> Labels: ...
    def mapper(self, text: str = "text", pair: str | None = None, *, function_to_apply: _Function | None = None) -> Callable[[Any], Any]: ...
    def measure(self, texts: Iterable[str] | None = None, seconds: float = 20, *, device: str = "all", precision: str | None = None, batch: str = "1,32",
                progress: bool = True) -> Measurement: ...
    @property
    def stats(self) -> Stats: ...
    @property
    def info(self) -> Info: ...
    @property
    def closed(self) -> bool: ...
    def close(self) -> None: ...
    def __enter__(self) -> Pipeline: ...
    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None: ...

def pipeline(task: Literal["text-classification", "sentiment-analysis"] | None = None, model: str | PathLike[str] | object | None = None,
             tokenizer: object | None = None, *, device: str | int = "auto", precision: str = "fp32", threads: int | None = None,
             max_length: int | None = None, batch_size: int | None = None, top_k: int | None = ...,
             function_to_apply: _Function | None = None) -> Pipeline: ...
def from_transformers(model: object, tokenizer: object, *, device: str | int = "auto", precision: str = "fp32", threads: int | None = None,
                      max_length: int | None = None, batch_size: int | None = None, top_k: int | None = ...,
                      function_to_apply: _Function | None = None) -> Pipeline: ...
def classify_parquet(source: str | PathLike[str], target: str | PathLike[str], text: str = "text", *, pair: str | None = None,
                     keep: Sequence[str] | None = None, top_k: int | None = ..., model: Pipeline | str | PathLike[str] | None = None,
                     progress: bool | None = None, **options: Any) -> int: ...
