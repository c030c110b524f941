"""tools/gpu_check and tools/cpu_check against stand-ins for their programs: which stages run, what a second run does, what is cut off,
fails, is skipped and is not reached. What tools/pack_checks packs is shown by running it (docs/cuda.md)."""
import os
import pathlib
import re
import shutil
import stat
import subprocess
import tarfile
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Logs its call; `run` leaves a record, as the real one does, names its rows in a dry run, and stands still until it is interrupted
# where it is told to: then TIMEOUT's time is over, whatever a clock says.
BREAKEVEN = r"""#!/bin/bash
echo "breakeven $*" >> "$STATE/calls"
case " $* " in
  *" --dry-run "*)
    if [[ "$*" == *--runtime* || "$*" == *--texts* || "$*" == *--resume* || "$*" == *--batch* ]]; then
      printf 'runtime  device  precision  batch  threads  max length  padding  mode    a pass, roughly\n'
      printf 'native   cuda:0  fp16           1        2         512  none     serial           7.6 s\nEstimated time: 1 min\n'
    elif [ -e "$STATE/no-gpu" ]; then
      echo "breakeven: --device cuda: no GPU was seen: no NVIDIA driver here" >&2
      exit 2
    fi
    exit ;;
esac
[ ! -e "$STATE/fails-$1" ] || { echo "this went wrong"; exit 4; }
for argument in "$@"; do
  case $last in
    --journal|--resume)
      echo "{\"settings\":{\"gemm_algorithms\":\"$(cat "$STATE/algorithms")\"}}" >> "$argument"
      [[ "$*" != *--against* ]] || { cp "$argument" "${argument%.jsonl}.against.jsonl"; exit 3; } ;;
  esac
  last=$argument
done
[ ! -e "$STATE/ends-$1" ] || exit "$(cat "$STATE/ends-$1")"
if [ -e "$STATE/stands-still" ] && [[ "$*" == *"$(cat "$STATE/stands-still")"* ]]; then
  trap 'exit 3' INT
  touch "$STATE/standing"
  while :; do sleep 0.1; done
fi
exit 0
"""
GTEST = """#!/bin/bash
echo "$(basename "$0") $*" >> "$STATE/calls"
[ ! -e "$STATE/skips" ] || echo "[  SKIPPED ] Suite.Name (0 ms)"
echo "[  PASSED  ]"
"""
PASS = """#!/bin/bash
echo "$(basename "$0") $*" >> "$STATE/calls"
echo "ready some_set"
seconds=0.20
[[ "$0" != *_before ]] || seconds=0.30
while read -r _; do echo $seconds; done
echo 1.25 > "$8"
"""
TIMEOUT = """while [ "${1#-}" != "$1" ]; do shift; done
shift
[ -e "$STATE/stands-still" ] || exec "$@"
set -m
"$@" &
while kill -0 $! 2>/dev/null; do
  [ ! -e "$STATE/standing" ] || { rm "$STATE/standing"; kill -INT -- -$!; wait $!; exit 124; }
  sleep 0.05
done
wait $!"""
OTHERS = {
    "nvidia-smi": '[ "$1" != -L ] || for i in $(seq "$(cat "$STATE/gpus")"); do echo "GPU $i: a GPU"; done; '
                  '[ "$1" != --query-gpu=compute_cap ] || cat "$STATE/capability"',
    "ldconfig": "echo libcublasLt.so.13",
    "python3": '[ -e "$STATE/torch" ]',
    "python": "exit 1",
    "sync": "exit 0",
    "timeout": TIMEOUT,
    "nproc": "echo 4",
    "lscpu": "exit 0",
}
NCU = """while [ "${1#/}" = "$1" ]; do [ "$1" != --log-file ] || log=$2; shift; done
"$@"; echo '"Kernel Name","us"' > "$log"; echo '"FlashAttention","7.5"' >> "$log\""""
SANITIZER = 'while [ "${1#/}" = "$1" ]; do shift; done; exec "$@"'
SWITCHES = re.findall(r'Named\{"(\w+)"', (ROOT / "src" / "ops" / "cuda" / "switches.cc").read_text())
GPU_STAGES = ["device", "parity", "main", *(f"switch_{name}" for name in SWITCHES), "scale", "kernels_1", "kernels_128", "batches",
              "energy", "choices", "switch_tuning", "memcheck", "racecheck", "synccheck", "initcheck", "pytorch", "pytorch_fp32", "compile"]
