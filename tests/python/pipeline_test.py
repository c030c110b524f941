"""The pipeline of the installed package: transformers' shapes, bad input by its index, threads, forks, Ctrl-C."""
import doctest
import json
import math
import os
import pathlib
import pickle
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import unittest

import breakeven
from breakeven import pipeline

TREE = pathlib.Path(__file__).resolve().parents[2]
GOLDEN = json.loads((TREE / "tests" / "python" / "pipeline_golden.json").read_text())
PAIRS = TREE / "tests" / "golden" / "pairs"
TEXTS = ["A good film.", "It was long, dull and slow!", "", "bad " * 400, "Ein schöner Film \U0001f600"]


def narrow(**options):
    return pipeline(model="builtin-narrow", **options)


class Golden(unittest.TestCase):
    """Every call of tests/python/pipeline_golden.json, which tools/make_pipeline_goldens.py had transformers answer."""

    def check(self, ours, theirs):
        if isinstance(theirs, list):
            self.assertIsInstance(ours, list)
            self.assertEqual(len(ours), len(theirs))
            for one, other in zip(ours, theirs):
                self.check(one, other)
            return
        self.assertEqual(list(ours), ["label", "score"])
        self.assertEqual(ours["label"], theirs["label"])
        self.assertIs(type(ours["score"]), float)
        self.assertTrue(math.isclose(ours["score"], theirs["score"], rel_tol=1e-4, abs_tol=1e-5), f"{ours} {theirs}")

    def test_shapes_and_scores(self):
        made = {}
        with tempfile.TemporaryDirectory() as folder:
            for case in GOLDEN["cases"]:
                with self.subTest(**{key: value for key, value in case.items() if key != "answer"}):
                    copy = pathlib.Path(folder) / f"{case['model']}-{case['problem_type']}"
                    if not copy.exists():
                        shutil.copytree(PAIRS / case["model"], copy)
                        if case["problem_type"]:
                            config = copy / "config.json"
                            config.write_text(json.dumps(json.loads(config.read_text()) | {"problem_type": case["problem_type"]}))
                    key = (copy, json.dumps(case["made"]))
                    clf = made.setdefault(key, None) or made.__setitem__(key, pipeline("text-classification", str(copy), **case["made"])) or made[key]
                    inputs = case["inputs"]
                    answer = clf((text for text in inputs) if case["generator"] else inputs, **case["call"])
                    if case["generator"]:
                        self.assertIs(iter(answer), answer)
                        answer = list(answer)
                    if "error" in case:  # transformers looks into an empty list
                        self.assertEqual((case["inputs"], answer), ([], []))
                    else:
                        self.check(answer, case["answer"])
        self.assertGreater(len(GOLDEN["cases"]), 200)


