#!/usr/bin/env python3
"""Writes the test data of Unigram tokenizers: texts with the ids of Hugging Face's `tokenizers`.

usage: make_unigram_goldens.py

  tests/text/golden/unigram.jsonl  tokenizer.json files with other settings over a small vocabulary,
                                   each with texts and ids
  tests/text/data/unigram/         tokenizer.json of the first of those
"""

import json
import random
import unicodedata

import charsmap
import tokenizer_oracle as oracle
from make_tokenizer_goldens import CASED_WORDS, ROOT, case, dump, judged

SPECIALS = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
DEBERTA_SPECIALS = ["[CLS]", "[PAD]", "[SEP]", "[UNK]", "[MASK]"]
BLANK = "\u2581"


def charsmap_rules():
    """Some hundred rules of nmt_nfkc, which is XLM-RoBERTa's map."""
    rules = {chr(c): "" for c in [*range(1, 9), 0xB, *range(0xE, 0x20), 0x7F, 0x8F, 0x9F]}
    spaces = [9, 10, 12, 13, 0xA0, 0x1680, *range(0x2000, 0x2010), 0x2028, 0x2029, 0x202F, 0x205F, 0x2581, 0x3000, 0xFEFF, 0xFFFD]
    rules.update({chr(c): " " for c in spaces})
    rules["\r\n"] = " "
    blocks = [(0xA8, 0xBF), (0x17F, 0x180), (0x1C4, 0x1CD), (0x2010, 0x2060), (0x2100, 0x2130), (0x2150, 0x2190), (0x2460, 0x2475),
              (0x3131, 0x3140), (0xF900, 0xF905), (0xFB00, 0xFB07), (0xFDFA, 0xFDFB), (0xFF01, 0xFFA0), (0x958, 0x960)]
    texts = [chr(c) for low, high in blocks for c in range(low, high)]
    texts += [base + mark for base in "aeioucnAEIOUCN\xbd\ufb01" for mark in "\u0301\u0300\u0302\u0308\u0327\u0303"]
    for text in texts:
        if (to := unicodedata.normalize("NFKC", text)) != text:
            rules.setdefault(text, to)
    return rules


def entries():
    """{entry: score}: words with and without a blank before them, their characters and beginnings."""
    rng = random.Random(23)
    scores = {BLANK: -3.0, ",": -3.5, ".": -3.25, "'": -5.0, "!": -6.0, "s": -3.75, "\u4e2d": -9.5, "\u6587": -9.5, "fi": -8.0,
              "1": -7.0, "2": -7.0, "\u2044": -11.0, "ab": -4.5, "bc": -3.0, "b": -2.5, "c": -4.0, "a": -2.0, "aa": -4.0, "aaa": -6.0}
    for word in [w.lower() for w in CASED_WORDS] + CASED_WORDS + [w for w in oracle.WORDS if w.isprintable()]:
        word = unicodedata.normalize("NFC", word)
        for part in (word[:2], word[:3], word, word[-3:]):
            scores.setdefault(BLANK + part, -round(rng.uniform(6, 14), 4))
            scores.setdefault(part, -round(rng.uniform(7, 15), 4))
        for c in word:
            scores.setdefault(c, -round(rng.uniform(5, 12), 4))
    return scores


def tokenizer(normalizer, split, vocabulary=None, rows=(), specials=True, added=None, **model):
    """tokenizer.json; `added`: {content: flags}."""
    rows = vocabulary or [*([t, 0.0] for t in SPECIALS[:4]), *map(list, entries().items()), *rows, [SPECIALS[4], 0.0]]
    ids = {e: i for i, (e, _) in enumerate(rows)}
    tokens = [dict(id=ids[t], content=t, single_word=False, lstrip=t == "<mask>", rstrip=False, normalized=False, special=True)
              for t in SPECIALS if t in ids and specials]
    for content, flags in (added or {}).items():
        free = max([len(rows)] + [t["id"] + 1 for t in tokens])
        tokens.append(dict(id=ids.get(content, free), content=content, single_word="w" in flags, lstrip="l" in flags,
                           rstrip="r" in flags, normalized="n" in flags, special=False))
    cls, sep = ({"SpecialToken": {"id": t, "type_id": 0}} for t in ("<s>", "</s>"))
    first, second = ({"Sequence": {"id": t, "type_id": 0}} for t in "AB")
    template = {"type": "TemplateProcessing", "single": [cls, first, sep], "pair": [cls, first, sep, sep, second, sep],
                "special_tokens": {t: {"id": t, "ids": [ids[t]], "tokens": [t]} for t in ("<s>", "</s>")}}
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": tokens, "normalizer": normalizer,
            "pre_tokenizer": split, "post_processor": template, "decoder": None,
            "model": {"type": "Unigram", "unk_id": ids["<unk>"], "vocab": rows, **model}}


