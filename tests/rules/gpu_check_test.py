"""tools/gpu_check against stand-ins for its programs: which stages run, what a second run does, what fails and what is skipped."""
import os
import pathlib
import shutil
import stat
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Logs its call; `run` leaves a journal with a record, as the real one does.
BREAKEVEN = """#!/bin/bash
echo "breakeven $*" >> "$STATE/calls"
[ ! -e "$STATE/fails-$1" ] || { echo "this went wrong"; exit 3; }
for argument in "$@"; do
  case $last in
    --journal|--resume)
      echo "{\\"settings\\":{\\"gemm_algorithms\\":\\"$(cat "$STATE/algorithms")\\"}}" >> "$argument"
      [ ! -e "$STATE/cut-off" ] || exit 124 ;;
    -o) echo "[]" > "$argument" ;;
  esac
  last=$argument
done
"""
DEVICE_TEST = """#!/bin/bash
echo "device_test $*" >> "$STATE/calls"
[ ! -e "$STATE/no-gpu" ] || echo "[  SKIPPED ] SKIPPED: no GPU"
echo "[  PASSED  ]"
"""
OTHERS = {
    "nvidia-smi": '[ "$1" != -L ] || for i in $(seq "$(cat "$STATE/gpus")"); do echo "GPU $i: a GPU"; done; '
                  '[ "$1" != --query-gpu=compute_cap ] || cat "$STATE/capability"',
    "ldconfig": "echo libcublasLt.so.13",
    "python3": 'echo "python3 $*" >> "$STATE/calls"; [ -e "$STATE/torch" ]',
    "python": "exit 1",
    "sync": "exit 0",
}


