#!/usr/bin/env python3
"""Writes the test data of SentencePiece's own files: texts with the ids of Transformers 4.

usage: make_sentencepiece_goldens.py

  tests/text/golden/sentencepiece.jsonl   folders without tokenizer.json, each with texts and ids
  tests/text/data/sentencepiece/          the DeBERTa one of them

Needs transformers==4.57.6, sentencepiece and protobuf; not those of requirements-oracle.txt, because Transformers 5 makes another
tokenizer of such a file. The pieces are trained by sentencepiece on this script's words and then get Unigram's entries.
"""

import base64
import io
import json
import pathlib
import random
import tempfile

import charsmap
import tokenizer_oracle as oracle
from make_tokenizer_goldens import CASED_WORDS, ROOT, case, dump, judged
from make_unigram_goldens import BLANK, DEBERTA_SPECIALS, SPECIALS, charsmap_rules, entries, rows, spelled

NORMAL, CONTROL, USER_DEFINED = 1, 3, 4
DEBERTA = dict(pad_id=0, bos_id=1, eos_id=2, unk_id=3, pad_piece="[PAD]", bos_piece="[CLS]", eos_piece="[SEP]", unk_piece="[UNK]")


def model(rules, more=(), **settings):
    """The bytes of a model; `more`: (piece, score, type) behind the trained ones."""
    import sentencepiece
    from sentencepiece import sentencepiece_model_pb2

    rng = random.Random(5)
    sentences = [" ".join(rng.choices(CASED_WORDS, k=12)) for _ in range(200)]
    file = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(sentences), model_writer=file, vocab_size=120, minloglevel=2,
                                             normalization_rule_name="identity", hard_vocab_limit=False, num_threads=1, **settings)
    proto = sentencepiece_model_pb2.ModelProto()
    proto.ParseFromString(file.getvalue())
    known = {p.piece for p in proto.pieces}
    for text, score, kind in [*((e, s, NORMAL) for e, s in entries().items()), *more]:
        if text not in known:
            proto.pieces.add(piece=text, score=score, type=kind)
            known.add(text)
    if rules:
        proto.normalizer_spec.precompiled_charsmap = base64.b64decode(charsmap.part(rules)["precompiled_charsmap"])
    return proto.SerializeToString()


def folders():
    """(name, {file: bytes})."""
    config = lambda kind: (json.dumps({"model_type": kind}) + "\n").encode()
    fairseq, name = model(charsmap_rules()), "sentencepiece.bpe.model"
    deberta = model(charsmap_rules(), more=[("<foo>", 0, USER_DEFINED), ("great", 0, USER_DEFINED), ("<ctl>", 0, CONTROL)], **DEBERTA)
    yield "XLM-RoBERTa", {name: fairseq, "config.json": config("xlm-roberta")}
    yield "XLM-RoBERTa without a map", {name: model(None), "config.json": config("xlm-roberta")}
    yield "CamemBERT", {name: fairseq, "config.json": config("camembert")}
    yield "DeBERTa", {"spm.model": deberta, "config.json": config("deberta-v2")}
    yield "DeBERTa, lower case and split at punctuation", {
        "spm.model": deberta, "config.json": config("deberta-v2"),
        "tokenizer_config.json": b'{"do_lower_case": true, "split_by_punct": true, "tokenizer_class": "DebertaV2Tokenizer"}'}
    yield "DeBERTa with added tokens", {
        "spm.model": deberta, "config.json": config("deberta-v2"),
        "added_tokens.json": json.dumps({"[MASK]": len_of(deberta), "[E1]": len_of(deberta) + 1}).encode(),
        "special_tokens_map.json": b'{"mask_token": "[MASK]", "unk_token": "[UNK]", "additional_special_tokens": ["[E1]"]}'}


def len_of(model_bytes):
    from sentencepiece import sentencepiece_model_pb2

    proto = sentencepiece_model_pb2.ModelProto()
    proto.ParseFromString(model_bytes)
    return len(proto.pieces)


def main():
    from transformers import AutoTokenizer

    rng = random.Random(31)
    with open(ROOT / "golden/sentencepiece.jsonl", "w") as file:
        for name, files in folders():
            with tempfile.TemporaryDirectory() as folder:
                for each, content in files.items():
                    (pathlib.Path(folder) / each).write_bytes(content)
                judge = AutoTokenizer.from_pretrained(folder)._tokenizer
            if name == "DeBERTa":
                (ROOT / "data/sentencepiece").mkdir(parents=True, exist_ok=True)
                for each, content in files.items():
                    (ROOT / "data/sentencepiece" / each).write_bytes(content)
            judge.no_padding()
            judge.no_truncation()
            known = sorted(e.replace(BLANK, " ") for e in judge.get_vocab())
            specials = DEBERTA_SPECIALS if name.startswith("DeBERTa") else SPECIALS
            cases = [case(spelled(t, specials)) for t in rows()]
            cases += [case(t) for t in (b"<s>NOTUSED", b"a <unk>NOTUSED b", b"a<foo>b", b"so great <ctl>", b"\t[UNK]\xef\xbb\xbf", b"[unk] [E1]x",
                                        b"a\n", b"a \r\n", b"\xc2\x85 \xc2\x85", b"\xef\xbb\xbf a", b"\xef\xbc\xbbUNK]")]
            extra = [t.content for t in judge.get_added_tokens_decoder().values()]
            while len(cases) < 150:
                second = oracle.cluster_text(rng, known, specials) if rng.random() < 0.15 else None
                cases.append(case(oracle.cluster_text(rng, known, specials + extra), second, rng.choice([None, None, 64, 9, 5, 4]),
                                  rng.random() < 0.3, rng.random() < 0.9))
            dump({"name": name, "files": {f: base64.b64encode(c).decode() for f, c in files.items()}, "cases": judged(judge, cases)}, file)


if __name__ == "__main__":
    main()
