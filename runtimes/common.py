"""What every adapter of another runtime shares: the protocol of docs/runtimes.md, the model's folder, tokens, padding, the clock.
The protocol needs the standard library alone.

An adapter derives from Runtime and ends with `common.serve(ItsClass)`. It imports its library in __init__: a missing one becomes an
answer and not a crash, and by then this folder is out of sys.path, so that `import openvino` is the library and not openvino.py.
"""
import array
import dataclasses
import hashlib
import importlib.util
import json
import math
import os
import pathlib
import shutil
import signal
import sys
import tempfile
import time
import traceback
import types
import zlib

import bpe_files
from machine import cpu_flags, die_with_parent, native_bf16, peak_rss_bytes, quiet_numpy, take_stdout, visible_gpus  # pylint: disable=unused-import

PROTOCOL = 2
INPUTS = ("input_ids", "attention_mask", "token_type_ids")
CONVERSION = 2  # raised where a converted model becomes another one, so that an older one is not taken
HERE = pathlib.Path(__file__).resolve().parent
STAGES = ("tokenize", "pack", "upload", "compute", "download", "decode")
PROBLEMS = {"single_label_classification": "single_label", "multi_label_classification": "multi_label", "regression": "regression"}
ROBERTAS = ("roberta", "xlm-roberta", "camembert")  # they number positions from pad_token_id + 1 on


class Refused(Exception):
    """A request that cannot be met. The worker lives on."""

    def __init__(self, code, message, hint=""):
        super().__init__(message)
        self.code, self.hint = code, hint


# ---- the clock


class Laps:
    """Where the time of one batch goes, on CLOCK_MONOTONIC. Each stage begins where the one before ended, so they add up."""

    def __init__(self):
        self.start = self.last = time.monotonic()
        self.stages = dict.fromkeys(STAGES, 0.0)
        self.busy = {}  # stages that work beside others in a stream: their summed seconds, in place of those above

    def end(self, stage):
        now = time.monotonic()
        self.stages[stage] += now - self.last
        self.last = now


# ---- the model's folder


class Model:
    """config.json of a sequence classifier, its labels and its weights."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        try:
            self.config = json.loads((self.folder / "config.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise Refused("model", f"{folder}: config.json cannot be read: {error}", "name a folder that Transformers can load") from None
        self.type = self.config.get("model_type", "")
        names = self.config.get("id2label") or {}
        count = self.config.get("num_labels") or len(names) or 2
        names = names if len(names) == count else {}  # as Transformers 5: num_labels wins
        self.labels = [str(names.get(str(i), f"LABEL_{i}")) for i in range(count)]
        auto = "regression" if count == 1 else "single_label_classification"
        self.problem = PROBLEMS.get(self.config.get("problem_type") or auto)
        if self.problem is None:
            raise Refused("model", f"{folder}: problem_type is {self.config['problem_type']!r}", "it has to be one of " + ", ".join(PROBLEMS))
        self.function = self.score_function(count)
        self.pad_id = self.config.get("pad_token_id", int(self.type in ROBERTAS)) or 0
        self.takes_types = self.read_takes_types()
        self.positions = self.config.get("max_position_embeddings", 512) - (self.pad_id + 1 if self.type in ROBERTAS else 0)

    def score_function(self, count):
        """What makes scores of logits: as Hugging Face's pipeline, but that a reranker's own activation counts."""
        told = self.config.get("problem_type")
        if told == "regression":
            return "none"
        if told == "multi_label_classification" or count > 1:
            return "sigmoid" if told == "multi_label_classification" else "softmax"
        settings = self.config.get("sentence_transformers") or {}
        name = settings.get("activation_fn") or self.config.get("sbert_ce_default_activation_function") or ""
        return "none" if str(name).endswith(".Identity") else "sigmoid"

    def read_takes_types(self):
        """Whether Transformers gives the model the token types of a pair: what model_input_names says, else not for RoBERTa's kin."""
        try:
            told = json.loads((self.folder / "tokenizer_config.json").read_text(encoding="utf-8")).get("model_input_names")
        except (OSError, ValueError):
            told = None
        return self.type not in ROBERTAS if told is None else "token_type_ids" in told

    def hash(self):
        """Of what the function is made of: config and weights, by content."""
        digest = hashlib.sha256()
        for name in ["config.json", *self.weight_files()]:
            with open(self.folder / name, "rb") as file:
                digest.update(f"{name}\0{os.fstat(file.fileno()).st_size}\0".encode())
                while piece := file.read(1 << 22):
                    digest.update(piece)
        return digest.hexdigest()[:32]

    def weight_files(self):
        return sorted(path.name for path in self.folder.glob("*.safetensors") if path.name.startswith("model"))

    def tensors(self):
        """-> {name: fp32 array}, with the names of shapes.py."""
        from safetensors import safe_open  # pylint: disable=import-outside-toplevel
        files = self.weight_files()
        if not files:
            raise Refused("unsupported", f"{self.folder} has no model.safetensors", "take --runtime pytorch, which reads other files, too")
        found = {}
        for name in files:
            with safe_open(self.folder / name, framework="numpy") as file:
                for key in file.keys():
                    found[key] = as_float32(file, key, self.folder / name)
        return found


