#!/usr/bin/env python3
"""Random tokenizer folders with the ids that Transformers gives texts with them, as files that the tests
read.

usage: tokenizer_folders.py OUT COUNT SEED

Each OUT/NNNN has a vocabulary of fifty entries as vocab.txt or tokenizer.json, a random choice of the
parts that tokenizer.json can have and of the files that name special and added tokens, and `cases`:
texts with their ids, as tokenizer_oracle.py writes them. Left out is what Transformers 5 does in its own
way (docs/tokenizers.md).
"""

import json
import pathlib
import random
import sys

from tokenizer_oracle import encode, write_record

ROLES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = ["the", "film", "was", "good", "##s", "##ing", "caf\u00e9", "cafe", "un", "##graft", "graft", "don", "t", "s",
         "'", ",", ".", "!", "@", "user", "@user", "[", "]", "e1", "[E1]", "[/E1]", "<", "e2", ">", "<e2>", "\u4e2d",
         "\u6587", "a", "##a", "b", "e", "##e", "u", "zork", "mask", "cls", "sep", "/", "The", "FILM", "don't", "_"]
TOKENS = ["[E1]", "[/E1]", "<e2>", "@user", "ZORK", "Graft", "new tok", "<new>", "caf\u00e9", "E",
          "good film", "\u4e2d", "don't"]
OTHERS = ["Caf\u00c9", "cafe\u0301", "\u0301", "\u0903", "_", "\u2026", "x", "\u3000", "\u200b", "\x85", "\u0130", "\u00a0", "7",
          "\ufeff", "-", "\u24b6", "\u0488"]
BERT = ["BertTokenizer", "BertTokenizerFast", "DistilBertTokenizer", "ElectraTokenizerFast", "MobileBertTokenizer",
        "LayoutLMTokenizerFast", "SqueezeBertTokenizer", "LxmertTokenizer", None]
GENERIC = "PreTrainedTokenizerFast"
FIELDS = dict(zip(["pad_token", "unk_token", "cls_token", "sep_token", "mask_token"], ROLES))


