"""The folders of src/ know only whom layers.txt allows, and the checker bites."""
import pathlib
import subprocess
import sys
import unittest

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]


def check(source):
    return subprocess.run([sys.executable, HERE / "check_includes.py", source, HERE / "layers.txt"], capture_output=True,
                          text=True, check=False)


class Includes(unittest.TestCase):
    def test_our_sources_keep_the_rules(self):
        result = check(ROOT / "src")
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertRegex(result.stdout, r"^[1-9]\d+ files, 0 forbidden includes$")

    def test_each_forbidden_include_of_the_sample_is_found(self):
        result = check(HERE / "samples" / "forbidden" / "src")
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertEqual(result.stdout.splitlines(), [
            "src/model/knows_backend.h:2: src/model may not include cuda_runtime.h (only ops/cuda)",
            "src/model/knows_backend.h:4: src/model may not include ops/cpu/backend.h (it may know: base, ops)",
            "src/nobody/new_room.cc:1: no rule in layers.txt for the folder of nobody/new_room.cc",
            "src/ops/cpu/knows_neighbour.cc:2: write the path from src/, not ../reference/backend.h",
            "src/ops/cpu/knows_neighbour.cc:3: src/ops/cpu may not include ops/cuda/device_list.h (it may know: base, ops, setup)",
            "src/ops/cpu/knows_neighbour.cc:4: write the path from src/, not backend.h",
            "src/text/knows_model.cc:5: src/text may not include model/plan.h (it may know: base)",
            "6 files, 7 forbidden includes",
        ])

    def test_an_empty_folder_is_no_pass(self):
        self.assertEqual(check(HERE / "no-such-folder").returncode, 1)


if __name__ == "__main__":
    unittest.main(verbosity=2)
