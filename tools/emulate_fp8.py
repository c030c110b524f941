#!/usr/bin/env python3
"""What --precision fp8 does to labels, without a GPU: its arithmetic in PyTorch on the CPU, against fp32 of the same checkpoint.

usage: emulate_fp8.py MODEL_FOLDER ACLIMDB_TAR [--count 1000] [--offset 0] [--step N] [--threads 2] [--max-length 512] [--keep-down]
                      [--product-scales] [--gelu-factor 8] [--context-factor 16] [--journal FILE]

Rows and weights become e4m3 where src/ops/cuda/quantised_blocks.cc quantises them, sums are rounded to bf16, the rest is fp16 as
there. Not emulated: the order of fp32 sums, and the fewer bits in which some tensor cores add e4m3 products. --keep-down leaves the
FFN's second product in fp16, to see what it costs. --product-scales: queries, keys and values by a product that knows both scales (sm_90).
--gelu-factor, --context-factor: the FFN's hidden layer, the context times this number to e4m3, whatever the row holds; not in the engine. A
DistilBERT checkpoint; the reviews are evenly spaced over IMDB's test half, from --offset every --step'th. --journal: appends a line of
counts, from which several runs are added up.
"""
import argparse
import json
import pathlib
import tarfile
import time

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

LARGEST = 448.0  # of e4m3


def halve(x):
    return x.half().float()


def to_codes(x):
    """Rows as e4m3 over their own largest value, and the scale that brings them back."""
    largest = x.abs().amax(-1, keepdim=True)
    scale = torch.where(largest > 0, largest / LARGEST, torch.ones_like(largest))
    return (x * (1 / scale)).clamp(-LARGEST, LARGEST).to(torch.float8_e4m3fn).float(), scale


def to_fixed_codes(x, factor):
    """The same with one factor for all that ever comes; what goes beyond 448 stays there."""
    return (x * factor).clamp(-LARGEST, LARGEST).to(torch.float8_e4m3fn).float(), torch.full_like(x[..., :1], 1 / factor)


class Fp8Linear:
    def __init__(self, *parts, factor=None):
        self.factor = factor
        self.codes, self.scale = to_codes(torch.cat([part.weight for part in parts]).float())
        self.bias = torch.cat([part.bias for part in parts]).float()

    def __call__(self, x):
        codes, scale = to_codes(x) if self.factor is None else to_fixed_codes(x, self.factor)
        sums = (codes @ self.codes.T).bfloat16().float()
        return sums * (scale * self.scale.T) + self.bias


class ScaledLinear(Fp8Linear):
    """Sums stay fp32 until both scales and the bias are on them."""

    def __call__(self, x):
        codes, scale = to_codes(x)
        return codes @ self.codes.T * (scale * self.scale.T) + halve(self.bias)


class HalfLinear:
    def __init__(self, *parts):
        self.weight = halve(torch.cat([part.weight for part in parts]).float())
        self.bias = torch.cat([part.bias for part in parts]).float()

    def __call__(self, x):
        return halve(halve(x) @ self.weight.T) + self.bias


def attend(query, key, value, mask, heads):
    def split(x):
        return x.view(x.shape[0], x.shape[1], heads, -1).transpose(1, 2)

    query, key, value = split(query), split(key), split(value)
    scores = query @ key.transpose(-1, -2) / key.shape[-1] ** 0.5
    shares = halve(torch.softmax(scores.masked_fill(~mask[:, None, None, :], float("-inf")), -1))
    return halve((shares @ value).transpose(1, 2).flatten(2))


