"""False alarms of `breakeven compare` on this machine: pairs of runs of one build, one after the other.

Usage: compare_real_pairs.py BREAKEVEN [--pairs 20] [--time 5s]

Each pair is an A/A comparison, so that every "slower" or "faster" is a false alarm; more than one pair in twenty with one
fails the test. Each pair is also compared with the times of its second run made 10 % longer: how often that is found is
printed, not asserted, because on a noisy machine "can't tell" is the right answer.
"""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

CELLS = ["--model", "builtin-narrow", "--texts", "builtin", "--count", "64", "--batch", "1,16", "--precision", "fp32", "--no-memory"]


def measure(breakeven, seconds, journal):
    command = [breakeven, "run", *CELLS, "--time", seconds, "--journal", str(journal), "-o", str(journal) + ".txt"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode not in (0, 3):
        sys.exit(f"{' '.join(command)}: exit code {result.returncode}\n{result.stderr}")


def changes(breakeven, before, after):
    command = [breakeven, "compare", str(before), str(after), "--format", "json"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode not in (0, 1, 3):
        sys.exit(f"{' '.join(command)}: exit code {result.returncode}\n{result.stderr}")
    return [cell["change"] for cell in json.loads(result.stdout)["cells"]]


def slow_down(journal, factor):
    slower = journal.with_suffix(".slower.jsonl")
    lines = []
    for line in journal.read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        record["samples_s"] = [factor * seconds for seconds in record["samples_s"]]
        lines.append(json.dumps(record))
    slower.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return slower


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("breakeven")
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--time", default="5s")
    options = parser.parse_args()
    alarms = found = 0
    with tempfile.TemporaryDirectory() as folder:
        for pair in range(options.pairs):
            journals = [pathlib.Path(folder) / f"{pair}-{side}.jsonl" for side in "ab"]
            for journal in journals:
                measure(options.breakeven, options.time, journal)
            told = changes(options.breakeven, *journals)
            alarms += any(change in ("slower", "faster") for change in told)
            found += "slower" in changes(options.breakeven, journals[0], slow_down(journals[1], 1.1))
            print(f"pair {pair + 1}: {', '.join(told)}", flush=True)
    print(f"{options.pairs} pairs: {alarms} false alarms, a planted 10 % slow-down found in {found}")
    return 1 if alarms > max(1, options.pairs // 20) else 0


if __name__ == "__main__":
    sys.exit(main())
