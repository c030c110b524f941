"""False alarms of `breakeven compare` on this machine: a build against itself.

Usage: compare_real_pairs.py BREAKEVEN [--pairs 20] [--time 5s] [--turns 20] [--turns-time 12s] [--keep FOLDER]

Two ways, and each "slower" or "faster" is a false alarm; a way with more than one pair in twenty that has one fails:
  separate  two runs, one after the other, compared as files
  turns     `run --against` itself, which takes the two in turns
Each separate pair is also compared with the times of its second run made 10 % longer: how often that is found is printed, not
asserted, because on a noisy machine "can't tell" is the right answer.
"""
import argparse
import contextlib
import json
import pathlib
import subprocess
import sys
import tempfile

CELLS = ["--model", "builtin-narrow", "--texts", "builtin", "--count", "16", "--batch", "1,4", "--precision", "fp32", "--no-memory"]


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


def changes_in_turns(breakeven, seconds, journal):
    command = [breakeven, "run", *CELLS, "--time", seconds, "--journal", str(journal), "--against", breakeven, "--format", "json"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode not in (0, 1, 3):
        sys.exit(f"{' '.join(command)}: exit code {result.returncode}\n{result.stderr}")
    return [cell["change"] for cell in json.loads(result.stdout)["cells"]]


def is_alarm(told):
    return any(change in ("slower", "faster") for change in told)


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
    parser.add_argument("--turns", type=int, default=20, help="pairs taken in turns")
    parser.add_argument("--turns-time", default="12s", help="for both sides of such a pair")
    parser.add_argument("--keep", help="a folder for the journals, which are thrown away else")
    options = parser.parse_args()
    alarms = alarms_in_turns = found = 0
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(options.keep or stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        for pair in range(options.pairs):
            journals = [folder / f"{pair}-{side}.jsonl" for side in "ab"]
            for journal in journals:
                measure(options.breakeven, options.time, journal)
            told = changes(options.breakeven, *journals)
            alarms += is_alarm(told)
            found += "slower" in changes(options.breakeven, journals[0], slow_down(journals[1], 1.1))
            print(f"pair {pair + 1}: {', '.join(told)}", flush=True)
        for pair in range(options.turns):
            told = changes_in_turns(options.breakeven, options.turns_time, folder / f"{pair}-turns.jsonl")
            alarms_in_turns += is_alarm(told)
            print(f"in turns {pair + 1}: {', '.join(told)}", flush=True)
    print(f"{options.pairs} separate pairs: {alarms} false alarms, a planted 10 % slow-down found in {found}")
    print(f"{options.turns} pairs in turns: {alarms_in_turns} false alarms")
    return 1 if alarms > max(1, options.pairs // 20) or alarms_in_turns > max(1, options.turns // 20) else 0


if __name__ == "__main__":
    sys.exit(main())
