"""Measuring from Python, and whole files of Parquet."""
import ast
import contextlib
import inspect
import io
import json
import os
import pathlib
import tempfile
import unittest
import unittest.mock

import polars
import pyarrow
import pyarrow.parquet

import breakeven
from breakeven import Measurement, classify_parquet, pipeline
from breakeven._progress import Bar

TEXTS = ["A good film.", None, "It was long, dull and slow!", "Good."]


class Measure(unittest.TestCase):
    def test_a_short_run(self):
        clf = pipeline(model="builtin-narrow")
        measured = clf.measure([text for text in TEXTS if text] * 20, seconds=4, batch="8", progress=False)
        cells = {(record["cell"]["device"], record["cell"]["precision"], record["cell"]["batch"]) for record in measured.records}
        self.assertEqual(cells, {("cpu", "fp32", 8)})
        self.assertEqual({record["model_name"] for record in measured.records}, {"builtin (6 x 128)"})
        self.assertIn("How sure", measured.verdict())  # also of a busy machine, where no row counts
        self.assertTrue(measured.html().startswith("<!DOCTYPE html>"))
        self.assertIn("<iframe srcdoc=", measured._repr_html_())
        frame = measured.to_polars()
        self.assertEqual(frame["cell_batch"].unique().to_list(), [8])
        self.assertEqual(measured.to_pandas()["cell_batch"].unique().tolist(), [8])
        self.assertEqual(list(measured.to_pandas().columns), frame.columns)
        with tempfile.TemporaryDirectory() as folder:
            journal = pathlib.Path(folder) / "journal.jsonl"
            measured.save(journal)
            self.assertEqual(Measurement.load(journal).records, measured.records)
            measured.html(journal.with_suffix(".html"))
            self.assertEqual(journal.with_suffix(".html").read_text(), measured.html())

    def test_what_cannot_be_measured(self):
        clf = pipeline(model="builtin-narrow")
        for arguments, kind, words in (({"texts": []}, ValueError, "no texts"), ({"texts": ["a", None]}, TypeError, "text 1 is None"),
                                       ({"seconds": 0}, ValueError, "seconds"), ({"precision": "fp7", "progress": False}, breakeven.Error, "fp7")):
            with self.subTest(**arguments), self.assertRaisesRegex(kind, words):
                clf.measure(**arguments)


