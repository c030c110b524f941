"""The real adapters on tiny classifiers, against what Transformers computed (tests/adapters/golden).

usage: runtimes_test.py [BREAKEVEN] [NAME ...]     one or several of pytorch, onnxruntime, openvino, ctranslate2; none = all

A runtime whose environment is not there skips, unless BREAKEVEN_REQUIRE_RUNTIMES lists it. Interpreters: $BREAKEVEN_PYTHON_<NAME>, the
runtime's own environment in the cache folder, for pytorch also the one that ./test --slow makes.
"""
import array
import json
import math
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import unittest
import zlib

import tiny_model
from tiny_model import MAX_LENGTH
from worker import Worker

ROOT = pathlib.Path(__file__).resolve().parents[2]
GOLDEN = json.loads((ROOT / "tests" / "adapters" / "golden" / "logits.json").read_text(encoding="utf-8"))
TEXTS, TOKENS = GOLDEN["texts"], GOLDEN["tokens"]
NAMES = ("pytorch", "onnxruntime", "openvino", "ctranslate2")
PROBLEMS = {name: problem for problem, names in {
    "regression": ("bert_gelu_new_regression", "roberta_regression", "deberta_v2_regression", "xlm_roberta_reranker"),
    "multi_label": ("distilbert_relu_multi_label", "roberta_multi_label", "electra_multi_label", "deberta_v3_multi_label",
                    "modernbert_cls_biases")}.items() for name in names}
RERANKERS = ("xlm_roberta_reranker",)  # one label whose score is a sigmoid: problem_type does not say regression
LITERAL_PADS = TEXTS.index("[PAD] a bad [PAD] film")
# Largest difference of a logit, and rms of the differences over the standard deviation of the logits. fp32 differs by the order of
# sums. Random weights amplify what bf16 and int8 round off (docs/parity.md, ops/bf16 and ops/int7): these show that the right
# function is computed, not how well. Another function is off by 1 and more in both.
TOLERANCE = {"fp32": (2e-5, 2e-5), "bf16": (0.15, 0.05), "int8": (1.0, 0.6)}


def cache_folder():
    return pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "breakeven"


def interpreter_of(name):
    """-> a Python that runs the adapter, or None."""
    own = cache_folder() / "runtimes" / name
    places = [os.environ.get(f"BREAKEVEN_PYTHON_{name.upper()}"), own / "venv/bin/python" if (own / "requirements.installed").exists() else None]
    if name == "pytorch":
        places += [os.environ.get("BREAKEVEN_ORACLE_PYTHON"), cache_folder() / "oracle-venv/bin/python"]
    return next((str(place) for place in places if place and pathlib.Path(place).exists()), None)


