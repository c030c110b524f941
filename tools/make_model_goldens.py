"""Makes tiny random classifiers of every architecture and writes down what Hugging Face Transformers computes with them.

usage: make_model_goldens.py OUT_DIR [--seed N] [--only NAME] [--vocabulary V --positions P]      needs: torch, transformers, safetensors

One folder a model: config.json, model.safetensors and golden.safetensors with
  ids, token_types  [T] int32     the real tokens of all texts, one text behind the other
  cu_seqlens        [B + 1] int32
  hidden.0 .. L     [T, H] fp32   after the embeddings and after each layer, rows of real tokens; before ModernBERT's final norm
  logits            [B, C] fp32
Transformers runs them as one batch padded to the longest, with its mask, in fp32 and eager attention. With the default seed
these are the files in tests/golden/model.
"""
import argparse
import json
import pathlib

import torch
import transformers
from safetensors.torch import save_file
from transformers import (BertConfig, BertForSequenceClassification, CamembertConfig, CamembertForSequenceClassification,
                          DebertaV2Config, DebertaV2ForSequenceClassification,
                          DistilBertConfig, DistilBertForSequenceClassification, ElectraConfig, ElectraForSequenceClassification,
                          ModernBertConfig, ModernBertForSequenceClassification, RobertaConfig,
                          RobertaForSequenceClassification,
                          XLMRobertaConfig, XLMRobertaForSequenceClassification)

LENGTHS = (2, 7, 40, 19, 1)
LONG = {"modernbert_window": (150, 64, 70, 66, 3)}  # lengths of one model's texts: beyond the window of ModernBERT's checkpoints

# name, architecture, activation, labels, problem type, dtype of the weights file, sizes (layers, H, N, F)
MODELS = (
    ("distilbert_gelu", "distilbert", "gelu", 2, "single_label_classification", torch.float32, (3, 32, 4, 64)),
    ("distilbert_relu_multi_label", "distilbert", "relu", 5, "multi_label_classification", torch.float16, (2, 36, 3, 80)),
    ("bert_gelu_pairs", "bert", "gelu", 3, "single_label_classification", torch.float16, (3, 32, 2, 64)),
    ("bert_gelu_new_regression", "bert", "gelu_new", 1, "regression", torch.bfloat16, (2, 40, 5, 56)),
    ("bert_relu_one_layer", "bert", "relu", 4, None, torch.float32, (1, 32, 4, 48)),
    ("roberta_gelu", "roberta", "gelu", 3, "single_label_classification", torch.float32, (3, 32, 4, 64)),
    ("roberta_multi_label", "roberta", "gelu", 7, "multi_label_classification", torch.float16, (2, 48, 3, 80)),
    ("roberta_regression", "roberta", "gelu_new", 1, "regression", torch.bfloat16, (2, 64, 1, 96)),
    ("electra_narrow", "electra", "gelu", 3, "single_label_classification", torch.float32, (3, 32, 4, 64)),
    ("electra_multi_label", "electra", "relu", 4, "multi_label_classification", torch.float16, (2, 36, 3, 80)),
    ("deberta_v3", "deberta-v2", "gelu", 3, "single_label_classification", torch.float32, (3, 32, 4, 64)),
    ("deberta_v3_multi_label", "deberta-v2", "relu", 4, "multi_label_classification", torch.float16, (2, 36, 3, 80)),
    ("deberta_v2_regression", "deberta-v2", "gelu_new", 1, "regression", torch.bfloat16, (2, 64, 1, 96)),
    ("deberta_one_layer", "deberta-v2", "gelu", 2, None, torch.float32, (1, 32, 2, 48)),
    ("xlm_roberta_reranker", "xlm-roberta", "gelu", 1, None, torch.float16, (2, 48, 3, 80)),
    ("camembert_gelu", "camembert", "gelu", 3, "single_label_classification", torch.float16, (2, 32, 4, 64)),
    ("modernbert_mean", "modernbert", "gelu", 3, "single_label_classification", torch.float32, (5, 32, 4, 48)),
    ("modernbert_cls_biases", "modernbert", "gelu_new", 4, "multi_label_classification", torch.float16, (3, 36, 3, 80)),
    ("modernbert_regression", "modernbert", "gelu", 1, "regression", torch.bfloat16, (2, 64, 1, 96)),
    ("modernbert_one_layer", "modernbert", "relu", 2, None, torch.float32, (1, 32, 2, 48)),
    ("modernbert_window", "modernbert", "gelu", 2, "single_label_classification", torch.float16, (4, 16, 2, 24)),
)
VOCABULARY, POSITIONS, TOKEN_TYPES = 120, 40, 2
ELECTRA_WIDTHS = {"electra_narrow": 24}  # else the hidden size
# Buckets and the farthest distance: beyond half the buckets they grow, beyond the farthest all is one. -1: a row each, up to it.
DEBERTA_DISTANCES = {"deberta_v3": (16, -1), "deberta_v3_multi_label": (6, 20), "deberta_v2_regression": (-1, 12),
                     "deberta_one_layer": (8, -1)}
