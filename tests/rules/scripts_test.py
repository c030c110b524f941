"""./run and ./test against a system of stand-ins: who is refused, what is installed, what is said, what is passed on."""
import os
import pathlib
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PROGRAM = """#!/bin/sh
echo "program in $(pwd):"
for argument in "$@"; do echo "<$argument>"; done
exit 3
"""
# Stand-ins; each logs its call. Files in $STATE decide what they find.
FAKES = {
    "uname": '[ "$1" = -s ] && echo "${FAKE_KERNEL:-Linux}" || echo "${FAKE_MACHINE:-x86_64}"',
    "id": 'echo "${FAKE_UID:-0}"',
    "sudo": 'log; [ -e "$STATE/sudo-works" ] || exit 1; shift; exec "$@"',
    "apt-get": 'log; echo "apt was here"; [ ! -e "$STATE/apt-fails" ] || exit 100',
    "dpkg-query": 'for name in "$@"; do grep -qxF -- "$name" "$STATE/missing" || echo "installed $name"; done; '
                  '[ ! -s "$STATE/missing" ]',
    "cmake": 'log; mkdir -p "$4"; echo "CMAKE_HOME_DIRECTORY:INTERNAL=$2" > "$4/CMakeCache.txt"',
    "ninja": """log
[ ! -e "$STATE/built" ] || { echo "ninja: no work to do."; exit 0; }
echo "[1/31] Building CXX object x.o"
[ ! -e "$STATE/build-fails" ] || { echo "error: broken"; exit 1; }
mkdir -p "$2/bin"; cp "$STATE/program" "$2/bin/breakeven"; touch "$STATE/built\"""",
    "ctest": """log
for a in "$@"; do
  [ "$last" != --output-junit ] || cp "$STATE/results.xml" "$a"
  [ "$a" != -N ] || { echo '  Test  #7: slow_thing_test'; exit 0; }
  last=$a
done
echo "    Start 1: x"
[ ! -e "$STATE/hangs-once" ] || echo " 1/2 Test #1: x ...***Timeout 900.00 sec"
[ ! -e "$STATE/tests-fail" ] || { echo "expected 4, got 5"; exit 8; }
echo "100% tests passed, 0 tests failed out of 2\"""",
    "ccache": "log",
    "ldconfig": 'cat "$STATE/libraries" 2>/dev/null; true',
    "c++": "echo 12",
}
RESULTS = """<testsuite><testcase name="a" time="3.21"><system-out>[ RUN      ] Gpu.Adds
x.cc:3: Skipped
SKIPPED: no CUDA device

[  SKIPPED ] Gpu.Adds (0 ms)
[ RUN      ] Gpu.Counts
x.cc:9: Skipped
SKIPPED: no CUDA device

[  SKIPPED ] Gpu.Counts (0 ms)
[==========] 5 tests from 1 test suite ran. (1 ms total)
</system-out></testcase><testcase name="b" time="70.4"><system-out>test_x (__main__.X.test_x) ... skipped 'SKIPPED: no clang-tidy'
Ran 3 tests in 0.1s
</system-out></testcase></testsuite>
"""