class Case(unittest.TestCase):
    name = ""

    @classmethod
    def setUpClass(cls):
        if not cls.name:
            raise unittest.SkipTest("a base")
        cls.interpreter = interpreter_of(cls.name)
        if cls.interpreter is None:
            if cls.name in os.environ.get("BREAKEVEN_REQUIRE_RUNTIMES", "").split(","):
                raise AssertionError(f"{cls.name} is required here and not set up")
            raise unittest.SkipTest(f"SKIPPED: {cls.name} is not set up (breakeven runtimes setup {cls.name})")
        cls.scratch = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.scratch.cleanup)
        # Converted models of a test go with it; compiled kernels too.
        cls.environment = os.environ | {"XDG_CACHE_HOME": cls.scratch.name, "TORCHINDUCTOR_CACHE_DIR": cls.scratch.name + "/inductor",
                                        "OMP_WAIT_POLICY": "passive"}
        with Worker(ROOT / "runtimes" / f"{cls.name}.py", cls.interpreter, cls.environment) as worker:
            cls.told = worker.ok("hello", protocol=2)

    def model(self, name, without=()):
        folder = pathlib.Path(tempfile.mkdtemp(dir=self.scratch.name))
        tiny_model.make(folder, ROOT / "tests/golden/model" / name, ROOT / "tests/adapters/golden", without)
        return str(folder)

    def worker(self, model, **spec):
        worker = Worker(ROOT / "runtimes" / f"{self.name}.py", self.interpreter, self.environment)
        self.addCleanup(worker.__exit__)
        first = self.told["abilities"][0]
        spec = {"variant": first["variant"], "device": "cpu", "precision": "fp32", "padding": first["paddings"][0], "threads": 2,
                "max_length": 512, "max_batch": 5} | spec
        worker.loaded = worker.ok("load", model=model, **spec)
        self.assertEqual(worker.ok("texts", texts=TEXTS)["count"], len(TEXTS))
        return worker

    def check(self, told, model, precision, chosen, most=MAX_LENGTH):
        """A classified batch against the golden logits and what follows from them."""
        worst = squares = 0.0
        for index, logits, label, score in zip(chosen, told["logits"], told["labels"], told["scores"], strict=True):
            expected = GOLDEN["models"][model][index]
            differences = [a - b for a, b in zip(logits, expected, strict=True)]
            worst = max(worst, *map(abs, differences))
            squares += sum(difference ** 2 for difference in differences)
            problem = PROBLEMS.get(model, "single_label")
            self.assertEqual(label, 0 if problem == "regression" else logits.index(max(logits)))
            sigmoid = 1 / (1 + math.exp(-logits[label]))
            wanted = {"regression": sigmoid if model in RERANKERS else logits[0], "multi_label": sigmoid,
                      "single_label": math.exp(logits[label]) / sum(map(math.exp, logits))}[problem]
            self.assertAlmostEqual(score, wanted, 6)
        rms = (squares / len(chosen) / len(told["logits"][0])) ** 0.5
        spread = statistics.pstdev(value for row in GOLDEN["models"][model] for value in row)
        self.assertLess(worst, TOLERANCE[precision][0], f"{model} {precision}")
        self.assertLess(rms / spread, TOLERANCE[precision][1] * (1 if len(chosen) > 1 else 3), f"{model} {precision}")
        self.assertEqual(told["tokens"], [min(TOKENS[index], most) for index in chosen])
        self.assertEqual(told["cut"], [TOKENS[index] > most for index in chosen])
        self.assertGreater(told["end_s"], told["start_s"])

    def check_both_modes(self, model, worker, padding, precision="fp32"):
        everything = self.texts_for(model)
        for begin in range(0, len(everything), 5):  # the last batch is odd
            chosen = everything[begin:begin + 5]
            told = worker.ok("run", indices=chosen)
            self.check(told, model, precision, chosen)
            self.assertAlmostEqual(sum(told["stages"].values()), told["end_s"] - told["start_s"], 7)
            lengths = [min(TOKENS[index], MAX_LENGTH) for index in chosen]
            self.assertEqual(told["computed_tokens"], {"none": sum(lengths), "longest": len(chosen) * max(lengths),
                                                       "max_length": len(chosen) * MAX_LENGTH}[padding])
        for chosen in (everything[::-1], [1], everything + everything[:3]):  # empty text alone; texts twice
            told = worker.ok("stream", indices=chosen, batch=5)
            self.check(told, model, precision, chosen)
            self.assertGreaterEqual(told["in_flight"], 1)

    def texts_for(self, _model):
        return list(range(len(TEXTS)))

    def check_all(self, model, precision="fp32", variants=None, paddings=("none", "longest", "max_length"), **spec):
        tried = 0
        for ability in self.told["abilities"]:
            if ability["device"] != "cpu" or ability["precision"] != precision or ability["variant"] not in (variants or [ability["variant"]]):
                continue
            for padding in (one for one in ability["paddings"] if one in paddings):
                with self.subTest(model=model, variant=ability["variant"], padding=padding, precision=precision):
                    worker = self.worker(self.model(model), variant=ability["variant"], precision=precision, padding=padding, **spec)
                    self.assertEqual(worker.loaded["problem"], PROBLEMS.get(model, "single_label"))
                    self.check_both_modes(model, worker, padding, precision)
                    self.assertGreater(worker.ok("memory")["peak_rss_bytes"], 10 << 20)
                    self.assertEqual(worker.ok("shutdown"), {})
                    self.assertEqual(worker.process.wait(60), 0)
                    tried += 1
        return tried


