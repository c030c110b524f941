"""tools/breakeven.service: systemd takes it and finds little that it leaves open, and the server works as it says: as another user without any
capability, on a file system that cannot be written, with the calls of the system that it lists and no others. unit_test.py BREAKEVEN SOURCE_DIR
plain|sanitized
"""
import ctypes
import errno
import http.client
import json
import os
import pathlib
import platform
import re
import shlex
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import unittest

NOBODY = 65534
NUMBERS = pathlib.Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")
LIBC = ctypes.CDLL(None, use_errno=True)


# What systemd would do before it starts the program, in a process of its own: CONFINED FOLDER PROGRAM ARGUMENT...
# FOLDER alone can be written; allowed.json in it: numbers of calls.

def call(function, *arguments):
    if function(*arguments) != 0:
        raise OSError(ctypes.get_errno(), f"{function.__name__}{arguments}")


def make_read_only(folder):
    clone_newns, remount, bind, recursive, private, read_only = 0x20000, 32, 4096, 0x4000, 1 << 18, 1
    call(LIBC.unshare, clone_newns)
    call(LIBC.mount, None, b"/", None, recursive | private, None)
    call(LIBC.mount, folder.encode(), folder.encode(), None, bind, None)
    for line in pathlib.Path("/proc/self/mounts").read_text().splitlines():
        place = line.split()[1]
        if place != folder and not place.startswith(("/proc", "/sys", "/dev")):
            call(LIBC.mount, None, place.encode(), None, bind | remount | read_only, None)


def drop_root():
    drop_bounding, no_new_privileges = 24, 38
    last = int(pathlib.Path("/proc/sys/kernel/cap_last_cap").read_text())
    for capability in range(last + 1):
        call(LIBC.prctl, drop_bounding, capability, 0, 0, 0)
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    call(LIBC.prctl, no_new_privileges, 1, 0, 0, 0)


def filter_calls(allowed, numbers):
    """Other calls end the process, as systemd has it; memory that is made to hold code is refused, and so are sockets but Unix ones."""
    load, equal, any_of, give = 0x20, 0x15, 0x45, 0x06
    allow, kill = 0x7FFF0000, 0x80000000
    number, first_argument, third_argument = 0, 16, 32
    write, execute = 2, 4

    def refuse(error):
        return 0x00050000 | error

    program = [(load, 0, 0, 4), (equal, 1, 0, 0xC000003E), (give, 0, 0, kill), (load, 0, 0, number)]  # x86_64 alone

    def rule(name, body):
        program.extend([(equal, 0, len(body), numbers[name]), *body])

    rule("mprotect", [(load, 0, 0, third_argument), (any_of, 0, 1, execute), (give, 0, 0, refuse(errno.EPERM)), (give, 0, 0, allow)])
    rule("mmap", [(load, 0, 0, third_argument), (any_of, 0, 2, execute), (any_of, 0, 1, write), (give, 0, 0, refuse(errno.EPERM)), (give, 0, 0, allow)])
    rule("socket", [(load, 0, 0, first_argument), (equal, 1, 0, socket.AF_UNIX), (give, 0, 0, refuse(errno.EAFNOSUPPORT)), (give, 0, 0, allow)])
    for each in allowed:
        rule(each, [(give, 0, 0, allow)])
    program.append((give, 0, 0, kill))
    code = b"".join(struct.pack("HBBI", *line) for line in program)
    kept = ctypes.create_string_buffer(code, len(code))
    header = struct.pack("HxxxxxxP", len(program), ctypes.addressof(kept))
    call(LIBC.prctl, 22, 2, ctypes.c_char_p(header), 0, 0)


def confined(folder, command):
    os.umask(0o007)
    names = json.loads(pathlib.Path(folder, "allowed.json").read_text())
    numbers = call_numbers()
    make_read_only(folder)
    drop_root()
    filter_calls(names, numbers)
    os.execv(command[0], command)