def as_float32(file, key, path):
    """safetensors' numpy side knows no bfloat16: those are the upper halves of fp32."""
    import numpy as np  # pylint: disable=import-outside-toplevel
    if file.get_slice(key).get_dtype() != "BF16":
        return np.ascontiguousarray(file.get_tensor(key), dtype=np.float32)
    with open(path, "rb") as raw:
        length = int.from_bytes(raw.read(8), "little")
        begin, end = json.loads(raw.read(length))[key]["data_offsets"]
        raw.seek(8 + length + begin)
        halves = np.frombuffer(raw.read(end - begin), dtype="<u2")
    return (halves.astype(np.uint32) << 16).view(np.float32).reshape(file.get_slice(key).get_shape())


# ---- tokens and padding


def load_tokenizer(folder, max_length):
    """The package `tokenizers` as Transformers' fast tokenizers use it: truncation on, padding done by us."""
    import tokenizers  # pylint: disable=import-outside-toplevel
    folder = pathlib.Path(folder)
    if (folder / "tokenizer.json").exists():
        tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    elif (folder / "vocab.txt").exists():
        path = folder / "tokenizer_config.json"
        told = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        wrapper = tokenizers.BertWordPieceTokenizer(
            str(folder / "vocab.txt"), lowercase=told.get("do_lower_case", True), strip_accents=told.get("strip_accents"),
            handle_chinese_chars=told.get("tokenize_chinese_chars", True))
        tokenizer = tokenizers.Tokenizer.from_str(wrapper.to_str())
    elif bpe_files.is_there(folder):
        tokenizer = bpe_files.load(folder)
    else:
        raise Refused("model", f"{folder} has neither tokenizer.json, nor vocab.txt, nor vocab.json and merges.txt",
                      "take --runtime pytorch, which knows more tokenizers")
    return prepared(tokenizer, max_length)


def prepared(tokenizer, max_length):
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_length)
    return tokenizer


class PairRow(list):
    """The token ids of a pair, with as many token types. Those of a text alone are a list."""

    def __init__(self, ids, token_types):
        super().__init__(ids)
        self.token_types = token_types


@dataclasses.dataclass
class Batch:
    """A rectangle of B texts by S tokens, row by row; the mask is 0 where there is padding."""

    ids: array.array  # of int64, B * S
    mask: array.array
    token_types: array.array  # None where all are 0
    width: int        # S
    lengths: list     # real tokens of each of the B texts
    computed_tokens: int

    def inputs(self, names):
        """-> {name: numpy array [B, S]} of those of INPUTS that `names` holds, on the same memory."""
        import numpy as np  # pylint: disable=import-outside-toplevel
        found = dict(zip(INPUTS, (self.ids, self.mask, self.token_types)))
        if "token_type_ids" in names and self.token_types is None:
            found["token_type_ids"] = array.array("q", bytes(8 * len(self.ids)))
        return {name: np.frombuffer(found[name], dtype=np.int64).reshape(len(self.lengths), self.width) for name in names}


def pad(rows, padding, max_length, pad_id=0):
    """Token ids of texts -> a rectangle as wide as its longest row, or as max_length."""
    lengths = [len(row) for row in rows]
    width = max_length if padding == "max_length" else max(1, *lengths)
    filler, zeros, ones = (array.array("q", [value]) * width for value in (pad_id, 0, 1))
    ids, mask, token_types = array.array("q"), array.array("q"), None
    if any(isinstance(row, PairRow) for row in rows):
        token_types = array.array("q")
        for row, length in zip(rows, lengths):
            token_types.extend(row.token_types if isinstance(row, PairRow) else zeros[:length])
            token_types += zeros[length:]
    for row, length in zip(rows, lengths):
        ids.extend(row)
        ids += filler[length:]
        mask += ones[:length]
        mask += zeros[length:]
    return Batch(ids, mask, token_types, width, lengths, width * len(rows))


