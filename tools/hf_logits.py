"""What Hugging Face Transformers makes of texts: token ids and logits, in fp32, one text at a time without padding.

usage: hf_logits.py MODEL_DIR TEXTS OUT [--max-length N]     needs: torch, transformers, safetensors

TEXTS is a JSON list of strings. OUT becomes a safetensors file with ids [T] int32, cu_seqlens [B + 1] int32 and
logits [B, C] fp32.
"""
import argparse
import json
import pathlib

import torch
from safetensors.torch import save_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer


@torch.no_grad()
def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("texts", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--max-length", type=int, default=512)
    arguments = parser.parse_args()
    tokenizer = AutoTokenizer.from_pretrained(arguments.model)
    model = AutoModelForSequenceClassification.from_pretrained(arguments.model, dtype=torch.float32).eval()
    ids, lengths, logits = [], [0], []
    for text in json.loads(arguments.texts.read_text(encoding="utf-8")):
        one = tokenizer(text, truncation=True, max_length=arguments.max_length)["input_ids"]
        ids += one
        lengths.append(len(one))
        logits.append(model(input_ids=torch.tensor([one])).logits[0])
    save_file({"ids": torch.tensor(ids, dtype=torch.int32), "cu_seqlens": torch.tensor(lengths).cumsum(0).int(),
               "logits": torch.stack(logits).float()}, arguments.out)


if __name__ == "__main__":
    main()
