#!/usr/bin/env python3
"""Makes the journal of a known GPU that ships with the program, from committed journals of runs on it.

usage: make_known_gpu.py OUT.jsonl JOURNAL...

data/known/h100.jsonl: tools/make_known_gpu.py data/known/h100.jsonl results/2026-11-26-h100-16cpu/{main,batches}.jsonl

Of each native cell of the GPU in mode serial or stream, at the longest max length, the record with most passes is kept, and of it
only what the latency model and the tables need; samples are rounded to four digits. Rows of the CPU beside the GPU do not ship, nor do
precisions that --precision all leaves out.
"""
import argparse
import json
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
KEPT = ("schema_version", "kind", "run_id", "started_at", "cell", "model_name", "model_hash", "model_shape", "instruction_set",
        "tokenizer", "reasons", "texts", "passes", "warmup_passes", "samples_s", "sample_positions", "rounds",
        "sample_rounds", "latency_s", "reviews_per_s", "tokens_per_s", "spread", "stages", "batches_in_flight", "bound", "parity",
        "memory", "energy", "gpu", "machine", "build")
PRECISIONS = ("fp32", "fp16", "bf16", "int8")
# The built-in model is widened when it is loaded: models/builtin/README.md. Journals before schema 2 do not tell the shape.
BUILTIN = {"layers": 6, "hidden": 768, "heads": 12, "intermediate": 3072}


def rounded(value):
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, list):
        return [rounded(item) for item in value]
    return value


def slim(record):
    kept = {key: record[key] for key in KEPT if key in record}
    kept["samples_s"] = rounded(record["samples_s"])
    if "model_shape" not in kept:
        if not record["model_name"].startswith("builtin (6 x 768)"):
            sys.exit(f"make_known_gpu: the record of model '{record['model_name']}' does not tell its shape")
        kept["model_shape"] = BUILTIN
    kept["machine"] = {key: value for key, value in kept["machine"].items() if key not in ("cpu_flags", "more")}
    return kept


def invalid(record):
    return any(reason["severity"].lower() == "invalid" for reason in record["reasons"])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("journals", nargs="+", type=pathlib.Path)
    options = parser.parse_args()
    records = [json.loads(line) for path in options.journals for line in path.read_text().splitlines()]
    records = [r for r in records if r["kind"] == "cell" and r["cell"]["runtime"] == "native" and r["cell"]["device"] != "cpu"
               and r["cell"]["precision"] in PRECISIONS
               and r["cell"]["mode"] in ("serial", "stream") and not invalid(r) and r["passes"] > 0]
    if not records:
        sys.exit("make_known_gpu: no native row of a GPU in " + " ".join(map(str, options.journals)))
    longest = max(r["cell"]["max_length"] for r in records)
    best = {}
    for record in records:
        if record["cell"]["max_length"] != longest:
            continue
        key = json.dumps(record["cell"], sort_keys=True)
        if key not in best or record["passes"] > best[key]["passes"]:
            best[key] = record
    order = sorted(best.values(), key=lambda r: (r["cell"]["precision"], r["cell"]["batch"], r["cell"]["mode"]))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text("".join(json.dumps(slim(r), separators=(",", ":")) + "\n" for r in order))
    print(f"{options.out}: {len(order)} records, {options.out.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
