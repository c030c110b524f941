"""README's figures come out of a committed journal: the block is what `breakeven report` makes of it today."""
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOOL = ROOT / "tools" / "update_readme.py"
BINARY = os.environ.get("BREAKEVEN_BINARY", str(ROOT / "build" / "release" / "bin" / "breakeven"))
EMPTY = "# Title\n\n<!-- results: written by tools/update_readme.py -->\n<!-- end of results -->\n\nafter\n"
FAKE_BINARY = '#!/bin/sh\n[ "$1 $2 $3" = "report --format md" ] || exit 2\necho "| device |"\necho "|---|"\ncat "$4.figure"\n'


# "$ breakeven WHAT results/....jsonl", its output as far as it is shown, and the exit code where `echo $?` follows.
EXAMPLE = re.compile(r"^```\n\$ breakeven ((?:advise|compare|report) [^\n]*results/[^\n]*)\n(.*?)(?:^\$ echo \$\?\n(\d)\n)?^```$", re.M | re.S)


def examples(page):
    for command, output, code in EXAMPLE.findall(page):
        lines = output.splitlines()
        yield command, lines[:lines.index("...")] if "..." in lines else lines, int(code) if code else None


def tool(*arguments):
    return subprocess.run([sys.executable, TOOL, *arguments], capture_output=True, text=True, check=False)