CPU_STAGES = ["tiles", "turns_int8_stream_32", "turns_int8_serial_1", "turns_bf16_stream_32", "turns_bf16_serial_1",
              "turns_fp32_stream_32", "turns_fp32_serial_1", "threads_4", "threads_2", "threads_1", "kernels"]


class Checks(unittest.TestCase):
    name = ""

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.state, self.pack, self.fakes = (self.folder / name for name in ("state", "pack", "fakes"))
        self.out = self.folder / "out"
        inside = self.folder / "inside"
        for folder in (self.state, self.pack, self.fakes, inside / "bin"):
            folder.mkdir(parents=True)
        for script in ("gpu_check", "cpu_check", "check_stages.sh"):
            shutil.copy(ROOT / "tools" / script, self.pack)
        for program, text in (("breakeven", BREAKEVEN), ("ops_cuda_device_test", GTEST), ("ops_cpu_test", GTEST),
                              ("engine_pass_after", PASS), ("engine_pass_before", PASS)):
            self.program(inside / "bin" / program, text)
        (inside / "reviews.jsonl").write_text(f'{{"text": "{"good " * 200}"}}\n' * 72)
        self.archive("pack", inside)
        for program, body in OTHERS.items():
            self.fake(program, body)
        for name, value in (("algorithms", "cached 5"), ("gpus", "1"), ("capability", "9.0\n")):
            (self.state / name).write_text(value)

    def program(self, path, text):
        path.write_text(text)
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def fake(self, name, body):
        self.program(self.fakes / name, f"#!/bin/bash\n{body}\n")

    def archive(self, name, folder):
        with tarfile.open(self.pack / f"{name}.tar.xz", "w:xz") as tar:
            tar.add(folder, arcname=".")

    def run_it(self, *arguments, budget=1_000_000):
        (self.state / "calls").write_text("")
        if "--dry-run" not in arguments:  # on a busy machine these stand-ins may be slow
            script = self.pack / self.name
            script.write_text(re.sub("(?m)^budget_s=.*", f"budget_s={budget}", script.read_text()))
        environment = {"PATH": f"{self.fakes}:/usr/bin:/bin", "STATE": str(self.state), "HOME": str(self.folder)}
        return subprocess.run([self.pack / self.name, *arguments, str(self.out)], env=environment, capture_output=True, text=True,
                              check=False)

    def calls(self):
        return (self.state / "calls").read_text().splitlines()

    def called(self, *words):
        return [call for call in self.calls() if all(word in call for word in words) and "--dry-run" not in call]

    def summary(self):
        lines = (self.out / f"{self.name}.txt").read_text().splitlines()
        self.assertEqual(len(lines), len({line.split(":")[0] for line in lines}), lines)
        return {line.split(":")[0]: line.split(": ", 1)[1] for line in lines}

    def assert_ended(self, result, code):
        self.assertEqual(result.returncode, code, result.stdout + result.stderr)


