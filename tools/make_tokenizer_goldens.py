#!/usr/bin/env python3
"""Writes the tokenizer's test data: a small cased vocabulary, and texts with Hugging Face's ids.

usage: make_tokenizer_goldens.py BUILT_IN UNCASED   (folders: models/builtin, a bert-base-uncased)
       make_tokenizer_goldens.py --byte-level        only the last of these files

  tests/text/data/cased/           vocab.txt and tokenizer_config.json, made up here
  tests/text/golden/texts.jsonl    texts (or bytes) with ids under three vocabularies
  tests/text/golden/variants.jsonl tokenizer.json files with other settings over a small vocabulary,
                                   each with texts and ids
  tests/text/golden/byte_level.jsonl the same for byte-level BPE
  tests/text/data/byte_level/      vocab.json, merges.txt and tokenizer_config.json of the first of those
"""

import json
import pathlib
import random
import sys

import tokenizer_oracle as oracle

ROOT = pathlib.Path(__file__).parents[1] / "tests/text"
SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]

CASED_WORDS = """the The THE movie Movie was great Great not a an of and to in it is this that film story
plot actor Hello World hello world Caf\u00e9 caf\u00e9 na\u00efve \u00dcber \u00fcber stra\u00dfe run running unwanted
\u0395\u03bb\u03bb\u03ac\u03b4\u03b1 \u039c\u03bf\u03c3\u03ba\u03b2\u03b0 \u043a\u0438\u043d\u043e \u041a\u0438\u043d\u043e \ud55c\uad6d
I Istanbul \u0130stanbul 1999 2026 telecommunications internationalization un able aff ning""".split()
CASED_PIECES = """s ed ing er est ly able aff un ness 's t re tion ization \u00e9 \u00eft \u0301 \u0308 e\u0301 \uad6d \u0438\u043d\u043e
ring st ck""".split()


def cased_vocabulary():
    characters = [chr(c) for c in range(0x21, 0x7F)] + [chr(c) for c in range(0xA1, 0x180)]
    characters += list("\u0391\u0395\u039f\u03a3\u03b1\u03b4\u03b5\u03bb\u03bf\u03c2\u03c3\u0410\u041a\u041c\u0430\u0438\u0439\u043a\u043d\u043e\u2013\u2014\u2018\u2019\u201c\u201d\u2026\u20ac\u2122\u4e2d\u6587\u65e5\u6708\u3001\u3002\ud55c\u0939\u093f\u0928")
    characters += ["\u0301", "\u0308", "\u1100", "\u1161"]
    entries = SPECIALS + characters + ["##" + c for c in characters if not (c.isascii() and not c.isalnum())]
    entries += CASED_WORDS + ["##" + p for p in CASED_PIECES]
    return list(dict.fromkeys(entries))


