"""False alarms of `breakeven compare` on this machine: a build against itself.

Usage: comparison_real_pairs.py BREAKEVEN [--pairs 20] [--time 5s] [--turns 20] [--turns-time 12s] [--flags "--batch 1,4"]
                             [--keep FOLDER [--first 0] [--kept]] [--table FILE.csv]

Two ways, and each "slower" or "faster" is a false alarm; a way with more than one pair in twenty that has one fails:
  separate  two runs, one after the other, compared as files
  turns     `run --against` itself, which takes the two in turns
Each pair is also compared with the times of its second side made 10 %, 25 %, 50 % and 100 % longer: how often that is found is
printed, not asserted, because on a noisy machine "can't tell" is the right answer.

--keep keeps the journals, --first numbers the pairs from there on (a series may be measured in portions), --kept judges the journals
that are there instead of measuring, and --table writes every judgement, a cell a line.
"""
import argparse
import contextlib
import csv
import json
import pathlib
import subprocess
import sys
import tempfile

CELLS = ["--model", "builtin-narrow", "--texts", "builtin", "--count", "16", "--precision", "fp32", "--no-memory"]
PLANTED = (1.1, 1.25, 1.5, 2)


def measure(breakeven, flags, seconds, journal, *more):
    command = [breakeven, "run", *CELLS, *flags.split(), "--time", seconds, "--journal", str(journal), "-o", str(journal) + ".txt", *more]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode not in (0, 1, 3):
        sys.exit(f"{' '.join(command)}: exit code {result.returncode}\n{result.stderr}")


def compared(breakeven, before, after):
    command = [breakeven, "compare", str(before), str(after), "--format", "json"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode not in (0, 1, 3):
        sys.exit(f"{' '.join(command)}: exit code {result.returncode}\n{result.stderr}")
    return json.loads(result.stdout)["cells"]


def slow_down(journal, factor, slower):
    lines = []
    for line in journal.read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        record["samples_s"] = [factor * seconds for seconds in record["samples_s"]]
        for visit in record["rounds"]:
            visit["pass_s"] *= factor
        lines.append(json.dumps(record))
    slower.write_text("\n".join(lines) + "\n", encoding="utf-8")


class Judge:
    """Of one way of taking pairs: how many had a false alarm, in how many each planted slow-down was found."""

    def __init__(self, way, breakeven, rows):
        self.way, self.breakeven, self.rows = way, breakeven, rows
        self.pairs = self.alarms = 0
        self.found = {factor: 0 for factor in PLANTED}

    def pair(self, number, before, after):
        told = compared(self.breakeven, before, after)
        self.pairs += 1
        self.alarms += any(cell["change"] in ("slower", "faster") for cell in told)
        planted = {}
        with tempfile.TemporaryDirectory() as folder:
            slower = pathlib.Path(folder) / "slower.jsonl"
            for factor in PLANTED:
                slow_down(after, factor, slower)
                planted[factor] = [cell["change"] for cell in compared(self.breakeven, before, slower)]
                self.found[factor] += "slower" in planted[factor]
        for at, cell in enumerate(told):
            self.add_row(number, cell, [planted[factor][at] for factor in PLANTED])
        print(f"{self.way} {number}: {', '.join(cell['change'] for cell in told)}", flush=True)

    def add_row(self, number, cell, planted):
        ratio = cell.get("time_ratio") or {}
        ends = ratio.get("interval") or {}
        shown = [f"{value:.3f}" if value else "" for value in (ratio.get("value"), ends.get("low"), ends.get("high"))]
        dimensions = cell["cell"]
        self.rows.append([self.way, number, dimensions["mode"], dimensions["batch"], ratio.get("samples", 0), *shown, cell["change"], *planted])

    def summary(self):
        found = ", ".join(f"{100 * (factor - 1):.0f} % in {count}" for factor, count in self.found.items())
        return f"{self.pairs} pairs, {self.way}: {self.alarms} with a false alarm; a planted slow-down was found: {found}"

    def fails(self):
        return self.alarms > max(1, self.pairs // 20)


def write_table(path, rows):
    with open(path, "w", encoding="utf-8", newline="") as table:
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow(["way", "pair", "mode", "batch", "samples", "ratio", "low", "high", "judged",
                         *(f"planted {100 * (factor - 1):.0f} %" for factor in PLANTED)])
        writer.writerows(rows)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("breakeven")
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--time", default="5s")
    parser.add_argument("--turns", type=int, default=20, help="pairs taken in turns")
    parser.add_argument("--turns-time", default="12s", help="for both sides of such a pair")
    parser.add_argument("--flags", default="--batch 1,4", help="of breakeven run, in one word")
    parser.add_argument("--keep", help="a folder for the journals, which are thrown away else")
    parser.add_argument("--first", type=int, default=0, help="number of the first pair")
    parser.add_argument("--kept", action="store_true", help="judges the journals in --keep, measures nothing")
    parser.add_argument("--table", help="a CSV file for the judgements")
    options = parser.parse_args()
    if options.kept and not options.keep:
        parser.error("--kept needs --keep FOLDER")
    rows = []
    separate, turns = (Judge(way, options.breakeven, rows) for way in ("separate", "in turns"))
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(options.keep or stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        for pair in range(options.first, options.first + options.pairs):
            journals = [folder / f"{pair}-{side}.jsonl" for side in "ab"]
            for journal in journals if not options.kept else []:
                measure(options.breakeven, options.flags, options.time, journal)
            separate.pair(pair, *journals)
        for pair in range(options.first, options.first + options.turns):
            journal = folder / f"{pair}-turns.jsonl"
            if not options.kept:
                measure(options.breakeven, options.flags, options.turns_time, journal, "--against", options.breakeven)
            turns.pair(pair, journal.with_suffix(".against.jsonl"), journal)
    if options.table:
        write_table(options.table, rows)
    print(separate.summary())
    print(turns.summary())
    return 1 if separate.fails() or turns.fails() else 0


if __name__ == "__main__":
    sys.exit(main())