# Pooling, local_attention, thetas of global and local layers, kinds of layers (None: every third is global), biases.
# modernbert_cls_biases has its config.json as Transformers 4 writes it.
MODERNBERTS = {
    "modernbert_mean": ("mean", 10, 160000.0, 10000.0, None, False),
    "modernbert_cls_biases": ("cls", 6, 800.0, 50.0, None, True),
    "modernbert_regression": ("mean", 9, 1000.0, 100.0, ("sliding_attention", "full_attention"), False),
    "modernbert_one_layer": ("cls", 8, 160000.0, 10000.0, None, False),
    "modernbert_window": ("cls", 128, 160000.0, 10000.0, None, False),
}
ROBERTA_PADS = {"roberta_multi_label": 5}  # else 1
ROBERTAS = {"roberta": (RobertaConfig, RobertaForSequenceClassification),
            "xlm-roberta": (XLMRobertaConfig, XLMRobertaForSequenceClassification),
            "camembert": (CamembertConfig, CamembertForSequenceClassification)}


def pad_of(name, architecture):
    return ROBERTA_PADS.get(name, 1) if architecture in ROBERTAS else 0


def make_model(name, architecture, activation, labels, problem, sizes, pad):
    layers, hidden, heads, intermediate = sizes
    names = {i: f"LABEL {i}" for i in range(labels)}
    common = dict(vocab_size=VOCABULARY, max_position_embeddings=POSITIONS, id2label=names, label2id={n: i for i, n in names.items()},
                  problem_type=problem, pad_token_id=pad, attn_implementation="eager")
    if architecture == "distilbert":
        config = DistilBertConfig(n_layers=layers, dim=hidden, n_heads=heads, hidden_dim=intermediate, activation=activation, **common)
        return DistilBertForSequenceClassification(config)
    if architecture in ROBERTAS:
        common["max_position_embeddings"] = POSITIONS + pad + 1
        make_config, make = ROBERTAS[architecture]
        config = make_config(num_hidden_layers=layers, hidden_size=hidden, num_attention_heads=heads,
                               intermediate_size=intermediate, hidden_act=activation, type_vocab_size=1, layer_norm_eps=1e-5,
                               **common)
        return make(config)
    if architecture == "deberta-v2":
        buckets, farthest = DEBERTA_DISTANCES[name]
        config = DebertaV2Config(num_hidden_layers=layers, hidden_size=hidden, num_attention_heads=heads,
                                 intermediate_size=intermediate, hidden_act=activation, pooler_hidden_act="gelu", type_vocab_size=0,
                                 relative_attention=True, share_att_key=True, pos_att_type="p2c|c2p", position_biased_input=False,
                                 position_buckets=buckets, max_relative_positions=farthest, layer_norm_eps=1e-7,
                                 norm_rel_ebd="layer_norm" if "v3" in name else "none", **common)
        return DebertaV2ForSequenceClassification(config)
    if architecture == "modernbert":
        pooling, local, theta, local_theta, kinds, biases = MODERNBERTS[name]
        common["max_position_embeddings"] = max(LONG.get(name, (POSITIONS,)))
        config = ModernBertConfig(num_hidden_layers=layers, hidden_size=hidden, num_attention_heads=heads, intermediate_size=intermediate,
                                  hidden_activation=activation, classifier_activation="relu" if biases else "gelu", norm_eps=1e-5,
                                  local_attention=local, classifier_pooling=pooling, layer_types=list(kinds) if kinds else None,
                                  rope_parameters={"full_attention": {"rope_type": "default", "rope_theta": theta},
                                                   "sliding_attention": {"rope_type": "default", "rope_theta": local_theta}},
                                  attention_bias=biases, mlp_bias=biases, norm_bias=biases, classifier_bias=biases,
                                  bos_token_id=1, cls_token_id=1, eos_token_id=2, sep_token_id=2, **common)
        return ModernBertForSequenceClassification(config)
    if architecture == "electra":
        config = ElectraConfig(num_hidden_layers=layers, hidden_size=hidden, num_attention_heads=heads,
                               intermediate_size=intermediate, hidden_act=activation, type_vocab_size=TOKEN_TYPES,
                               embedding_size=ELECTRA_WIDTHS.get(name, hidden), **common)
        return ElectraForSequenceClassification(config)
    config = BertConfig(num_hidden_layers=layers, hidden_size=hidden, num_attention_heads=heads, intermediate_size=intermediate,
                        hidden_act=activation, type_vocab_size=TOKEN_TYPES, layer_norm_eps=1e-7, **common)
    return BertForSequenceClassification(config)