def rows():
    """The trap rows: what other tokenizers get wrong."""
    out = ["", " \t\n ", "\u0301", "\xad", "\u200e\u200f", "foo[MASK]bar", "[[SEP]]", "a[SEP][SEP]b", "[sep]",
           "[ SEP ]", "[SE\u200bP]", "[unused1]", "##ing", "\uff3bSEP\uff3d", "[CLS]\u0301e", "[PAD] x [UNK]",
           "Caf\u00e9", "Cafe\u0301", "Cafe\u200b\u0301", "\u0130stanbul", "I\u0307", "\u0131", "\u039f\u0394\u039f\u03a3",
           "\u03bf\u03b4\u03bf\u03c2", "stra\u00dfe", "\u1e9e", "\u00e6", "\u0142\u00f3d\u017a", "\ufb01lm", "\u212b \u2126 \u212a",
           "\uff21\uff42", "\u2160", "\U0001d400", "word\x96word", "it\x92s", "caf\u00c3\u00a9", "don\u2019t",
           "\u201cquote\u201d", "a\u2013b\u2014c", "a\u2026b", "...", "<br />", "a|b~c^d", "a+b=c", "a\u2260b", "a\u226eb",
           "a\u226fb", "\u1fef", "x\u00b4s", "1\u00bd", "50\u00b0C", "\u00a3100", "\u20ac5", "$5", "\u00ab\u00a0oui\u00a0\u00bb",
           "\u00bfqu\u00e9?", "10\u2032", "\u00a1the", "a\u2e43b", "a\u1b7db", "a\u166db", "\u53f0\u5317\u202708\u670820\u65e5",
           "ah\u535a\u63a8zz", "\u4e2d\u6587", "\uf900", "a\U0002b820b", "a\U0002b920b", "a\U0002b81fb", "a\U00020000b",
           "\u30d0", "\u30cf\u3099", "\u3072\u3089\u304c\u306a", "\ud55c\uad6d\uc5b4", "\uac00", "\u1100\u1161",
           "\u0939\u093f\u0928\u094d\u0926\u0940", "\u0645\u064f\u062d\u064e\u0645\u0651\u064e\u062f", "\u05e9\u05b8\u05c1\u05dc\u05d5\u05b9\u05dd",
           "\u0439", "\u0457", "\U0001f971 \U0001f4f7\U0001f90f \U0001f9be", "good\U0001f600", "\u2764\ufe0f",
           "\U0001f468\u200d\U0001f469\u200d\U0001f467", "a\u0334b", "a\u1dfbb", "a\u08d4b", "a\U0001d165b", "\u1c90",
           "\U00010400", "\U0001e900", "\ua7cb", "a" * 100, "a" * 101, "\u00e9" * 100, "e\u0301" * 100, "\ud55c" * 33,
           "\ud55c" * 34, "x" * 99 + "!", "ab\u4e2d" * 60, "UNwant\u00e9d,running", "A, na\u00efve [MASK] AllenNLP sentence.",
           " \tHeLLo!how  \n Are yoU?  ", "a\n'll !!to?'d of, can't.", "\uc544 \u314b", "\uc544\u314b",
           "\u0e2a\u0e32\u0e19\u0e31\u0e01", "unaffable", "good\U0001f600 end", "b\u0301\u0323\u0327 x\u0323\u0301",
           "dGhlIHF1aWNrIGJyb3duIGZveCBqdW1wcyBvdmVyIHRoZSBsYXp5IGRvZw==" * 3, "x\x00y\x00", "\x00", "a" * 15 + " " + "b" * 16 + " " + "c" * 17]
    for c in (0xA0, 0x2028, 0x2029, 0x3000, 0x1680, 0x2003, 0x85, 0xB, 0xC, 0x1C, 0, 0xFFFD, 0x200B, 0x200D, 0xAD,
              0xFEFF, 0x180E, 0xE000, 0xF0B7, 0xFFFF, 0x378, 0x890):
        out.append(f"a{chr(c)}b")
    broken = [b"a" + b + b"b" for b in oracle.BROKEN] + [b"[SE\xffP]", b"[SEP\xff]", b"caf\xe9", b"the \xf0\x9f", b"\xe4[SEP]",
              b"x\xe2\x82\xe2\x82\xacy", b"\xef\xbf\xbd", b"end\xc3"]
    return [t.encode() for t in out] + broken


def block_texts(rng):
    """Every block of 256 code points: some of its members, alone and inside a word."""
    for block in range(0, 0x110000, 0x100):
        if 0xD800 <= block < 0xE000 or (0x30000 <= block < 0xE0000 and block % 0x8000):
            continue
        if block >= 0xE1000 and block % 0x8000:
            continue
        if 0x20000 < block < 0x30000 and block % 0x800 or 0x3500 <= block < 0xD700 and block % 0x400:
            continue
        members = [chr(rng.randrange(block, block + 0x100)) for _ in range(5)]
        yield " ".join(["a" + members[0] + "b"] + members[1:3] + [members[3] + members[4]]).encode()


def boundary_cases(rng):
    """Texts around the cut: the last word splits, is unknown, or goes on behind removed characters."""
    for tail in ("unaffable running", "good\U0001f600 x", "caf\u00e9 x", "wor\u200bd x", "[SEP] x", "... x", "\u4e2d\u6587 x"):
        for words in range(0, 9):
            text = ("the movie was " * 3).split()[:words]
            yield (" ".join(text + [tail])).encode(), rng.choice([5, 6, 7, 8, 9, 10, 11, 12])


def case(first, second=None, max_length=None, left=False, special=True):
    return {"first": first, "second": second, "max_length": max_length, "left": left, "special": special}


