"""`breakeven info` on this machine, with a stand-in for the NVIDIA driver, and with output that cannot be written."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

BINARY, FAKE_LIBCUDA = sys.argv.pop(1), sys.argv.pop(1)


def info(*arguments, unset=(), preexec_fn=None, **environment):
    full = {name: value for name, value in os.environ.items() if name not in ("CUDA_VISIBLE_DEVICES", *unset)}
    return subprocess.run([BINARY, "info", *arguments], capture_output=True, text=True, check=False, env=full | environment,
                          preexec_fn=preexec_fn)


class Info(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def json(self, **arguments):
        result = info("--format", "json", **arguments)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        return json.loads(result.stdout)

    def finding(self, group, name, **arguments):
        return next(found for found in self.json(**arguments)[group] if found["name"] == name)

    def fake_driver(self, gpus):
        shutil.copy(FAKE_LIBCUDA, self.folder / "libcuda.so.1")
        return {"LD_LIBRARY_PATH": str(self.folder), "FAKE_CUDA_GPUS": str(gpus)}

    def test_json_agrees_with_the_system(self):
        told = self.json()
        total_kib = int(re.search(r"MemTotal:\s+(\d+)", pathlib.Path("/proc/meminfo").read_text())[1])
        self.assertEqual(told["memory"]["bytes"], total_kib * 1024)
        self.assertLessEqual(told["memory"]["available_bytes"], told["memory"]["bytes"])
        self.assertEqual(told["cpus"]["affinity"], sorted(os.sched_getaffinity(0)))
        flags = set(re.search(r"^flags\s*: (.*)$", pathlib.Path("/proc/cpuinfo").read_text(), re.MULTILINE)[1].split())
        self.assertEqual(set(told["instruction_sets"]) - flags, set())
        self.assertIn("fp32", told["devices"][0]["precisions"])

    def test_a_closed_cache_is_said_and_does_not_end_it(self):
        self.folder.chmod(0)
        self.addCleanup(self.folder.chmod, 0o700)
        nobody = (lambda: (os.setgroups([]), os.setgid(65534), os.setuid(65534))) if os.geteuid() == 0 else None
        try:
            found = self.finding("data", "Hugging Face cache", preexec_fn=nobody, HF_HOME=str(self.folder))
        except (PermissionError, subprocess.SubprocessError):
            self.skipTest("SKIPPED: root reads everything, and 'nobody' may not run the program where it lies")
        self.assertIn("Permission denied", found["detail"])

    def test_affinity_is_honoured(self):
        one = max(os.sched_getaffinity(0))
        told = self.json(preexec_fn=lambda: os.sched_setaffinity(0, {one}))
        self.assertEqual((told["cpus"]["affinity"], told["cpus"]["threads_used_by_default"]), ([one], 1))

    def test_table_has_every_part_and_fits(self):
        result = info()
        self.assertEqual(result.returncode, 0, result.stderr)
        for title in ("Devices", "CPU", "What can be measured here", "Models and texts"):
            self.assertRegex(result.stdout, rf"(?m)^{title}$")
        for line in result.stdout.splitlines():
            # Only a path, which cannot be broken, may be longer.
            self.assertTrue(len(line) <= 100 or "/" in line, line)
        for name in ("host energy", "steal time", "CPU clock", "GPU power and clocks", "default model", "IMDB reviews"):
            self.assertRegex(result.stdout, rf"(?m)^  {name} +(yes|no): \S")

    def test_a_cap_of_the_instruction_set_is_named(self):
        best = self.json(unset=("BREAKEVEN_ISA",))["devices"][0]["best_instruction_set"]
        told = self.json(BREAKEVEN_ISA="avx2")["devices"][0]
        self.assertEqual((told["instruction_set"], told["best_instruction_set"]), ("avx2", best))
        self.assertEqual(told["precisions"], ["fp32", "int8"])
        said = info(BREAKEVEN_ISA="avx2").stdout
        self.assertIn("avx2" if best == "avx2" else f"avx2 by BREAKEVEN_ISA; the CPU has {best}", said)
        self.assertIn("BREAKEVEN_ISA=sse9: there is no such instruction set", " ".join(info(BREAKEVEN_ISA="sse9").stdout.split()))

    def test_gpus_by_the_drivers_rules(self):
        driver = self.fake_driver(2)
        told = self.json(**driver)
        self.assertEqual([device["device"] for device in told["devices"]], ["cpu", "cuda:0", "cuda:1"])
        self.assertEqual(told["devices"][2]["name"], "Fake GPU 1")
        self.assertEqual(told["devices"][2]["compute_capability"], "9.1")
        told = self.json(CUDA_VISIBLE_DEVICES="1", **driver)
        self.assertEqual([device["name"] for device in told["devices"][1:]], ["Fake GPU 1"])
        told = self.json(CUDA_VISIBLE_DEVICES="", **driver)
        self.assertEqual(len(told["devices"]), 1)
        self.assertEqual(told["gpu_note"], "CUDA_VISIBLE_DEVICES is empty: every GPU is hidden")
        self.assertRegex(info(**driver).stdout, r"(?m)^  cuda:0 +Fake GPU 0, compute capability 9\.1, 8\.59 GB")

    def test_models_in_the_hugging_face_cache_are_found(self):
        absent = self.finding("data", "default model", HF_HUB_CACHE=str(self.folder))
        self.assertFalse(absent["here"])
        self.assertIn("fetch", absent["detail"])
        model = self.folder / "models--distilbert--distilbert-base-uncased-finetuned-sst-2-english"
        commit = "714eb0fa89d2f80546fda750413ed43d93601a13"
        snapshot = model / "snapshots" / commit
        snapshot.mkdir(parents=True)
        (model / "refs").mkdir()
        (model / "refs" / "main").write_text(commit)
        (snapshot / "config.json").write_text("{}")
        (snapshot / "model.safetensors").write_bytes(b"")
        present = self.finding("data", "default model", HF_HUB_CACHE=str(self.folder))
        self.assertEqual((present["here"], present["detail"]), (True, str(snapshot)))

    def test_a_machine_without_home_is_no_error(self):
        told = self.json(unset=("HOME", "XDG_CACHE_HOME", "HF_HOME", "HF_HUB_CACHE"))
        self.assertTrue(all(found["detail"] for found in told["data"]))

    def test_wrong_use_and_unwritable_output(self):
        self.assertEqual(info("--format", "xml").returncode, 2)
        self.assertEqual(info("--bogus").returncode, 2)
        with open("/dev/full", "w", encoding="ascii") as full:
            result = subprocess.run([BINARY, "info"], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
        self.assertEqual(result.returncode, 2)
        self.assertIn("cannot write stdout: No space left on device", result.stderr)
        closed = subprocess.run(f"set -o pipefail; '{BINARY}' info | true", shell=True, executable="/bin/bash",
                                capture_output=True, text=True, check=False)
        self.assertEqual((closed.returncode, closed.stderr), (0, ""))


if __name__ == "__main__":
    unittest.main(verbosity=2)