class Parquet(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.source, self.target = pathlib.Path(folder.name) / "in.parquet", pathlib.Path(folder.name) / "out.parquet"
        self.rows = TEXTS * 25
        pyarrow.parquet.write_table(pyarrow.table({"id": range(100), "body": self.rows, "note": ["x"] * 100}), self.source, row_group_size=30)

    def test_rows_and_labels(self):
        clf = pipeline(model="builtin-narrow")
        self.assertEqual(classify_parquet(self.source, self.target, "body", keep=["id"], model=clf), 100)
        out = pyarrow.parquet.read_table(self.target)
        self.assertEqual(out.schema.names, ["id", "label", "score"])
        self.assertEqual(out["id"].to_pylist(), list(range(100)))
        labels = {text: clf(text)[0]["label"] for text in TEXTS if text}
        self.assertEqual([str(label) if label else None for label in out["label"].to_pylist()], [labels.get(text) for text in self.rows])
        self.assertEqual(polars.read_parquet(self.target)["score"].null_count(), 25)

    def test_more_labels_than_the_first(self):
        clf = pipeline(model="builtin-narrow")
        self.assertEqual(classify_parquet(self.source, self.target, "body", keep=["id"], top_k=None, model=clf), 100)
        out = pyarrow.parquet.read_table(self.target)
        self.assertEqual(out.schema.names, ["id", "label", "score", "scores"])
        labels = {text: [answer["label"] for answer in clf(text, top_k=None)] for text in TEXTS if text}
        self.assertEqual([row and [each["label"] for each in row] for row in out["scores"].to_pylist()], [labels.get(text) for text in self.rows])
        with self.assertRaisesRegex(ValueError, "'scores' already"):
            classify_parquet(self.target, self.source, "label", keep=["scores"], top_k=2, model=clf)

    def test_a_file_without_rows(self):
        pyarrow.parquet.write_table(pyarrow.table({"body": pyarrow.array([], pyarrow.string())}), self.source)
        self.assertEqual(classify_parquet(self.source, self.target, "body", model="builtin-narrow"), 0)
        self.assertEqual(pyarrow.parquet.read_table(self.target).schema.names, ["body", "label", "score"])

    def test_the_bar_has_tqdms_habits(self):
        class Terminal(io.StringIO):
            def isatty(self):
                return True

        def told(stderr=None, **options):
            with contextlib.redirect_stderr(stderr or io.StringIO()) as stderr:
                classify_parquet(self.source, self.target, "body", model="builtin-narrow", **options)
            return stderr.getvalue()
        self.assertEqual(told(), "", "stderr is no terminal")
        self.assertIn("100/100", told(Terminal()))
        with unittest.mock.patch.dict(os.environ, TQDM_DISABLE="1"):
            self.assertEqual(told(Terminal()), "")
        lines = told(progress=True).split("\r")
        self.assertRegex(lines[-1], r"^in\.parquet: 100%\|#{30}\| 100/100 \[\d\d:\d\d<00:00, [\d,]+ texts/s\]\n$")
        times = iter([0.0, 1.0, 1.05, 12.0])
        with contextlib.redirect_stderr(io.StringIO()) as stderr:
            bar = Bar("texts", 40, True, clock=lambda: next(times))
            for _ in range(3):
                bar.add(10)
        self.assertEqual(stderr.getvalue().count("\r"), 2, "ten times a second at most")
        self.assertIn("30/40 [00:12<00:04, 2 texts/s]", stderr.getvalue())

    def test_nothing_half_written(self):
        for arguments, kind, words in (({"text": "nope"}, KeyError, "no column 'nope'"), ({"text": "id"}, TypeError, "format 'l'"),
                                       ({"text": "body", "keep": ["gone"]}, KeyError, "gone")):
            with self.subTest(**arguments), self.assertRaisesRegex(kind, words):
                classify_parquet(self.source, self.target, **arguments, model="builtin-narrow")
        self.assertEqual(sorted(path.name for path in self.source.parent.iterdir()), ["in.parquet"])


class Stubs(unittest.TestCase):
    def test_the_stubs_have_the_names_and_parameters_of_the_package(self):
        stub = ast.parse((pathlib.Path(breakeven.__file__).parent / "__init__.pyi").read_text())
        told = {node.name: node for node in stub.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
        self.assertEqual(set(breakeven.__all__) - set(told), set())
        for name, node in told.items():  # and nothing that is not there
            self.assertTrue(hasattr(breakeven, name) or any(getattr(each, "id", "") == "type_check_only" for each in node.decorator_list), name)

        def parameters(function):
            return {argument.arg for argument in function.args.posonlyargs + function.args.args + function.args.kwonlyargs}
        for name in ("pipeline", "classify_parquet"):
            real = {key for key, each in inspect.signature(getattr(breakeven, name)).parameters.items() if each.kind is not each.VAR_KEYWORD}
            self.assertEqual(parameters(told[name]), real, name)
        for kind in ("Pipeline", "Measurement"):
            for method in told[kind].body:
                if isinstance(method, ast.FunctionDef) and not method.name.startswith("__") and not method.decorator_list:
                    real = set(inspect.signature(getattr(getattr(breakeven, kind), method.name)).parameters)
                    self.assertEqual(parameters(method), real, f"{kind}.{method.name}")

    def test_records_are_json(self):
        self.assertEqual(Measurement([json.loads('{"cell": {"device": "cpu"}, "rounds": [1]}')]).frame(), [{"cell_device": "cpu"}])


if __name__ == "__main__":
    unittest.main(verbosity=2)