def cases():
    rng = random.Random(20)
    words = CASED_WORDS + oracle.WORDS
    specials = SPECIALS + [s.lower() for s in SPECIALS]
    texts = rows() + list(block_texts(rng))
    out = [case(t) for t in texts]
    out += [case(t, max_length=n, left=left) for t, n in boundary_cases(rng) for left in (False, True)]
    for n in (0, 1, 2, 3, 4, 512):
        for left in (False, True):
            out.append(case(b"one two three four five", max_length=n, left=left))
            out.append(case(b"one two three four five", b"six seven eight", n, left))
            out.append(case(b"one two three", max_length=n, left=left, special=False))
            out.append(case(b"one two", b"six seven eight", n, left, special=False))
    for a in (0, 1, 4, 7, 9):
        for b in (0, 1, 5, 7, 10):
            for n in (5, 8, 11, 12):
                out.append(case(b"the " * a, b"movie " * b, n, rng.random() < 0.3))
    out += [case(b"the " * 509 + b"unaffable", max_length=512), case(b"unaffable " * 300, max_length=512),
            case(b"good \xf0\x9f\x98\x80 " * 300, max_length=512, left=True)]
    while len(out) < 2300:
        second = oracle.random_text(rng, words, specials) if rng.random() < 0.1 else None
        out.append(case(oracle.random_text(rng, words, specials), second,
                        rng.choice([None, None, 512, 32, 12, 9, 6, 4]), rng.random() < 0.3, rng.random() < 0.9))
    return [c for c in out if len(c["first"]) < 6000]


def plain(fields):
    """A case as JSON: text where it is UTF-8, hexadecimal bytes where it is not; defaults left out."""
    out = {}
    for name in ("first", "second"):
        if fields[name] is None:
            continue
        try:
            out[name] = fields[name].decode()
        except UnicodeDecodeError:
            out[name + "_hex"] = fields[name].hex()
    if fields["max_length"] is not None:
        out["max_length"] = fields["max_length"]
    if fields["left"]:
        out["left"] = True
    if not fields["special"]:
        out["special"] = False
    return out


