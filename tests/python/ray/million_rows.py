#!/usr/bin/env python3
"""1,000,000 texts on a Ray cluster of this machine, all of it killed by SIGKILL twice and started again.

usage: million_rows.py PROGRAM [--rows N] [--max-length N]     with a Python that has ray; prints a table; exit 1: something was lost, doubled or done twice

"All of it": driver, Ray's own processes, workers and their programs. Afterwards each row must be there once, in order, parts that were there before a kill
untouched, and the first 20,000 labels those of one process, byte for byte.
"""
import argparse
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time
import uuid

HERE = pathlib.Path(__file__).resolve()
MARK, SHARD_ROWS, COMPARED = "BREAKEVEN_MILLION", 10_000, 20_000
WORDS = "good bad great awful film plot actor boring lovely tedious long short never always watch again".split()


def drive(program, inputs, out, max_length):
    """One run with a cluster of its own: two nodes of a core each."""
    import logging

    import ray
    from breakeven.ray import classify_files
    from ray.cluster_utils import Cluster
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    for _ in range(2):
        cluster.add_node(num_cpus=1, object_store_memory=80_000_000)
    ray.init(address=cluster.address, log_to_driver=False, logging_level=logging.ERROR)
    report = classify_files(inputs, out, model="builtin-narrow", shard_rows=SHARD_ROWS, program=program, progress=False, options=["--max-length", max_length])
    print(json.dumps({"before": report.done_before, "done": report.done, "lost": report.lost, "rate": sum(report.rates.values()), "log": report.log}))
    ray.shutdown()
    cluster.shutdown()


def everything(mark):
    """Processes that the run started, wherever they hang now."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and f"{MARK}={mark}".encode() in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
        except OSError:
            pass  # it ended meanwhile
    return found


def kill_all(mark):
    killed = 0
    while pids := everything(mark):
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
                killed += 1
            except ProcessLookupError:
                pass
        time.sleep(0.2)
    return killed


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--max-length", default="32")
    options = parser.parse_args()
    program, chance = os.path.abspath(options.program), random.Random(1)
    with tempfile.TemporaryDirectory(prefix="breakeven-million-") as folder:
        folder = pathlib.Path(folder)
        inputs, out = folder / "in.jsonl", folder / "out"
        with open(inputs, "w", encoding="utf-8") as file:
            for row in range(options.rows):
                file.write(f'{{"id":{row},"text":"{" ".join(chance.choices(WORDS, k=chance.randint(2, 12)))}"}}\n')
        shards = -(-options.rows // SHARD_ROWS)
        begin, before, ok = time.monotonic(), {}, True
        print("| | parts before | parts after | texts/s | seconds |\n|---|--:|--:|--:|--:|", flush=True)
        for part in (1 / 3, 2 / 3, None):
            mark, since = uuid.uuid4().hex, time.monotonic()
            driver = subprocess.Popen([sys.executable, HERE, "--drive", program, inputs, out, options.max_length], stdout=subprocess.PIPE, encoding="utf-8",
                                      env={**os.environ, MARK: mark, "RAY_USAGE_STATS_ENABLED": "0", "PYTHONWARNINGS": "ignore"}, start_new_session=True)
            wanted = int(shards * (part or 1))
            while driver.poll() is None and (part is None or len(list(out.glob("_done/*.json"))) < wanted):
                time.sleep(0.05)
            what = "runs to its end"
            if part is not None:
                what = f"{kill_all(mark)} processes killed"
            told, _ = driver.communicate()
            parts = {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in out.glob("part-*")}
            seconds = time.monotonic() - since
            print(f"| {what} | {len(before)} | {len(parts)} | {(len(parts) - len(before)) * SHARD_ROWS / seconds:,.0f} | {seconds:.0f} |", flush=True)
            redone = [path for path, was in before.items() if parts.get(path) != was]
            if redone:
                print(f"done again: {redone[:5]}")
                ok = False
            before = parts
        report = json.loads(told.strip().splitlines()[-1])
        rows, wrong = 0, 0
        for path in sorted(out.glob("part-*")):
            with open(path, encoding="utf-8") as file:
                for line in file:
                    answer = json.loads(line)
                    wrong += answer["id"] != rows or answer["index"] != rows
                    rows += 1
        few = folder / "few.jsonl"
        with open(inputs, encoding="utf-8") as file:
            few.write_text("".join(line for line, _ in zip(file, range(COMPARED))))
        alone = subprocess.run([program, "classify", "--model", "builtin-narrow", "--device", "cpu", "--max-length", options.max_length, few], check=True,
                               stdout=subprocess.PIPE).stdout
        same = alone == b"".join(path.read_bytes() for path in sorted(out.glob("part-*")))[: len(alone)]
        ok = ok and rows == options.rows and not wrong and same and (out / "_finished.json").exists() and report["before"] >= len(before) * 2 // 3 - 3
        print(f"\n{rows:,} rows of {options.rows:,}, {wrong} out of place; the first {COMPARED:,} {'as' if same else 'NOT as'} by one process; "
              f"{report['before']} of {shards} shards found done by the last run; {time.monotonic() - begin:.0f} s in all")
        print(subprocess.run([program, "report", out / "_done"], check=True, stdout=subprocess.PIPE, encoding="utf-8").stdout)
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(drive(*sys.argv[2:]) if sys.argv[1:2] == ["--drive"] else main())