class Folder:
    def __init__(self, rng):
        self.rng = rng
        self.files = {"config.json": {"model_type": rng.choice(["bert", "distilbert", "electra"])}}
        self.config = {}
        self.vocabulary = [e for e in ROLES + WORDS if e != "[MASK]" or self.happens(0.85)]
        self.ids = {entry: i for i, entry in enumerate(self.vocabulary)}
        self.tokenizer_class = rng.choice([GENERIC] * 5 + BERT)
        self.generic = self.tokenizer_class == GENERIC
        if self.tokenizer_class:
            self.config["tokenizer_class"] = self.tokenizer_class
        for flag in ("do_lower_case", "tokenize_chinese_chars", "strip_accents"):
            if self.happens(0.3):
                self.config[flag] = self.happens(0.5)
        self.added = []
        if self.generic or self.happens(0.5):
            self.files["tokenizer.json"] = self.tokenizer_json()
        self.name_tokens()
        self.files["tokenizer_config.json"] = self.config

    def happens(self, chance):
        return self.rng.random() < chance

    def id_of(self, token):
        return self.ids.setdefault(token, len(self.ids))

    def flags(self, token):
        special = self.happens(0.5)
        return {"content": token, "single_word": self.happens(0.3), "lstrip": self.happens(0.2),
                "rstrip": self.happens(0.2), "normalized": self.happens(0.5), "special": special}

    def sequence(self, field, parts):
        inner = {"type": "Sequence", field: parts}
        return {"type": "Sequence", field: [inner]} if self.happens(0.2) else inner

    def part(self, field, bert, others):
        """BERT's part, or another one, or some of them in a Sequence."""
        if not self.generic or self.happens(0.3):
            return bert
        if self.happens(0.3):
            return self.rng.choice(others)
        return self.sequence(field, self.rng.sample(others + [bert], self.rng.randint(1, len(others) + 1)))

    def template(self):
        def special(name, kind):
            return {"SpecialToken": {"id": name, "type_id": kind}}

        def text(name, kind):
            return {"Sequence": {"id": name, "type_id": kind}}

        if self.happens(0.3):
            return {"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]}
        single = [special("[CLS]", 0), text("A", 0), special("[SEP]", 0)]
        tokens = {t: {"id": t, "ids": [self.ids[t]], "tokens": [t]} for t in ("[CLS]", "[SEP]")}
        return {"type": "TemplateProcessing", "single": single,
                "pair": [*single, text("B", 1), special("[SEP]", 1)], "special_tokens": tokens}

    def tokenizer_json(self):
        plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
        for token in ROLES:
            if token in self.ids and self.happens(0.85):
                self.added.append({"id": self.ids[token], "content": token, **plain})
        for token in self.rng.sample(TOKENS, self.rng.choice([0, 0, 1, 2])):
            self.added.append({"id": self.id_of(token), **self.flags(token)})
        bert = {"type": "BertNormalizer", "clean_text": self.happens(0.8) or not self.generic,
                "handle_chinese_chars": self.happens(0.8), "strip_accents": self.rng.choice([None, True, False]),
                "lowercase": self.happens(0.7)}
        post = self.template()
        if self.happens(0.2):
            post = self.sequence("processors", [post])
        truncation = None
        if self.happens(0.3):
            truncation = {"direction": self.rng.choice(["Left", "Right"]), "max_length": self.rng.choice([4, 8, 64]),
                          "strategy": self.rng.choice(["LongestFirst", "OnlyFirst", "OnlySecond"]), "stride": 0}
        return {
            "version": "1.0", "truncation": truncation, "padding": None, "added_tokens": self.added,
            "normalizer": self.part("normalizers", bert, [{"type": t} for t in ("NFD", "Lowercase", "StripAccents")]),
            "pre_tokenizer": self.part("pretokenizers", {"type": "BertPreTokenizer"},
                                       [{"type": "Punctuation", "behavior": "Isolated"}, {"type": "WhitespaceSplit"},
                                        {"type": "Whitespace"}]),
            "post_processor": post, "decoder": None,
            "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                      "max_input_chars_per_word": 100, "vocab": {e: i for i, e in enumerate(self.vocabulary)}}}

    def name_tokens(self):
        """In tokenizer_config.json, special_tokens_map.json, added_tokens.json."""
        if self.happens(0.3):
            decoder = {str(t["id"]): {k: v for k, v in t.items() if k != "id"} for t in self.added}
            for token in self.rng.sample(TOKENS, self.rng.choice([0, 1, 2])):
                decoder.setdefault(str(self.id_of(token)), self.flags(token))
            self.config["added_tokens_decoder"] = dict(self.rng.sample(sorted(decoder.items()), len(decoder)))
        elif self.happens(0.3):
            self.files["added_tokens.json"] = {t: self.id_of(t) for t in self.rng.sample(TOKENS, 2)}
        for field, token in FIELDS.items():
            if self.happens(0.4):
                self.config[field] = token
        if self.happens(0.1):
            self.config["mask_token"] = None
        if self.happens(0.15):
            self.config[self.rng.choice(["bos_token", "eos_token"])] = self.rng.choice(TOKENS)
        if self.happens(0.05):
            self.config["split_special_tokens"] = True
        old = self.files.get("added_tokens.json", {})
        further = self.rng.sample([t for t in TOKENS if t not in old], 2)
        named = {"additional_special_tokens": further, "extra_special_tokens": further}
        field = self.rng.choice(list(named))
        if self.happens(0.3):
            self.files["special_tokens_map.json"] = {f: t for f, t in FIELDS.items() if self.happens(0.7)}
            if self.happens(0.7):
                self.files["special_tokens_map.json"][field] = further
        elif self.happens(0.3):
            self.config["extra_special_tokens"] = {f"name_{i}": t for i, t in enumerate(further)}
        elif self.happens(0.6):
            self.config[field] = further

    def write(self, path):
        path.mkdir(parents=True)
        if "tokenizer.json" not in self.files:
            (path / "vocab.txt").write_text("\n".join(self.vocabulary) + "\n")
        for name, content in self.files.items():
            (path / name).write_text(json.dumps(content))

    def text(self):
        out = []
        for _ in range(self.rng.randint(1, 9)):
            kind = self.rng.random()
            known = TOKENS if kind < 0.35 else WORDS if kind < 0.75 else OTHERS if kind < 0.85 else ROLES
            piece = self.rng.choice(known)
            out.append(piece.upper() if self.happens(0.15) else piece.lower() if self.happens(0.1) else piece)
            if self.happens(0.6):
                out.append(self.rng.choice([" ", " ", "  ", "\t", "\n"]))
        return "".join(out).encode()


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    from transformers import AutoTokenizer

    rng = random.Random(int(sys.argv[3]))
    for number in range(int(sys.argv[2])):
        folder = Folder(rng)
        path = pathlib.Path(sys.argv[1]) / f"{number:04}"
        folder.write(path)
        tokenizer = AutoTokenizer.from_pretrained(path)._tokenizer
        tokenizer.no_padding()
        with open(path / "cases", "wb") as out:
            for _ in range(20):
                first = folder.text()
                second = folder.text() if rng.random() < 0.2 else None
                max_length, left = rng.choice([None, None, 12, 6, 3]), rng.random() < 0.3
                ids, types = encode(tokenizer, first, second, max_length, left)
                write_record(out, first, second, max_length, left, True, ids, types)


if __name__ == "__main__":
    main()