def variants():
    """(name, tokenizer.json) over the cased vocabulary."""
    def base(**changes):
        # Without marks, so that the one-pass route is allowed where accents go.
        entries = [e for e in cased_vocabulary() if "\u0301" not in e and "\u0308" not in e]
        vocabulary = {e: i for i, e in enumerate(entries)}
        piece = lambda kind, name, t: {kind: {"id": name, "type_id": t}}
        cls, sep = piece("SpecialToken", "[CLS]", 0), piece("SpecialToken", "[SEP]", 0)
        normalizer = dict(type="BertNormalizer", clean_text=True, handle_chinese_chars=True, strip_accents=None, lowercase=True)
        normalizer.update({k: v for k, v in changes.items() if k in normalizer})
        model = dict(type="WordPiece", unk_token="[UNK]", continuing_subword_prefix="##", max_input_chars_per_word=100)
        model.update({k: v for k, v in changes.items() if k in model})
        if "words" in changes:
            vocabulary.update({w: len(vocabulary) + i for i, w in enumerate(changes["words"])})
        added = [dict(id=vocabulary[s], content=s, single_word=False, lstrip=False, rstrip=False, normalized=False,
                      special=True) for s in SPECIALS]
        for content, flags in changes.get("added", {}).items():
            free = max([len(vocabulary)] + [t["id"] + 1 for t in added])
            added.append(dict(id=vocabulary.get(content, free), content=content, single_word=False,
                              lstrip="l" in flags, rstrip="r" in flags, normalized="n" in flags, special=False))
        post = changes.get("post", {
            "type": "TemplateProcessing", "single": [cls, piece("Sequence", "A", 0), sep],
            "pair": [cls, piece("Sequence", "A", 0), sep, piece("Sequence", "B", 1), piece("SpecialToken", "[SEP]", 1)],
            "special_tokens": {s: {"id": s, "ids": [vocabulary[s]], "tokens": [s]} for s in ("[CLS]", "[SEP]")}})
        return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added,
                "normalizer": changes.get("normalizer", normalizer), "pre_tokenizer": {"type": "BertPreTokenizer"},
                "post_processor": post, "decoder": None, "model": {**model, "vocab": vocabulary}}

    yield "uncased", base()
    yield "marks in an uncased vocabulary", base(words=["e\u0301", "\u0323", "##\u0323"])
    yield "cased but without accents", base(lowercase=False, strip_accents=True)
    yield "uncased with accents", base(strip_accents=False)
    yield "no cleaning", base(clean_text=False, words=["a\u0085", "\u0085", "##\u200b"])
    yield "no cleaning, cased", base(clean_text=False, lowercase=False)
    yield "no CJK spacing", base(handle_chinese_chars=False, words=["\u4e2d\u6587", "##\u6587"])
    yield "no normaliser", base(normalizer=None)
    yield "short words only", base(max_input_chars_per_word=5)
    yield "twenty characters", base(max_input_chars_per_word=20)
    yield "another prefix", base(continuing_subword_prefix="@@", words=["@@s", "@@ing", "@@a", "@@e"])
    yield "a prefix of letters", base(continuing_subword_prefix="zz", words=["zzs", "zzing", "zza", "zze"])
    yield "added tokens", base(added={"<br />": "", "[X]": "", "[XY]": "", "<b": ""})
    yield "added tokens that strip", base(added={"<l>": "l", "<r>": "r", "<lr>": "lr"})
    yield "added words", base(added={"movie": "", "was gr": "", "\u4e2d": ""})
    yield "normalised added tokens", base(added={"Great": "n", "<N>": "n", "Caf\u00e9": "n"})
    yield "BertProcessing", base(post={"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]})
    yield "no post-processor", base(post=None)


def variant_cases(rng):
    words = CASED_WORDS + oracle.WORDS + ["<br />", "[X]", "[XY]", "[XYZ]", "<b", "<l>", " <l> ", "<r>  ", " <lr> ", "was gr",
                                          "was great", "GREAT", "<n>", "CAF\u00c9", "a\u0085b", "x\u200by", "\u4e2d\u6587", "e\u0301\u0323"]
    out = [case(t) for t in rng.sample(rows(), 50)]
    while len(out) < 130:
        second = oracle.random_text(rng, words, SPECIALS) if rng.random() < 0.15 else None
        out.append(case(oracle.random_text(rng, words, SPECIALS), second, rng.choice([None, None, 12, 7]),
                        rng.random() < 0.3, rng.random() < 0.9))
    return out


BYTE_LEVEL_SPECIALS = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]


def byte_level_parts():
    """(entries, merges) of a few words and pieces, as their files spell bytes."""
    spell = {b: chr(b) for b in range(256) if 0x21 <= b <= 0x7E or 0xA1 <= b <= 0xFF and b != 0xAD}
    spell.update({b: chr(0x100 + i) for i, b in enumerate(b for b in range(256) if b not in spell)})
    entries, merges = [spell[b] for b in range(256)], []
    for word in ["he", " he", " the", " hello", "hello", "aa", "aaaa", "aaaaaaaa", " movie", "movie", "er", "ing", "n't", "'s",
                 "'ll", "  ", "    ", "\n\n", "12", "123", "caf\u00e9", "\u00e9", "\u4e2d", "\U0001f600", "...", " great", "est",
                 "bc", "ab", "abc", " un", "able", " unable", "..", "br", " <", "!!", "\u00a0", " \u0433\u0434\u0435"]:
        spelled = [spell[b] for b in word.encode()]
        while len(spelled) > 1:  # the left end grows, or what is known already
            at = next((i for i in range(len(spelled) - 1) if spelled[i] + spelled[i + 1] in entries), 0)
            pair, joined = (spelled[at], spelled[at + 1]), spelled[at] + spelled[at + 1]
            if pair not in merges:
                merges.append(pair)
            if joined not in entries:
                entries.append(joined)
            spelled[at:at + 2] = [joined]
    return entries, merges


def byte_level_variants():
    """(name, tokenizer.json)."""
    def base(**changes):
        entries, merges = byte_level_parts()
        entries = [e for e in entries if e not in changes.get("without", ())]
        merges = [m for m in merges if all(e in entries for e in (*m, "".join(m)))] + changes.get("merges", [])
        names = BYTE_LEVEL_SPECIALS[:4] + entries + changes.get("entries", []) + BYTE_LEVEL_SPECIALS[4:]
        vocabulary = {e: i for i, e in enumerate(dict.fromkeys(names))}
        added = [dict(id=vocabulary[t], content=t, single_word=False, lstrip=t == "<mask>", rstrip=False,
                      normalized=t != "<mask>", special=True) for t in BYTE_LEVEL_SPECIALS]
        for content, flags in changes.get("added", {}).items():
            free = max([len(vocabulary)] + [t["id"] + 1 for t in added])
            added.append(dict(id=vocabulary.get(content, free), content=content, single_word=False,
                              lstrip="l" in flags, rstrip="r" in flags, normalized="n" in flags, special=False))
        byte_level = dict(type="ByteLevel", add_prefix_space=False, trim_offsets=True, use_regex=True)
        model = dict(type="BPE", dropout=None, unk_token=None, continuing_subword_prefix="", end_of_word_suffix="",
                     fuse_unk=False, byte_fallback=False, ignore_merges=False)
        post = {"type": "RobertaProcessing", "sep": ["</s>", 2], "cls": ["<s>", 0], "trim_offsets": True,
                "add_prefix_space": False}
        model.update({k: v for k, v in changes.items() if k in model})
        byte_level.update({k: v for k, v in changes.items() if k in byte_level})
        merges = [list(m) for m in merges] if changes.get("pairs") else [" ".join(m) for m in merges]
        return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added,
                "normalizer": changes.get("normalizer"), "pre_tokenizer": byte_level,
                "post_processor": changes.get("post", post), "decoder": {**byte_level},
                "model": {**model, "vocab": vocabulary, "merges": merges}}

    piece = lambda kind, name, t: {kind: {"id": name, "type_id": t}}
    template = {"type": "TemplateProcessing", "single": [piece("SpecialToken", "<s>", 0), piece("Sequence", "A", 0)],
                "pair": [piece("SpecialToken", "<s>", 0), piece("Sequence", "A", 0), piece("SpecialToken", "</s>", 1),
                         piece("Sequence", "B", 1)],
                "special_tokens": {t: {"id": t, "ids": [i], "tokens": [t]} for t, i in (("<s>", 0), ("</s>", 2))}}
    yield "RoBERTa", base()
    yield "a blank in front", base(add_prefix_space=True)
    yield "merges as pairs", base(pairs=True, add_prefix_space=True)
    yield "no pattern", base(use_regex=False)
    yield "entries without merges", base(ignore_merges=True, entries=["whole", "\u0120whole", "!?"])
    yield "entries that nothing makes", base(entries=["whole", "\u0120whole", "\u4e2d"])
    yield "bytes that vanish", base(without=["x", "!", "\u00c3", "\u0120"])
    yield "unknown bytes", base(without=["x", "!", "\u00c3"], unk_token="<unk>")
    yield "runs of unknown bytes", base(without=["x", "!", "\u00c3"], unk_token="<unk>", fuse_unk=True)
    yield "a pair twice", base(merges=[("h", "e"), ("a", "b")])
    yield "a template", base(post=template)
    yield "ByteLevel behind the model", base(post={"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False})
    yield "added tokens", base(added={"<l>": "l", "<r>": "rn", "movie": "", "\u4e2d": "lrn", "<s": "n"})
    yield "a normaliser", base(normalizer={"type": "BertNormalizer", "clean_text": False, "handle_chinese_chars": False,
                                          "strip_accents": False, "lowercase": True})
    # As ModernBERT: NFC, and added tokens for runs of blanks, which take the blank of the word behind them.
    yield "NFC and runs of blanks", base(normalizer={"type": "NFC"}, added={" " * n: "n" for n in range(24, 1, -1)})


def byte_level_rows():
    """The trap rows: what other byte-level tokenizers get wrong."""
    return [t.encode() for t in (
        "", " ", "   ", "a   ", "Hello world", " Hello", "hello  world", "hello   world", "a \n b", "a\n\nb", "a\t\tb",
        "a\u3000b", "a\xa0b", "a\xa0\xa0b", "a\x85b", "a\u200bb", "\ufeffx", "it's IT'S it\u2019s", "'s", "''s", "x'sy",
        "rock'n'roll", "we'll 'llama", "\t'd", "123 1234a", "\xbd\xb2", "\u0663\u0664", "\u2167\u2460", "\xe9", "e\u0301",
        "\u0915\u094d\u0937", "a_b", "...", "!!!?", "\u4e2d\u6587", "\U0001f600", "\x00", "a\x00b", "\ufffd", "\ua7cb",
        "\U000105c0", "\U00010d40", "  a", "\ta", "\t", "a<mask>a", "a  <mask> a", "a\n<mask>", "a\u3000\xa0<mask>",
        "<s>a</s>", " <s>", "<pad>", "a<pad>b <unk>", "<mask><mask>", "<mas", "<s<s>>", "aaaaaaaaaaaaaaaaaaa", "abc",
        "hello hello hello movie movies unable great greatest", "<l>  <l> x <r>  <r>y", "\u4e2d \u4e2d a\u4e2d  b", "whole whole!?",
        "x" * 30, "a" * 200, "ab" * 60 + "c", "hello" * 40)] + [b"a" + x + b"b" for x in oracle.BROKEN] + [
        b"<mask\xff>", b"\xe2<s>", b"\xc3 <mask>", b"\xf0\x9f<mask>\x80", b"end\xc3"]


def composition_rows():
    """Blanks beside runs, marks that meet a base or are kept from it, what is never put together again."""
    return [t.encode() for t in (
        "a" + " " * 24 + "b", "a" + " " * 25 + "b", "a" + " " * 60, "def f(x):\n    return x", "a  <mask> b", "\u212b", "\ufb01",
        "\u1100\u1161\u11a8", "\u1100\u1161\u11a7", "\uac00\u11a8", "\uac01\u11a8", "\u0344", "a\u0300\u0301", "a\u0328\u0301\u0300",
        "\u0958", "\u0915\u093c", "\u09c7\u09be", "\u09c7\u0301\u09be", "\u0301e\u0301", "o\u0334\u0302\u0323", "\u1e0b\u0323", "\u2126\U0001d15e",
        "\U00011099\U000110ba", "e\u0301\u200de\u0301", "\u0930\u093c", "\u05d3\u05bc", "\u1112\u1161\u11ab\u1100\u1173\u11af", "e" + "\u0301" * 40)]


def write_byte_level():
    from tokenizers import Tokenizer

    rng = random.Random(22)
    with open(ROOT / "golden/byte_level.jsonl", "w") as file:
        for name, tokenizer_json in byte_level_variants():
            if name == "RoBERTa":
                write_bpe_files(tokenizer_json["model"])
            judge = Tokenizer.from_str(json.dumps(tokenizer_json))
            entries = oracle.spelled_bytes(judge)
            cases = [case(t) for t in byte_level_rows() + (composition_rows() if name.startswith("NFC") else [])]
            for n in (0, 1, 2, 3, 4, 7):
                for left in (False, True):
                    cases.append(case(b"hehehehe the movie", b"a", n, left))
                    cases.append(case(b"hehehehe", b"hello hello a", n, left, rng.random() < 0.6))
                    cases.append(case(b"hello hello hehe a", max_length=n, left=left, special=rng.random() < 0.6))
            while len(cases) < 160:
                second = oracle.byte_level_text(rng, entries, BYTE_LEVEL_SPECIALS) if rng.random() < 0.15 else None
                cases.append(case(oracle.byte_level_text(rng, entries, BYTE_LEVEL_SPECIALS + [" <mask>"]), second,
                                  rng.choice([None, None, 12, 7]), rng.random() < 0.3, rng.random() < 0.9))
            dump({"name": name, "tokenizer": tokenizer_json, "cases": judged(judge, cases)}, file)


def write_bpe_files(model):
    folder = ROOT / "data/byte_level"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps(model["vocab"], ensure_ascii=False) + "\n", "utf-8")
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *model["merges"], ""]), "utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "RobertaTokenizer"}) + "\n")