class Common(Case):
    """What holds for each of them."""

    def test_hello(self):
        self.assertEqual((self.told["protocol"], self.told["runtime"]), (2, self.name))
        self.assertRegex(self.told["version"], r"^\d+\.\d+")
        self.assertRegex(self.told["tokenizer"], r"tokenizers \d+\.\d+")
        keys = [(one["variant"], one["device"], one["precision"]) for one in self.told["abilities"]]
        self.assertEqual(len(keys), len(set(keys)))
        self.assertIn("fp32", [one["precision"] for one in self.told["abilities"] if one["device"] == "cpu"])
        flags = pathlib.Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
        if "avx512_bf16" not in flags:
            self.assertNotIn(("cpu", "bf16"), [key[1:] for key in keys])

    def test_distilbert(self):
        self.assertGreaterEqual(self.check_all("distilbert_gelu", variants=("seed", "plain", "tuned")), 2)

    def test_multi_label_relu_fp16_weights(self):
        self.check_all("distilbert_relu_multi_label", variants=("seed", "plain"))

    def test_lower_precisions(self):
        found = {one["precision"] for one in self.told["abilities"] if one["device"] == "cpu"} - {"fp32"}
        self.assertIn("int8", found)
        for precision in found & set(TOLERANCE):
            self.assertGreater(self.check_all("distilbert_gelu", precision, ("tuned",)), 0)

    def test_vocab_alone_gives_the_same_tokens(self):
        worker = self.worker(self.model("distilbert_gelu", without=("tokenizer.json",)))
        self.check(worker.ok("run", indices=[0, 6, 9]), "distilbert_gelu", "fp32", [0, 6, 9])

    def test_max_length_cuts(self):
        worker = self.worker(self.model("distilbert_gelu"), max_length=8)
        self.assertEqual(worker.ok("run", indices=[0, 2, 9])["tokens"], [min(8, TOKENS[index]) for index in (0, 2, 9)])

    def test_a_second_load_finds_the_converted_model(self):
        def converted():
            folder = pathlib.Path(self.scratch.name, "breakeven/runtimes/converted")
            return sorted((path.name, path.stat().st_mtime_ns) for path in folder.rglob("*")) if folder.exists() else []
        self.worker(self.model("distilbert_gelu"))
        first = converted()
        self.worker(self.model("distilbert_gelu"))
        self.assertEqual(converted(), first)
        self.assertFalse([name for name, _ in first if name.startswith(".")], "half-made folders")

    def check_pairs(self, name, variants=("seed", "plain", "tuned"), lengths=None):
        """Pairs, uncut and cut, through both modes; and beside a text alone."""
        folder = ROOT / "tests/golden/pairs" / name
        pairs = json.loads((folder / "golden.json").read_text(encoding="utf-8"))["pairs"]
        for variant in {one["variant"] for one in self.told["abilities"]} & set(variants):
            for length in lengths or {pair["max_length"] for pair in pairs}:
                some = [pair for pair in pairs if pair["max_length"] == length]
                with self.subTest(model=name, variant=variant, max_length=length):
                    worker = self.worker(str(folder), variant=variant, max_length=length)
                    hashes = worker.ok("texts", texts=[[pair["text"], pair["text_pair"]] for pair in some], hash_ids=True)["ids"]
                    self.assertEqual(hashes, [zlib.crc32(array.array("i", pair["input_ids"]).tobytes()) for pair in some])
                    places = range(len(TEXTS), len(TEXTS) + len(some))
                    told = [worker.ok("stream", indices=list(places), batch=5)]
                    told += [worker.ok("run", indices=list(places[begin:begin + 5])) for begin in range(0, len(some), 5)]
                    logits = [row for answer in told for row in answer["logits"]]
                    for ours, pair in zip(logits, some + some, strict=True):
                        for a, b in zip(ours, pair["logits"], strict=True):
                            self.assertAlmostEqual(a, b, delta=2e-5)
                    self.assertEqual(told[0]["tokens"], [len(pair["input_ids"]) for pair in some])
                    self.assertTrue(any(told[0]["cut"]), length)
                    self.assertFalse(any(cut and tokens < length for cut, tokens in zip(told[0]["cut"], told[0]["tokens"])))
                    mixed = worker.ok("run", indices=[0, places[1]])
                    alone = worker.ok("run", indices=[0])["logits"] + [some[1]["logits"]]
                    for ours, theirs in zip(mixed["logits"], alone, strict=True):
                        for a, b in zip(ours, theirs, strict=True):
                            self.assertAlmostEqual(a, b, delta=2e-5)

    def test_pairs(self):
        self.check_pairs("distilbert_reranker")

    def test_broken_models_are_answers(self):
        worker = Worker(ROOT / "runtimes" / f"{self.name}.py", self.interpreter, self.environment)
        self.addCleanup(worker.__exit__)
        first = self.told["abilities"][0]
        spec = {key: first[key] for key in ("variant", "device", "precision")} | {"padding": first["paddings"][0], "threads": 1}
        folder = self.model("distilbert_gelu", without=("model.safetensors",))
        self.assertIn("code", worker.error("load", model=folder, **spec))
        pathlib.Path(folder, "model.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0rubbish!")
        self.assertIn("code", worker.error("load", model=folder, **spec))
        self.assertIn("labels", worker.ok("load", model=self.model("distilbert_gelu"), **spec))  # it lives


