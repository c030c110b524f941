#!/usr/bin/env python3
"""Writes src/text/unicode_tables.cc: the Unicode facts that Hugging Face's tokenizers act on.

They mix Unicode versions: BertNormalizer has categories of 8.0, canonical decomposition of 9.0, the
lower case of its compiler's version; StripAccents has the marks of 9.0; ByteLevel asks Oniguruma for
the letters and numbers of 16.0, single words and Whitespace a library of regular expressions for the
words of 16.0; Precompiled has the grapheme clusters of 17.0. So neither this Python's `unicodedata` nor ICU can be asked at run
time; the tables are derived here once and committed. Sources: `unicodedata` of the running Python
(Unicode 14 or newer), the Age property from perl's Unicode::UCD, the grapheme clusters of the package
`regex` (of Unicode 17, tools/requirements-oracle.txt). What a later Unicode version
changed about an old code point is corrected below, one constant for each change.

usage: make_unicode_tables.py [--check] [--live] [OUTPUT]
  --check  compare with OUTPUT instead of writing it
  --live   also compare every code point with the installed `tokenizers` package
"""

import argparse
import pathlib
import subprocess
import sys
import unicodedata

import charsmap

LAST = 0x10FFFF
CATEGORY_VERSION = (8, 0)
NFD_VERSION = (9, 0)
MARK_VERSION = (9, 0)

# Code points whose category changed after Unicode 8.0: what 8.0 said.
MN_ADDED = [0x1734]
MN_REMOVED = [0x1885, 0x1886, 0xA9BD, 0x111C9]
P_ADDED = [0x166D, 0x111C9]

# ... after Unicode 9.0.
MARK_ADDED = [0x1CF2, 0x1CF3]
MARK_REMOVED = [0x111C9]

# What \\w has beside letters, digits, marks and connectors: letters in circles, squares and brackets
# (Other_Alphabetic), and the letters, digits and marks younger than Unicode 14 that the peer knows.
WORD_ADDED = [(0x24B6, 0x24E9), (0x1F130, 0x1F149), (0x1F150, 0x1F169), (0x1F170, 0x1F189)]
WORD_YOUNG = [
    (0x897, 0x897), (0xCF3, 0xCF3), (0xECE, 0xECE), (0x1C89, 0x1C8A), (0xA7CB, 0xA7CD),
    (0xA7DA, 0xA7DC), (0x105C0, 0x105F3), (0x10D40, 0x10D65), (0x10D69, 0x10D6D),
    (0x10D6F, 0x10D85), (0x10EC2, 0x10EC4), (0x10EFC, 0x10EFF), (0x1123F, 0x11241),
    (0x11380, 0x11389), (0x1138B, 0x1138B), (0x1138E, 0x1138E), (0x11390, 0x113B5),
    (0x113B7, 0x113C0), (0x113C2, 0x113C2), (0x113C5, 0x113C5), (0x113C7, 0x113CA),
    (0x113CC, 0x113D3), (0x113E1, 0x113E2), (0x116D0, 0x116E3), (0x11BC0, 0x11BE0),
    (0x11BF0, 0x11BF9), (0x11F00, 0x11F10), (0x11F12, 0x11F3A), (0x11F3E, 0x11F42),
    (0x11F50, 0x11F5A), (0x1342F, 0x1342F), (0x13440, 0x13455), (0x13460, 0x143FA),
    (0x16100, 0x16139), (0x16D40, 0x16D6C), (0x16D70, 0x16D79), (0x18CFF, 0x18CFF),
    (0x1B132, 0x1B132), (0x1B155, 0x1B155), (0x1CCF0, 0x1CCF9), (0x1DF25, 0x1DF2A),
    (0x1E030, 0x1E06D), (0x1E08F, 0x1E08F), (0x1E4D0, 0x1E4F9), (0x1E5D0, 0x1E5FA),
    (0x2B739, 0x2B739), (0x2EBF0, 0x2EE5D), (0x31350, 0x323AF),
]

# Lower case mappings younger than Unicode 14 that the peer's compiler knows (Unicode 15 to 17).
LOWER_RANGES_ADDED = [(0x10D50, 0x10D65, 32), (0x16EA0, 0x16EB8, 27)]
LOWER_ADDED = {
    0x1C89: 0x1C8A,
    0xA7CB: 0x264,
    0xA7CC: 0xA7CD,
    0xA7CE: 0xA7CF,
    0xA7D2: 0xA7D3,
    0xA7D4: 0xA7D5,
    0xA7DA: 0xA7DB,
    0xA7DC: 0x19B,
}

