"""Text classification with the calls and answers of transformers' pipeline; what differs is in docs/python.md."""
import collections.abc
import json
import os
import shutil
import tempfile
import time
import warnings
import weakref

from ._errors import ArgumentError, Error

TASKS = ("text-classification", "sentiment-analysis")
FUNCTIONS = ("default", "sigmoid", "softmax", "none")
_LEAVE = object()
# A generator's texts are read ahead: so many at first, twice as many each time, while they come fast.
FIRST_WINDOW, LARGEST_WINDOW, WINDOW_S = 8, 4096, 0.02
_HUB_FILES = ("*.json", "*.txt", "*.safetensors", "pytorch_model*.bin", "*.model")


def pipeline(task=None, model=None, tokenizer=None, *, device="auto", precision="fp32", threads=None, max_length=None, batch_size=None, top_k=_LEAVE,
             function_to_apply=None):
    """Opens a text classifier.

    task: "text-classification" or "sentiment-analysis"; may be left out.
    model: a folder, a name on the Hugging Face hub, "builtin", or a transformers model with its `tokenizer`. Left out: DistilBERT of SST-2 if it
        is in the cache, else the built-in stand-in.
    device: "auto" (a GPU if this build and this machine have one, else the CPU), "cpu", "cuda:0"; -1 and 0 as transformers has them. A GPU that
        cannot be used is an Error.
    precision: "fp32", "fp32x3", "bf16", "fp16", "int8", as far as the device has it.
    threads: of the CPU; one a physical core by default.
    max_length: tokens at which texts are cut, special ones included; 512 or what the model takes by default. `stats` counts the texts.
    batch_size: texts that are planned together at most (32); texts are packed without padding, so little depends on it.
    top_k, function_to_apply: defaults of the calls, as transformers has them.
    """
    if task is not None and task not in TASKS:
        if model is None and isinstance(task, str) and (os.path.isdir(task) or "/" in task):
            raise ArgumentError("flag/task", f"task {task!r} looks like a model", f"pipeline(model={task!r})")
        raise ArgumentError("flag/task", f"task {task!r} is not known", f"give {' or '.join(map(repr, TASKS))}")
    options = {"device": device, "precision": precision, "threads": threads, "max_length": max_length, "batch_size": batch_size, "top_k": top_k,
               "function_to_apply": function_to_apply}
    if model is not None and not isinstance(model, (str, os.PathLike)):
        return from_transformers(model, tokenizer, **options)
    if tokenizer is not None and os.fspath(tokenizer) != os.fspath(model or ""):
        raise ArgumentError("flag/tokenizer", f"tokenizer {tokenizer!r} is not the model's own", "leave it out: the model's folder holds it")
    return Pipeline(os.fspath(model or ""), **options)


def from_transformers(model, tokenizer, **options):
    """The pipeline of a model that transformers holds in memory; options as pipeline() has them.

    The two are written to a temporary folder, which goes when the pipeline is closed. Adapters (PEFT) must be merged.
    """
    if hasattr(model, "peft_config") or getattr(model, "_hf_peft_config_loaded", False) or type(model).__name__.startswith("Peft"):
        raise ArgumentError("model/adapter", f"{type(model).__name__} has adapters that are not merged", "give model.merge_and_unload()")
    for what, value in (("model", model), ("tokenizer", tokenizer)):
        if not hasattr(value, "save_pretrained"):
            raise TypeError(f"{what} is {type(value).__name__}, and what transformers loads is needed: it has save_pretrained()")
    folder = tempfile.mkdtemp(prefix="breakeven-")
    try:
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        made = Pipeline(folder, **options)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    made._own_folder = weakref.finalize(made, _remove, folder, os.getpid())
    return made


def _remove(folder, owner):
    if os.getpid() == owner:  # a forked child ends, too
        shutil.rmtree(folder, ignore_errors=True)


