#!/usr/bin/env python3
"""What Python adds: a list of str beside a column of Arrow's, in turns; import and the first label in fresh processes; how soon Ctrl-C is obeyed.

usage: costs.py TEXTS.jsonl [--model builtin] [--count 256] [--rounds 9] [--precision int8]     needs this package and pyarrow
"""
import argparse
import itertools
import json
import os
import signal
import statistics
import subprocess
import sys
import threading
import time

import pyarrow

import breakeven

FIRST_LABEL = """
import sys, time
begin = time.perf_counter()
import breakeven
imported = time.perf_counter()
breakeven.pipeline(model=sys.argv[1])("A first text.")
print(imported - begin, time.perf_counter() - begin)
"""


def shown(values, unit, digits):
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f}-{max(values):.{digits}f}) {unit}"


def list_beside_column(model, precision, texts, rounds):
    clf, column = breakeven.pipeline(model=model, precision=precision), pyarrow.array(texts)
    ways, rates = {"column": lambda: clf.arrow(column), "list": lambda: clf(texts)}, {"column": [], "list": []}
    for way in ways.values():
        way()
    for turn in range(rounds):
        for name in sorted(ways, reverse=turn % 2 == 1):
            begin = time.perf_counter()
            ways[name]()
            rates[name].append(len(texts) / (time.perf_counter() - begin))
    print(f"{model}, {precision}, {len(texts)} texts, {rounds} rounds: column {shown(rates['column'], 'texts/s', 1)}, list {shown(rates['list'], 'texts/s', 1)}")
    print(f"  time of a list over that of a column: {shown([one / other for one, other in zip(rates['column'], rates['list'])], '', 3)}")


def first_label(model, rounds):
    runs = [subprocess.run([sys.executable, "-c", FIRST_LABEL, model], capture_output=True, text=True, check=True).stdout.split() for _ in range(rounds)]
    for name, column in zip(("import", "import to first label"), zip(*runs)):
        print(f"{name}, {rounds} processes: {shown([float(each) for each in column], 's', 3)}")


def until_it_ends(call, delay):
    """-> seconds from the signal to the exception."""
    sent = []

    def press():
        time.sleep(delay)
        sent.append(time.perf_counter())
        os.kill(os.getpid(), signal.SIGINT)
    thread = threading.Thread(target=press)
    try:
        thread.start()
        call()
        while True:  # the call was over before
            time.sleep(1)
    except KeyboardInterrupt:
        ended = time.perf_counter()
    thread.join()
    return ended - sent[0]


def ctrl_c(model, precision, texts):
    clf = breakeven.pipeline(model=model, precision=precision)
    many = list(itertools.islice(itertools.cycle(texts), 1_000_000))
    column = pyarrow.DictionaryArray.from_arrays(pyarrow.repeat(pyarrow.scalar(0, pyarrow.int8()), 20_000_000), ["A short text."])
    batch = pyarrow.record_batch({"body": texts})
    for name, call in {f"a list of {len(many):,}": lambda: clf(many), "a column of 20,000,000 rows": lambda: clf.arrow(column),
                       "a stream without an end": lambda: clf.arrow(pyarrow.RecordBatchReader.from_batches(batch.schema, itertools.repeat(batch))),
                       "a generator": lambda: list(clf(text for text in many))}.items():
        delays = [0.01 + 0.1 * turn for turn in range(12)]  # while it is read, tokenized, computed
        print(f"Ctrl-C in {name}: {shown([until_it_ends(call, delay) for delay in delays], 's', 3)}, {len(delays)} tries")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("texts")
    parser.add_argument("--model", default="builtin")
    parser.add_argument("--count", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--precision", default="int8")
    options = parser.parse_args()
    with open(options.texts, encoding="utf-8") as file:
        texts = [json.loads(line)["text"] for line in itertools.islice(file, options.count)]
    first_label(options.model, options.rounds)
    list_beside_column(options.model, options.precision, texts, options.rounds)
    list_beside_column("builtin-narrow", options.precision, texts, options.rounds)
    ctrl_c(options.model, options.precision, texts)


if __name__ == "__main__":
    main()