def judged(judge, cases):
    """The cases with their ids."""
    group = []
    for fields in cases:
        ids, types = oracle.encode(judge, **fields)
        row = {**plain(fields), "ids": ids}
        if fields["second"] is not None:
            row["ids_types"] = types
        group.append(row)
    return group


def dump(row, file):
    file.write(json.dumps(row, separators=(",", ":")) + "\n")


def main():
    write_byte_level()
    if sys.argv[1:] == ["--byte-level"]:
        return
    built_in, uncased = sys.argv[1:]
    cased = ROOT / "data/cased"
    cased.mkdir(parents=True, exist_ok=True)
    (ROOT / "golden").mkdir(exist_ok=True)
    (cased / "vocab.txt").write_text("\n".join(cased_vocabulary()) + "\n", encoding="utf-8")
    (cased / "tokenizer_config.json").write_text(json.dumps(
        {"do_lower_case": False, "model_max_length": 512, "tokenizer_class": "BertTokenizer"}, indent=2) + "\n")
    judges = {"builtin": oracle.load(built_in), "uncased": oracle.load(uncased), "cased": oracle.load(str(cased))}
    with open(ROOT / "golden/texts.jsonl", "w") as file:
        count = 0
        for fields in cases():
            row = plain(fields)
            for name, judge in judges.items():
                ids, types = oracle.encode(judge, **fields)
                row[name] = ids
                if fields["second"] is not None:
                    row[name + "_types"] = types
            dump(row, file)
            count += 1
    from tokenizers import Tokenizer

    rng = random.Random(21)
    with open(ROOT / "golden/variants.jsonl", "w") as file:
        for name, tokenizer_json in variants():
            text = json.dumps(tokenizer_json)
            judge = Tokenizer.from_str(text)
            dump({"name": name, "tokenizer": tokenizer_json, "cases": judged(judge, variant_cases(rng))}, file)
    print(f"{count} texts")


if __name__ == "__main__":
    main()