def _download(model, missing):
    """Through huggingface_hub, where it is installed -> the folder."""
    try:
        import huggingface_hub
    except ImportError:
        raise Error(missing.code, missing.args[0].split(";")[0],
                    f"pip install 'breakeven[hub]' and it is fetched when it is asked for, or bring it: hf download {model}") from None
    return huggingface_hub.snapshot_download(model, allow_patterns=list(_HUB_FILES))


def _device_name(device):
    if device is None or device == -1:
        return "cpu" if device == -1 else "auto"
    if isinstance(device, int) and not isinstance(device, bool):
        return f"cuda:{device}"
    return str(device)  # torch.device, too


def _count(name, value):
    if value is None:
        return 0
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{name} is {value!r}, not a whole number")
    value = value.__index__()
    if not 1 <= value < 2**31:
        raise ArgumentError("flag/number", f"{name} is {value}", "give 1 or more")
    return value


def _function(value):
    name = getattr(value, "value", value)  # transformers' enum
    name = "default" if name is None else name.lower() if isinstance(name, str) else name
    if name not in FUNCTIONS:
        raise ArgumentError("flag/choice", f"function_to_apply is {value!r}", f"give one of {', '.join(FUNCTIONS)}")
    return name


def _top(value):
    """-> how many labels at most."""
    return 2**31 if value is None else _count("top_k", value)


def _split(item, name):
    """-> the text and the text_pair of one input; what is no text is refused later, with its index."""
    if not isinstance(item, dict):
        if isinstance(item, (list, tuple)):
            raise TypeError(f"{name} is a {type(item).__name__}, not a str; a pair is a dict: " "{'text': ..., 'text_pair': ...}")
        return item, None
    unknown = item.keys() - {"text", "text_pair"}
    if unknown or "text" not in item:
        raise ValueError(f"{name} is a dict with {', '.join(map(repr, item)) or 'nothing'}; a pair is " "{'text': ..., 'text_pair': ...}")
    # Of a single pair an empty second text is none, as the tokenizers of transformers have it.
    return item["text"], None if item.get("text_pair") == "" else item.get("text_pair")


