#!/usr/bin/env python3
"""The pipeline beside transformers' on the same texts, text to label, in turns within one process.

usage: against_transformers.py MODEL_FOLDER TEXTS.jsonl [--count 64] [--join 1] [--rounds 3] [--precision int8] [--batch 1,8,32]
       against_transformers.py --make MODEL_FOLDER TOKENIZER_FOLDER      a DistilBERT of random weights, which takes as long as a trained one
Needs: this package, torch and transformers in one environment; pyarrow for the column. Prints texts a second, and ratios within a round.
"""
import argparse
import itertools
import json
import os
import statistics
import sys
import time


def texts_of(path, count, join):
    """Text number i is (i modulo join) + 1 lines of the file, one behind the other: lengths as different as those of reviews."""
    with open(path, encoding="utf-8") as file:
        lines = itertools.cycle([json.loads(line)["text"] for line in file])
    return [" ".join(itertools.islice(lines, index % join + 1)) for index in range(count)]


def make(folder, tokenizer):
    import transformers
    model = transformers.DistilBertForSequenceClassification(transformers.DistilBertConfig())
    model.save_pretrained(folder)
    transformers.AutoTokenizer.from_pretrained(tokenizer).save_pretrained(folder)


def main():
    if sys.argv[1:2] == ["--make"]:
        return make(*sys.argv[2:4])
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("texts")
    parser.add_argument("--count", type=int, default=64)
    parser.add_argument("--join", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--precision", default="int8")
    parser.add_argument("--batch", default="1,8,32", help="batch_size of transformers: the best one counts")
    options = parser.parse_args()
    begin = time.perf_counter()
    import breakeven
    imported = time.perf_counter()
    ours = breakeven.pipeline(model=options.model)
    ours("A first text.")
    labelled = time.perf_counter()
    print(f"import {imported - begin:.3f} s, first label {labelled - begin:.3f} s after that began")
    best = breakeven.pipeline(model=options.model, precision=options.precision)

    import torch
    import transformers
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    theirs = transformers.pipeline("text-classification", model=options.model, device="cpu", dtype=torch.float32)
    texts = texts_of(options.texts, options.count, options.join)
    ways = {"fp32": lambda: ours(texts), options.precision: lambda: best(texts)}
    for batch in options.batch.split(","):
        ways[f"transformers fp32, batch_size={batch}"] = lambda batch=batch: theirs(texts, batch_size=int(batch), truncation=True)
    try:
        import pyarrow
        column = pyarrow.array(texts)
        ways["fp32 by arrow"] = lambda: ours.arrow(column)
    except ImportError:
        pass
    for way in ways.values():
        way()
    rates = {name: [] for name in ways}
    for _ in range(options.rounds):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            rates[name].append(len(texts) / (time.perf_counter() - start))
    for name, each in rates.items():
        print(f"{name:36} {statistics.median(each):8.1f} texts/s ({min(each):.1f}-{max(each):.1f})")
    others = max((each for name, each in rates.items() if name.startswith("transformers")), key=statistics.median)
    for name, each in rates.items():
        if not name.startswith("transformers"):
            ratios = [one / other for one, other in zip(each, others)]
            print(f"{name:36} {statistics.median(ratios):8.2f} x transformers at its best ({min(ratios):.2f}-{max(ratios):.2f})")


if __name__ == "__main__":
    main()