@torch.no_grad()
def randomise(model, generator):
    """Weights at which softmax and activations are neither flat nor saturated (the library's own start is nearly linear)."""
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        if "LayerNorm.weight" in name or "layer_norm.weight" in name or name.endswith("norm.weight"):
            parameter.copy_(1 + 0.2 * noise)
        elif "embeddings" in name and parameter.ndim == 2:
            parameter.copy_(0.8 * noise)
        elif parameter.ndim == 2:
            parameter.copy_(1.5 * noise / parameter.shape[1] ** 0.5)
        else:
            parameter.copy_(0.3 * noise)


def make_batch(lengths, pairs, pad, generator):
    ids = torch.full((len(lengths), max(lengths)), pad, dtype=torch.long)
    mask, types = torch.zeros_like(ids), torch.zeros_like(ids)
    for b, length in enumerate(lengths):
        ids[b, :length] = torch.randint(1, VOCABULARY, (length,), generator=generator)
        mask[b, :length] = 1
        if pairs:
            types[b, length // 2:length] = 1
    if pad > 0:  # a pad token that stands in a text: at its start, its end, and in a row
        for b, s in ((3, 0), (1, 6), (2, 4), (2, 5), (2, 20)):
            ids[b, s] = pad
    return ids, mask, types


def hidden_states(model, inputs):
    """The stream of a model whose hidden_states end with a norm: what its embeddings and layers return."""
    seen = []
    for module in (model.model.embeddings, *model.model.layers):
        module.register_forward_hook(lambda _module, _inputs, output: seen.append(output[0] if isinstance(output, tuple) else output))
    model(**inputs)
    return seen


def spell_as_4(path):
    """config.json with ModernBERT's layers and thetas as Transformers 4 writes them."""
    config = json.loads(path.read_text())
    for kind, name in (("full_attention", "global_rope_theta"), ("sliding_attention", "local_rope_theta")):
        config[name] = config["rope_parameters"][kind]["rope_theta"]
    del config["rope_parameters"], config["layer_types"]
    config["global_attn_every_n_layers"] = 3
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


@torch.no_grad()
def write(folder, spec, generator):
    name, architecture, activation, labels, problem, dtype, sizes = spec
    pad = pad_of(name, architecture)
    model = make_model(name, architecture, activation, labels, problem, sizes, pad).eval()
    randomise(model, generator)
    folder.mkdir(parents=True, exist_ok=True)
    model.to(dtype).save_pretrained(folder)
    # What is written is what is run. ModernBERT is read again: its frequencies were rounded with the weights.
    if architecture == "modernbert":
        model = type(model).from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    model = model.float()
    if name == "modernbert_cls_biases":
        spell_as_4(folder / "config.json")
    lengths = LONG.get(name, LENGTHS)
    ids, mask, types = make_batch(lengths, architecture in ("bert", "electra"), pad, generator)
    inputs = dict(input_ids=ids, attention_mask=mask)
    if architecture in ("bert", "electra"):
        inputs["token_type_ids"] = types
    output = model(**inputs, output_hidden_states=True)
    real = mask.bool()
    golden = {
        "ids": ids[real].int(),
        "token_types": types[real].int(),
        "cu_seqlens": torch.tensor([0] + list(lengths)).cumsum(0).int(),
        "logits": output.logits.contiguous(),
    }
    states = hidden_states(model, inputs) if architecture == "modernbert" else output.hidden_states
    for layer, hidden in enumerate(states):
        golden[f"hidden.{layer}"] = hidden[real].contiguous()
    assert len(states) == sizes[0] + 1
    save_file(golden, folder / "golden.safetensors", metadata={"transformers": transformers.__version__, "torch": torch.__version__})
    spread = output.logits.std().item() if labels > 1 else output.logits.abs().max().item()
    print(json.dumps({"model": folder.name, "logit_spread": round(spread, 3)}))


def main():
    global VOCABULARY, POSITIONS
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--seed", type=int, default=20)
    parser.add_argument("--only", default="")
    parser.add_argument("--vocabulary", type=int, default=VOCABULARY)
    parser.add_argument("--positions", type=int, default=POSITIONS)
    arguments = parser.parse_args()
    VOCABULARY, POSITIONS = arguments.vocabulary, arguments.positions
    torch.use_deterministic_algorithms(True)
    generator = torch.Generator().manual_seed(arguments.seed)
    for spec in MODELS:
        if arguments.only in ("", spec[0]):
            write(arguments.out / spec[0], spec, generator)


if __name__ == "__main__":
    main()