class Pipeline:
    """A text classifier; pipeline() opens one. May be called from several threads, which take turns; usable in a forked child on CPUs."""

    def __init__(self, model="", *, device="auto", precision="fp32", threads=None, max_length=None, batch_size=None, top_k=_LEAVE, function_to_apply=None):
        from . import _core, _program  # 20 ms that `import breakeven` does without
        _program.tell_packages()
        self._top, self._function = top_k, _function(function_to_apply)
        if top_k is not _LEAVE:
            _top(top_k)
        precision = str(precision).removeprefix("torch.").replace("float", "fp").replace("bfp", "bf")
        arguments = (_device_name(device), precision, _count("threads", threads), _count("max_length", max_length), _count("batch_size", batch_size) or 32)
        try:
            self._core = _core.Handle(model, *arguments)
        except Error as error:
            if error.code not in ("hub/not-cached", "hub/incomplete"):
                raise
            model = _download(model, error)
            self._core = _core.Handle(model, *arguments)
        self._model, self._asked = model, arguments
        for note in self._core.info["notes"]:
            if note.startswith("a GPU was seen"):  # and "auto" took the CPU: nobody should find that out by the time it takes
                warnings.warn(note, RuntimeWarning, stacklevel=3)

    def __call__(self, inputs, *, top_k=_LEAVE, function_to_apply=None, batch_size=None, truncation=True, padding=None, max_length=None):
        """Labels texts: a str, a dict of text and text_pair, a list of these, or anything that gives them one by one.

        -> of a str a list of one {"label": str, "score": float}; of a list a list of them; of a generator or another iterable an iterator. With
        `top_k` (a number, None = all labels) each is a list of such dicts, the highest score first. function_to_apply: "softmax", "sigmoid",
        "none". batch_size, padding, truncation=True are taken and change nothing.
        Raises TypeError and ValueError with the index of a text that is none, ValueError once the pipeline is closed, Error.
        """
        del batch_size, padding
        if truncation is False or max_length is not None:
            raise ArgumentError("flag/truncation", "texts are cut at the pipeline's length", "give pipeline(max_length=...); clf.stats counts what was cut")
        function = self._function if function_to_apply is None else _function(function_to_apply)
        given = self._top if top_k is _LEAVE else top_k
        top = None if given is _LEAVE else _top(given)
        if isinstance(inputs, (str, dict)):
            answer = self._classify([inputs], 0, function, top)
            # As transformers: a list around the answer to a str, unless the call itself says top_k.
            return answer if isinstance(inputs, str) and top_k is _LEAVE else answer[0]
        if isinstance(inputs, (list, tuple)):
            return self._classify(inputs, 0, function, top)
        if hasattr(inputs, "__arrow_c_stream__") or hasattr(inputs, "__arrow_c_array__"):
            raise TypeError(f"inputs is {type(inputs).__name__}, a column of Arrow's: give it to clf.arrow(), or its values as a list")
        if not isinstance(inputs, (bytes, bytearray)) and (isinstance(inputs, collections.abc.Iterable) or hasattr(inputs, "__getitem__")):
            self._core.info  # closed pipelines are refused here and not at the first answer
            return self._iterate(iter(inputs), function, top)
        return self._classify([inputs], 0, function, top)  # refuses it

    def _classify(self, items, first, function, top):
        if all(type(item) is str for item in items):  # a loop of Python's: Ctrl-C ends it
            return self._core.classify(tuple(items), None, first, function, top)
        texts, seconds = zip(*(_split(item, f"text {first + i}") for i, item in enumerate(items)))
        return self._core.classify(texts, seconds if any(second is not None for second in seconds) else None, first, function, top)

    def _iterate(self, items, function, top):
        first, size, failed, more = 0, FIRST_WINDOW, None, True
        while more:
            window, begin = [], time.monotonic()
            try:
                while more and len(window) < size and (not window or time.monotonic() - begin < WINDOW_S):
                    item = next(items, _LEAVE)
                    more = item is not _LEAVE
                    if more:
                        window.append(item)
            except Exception as error:  # of the generator: what came before it is answered first
                failed, more = error, False
            try:
                yield from self._classify(window, first, function, top)
            except (TypeError, ValueError):
                for place, item in enumerate(window):  # as far as the text that is none
                    yield self._classify([item], first + place, function, top)[0]
            first, size = first + len(window), min(size * 2, LARGEST_WINDOW)
            if failed is not None:
                if hasattr(failed, "add_note"):
                    failed.add_note(f"breakeven: raised by the texts' own iterator, for text {first}")
                raise failed

    def arrow(self, column, pair=None, *, top_k=_LEAVE, function_to_apply=None):
        """Labels a whole column without making Python objects of its texts or labels.

        column: anything with __arrow_c_stream__ or __arrow_c_array__ (pyarrow, polars, duckdb, pandas 3 ...): utf8, large_utf8, string_view, a
        dictionary of them, nulls, slices, chunks. pair: the second texts, a column of as many rows. top_k: so many labels a row, None = all.
        -> Labels: a table of `label` (dictionary of str) and `score` (float32) with the same interface, and with top_k of `scores`, too (a list of
        both, the highest score first); null where a text is null.
        """
        top = None if top_k is _LEAVE else _top(top_k)
        return self._core.arrow(column, pair, self._function if function_to_apply is None else _function(function_to_apply), top)

    def mapper(self, text="text", pair=None, *, function_to_apply=None):
        """-> a function for datasets.Dataset.map(..., batched=True), also after with_format("arrow"): it gives the columns label and score, None where
        a text is. text, pair: names of columns. num_proc stays 1: the threads are inside.
        """
        return Mapper(self, text, pair, None if function_to_apply is None else _function(function_to_apply))

    def measure(self, texts=None, seconds=20, *, device="all", precision=None, batch="1,32", progress=True):
        """Measures this model on these texts for so many seconds, by the rules of docs/measuring.md -> Measurement.

        texts: list of str; the built-in reviews by default. device: "all", "cpu", "cuda:0" as far as the program has them; precision: "fp32,int8",
        "all"; the pipeline's by default. progress: told on stderr.
        """
        from ._measure import measure
        if not isinstance(seconds, (int, float)) or isinstance(seconds, bool) or not seconds > 0:
            raise ArgumentError("flag/number", f"seconds is {seconds!r}", "give a number above 0")
        if texts is not None:
            texts = list(texts)
            for index, text in enumerate(texts):
                if not isinstance(text, str):
                    raise TypeError(f"text {index} is {text!r}, not a str")
            if not texts:
                raise ValueError("there are no texts to measure")
        info = self.info
        return measure(self._model, info, texts, seconds, device, precision or info["precision"], batch, progress)

    @property
    def stats(self):
        """What went through so far: {"texts", "truncated" (texts that were cut), "tokens" (after that), "seconds" (text to label)}."""
        return self._core.stats

    @property
    def info(self):
        """What runs: model, folder, labels, device, precision, instruction_set, threads, max_length (tokens), weight_bytes, notes."""
        return self._core.info

    @property
    def closed(self):
        return self._core.closed

    def close(self):
        """Gives weights and threads back, as soon as calls in other threads have ended. May be called twice."""
        self._core.close()
        if remove := self.__dict__.get("_own_folder"):
            remove()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def __repr__(self):
        if self.closed:
            return "<breakeven.Pipeline, closed>"
        info = self.info
        return f"<breakeven.Pipeline {info['model']} on {info['device']}, {info['precision']}>"


