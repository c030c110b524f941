#!/usr/bin/env python3
"""Texts with the ids that Hugging Face's tokenizer gives them, as a file that the tests read.

usage: tokenizer_oracle.py MODEL OUT imdb ARCHIVE       every review of aclImdb.tar.xz, cut at 512
       tokenizer_oracle.py MODEL OUT random COUNT SEED [PAIRS]
                                                        hostile mixtures with all sorts of cuts; PAIRS: their share, else 0.15

MODEL is a folder. With a tokenizer_config.json Transformers loads it, otherwise the tokenizers
package reads tokenizer.json alone; vocab.json and merges.txt are put together as Transformers 4 does it
(version 5 forgets that <mask> takes the blanks before it along). Every record of OUT, little-endian:
  int32 max_length (-1: no cut), how to cut (+1 on the left, +2 the first text only), special tokens, bytes of the first text, bytes of the
  second (-1: none), ids; then the texts, the ids (int32) and, for a pair, the token types (int32).
"""

import os
import pathlib
import random
import struct
import sys
import tarfile

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"


def from_bpe_files(folder):
    """RoBERTa's tokenizer over vocab.json and merges.txt."""
    from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, processors

    tokenizer = Tokenizer(models.BPE.from_file(str(folder / "vocab.json"), str(folder / "merges.txt")))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    special = [AddedToken(t, normalized=True, special=True) for t in ("<s>", "<pad>", "</s>", "<unk>")]
    tokenizer.add_special_tokens(special + [AddedToken("<mask>", lstrip=True, normalized=False, special=True)])
    ids = {t: tokenizer.token_to_id(t) for t in ("<s>", "</s>")}
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", ids["</s>"]), ("<s>", ids["<s>"]))
    return tokenizer


