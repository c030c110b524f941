"""An adapter without a library: words are tokens, logits are [number of real tokens, -number of real tokens]."""
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "runtimes"))
import common  # noqa: E402  pylint: disable=wrong-import-position


class Scalar:
    """As numpy's: a number, but not to json."""

    def tolist(self):
        return 7


class Toy(common.Runtime):
    name = "toy"

    def __init__(self):
        if "TOY_MISSING" in os.environ:
            raise ImportError("No module named 'toy'")
        print("a library that prints", flush=True)

    def version(self):
        return "1.0"

    def tokenizer_version(self):
        return "words"

    def abilities(self):
        paddings = ["longest", "max_length"]
        return [{"variant": variant, "device": "cpu", "precision": "fp32", "paddings": paddings} for variant in ("plain", "tuned")]

    def open_tokenizer(self, spec, model):
        pass

    def load(self, spec, model, progress):
        progress(0.5, "thinking")
        self.sorts = spec.variant == "tuned"
        return {"weight_bytes": object() if "TOY_STRANGE" in os.environ else Scalar(), "settings": {"number": 3}}

    def tokenize(self, texts):
        if "raise" in texts:
            raise RuntimeError("asked to fail")
        if "no UTF-8" in texts:
            raise RuntimeError("no such file: caf\udce9")
        return [[len(word) for word in text.split()][:self.spec.max_length] for text in texts]

    def is_cut(self, text):
        return len(text.split()) > self.spec.max_length

    def compute(self, batch, laps):
        print("computing", flush=True)
        assert len(batch.ids) == len(batch.mask) == batch.computed_tokens
        rows = [batch.mask[begin:begin + batch.width] for begin in range(0, len(batch.mask), batch.width)]
        laps.end("compute")
        return [[float(sum(row)), -float(sum(row))] if sum(row) else [float("nan"), 0.0] for row in rows]


common.serve(Toy)