class Mapper:
    """What Pipeline.mapper() gives. Pickled, it is the model's name, content and options: that is what datasets knows a cached result by."""

    def __init__(self, pipeline, text, pair, function):
        self._pipeline, self._text, self._pair, self._function = pipeline, text, pair, function

    def __call__(self, batch):
        is_table = hasattr(batch, "append_column")
        names = batch.column_names if is_table else list(batch.keys())
        for name in (self._text, self._pair):
            if name is not None and name not in names:
                raise KeyError(f"there is no column {name!r}: {', '.join(names)}")
        for name in ("label", "score"):
            if name in names:
                raise ValueError(f"there is a column {name!r} already: give it another name first, as in rename_column({name!r}, 'given_{name}')")
        texts, seconds = batch[self._text], batch[self._pair] if self._pair else None
        if is_table:
            import pyarrow
            labels = pyarrow.table(self._pipeline.arrow(texts, seconds, function_to_apply=self._function))
            return batch.append_column("label", labels["label"].cast(pyarrow.string())).append_column("score", labels["score"])
        answers = [{"label": None, "score": None}] * len(texts)
        places = [i for i, text in enumerate(texts) if text is not None and (seconds is None or seconds[i] is not None)]
        items = [texts[i] if seconds is None else {"text": texts[i], "text_pair": seconds[i]} for i in places]
        for place, answer in zip(places, self._pipeline._classify(items, 0, self._function or self._pipeline._function, None) if items else ()):
            answers[place] = answer
        return {name: [answer[name] for answer in answers] for name in ("label", "score")}

    def __reduce__(self):
        model = self._pipeline
        return _open_mapper, (model._model, model._asked, model._function, self._text, self._pair, self._function, json.loads(model._core.record)["model_hash"])


def _open_mapper(model, asked, own, text, pair, function, _hash):
    device, precision, threads, max_length, batch_size = asked
    made = Pipeline(model, device=device, precision=precision, threads=threads or None, max_length=max_length or None, batch_size=batch_size,
                    function_to_apply=own)
    return Mapper(made, text, pair, function)