# Letters (L*) and numbers (N*) that Unicode 15 and 16 added.
LETTERS_ADDED = [
    (0x1C89, 0x1C8A), (0xA7CB, 0xA7CD), (0xA7DA, 0xA7DC), (0x105C0, 0x105F3), (0x10D4A, 0x10D65),
    (0x10D6F, 0x10D85), (0x10EC2, 0x10EC4), (0x1123F, 0x11240), (0x11380, 0x11389), (0x1138B, 0x1138B),
    (0x1138E, 0x1138E), (0x11390, 0x113B5), (0x113B7, 0x113B7), (0x113D1, 0x113D1), (0x113D3, 0x113D3),
    (0x11BC0, 0x11BE0), (0x11F02, 0x11F02), (0x11F04, 0x11F10), (0x11F12, 0x11F33), (0x1342F, 0x1342F),
    (0x13441, 0x13446), (0x13460, 0x143FA), (0x16100, 0x1611D), (0x16D40, 0x16D6C), (0x18CFF, 0x18CFF),
    (0x1B132, 0x1B132), (0x1B155, 0x1B155), (0x1DF25, 0x1DF2A), (0x1E030, 0x1E06D), (0x1E4D0, 0x1E4EB),
    (0x1E5D0, 0x1E5ED), (0x1E5F0, 0x1E5F0), (0x2B739, 0x2B739), (0x2EBF0, 0x2EE5D), (0x31350, 0x323AF)]
NUMBERS_ADDED = [
    (0x10D40, 0x10D49), (0x116D0, 0x116E3), (0x11BF0, 0x11BF9), (0x11F50, 0x11F59), (0x16130, 0x16139),
    (0x16D70, 0x16D79), (0x1CCF0, 0x1CCF9), (0x1D2C0, 0x1D2D3), (0x1E4F0, 0x1E4F9), (0x1E5F1, 0x1E5FA)]
LETTER_NUMBER_VERSION = (14, 0)  # what those two stand on, whatever the running Python knows

WHITE_SPACE = [(0x9, 0xD), (0x20, 0x20), (0x85, 0x85), (0xA0, 0xA0), (0x1680, 0x1680),
               (0x2000, 0x200A), (0x2028, 0x2029), (0x202F, 0x202F), (0x205F, 0x205F),
               (0x3000, 0x3000)]

PERL_AGE = r"""
use Unicode::UCD 'prop_invmap';
my ($starts, $values) = prop_invmap('Age');
for my $i (0 .. $#$starts) { print "$starts->[$i] $values->[$i]\n"; }
"""


def scalars():
    """Every Unicode scalar value: all code points but the surrogates."""
    yield from range(0xD800)
    yield from range(0xE000, LAST + 1)


# Precompiled's: what a code point is to the rules of extended grapheme clusters; in the order of
# tables::Cluster. The last ones take from the first where both have a code point.
CLUSTER_CLASSES = [
    ("control", "Grapheme_Cluster_Break=Control"), ("mark", "Grapheme_Cluster_Break=Extend"),
    ("spacing_mark", "Grapheme_Cluster_Break=SpacingMark"), ("prepend", "Grapheme_Cluster_Break=Prepend"),
    ("leading", "Grapheme_Cluster_Break=L"), ("vowel", "Grapheme_Cluster_Break=V"),
    ("trailing", "Grapheme_Cluster_Break=T"), ("regional", "Grapheme_Cluster_Break=Regional_Indicator"),
    ("pictographic", "Extended_Pictographic"), ("consonant", "Indic_Conjunct_Break=Consonant"),
    ("linker", "Indic_Conjunct_Break=Linker")]


def clusters():
    """{code point: place in CLUSTER_CLASSES + 1}; the joiner is a mark, like what it stands beside."""
    import regex

    out = {0x200D: 2, 0xD: 1, 0xA: 1}
    for value, (_, name) in enumerate(CLUSTER_CLASSES, 1):
        member = regex.compile(r"\p{%s}" % name)
        out.update({c: value for c in scalars() if member.match(chr(c))})
    return out


def ages():
    """age[c] = (major, minor) of the version that assigned c; (99, 0) where none did."""
    lines = subprocess.run(["perl", "-e", PERL_AGE], check=True, capture_output=True, text=True)
    rows = [line.split() for line in lines.stdout.splitlines()]
    age = [(99, 0)] * (LAST + 1)
    for (start, value), following in zip(rows, rows[1:] + [[str(LAST + 1), ""]]):
        if value in ("Unassigned", "NA"):
            continue
        major, minor = value.lstrip("V").replace("_", ".").split(".")
        stop = min(int(following[0]), LAST + 1)
        age[int(start):stop] = [(int(major), int(minor))] * (stop - int(start))
    return age