class Calls(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.clf = narrow()

    def test_one_by_one_is_all_at_once(self):
        together = self.clf(TEXTS)
        self.assertEqual([label["label"] for label in together], [self.clf(text)[0]["label"] for text in TEXTS])
        self.assertEqual(self.clf(tuple(TEXTS)), together)
        self.assertEqual(list(self.clf(iter(TEXTS))), together)
        many = (TEXTS * 5)[:21]
        self.assertEqual([answer["label"] for answer in self.clf(text for text in many)], [answer["label"] for answer in self.clf(many)])

    def test_long_texts_are_cut_and_counted(self):
        clf = narrow(max_length=16)
        clf(TEXTS)
        stats = clf.stats
        self.assertEqual((stats["texts"], stats["truncated"]), (5, 1))
        self.assertLessEqual(stats["tokens"], 5 * 16)
        self.assertGreater(stats["seconds"], 0)
        self.assertEqual(clf("bad " * 400), clf("bad " * 14))

    def test_a_text_that_is_none_is_named(self):
        for bad, kind, words in ((None, TypeError, "None"), (math.nan, TypeError, "float nan"), (b"abc", TypeError, "decode"), (7, TypeError, "int 7"),
                                 ("a\ud800b", ValueError, "surrogate"), (["a", "b"], TypeError, "text_pair"), ({"txt": "a"}, ValueError, "'txt'"),
                                 ({"text": None}, TypeError, "None"), ({"text": "a", "text_pair": 3}, TypeError, "text_pair of text 2 is int 3")):
            with self.subTest(bad=bad):
                with self.assertRaisesRegex(kind, words) as raised:
                    self.clf(["fine", "fine", bad])
                self.assertIn("text 2 ", str(raised.exception))
                read = self.clf(text for text in ["fine"] * 40 + [bad])
                self.assertEqual(len([next(read) for _ in range(40)]), 40)
                with self.assertRaisesRegex(kind, "text 40 "):
                    next(read)
        for bad in (None, 3, math.nan, b"abc"):
            with self.subTest(bad=bad), self.assertRaises(TypeError):
                self.clf(bad)
        self.assertEqual(self.clf([]), [])

    def test_a_generator_that_raises(self):
        def texts():
            yield from TEXTS
            raise LookupError("the file ended")
        answers = self.clf(texts())
        self.assertEqual(len([next(answers) for _ in TEXTS]), len(TEXTS))
        with self.assertRaisesRegex(LookupError, "the file ended") as raised:
            next(answers)
        if sys.version_info >= (3, 11):
            self.assertIn("for text 5", raised.exception.__notes__[0])

    def test_wrong_arguments(self):
        for options, kind, words in (({"device": "tpu"}, ValueError, "'tpu'"), ({"precision": "fp7"}, ValueError, "fp32"), ({"max_length": 513}, ValueError, "max_length=512"),
                                     ({"threads": 0}, ValueError, "threads"), ({"threads": 1.5}, TypeError, "1.5"), ({"task": "ner"}, ValueError, "ner"),
                                     ({"top_k": 0}, ValueError, "top_k"), ({"function_to_apply": "relu"}, ValueError, "relu"),
                                     ({"model": "nobody/nothing"}, breakeven.Error, "cache"), ({"tokenizer": "other"}, ValueError, "other")):
            with self.subTest(**options), self.assertRaisesRegex(kind, words) as raised:
                pipeline(**{"model": "builtin-narrow", **options})
            self.assertNotIn("--", str(raised.exception))
        with self.assertRaisesRegex(ValueError, "max_length="):
            self.clf("a", truncation=False)
        with self.assertRaises(TypeError):
            self.clf("a", no_such_thing=1)

    @unittest.skipIf(os.path.exists("/dev/nvidia0"), "SKIPPED: there is a GPU")
    def test_a_gpu_that_is_not_there_is_an_error_with_the_reason(self):
        for device in ("cuda", "cuda:0", 0):
            with self.subTest(device=device), self.assertRaisesRegex(breakeven.Error, "no GPU was seen|CUDA") as raised:
                narrow(device=device)
            self.assertTrue(raised.exception.code.startswith("device/"))
            self.assertEqual(pickle.loads(pickle.dumps(raised.exception)).code, raised.exception.code)
        self.assertEqual(narrow(device=-1).info["device"], "cpu")

    def test_closed(self):
        with narrow() as clf:
            self.assertEqual(len(clf("fine")), 1)
        self.assertTrue(clf.closed)
        clf.close()
        for use in (lambda: clf("fine"), lambda: clf(["fine"]), lambda: clf(iter(["fine"])), lambda: clf.arrow(None), lambda: clf.measure(["fine"]),
                    lambda: clf.stats, lambda: clf.info):
            with self.assertRaisesRegex(ValueError, "closed"):
                use()
        self.assertIn("closed", repr(clf))

    def test_what_runs_is_told(self):
        info = narrow(precision="int8", threads=2).info
        self.assertEqual((info["device"], info["precision"], info["threads"], info["labels"]), ("cpu", "int8", 2, ["NEGATIVE", "POSITIVE"]))
        self.assertIn(os.path.dirname(breakeven.__file__), info["folder"])

    def test_from_transformers_refuses_what_it_cannot_take(self):
        class PeftModel:
            peft_config = {}
        with self.assertRaisesRegex(ValueError, "merge_and_unload"):
            breakeven.from_transformers(PeftModel(), None)
        with self.assertRaisesRegex(TypeError, "save_pretrained"):
            breakeven.from_transformers(3, None)

    def test_from_transformers_takes_what_saves_itself(self):
        class Saved:
            def __init__(self, *names):
                self.names = names

            def save_pretrained(self, folder):
                for name in self.names:
                    shutil.copy(PAIRS / "bert_nli" / name, folder)
        clf = pipeline(model=Saved("config.json", "model.safetensors"), tokenizer=Saved("vocab.txt", "tokenizer_config.json"), top_k=None)
        folder = clf.info["folder"]
        self.assertEqual(clf("A good film.", top_k=1), pipeline(model=PAIRS / "bert_nli")("A good film.", top_k=1))
        clf.close()
        self.assertFalse(os.path.exists(folder))


class Threads(unittest.TestCase):
    def test_eight_threads_on_one_pipeline(self):
        clf, wrong = narrow(), []
        expected = [clf([text] * 3) for text in TEXTS]

        def work(index):
            for _ in range(20):
                if clf([TEXTS[index % 5]] * 3) != expected[index % 5]:
                    wrong.append(index)
        threads = [threading.Thread(target=work, args=(index,)) for index in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(wrong, [])
        self.assertEqual(clf.stats["texts"], 15 + 8 * 20 * 3)

    def test_closing_beside_calls(self):
        clf, ends = narrow(), []

        def work():
            try:
                while True:
                    clf(TEXTS)
            except ValueError as error:
                ends.append(str(error))
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        clf(TEXTS)
        clf.close()
        for thread in threads:
            thread.join()
        self.assertEqual(ends, ["this pipeline is closed"] * 4)

    def test_a_forked_child_has_its_own_threads(self):
        clf = narrow(threads=2)
        expected = clf(TEXTS * 10)
        for _ in range(2):
            child = os.fork()
            if child == 0:
                os._exit(0 if clf(TEXTS * 10) == expected else 1)
            self.assertEqual(os.waitpid(child, 0)[1], 0)
        self.assertEqual(clf(TEXTS * 10), expected)
        child = os.fork()
        if child == 0:  # one that never used it, and one that closes it
            clf.close()
            os._exit(0)
        self.assertEqual(os.waitpid(child, 0)[1], 0)

    def test_ctrl_c_ends_a_call_over_a_whole_list(self):
        """The call takes hours; that the timer's thread runs at all shows that others may run meanwhile."""
        clf = pipeline(model="builtin", threads=2)
        texts = ["a very long text " * 200] * 20000
        timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
        with self.assertRaises(KeyboardInterrupt):
            timer.start()
            clf(texts)
        self.assertEqual(clf.stats["texts"], 0)
        self.assertEqual(len(clf(TEXTS)), 5)


class Package(unittest.TestCase):
    def program(self, *arguments, **options):
        return subprocess.run([pathlib.Path(sys.executable).parent / "breakeven", *arguments], capture_output=True, text=True, check=False, cwd="/", **options)

    def test_the_program_comes_along_and_finds_its_data(self):
        told = self.program("--version")
        self.assertEqual((told.returncode, told.stdout.strip()), (0, f"breakeven {breakeven.__version__}"))
        label = self.program("classify", "--model", "builtin-narrow", "--text", "A good film.")
        self.assertEqual((label.returncode, json.loads(label.stdout)["label"]), (0, narrow()("A good film.")[0]["label"]))
        plan = self.program("run", "--dry-run", "--time", "30s")
        self.assertEqual(plan.returncode, 0, plan.stderr)
        self.assertEqual(self.program("classify", "/no/such/file").returncode, 2)

    def test_nothing_is_loaded_before_it_is_needed(self):
        code = "import sys, breakeven; print([name for name in sys.modules if name.startswith(('numpy', 'pyarrow', 'breakeven._core', 'nanobind'))])"
        told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd="/")
        self.assertEqual(told.stdout.strip(), "[]")

    def test_the_session_of_the_docs_gives_what_it_shows(self):
        failed, tried = doctest.testfile(str(TREE / "docs" / "python.md"), module_relative=False, optionflags=doctest.ELLIPSIS)
        self.assertEqual(failed, 0)
        self.assertGreater(tried, 8)

    def test_readmes_lines_run_as_printed(self):
        section = (TREE / "README.md").read_text().split("## From Python\n")[1].split("\n## ")[0]
        code = section.split("```python\n")[1].split("```")[0]
        with tempfile.TemporaryDirectory() as folder:
            told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=folder)
        self.assertEqual(told.returncode, 0, told.stderr)
        self.assertGreaterEqual(code.count("\n"), 5)


def setUpModule():
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job is started with Ctrl-C ignored, and Python leaves it so


if __name__ == "__main__":
    unittest.main(verbosity=2)