class GpuCheck(Checks):
    name = "gpu_check"

    def everything(self):
        (self.state / "torch").touch()
        self.fake("ncu", NCU)
        self.fake("compute-sanitizer", SANITIZER)

    def test_all_stages_in_order_of_worth(self):
        self.everything()
        self.assert_ended(self.run_it(), 0)
        self.assertEqual(list(self.summary()), GPU_STAGES)
        for name, line in self.summary().items():
            self.assertTrue(line.startswith("ok, "), (name, line))
        self.assertTrue(self.called("--device cuda ", "--precision fp32,fp32x3,fp16,bf16,int8,fp8 ", "--count 1000"), self.calls())
        self.assertTrue(self.called("--runtime pytorch:compile", f"--python pytorch={self.fakes / 'python3'}"))
        self.assertEqual(len(self.called("ops_cuda_device_test --gtest_filter=*KnownAnswer*")), 4)
        kernels = (self.out / "kernels.csv").read_text().splitlines()
        self.assertEqual([line for line in kernels if line.startswith("#")], ["# batch 1", "# batch 128"])
        self.assertIn('"FlashAttention","7.5"', kernels)
        self.assertEqual(len((self.out / "switches.jsonl").read_text().splitlines()), 2 * (len(SWITCHES) + 1), "both sides")
        found = [path for path in self.out.iterdir()]
        self.assertTrue(all(path.is_file() for path in found))
        self.assertLessEqual(len(found), 6, "with cpu_check's two, no more than eight come back")

    def test_the_stages_fit_into_seven_minutes(self):
        self.everything()
        result = self.run_it("--dry-run")
        self.assert_ended(result, 0)
        planned, budget = re.search(r"planned: (\d+) s of (\d+) s", result.stdout).groups()
        self.assertLessEqual(int(planned), int(budget))
        self.assertLessEqual(int(budget), 7 * 60)
        self.assertEqual(re.findall(r"(?m)^== (\w+), \d+ s: ", result.stdout), GPU_STAGES)
        self.assertFalse(self.out.exists())
        self.assertFalse(self.called("breakeven run") + self.called("_test"), "nothing is measured")

    def test_without_a_gpu_every_stage_is_skipped_and_the_code_says_so(self):
        self.everything()
        (self.state / "no-gpu").touch()
        result = self.run_it()
        self.assert_ended(result, 3)
        self.assertEqual(list(self.summary()), GPU_STAGES)
        for name, line in self.summary().items():
            self.assertIn("SKIPPED, breakeven: --device cuda: no GPU was seen", line, name)
        self.assertEqual(self.called("run"), [])

    def test_what_is_not_here_is_skipped_by_name(self):
        self.assert_ended(self.run_it(), 3)
        skipped = [name for name, line in self.summary().items() if line.startswith("SKIPPED")]
        self.assertEqual(skipped, ["kernels_1", "kernels_128", "memcheck", "racecheck", "synccheck", "initcheck", "pytorch", "pytorch_fp32",
                                   "compile"])
        self.assertIn("ncu is not on PATH", self.summary()["kernels_1"])

    def test_fp8_and_several_gpus_where_they_are(self):
        for capability, has in (("8.9", True), ("9.0", True), ("12.0", True), ("8.6", False)):
            (self.state / "capability").write_text(f"{capability}\n{capability}\n")
            shutil.rmtree(self.out, ignore_errors=True)
            self.run_it()
            self.assertEqual(bool(self.called("--precision fp32,fp32x3,fp16,bf16,int8,fp8 ")), has, capability)
            self.assertEqual("switch_product_scales" in self.summary(), has, capability)
        self.assertFalse(self.called("cuda:all"))
        (self.state / "gpus").write_text("2")
        self.run_it()
        self.assertTrue(self.called("--device cuda:0,cuda:all"))

    def test_the_trained_model_and_the_texts_of_the_pack(self):
        for name in ("model", "texts"):
            folder = self.folder / "more" / name
            folder.mkdir(parents=True)
            (folder / "some.jsonl").write_text("{}\n")
            self.archive(name, folder.parent)
            shutil.rmtree(folder)
        self.run_it()
        unpacked = self.pack / "unpacked"
        parity = self.called("--count 1000")
        self.assertEqual(len(parity), 1)
        self.assertIn(f"--model {unpacked}/model --texts {unpacked}/texts/some.jsonl", parity[0])
        self.assertFalse(self.called("--count 64", "--model"), "the main table is of the built-in model")

    def test_a_second_run_does_nothing_twice(self):
        self.everything()
        self.run_it()
        result = self.run_it()
        self.assert_ended(result, 0)
        self.assertIn("== main: done before", result.stdout)
        self.assertEqual(self.called("breakeven run") + self.called("device_test"), [])

    def test_a_stage_that_is_cut_off_names_its_rows_and_goes_on(self):
        self.everything()
        (self.state / "stands-still").write_text("--count 1000")
        self.assert_ended(self.run_it(), 3)
        self.assertRegex(self.summary()["parity"], r"^CUT OFF after \d+ s; not reached: native cuda:0 fp16 batch 1 threads 2 serial$")
        self.assertTrue(self.summary()["main"].startswith("ok"))
        self.assertEqual(list(self.summary()), GPU_STAGES)
        (self.state / "stands-still").unlink()
        self.assert_ended(self.run_it(), 0)
        self.assertEqual(set(line.split(",")[0] for line in self.summary().values()), {"ok"})
        sweep = self.called("--count 1000")
        self.assertEqual(len(sweep), 1)
        self.assertIn(f"--resume {self.out}/records.jsonl", sweep[0])
        self.assertEqual(len(self.called("breakeven run")), 1, "the others were done")

    def test_what_is_not_reached_is_named(self):
        self.everything()
        self.assert_ended(self.run_it(budget=0), 3)
        self.assertEqual(list(self.summary()), GPU_STAGES)
        self.assertEqual(self.summary()["device"], "NOT REACHED, the time was over")
        self.assertEqual(self.summary()["main"], "NOT REACHED, the time was over: native cuda:0 fp16 batch 1 threads 2 serial")
        self.assert_ended(self.run_it(), 0)

    def test_one_failure_does_not_keep_the_others(self):
        self.everything()
        (self.state / "fails-scale").touch()
        result = self.run_it()
        self.assert_ended(result, 1)
        self.assertTrue(self.summary()["scale"].startswith("FAILED (4)"))
        self.assertIn("this went wrong", result.stdout)
        self.assertTrue(self.summary()["batches"].startswith("ok"))

    def test_a_finding_is_no_failure(self):
        self.everything()
        (self.state / "ends-scale").write_text("1")
        (self.state / "ends-run").write_text("3")
        self.assert_ended(self.run_it(), 0)
        self.assertRegex(self.summary()["scale"], r"^ok, \d+ s, not linear, or parity is broken: see ")
        self.assertRegex(self.summary()["main"], r"^ok, \d+ s, but it cannot tell")
        self.assertRegex(self.summary()["choices"], r'^ok, \d+ s, "gemm_algorithms":"cached 5"$')
        (self.state / "ends-run").write_text("1")
        shutil.rmtree(self.out)
        self.run_it()
        self.assertTrue(self.summary()["main"].startswith("FAILED (1)"), "a row's outputs break parity")

    def test_skipped_device_tests_are_no_proof(self):
        (self.state / "skips").touch()
        self.assert_ended(self.run_it(), 1)
        self.assertTrue(self.summary()["device"].startswith("FAILED"))

    def test_choices_that_were_measured_again_are_a_failure(self):
        (self.state / "algorithms").write_text("tuned 4, cached 1")
        self.assert_ended(self.run_it(), 1)
        self.assertTrue(self.summary()["choices"].startswith("FAILED"))

    def test_wrong_use_is_refused(self):
        for arguments in (["--bad"], ["a", "b"]):
            result = self.run_it(*arguments)
            self.assert_ended(result, 2)
            self.assertIn("usage: gpu_check [--dry-run] [OUT]", result.stderr)
        os.remove(self.pack / "pack.tar.xz")
        result = self.run_it()
        self.assert_ended(result, 2)
        self.assertIn("nothing is packed here", result.stderr)