def ranges(members):
    out = []
    for c in sorted(members):
        if out and out[-1][1] == c - 1:
            out[-1][1] = c
        else:
            out.append([c, c])
    return [tuple(r) for r in out]


class Tables:
    """The derived facts, as sets and dictionaries over scalar values."""

    def __init__(self):
        age = ages()
        category = {c: unicodedata.category(chr(c)) for c in scalars()}
        old = [c for c in scalars() if age[c] <= CATEGORY_VERSION]
        # Private use is Co in every version, whatever Age says about it.
        self.control = {c for c in old if category[c] in ("Cc", "Cf")}
        self.control |= {c for c in scalars() if category[c] == "Co"}
        self.mark = {c for c in old if category[c] == "Mn"}
        self.mark = (self.mark | set(MN_ADDED)) - set(MN_REMOVED)
        self.punctuation = {c for c in old if category[c].startswith("P")} | set(P_ADDED)
        known = [c for c in scalars() if age[c] <= LETTER_NUMBER_VERSION]
        self.letter, self.number = (
            {c for c in known if category[c][0] == major} | {c for a, b in added for c in range(a, b + 1)}
            for major, added in (("L", LETTERS_ADDED), ("N", NUMBERS_ADDED)))
        marks = ("Mn", "Mc", "Me")
        self.any_mark = {c for c in scalars() if age[c] <= MARK_VERSION and category[c] in marks}
        self.any_mark = (self.any_mark | set(MARK_ADDED)) - set(MARK_REMOVED)
        self.word = {c for c in scalars()
                     if chr(c).isalpha() or category[c] in ("Nd", "Nl", "Pc", *marks)}
        self.word |= {0x200C, 0x200D}  # the joiners
        self.cluster = clusters()
        for first, last in WORD_ADDED + WORD_YOUNG:
            self.word.update(range(first, last + 1))
        self.decomposition = {}
        self.composition = {}
        self.combining = {}
        for c in scalars():
            if age[c] > NFD_VERSION:
                continue
            text = unicodedata.normalize("NFD", chr(c))
            if text != chr(c) and not 0xAC00 <= c <= 0xD7A3:
                self.decomposition[c] = [ord(d) for d in text]
                if unicodedata.normalize("NFC", text) == chr(c):  # all but singletons and exclusions
                    first, second = unicodedata.decomposition(chr(c)).split()
                    self.composition[int(first, 16), int(second, 16)] = c
            if unicodedata.combining(chr(c)):
                self.combining[c] = unicodedata.combining(chr(c))
        self.lower = {c: [ord(d) for d in chr(c).lower()] for c in scalars()
                      if chr(c).lower() != chr(c)}
        for first, last, distance in LOWER_RANGES_ADDED:
            self.lower.update({c: [c + distance] for c in range(first, last + 1)})
        self.lower.update({c: [to] for c, to in LOWER_ADDED.items()})

    def is_cjk(self, c):
        blocks = [(0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F),
                  (0x2B740, 0x2B81F), (0x2B920, 0x2CEAF), (0xF900, 0xFAFF), (0x2F800, 0x2FA1F)]
        return any(a <= c <= b for a, b in blocks)

    def is_space(self, c):
        return any(a <= c <= b for a, b in WHITE_SPACE)

    def nfd(self, c):
        if 0xAC00 <= c <= 0xD7A3:
            s = c - 0xAC00
            tail = [0x11A7 + s % 28] if s % 28 else []
            return [0x1100 + s // 588, 0x1161 + s % 588 // 28] + tail
        return self.decomposition.get(c, [c])


def live_differences(tables):
    """Compares each stage with the installed package, every scalar value on its own."""
    from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers

    def stage(**on):
        flags = dict(clean_text=False, handle_chinese_chars=False, strip_accents=False, lowercase=False)
        return normalizers.BertNormalizer(**{**flags, **on})

    clean, cjk, strip, lower = (stage(clean_text=True), stage(handle_chinese_chars=True),
                                stage(strip_accents=True), stage(lowercase=True))
    split = pre_tokenizers.BertPreTokenizer()
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False)
    strip_marks, regex = normalizers.StripAccents(), pre_tokenizers.Whitespace()
    word = Tokenizer(models.WordLevel({"?": 0}, unk_token="?"))
    word.add_tokens([AddedToken("a", single_word=True, normalized=False)])
    wrong = []
    for c in scalars():
        ch = chr(c)
        if c in (9, 10, 13) or (tables.is_space(c) and c not in tables.control):
            want_clean = " "
        else:
            want_clean = "" if c in (0, 0xFFFD) or c in tables.control else ch
        want_strip = "".join(chr(d) for d in tables.nfd(c) if d not in tables.mark)
        ascii_punctuation = c < 128 and ch.isprintable() and not ch.isalnum() and ch != " "
        want_split = (["a", "b"] if tables.is_space(c)
                      else ["a", ch, "b"] if ascii_punctuation or c in tables.punctuation
                      else ["a" + ch + "b"])
        # One piece with a character of its own class before it, two with any other.
        want_run = [tables.is_space(c), c in tables.letter, c in tables.number]
        want_run.append(not any(want_run))
        got_run = [len(byte_level.pre_tokenize_str(before + ch)) == 1 for before in "\ta1!"]
        want_regex = (["a", "b"] if tables.is_space(c)
                      else ["a" + ch + "b"] if c in tables.word else ["a", ch, "b"])
        checks = [
            ("byte level", got_run, want_run),
            ("marks", strip_marks.normalize_str(ch), "" if c in tables.any_mark else ch),
            ("single word", 1 in word.encode("a" + ch).ids, c not in tables.word),
            ("words", [w for w, _ in regex.pre_tokenize_str("a" + ch + "b")], want_regex),
            ("clean", clean.normalize_str(ch), want_clean),
            ("cjk", cjk.normalize_str(ch), f" {ch} " if tables.is_cjk(c) else ch),
            ("strip", strip.normalize_str(ch), want_strip),
            ("lower", lower.normalize_str(ch), "".join(map(chr, tables.lower.get(c, [c])))),
            ("split", [w for w, _ in split.pre_tokenize_str("a" + ch + "b")], want_split),
        ]
        wrong += [(f"U+{c:04X}", name, got, want) for name, got, want in checks if got != want]
    return wrong + combining_differences(tables) + composition_differences(tables) + cluster_differences(tables)


