"""runtimes/common.py by a toy adapter, and what holds for every adapter without its library."""
import json
import math
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import unittest.mock

HERE = pathlib.Path(__file__).resolve().parent
RUNTIMES = HERE.parents[1] / "runtimes"
sys.path.insert(0, str(RUNTIMES))
import common  # noqa: E402  pylint: disable=wrong-import-position
from worker import Worker  # noqa: E402  pylint: disable=wrong-import-position

ADAPTERS = ("pytorch", "onnxruntime", "openvino", "ctranslate2")
TEXTS = ["one", "one two three four five", "one two", "", "one two three"]
SPEC = {"variant": "plain", "device": "cpu", "precision": "fp32", "threads": 2, "max_length": 4, "padding": "longest", "max_batch": 8}


def write_model(folder, **changes):
    config = {"model_type": "toy", "id2label": {"0": "no", "1": "yes"}, "max_position_embeddings": 64} | changes
    (folder / "config.json").write_text(json.dumps({key: value for key, value in config.items() if value is not None}))
    return str(folder)


class Pieces(unittest.TestCase):
    def test_pad(self):
        batch = common.pad([[7], [8, 9, 6]], "longest", 5, pad_id=1)
        self.assertEqual((batch.ids.tolist(), batch.mask.tolist()), ([7, 1, 1, 8, 9, 6], [1, 0, 0, 1, 1, 1]))
        self.assertEqual((batch.width, batch.lengths, batch.computed_tokens), (3, [1, 3], 6))
        batch = common.pad([[7], [8, 9, 6]], "max_length", 5)
        self.assertEqual(batch.ids.tolist(), [7, 0, 0, 0, 0, 8, 9, 6, 0, 0])
        self.assertEqual(batch.computed_tokens, 10)
        self.assertEqual(common.pad([[], []], "longest", 5).mask.tolist(), [0, 0])

    def test_pad_pairs(self):
        self.assertIsNone(common.pad([[7], [8, 9]], "longest", 5).token_types)
        batch = common.pad([[7], common.PairRow([8, 9, 6], [0, 1, 1])], "max_length", 5, pad_id=1)
        self.assertEqual(batch.token_types.tolist(), [0] * 5 + [0, 1, 1, 0, 0])
        self.assertEqual(batch.ids.tolist(), [7, 1, 1, 1, 1, 8, 9, 6, 1, 1])

    def test_by_length_is_stable(self):
        self.assertEqual(common.by_length([[1, 1], [1], [2, 2], []]), [3, 1, 0, 2])

    def test_decode(self):
        label, score = common.decode([1.0, 3.0, 2.0], "softmax")
        self.assertEqual(label, 1)
        self.assertAlmostEqual(score, math.exp(3) / (math.exp(1) + math.exp(3) + math.exp(2)), 12)
        label, score = common.decode([-2.0, -1.0], "sigmoid")
        self.assertEqual(label, 1)
        self.assertAlmostEqual(score, 1 / (1 + math.exp(1)), 12)
        self.assertEqual(common.decode([-2.5], "none"), (0, -2.5))
        self.assertEqual(common.decode([-2.5, 1.5], "none"), (1, 1.5))
        self.assertEqual(common.decode([-2000.0, 2000.0], "softmax"), (1, 1.0))  # nothing overflows
        self.assertEqual(common.decode([-2000.0], "sigmoid"), (0, 0.0))

    def test_laps_add_up(self):
        with unittest.mock.patch.object(common.time, "monotonic", iter([10, 11, 13, 17, 25]).__next__):
            laps = common.Laps()
            for stage in ("tokenize", "compute", "tokenize", "decode"):
                laps.end(stage)
        self.assertEqual([laps.stages[stage] for stage in ("tokenize", "compute", "decode")], [1 + 4, 2, 8])
        self.assertEqual(sum(laps.stages.values()), laps.last - laps.start)
        self.assertEqual(set(laps.stages), set(common.STAGES))