class CpuCheck(Checks):
    name = "cpu_check"

    def test_all_stages(self):
        result = self.run_it()
        self.assert_ended(result, 0)
        self.assertEqual(list(self.summary()), CPU_STAGES)
        self.assertRegex(self.summary()["turns_int8_stream_32"],
                         r"^ok, \d+ s, before 0.3000 s, after 0.2000 s, 1.50 times as fast; logits are the same bits$")
        self.assertEqual(len(self.called("engine_pass_before", " int8 stream 32 512 4 ")), 1)
        self.assertTrue(self.called("--threads 4", "--count 32", "--precision bf16,int8 "))

    def test_the_stages_fit_into_three_minutes(self):
        self.fake("nproc", "echo 16")
        result = self.run_it("--dry-run")
        planned, budget = re.search(r"planned: (\d+) s of (\d+) s", result.stdout).groups()
        self.assertLessEqual(int(planned), int(budget))
        self.assertLessEqual(int(budget), 3 * 60)

    def test_without_a_commit_before_its_turns_are_skipped(self):
        self.run_it("--dry-run")
        os.remove(self.pack / "unpacked" / "bin" / "engine_pass_before")
        self.assert_ended(self.run_it(), 3)
        self.assertIn("tools/pack_checks --before", self.summary()["turns_bf16_serial_1"])
        self.assertTrue(self.summary()["threads_1"].startswith("ok"))


if __name__ == "__main__":
    unittest.main(verbosity=2)
