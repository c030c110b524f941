#!/usr/bin/env python3
"""Our tokenizer against Hugging Face's `tokenizers`, one thread each, rounds alternating in one run.

usage: compare_with_tokenizers.py BENCH MODEL ARCHIVE [--texts N] [--rounds N] [--full-length]

BENCH is the tokenizer_bench program, ARCHIVE aclImdb.tar.xz. Every text is cut
at 512 ids, or, with --full-length, at none: only then is every byte read. The peer is
the fastest of its own calls (encode, encode_batch, encode_batch_fast), chosen in the warm-up. Both
clocks hold encoding alone: texts in memory to ids in memory. The ids are compared first.
"""

import argparse
import os
import pathlib
import statistics
import struct
import subprocess
import sys
import tempfile
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"
sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "tools"))
import tokenizer_oracle


def spread(values, digits=1):
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:,.{digits}f} ({low:,.{digits}f}-{high:,.{digits}f})"


def timed(call, texts):
    begin = time.perf_counter()
    encodings = call(texts)
    return time.perf_counter() - begin, encodings


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bench")
    parser.add_argument("model")
    parser.add_argument("archive")
    parser.add_argument("--texts", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--full-length", action="store_true")
    options = parser.parse_args()

    reviews = list(tokenizer_oracle.reviews(options.archive))
    reviews = reviews[:: max(1, len(reviews) // options.texts)][: options.texts]
    texts = [r.decode("utf-8", "replace") for r in reviews]
    megabytes = sum(map(len, reviews)) / 1e6
    tokenizer = tokenizer_oracle.load(options.model)
    if not options.full_length:
        tokenizer.enable_truncation(512)
    calls = {
        "encode": lambda ts: [tokenizer.encode(t) for t in ts],
        "encode_batch": tokenizer.encode_batch,
        "encode_batch_fast": tokenizer.encode_batch_fast,
    }
    with tempfile.NamedTemporaryFile() as file:
        for review in reviews:
            file.write(struct.pack("<I", len(review)) + review)
        file.flush()
        ours = subprocess.Popen([options.bench, options.model, file.name, "--serve", str(1 << 30 if options.full_length else 512)], text=True,
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE)

        def our_round():
            ours.stdin.write("round\n")
            ours.stdin.flush()
            seconds, ids, total = ours.stdout.readline().split()
            return float(seconds), int(ids), int(total)

        _, ids, total = our_round()
        warm = {name: timed(call, texts) for name, call in calls.items()}
        peer = min(warm, key=lambda name: warm[name][0])
        wanted = [e.ids for e in warm[peer][1]]
        del warm
        if (ids, total) != (sum(map(len, wanted)), sum(map(sum, wanted))):
            sys.exit("the ids differ; run the slow tests")
        ratios, our_times, peer_times = [], [], []
        for _ in range(options.rounds):
            peer_times.append(timed(calls[peer], texts)[0])
            our_times.append(our_round()[0])
            ratios.append(peer_times[-1] / our_times[-1])
        ours.stdin.close()
        ours.wait()
    print(f"{len(texts)} reviews, {megabytes:.2f} MB, {ids} ids, {options.rounds} rounds; median (min-max)")
    for name, times in (("breakeven", our_times), (f"tokenizers.{peer}", peer_times)):
        print(f"{name:30} {spread([megabytes / t for t in times]):>24} MB/s "
              f"{spread([len(texts) / t for t in times], 0):>28} reviews/s")
    print(f"ratio {spread(ratios)}")


if __name__ == "__main__":
    main()