def cluster_differences(tables):
    """A cluster of less than six bytes becomes what stands for its shortest beginning in the map, so a
    mark behind a mapped character vanishes, unless more stands before that one in its cluster."""
    wrong = []
    place = {name: value for value, (name, _) in enumerate(CLUSTER_CLASSES, 1)}
    members = lambda *names: {c for c, v in tables.cluster.items() if v in [place[n] for n in names]}
    joining, prepend = members("mark", "spacing_mark", "linker"), members("prepend")
    checks = [("joins what is before", "a", "a%s", lambda c, got: got == "b", joining),
              ("prepends", "a", "%sa\u0301", lambda c, got: got.endswith("\u0301") and c not in joining, prepend),
              ("pictographic", "\u2122", "%s\u200d\u2122\u0301", lambda c, got: got.endswith("\u0301"),
               members("pictographic")),
              ("consonant", "\u0915", "%s\u094d\u0915\u0301", lambda c, got: got.endswith("\u0301"),
               members("consonant")),
              ("linker", "\u0915", "\u0915%s\u0915\u0301",
               lambda c, got: got.endswith("\u0301") and c not in prepend, members("linker"))]
    for name, key, text, holds, want in checks:
        normalizer = charsmap.normalizer({key: "b"})
        got = {c for c in scalars() if c and holds(c, normalizer.normalize_str(text % chr(c)))}
        wrong += [(f"U+{c:04X}", name, c in got, c in want) for c in sorted(got ^ want)]
    return wrong


def combining_differences(tables):
    """Canonical classes are seen only in the order of marks: every mark beside one of each class, and
    every other scalar value between the highest and the lowest class, which it keeps apart."""
    from tokenizers import normalizers

    nfd = normalizers.NFD()
    representative = {}
    for c, value in tables.combining.items():
        if c not in tables.decomposition:
            representative.setdefault(value, c)
    lowest, highest = representative[min(representative)], representative[max(representative)]
    wrong = []

    def check(text, want):
        got = nfd.normalize_str("".join(map(chr, text)))
        if got != "".join(map(chr, want)):
            wrong.append((f"U+{text[0]:04X}", "order of marks", got, want))

    for c in scalars():
        if c in tables.decomposition or 0xAC00 <= c <= 0xD7A3:
            continue
        if c not in tables.combining:
            check([highest, c, lowest], [highest, c, lowest])
            continue
        for d in representative.values():
            ordered = sorted([c, d], key=tables.combining.get)
            check([c, d], ordered if tables.combining[c] != tables.combining[d] else [c, d])
            check([d, c], ordered if tables.combining[c] != tables.combining[d] else [d, c])
    return wrong


