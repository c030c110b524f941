"""The naming rules of .clang-tidy are alive: wrong names are refused one by one, right ones pass."""
import pathlib
import re
import subprocess
import unittest

from tools_found import PINNED_LLVM, find_llvm_tool

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
CLANG_TIDY = find_llvm_tool("clang-tidy")

WRONG = [
    ("macro definition", "WrongMacro_case"),
    ("namespace", "WrongNamespace"),
    ("class", "wrong_class"),
    ("member", "WrongMember"),
    ("private member", "no_underscore"),
    ("struct", "wrong_struct"),
    ("enum", "wrong_enum"),
    ("enum constant", "WrongConstant"),
    ("constexpr variable", "missing_k"),
    ("constexpr variable", "kNoUnit_x"),
    ("type template parameter", "wrong_template"),
    ("function", "WrongFunction"),
    ("parameter", "WrongParameter"),
    ("variable", "WrongVariable"),
]


def naming_findings(sample):
    """-> (exit code, set of (kind, name), whole output)"""
    command = [CLANG_TIDY, f"--config-file={ROOT / '.clang-tidy'}", "--checks=-*,readability-identifier-naming", sample, "--",
               "-std=c++20"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    output = result.stdout + result.stderr
    findings = set(re.findall(r"error: invalid case style for (.+?) '(\w+)' \[readability-identifier-naming", output))
    return result.returncode, findings, output


@unittest.skipUnless(CLANG_TIDY, f"SKIPPED: clang-tidy {PINNED_LLVM} is not installed")
class Naming(unittest.TestCase):
    def test_every_wrong_name_is_refused(self):
        code, findings, output = naming_findings(HERE / "samples" / "wrong_names.cc")
        self.assertNotEqual(code, 0, "findings must fail the run")
        self.assertEqual(findings, set(WRONG), output)

    def test_right_names_pass(self):
        code, findings, output = naming_findings(HERE / "samples" / "right_names.cc")
        self.assertEqual((code, findings), (0, set()), output)


if __name__ == "__main__":
    unittest.main(verbosity=2)