class Models(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def model(self, **changes):
        return common.Model(write_model(self.folder, **changes))

    def test_labels_and_problem_type(self):
        self.assertEqual((self.model().labels, self.model().problem), (["no", "yes"], "single_label"))
        self.assertEqual(self.model(id2label={"0": "x"}).problem, "regression")
        self.assertEqual(self.model(problem_type="multi_label_classification").problem, "multi_label")
        self.assertEqual(self.model(id2label=None, num_labels=3).labels, ["LABEL_0", "LABEL_1", "LABEL_2"])
        self.assertEqual(self.model(num_labels=3).labels, ["LABEL_0", "LABEL_1", "LABEL_2"])  # beats two names
        with self.assertRaisesRegex(common.Refused, "problem_type is 'ranking'"):
            self.model(problem_type="ranking")

    def test_score_function(self):
        one = {"id2label": {"0": "x"}}
        self.assertEqual(self.model().function, "softmax")
        self.assertEqual(self.model(**one).function, "sigmoid")
        self.assertEqual(self.model(**one, problem_type="regression").function, "none")
        self.assertEqual(self.model(problem_type="multi_label_classification").function, "sigmoid")
        identity = "torch.nn.modules.linear.Identity"
        self.assertEqual(self.model(**one, sbert_ce_default_activation_function=identity).function, "none")
        self.assertEqual(self.model(**one, sentence_transformers={"activation_fn": identity}).function, "none")

    def test_takes_types(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder)
            takes = lambda **changes: common.Model(write_model(path, **changes)).takes_types
            self.assertEqual([takes(model_type=kind) for kind in ("bert", "roberta", "xlm-roberta")], [True, False, False])
            (path / "tokenizer_config.json").write_text('{"model_input_names":["input_ids"]}')
            self.assertFalse(takes(model_type="bert"))
            (path / "tokenizer_config.json").write_text('{"model_input_names":["input_ids","token_type_ids"]}')
            self.assertTrue(takes(model_type="roberta"))

    def test_positions(self):
        self.assertEqual(self.model(max_position_embeddings=40).positions, 40)
        for kind in ("roberta", "xlm-roberta", "camembert"):
            self.assertEqual(self.model(model_type=kind, max_position_embeddings=514, pad_token_id=1).positions, 512)

    def test_the_hash_is_of_the_content(self):
        weights = self.folder / "model.safetensors"
        weights.write_bytes(b"one")
        first = self.model().hash()
        os.utime(weights, (1, 1))
        self.assertEqual(self.model().hash(), first)
        weights.write_bytes(b"two")
        self.assertNotEqual(self.model().hash(), first)
        weights.write_bytes(b"one")
        self.assertNotEqual(self.model(pad_token_id=9).hash(), first)

    def test_no_folder_no_tokenizer(self):
        with self.assertRaisesRegex(common.Refused, "config.json cannot be read"):
            common.Model(self.folder / "nothing")


class Document(unittest.TestCase):
    def test_who_runs_what_is_what_the_adapters_know(self):
        shapes = common.sibling("shapes")
        told = re.search(r'KNOWN = \((.*), \*common.ROBERTAS\)', (RUNTIMES / "ctranslate2.py").read_text())
        by_ctranslate2 = set(re.findall(r'"(.*?)"', told[1])) | set(common.ROBERTAS)
        rows = [[cell.strip() for cell in line.strip("|\n").split("|")]
                for line in (RUNTIMES.parent / "docs" / "models.md").read_text().splitlines() if line.startswith("| `")][1:]
        self.assertLessEqual(set(shapes.KNOWN), {row[0].strip("`") for row in rows})
        for kind, _, _, _, _, graph, ctranslate2 in rows:
            self.assertEqual(graph, "our graph" if kind.strip("`") in shapes.KNOWN else "torch.onnx", kind)
            self.assertEqual(ctranslate2, "yes" if kind.strip("`") in by_ctranslate2 else "no", kind)


class Converted(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        before = os.environ.get("XDG_CACHE_HOME")
        os.environ["XDG_CACHE_HOME"] = folder.name
        self.addCleanup(lambda: os.environ.pop("XDG_CACHE_HOME") if before is None else os.environ.update(XDG_CACHE_HOME=before))

    def files(self):
        return sorted(path.relative_to(self.root).as_posix() for path in self.root.rglob("*") if path.is_file())

    def test_made_once_and_found_again(self):
        told = []
        make = lambda folder: (folder / "model").write_text("x")  # noqa: E731  pylint: disable=unnecessary-lambda-assignment
        for _ in range(2):
            folder = common.converted(("toy", "1.0", "fp32"), make, lambda *words: told.append(words))
            self.assertEqual((folder / "model").read_text(), "x")
        self.assertEqual(len(told), 1)
        self.assertEqual(self.files(), ["breakeven/runtimes/converted/2-toy-1.0-fp32/model"])

    def test_a_failure_leaves_nothing_behind(self):
        def fail(folder):
            (folder / "half").write_text("x")
            raise RuntimeError("disk full")
        with self.assertRaisesRegex(RuntimeError, "disk full"):
            common.converted(("toy",), fail, lambda *_: None)
        self.assertEqual(self.files(), [])
        self.assertEqual(list((self.root / "breakeven/runtimes/converted").iterdir()), [])

    def test_two_at_the_same_time(self):
        both_inside, found = threading.Barrier(2), []

        def make(folder):
            (folder / "model").write_text("x")
            both_inside.wait()
        threads = [threading.Thread(target=lambda: found.append(common.converted(("toy",), make, lambda *_: None))) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len(found), 2)
        self.assertEqual(self.files(), ["breakeven/runtimes/converted/2-toy/model"])


class Protocol(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.model = write_model(pathlib.Path(folder.name))

    def worker(self, **changes):
        """A worker with its model and texts."""
        worker = Worker(HERE / "toy_adapter.py")
        self.addCleanup(worker.__exit__)
        worker.ok("hello", protocol=2)
        worker.ok("load", model=self.model, **SPEC | changes)
        worker.ok("texts", texts=TEXTS)
        return worker

    def test_hello(self):
        with Worker(HERE / "toy_adapter.py") as worker:
            self.assertEqual(worker.error("hello", protocol=1)["code"], "protocol")
            told = worker.ok("hello", protocol=2)
        self.assertEqual((told["protocol"], told["runtime"], told["version"], told["tokenizer"]), (2, "toy", "1.0", "words"))
        self.assertEqual(told["abilities"][0], {"variant": "plain", "device": "cpu", "precision": "fp32", "paddings": ["longest", "max_length"]})

    def test_a_missing_library_is_an_answer(self):
        with Worker(HERE / "toy_adapter.py", env=os.environ | {"TOY_MISSING": "1"}) as worker:
            error = worker.error("hello", protocol=2)
            self.assertEqual((error["code"], error["hint"]), ("missing", "breakeven runtimes setup toy"))
            self.assertIn("No module named 'toy'", error["message"])

    def test_load(self):
        with Worker(HERE / "toy_adapter.py") as worker:
            refused = worker.error("load", model=self.model, **SPEC | {"precision": "int8"})
            self.assertEqual((refused["code"], refused["message"]), ("unsupported", "plain/cpu/int8 is nothing that runs here"))
            self.assertIn("tuned/cpu/fp32", refused["hint"])
            self.assertEqual(worker.error("load", model=self.model, **SPEC | {"padding": "none"})["code"], "unsupported")
            for field in ("threads", "max_length", "max_batch"):
                for value in (0, -1, "two", 1.5, True):
                    self.assertIn(field, worker.error("load", model=self.model, **SPEC | {field: value})["message"])
            self.assertEqual(worker.error("load", model=self.model + "/no", **SPEC)["code"], "model")
            self.assertEqual(worker.error("load", model=3, **SPEC)["code"], "request")
            self.assertEqual(worker.error("run", indices=[0])["message"], "nothing is loaded")
            told = worker.ok("load", model=self.model, **SPEC | {"max_length": 1000})
            self.assertEqual(worker.progress, [{"progress": 0.5, "what": "thinking"}])
            self.assertEqual((told["labels"], told["problem"], told["weight_bytes"]), (["no", "yes"], "single_label", 7))
            self.assertEqual(told["settings"], {"max_length": "64", "threads": "2", "padding": "longest", "number": "3"})
            self.assertEqual(worker.error("load", model=self.model, **SPEC)["code"], "loaded")

    def test_run(self):
        worker = self.worker()
        self.assertEqual(worker.ok("texts", texts=["one two"])["count"], 6)
        before = time.monotonic()
        told = worker.ok("run", indices=[1, 0, 5])
        after = time.monotonic()
        self.assertEqual(told["logits"], [[4.0, -4.0], [1.0, -1.0], [2.0, -2.0]])
        self.assertEqual((told["labels"], told["tokens"], told["computed_tokens"]), ([0, 0, 0], [4, 1, 2], 12))
        self.assertTrue(before < told["start_s"] < told["end_s"] < after)
        self.assertEqual(list(told["stages"]), list(common.STAGES))
        self.assertAlmostEqual(sum(told["stages"].values()), told["end_s"] - told["start_s"], 7)
        self.assertEqual(worker.ok("run", indices=[0])["computed_tokens"], 1)

    def test_what_is_not_finite_goes_over_as_null(self):
        told = self.worker().ok("run", indices=[3, 0])
        self.assertEqual(told["logits"], [[None, 0.0], [1.0, -1.0]])
        self.assertIsNone(told["scores"][0])

    def test_padding_to_max_length_is_computed(self):
        self.assertEqual(self.worker(padding="max_length").ok("run", indices=[0, 2])["computed_tokens"], 8)

    def test_stream(self):
        order = [4, 1, 0, 2, 2]
        plain = self.worker().ok("stream", indices=order, batch=2)
        tuned = self.worker(variant="tuned").ok("stream", indices=order, batch=2)
        for told in (plain, tuned):
            self.assertEqual([row[0] for row in told["logits"]], [3.0, 4.0, 1.0, 2.0, 2.0])
            self.assertEqual((told["tokens"], told["in_flight"]), ([3, 4, 1, 2, 2], 1))
            self.assertAlmostEqual(sum(told["stages"].values()), told["end_s"] - told["start_s"], 7)
        self.assertEqual(plain["computed_tokens"], 2 * 4 + 2 * 2 + 2)
        self.assertEqual(tuned["computed_tokens"], 2 * 2 + 2 * 3 + 4)

    def test_wrong_requests_are_answered_and_survived(self):
        worker = self.worker()
        for indices in ([5], [-1], [], [0.0], [True], "0", None):
            self.assertEqual(worker.error("run", indices=indices)["code"], "request", indices)
        for batch in (0, "2", None):
            self.assertEqual(worker.error("stream", indices=[0], batch=batch)["code"], "request")
        for wrong in (1, ["one"], ["one", 2], ["one", "two", "three"]):
            self.assertEqual(worker.error("texts", texts=[wrong])["code"], "request")
        self.assertEqual(worker.ok("texts", texts=[])["count"], len(TEXTS))
        self.assertIn("'fly'", worker.error("fly")["message"])
        self.assertIn("None", worker.error(None)["message"])
        for line in ("rubbish", "[1]", '{"id":'):
            answer = worker.send_line(line)
            self.assertEqual((answer["id"], answer["error"]["code"]), (None, "request"))
        worker.ok("texts", texts=["raise"])
        error = worker.error("run", indices=[5])
        self.assertEqual((error["code"], error["message"]), ("failed", "run: RuntimeError: asked to fail"))
        self.assertEqual(worker.ok("run", indices=[0])["labels"], [0])

    def test_memory(self):
        told = self.worker().ok("memory")
        self.assertGreater(told["peak_rss_bytes"], 1 << 20)
        self.assertIsNone(told["device_peak_bytes"])

    def test_whatever_an_adapter_hands_over_becomes_a_line(self):
        worker = self.worker()
        worker.ok("texts", texts=["no UTF-8"])
        self.assertIn("no such file: caf?", worker.error("run", indices=[5])["message"])
        self.assertEqual(worker.ok("run", indices=[1])["labels"], [0])
        with Worker(HERE / "toy_adapter.py", env=os.environ | {"TOY_STRANGE": "1"}) as strange:
            self.assertIn("object is nothing that JSON knows", strange.error("load", model=self.model, **SPEC)["message"])
            self.assertGreater(strange.ok("memory")["peak_rss_bytes"], 0)

    def test_it_ends_with_its_stdin_and_when_told(self):
        worker = self.worker()
        self.assertEqual(worker.end(), 0)
        worker = self.worker()
        self.assertEqual(worker.ok("shutdown"), {})
        self.assertEqual(worker.process.wait(), 0)

    def test_it_survives_an_interrupt_and_dies_with_its_parent(self):
        # The pipe to its stdin stays open in this process: only the parent's death can end it.
        reading, writing = os.pipe()
        parent = subprocess.Popen(
            [sys.executable, "-c", "import subprocess, sys, time; subprocess.Popen(sys.argv[1:], stdin=0); time.sleep(100000)",
             sys.executable, str(HERE / "toy_adapter.py")], stdin=reading, stdout=subprocess.PIPE, text=True)
        os.close(reading)
        self.addCleanup(os.close, writing)
        os.write(writing, b'{"id":1,"op":"hello","protocol":2}\n')
        self.assertIn('"ok"', parent.stdout.readline())
        child = int(pathlib.Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()[0])
        os.kill(child, signal.SIGINT)
        os.write(writing, b'{"id":2,"op":"memory"}\n')
        self.assertIn('"ok"', parent.stdout.readline())
        parent.kill()
        parent.wait()
        while pathlib.Path(f"/proc/{child}").exists() and " Z " not in pathlib.Path(f"/proc/{child}/stat").read_text():
            time.sleep(0.05)  # a worker that outlives its parent makes ctest end this
        parent.stdout.close()


class Adapters(unittest.TestCase):
    def test_each_is_small(self):
        for name in ADAPTERS:
            if (RUNTIMES / f"{name}.py").exists():
                self.assertLessEqual(len((RUNTIMES / f"{name}.py").read_text().splitlines()), 150, name)

    def test_every_requirement_is_pinned(self):
        for name in ADAPTERS:
            lines = (RUNTIMES / f"requirements-{name}.txt").read_text().splitlines()
            pins = [line for line in lines if line and not line.startswith("#")]
            self.assertIn("tokenizers", " ".join(pins))
            for line in pins:
                self.assertRegex(line, r'^[a-z0-9-]+==[0-9.]+(; python_version (<|>=) "3\.\d+")?$', name)
            versions = [re.match(r"[a-z0-9-]+==[0-9.]+(.*)", line)[1] for line in pins]
            self.assertEqual(versions.count('; python_version < "3.11"'), versions.count('; python_version >= "3.11"'), name)


if __name__ == "__main__":
    unittest.main(verbosity=2)