class Fp8Model:
    def __init__(self, model, options):
        self.encoder, self.model = model.distilbert, model
        self.heads = model.config.n_heads
        self.layers = []
        for index, layer in enumerate(self.encoder.transformer.layer):
            attention = layer.attention
            last = index + 1 == model.config.n_layers
            kind = HalfLinear if last else ScaledLinear if options.product_scales else Fp8Linear
            qkv = kind(attention.q_lin, attention.k_lin, attention.v_lin)
            project = Fp8Linear(attention.out_lin, factor=None if last else options.context_factor)
            down = HalfLinear(layer.ffn.lin2) if options.keep_down else Fp8Linear(layer.ffn.lin2, factor=options.gelu_factor)
            self.layers.append((last, qkv, project, layer.sa_layer_norm, Fp8Linear(layer.ffn.lin1), down, layer.output_layer_norm))

    def __call__(self, ids, mask):
        tables = self.encoder.embeddings
        x = halve(tables.word_embeddings.weight)[ids] + halve(tables.position_embeddings.weight)[: ids.shape[1]]
        exact = halve(tables.LayerNorm(x))  # what is quantised: after a norm of a layer the fp32 result, here x as it is stored
        x = exact
        for last, qkv, project, attention_norm, up, down, ffn_norm in self.layers:
            query, key, value = halve(qkv(exact)).chunk(3, -1)
            if last:  # for [CLS] only
                query, x = query[:, :1], x[:, :1]
            exact = attention_norm(project(attend(query, key, value, mask, self.heads)) + x)
            x = halve(exact)
            exact = ffn_norm(down(torch.nn.functional.gelu(up(exact))) + x)
            x = halve(exact)
        pooled = torch.relu(HalfLinear(self.model.pre_classifier)(x[:, 0]))
        return pooled @ self.model.classifier.weight.T + self.model.classifier.bias


def reviews(archive, count, offset, step):
    """Texts and labels, evenly spaced over the test half, both labels alike; another offset gives others."""
    chosen = {}
    with tarfile.open(archive) as tar:
        names = sorted(m.name for m in tar if m.isfile() and "/test/" in m.name)
    wanted = set(names[offset :: step or max(1, len(names) // count)][:count])
    with tarfile.open(archive) as tar:
        for member in tar:
            if member.name in wanted:
                chosen[member.name] = tar.extractfile(member).read().decode()
    return [(chosen[name], int("/pos/" in name)) for name in sorted(chosen)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("archive", type=pathlib.Path)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--offset", type=int, default=0)
    parser.add_argument("--step", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--max-length", type=int, default=512)
    parser.add_argument("--keep-down", action="store_true")
    parser.add_argument("--product-scales", action="store_true")
    parser.add_argument("--gelu-factor", type=float)
    parser.add_argument("--context-factor", type=float)
    parser.add_argument("--journal", type=pathlib.Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    model = AutoModelForSequenceClassification.from_pretrained(options.model, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    chosen = reviews(options.archive, options.count, options.offset, options.step)
    ids = [tokenizer(text, truncation=True, max_length=options.max_length)["input_ids"] for text, _ in chosen]
    order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
    fp8 = Fp8Model(model, options)
    judged, ours = torch.zeros(len(ids), 2), torch.zeros(len(ids), 2)
    begin = time.monotonic()
    with torch.inference_mode():
        for first in range(0, len(order), 16):
            part = order[first : first + 16]
            longest = max(len(ids[i]) for i in part)
            rows = torch.tensor([ids[i] + [0] * (longest - len(ids[i])) for i in part])
            mask = torch.arange(longest)[None, :] < torch.tensor([len(ids[i]) for i in part])[:, None]
            judged[part] = model(input_ids=rows, attention_mask=mask.long()).logits
            ours[part] = fp8(rows, mask)
    labels = torch.tensor([label for _, label in chosen])
    delta = (ours - judged).abs().flatten()
    sigma = (judged - judged.mean(0)).square().mean().sqrt().item()
    flips = (ours.argmax(-1) != judged.argmax(-1)).sum().item()
    right = [(logits.argmax(-1) == labels).float().mean().item() for logits in (judged, ours)]
    print(f"{len(ids)} reviews, {sum(map(len, ids))} tokens, {time.monotonic() - begin:.0f} s")
    print(f"flips {flips} ({100 * flips / len(ids):.2f} %), p99 |dlogit| {delta.quantile(0.99):.4f} = "
          f"{delta.quantile(0.99) / sigma:.4f} sigma, max {delta.max():.4f}")
    print(f"accuracy {100 * right[0]:.2f} % in fp32, {100 * right[1]:.2f} % in fp8")
    if options.journal:
        counts = {"options": {name: str(value) for name, value in vars(options).items()}, "reviews": len(ids), "flips": flips,
                  "p99_sigma": (delta.quantile(0.99) / sigma).item(), "right": right}
        with options.journal.open("a") as journal:
            journal.write(json.dumps(counts) + "\n")


if __name__ == "__main__":
    main()
