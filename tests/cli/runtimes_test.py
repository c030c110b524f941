"""`breakeven runtimes list | setup` with a stand-in for Python: what is made, what is left behind, what is said."""
import fcntl
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

BINARY, ROOT = sys.argv.pop(1), pathlib.Path(sys.argv.pop(1))
# python3 -m venv --clear DIR; DIR/bin/python -m pip install ...; DIR/bin/python -c ... NAME ...
FAKE_PYTHON = """#!/bin/sh
echo "$0 $*" >>"$FAKE_LOG"
case "$1 $2" in
"-m venv")
  case "$FAKE" in
  no-venv) echo "The virtual environment was not created successfully because ensurepip is not"; echo "available."; exit 1 ;;
  esac
  mkdir -p "$4/bin" && cp "$0" "$4/bin/python" ;;
"-m pip")
  echo "Collecting numpy==2.4.6 (from -r requirements.txt (line 3))"
  case "$FAKE" in
  network) echo "WARNING: Retrying: NewConnectionError('<...>: Failed to establish a new connection')" >&2
    echo "ERROR: No matching distribution found for numpy==2.4.6" >&2; exit 1 ;;
  disk) echo "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device" >&2; exit 1 ;;
  broken) echo "a line before"; echo "ERROR: ResolutionImpossible" >&2; exit 1 ;;
  slow) exec sleep 100000 ;;
  esac
  echo "Installing collected packages: numpy" ;;
"-c "*)
  [ "$FAKE" != dead ] || { echo "a broken Python" >&2; exit 3; }
  shift 2
  for name; do [ "$name" = "$FAKE_LACKS" ] && echo "$name " || echo "$name 9.8.7"; done ;;
*) exit 99 ;;
esac
"""