def call_numbers():
    return {name: int(number) for name, number in re.findall(r"#define __NR_(\w+) (\d+)", NUMBERS.read_text())}


def settings():
    """name -> values, as the unit has them."""
    found = {}
    for line in UNIT.read_text().splitlines():
        if "=" in line and not line.startswith("#"):
            name, value = line.split("=", 1)
            found.setdefault(name, []).append(value)
    return found


def analyze(*arguments):
    return subprocess.run(["systemd-analyze", "--no-pager", *arguments], capture_output=True, text=True)


def members(group):
    """Calls of "@system-service" and its like."""
    found = set()
    for line in analyze("syscall-filter", group).stdout.splitlines()[1:]:
        name = line.strip()
        if name.startswith("@"):
            found |= members(name)
        elif name and not name.startswith("#"):
            found.add(name)
    return found


def allowed_calls(numbers):
    allowed = set()
    for value in settings()["SystemCallFilter"]:
        if value.startswith("~"):
            allowed -= members(value[1:])
        else:
            allowed |= members(value)
    return sorted(allowed & numbers.keys())


@unittest.skipUnless(shutil.which("systemd-analyze"), "SKIPPED: no systemd-analyze (Debian: systemd)")
class Systemd(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.unit = pathlib.Path(folder.name) / "breakeven.service"
        self.write(UNIT.read_text())

    def write(self, text):
        self.unit.write_text(text.replace("/usr/local/bin/breakeven", BREAKEVEN))

    def test_it_is_read_without_a_word(self):
        run = analyze("verify", str(self.unit))
        self.assertEqual((run.returncode, run.stdout + run.stderr), (0, ""))
        self.write(UNIT.read_text() + "\n[Service]\nProtectEverything=yes\n")
        self.assertIn("ProtectEverything", analyze("verify", str(self.unit)).stderr)

    def exposure(self):
        run = analyze("security", "--offline=true", str(self.unit))
        if "unrecognized option" in run.stderr:
            self.skipTest("SKIPPED: a systemd-analyze that cannot look at a unit that does not run (before 250)")
        return float(re.search(r"Overall exposure level for \S+: ([\d.]+)", run.stdout)[1])

    def test_it_leaves_little_open(self):
        self.assertLess(self.exposure(), 1)
        for name in ("DynamicUser", "SystemCallFilter", "PrivateNetwork", "PrivateUsers", "PrivateDevices", "CapabilityBoundingSet"):
            with self.subTest(name):
                before = self.exposure()
                self.write("".join(line + "\n" for line in UNIT.read_text().splitlines() if not line.startswith(name)))
                self.assertGreater(self.exposure(), before)
                self.write(UNIT.read_text())

    def test_what_no_tool_counts(self):
        found = settings()
        self.assertEqual((found["NoNewPrivileges"], found["ProtectSystem"]), (["yes"], ["strict"]))  # it takes them from DynamicUser
        self.assertEqual(found["LimitCORE"], ["0"])
        self.assertEqual(found["Restart"], ["on-failure"])
        self.assertRegex(found["MemoryMax"][0], r"^\d+G$")
        self.assertGreater(int(found["TimeoutStopSec"][0]), 30)  # --drain


class Local(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost")
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


@unittest.skipUnless(os.geteuid() == 0, "SKIPPED: not root, who alone can become another user")
@unittest.skipUnless(platform.machine() == "x86_64" and NUMBERS.exists(), f"SKIPPED: no {NUMBERS}")
@unittest.skipUnless(shutil.which("systemd-analyze"), "SKIPPED: no systemd-analyze (Debian: systemd)")
class Confined(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory()
        cls.folder = pathlib.Path(cls.temporary.name).resolve()
        os.chown(cls.folder, NOBODY, NOBODY)
        cls.folder.chmod(0o755)
        (cls.folder / "allowed.json").write_text(json.dumps(allowed_calls(call_numbers())))
        shutil.copy(BREAKEVEN, cls.folder / "breakeven")
        try:
            cls.command("/bin/true").check_returncode()
        except subprocess.CalledProcessError as error:
            cls.temporary.cleanup()
            raise unittest.SkipTest(f"SKIPPED: no mounts of its own here: {error.stderr.splitlines()[-1]}")

    @classmethod
    def tearDownClass(cls):
        cls.temporary.cleanup()

    @classmethod
    def arguments(cls, *command):
        return [sys.executable, __file__, "CONFINED", str(cls.folder), *command]

    @classmethod
    def command(cls, *command):
        return subprocess.run(cls.arguments(*command), capture_output=True, text=True)

    def test_the_confinement_is_real(self):
        for place in ("/", "/tmp", str(pathlib.Path(__file__).parent)):
            self.assertIn("Read-only file system", self.command("/bin/touch", f"{place}/breakeven-test").stderr)
        python = ["/usr/bin/python3", "-c"]  # that anybody may run
        self.assertEqual(self.command(*python, "import os; os.chroot('/')").returncode, -signal.SIGSYS)
        for refused in ("import socket; socket.socket()", "import mmap; mmap.mmap(-1, 4096, prot=7)"):
            run = self.command(*python, refused)
            self.assertEqual(run.returncode, 1, run)
            self.assertRegex(run.stderr, "Error: ")

    def test_the_server_works_in_it(self):
        if BUILD == "sanitized":
            self.skipTest("SKIPPED: a sanitizer makes calls of its own")
        flags = shlex.split(settings()["ExecStart"][0])[1:]
        flags[flags.index("--model") + 1] = "builtin-narrow"
        path = str(self.folder / "http.sock")
        flags[flags.index("--listen") + 1] = f"unix:{path}"
        flags[flags.index("--p99") + 1] = "10s"  # other tests may have the CPUs
        with subprocess.Popen(self.arguments(str(self.folder / "breakeven"), *flags, "--device", "cpu"), stderr=subprocess.PIPE, text=True) as server:
            told = ""
            for line in server.stderr:
                told += line
                if f" at unix:{path};" in line:
                    break
            self.assertIsNone(server.poll(), told)
            state = pathlib.Path(f"/proc/{server.pid}/status").read_text()
            for line in (f"Uid:\t{NOBODY}\t{NOBODY}", f"Gid:\t{NOBODY}\t{NOBODY}", "CapBnd:\t0000000000000000", "CapEff:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"):
                self.assertIn(line, state)
            self.assertEqual(os.stat(path).st_mode & 0o777, 0o770)
            client = Local(path)

            def ask(method, url, body=None, kind="application/json"):
                client.request(method, url, body, {"Content-Type": kind} if body else {})
                reply = client.getresponse()
                return reply.status, reply.read().decode()

            self.assertEqual(ask("GET", "/readyz")[0], 200)
            status, body = ask("POST", "/v1/classify", json.dumps({"input": ["A warm and funny film.", "film " * 2000]}))
            self.assertEqual((status, json.loads(body)["results"][0]["label"]), (200, "POSITIVE"), body)
            self.assertEqual(len(ask("POST", "/v1/classify", '"a"\n"b"\n', "application/x-ndjson")[1].splitlines()), 2)
            for url in ("/", "/metrics", "/info", "/v1/breakeven"):
                self.assertEqual(ask("GET", url)[0], 200, url)
            client.close()
            server.send_signal(signal.SIGTERM)
            told += server.communicate()[1]
            self.assertEqual(server.returncode, 0, told)
            self.assertFalse(os.path.exists(path))


if __name__ == "__main__":
    if sys.argv[1] == "CONFINED":
        confined(sys.argv[2], sys.argv[3:])
    BREAKEVEN, UNIT, BUILD = str(pathlib.Path(sys.argv[1]).resolve()), pathlib.Path(sys.argv[2], "tools/breakeven.service"), sys.argv[3]
    del sys.argv[1:4]
    unittest.main()