def load(model):
    """The Rust tokenizer of a folder, without truncation or padding."""
    if not (pathlib.Path(model) / "tokenizer.json").exists() and (pathlib.Path(model) / "merges.txt").exists():
        tokenizer = from_bpe_files(pathlib.Path(model))
    elif (pathlib.Path(model) / "tokenizer_config.json").exists():
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(model)._tokenizer
    else:
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(pathlib.Path(model) / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def encode(tokenizer, first, second=None, max_length=None, left=False, special=True, only_first=False):
    """(ids, types); texts are bytes, read as Python does with errors="replace"."""
    texts = [t.decode("utf-8", "replace") for t in (first, second) if t is not None]
    for strategy in ("only_first", "longest_first") if only_first else ("longest_first",):
        if max_length is None:
            tokenizer.no_truncation()
        else:
            tokenizer.enable_truncation(max_length, direction="left" if left else "right", strategy=strategy)
        try:
            encoding = tokenizer.encode(*texts, add_special_tokens=special)
            return encoding.ids, encoding.type_ids
        except Exception as error:  # the tokenizer's own type: the second text leaves no room
            if strategy != "only_first" or "too short" not in str(error):
                raise
    raise AssertionError


def write_record(out, first, second, max_length, cut, special, ids, types):
    header = (-1 if max_length is None else max_length, cut, special, len(first),
              -1 if second is None else len(second), len(ids))
    out.write(struct.pack("<6i", *header) + first + (second or b""))
    out.write(struct.pack(f"<{len(ids)}i", *ids))
    if second is not None:
        out.write(struct.pack(f"<{len(types)}i", *types))


def reviews(archive):
    with tarfile.open(archive) as tar:
        for member in tar:
            parts = pathlib.PurePosixPath(member.name).parts
            if member.isfile() and len(parts) == 4 and parts[2] in ("pos", "neg", "unsup"):
                if parts[2] != "unsup" and member.name.endswith(".txt"):
                    yield tar.extractfile(member).read()


def write_imdb(tokenizer, out, archive):
    tokenizer.enable_truncation(512)
    count = 0
    batch = []

    def flush():
        for text, encoding in zip(batch, tokenizer.encode_batch(
                [t.decode("utf-8", "replace") for t in batch])):
            write_record(out, text, None, 512, 0, True, encoding.ids, None)
        batch.clear()

    for text in reviews(archive):
        batch.append(text)
        count += 1
        if len(batch) == 1000:
            flush()
    flush()
    return count


# Ends of the ranges that the rules distinguish, and what later Unicode versions changed.
EDGES = [0x0, 0x8, 0x9, 0xA, 0xB, 0xC, 0xD, 0xE, 0x1C, 0x1F, 0x20, 0x7F, 0x80, 0x85, 0x92, 0x96, 0x9F,
         0xA0, 0xA1, 0xAB, 0xAD, 0xB4, 0xB7, 0xBD, 0xBF, 0xDF, 0xC6, 0x130, 0x131, 0x141, 0x334, 0x345,
         0x34F, 0x378, 0x37E, 0x387, 0x3A3, 0x3C2, 0x600, 0x61C, 0x890, 0x8D4, 0x8E2, 0x1100, 0x1161,
         0x166D, 0x1680, 0x1734, 0x180E, 0x1885, 0x1AB0, 0x1B7D, 0x1C90, 0x1DFB, 0x1E9B, 0x1E9E, 0x1FEF,
         0x2000, 0x2003, 0x200B, 0x200D, 0x2013, 0x2019, 0x2026, 0x2028, 0x202F, 0x2060, 0x20AC, 0x2126,
         0x212A, 0x212B, 0x2160, 0x2260, 0x226E, 0x226F, 0x2E43, 0x3000, 0x3001, 0x3099, 0x30A0, 0x30D0,
         0x33FF, 0x3400, 0x4DBF, 0x4DC0, 0x4E00, 0x9FFF, 0xA000, 0xA7CB, 0xA9BD, 0xAC00, 0xD7A3, 0xE000,
         0xF8FF, 0xF900, 0xFAFF, 0xFB01, 0xFE0F, 0xFEFF, 0xFF01, 0xFF21, 0xFF3B, 0xFFFD, 0xFFFE, 0xFFFF,
         0x10400, 0x110CD, 0x111C9, 0x11938, 0x1D165, 0x1D400, 0x1E900, 0x1F600, 0x1F9BE, 0x20000,
         0x2A6DF, 0x2A6E0, 0x2A700, 0x2B73F, 0x2B740, 0x2B81F, 0x2B820, 0x2B91F, 0x2B920, 0x2CEAF,
         0x2CEB0, 0x2F800, 0x2FA1F, 0xE0001, 0xE0100, 0xF0000, 0xFFFFD, 0x10FFFD, 0x10FFFF]
BLOCKS = [(0x20, 0x7E), (0x80, 0x24F), (0x300, 0x36F), (0x370, 0x52F), (0x590, 0x6FF), (0x900, 0xDFF),
          (0xE00, 0xEFF), (0x1100, 0x11FF), (0x1E00, 0x1FFF), (0x2000, 0x206F), (0x20A0, 0x214F),
          (0x2190, 0x2BFF), (0x3000, 0x30FF), (0x4E00, 0x5000), (0xAC00, 0xB000), (0xFF00, 0xFFEF),
          (0x10000, 0x1FFFF)]
BROKEN = [b"\xc0\x80", b"\xed\xa0\x80", b"\xf5", b"\xe2\x82", b"\xf0\x9f\x98", b"\x80", b"\xff", b"\xe0\x80\x80"]
WORDS = ["the", "movie", "unaffable", "Hello", "RUNNING", "allennlp", "it's", "don\u2019t", "caf\u00e9",
         "Cafe\u0301", "na\u00efve", "\u039f\u0394\u039f\u03a3", "stra\u00dfe", "\ud55c\uad6d\uc5b4", "\u4e2d\u6587",
         "<br />", "...", "50\u00b0C", "\u00a3100", "##ing", "[unused1]", "x", "1999", "a-b_c",
         "\u0939\u093f\u0928\u094d\u0926\u0940", "\u0e2a\u0e32\u0e19\u0e31\u0e01", "\U0001f971", "\u2764\ufe0f"]


def random_text(rng, entries, specials):
    """Bytes: words, entries of the vocabulary, code points from everywhere, broken UTF-8."""
    out = []
    for _ in range(rng.choice([1, 2, 3, 5, 8, 13, 30])):
        kind = rng.random()
        if kind < 0.22:
            piece = rng.choice(WORDS).encode()
        elif kind < 0.45:
            piece = rng.choice(entries)
            piece = piece if isinstance(piece, bytes) else piece.encode()
        elif kind < 0.6:
            piece = "".join(chr(rng.choice(EDGES)) for _ in range(rng.randint(1, 4))).encode()
        elif kind < 0.75:
            low, high = rng.choice(BLOCKS)
            piece = "".join(chr(rng.randint(low, high)) for _ in range(rng.randint(1, 6))).encode()
        elif kind < 0.8:
            c = rng.randint(0, 0x10FFFF)
            piece = b"" if 0xD800 <= c < 0xE000 else chr(c).encode()
        elif kind < 0.86:
            piece = rng.choice(specials).encode()
        elif kind < 0.89:
            piece = rng.choice(BROKEN)
        elif kind < 0.91:
            piece = rng.choice(["a", "x", "\u00e9", "e\u0301", "\ud55c", "ab\u4e2d"]).encode() * rng.randint(30, 110)
        else:
            piece = rng.choice([b"!", b".", b",", b"-", b"'", b"\t", b"\n", b"  "]) * rng.randint(1, 3)
        out.append(piece.upper() if rng.random() < 0.05 else piece)
        if rng.random() < 0.55:
            out.append(b" ")
    return b"".join(out)


# What GPT-2's pattern distinguishes.
SPLITS = list(" \t\n\r\x0b\x0c\x85\xa0\u2003\u3000\u200b'\u2019sStTdDmMlLvVeErR.,!?-_/\\<>()[]0123456789abcxyzABC") + [
    "'s", "'ll", "'re", "'ve", " '", "  ", "\r\n", "\n\n", "\xe9", "e\u0301", "\xdf", "\u0130", "\ufb01", "\xbd", "\xb2",
    "\u2460", "\u2167", "\u0663", "\u0e53", "\u4e2d", "\u3072", "\ud55c", "\u05d0", "\u0639", "\u0915\u094d\u0937",
    "\U0001f600", "\U0001f468\u200d\U0001f469", "\u0301", "\u0903", "\u20dd", "\u2026", "\u2014", "\u201c", "\x00", "\x1c",
    "\x7f", "\xad", "\ufeff", "\ufffd", "\uffff", "\U000e0020", "\U00010400", "\U0001d7d8", "\u0378", "\ua7cb",
    "\U000105c0", "\U00010d40", "\U0001ccf0", "\xa3", "\u2122", "a1", "1a", "_a"]


def byte_level_text(rng, entries, specials):
    """Bytes: as random_text, or many small pieces that one pattern takes apart."""
    if rng.random() < 0.5:
        return random_text(rng, entries, specials)
    pieces = [rng.choice(SPLITS).encode() for _ in range(rng.randint(0, 24))]
    if rng.random() < 0.2:
        pieces.insert(rng.randint(0, len(pieces)), rng.choice(specials).encode())
    if rng.random() < 0.1:
        pieces.insert(rng.randint(0, len(pieces)), rng.choice(BROKEN))
    return b"".join(pieces)


# What a map of characters, its grapheme clusters and Metaspace distinguish.
CLUSTERS = [
    " ", "  ", "   ", "\t", "\n", "\r\n", "\r", "\u2581", "\u2581\u2581", "\u3000", "\xa0", "\u200b", "\u200c", "\u200d",
    "\ufeff", "\xad", "\x00", "\x01", "\x1c", "\x7f", "\x85", "\ufffd", "\u2028", "a", "e", "i", "x", "A", "E", "1", "9", "fi",
    "the", "ing", ",", ".", "\u2026", "\xbd", "\u215b", "\xaa", "\ufb01", "\ufdfa", "\u2122", "\u203c", "\xa9", "\xae", "\u017f",
    "\uff21", "\uff66", "\uff76", "\uff9e", "\u2460", "\u0301", "\u0300", "\u0302", "\u0307", "\u0323", "\u0327", "\u0345",
    "\u0903", "\u0e33", "\u0eb3", "\u094d", "\u09cd", "\u0915", "\u0958", "\u0937", "\u09a1", "\u0e01", "\u1100", "\u1161",
    "\u11a8", "\uac00", "\uac01", "\ud55c", "\u304b", "\u3099", "\u309a", "\u30cf", "\u0600", "\u06dd", "\u070f", "\u0d4e",
    "\U000110bd", "\u05d0", "\u05b0", "\u0627", "\u0653", "\u0644", "\u4e2d", "\u6587", "\uf900", "\u2764", "\ufe0f",
    "\U0001f468", "\U0001f469", "\U0001f3fd", "\U0001f1e9", "\U0001f1ea", "\U000e0020", "\U0001d400", "\U00010400", "\u1885",
    "\u20dd", "\u2057", "\u0344", "\u1e9b", "\u212b", "\u2126", "\u2160", "\u3251", "\u33a1", "\u3131", "\uffe0"]


def cluster_text(rng, entries, specials):
    """Bytes: as random_text, or many small pieces that a cluster or a word may go across."""
    if rng.random() < 0.4:
        return random_text(rng, entries, specials)
    pieces = [rng.choice(CLUSTERS).encode() for _ in range(rng.randint(0, 24))]
    for chance, more in ((0.2, specials), (0.3, entries), (0.1, BROKEN)):
        if rng.random() < chance:
            piece = rng.choice(more)
            pieces.insert(rng.randint(0, len(pieces)), piece if isinstance(piece, bytes) else piece.encode())
    if rng.random() < 0.03:
        pieces.append(rng.choice(CLUSTERS).encode() * rng.randint(30, 300))
    return b"".join(pieces)


def spelled_bytes(tokenizer):
    """The bytes of every entry of a byte-level vocabulary, those of half a character, too."""
    printable = [b for b in range(256) if 0x21 <= b <= 0x7E or 0xA1 <= b <= 0xFF and b != 0xAD]
    others = [b for b in range(256) if b not in printable]
    bytes_of = {chr(b): b for b in printable} | {chr(0x100 + i): b for i, b in enumerate(others)}
    return sorted(bytes(bytes_of[c] for c in e) for e in tokenizer.get_vocab() if all(c in bytes_of for c in e))


def write_random(tokenizer, out, count, seed, pairs=0.15):
    rng = random.Random(seed)
    byte_level = "ByteLevel" in repr(tokenizer.pre_tokenizer)
    unigram = "Metaspace" in repr(tokenizer.pre_tokenizer)
    make_text = byte_level_text if byte_level else cluster_text if unigram else random_text
    entries = (spelled_bytes(tokenizer) if byte_level else sorted(e.replace("\u2581", " ") for e in tokenizer.get_vocab())
               if unigram else sorted(e[2:] if e.startswith("##") else e for e in tokenizer.get_vocab()))
    specials = sorted(t.content for t in tokenizer.get_added_tokens_decoder().values())
    specials += [s.lower() for s in specials] + [s[:-1] for s in specials] + [" " + s for s in specials]
    for _ in range(count):
        first = make_text(rng, entries, specials)
        second = make_text(rng, entries, specials) if rng.random() < pairs else None
        max_length = rng.choice([None, None, 512, 64, 16, 9, 8, 7, 5, 4, 3, 2, 1, 0])
        left, special = rng.random() < 0.3, rng.random() < 0.9
        only_first = second is not None and rng.random() < 0.4
        ids, types = encode(tokenizer, first, second, max_length, left, special, only_first)
        write_record(out, first, second, max_length, left + 2 * only_first, special, ids, types)
    return count


def main():
    model, path, what, *rest = sys.argv[1:]
    tokenizer = load(model)
    with open(path, "wb") as out:
        if what == "imdb":
            count = write_imdb(tokenizer, out, rest[0])
        elif what == "random":
            count = write_random(tokenizer, out, int(rest[0]), int(rest[1]), *map(float, rest[2:]))
        else:
            sys.exit(__doc__)
    print(f"{count} texts")


if __name__ == "__main__":
    main()
