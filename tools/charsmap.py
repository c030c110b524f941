"""SentencePiece's map of characters, as a Precompiled normalizer has it: darts-clone's double array over a pool of texts."""

import base64
import struct


def build(rules):
    """The map of {text: what replaces it}, as bytes."""
    pool, starts, root = b"", {}, {}
    for key, value in rules.items():
        if value not in starts:
            starts[value] = len(pool)
            pool += value.encode() + b"\0"
        node = root
        for byte in key.encode():
            node = node.setdefault(byte, {})
        node[None] = starts[value]
    units, bases = {0: 0}, {0}

    def place(at, node):
        labels = [label or 0 for label in node]
        base = next(b for b in range(1, 1 << 21) if b not in bases and not any(b ^ label in units for label in labels))
        bases.add(base)
        units[at] |= (at ^ base) << 10 | (0x100 if None in node else 0)
        for label, child in node.items():
            units[base ^ (label or 0)] = child | 1 << 31 if label is None else label
        for label, child in node.items():
            if label is not None:
                place(base ^ label, child)

    place(0, root)
    count = (max(units) | 0xFF) + 1
    trie = struct.pack(f"<{count}I", *[units.get(i, 0) for i in range(count)])
    return struct.pack("<I", len(trie)) + trie + pool


def part(rules):
    """The same as a part of tokenizer.json."""
    return {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(build(rules)).decode()}


def normalizer(rules):
    from tokenizers import normalizers

    return normalizers.Precompiled(build(rules))