class GpuCheck(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.state = self.folder / "state"
        self.packed = self.folder / "packed"
        for folder in (self.state, self.packed / "bin", self.folder / "fakes"):
            folder.mkdir(parents=True)
        shutil.copy(ROOT / "tools" / "gpu_check", self.packed)
        self.program(self.packed / "bin" / "breakeven", BREAKEVEN)
        self.program(self.packed / "bin" / "ops_cuda_device_test", DEVICE_TEST)
        for name, body in OTHERS.items():
            self.program(self.folder / "fakes" / name, f"#!/bin/bash\n{body}\n")
        (self.state / "algorithms").write_text("cached 5")
        (self.state / "gpus").write_text("1")
        (self.state / "capability").write_text("8.6\n")
        self.out = self.folder / "out"

    def program(self, path, text):
        path.write_text(text)
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def run_it(self, *arguments):
        (self.state / "calls").write_text("")
        environment = {"PATH": f"{self.folder / 'fakes'}:/usr/bin:/bin", "STATE": str(self.state), "HOME": str(self.folder)}
        return subprocess.run([self.packed / "gpu_check", *arguments, *([] if "--bad" in arguments else [str(self.out)])],
                              env=environment, capture_output=True, text=True, timeout=60)

    def calls(self):
        return (self.state / "calls").read_text().splitlines()

    def summary(self):
        lines = (self.out / "summary.txt").read_text().splitlines()
        self.assertEqual(len(lines), len({line.split(":")[0] for line in lines}), lines)
        return {line.split(":")[0]: line.split(": ", 1)[1] for line in lines}

    def test_all_stages_in_order_of_worth(self):
        result = self.run_it()
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertEqual(list(self.summary()),
                         ["ops", "info", "parity", "speed", "choices", "pytorch", "sanitizer", "large_batches", "fp8", "several"])
        for name, line in self.summary().items():
            expected = "SKIPPED" if name in ("pytorch", "sanitizer", "fp8", "several") else "ok"
            self.assertTrue(line.startswith(expected), (name, line))
        runs = [call for call in self.calls() if call.startswith("breakeven run")]
        self.assertTrue(any("--precision all" in run and "--device cuda " in run for run in runs))
        self.assertTrue(any("int8" in run for run in runs))
        report = self.calls()[-1]
        self.assertTrue(report.startswith("breakeven report "), report)
        for name in ("parity", "speed", "choices_2", "large_batches"):
            self.assertIn(f"{name}.jsonl", report)
        self.assertEqual((self.out / "results.json").read_text(), "[]\n")

    def test_fp8_where_the_gpu_has_it(self):
        for capability in ("8.9", "9.0", "12.0"):
            (self.state / "capability").write_text(f"{capability}\n{capability}\n")
            shutil.rmtree(self.out, ignore_errors=True)
            self.assertEqual(self.run_it().returncode, 0)
            self.assertTrue(self.summary()["fp8"].startswith("ok"), capability)
            self.assertTrue(any("fp8.jsonl" in call for call in self.calls()))

    def test_a_second_run_does_nothing_twice(self):
        self.run_it()
        result = self.run_it()
        self.assertEqual(result.returncode, 0)
        self.assertIn("== speed: done before", result.stdout)
        self.assertFalse([call for call in self.calls() if call.startswith(("breakeven run", "device_test"))], self.calls())

    def test_what_failed_is_run_again_and_a_sweep_goes_on(self):
        (self.state / "cut-off").touch()
        self.assertEqual(self.run_it().returncode, 1)
        self.assertTrue(self.summary()["speed"].startswith("FAILED (124)"))
        self.assertTrue(self.summary()["ops"].startswith("ok"))
        (self.state / "cut-off").unlink()
        self.assertEqual(self.run_it().returncode, 0)
        self.assertTrue(self.summary()["speed"].startswith("ok"))
        sweeps = [call for call in self.calls() if "speed.jsonl" in call and "report" not in call]
        self.assertEqual(len(sweeps), 1)
        self.assertIn("--resume", sweeps[0])
        self.assertNotIn("--journal", sweeps[0])

    def test_one_failure_does_not_keep_the_others(self):
        (self.state / "fails-info").touch()
        result = self.run_it()
        self.assertEqual(result.returncode, 1)
        self.assertTrue(self.summary()["info"].startswith("FAILED (3)"))
        self.assertIn("this went wrong", result.stdout)
        self.assertTrue(self.summary()["large_batches"].startswith("ok"))

    def test_skipped_device_tests_are_no_proof(self):
        (self.state / "no-gpu").touch()
        self.assertEqual(self.run_it().returncode, 1)
        self.assertTrue(self.summary()["ops"].startswith("FAILED"))

    def test_choices_that_were_measured_again_are_a_failure(self):
        (self.state / "algorithms").write_text("tuned 4, cached 1")
        self.assertEqual(self.run_it().returncode, 1)
        self.assertTrue(self.summary()["choices"].startswith("FAILED"))

    def test_pytorch_and_several_gpus_where_they_are(self):
        (self.state / "torch").touch()
        (self.state / "gpus").write_text("2")
        self.assertEqual(self.run_it().returncode, 0)
        calls = "\n".join(self.calls())
        self.assertIn(f"--runtime native,pytorch:all --python pytorch={self.folder / 'fakes' / 'python3'}", calls)
        self.assertIn("--device cuda:0,cuda:all", calls)

    def test_a_dry_run_lists_and_leaves_nothing(self):
        result = self.run_it("--dry-run")
        self.assertEqual(result.returncode, 0)
        self.assertIn("== ops: device_tests", result.stdout)
        self.assertIn("== sanitizer: would be skipped", result.stdout)
        self.assertFalse(self.out.exists())
        self.assertFalse([call for call in self.calls() if not call.startswith("python")])
        self.run_it()
        self.assertIn("== ops: done before", self.run_it("--dry-run").stdout)

    def test_usage(self):
        self.assertEqual(self.run_it("--bad").returncode, 2)
        self.assertEqual(self.run_it("a", "b").returncode, 2)
        self.assertEqual(self.run_it("pack", "a").returncode, 2)
        (self.packed / "bin" / "ops_cuda_device_test").unlink()
        result = self.run_it()
        self.assertEqual(result.returncode, 2)
        self.assertIn("nothing is packed here", result.stderr)


if __name__ == "__main__":
    unittest.main()