def deberta(*first, before=()):
    """DeBERTa-v3's tokenizer.json as its files are: [MASK] behind the vocabulary, types of pairs, a Sequence of one Metaspace."""
    vocabulary = [*([t, 0.0] for t in ("<pad>", "<s>", "</s>", "<unk>")), *map(list, entries().items())]
    normalizer = sequence("normalizers", *first, {"type": "Strip", "strip_left": True, "strip_right": True},
                          charsmap.part(charsmap_rules()), replace(" {2,}", " "))
    split = sequence("pretokenizers", *before, metaspace(prepend_scheme="always", split=True))
    out = json.dumps(tokenizer(normalizer, split, vocabulary=vocabulary))
    for old, new in zip(SPECIALS, DEBERTA_SPECIALS):
        out = out.replace(f'"{old}"', f'"{new}"')
    out = json.loads(out)
    for token in out["added_tokens"]:
        token["normalized"] = token["content"] == "[UNK]"
    out["added_tokens"].append(dict(out["added_tokens"][0], id=len(vocabulary), content="[MASK]", normalized=False))
    template = out["post_processor"]
    template["pair"] = [*template["single"], {"Sequence": {"id": "B", "type_id": 1}},
                        {"SpecialToken": {"id": "[SEP]", "type_id": 1}}]
    return out


def replace(pattern, content, kind="Regex"):
    return {"type": "Replace", "pattern": {kind: pattern}, "content": content}


def sequence(field, *parts):
    return {"type": "Sequence", field: list(parts)}


def metaspace(**fields):
    return {"type": "Metaspace", "replacement": BLANK, **fields}


def variants():
    """(name, tokenizer.json)."""
    precompiled, blanks = charsmap.part(charsmap_rules()), replace(" {2,}", " ")
    strip = lambda left: {"type": "Strip", "strip_left": left, "strip_right": True}
    usual, plain = sequence("normalizers", precompiled, blanks), metaspace(add_prefix_space=True)
    words = {"type": "WhitespaceSplit"}
    small = [["<unk>", 0.0], ["<s>", 0.0], ["</s>", 0.0], [BLANK, -3], ["a", -2], ["b", -2.5], ["ab", -4.5], [BLANK + "a", -2.2],
             [BLANK + "ab", -6.9], ["c", -4], ["bc", -3]]
    positive = [["<unk>", 30.0], ["<s>", 25.0], ["</s>", 25.0], ["a", 24.0], ["ab", 60.5], ["abc", 70.0], ["\xe9\xe9", 21.0],
                [BLANK, 22.0], ["b", 23.5]]
    yield "XLM-RoBERTa", tokenizer(usual, plain)
    yield "words before Metaspace", tokenizer(precompiled, sequence("pretokenizers", words, metaspace()))
    yield "the end stripped", tokenizer(sequence("normalizers", precompiled, strip(False), replace(" {2,}", BLANK)),
                                        metaspace(prepend_scheme="always", split=True))
    yield "both ends stripped", tokenizer(sequence("normalizers", strip(True), precompiled, blanks), plain)
    yield "no map", tokenizer(None, plain)
    yield "never a blank", tokenizer(usual, metaspace(prepend_scheme="never"))
    yield "the first blank only", tokenizer(usual, metaspace(prepend_scheme="first", add_prefix_space=True))
    yield "no split", tokenizer(usual, metaspace(split=False))
    yield "words unsplit", tokenizer(usual, sequence("pretokenizers", words, metaspace(split=False)))
    yield "punctuation before Metaspace", tokenizer(usual, sequence("pretokenizers", {"type": "Punctuation", "behavior": "Isolated"},
                                                                    metaspace()))
    yield "another replacement", tokenizer(usual, metaspace(replacement="_"), rows=[["_the", -6.0], ["_a", -3.0]])
    yield "ties", tokenizer(None, plain, vocabulary=small)
    yield "bytes", tokenizer(usual, plain, byte_fallback=True,
                             rows=[[f"<0x{b:02X}>", -9.0] for b in [*range(0x40), *range(0x80, 0x100)]])
    yield "scores above nothing", tokenizer(None, plain, vocabulary=positive)
    yield "added tokens", tokenizer(usual, plain, added={"<l>": "l", "<r>": "rn", "movie": "", "\u4e2d": "lrn", "<s": "n",
                                                         "\ufb01lm": "n", "great": "w"})
    yield "no added tokens", tokenizer(usual, plain, specials=False)
    yield "literal replacements", tokenizer(
        sequence("normalizers", replace("``", '"', "String"), replace("''", "", "String"),
                 replace(r"\s{2,}|[\n\r\t]", " "), {"type": "Lowercase"}), plain)
    yield "DeBERTa", deberta()
    yield "DeBERTa, lower case and split at punctuation", deberta(
        {"type": "Lowercase"}, before=[{"type": "Punctuation", "behavior": "Isolated"}])


