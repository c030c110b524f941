"""The build compiles every header below src/ alone (target rules_headers_alone); here: it leaves none out, and such a
compile does refuse a header that needs another one's includes or a newer C++."""
import os
import pathlib
import subprocess
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
COMPILER = os.environ.get("BREAKEVEN_CXX", "c++")


def compile_alone(header, *flags):
    with tempfile.TemporaryDirectory() as folder:
        source = pathlib.Path(folder) / "alone.cc"
        source.write_text(f'#include "{header}"\n#include "{header}"\n')
        command = [COMPILER, "-std=c++20", "-fsyntax-only", "-I", ROOT / "src", *flags, source]
        return subprocess.run(command, capture_output=True, text=True, check=False)


class Headers(unittest.TestCase):
    def test_a_header_that_is_sound_passes(self):
        result = compile_alone(ROOT / "src" / "base" / "result.h")
        self.assertEqual(result.returncode, 0, result.stderr)

    def test_a_missing_include_is_found(self):
        result = compile_alone(HERE / "samples" / "needs_company.h")
        self.assertNotEqual(result.returncode, 0)
        self.assertIn("needs_company.h:4", result.stderr)

    def test_newer_cxx_is_found(self):
        result = compile_alone(HERE / "samples" / "too_new.h", "-pedantic-errors")
        self.assertNotEqual(result.returncode, 0)
        self.assertIn("if consteval", result.stderr)

    def test_every_header_opens_with_its_purpose(self):
        for header in sorted((ROOT / "src").rglob("*.h")):
            with self.subTest(header=header.relative_to(ROOT).as_posix()):
                text = header.read_text()
                self.assertTrue(text.startswith("// "), "the first line says what the header is")
                self.assertIn("\n#pragma once\n", text)


if __name__ == "__main__":
    unittest.main(verbosity=2)