class Bert(Common):
    """And for those that know BERT and RoBERTa's kin."""

    def test_bert(self):
        for model in ("bert_gelu_pairs", "bert_relu_one_layer", "bert_gelu_new_regression"):
            self.check_all(model, variants=("seed", "plain"))

    def test_pairs(self):
        super().test_pairs()
        self.check_pairs("bert_nli")  # whose token types count

    def test_roberta(self):
        for model in ("roberta_gelu", "roberta_multi_label", "xlm_roberta_reranker", "camembert_gelu"):
            self.check_all(model, variants=("seed", "plain"), paddings=("none", "longest"))


class Electra(Bert):
    """And ELECTRA, narrower embeddings or not."""

    def test_electra(self):
        for model in ("electra_narrow", "electra_multi_label"):
            self.check_all(model, variants=("seed", "plain"), paddings=("none", "longest"))


class ByTorch(Electra):
    """And those that get the graphs of other architectures from torch.onnx."""

    def exporter(self):
        found = interpreter_of("pytorch")
        if found is None or subprocess.run([found, "-c", "import onnxscript"], capture_output=True, check=False).returncode:
            self.skipTest("SKIPPED: no PyTorch with onnxscript is set up (breakeven runtimes setup pytorch)")
        return found

    def test_modernbert(self):
        for model in ("modernbert_mean", "modernbert_cls_biases"):
            self.check_all(model, variants=("plain",), paddings=("longest",), pytorch=self.exporter())

    def test_deberta(self):
        exporter = self.exporter()
        for model in ("deberta_v3", "deberta_v2_regression"):
            self.check_all(model, variants=("plain",), paddings=("longest",), pytorch=exporter)
        self.check_all("deberta_v3", "int8", variants=("plain",), paddings=("longest",), pytorch=exporter)
        told = self.worker(self.model("deberta_v3"), pytorch=exporter).loaded["settings"]
        self.assertIn("by torch.onnx", told["export"])

    def test_deberta_without_pytorch(self):
        with self.assertRaisesRegex(AssertionError, "missing.*'deberta-v2' is exported by PyTorch, which is not set up"):
            self.worker(self.model("deberta_one_layer"))

    def test_what_torch_cannot_load_is_an_answer(self):
        broken = pathlib.Path(self.scratch.name, "broken.py")
        broken.write_text(f"#!{sys.executable}\nraise SystemExit('no torch here')\n")
        broken.chmod(0o755)
        with self.assertRaisesRegex(AssertionError, "unsupported.*torch.onnx cannot export it: no torch here"):
            self.worker(self.model("deberta_one_layer"), pytorch=str(broken))


class TestOnnxruntime(ByTorch):
    name = "onnxruntime"

    def test_the_record_says_what_was_fused(self):
        told = self.worker(self.model("distilbert_gelu")).loaded["settings"]
        self.assertEqual(told["fused"], "EmbedLayerNormalization 1, Attention 3, BiasGelu 3, SkipLayerNormalization 6")
        told = self.worker(self.model("bert_gelu_pairs")).loaded["settings"]
        self.assertEqual(told["fused"], "EmbedLayerNormalization 1, Attention 3, BiasGelu 3, SkipLayerNormalization 6")
        told = self.worker(self.model("roberta_gelu")).loaded["settings"]
        self.assertEqual(told["fused"], "EmbedLayerNormalization 1, Attention 3, BiasGelu 3, SkipLayerNormalization 6")
        for model in ("distilbert_gelu", "roberta_gelu"):
            told = self.worker(self.model(model), precision="int8").loaded["settings"]
            self.assertIn("QAttention 3", told["quantized"])