def by_length(rows):
    """The order in which neighbours have about the same length; equal ones stay in theirs."""
    return sorted(range(len(rows)), key=lambda i: len(rows[i]))


def decode(logits, function):
    """One text's logits -> the label with the highest score, its score."""
    label = max(range(len(logits)), key=logits.__getitem__)
    if function == "none":
        return label, logits[label]
    if function == "sigmoid":
        return label, 0.5 + 0.5 * math.tanh(0.5 * logits[label])  # without overflow
    return label, 1 / sum(math.exp(value - logits[label]) for value in logits)


# ---- converted models


def converted(key_parts, make, progress):
    """The folder of a converted model; make(folder) fills it when nobody has. A second process may make the same at the same
    time: each works in a folder of its own, and the first rename stays."""
    root = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "breakeven" / "runtimes" / "converted"
    target = root / "-".join(str(part) for part in (CONVERSION, *key_parts))
    if target.is_dir():
        return target
    root.mkdir(parents=True, exist_ok=True)
    progress(0.1, "converting the model")
    made = pathlib.Path(tempfile.mkdtemp(prefix=".making-", dir=root))
    try:
        make(made)
        try:
            made.rename(target)
        except OSError:
            if not target.is_dir():
                raise
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return target


def sibling(name):
    """A module of this folder that needs a library."""
    spec = importlib.util.spec_from_file_location(name, HERE / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# ---- what an adapter is


class Runtime:
    """One library. Derive, set `name`, and say how to load and to compute."""

    name = ""
    sorts = False  # a stream's texts are sorted by length first
    in_flight = 1  # batches of a stream

    def version(self):
        raise NotImplementedError

    def tokenizer_version(self):
        import tokenizers  # pylint: disable=import-outside-toplevel
        return f"tokenizers {tokenizers.__version__}"

    def abilities(self):
        """-> [{variant, device, precision, paddings}], the default first; only what this machine can."""
        raise NotImplementedError

    def load(self, spec, model, progress):
        """-> {weight_bytes, instruction_set, settings}. `spec` has the fields of the request."""
        raise NotImplementedError

    def compute(self, batch, laps):
        """-> logits [B][C] as lists; ends the laps upload, compute and download as far as they exist."""
        raise NotImplementedError

    def compute_all(self, batches, laps):
        """Yields the logits of each batch in their order. `batches` is lazy: it tokenises and packs when asked."""
        for batch in batches:
            yield self.compute(batch, laps)

    def before_stream(self):
        """What a stream needs and a single batch does not; outside of the clock."""

    def device_peak_bytes(self):
        return None

    # What most do alike.

    def open_tokenizer(self, spec, model):
        self.tokenizer = load_tokenizer(model.folder, spec.max_length)

    def tokenize(self, texts):
        """-> a row of ids for each text; a pair is a tuple of two."""
        return [PairRow(encoding.ids, encoding.type_ids) if isinstance(text, tuple) and self.model.takes_types else encoding.ids
                for text, encoding in zip(texts, self.tokenizer.encode_batch_fast(texts))]

    def is_cut(self, text):
        """Whether `text` has more than max_length tokens. Asked outside of the clock, of texts that fill max_length."""
        self.tokenizer.no_truncation()
        tokens = len(self.tokenizer.encode_batch_fast([text])[0].ids)
        self.tokenizer.enable_truncation(self.spec.max_length)
        return tokens > self.spec.max_length

    def prepare(self, texts, laps):
        rows = self.tokenize(texts)
        laps.end("tokenize")
        return self.pack(rows, laps)

    def pack(self, rows, laps):
        batch = pad(rows, self.spec.padding, self.spec.max_length, self.model.pad_id)
        laps.end("pack")
        return batch


class Session:
    """One connection: the requests of docs/runtimes.md by name."""

    def __init__(self, make_runtime, send):
        self.make_runtime, self.send = make_runtime, send
        self.runtime = self.model = None
        self.texts, self.cut = [], {}  # cut: by the index of a text that fills max_length, whether it had more

    def hello(self, request):
        if request.get("protocol") != PROTOCOL:
            raise Refused("protocol", f"protocol {request.get('protocol')!r} is asked for, this adapter speaks {PROTOCOL}")
        runtime = self.need_runtime()
        return {"protocol": PROTOCOL, "runtime": runtime.name, "version": runtime.version(), "tokenizer": runtime.tokenizer_version(),
                "abilities": runtime.abilities()}

    def need_runtime(self):
        if self.runtime is None:
            try:
                self.runtime = self.make_runtime()
            except ImportError as error:
                name = self.make_runtime.name
                raise Refused("missing", f"{name}: {error}", f"breakeven runtimes setup {name}") from error
        return self.runtime

    def load(self, request):
        runtime = self.need_runtime()
        if self.model is not None:
            raise Refused("loaded", f"{self.model.folder} is loaded already", "a worker runs one model: start another")
        spec = read_spec(request, runtime.abilities())
        # Before the tokenizer makes its pool of threads.
        os.environ["RAYON_NUM_THREADS"] = str(spec.threads)
        os.environ["TOKENIZERS_PARALLELISM"] = "true" if spec.threads > 1 else "false"
        model = Model(request["model"])
        spec.max_length = min(spec.max_length, model.positions)
        runtime.spec, runtime.model = spec, model
        runtime.open_tokenizer(spec, model)
        told = runtime.load(spec, model, lambda done, what: self.send({"id": request["id"], "progress": done, "what": what}))
        self.model = model
        settings = {"max_length": spec.max_length, "threads": spec.threads, "padding": spec.padding, **told["settings"]}
        return {"labels": model.labels, "problem": model.problem, "weight_bytes": told.get("weight_bytes"),
                "instruction_set": told.get("instruction_set", ""), "settings": {key: str(value) for key, value in settings.items()}}

    def texts_op(self, request):
        texts = request.get("texts")
        if not isinstance(texts, list) or not all(is_text(text) for text in texts):
            raise Refused("request", "texts has to be a list of strings and of lists of two strings")
        texts = [tuple(text) if isinstance(text, list) else text for text in texts]
        self.texts += texts
        return {"count": len(self.texts), "ids": self.id_hashes(texts) if request.get("hash_ids") and self.model and texts else []}

    def id_hashes(self, texts):
        """CRC-32 of each text's ids; [] where there are none: what goes wrong with a text is told by the run that has it."""
        try:
            return [zlib.crc32(array.array("i", row).tobytes()) for row in self.runtime.tokenize(texts)]
        except Exception:  # pylint: disable=broad-exception-caught
            return []

    def chosen_texts(self, request):
        if self.model is None:
            raise Refused("request", "nothing is loaded")
        indices = request.get("indices")
        if not isinstance(indices, list) or not indices or not all(type(i) is int and 0 <= i < len(self.texts) for i in indices):
            raise Refused("request", f"indices has to be a list, not empty, of numbers below {len(self.texts)}")
        return [self.texts[i] for i in indices]

    def run(self, request):
        texts = self.chosen_texts(request)
        laps = Laps()
        batch = self.runtime.prepare(texts, laps)
        logits = self.runtime.compute(batch, laps)
        return self.answer(request, logits, batch.lengths, batch.computed_tokens, laps)

    def stream(self, request):
        texts, size = self.chosen_texts(request), request.get("batch")
        if type(size) is not int or size < 1:
            raise Refused("request", f"batch is {size!r}", "it has to be a number from 1 on")
        runtime = self.runtime
        runtime.before_stream()
        laps = Laps()
        rows, order = None, range(len(texts))
        if runtime.sorts:
            rows = runtime.tokenize(texts)
            order = by_length(rows)
            laps.end("tokenize")
        parts = [order[begin:begin + size] for begin in range(0, len(texts), size)]
        logits, lengths, computed = [None] * len(texts), [0] * len(texts), 0

        def batches():
            nonlocal computed
            for part in parts:
                batch = runtime.pack([rows[i] for i in part], laps) if rows else runtime.prepare([texts[i] for i in part], laps)
                for i, length in zip(part, batch.lengths):
                    lengths[i] = length
                computed += batch.computed_tokens
                yield batch

        for part, values in zip(parts, runtime.compute_all(batches(), laps)):
            for i, row in zip(part, values):
                logits[i] = row
        return self.answer(request, logits, lengths, computed, laps) | {"in_flight": min(runtime.in_flight, len(parts))}

    def answer(self, request, logits, lengths, computed, laps):
        decoded = [decode(row, self.model.function) for row in logits]
        laps.end("decode")
        finite = [[value if math.isfinite(value) else None for value in row] for row in logits]  # JSON knows no others
        return {"logits": finite, "labels": [label for label, _ in decoded],
                "scores": [score if math.isfinite(score) else None for _, score in decoded], "tokens": lengths,
                "cut": [self.is_cut(i, length) for i, length in zip(request["indices"], lengths)],
                "computed_tokens": computed, "start_s": laps.start, "end_s": laps.last, "stages": laps.stages | laps.busy}

    def is_cut(self, index, length):
        if length < self.runtime.spec.max_length:
            return False
        if index not in self.cut:
            self.cut[index] = self.runtime.is_cut(self.texts[index])
        return self.cut[index]

    def memory(self, _):
        return {"peak_rss_bytes": peak_rss_bytes(), "device_peak_bytes": self.need_runtime().device_peak_bytes()}

    def shutdown(self, _):
        return {}


def is_text(value):
    """Whether it is a text, or a pair of texts."""
    return isinstance(value, str) or isinstance(value, list) and len(value) == 2 and all(isinstance(one, str) for one in value)


def read_spec(request, abilities):
    """-> the fields of a load request, checked, as attributes."""
    wanted = {name: request.get(name) for name in ("variant", "device", "precision")}
    ability = next((one for one in abilities if all(one[name] == value for name, value in wanted.items())), None)
    if ability is None:
        known = ", ".join(f"{one['variant']}/{one['device']}/{one['precision']}" for one in abilities)
        raise Refused("unsupported", "{variant}/{device}/{precision} is nothing that runs here".format(**wanted), f"these do: {known}")
    padding = request.get("padding") or ability["paddings"][0]
    if padding not in ability["paddings"]:
        raise Refused("unsupported", f"padding {padding} is nothing that {wanted['variant']} does", "take " + " or ".join(ability["paddings"]))
    numbers = {"threads": request.get("threads", 1), "max_length": request.get("max_length", 512), "max_batch": request.get("max_batch", 1)}
    for name, value in numbers.items():
        if type(value) is not int or value < 1:
            raise Refused("request", f"{name} is {value!r}", "it has to be a number from 1 on")
    if not isinstance(request.get("model"), str):
        raise Refused("request", "model has to name a folder")
    return types.SimpleNamespace(**wanted, **numbers, padding=padding, calibration=request.get("calibration"), pytorch=request.get("pytorch"))


# ---- the process


def plain(value):
    """numpy's scalars and arrays as what JSON knows."""
    if not hasattr(value, "tolist"):
        raise TypeError(f"{type(value).__name__} is nothing that JSON knows")
    return value.tolist()


def handle(session, request):
    """-> the reply, never an exception: a worker outlives what it cannot do."""
    operation = request.get("op")
    method = {"texts": session.texts_op}.get(operation) or (getattr(session, operation) if operation in OPERATIONS else None)
    if method is None:
        return {"error": {"code": "request", "message": f"op is {operation!r}", "hint": "known are: texts, " + ", ".join(OPERATIONS)}}
    try:
        return {"ok": method(request)}
    except Refused as refused:
        return {"error": {"code": refused.code, "message": str(refused), "hint": refused.hint}}
    except MemoryError:
        return {"error": {"code": "memory", "message": f"{operation}: out of memory", "hint": "try a smaller batch"}}
    except Exception as error:  # pylint: disable=broad-exception-caught
        traceback.print_exc()
        return {"error": {"code": "failed", "message": f"{operation}: {type(error).__name__}: {error}"[:2000], "hint": ""}}


OPERATIONS = ("hello", "load", "run", "stream", "memory", "shutdown")


def serve(make_runtime):
    """Answers requests until stdin ends."""
    parent = os.getppid()
    wire = take_stdout()
    die_with_parent(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole group; the parent decides

    def send(message):
        try:
            line = json.dumps(message, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=plain)
        except (TypeError, ValueError) as error:
            line = json.dumps({"id": message["id"], "error": {"code": "failed", "message": f"no JSON can be made of the answer: {error}"}})
        wire.write(line + "\n")
        wire.flush()

    sys.path[:] = [path for path in sys.path if path and pathlib.Path(path).resolve() != HERE]
    session = Session(make_runtime, send)
    for line in sys.stdin.buffer:
        try:
            request = json.loads(line.decode("utf-8", errors="replace"))
            if not isinstance(request, dict):
                raise ValueError("not an object")
        except ValueError as error:
            send({"id": None, "error": {"code": "request", "message": f"not a JSON object: {error}", "hint": ""}})
            continue
        reply = {"id": request.get("id"), **handle(session, request)}
        try:
            send(reply)
        except BrokenPipeError:
            return
        if request.get("op") == "shutdown":
            return
