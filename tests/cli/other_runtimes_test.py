"""`breakeven run --runtime native,...` as a person runs it, on the narrow built-in model. The other runtimes are stand-ins, which
take the places of the real scripts: one computes nothing, the others fail in all ways that take no minutes."""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

BINARY, ROOT = sys.argv.pop(1), pathlib.Path(sys.argv.pop(1))
SMALL = ["--model", "builtin-narrow", "--count", "8", "--batch", "1,4", "--precision", "fp32", "--max-length", "32", "--mode", "serial",
         "--padding", "longest", "--time", "2s"]


def was_measured(record):
    """Its times are there, and nothing but a busy machine can have made it INVALID."""
    broken = {reason["code"] for reason in record["reasons"] if reason["severity"] == "invalid"}
    return bool(record["samples_s"]) and broken <= {"foreign-cpu", "steal"}


class OtherRuntimes(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.scripts = self.folder / "scripts"
        self.scripts.mkdir()
        for name in ("bpe_files.py", "common.py", "machine.py", "null.py"):
            shutil.copy(ROOT / "runtimes" / name, self.scripts)
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("BREAKEVEN_")} | {
            "CUDA_VISIBLE_DEVICES": "", "XDG_CACHE_HOME": str(self.folder / "cache"), "HF_HOME": str(self.folder / "hf"),
            "BREAKEVEN_RUNTIMES": str(self.scripts)}

    def stand_in(self, name, mode):
        """Runtime `name` answers as tests/runtimes/fake_worker.py does in `mode`."""
        source = (ROOT / "tests" / "runtimes" / "fake_worker.py").read_text()
        source = source.replace("MODE = pathlib.Path(sys.argv[0]).stem", f"MODE = {mode!r}")
        source = source.replace('WHAT == "name" else MODE', f'WHAT == "name" else {name!r}')
        self.assertIn(f"MODE = {mode!r}", source)
        (self.scripts / f"{name}.py").write_text(source)
        self.environment[f"BREAKEVEN_PYTHON_{name.upper()}"] = sys.executable

    def sweep(self, *arguments):
        journal = self.folder / "journal.jsonl"
        journal.unlink(missing_ok=True)
        done = subprocess.run([BINARY, "run", *SMALL, "-o", str(journal), "--format", "jsonl", *arguments], capture_output=True, text=True,
                              check=False, env=self.environment, cwd=self.folder)
        lines = [json.loads(line) for line in journal.read_text().splitlines()] if journal.exists() else []
        return done, [line for line in lines if "cell" in line]

    def test_a_runtime_is_a_row_and_judged(self):
        self.environment["BREAKEVEN_PYTHON_NULL"] = sys.executable
        done, records = self.sweep("--runtime", "native,null")
        by_runtime = {}
        for record in records:
            by_runtime.setdefault(record["cell"]["runtime"], []).append(record)
        self.assertEqual(sorted(by_runtime), ["native", "null"], done.stderr)
        self.assertEqual([len(rows) for rows in by_runtime.values()], [2, 2])
        # It says the same label for each text: measured without a fault, but not the model.
        self.assertTrue(all(row["parity"]["outcome"] != "passed" and row["parity"]["flips"] > 0 for row in by_runtime["null"]), by_runtime["null"])
        self.assertTrue(all(map(was_measured, by_runtime["native"])), by_runtime["native"])

    def test_a_failing_runtime_costs_its_rows_only(self):
        self.stand_in("pytorch", "run-die")
        self.stand_in("onnxruntime", "run-rubbish")
        self.stand_in("openvino", "load-unsupported")
        done, records = self.sweep("--runtime", "native,pytorch,onnxruntime,openvino")
        self.assertEqual(sum(record["cell"]["runtime"] == "native" and was_measured(record) for record in records), 2, done.stderr)
        for name, words in (("pytorch", "no such"), ("onnxruntime", "Downloading"), ("openvino", "take fp32")):
            rows = [record for record in records if record["cell"]["runtime"] == name]
            self.assertEqual(len(rows), 2, name)
            self.assertFalse(any(map(was_measured, rows)), name)
            for row in rows:
                self.assertIn(words, json.dumps(row))

    def test_a_missing_one_is_a_line(self):
        del self.environment["BREAKEVEN_RUNTIMES"]  # the real script, and no environment for it
        done, records = self.sweep("--runtime", "native,ctranslate2")
        self.assertEqual({record["cell"]["runtime"] for record in records}, {"native"}, done.stderr)
        self.assertIn("breakeven runtimes setup ctranslate2", done.stdout + done.stderr)

    def test_names_are_checked(self):
        done, records = self.sweep("--runtime", "native,tensorflow")
        self.assertEqual((done.returncode, records), (2, []))
        self.assertIn("tensorflow", done.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
