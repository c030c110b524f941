#!/usr/bin/env python3
"""Writes XLM-RoBERTa's real tokenizer, 250,002 entries, from the package semantra_multilingual.

usage: xlm_roberta_vocabulary.py OUT KIND

OUT is a folder; KIND is how the file stands there: `blanks` (Metaspace behind a normalizer that joins blanks, as the package
has it), `words` (WhitespaceSplit before Metaspace, as the files of 2020 have it) or `right` (the end stripped, as Transformers 4
converts it today). They differ in what becomes of white space at the ends.
"""

import importlib.util
import json
import pathlib
import sys

BLANKS = {"Regex": " {2,}"}


def tokenizer_json(kind):
    package = pathlib.Path(importlib.util.find_spec("semantra_multilingual").origin).parent
    file = json.loads((package / "assets/multilingual-e5-small/tokenizer.json").read_text("utf-8"))
    charsmap, metaspace = file["normalizer"]["normalizers"][0], file["pre_tokenizer"]
    if kind == "words":
        file["normalizer"] = charsmap
        file["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, metaspace]}
        next(t for t in file["added_tokens"] if t["content"] == "<mask>")["lstrip"] = True
    if kind == "right":
        file["normalizer"]["normalizers"] = [charsmap, {"type": "Strip", "strip_left": False, "strip_right": True},
                                             {"type": "Replace", "pattern": BLANKS, "content": "\u2581"}]
        file["pre_tokenizer"] = {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always", "split": True}
    return file


def main():
    out = pathlib.Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    (out / "tokenizer.json").write_text(json.dumps(tokenizer_json(sys.argv[2]), ensure_ascii=False), "utf-8")


if __name__ == "__main__":
    main()