def composition_differences(tables):
    """Every decomposition put together again."""
    from tokenizers import normalizers

    nfc = normalizers.NFC()
    composed = set(tables.composition.values())
    wrong = []
    for c, parts in tables.decomposition.items():
        got = nfc.normalize_str("".join(map(chr, parts)))
        if (got == chr(c)) != (c in composed):
            wrong.append((f"U+{c:04X}", "composition", got, c in composed))
    return wrong


def lines_of(items, width=100):
    line, out = "   ", []
    for item in items:
        if len(line) + 1 + len(item) + 1 > width:
            out.append(line)
            line = "   "
        line += f" {item},"
    return "\n".join(out + [line])


def array(kind, name, items):
    """(definition of the rows, definition of the span over them)"""
    return (f"constexpr {kind} {name}Rows[] = {{\n{lines_of(items)}\n}};\n",
            f"const std::span<const {kind}> {name} = {name}Rows;\n")


def render(t):
    pool, entries = [], []
    for c, parts in sorted(t.decomposition.items()):
        entries.append(f"{{0x{c:X}, {len(pool)}, {len(parts)}}}")
        pool += parts
    classes = []
    for c, value in sorted(t.combining.items()):
        if classes and classes[-1][1] == c - 1 and classes[-1][2] == value:
            classes[-1][1] = c
        else:
            classes.append([c, c, value])
    pairs = lambda r: [f"{{0x{a:X}, 0x{b:X}}}" for a, b in r]
    cluster_rows = []
    for c, value in sorted(t.cluster.items()):
        if cluster_rows and cluster_rows[-1][1] == c - 1 and cluster_rows[-1][2] == value:
            cluster_rows[-1][1] = c
        else:
            cluster_rows.append([c, c, value])
    lower = [f"{{0x{c:X}, {{0x{to[0]:X}, {f'0x{to[1]:X}' if len(to) > 1 else 0}}}}}"
             for c, to in sorted(t.lower.items())]
    body = [
        array("Range", "kControl", pairs(ranges(t.control))),
        array("Range", "kWhitespace", pairs(WHITE_SPACE)),
        array("Range", "kNonspacingMark", pairs(ranges(t.mark))),
        array("Range", "kMark", pairs(ranges(t.any_mark))),
        array("Range", "kWord", pairs(ranges(t.word))),
        array("Range", "kPunctuation", pairs(ranges(t.punctuation))),
        array("Range", "kLetter", pairs(ranges(t.letter))),
        array("Range", "kNumber", pairs(ranges(t.number))),
        array("CombiningClass", "kCombiningClass",
              [f"{{0x{a:X}, 0x{b:X}, {v}}}" for a, b, v in classes]),
        array("ClusterRange", "kCluster",
              [f"{{0x{a:X}, 0x{b:X}, {CLUSTER_CLASSES[v - 1][0]}}}" for a, b, v in cluster_rows]),
        array("char32_t", "kDecompositionPool", [f"0x{c:X}" for c in pool]),
        array("Decomposition", "kDecomposition", entries),
        array("Composition", "kComposition",
              [f"{{0x{a:X}, 0x{b:X}, 0x{c:X}}}" for (a, b), c in sorted(t.composition.items())]),
        array("Lowercase", "kLowercase", lower),
    ]
    return ("// Generated by tools/make_unicode_tables.py; edit that file.\n// clang-format off\n"
            '#include "text/unicode_tables.h"\n\nnamespace breakeven::text::tables {\nnamespace {\nusing enum Cluster;\n'
            + "".join(rows for rows, _ in body) + "}  // namespace\n\n"
            + "".join(span for _, span in body) + "\n}  // namespace breakeven::text::tables\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", nargs="?", type=pathlib.Path, default=pathlib.Path(__file__).parents[1]
                        / "src/text/unicode_tables.cc")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--live", action="store_true")
    options = parser.parse_args()
    if int(unicodedata.unidata_version.split(".")[0]) < 14:
        sys.exit(f"needs Unicode 14 or newer, this Python has {unicodedata.unidata_version}")
    tables = Tables()
    text = render(tables)
    if options.live:
        wrong = live_differences(tables)
        for row in wrong[:40]:
            print("differs:", *row, file=sys.stderr)
        print(f"{len(list(scalars()))} code points, {len(wrong)} differences from the live package")
        if wrong:
            return 1
    if options.check:
        if options.output.read_text() != text:
            sys.exit(f"{options.output} is not what this script writes")
        return 0
    options.output.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