def rows():
    """The trap rows: what other Unigram tokenizers get wrong."""
    return [t.encode() for t in (
        "", " ", "   ", "a   ", "Hello world", "Hello, world!", "hello ", "  a", "a\nb", "a\tb", "a\u3000b", "a\xa0\xa0b", "a\u200bb",
        "a\u2028b", "\u2581", "\u2581\u2581", "a\u2581\u2581b", "\x1c", "\x1ca", "\x00", "a\x00b", "\x85", "\xad", "\xe9", "e\u0301",
        "a\u0300", "x\u0307", "\xbd", "\xbd\u0301", "\ufb01\u0301x", "e\u0301\u0302", "A\u0302\u0300", "\r\n", "a\r\nb", "\n\r",
        "\u1100\u1161\u11a8", "\uac00\u11a8\u0301", "\u304b\u3099", "\u203c", "\u2116", "\u2026", "\u017f", "\u01c4", "\u2153",
        "\ufdfa", "\u4e2d\u6587\u5b57", "a" * 20, "1,234.5", "a<mask>b", "a <mask> b", "a\u3000\xa0<mask>", "<s>a</s>", "<unk>",
        "x<unk>y", "<pad>", "<mask><mask>", "<mas", "\U0001f468\u200d\U0001f469", "\U0001f468\u200d\u2122\u0301",
        "\xa9\u200d\u2122\u0301", "\u0915\u094d\u0958\u0301", "\u0915\u0958\u0301", "\u0915\u094d\u200c\u0958\u0301", "\u0600a\u0301",
        "\u0600\ufb01", "\u0600\u0301", "\u0600\n", "\U0001f1e9\U0001f1ea\u0301", "a\u0301\u200d\u0302", "\xa0\u0301", "ab", "abc",
        "xyz", "axxb", "ax y", "ab ", "  ab", "abcdacdxx", "\xe9\xe9", "aaaaaaaaab", "``a''", "'''", "don't",
        "The movie was unaffable", "telecommunications", "1999-2026", "ab" * 60 + "c", "hello" * 40, "\u0301" * 9, "\u4e2d" * 40,
        "\U000e0020", "a_b _ c")] + [b"a" + x + b"b" for x in oracle.BROKEN] + [
            b"<mask\xff>", b"\xe2<s>", b"\xc3 <mask>", b"\xf0\x9f<mask>\x80", b"end\xc3"]


def spelled(text, specials):
    for old, new in zip(SPECIALS, specials):
        text = text.replace(old.encode(), new.encode())
    return text


def main():
    from tokenizers import Tokenizer

    rng = random.Random(24)
    with open(ROOT / "golden/unigram.jsonl", "w") as file:
        for name, tokenizer_json in variants():
            if name == "XLM-RoBERTa":
                (ROOT / "data/unigram").mkdir(parents=True, exist_ok=True)
                (ROOT / "data/unigram/tokenizer.json").write_text(json.dumps(tokenizer_json) + "\n")
            judge = Tokenizer.from_str(json.dumps(tokenizer_json))
            known = sorted(e.replace(BLANK, " ") for e in judge.get_vocab())
            specials = DEBERTA_SPECIALS if name.startswith("DeBERTa") else SPECIALS
            cases = [case(spelled(t, specials)) for t in rows()]
            for n in (0, 1, 2, 3, 4, 7):
                for left in (False, True):
                    cases.append(case(b"hello hello the movie", b"a", n, left))
                    cases.append(case(b"hello hello", b"hello hello a", n, left, rng.random() < 0.6))
            while len(cases) < 180:
                second = oracle.cluster_text(rng, known, specials) if rng.random() < 0.15 else None
                cases.append(case(oracle.cluster_text(rng, known, specials + [" " + specials[4]]), second,
                                  rng.choice([None, None, 12, 7]), rng.random() < 0.3, rng.random() < 0.9))
            dump({"name": name, "tokenizer": tokenizer_json, "cases": judged(judge, cases)}, file)


if __name__ == "__main__":
    main()
