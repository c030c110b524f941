"""Makes tiny random classifiers of pairs with their tokenizers, and writes down what Hugging Face Transformers makes of pairs with them.

usage: make_pair_goldens.py [OUT_DIR]      needs: torch, transformers, safetensors, sentence-transformers (6.2.0)

OUT_DIR (tests/golden/pairs) gets a folder a model, with what Transformers loads and golden.json:
  pairs      text, text_pair, max_length; input_ids and token_type_ids (as the `tokenizers` package has them) and logits (fp32, one pair
             at a time, eager attention)
  zero_shot  of the NLI models: text, labels, template, multi_label, and the scores of the zero-shot-classification pipeline
  rank       of the reranker: query, passages, and what CrossEncoder.rank makes of them, with the activation that its config.json names
             and with an Identity there
"""
import itertools
import json
import pathlib
import shutil
import sys

import sentence_transformers
import torch
import transformers

import make_model_goldens as models

ROOT = pathlib.Path(__file__).resolve().parent.parent
NLI = ["contradiction", "entailment", "neutral"]

# name, architecture, labels, vocabulary, positions, tokenizer's files, tokenizer_config.json
MODELS = (
    ("bert_nli", "bert", NLI, 120, 64, "tests/adapters/golden/vocab.txt", {"tokenizer_class": "BertTokenizer"}),
    ("roberta_nli", "roberta", ["ENTAILMENT", "NEUTRAL", "CONTRADICTION"], 340, 150,
     "tests/text/data/byte_level/*s.txt tests/text/data/byte_level/vocab.json",
     {"tokenizer_class": "RobertaTokenizer"}),
    ("distilbert_reranker", "distilbert", ["LABEL_0"], 120, 40, "tests/adapters/golden/vocab.txt", {"tokenizer_class": "DistilBertTokenizer"}),
)
TEXTS = ["A good film.", "", "The story was very long, dull and slow!", "I never watched a film that was this bad. Never.",
         "the film " * 30, "it is not bad; it is fine, " * 9, "poor music"]
CANDIDATES = (["music", "a story", "a very long label of many words for the end"], ["good", "bad"], ["film"])


def make_folder(folder, spec, generator):
    name, architecture, labels, vocabulary, positions, files, config = spec
    models.VOCABULARY, models.POSITIONS = vocabulary, positions
    pad = models.pad_of(name, architecture)
    model = models.make_model(name, architecture, "gelu", len(labels), None, (2, 32, 4, 48), pad)
    model.config.id2label, model.config.label2id = dict(enumerate(labels)), {label: i for i, label in enumerate(labels)}
    models.randomise(model, generator)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    model.save_pretrained(folder)
    for pattern in files.split():
        for path in ROOT.glob(pattern):
            shutil.copy(path, folder)
    (folder / "tokenizer_config.json").write_text(json.dumps(config | {"model_max_length": positions}) + "\n", encoding="utf-8")


def pairs(tokenizer, model, longest):
    for (first, second), length in itertools.product(itertools.product(TEXTS, TEXTS), (longest, 17, 8)):
        if length < longest and len(first + second) < 40:  # of the short ones once is enough
            continue
        tokenizer._tokenizer.no_padding()
        tokenizer._tokenizer.enable_truncation(length)
        encoding = tokenizer._tokenizer.encode(first, second)
        inputs = tokenizer([first], [second], truncation=True, max_length=length, return_tensors="pt")
        assert inputs["input_ids"][0].tolist() == encoding.ids
        yield {"text": first, "text_pair": second, "max_length": length, "input_ids": encoding.ids, "token_type_ids": encoding.type_ids,
               "logits": [round(value, 7) for value in model(**inputs).logits[0].tolist()]}


def zero_shot(folder):
    pipe = transformers.pipeline("zero-shot-classification", model=str(folder), device="cpu")
    for text, labels in itertools.product([text for text in TEXTS if text], CANDIDATES):
        for template, multi_label in (("This example is {}.", False), ("It is about {}!", True)):
            answer = pipe(text, labels, hypothesis_template=template, multi_label=multi_label)
            yield {"text": text, "labels": labels, "template": template, "multi_label": multi_label, "ranked": answer["labels"],
                   "scores": [round(score, 7) for score in answer["scores"]]}


def rank(folder):
    for query, identity in itertools.product(("A good film.", "the film " * 30), (False, True)):
        encoder = sentence_transformers.CrossEncoder(str(folder), device="cpu", activation_fn=torch.nn.Identity() if identity else None)
        answer = encoder.rank(query, TEXTS)
        yield {"query": query, "passages": TEXTS, "identity": identity, "order": [one["corpus_id"] for one in answer],
               "scores": [round(float(one["score"]), 7) for one in answer]}


@torch.no_grad()
def write(folder, spec, generator):
    make_folder(folder, spec, generator)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    golden = {"transformers": transformers.__version__, "pairs": list(pairs(tokenizer, model, spec[4]))}
    if len(spec[2]) > 1:
        golden["zero_shot"] = list(zero_shot(folder))
    else:
        golden["rank"] = list(rank(folder))
    lines = [f'"transformers":{json.dumps(golden["transformers"])}']
    for part in ("pairs", "zero_shot", "rank"):
        if part in golden:
            lines.append(f'"{part}":[\n' + ",\n".join(json.dumps(case, separators=(",", ":")) for case in golden[part]) + "]")
    (folder / "golden.json").write_text("{" + ",\n".join(lines) + "}\n", encoding="utf-8")
    print(folder.name, {part: len(golden[part]) for part in golden if part != "transformers"})


def main():
    out = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "tests" / "golden" / "pairs")
    generator = torch.Generator().manual_seed(21)
    for spec in MODELS:
        write(out / spec[0], spec, generator)


if __name__ == "__main__":
    main()
