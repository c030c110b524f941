#!/usr/bin/env python3
"""Our tokenizer against Hugging Face's `tokenizers` and, where it is installed, `tokie`: one thread each, in turns within one run.

usage: compare_with_tokenizers.py BENCH MODEL ARCHIVE [--texts N] [--rounds N] [--full-length]

BENCH is the tokenizer_bench program, MODEL a folder with a tokenizer.json, ARCHIVE aclImdb.tar.xz. Every text is cut
at 512 ids, or, with --full-length, at none: only then is every byte read. Each peer takes
the fastest of its own calls (encode, or one of CALLS), chosen in the warm-up. All
clocks hold encoding alone: texts in memory to ids in memory. The ids are compared first.
"""

import argparse
import importlib.metadata
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


CALLS = ("encode_batch", "encode_batch_fast", "encode_batch_flat")


def spread(values):
    low, middle, high = (f"{v:,.0f}" if v >= 100 else f"{v:.3g}" for v in (min(values), statistics.median(values), max(values)))
    return f"{middle} ({low}-{high})"


class Ours:
    def __init__(self, bench, model, file, limit):
        self.process = subprocess.Popen([bench, model, file, "--serve", str(limit)], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.name = "breakeven"

    def round(self):
        self.process.stdin.write("round\n")
        self.process.stdin.flush()
        seconds, self.ids, self.total = self.process.stdout.readline().split()
        return float(seconds)


class Peer:
    """A tokenizer of another package, by the fastest of its calls."""

    def __init__(self, package, tokenizer, texts, limit):
        self.name = f"{package} {importlib.metadata.version(package)}"
        self.tokenizer, self.texts = tokenizer, texts
        # Not all packages put special tokens around a text.
        self.ids = [list(tokenizer.encode(text, add_special_tokens=False).ids) for text in texts]
        if limit:
            tokenizer.enable_truncation(limit)
        calls = [lambda ts: [tokenizer.encode(t) for t in ts]]
        calls += [getattr(tokenizer, name) for name in CALLS if hasattr(tokenizer, name)]
        self.call = min(calls, key=lambda call: min(self.timed(call)[0] for _ in range(2)))

    def timed(self, call):
        begin = time.perf_counter()
        kept = call(self.texts)  # freed behind the clock
        return time.perf_counter() - begin, kept

    def round(self):
        return self.timed(self.call)[0]


def make_peers(model, texts, limit):
    yield Peer("tokenizers", tokenizer_oracle.load(model), texts, limit)
    try:
        import tokie
    except ImportError:
        print("tokie is not installed here")
        return
    tokenizer = tokie.Tokenizer.from_json(str(pathlib.Path(model) / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    yield Peer("tokie", tokenizer, texts, limit)


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
    limit = 0 if options.full_length else 512
    with tempfile.NamedTemporaryFile() as file:
        for review in reviews:
            file.write(struct.pack("<I", len(review)) + review)
        file.flush()
        ours = Ours(options.bench, options.model, file.name, limit or 1 << 30)
        peers = list(make_peers(options.model, texts, limit))
        wanted = [encoding.ids for encoding in peers[0].tokenizer.encode_batch(texts)]
        ours.round()
        if (int(ours.ids), int(ours.total)) != (sum(map(len, wanted)), sum(map(sum, wanted))):
            sys.exit("the ids differ from those of tokenizers; run the slow tests")
        times = {one: [] for one in [*peers, ours]}
        for _ in range(options.rounds):
            for one in times:
                times[one].append(one.round())
        ours.process.stdin.close()
        ours.process.wait()
    print(f"{len(texts)} reviews, {megabytes:.2f} MB, {ours.ids} ids, {options.rounds} rounds; median (min-max)")
    for one in reversed(times):
        ratios = [theirs / own for theirs, own in zip(times[one], times[ours])]
        wrong = 0 if one is ours else sum(ids != right for ids, right in zip(one.ids, peers[0].ids))
        print(f"| {one.name} | {spread([megabytes / t for t in times[one]])} MB/s | {spread([len(texts) / t for t in times[one]])} reviews/s"
              + ("" if one is ours else f" | breakeven is {spread(ratios)} times as fast | other ids in {wrong} texts") + " |")


if __name__ == "__main__":
    main()
