"""Makes a tokenizer for the tiny classifiers of tests/golden/model, and writes down what Transformers makes of texts with them.

usage: make_runtime_goldens.py [OUT_DIR]      needs: tokenizers, torch, transformers

OUT_DIR (tests/adapters/golden) gets vocab.txt and tokenizer.json, which fit all of the models once tests/adapters/tiny_model.py has put
their [PAD] in its place, and logits.json: the texts, and by model their logits in fp32, one text at a time, without padding, eager attention.
"""
import json
import pathlib
import string
import sys
import tempfile

import tokenizers
import torch
import transformers

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "adapters"))
import tiny_model  # noqa: E402  pylint: disable=wrong-import-position

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = """a the it is was not and but of film story actor music scene good bad fine dull long short very never ever great poor slow fast see
 seen watch ##ed ##ing ##s ##ly ##er plot script camera laugh cry time hour voice light dark love hate new old i we my this that in on for with end first last""".split()
TEXTS = [
    "A good film.", "", "The story was very long, dull and slow!", "x", "I never watched a film that was this bad. Never.",
    "Great actors, great music", "zzzz ÄÖÜ ß 漢字 \U0001f600 [MASK]", "   tabs\tand\nlines   ", "It is not bad; it is fine, fine, fine.",
    "the film " * 60, "seen", "WATCHING THE END OF A SHORT SCENE", "poor, poor music (and the old story)",
    "[PAD] a bad [PAD] film", # to RoBERTa a token without a position of its own
]


def make_tokenizer(folder, size):
    pieces = SPECIAL + list(".,!?;()") + list(string.ascii_lowercase) + ["##" + letter for letter in string.ascii_lowercase] + WORDS
    pieces = list(dict.fromkeys(pieces))[:size]
    assert len(pieces) == size, len(pieces)
    (folder / "vocab.txt").write_text("\n".join(pieces) + "\n", encoding="utf-8")
    tokenizers.BertWordPieceTokenizer(str(folder / "vocab.txt")).save(str(folder / "tokenizer.json"))


@torch.no_grad()
def logits_of(model, tokens):
    with tempfile.TemporaryDirectory() as folder:
        tiny_model.make(folder, model, tokens)
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        net = transformers.AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
        most = tiny_model.MAX_LENGTH
        rows = [net(**tokenizer(text, truncation=True, max_length=most, return_tensors="pt")).logits[0] for text in TEXTS]
        lengths = [len(tokenizer(text, verbose=False)["input_ids"]) for text in TEXTS]  # not cut
    return lengths, [[round(value, 7) for value in row.tolist()] for row in rows]


def main():
    out = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "tests" / "adapters" / "golden")
    out.mkdir(parents=True, exist_ok=True)
    models = sorted(path.parent for path in (ROOT / "tests" / "golden" / "model").glob("*/config.json"))
    make_tokenizer(out, json.loads((models[0] / "config.json").read_text())["vocab_size"])
    golden = {"transformers": transformers.__version__, "texts": TEXTS, "models": {}}
    for model in models:
        golden["tokens"], golden["models"][model.name] = logits_of(model, out)
    (out / "logits.json").write_text(json.dumps(golden, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
