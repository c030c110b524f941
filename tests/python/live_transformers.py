#!/usr/bin/env python3
"""A model that transformers holds in memory, and the same in its own pipeline: equal labels and scores. Exit 77: skipped.

Runs itself with the Python that has transformers (BREAKEVEN_ORACLE_PYTHON, or the one that ./test --slow installs) and the wheel's tests' breakeven.
"""
import math
import os
import pathlib
import subprocess
import sys
import unittest

TREE = pathlib.Path(__file__).resolve().parents[2]
TEXTS = ["A good film.", "It was long, dull and slow!", "", "bad " * 15]
PAIRS = [{"text": "A man eats.", "text_pair": "Someone eats."}, {"text": "A good film.", "text_pair": "It is bad."}]


class InMemory(unittest.TestCase):
    def models(self):
        import torch
        import transformers
        for folder in sorted((TREE / "tests" / "golden" / "pairs").iterdir()):
            tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
            model = transformers.AutoModelForSequenceClassification.from_pretrained(folder)
            yield folder.name, model, tokenizer
            with torch.no_grad():  # what is in memory counts, not what is on the disk
                bias = next(each for name, each in model.named_parameters() if name.endswith("bias") and each.numel() == model.config.num_labels)
                bias += torch.arange(model.config.num_labels) - 1.0
            yield folder.name + ", changed in memory", model, tokenizer

    def test_labels_and_scores_are_those_of_its_own_pipeline(self):
        import breakeven
        import transformers
        seen = set()
        for name, model, tokenizer in self.models():
            theirs = transformers.pipeline("text-classification", model=model, tokenizer=tokenizer, device="cpu")
            with breakeven.from_transformers(model, tokenizer, device="cpu") as ours:
                for inputs in (TEXTS, PAIRS):
                    for answer, expected in zip(ours(inputs, top_k=None), theirs(inputs, top_k=None), strict=True):
                        self.assertEqual([each["label"] for each in answer], [each["label"] for each in expected], name)
                        for one, other in zip(answer, expected):
                            self.assertTrue(math.isclose(one["score"], other["score"], rel_tol=1e-4, abs_tol=1e-5), f"{name}: {one} {other}")
                            seen.add(round(other["score"], 4))
        self.assertGreater(len(seen), 20, "scores that differ")


def main():
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache"))
    oracle = pathlib.Path(os.environ.get("BREAKEVEN_ORACLE_PYTHON", cache / "breakeven" / "oracle-venv" / "bin" / "python"))
    packages = list((TREE / "build" / "wheel" / "test-venv" / "lib").glob("python3*/site-packages/breakeven"))
    for what, missing in ((f"no Python with transformers: {oracle} (./test --slow brings it)", not oracle.exists()),
                          ("no wheel in build/wheel/test-venv (tests/python/run_tests.py installs it)", not packages)):
        if missing:
            print(f"{pathlib.Path(__file__).name} ... skipped 'SKIPPED: {what}'")
            return 77
    site = TREE / "build" / "wheel" / "live-site"  # these two alone: the environment has its own of all the rest
    site.mkdir(exist_ok=True)
    for name in ("breakeven", "breakeven.libs", "nanobind_backend"):
        (site / name).unlink(missing_ok=True)
        (site / name).symlink_to(packages[0].parent / name)
    return subprocess.run([oracle, __file__, "--here"], check=False, env=os.environ | {"PYTHONPATH": str(site), "HF_HUB_OFFLINE": "1"}).returncode


if __name__ == "__main__":
    if sys.argv[1:] == ["--here"]:
        unittest.main(argv=sys.argv[:1], verbosity=2)
    sys.exit(main())
