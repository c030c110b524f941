#!/usr/bin/env python3
"""Writes the results blocks of README.md, docs/comparison.md, docs/models.md or docs/scale.md from committed journals, so that no figure is typed by hand.

usage: update_readme.py [--check] [--binary FILE] [--readme FILE] [JOURNAL]

JOURNAL lies in the repository (results/...) and becomes the first block's; every other block is rendered again from the one that
it names, as the first is without JOURNAL. "brief results" are the first screen; "ratio results" hold nothing but how many times faster
than other runtimes we are, "peers results" that beside rates and memory, "scale results" the time over texts by batch. "... from JOURNAL without cpu stream 32" leaves out the rows of that device, mode and batch. --check writes nothing and exits 1 when a block is not what the journal gives.
"""
import argparse
import csv
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"<!-- (?P<kind>brief |ratio |peers |scale )?results(?: from (?P<journal>\S+?)(?P<without>(?: without \S+ \S+ \d+)*))?: written by tools/update_readme\.py -->\n"
                   r"(?P<body>.*?)<!-- end of results -->\n", re.DOTALL)


def command_of(journal):
    """What the person typed, from the journal's first record."""
    for line in journal.read_text().splitlines():
        words = json.loads(line).get("command")
        if words:
            return shlex.join(["breakeven"] + words[1:])
    sys.exit(f"update_readme: {journal} holds no record")


def section(markdown, title):
    """The table under the heading that begins with `title`."""
    found = re.search(rf"^### {title}.*?\n\n(?P<table>(?:\|.*\n)+)", markdown + "\n", re.MULTILINE)
    return found["table"] if found else sys.exit(f"update_readme: no section '{title}' in the report")


def kept(journal, without):
    """The journal's lines but for those of a device, mode and batch."""
    left_out = [tuple(words.split()) for words in without.split(" without ")[1:]]

    def cell(line):
        setup = json.loads(line)["cell"]
        return setup["device"], setup["mode"], str(setup["batch"])
    return "".join(line + "\n" for line in journal.read_text().splitlines() if cell(line) not in left_out)


def peers(binary, journal, table):
    """Rates, memory and ratios in one table: the journal's rows, with the ratios of the report's own `table` of other runtimes."""
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    ratios = [dict(zip(lines[0], line)) for line in lines[2:]]  # columns that are the same for all rows are left out there

    def ratio(name, row):
        same = {"runtime": name} | {column: row[column] for column in ("precision", "batch", "mode")}
        return next((one["native is [95 %]"] for one in ratios if all(one.get(key, value) == value for key, value in same.items())), "")

    report = subprocess.run([binary, "report", "--format", "csv", journal], capture_output=True, text=True, check=True)
    shown = ["| runtime | precision | reviews/s | memory | native is [95 %] | result |", "| --- | --- | ---: | ---: | ---: | --- |"]
    for row in csv.DictReader(report.stdout.splitlines()):
        name = row["runtime"] + (":" + row["variant"] if row["variant"] else "")
        low, high, middle = (row["reviews_per_s" + end] for end in ("_low", "_high", ""))
        rate = f"{float(low):.3g}-{float(high):.3g}" if low and high else f"{float(middle):.3g} ?" if middle else "-"
        memory = f"{int(row['peak_rss_bytes']) / 1e6:,.0f} MB" if row["peak_rss_bytes"] else "-"
        shown.append(f"| {name} | {row['precision']} | {rate} | {memory} | {ratio(name, row)} | {row['invalid']} |")
    return "\n".join(shown)


def render(binary, journal, folder, kind, without):
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as some:
        if without:
            some.write(kept(journal, without))
            some.flush()
        command = [binary, "report", "--format", "md", some.name if without else journal] + (["--brief"] if kind == "brief " else [])
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        sys.exit(f"update_readme: {binary} report failed: {result.stderr.strip()}")
    name = pathlib.Path(os.path.relpath(journal, folder)).as_posix()
    titles = {"ratio ": "Other runtimes", "peers ": "Other runtimes", "scale ": r"[^\n]*: time over texts"}
    shown = section(result.stdout, titles[kind]) if kind in titles else result.stdout
    if kind == "peers ":
        shown = peers(binary, journal, shown)
    return (f"<!-- {kind}results from {name}{without}: written by tools/update_readme.py -->\n"
            f"`{command_of(journal)}`, every sample in [{name}]({name}):\n\n"
            f"{shown.strip()}\n"
            "<!-- end of results -->\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--binary", default=ROOT / "build" / "release" / "bin" / "breakeven")
    parser.add_argument("--readme", type=pathlib.Path, default=ROOT / "README.md")
    parser.add_argument("journal", nargs="?", type=pathlib.Path)
    options = parser.parse_args()
    readme = options.readme.resolve()
    text = readme.read_text()
    blocks = list(BLOCK.finditer(text))
    if not blocks:
        sys.exit(f"update_readme: {readme} has no results block")
    if options.journal is None and blocks[0]["journal"] is None:
        if options.check:
            return 0  # nothing is claimed yet
        sys.exit("update_readme: name a journal; the block has none yet")
    new, end, stale = "", 0, []
    for block in blocks:
        first = block is blocks[0]
        journal = (options.journal if first and options.journal else readme.parent / (block["journal"] or "")).resolve()
        # Beside README.md, or beside the folder that a page of docs/ lies in.
        if not journal.is_file() or not {readme.parent, readme.parent.parent} & set(journal.parents):
            sys.exit(f"update_readme: {journal} is not a file of this project")
        written = render(options.binary, journal, readme.parent, block["kind"] or "", block["without"] or "")
        if written != block[0]:
            stale.append(journal.name)
        new += text[end:block.start()] + written
        end = block.end()
    new += text[end:]
    if not options.check:
        readme.write_text(new)
    elif stale:
        print(f"{readme.name}: its results are not what {' and '.join(stale)} gives; run tools/update_readme.py --readme {readme}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
