#!/usr/bin/env python3
"""What a shard costs beside reading and computing: lines formatted and written, checksums, commits, and on Ray the way to the worker and back.

usage: shard_overhead.py PROGRAM [--rows 500,10000] [--shards 20] [--rounds 3]     with a Python that has ray, and PYTHONPATH=python

One worker of one core does all shards; the time from the first done file to the last, less what the records say of reading and computing, by the shards
between. In turns: one process alone, and one actor on a Ray node.
"""
import argparse
import json
import logging
import os
import pathlib
import random
import subprocess
import sys
import tempfile

import ray
from breakeven.ray import classify_files
from ray.cluster_utils import Cluster

WORDS = "good bad great awful film plot actor boring lovely tedious".split()


def rest_ms(out):
    """-> ms a shard beside reading and computing, and ms a shard in all."""
    done = sorted((path.stat().st_mtime_ns, path) for path in (out / "_done").glob("??????.json"))
    records = [json.loads(path.read_text())["shard"] for _, path in done[1:]]
    total_ms = (done[-1][0] - done[0][0]) / 1e6 / len(records)
    return total_ms - 1e3 * sum(record["read_s"] + record["compute_s"] for record in records) / len(records), total_ms


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--rows", default="500,10000")
    parser.add_argument("--shards", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    program, chance = os.path.abspath(options.program), random.Random(1)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    cluster.add_node(num_cpus=1, object_store_memory=80_000_000)
    ray.init(address=cluster.address, log_to_driver=False, logging_level=logging.ERROR)
    print("| rows a shard | | ms a shard beside reading and computing: median (range of rounds) | of all ms |\n|--:|---|--:|--:|")
    with tempfile.TemporaryDirectory(prefix="breakeven-overhead-") as folder:
        folder = pathlib.Path(folder)
        for rows in map(int, options.rows.split(",")):
            inputs = folder / f"{rows}.jsonl"
            with open(inputs, "w", encoding="utf-8") as file:
                for row in range(rows * options.shards):
                    file.write(f'{{"id":{row},"text":"{" ".join(chance.choices(WORDS, k=chance.randint(1, 12)))}"}}\n')
            found = {"one process": [], "on Ray": []}
            for turn in range(options.rounds):
                for where in found:
                    out = folder / f"out-{rows}-{where}-{turn}"
                    if where == "on Ray":
                        classify_files(inputs, out, model="builtin-narrow", shard_rows=rows, program=program, progress=False)
                    else:
                        subprocess.run([program, "classify", "--model", "builtin-narrow", "--device", "cpu", "--threads", "1", inputs, "--output", out, "--shard-rows", str(rows),
                                        "--shard", "0/1"], check=True, stderr=subprocess.DEVNULL)
                    found[where].append(rest_ms(out))
            for where, all_rounds in found.items():
                all_rounds.sort()
                middle = all_rounds[len(all_rounds) // 2]
                print(f"| {rows:,} | {where} | {middle[0]:.1f} ({all_rounds[0][0]:.1f}-{all_rounds[-1][0]:.1f}) | {middle[1]:.0f} |", flush=True)
    ray.shutdown()
    cluster.shutdown()


if __name__ == "__main__":
    sys.exit(main())