class Readme(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name).resolve()
        self.readme, self.binary = self.folder / "README.md", self.folder / "breakeven"
        self.journal = self.folder / "results" / "a.jsonl"
        self.journal.parent.mkdir()
        self.readme.write_text(EMPTY)
        self.journal.write_text(json.dumps({"command": ["build/bin/breakeven", "run", "--texts", "my file"]}) + "\n")
        (self.journal.parent / "a.jsonl.figure").write_text("| cpu 12.3 |\n")
        self.binary.write_text(FAKE_BINARY)
        self.binary.chmod(0o755)
        self.options = ["--binary", self.binary, "--readme", self.readme]

    def test_our_readme_shows_what_its_journal_gives(self):
        for page in ("README.md", "docs/comparison.md", "docs/models.md", "docs/scale.md"):
            result = tool("--check", "--binary", BINARY, "--readme", ROOT / page)
            self.assertEqual(result.returncode, 0, result.stdout + result.stderr)

    def test_the_pages_show_what_their_commands_give(self):
        shown = 0
        for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
            for command, lines, code in examples(page.read_text()):
                result = subprocess.run([BINARY, *shlex.split(command)], capture_output=True, text=True, check=False, cwd=ROOT)
                with self.subTest(page=page.name, command=command):
                    self.assertEqual(lines, result.stdout.splitlines()[:len(lines)], "run it again")
                    self.assertIn(code, (None, result.returncode))
                shown += 1
        self.assertGreaterEqual(shown, 5)

    def test_an_example_ends_where_it_is_cut(self):
        page = "```\n$ breakeven advise results/a.jsonl\nTake it.\n...\n$ echo $?\n3\n```\n```\n$ breakeven run\nx\n```\n"
        self.assertEqual(list(examples(page)), [("advise results/a.jsonl", ["Take it."], 3)])

    def test_a_brief_block_of_a_page_below_is_asked_for_as_one(self):
        page = self.folder / "docs" / "page.md"
        page.parent.mkdir()
        page.write_text(EMPTY.replace("results:", "brief results:"))
        self.binary.write_text(FAKE_BINARY + 'echo "$5"\n')
        self.assertEqual(tool("--binary", self.binary, "--readme", page, self.journal).stderr, "")
        self.assertIn("[../results/a.jsonl](../results/a.jsonl)", page.read_text())
        self.assertIn("--brief", page.read_text())
        self.assertEqual(tool("--check", "--binary", self.binary, "--readme", page).returncode, 0)

    def test_a_ratio_block_holds_one_table(self):
        self.readme.write_text(EMPTY.replace("results:", "ratio results:"))
        self.binary.write_text("#!/bin/sh\nprintf '### Serial\\n\\n| a |\\n\\n### Other runtimes: who\\n\\n| b |\\n\\n### Verdict\\n\\n- c\\n'\n")
        self.assertEqual(tool(*self.options, self.journal).stderr, "")
        self.assertIn("jsonl):\n\n| b |\n<!-- end", self.readme.read_text())
        self.assertEqual(tool("--check", *self.options).returncode, 0)
        self.binary.write_text("#!/bin/sh\nprintf '### Serial\\n\\n| a |\\n'\n")
        self.assertIn("no section 'Other runtimes'", tool(*self.options).stderr)

    def test_a_peers_block_has_rates_memory_and_ratios(self):
        self.readme.write_text(EMPTY.replace("results:", "peers results:"))
        columns = "runtime,variant,precision,batch,mode,reviews_per_s,reviews_per_s_low,reviews_per_s_high,peak_rss_bytes,invalid"
        rows = ["native,,fp32,8,stream,20,19,21.04,600000000,", "torch,tuned,fp32,8,stream,5,,,,", "torch,tuned,bf16,8,stream,,,,,parity"]
        table = ["### Other runtimes: who", "", "| runtime | precision | native is [95 %] |", "| --- | --- | ---: |",
                 "| torch:tuned | bf16 | - |", "| torch:tuned | fp32 | 4.0x [3.8, 4.2] |"]
        self.binary.write_text("#!/bin/sh\nif [ $3 = csv ]; then cat <<'END'\n" + "\n".join([columns, *rows]) + "\nEND\nelse cat <<'END'\n" +
                               "\n".join(table) + "\nEND\nfi\n")
        self.assertEqual(tool(*self.options, self.journal).stderr, "")
        self.assertIn("| native | fp32 | 19-21 | 600 MB |  |  |\n| torch:tuned | fp32 | 5 ? | - | 4.0x [3.8, 4.2] |  |\n"
                      "| torch:tuned | bf16 | - | - | - | parity |\n<!-- end", self.readme.read_text())
        self.assertEqual(tool("--check", *self.options).returncode, 0)

    def test_the_block_is_written_and_then_holds(self):
        self.assertEqual(tool(*self.options, self.journal).stderr, "")
        self.assertEqual(self.readme.read_text(), """# Title

<!-- results from results/a.jsonl: written by tools/update_readme.py -->
`breakeven run --texts 'my file'`, every sample in [results/a.jsonl](results/a.jsonl):

| device |
|---|
| cpu 12.3 |
<!-- end of results -->

after
""")
        self.assertEqual(tool("--check", *self.options).returncode, 0)
        before = self.readme.read_text()
        self.assertEqual(tool(*self.options).returncode, 0)
        self.assertEqual(self.readme.read_text(), before)

    def test_a_figure_that_was_edited_by_hand_is_found(self):
        tool(*self.options, self.journal)
        self.readme.write_text(self.readme.read_text().replace("12.3", "99.9"))
        result = tool("--check", *self.options)
        self.assertEqual(result.returncode, 1)
        self.assertIn("not what a.jsonl gives", result.stdout)

    def test_every_block_is_written_and_checked(self):
        other = self.journal.with_name("b.jsonl")
        other.write_text(self.journal.read_text())
        (self.journal.parent / "b.jsonl.figure").write_text("| cpu 45.6 |\n")
        self.readme.write_text(EMPTY + EMPTY.replace("results:", "results from results/b.jsonl:"))
        self.assertEqual(tool(*self.options, self.journal).stderr, "")
        self.assertRegex(self.readme.read_text(), r"(?s)results/a\.jsonl.*12\.3.*after.*results/b\.jsonl.*45\.6.*after")
        self.assertEqual(tool("--check", *self.options).returncode, 0)
        self.readme.write_text(self.readme.read_text().replace("45.6", "99.9"))
        result = tool("--check", *self.options)
        self.assertEqual(result.returncode, 1)
        self.assertIn("not what b.jsonl gives", result.stdout)

    def test_rows_that_a_block_leaves_out_are_not_rendered(self):
        rows = [json.dumps({"command": ["breakeven"], "cell": {"device": device, "mode": "stream", "batch": 32}}) for device in ("cpu", "cuda:0")]
        self.journal.write_text("\n".join(rows) + "\n")
        self.readme.write_text(EMPTY.replace("results:", "results from results/a.jsonl without cpu stream 32:"))
        self.binary.write_text('#!/bin/sh\ncat "$4"\n')
        self.assertEqual(tool(*self.options).stderr, "")
        self.assertIn("cuda:0", self.readme.read_text())
        self.assertNotIn('"cpu"', self.readme.read_text())
        self.assertEqual(tool("--check", *self.options).returncode, 0)

    def test_what_cannot_be_done_is_said(self):
        self.assertIn("name a journal", tool(*self.options).stderr)
        self.assertIn("is not a file", tool(*self.options, self.folder / "gone.jsonl").stderr)
        self.journal.write_text("")
        self.assertIn("holds no record", tool(*self.options, self.journal).stderr)
        self.readme.write_text("no block\n")
        self.assertIn("has no results block", tool(*self.options, self.journal).stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
