"""A runtime that computes nothing: what is measured of it is the harness. `--runtime null` by name only; bench/runtimes reads it.

Its interval has all that every adapter shares: padding, decoding, the clock. What is left out is a tokenizer and a model.
"""
import common

LENGTH = 128  # tokens of any text


class Null(common.Runtime):
    name = "null"

    def version(self):
        return "1"

    def tokenizer_version(self):
        return "none"

    def abilities(self):
        return [{"variant": "null", "device": "cpu", "precision": "fp32", "paddings": ["longest", "max_length"]}]

    def open_tokenizer(self, spec, model):
        self.row = [1] * min(LENGTH, spec.max_length)

    def load(self, spec, model, progress):
        # Distinct, so that a label is not a matter of rounding.
        self.logits = [[float(label) for label in range(len(model.labels))]] * spec.max_batch
        return {"weight_bytes": 0, "instruction_set": "", "settings": {"tokens": len(self.row)}}

    def tokenize(self, texts):
        return [self.row] * len(texts)

    def is_cut(self, text):
        return False

    def compute(self, batch, laps):
        logits = self.logits[:len(batch.lengths)]
        laps.end("compute")
        return logits


common.serve(Null)
