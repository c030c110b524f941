"""Where BERT's kin keep what: the sizes of a sequence classifier and the names of its tensors, from config.json. Needs no library."""
import dataclasses

import common

BERT_ATTENTION = ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense", "attention.output.LayerNorm")
BERT_FFN = ("intermediate.dense", "output.dense", "output.LayerNorm")
# What their tensors are called by, and the head on the first token: a layer, its activation, the last layer.
HEADS = {"bert": ("bert.", ("bert.pooler.dense", "tanh", "classifier")),
         "roberta": ("roberta.", ("classifier.dense", "tanh", "classifier.out_proj")),
         "electra": ("electra.", ("classifier.dense", "gelu", "classifier.out_proj"))}
KNOWN = ("distilbert", "bert", *common.ROBERTAS, "electra")


@dataclasses.dataclass
class Shape:
    layers: int
    heads: int
    hidden: int
    activation: str
    eps: float
    prefix: str
    layer: str
    attention: tuple  # query, key, value, output, its norm
    ffn: tuple        # up, down, its norm
    head: tuple       # dense, its activation, classifier
    types: str        # of tokens: "input" to the graph, "zero" for all, "" where the model has none
    pads: bool        # positions are RoBERTa's: they count from pad_id + 1 on, without the pads, whose position is pad_id


def read_shape(model):
    """Of a common.Model."""
    config = model.config
    if model.type == "distilbert":
        return Shape(config["n_layers"], config["n_heads"], config["dim"], config.get("activation", "gelu"), 1e-12, "distilbert.",
                     "distilbert.transformer.layer.{}.",
                     ("attention.q_lin", "attention.k_lin", "attention.v_lin", "attention.out_lin", "sa_layer_norm"),
                     ("ffn.lin1", "ffn.lin2", "output_layer_norm"), ("pre_classifier", "relu", "classifier"), "", False)
    if model.type not in KNOWN:
        raise common.Refused("unsupported", f"model_type is {model.type!r}: only {', '.join(KNOWN)} are exported here", "take --runtime pytorch")
    pads = model.type in common.ROBERTAS
    prefix, head = HEADS["roberta" if pads else model.type]
    return Shape(config["num_hidden_layers"], config["num_attention_heads"], config["hidden_size"], config.get("hidden_act", "gelu"),
                 config.get("layer_norm_eps", 1e-12), prefix, prefix + "encoder.layer.{}.", BERT_ATTENTION, BERT_FFN, head,
                 "zero" if pads else "input", pads)


def word_table(shape, tensors, with_type):
    """-> [V, E]; with_type: the row of token type 0 is in each word's, which is the sum that Transformers begins with."""
    words = tensors[f"{shape.prefix}embeddings.word_embeddings.weight"]
    return words + tensors[f"{shape.prefix}embeddings.token_type_embeddings.weight"][0] if with_type else words