class Runtimes(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.cache = self.folder / "cache" / "breakeven" / "runtimes"
        (self.folder / "bin").mkdir()
        self.python = self.folder / "bin" / "python3"
        self.python.write_text(FAKE_PYTHON)
        self.python.chmod(0o755)
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("BREAKEVEN_")} | {
            "PATH": f"{self.folder}/bin:/usr/bin:/bin", "XDG_CACHE_HOME": str(self.folder / "cache"),
            "FAKE_LOG": str(self.folder / "log"), "FAKE": "", "FAKE_LACKS": ""}

    def run_it(self, *arguments, **environment):
        return subprocess.run([BINARY, "runtimes", *arguments], capture_output=True, text=True, check=False,
                              env=self.environment | environment)

    def calls(self):
        log = self.folder / "log"
        return log.read_text().splitlines() if log.exists() else []

    def assert_nothing_is_left(self, name):
        self.assertEqual(sorted(path.name for path in (self.cache / name).iterdir()), ["lock"])

    def test_nothing_is_there(self):
        result = self.run_it("list")
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        for name in ("pytorch", "onnxruntime", "openvino", "ctranslate2"):
            self.assertRegex(result.stdout, rf"(?m)^{name} +missing +breakeven runtimes setup {name}$")
        self.assertEqual(self.calls(), [])

    def test_setup_then_list(self):
        result = self.run_it("setup", "onnxruntime")
        self.assertEqual(result.returncode, 0, result.stderr)
        venv = self.cache / "onnxruntime" / "venv"
        self.assertEqual(result.stdout, f"onnxruntime: ready, {venv}\n")
        self.assertRegex(result.stderr, r"(?m)^onnxruntime: collecting numpy==2\.4\.6$")
        self.assertIn(f"{self.python} -m venv --clear {venv}", self.calls()[0])
        self.assertIn(f"--requirement {ROOT}/runtimes/requirements-onnxruntime.txt", self.calls()[1])
        result = self.run_it("list")
        self.assertRegex(result.stdout, r"(?m)^onnxruntime +ready +onnxruntime 9\.8\.7, numpy 9\.8\.7, ")
        self.assertRegex(result.stdout, rf"(?m)^ +{venv}/bin/python \(own environment\)$")
        calls = len(self.calls())
        result = self.run_it("setup", "onnxruntime")
        self.assertEqual((result.returncode, result.stdout), (0, f"onnxruntime: was ready, {venv}\n"))
        self.assertEqual(len(self.calls()), calls)

    def test_none_named_is_all(self):
        result = self.run_it("setup")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(re.findall(r"(?m)^(\w+): ready", result.stdout), ["pytorch", "onnxruntime", "openvino", "ctranslate2"])

    def test_changed_pins_are_noticed(self):
        scripts = self.folder / "runtimes"
        shutil.copytree(ROOT / "runtimes", scripts)
        self.assertEqual(self.run_it("setup", "openvino", BREAKEVEN_RUNTIMES=str(scripts)).returncode, 0)
        with open(scripts / "requirements-openvino.txt", "a", encoding="utf-8") as file:
            file.write("extra==1.0\n")
        result = self.run_it("list", BREAKEVEN_RUNTIMES=str(scripts))
        self.assertRegex(result.stdout, r"(?m)^openvino +outdated +openvino 9\.8\.7")
        self.assertRegex(result.stdout, r"(?m)^ +breakeven runtimes setup openvino$")
        result = self.run_it("setup", "openvino", BREAKEVEN_RUNTIMES=str(scripts))
        self.assertRegex(result.stdout, "^openvino: ready")
        self.assertRegex(self.run_it("list", BREAKEVEN_RUNTIMES=str(scripts)).stdout, r"(?m)^openvino +ready")

    def test_unknown_names_make_nothing(self):
        result = self.run_it("setup", "onnxruntime", "tensorflow")
        self.assertEqual(result.returncode, 2)
        self.assertIn("there is no runtime 'tensorflow' to set up; known are: pytorch, onnxruntime, openvino, ctranslate2", result.stderr)
        self.assertEqual(self.calls(), [])
        self.assertEqual(self.run_it().returncode, 2)
        self.assertEqual(self.run_it("remove").returncode, 2)

    def test_failures_say_why_and_leave_nothing(self):
        for kind, words in (("no-venv", "this Python cannot make virtual environments; apt-get install python3-venv"),
                            ("network", "PyPI cannot be reached; try again with a network"),
                            ("disk", "the disk is full; make room"),
                            ("broken", "pip ended with exit code 1: ERROR: ResolutionImpossible")):
            with self.subTest(kind=kind):
                result = self.run_it("setup", "ctranslate2", FAKE=kind)
                self.assertEqual((result.returncode, result.stdout), (2, ""))
                self.assertIn(f"breakeven: setting up ctranslate2: {words}", result.stderr)
                self.assert_nothing_is_left("ctranslate2")
                self.assertRegex(self.run_it("list").stdout, r"(?m)^ctranslate2 +missing")
        self.assertIn("\n  a line before\n", result.stderr)  # the log of what failed

    def test_a_failed_update_is_not_ready(self):
        self.assertEqual(self.run_it("setup", "ctranslate2").returncode, 0)
        (self.cache / "ctranslate2" / "requirements.installed").write_text("other\n")
        self.assertEqual(self.run_it("setup", "ctranslate2", FAKE="network").returncode, 2)
        self.assertRegex(self.run_it("list").stdout, r"(?m)^ctranslate2 +missing")

    def test_no_python(self):
        for tool in ("sh", "mkdir", "cp"):
            (self.folder / "bin" / tool).symlink_to(shutil.which(tool))
        self.python.unlink()
        result = self.run_it("setup", "openvino", PATH=f"{self.folder}/bin")
        self.assertEqual(result.returncode, 2)
        self.assertIn("setting up openvino: there is no 'python3'; apt-get install python3 python3-venv", result.stderr)

    def test_one_failure_does_not_stop_the_others(self):
        result = self.run_it("setup", "pytorch", "openvino", "--python", f"pytorch={self.broken()}")
        self.assertEqual((result.returncode, result.stdout), (2, f"openvino: ready, {self.cache}/openvino/venv\n"))

    def broken(self):
        path = self.folder / "broken"
        path.write_text("#!/bin/sh\nexit 7\n")
        path.chmod(0o755)
        return path

    def test_named_pythons(self):
        result = self.run_it("list", "--python", f"openvino={self.python}")
        self.assertRegex(result.stdout, rf"(?m)^openvino +ready +openvino 9\.8\.7.*\n +{self.python} \(--python\)$")
        venv = self.folder / "venv"
        (venv / "bin").mkdir(parents=True)
        shutil.copy(self.python, venv / "bin" / "python")
        result = self.run_it("list", BREAKEVEN_PYTHON_PYTORCH=str(venv))
        self.assertRegex(result.stdout, rf"(?m)^pytorch +ready +torch 9\.8\.7.*\n +{venv}/bin/python \(BREAKEVEN_PYTHON_PYTORCH\)$")
        result = self.run_it("list", "--python", f"ctranslate2={self.python}", FAKE_LACKS="ctranslate2")
        self.assertRegex(result.stdout, r"(?m)^ctranslate2 +incomplete .*\n.*\n +ctranslate2 is not installed there$")
        for wrong, words in (("openvino", "there is no '='"), ("tensorflow=/bin/sh", "no runtime 'tensorflow'"),
                             ("openvino=/no/such", "none: '/no/such'"), (f"openvino={self.folder}", f"none: '{self.folder}'")):
            result = self.run_it("list", "--python", wrong)
            self.assertEqual((result.returncode, result.stdout), (2, ""), wrong)
            self.assertIn(words, result.stderr)
        result = self.run_it("list", BREAKEVEN_PYTHON_OPENVINO="/no/such")
        self.assertEqual(result.returncode, 2)
        self.assertRegex(result.stdout, r"(?m)^openvino +broken +the Python named for openvino is none: '/no/such'")
        self.assertRegex(result.stdout, r"(?m)^pytorch +missing")
        result = self.run_it("list", "--python", f"openvino={self.python}", FAKE="dead")
        self.assertRegex(result.stdout, r"(?m)^openvino +broken +.* ended with exit code 3: a broken Python")

    def test_an_interrupt_leaves_nothing(self):
        process = subprocess.Popen([BINARY, "runtimes", "setup", "openvino", "ctranslate2"], stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True, env=self.environment | {"FAKE": "slow"})
        while len(self.calls()) < 2:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate()
        self.assertEqual((process.returncode, out), (2, ""))
        self.assertIn("setting up openvino was interrupted", errors)
        self.assert_nothing_is_left("openvino")
        self.assertFalse((self.cache / "ctranslate2").exists())

    def test_two_at_the_same_time(self):
        (self.cache / "openvino").mkdir(parents=True)
        with open(self.cache / "openvino" / "lock", "w", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            result = self.run_it("setup", "openvino")
        self.assertEqual(result.returncode, 2)
        self.assertIn("another process is setting up openvino", result.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