class TestOpenvino(ByTorch):
    name = "openvino"

    def texts_for(self, model):
        """DeBERTa's farthest distance, which only the longest text has, it rounds into the next bucket (docs/runtimes.md)."""
        return [index for index in super().texts_for(model) if TOKENS[index] < MAX_LENGTH or "deberta" not in model]

    def test_the_precision_is_the_one_asked_for(self):
        for precision, kind in (("fp32", "f32"), ("bf16", "bf16")):
            if any(one["precision"] == precision for one in self.told["abilities"]):
                told = self.worker(self.model("distilbert_gelu"), precision=precision).loaded["settings"]
                self.assertEqual(told["inference_precision"], kind)

    def test_calibration_texts_may_be_named(self):
        texts = pathlib.Path(self.scratch.name, "mine.jsonl")
        texts.write_text('{"text": "a good film"}\n{"text": "a bad film"}\n')
        told = self.worker(self.model("distilbert_gelu"), precision="int8", calibration=str(texts)).loaded["settings"]
        self.assertIn("mine.jsonl", told["quantization"])
        with self.assertRaisesRegex(AssertionError, "no reviews to quantise with"):
            self.worker(self.model("distilbert_gelu"), precision="int8", calibration=str(texts) + ".no")


class TestCtranslate2(Bert):
    name = "ctranslate2"

    def texts_for(self, model):
        """Its positions count pads within a text, too, which RoBERTa's do not: those of its own converter do as well."""
        return [index for index in super().texts_for(model) if index != LITERAL_PADS or "roberta" not in model and "camembert" not in model]

    def test_numpy_has_no_threads_of_its_own(self):
        """After a product they spin beside the encoder's."""
        program = ("import os, sys; sys.path.insert(0, sys.argv[1]); import common; common.serve = lambda adapter: adapter(); import runpy; "
                   "runpy.run_path(sys.argv[1] + '/ctranslate2.py'); import numpy as np; np.ones((900, 900)) @ np.ones((900, 900)); "
                   "print(len(os.listdir('/proc/self/task')))")
        answer = subprocess.run([self.interpreter, "-c", program, str(ROOT / "runtimes")], capture_output=True, text=True, check=True)
        self.assertEqual(answer.stdout.split(), ["1"])

    def test_electra_is_refused(self):
        with self.assertRaisesRegex(AssertionError, "unsupported.*CTranslate2 has no 'electra'"):
            self.worker(self.model("electra_narrow"))


class TestPytorch(Electra):
    name = "pytorch"

    def test_pairs(self):
        super().test_pairs()
        self.check_pairs("roberta_nli", ("seed",))

    def test_deberta(self):
        for model in ("deberta_v3", "deberta_v2_regression"):
            self.check_all(model, variants=("seed", "tuned"), paddings=("longest",))

    def test_pickled_weights(self):
        folder = self.model("distilbert_gelu", without=("model.safetensors",))
        source = ROOT / "tests/golden/model/distilbert_gelu/model.safetensors"
        script = "import sys, torch, safetensors.torch as s; torch.save(s.load_file(sys.argv[1]), sys.argv[2])"
        self.assertEqual(os.spawnv(os.P_WAIT, self.interpreter, [self.interpreter, "-c", script, str(source), folder + "/pytorch_model.bin"]), 0)
        self.check(self.worker(folder).ok("run", indices=[0, 1, 2]), "distilbert_gelu", "fp32", [0, 1, 2])

    def test_compiled(self):
        """Every length and batch after the load: a recompilation would be an error."""
        if not any(one["variant"] == "compile" for one in self.told["abilities"]):
            self.skipTest("SKIPPED: torch.compile needs g++ and Python.h")
        worker = self.worker(self.model("distilbert_gelu"), variant="compile", padding="longest")
        self.assertRegex(worker.loaded["settings"]["compile"], r"dynamic shapes, \d+ graphs")
        self.check_both_modes("distilbert_gelu", worker, "longest")
        for index in range(len(TEXTS)):
            self.check(worker.ok("run", indices=[index]), "distilbert_gelu", "fp32", [index])
        self.check(worker.ok("run", indices=[3, 0]), "distilbert_gelu", "fp32", [3, 0])

    def test_compiled_with_pairs(self):
        """And with token types that come only now."""
        if not any(one["variant"] == "compile" for one in self.told["abilities"]):
            self.skipTest("SKIPPED: torch.compile needs g++ and Python.h")
        self.check_pairs("bert_nli", ("compile",), lengths=(64,))


def load_tests(loader, _tests, _pattern):
    chosen = [name for name in sys.argv[1:] if name in NAMES] or NAMES
    return unittest.TestSuite(loader.loadTestsFromTestCase(globals()[f"Test{name.capitalize()}"]) for name in chosen)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
