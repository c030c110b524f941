"""The tree keeps the small rules of check_hygiene.py, and a tree that breaks each of them is told so."""
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BINARY = os.environ.get("BREAKEVEN_BINARY")

BROKEN_TREE = {
    "src/base/long.cc": "// code\n" * 551,
    "src/base/loud.cc": '#include <cstdio>\n\nvoid f() { std::puts("no"); }\n',
    "src/base/quiet.cc": '// std::puts("in a comment")\nvoid g(char* b) { std::snprintf(b, 1, "x"); }\n',
    "src/base/throws.cc": "bool a() { return std::filesystem::exists(p(\"a, b\")); }  // fs::exists(x)\n"
                          "bool b() { return fs::is_directory(p(1, 2), error); }\n"
                          "void c() { fs::copy_file(\n  from,\n  to); }\n"
                          "void d() { for (const auto& e : fs::directory_iterator(p, error)) use(e); }\n",
    "src/cli/loud.cc": 'void h() { std::puts("the place that prints"); }\n',
    "src/base/tab.h": "//\ta tab\n",
    "src/base/merged.h": "// 1\n<<<<<<< ours\n=======\n>>>>>>> theirs\n",
    "src/base/spaces.h": "// spaces \n",
    "src/base/unfinished.h": "// no newline",
    "docs/links.md": "[here](../README.md) [gone](gone.md) [out](https://example.org/x)\n`src/gone.h` `src/base/tab.h`\n",
    "README.md": "```\nbreakeven run --batch 1 --bogus 2 # --in-a-comment\ncmake --preset dev\n```\n`./run --wrong`\n"
                 "`breakeven --version` `breakeven info --batch 1` `breakeven dance`\n",
}
FINDINGS = [
    "LICENSE:1: missing, or not the Apache License 2.0",
    "README.md:1: shows --bogus, which `breakeven run` does not know",
    "README.md:5: shows --wrong, which `breakeven run` does not know",
    "README.md:6: shows --batch, which `breakeven info` does not know",
    "README.md:6: shows `breakeven dance`, which is no subcommand",
    "docs/links.md:1: a link to gone.md, which does not exist",
    "docs/links.md:2: names src/gone.h, which does not exist",
    "src/base/long.cc:551: 551 lines, 550 at most: split it, or say why in tests/rules/long_files.txt",
    "src/base/loud.cc:3: library code never prints: return it, and let src/cli print",
    "src/base/merged.h:2: a conflict of a merge",
    "src/base/merged.h:3: a conflict of a merge",
    "src/base/merged.h:4: a conflict of a merge",
    "src/base/spaces.h:1: trailing spaces",
    "src/base/tab.h:1: a tab",
    "src/base/throws.cc:1: exists throws: give it an error_code named error or ignored, or ask look_at() of base/files.h",
    "src/base/throws.cc:3: copy_file throws: give it an error_code named error or ignored, or ask look_at() of base/files.h",
    "src/base/throws.cc:6: the ++ of a directory_iterator throws: use list_folder() of base/files.h",
    "src/base/unfinished.h:1: no newline at the end",
    "tests/rules/long_files.txt:1: src/base/tab.h needs no exception (at most 900) any more",
    "12 files, 19 findings",
]
FAKE_BINARY = """#!/bin/sh
case "$1" in
  --help) printf '  --version\\nSubcommands:\\n  run  the main job\\n  info  the machine\\n' ;;
  run) printf '  --batch TEXT\\n' ;;
esac
"""


def check(*arguments):
    return subprocess.run([sys.executable, HERE / "check_hygiene.py", *arguments], capture_output=True, text=True, check=False)


class Hygiene(unittest.TestCase):
    def test_our_tree(self):
        result = check(ROOT, *([BINARY] if BINARY else []))
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)

    def test_a_broken_tree(self):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            tree = dict(BROKEN_TREE)
            tree["tests/rules/long_files.txt"] = "# comment\nsrc/base/tab.h 900 was long once\n"
            for name, text in tree.items():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_text(text)
            binary = root / "build" / "breakeven"
            binary.parent.mkdir()
            binary.write_text(FAKE_BINARY)
            binary.chmod(0o755)
            result = check(root, binary)
        self.assertEqual(result.stdout.splitlines(), FINDINGS, result.stderr)
        self.assertEqual(result.returncode, 1)


if __name__ == "__main__":
    unittest.main(verbosity=2)
