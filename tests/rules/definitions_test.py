"""X.cc defines what X.h declares, but for the headers of shared_headers.txt; and the checker bites."""
import pathlib
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent


def check(source, exceptions):
    return subprocess.run([sys.executable, HERE / "check_definitions.py", source, exceptions], capture_output=True, text=True, check=False)


class Definitions(unittest.TestCase):
    def test_our_sources_keep_the_rule(self):
        result = check(HERE.parents[1] / "src", HERE / "shared_headers.txt")
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertRegex(result.stdout, r"^[1-9]\d+ files, 0 definitions away from home$")

    def test_each_of_the_sample_is_found(self):
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as exceptions:
            exceptions.write("# none but this\nroom/nobody.h: other.cc\n")
            exceptions.flush()
            result = check(HERE / "samples" / "away" / "src", exceptions.name)
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertEqual(result.stdout.splitlines(), [
            "room/other.cc: defines far_away, which room/counter.h declares",
            "room/other.cc: defines Counter, which room/counter.h declares",
            "room/other.cc: defines shared_on_purpose, which room/counter.h declares",
            "3 files, 3 definitions away from home",
        ])

    def test_a_shared_header_is_allowed_by_name(self):
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as exceptions:
            exceptions.write("room/counter.h: other.cc\n")
            exceptions.flush()
            self.assertEqual(check(HERE / "samples" / "away" / "src", exceptions.name).returncode, 0)

    def test_an_empty_folder_is_no_pass(self):
        self.assertEqual(check(HERE / "no-such-folder", HERE / "shared_headers.txt").returncode, 1)


if __name__ == "__main__":
    unittest.main(verbosity=2)