class Scripts(unittest.TestCase):
    def stand_in(self, name, body):
        script = self.tree / name
        script.write_text(f"#!/bin/bash\n{body}\n")
        script.chmod(0o755)

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="break even ")  # a path with a space
        self.addCleanup(folder.cleanup)
        self.base = pathlib.Path(folder.name).resolve()
        self.tree, self.state, fakes = self.base / "the tree", self.base / "state", self.base / "bin"
        self.system = self.base / "system"  # its /proc, /dev and /usr/local
        for path in (self.tree / "tools", self.state, fakes, self.system):
            path.mkdir(parents=True)
        for name in ("run", "test", "tools/setup.sh", "tools/cuda_toolkit.sh", "tools/packages.txt", "tools/summarize_tests.py",
                     "tools/requirements-oracle.txt", "tools/requirements-cuda.txt"):
            shutil.copy(ROOT / name, self.tree / name)
        self.stand_in("tools/build_wheel", "exit 0")
        for name, body in FAKES.items():
            script = fakes / name
            body = body.replace("log", 'echo "${0##*/} $*" >> "$STATE/calls"', 1)
            script.write_text(f"#!/bin/bash\n{body}\n")
            script.chmod(script.stat().st_mode | stat.S_IXUSR)
        (fakes / "python3").symlink_to(sys.executable)
        self.write("program", PROGRAM)
        (self.state / "program").chmod(0o755)
        self.write("missing", "")
        self.write("results.xml", RESULTS)
        self.write("os-release", 'ID=debian\nVERSION_ID="12"\n')
        self.environment = {
            "PATH": f"{fakes}:/usr/bin:/bin", "HOME": str(self.base), "STATE": str(self.state),
            "BREAKEVEN_OS_RELEASE": str(self.state / "os-release"),
            "BREAKEVEN_SYSTEM_ROOT": str(self.system),
        }

    def write(self, name, text=""):
        (self.state / name).write_text(text)

    def calls(self):
        path = self.state / "calls"
        return path.read_text() if path.exists() else ""

    def call(self, script, *arguments, **environment):
        return subprocess.run([self.tree / script, *arguments], capture_output=True, text=True, check=False, cwd=self.base,
                              env=self.environment | environment)

    # --- systems
    def test_other_systems_are_refused_by_name(self):
        self.write("os-release", "ID=fedora\nVERSION_ID=40\n")
        result = self.call("run")
        self.assertEqual(result.returncode, 2)
        self.assertIn("this is fedora 40 on Linux x86_64; supported are Debian 12 and Ubuntu 22.04/24.04", result.stderr)
        self.assertIn("BREAKEVEN_ANY_SYSTEM=1", result.stderr)
        self.assertEqual(self.calls(), "", "nothing is touched")
        self.assertIn("this is Darwin arm64;", self.call("test", FAKE_KERNEL="Darwin", FAKE_MACHINE="arm64").stderr)
        self.write("os-release", 'ID=debian\nVERSION_ID="13"\n')
        self.assertIn("this is debian 13 on", self.call("run").stderr)
        self.write("os-release", 'ID=debian\nVERSION_ID="12"\n')
        self.assertIn("this is debian 12 on Linux aarch64;", self.call("run", FAKE_MACHINE="aarch64").stderr)

    def test_supported_systems_and_the_way_around(self):
        for release in ('ID=ubuntu\nVERSION_ID="22.04"\n', 'ID=ubuntu\nVERSION_ID="24.04"\n'):
            self.write("os-release", release)
            self.assertEqual(self.call("run").returncode, 3, "the program's own exit code")
        self.write("os-release", "ID=fedora\nVERSION_ID=40\n")
        self.assertEqual(self.call("run", BREAKEVEN_ANY_SYSTEM="1").returncode, 3)

    # --- packages
    def test_root_installs_exactly_what_is_missing(self):
        self.write("missing", "libfmt-dev\nninja-build\nshellcheck\n")
        result = self.call("run")
        self.assertEqual(result.returncode, 3, result.stderr)
        self.assertIn("apt-get update\n", self.calls())
        self.assertIn("install -y --no-install-recommends ninja-build libfmt-dev\n", self.calls())
        self.assertNotIn("apt was here", result.stdout + result.stderr)

    def test_sudo_that_asks_nothing_is_used(self):
        self.write("missing", "cmake\n")
        self.write("sudo-works")
        self.assertEqual(self.call("run", FAKE_UID="1000").returncode, 3)
        self.assertIn("install -y --no-install-recommends cmake\n", self.calls())

    def test_without_rights_the_line_to_run_is_printed(self):
        self.write("missing", "cmake\ng++\n")
        result = self.call("run", FAKE_UID="1000")
        self.assertEqual(result.returncode, 2)
        self.assertIn("  sudo apt-get update && sudo apt-get install -y --no-install-recommends cmake g++\n", result.stderr)
        self.assertNotIn("apt-get", self.calls())
        self.assertNotIn("ninja", self.calls())

    def test_a_failure_of_apt_is_shown(self):
        self.write("missing", "cmake\n")
        self.write("apt-fails")
        result = self.call("run")
        self.assertEqual(result.returncode, 2)
        self.assertIn("apt was here", result.stderr)
        self.assertIn("apt could not install: cmake", result.stderr)

    # --- build and program
    def test_arguments_folder_and_exit_code_are_passed_on(self):
        result = self.call("run", "--texts", "my file.jsonl", "")
        self.assertEqual(result.returncode, 3)
        self.assertEqual(result.stdout, f"program in {self.base}:\n<run>\n<--texts>\n<my file.jsonl>\n<>\n")

    def test_a_subcommand_is_passed_on_as_it_is(self):
        names = re.findall(r"void add_(\w+)\(CLI::App& app", (ROOT / "src/cli/commands.h").read_text())
        self.assertIn("serve", names)
        for name in set(names) - {"cell"}:  # which is hidden
            self.assertEqual(self.call("run", name, "x").stdout, f"program in {self.base}:\n<{name}>\n<x>\n")

    def test_the_second_time_is_silent_and_installs_nothing(self):
        self.assertIn("building", self.call("run").stderr)
        self.write("calls")
        result = self.call("run")
        self.assertEqual(result.stderr, "")
        self.assertNotIn("apt-get", self.calls())

    # --- the CUDA compiler
    def driver(self, version):
        """A machine whose kernel module says `version`; None = no driver, "" = one that does not say."""
        proc = self.system / "proc" / "driver" / "nvidia"
        shutil.rmtree(proc, ignore_errors=True)
        if version is None:
            return
        proc.mkdir(parents=True)
        if version:
            (proc / "version").write_text(f"NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  {version}  Release Build  (x) "
                                          "Sun Jul 27 06:54:38 UTC 2025\nGCC version:  gcc version 12.3.0\n")

    def toolkit(self, folder, release):
        nvcc = self.system / "usr" / "local" / folder / "bin" / "nvcc"
        nvcc.parent.mkdir(parents=True)
        nvcc.write_text(f"#!/bin/sh\necho 'Cuda compilation tools, release {release}, V{release}.88'\n")
        nvcc.chmod(0o755)
        return nvcc

    def cuda(self, **environment):
        """What ./run gives to CMake: (BREAKEVEN_CUDA, BREAKEVEN_NVCC or ""), and what it says."""
        self.write("calls")
        result = self.call("run", **environment)
        self.assertEqual(result.returncode, 3, result.stderr)
        line = next(line for line in self.calls().splitlines() if line.startswith("cmake "))
        nvcc = line.partition(" -DBREAKEVEN_NVCC=")[2].partition(" -D")[0]
        return (line.partition(" -DBREAKEVEN_CUDA=")[2].split()[0], nvcc), result.stderr

    def pip(self, works=True):
        """A python3 whose pip lays out NVIDIA's wheels as they are."""
        python = pathlib.Path(self.environment["PATH"].split(":")[0]) / "python3"
        python.unlink(missing_ok=True)
        self.write("venv-python", """#!/bin/bash
echo "pip $*" >> "$STATE/calls"
[ ! -e "$STATE/no-network" ] || { echo "no route to host"; exit 1; }
while [ "$1" != --target ]; do shift; done
mkdir -p "$2/nvidia/cu13/bin" "$2/nvidia/cu13/lib"
printf '#!/bin/sh\\necho "release 13.0,"\\n' > "$2/nvidia/cu13/bin/nvcc"; chmod +x "$2/nvidia/cu13/bin/nvcc"
touch "$2/nvidia/cu13/lib/libcudart.so.13" "$2/nvidia/cu13/lib/libcublasLt.so.13"
""")
        python.write_text('#!/bin/bash\n[ "$2" = venv ] || exit 0\nmkdir -p "$3/bin"\ncp "$STATE/venv-python" "$3/bin/python"\n'
                          'chmod +x "$3/bin/python"\n')
        python.chmod(0o755)
        if not works:
            self.write("no-network")

    def test_without_a_driver_there_is_no_cuda(self):
        self.toolkit("cuda", "13.0")
        self.assertEqual(self.cuda()[0], ("OFF", ""))

    def test_a_driver_that_only_the_loader_knows_counts(self):
        nvcc = self.toolkit("cuda", "12.4")
        self.write("libraries", "\tlibcuda.so.1 (libc6,x86-64) => /usr/lib/libcuda.so.1\n")
        self.assertEqual(self.cuda()[0], ("AUTO", str(nvcc)))

    def test_the_compiler_fits_the_driver(self):
        old = self.toolkit("cuda-11.8", "11.8")
        twelve, thirteen = self.toolkit("cuda-12.4", "12.4"), self.toolkit("cuda-13.1", "13.1")
        for driver, taken in (("580.65.06", thirteen), ("595.10", thirteen), ("", thirteen), ("575.51.03", twelve), ("525.60.13", twelve)):
            with self.subTest(driver):
                self.driver(driver)
                (mode, nvcc), said = self.cuda()
                self.assertEqual((mode, nvcc), ("AUTO", str(taken)))
                self.assertNotIn("left out", said)
        self.driver("580.65.06")
        self.assertEqual(self.cuda(CUDA_HOME=str(twelve.parents[1]))[0], ("AUTO", str(twelve)), "what she named comes first")
        self.assertEqual(self.cuda(CUDACXX=str(twelve))[0], ("AUTO", str(twelve)))
        self.assertEqual(self.cuda(CUDACXX=str(old))[0], ("AUTO", str(thirteen)), "11.8 cannot compile it")

    def test_an_old_driver_gets_a_reason(self):
        self.pip()
        thirteen = self.toolkit("cuda", "13.0")
        self.driver("550.54.15")
        chosen, said = self.cuda()
        self.assertEqual(chosen, ("OFF", ""))
        self.assertIn("the NVIDIA driver is 550.54.15; CUDA 13 needs 580 or newer, and no CUDA 12 toolkit was found "
                      f"(passed over: {thirteen} of CUDA 13.0)", said)
        self.driver("470.82.01")
        chosen, said = self.cuda()
        self.assertEqual(chosen, ("OFF", ""))
        self.assertIn("the NVIDIA driver is 470.82.01; CUDA 12 needs 525 or newer", said)
        self.assertNotIn("pip", self.calls())

    def test_a_driver_without_nvcc_brings_the_compiler_once(self):
        self.pip()
        self.driver("580.65.06")
        (mode, nvcc), said = self.cuda()
        self.assertEqual(mode, "AUTO")
        self.assertTrue(nvcc.startswith(f"{self.base}/.cache/breakeven/cuda-13-"), nvcc)
        self.assertIn("no nvcc of CUDA 12 or 13 here: bringing CUDA 13's compiler and cublasLt from PyPI", said)
        self.assertIn("pip -m pip install --no-deps --no-compile --only-binary :all: --require-hashes --target ", self.calls())
        toolkit = pathlib.Path(nvcc).parents[1]
        self.assertEqual(os.readlink(toolkit / "lib64"), "lib")
        self.assertEqual(os.readlink(toolkit / "lib" / "libcudart.so"), "libcudart.so.13")
        self.assertEqual([path.name for path in toolkit.parent.iterdir()], [toolkit.name], "nothing half made is left")
        self.assertEqual(self.cuda(), (("AUTO", nvcc), ""))
        self.assertNotIn("pip", self.calls())
        list_of_wheels = self.tree / "tools" / "requirements-cuda.txt"
        list_of_wheels.write_text(list_of_wheels.read_text() + "# newer\n")
        self.assertNotEqual(self.cuda()[0][1], nvcc, "another list is another toolkit")

    def test_without_a_network_the_cpu_is_measured(self):
        self.pip(works=False)
        self.driver("580.65.06")
        chosen, said = self.cuda()
        self.assertEqual(chosen, ("OFF", ""))
        self.assertIn("no route to host", said)
        self.assertIn("the GPU is left out", said)
        self.assertEqual(list((self.base / ".cache" / "breakeven").iterdir()), [])

    def test_what_she_says_about_cuda_holds(self):
        self.pip()
        self.driver("580.65.06")
        self.assertEqual(self.cuda(BREAKEVEN_CUDA="OFF")[0], ("OFF", ""))
        self.assertEqual(self.cuda(BREAKEVEN_CUDA="AUTO")[0], ("AUTO", ""))
        self.driver(None)
        (mode, brought), _ = self.cuda(BREAKEVEN_CUDA="ON")
        self.assertEqual((mode, pathlib.Path(brought).name), ("ON", "nvcc"))
        nvcc = self.toolkit("cuda", "13.0")
        self.assertEqual(self.cuda(BREAKEVEN_CUDA="ON")[0], ("ON", str(nvcc)))
        shutil.rmtree(nvcc.parent)
        shutil.rmtree(self.base / ".cache")
        self.pip(works=False)
        result = self.call("run", BREAKEVEN_CUDA="ON")
        self.assertEqual(result.returncode, 2)
        self.assertIn("BREAKEVEN_CUDA=ON", result.stderr)

    def test_the_list_of_wheels_is_pinned_and_hashed(self):
        lines = [line for line in (ROOT / "tools" / "requirements-cuda.txt").read_text().splitlines() if not line.startswith("#")]
        self.assertEqual(len(lines), 6)
        for line in lines:
            self.assertRegex(line, r"^nvidia-[a-z-]+==[0-9.]+ --hash=sha256:[0-9a-f]{64}$")

    def test_a_failed_build_shows_its_log(self):
        self.write("build-fails")
        result = self.call("run")
        self.assertEqual(result.returncode, 2)
        self.assertIn("error: broken", result.stderr)
        self.assertEqual(result.stdout, "")

    def test_a_tree_that_moved_is_built_afresh(self):
        self.call("run")
        leftover = self.tree / "build" / "release" / "leftover"
        leftover.touch()
        self.call("run")
        self.assertTrue(leftover.exists())
        self.tree = self.tree.rename(self.base / "elsewhere")
        self.write("calls")
        (self.state / "built").unlink()
        self.assertEqual(self.call("run").returncode, 3)
        self.assertFalse((self.tree / "build" / "release" / "leftover").exists())
        self.assertIn("-DCMAKE_BUILD_TYPE=Release", self.calls())

    # --- tests
    def test_passing_tests_are_summed_up(self):
        result = self.call("test")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(result.stdout.splitlines(), [
            "100% tests passed, 0 tests failed out of 2",
            "3 of 8 single tests skipped: 2 x no CUDA device; 1 x no clang-tidy",
            "slowest: b 70.4 s, a 3.2 s",
            "slow tier not run (./test --slow): 1 programs that need IMDB, the live Hugging Face packages or other runtimes: slow_thing_test",
        ])
        self.assertIn("-LE slow", self.calls())

    def test_a_wheel_that_cannot_be_made_here_is_said_and_one_that_breaks_ends_it(self):
        self.stand_in("tools/build_wheel", "echo 'SKIPPED: no wheel: no PyPI' >&2; exit 77")
        skipped = self.call("test")
        self.assertEqual(skipped.returncode, 0, skipped.stderr)
        self.assertIn("SKIPPED: no wheel: no PyPI", skipped.stderr)
        self.stand_in("tools/build_wheel", "exit 2")
        self.assertEqual(self.call("test").returncode, 2)
        self.assertEqual(self.call("test", "-R", "python").returncode, 2)
        self.assertEqual(self.call("test", "-R", "text").returncode, 0, "no wheel is made for some other tests")

    def test_failing_tests_are_shown_and_fail(self):
        self.write("tests-fail")
        result = self.call("test")
        self.assertEqual(result.returncode, 8)
        self.assertIn("expected 4, got 5", result.stdout)

    def test_a_test_that_hung_once_is_named(self):
        self.write("hangs-once")
        result = self.call("test")
        self.assertEqual(result.returncode, 0)
        self.assertEqual(result.stdout.splitlines()[0], " 1/2 Test #1: x ...***Timeout 900.00 sec")
        self.assertIn(" --timeout 900 --repeat after-timeout:2 ", self.calls())

    def test_arguments_reach_ctest(self):
        self.call("test", "-R", "text", BREAKEVEN_ORACLE_PYTHON="/somewhere/python")
        self.assertIn("-LE slow -R text\n", self.calls())
        self.write("calls")
        self.call("test", "--slow", "-R", "text", BREAKEVEN_ORACLE_PYTHON="/somewhere/python")
        self.assertIn(" -R text\n", self.calls())
        self.assertNotIn("-LE", self.calls())

    def test_the_slow_tier_installs_its_judges_once(self):
        venv_python = '#!/bin/bash\necho "venv-python $*" >> "$STATE/calls"\n'
        self.write("venv-python", venv_python)
        python = pathlib.Path(self.environment["PATH"].split(":")[0]) / "python3"
        python.unlink()
        python.write_text('#!/bin/bash\n[ "$2" = venv ] || exit 0\nmkdir -p "$3/bin"\ncp "$STATE/venv-python" "$3/bin/python"\n'
                          'chmod +x "$3/bin/python"\n')
        python.chmod(0o755)
        self.assertIn("installing the packages of tools/requirements-oracle.txt", self.call("test", "--slow").stderr)
        self.assertIn("venv-python -m pip install -r ", self.calls())
        self.write("calls")
        self.assertEqual(self.call("test", "--slow").stderr, "")
        self.assertNotIn("pip", self.calls())

    # --- .ci/run
    CHECKS = ("format", "scripts", "runtimes", "naming", "tidy")

    def ci(self, *failing):
        """.ci/run with checks of our own making; each fails if `failing` names it."""
        shutil.copytree(ROOT / ".ci", self.tree / ".ci", dirs_exist_ok=True)
        (self.tree / "tests" / "rules").mkdir(parents=True, exist_ok=True)
        fakes = pathlib.Path(self.environment["PATH"].split(":")[0])
        for path, name in ((self.tree / "tools" / "check_format", "format"), (fakes / "shellcheck", "scripts"),
                           (self.tree / "tools" / "check_runtimes", "runtimes")):
            path.write_text(f"#!/bin/bash\necho {name} was here\nexit {int(name in failing)}\n")
            path.chmod(0o755)
        for path, name in (("tools/check_tidy.py", "tidy"), ("tests/rules/naming_test.py", "naming")):
            (self.tree / path).write_text(f"print('{name} was here')\nexit({int(name in failing)})\n")
        self.write("program", PROGRAM.replace("exit 3", "exit 0"))
        (self.state / "built").unlink(missing_ok=True)
        return self.call(".ci/run")

    def bare_root(self, guest_exit=2):
        """A debootstrap and an unshare that only say what they were asked for; `guest_exit` is ./run's for the ordinary user."""
        fakes = pathlib.Path(self.environment["PATH"].split(":")[0])
        tools = {
            "apt-get": 'log; [ "$1" != indextargets ] || printf "deb m://x bookworm main\ndeb m://y bookworm-security main\n"',
            "apt-config": "log", "git": "log",
            "debootstrap": 'log; for path in etc/apt/apt.conf.d usr/local/share/ca-certificates home/guest; do mkdir -p "$4/$path"; done',
            "unshare": f"""[ "$1 $2" != "--mount true" ] || exit 0
user=$7; shift 8
while [[ "$1" == *=* ]]; do shift; done
echo "in the root, $user: $*" >> "$STATE/calls"
[ "$user" != guest ] || {{ echo '  sudo apt-get update && sudo apt-get install -y cmake g++'; exit {guest_exit}; }}
[ -z "$RUN_FAILS" ] || [ "$*" != "./run --time 20s" ]""",
        }
        for name, body in tools.items():
            body = body.replace("log", 'echo "${0##*/} $*" >> "$STATE/calls"', 1)
            (fakes / name).write_text(f"#!/bin/bash\n{body}\n")
            (fakes / name).chmod(0o755)

    def test_ci_runs_every_check_and_shows_the_tests_closing_line(self):
        result = self.ci()
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertIn("\n100% tests passed, 0 tests failed out of 2\n", result.stdout)
        self.assertIn("== SKIPPED: NO BARE ROOT (debootstrap is not installed)", result.stdout)
        self.assertIn("== cuda, kernels: SKIPPED, there is no nvcc on PATH\n", result.stdout)
        self.assertRegex(result.stdout, r"\n\d+ s  \./run --time 20s\n\d+ s  \./test\n")
        self.assertRegex(result.stdout, r"all checks passed in \d+ s\n$")

    def test_ci_fails_when_any_check_fails_and_runs_the_others(self):
        for name in self.CHECKS:
            with self.subTest(name):
                result = self.ci(name)
                self.assertEqual(result.returncode, 1)
                shown = "clang-tidy" if name in ("naming", "tidy") else name
                self.assertTrue(result.stdout.endswith(f"\nFAILED: {shown}\n"), result.stdout)
                for other in self.CHECKS if name != "naming" else self.CHECKS[:-1]:
                    self.assertIn(f"{other} was here", result.stdout)
        self.write("tests-fail")
        result = self.ci("format")
        self.assertEqual(result.returncode, 1)
        self.assertRegex(result.stdout, r"\nFAILED: format \./test (\./test, AVX2 only )?browser\n$")

    def test_ci_does_what_the_readme_says_in_a_bare_root(self):
        self.bare_root()
        result = self.ci()
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertNotIn("NO BARE ROOT", result.stdout)
        calls = self.calls()
        self.assertRegex(calls, r"debootstrap --variant=minbase --include=ca-certificates bookworm \S.* m://x\n")
        asked = [line.partition(": ")[::2] for line in calls.splitlines() if line.startswith("in the root, ")]
        self.assertEqual([what for who, what in asked if who.endswith(", guest")], ["./run"])
        as_root = [what for who, what in asked if who.endswith(", root")]
        self.assertLess(as_root.index("./run --time 20s"), as_root.index("./test"))
        self.assertIn("tools/check_runtimes", as_root)
        self.assertTrue(any("report_browser_test" in what for what in as_root), as_root)
        self.assertFalse((self.tree / "build" / "bare_root").exists(), "removed at the end")

    def test_ci_fails_when_the_bare_root_shows_a_fault(self):
        self.bare_root()
        self.environment["RUN_FAILS"] = "1"
        self.assertTrue(self.ci().stdout.endswith("\nFAILED: ./run --time 20s\n"))
        self.environment["RUN_FAILS"] = ""
        self.bare_root(guest_exit=0)  # an ordinary user's ./run that goes on as if the packages were there
        self.assertTrue(self.ci().stdout.endswith("\nFAILED: ordinary user\n"))

    # --- the list
    def test_the_list_of_packages_is_sound(self):
        lines = [line.split() for line in (ROOT / "tools" / "packages.txt").read_text().splitlines()
                 if line and not line.startswith("#")]
        self.assertTrue(all(len(line) == 2 and line[0] in ("build", "test", "check", "browser") for line in lines), lines)
        names = [name for _, name in lines]
        self.assertEqual(len(names), len(set(names)), "no name twice")


if __name__ == "__main__":
    unittest.main(verbosity=2)
