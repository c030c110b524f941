"""A sequence classifier as an ONNX graph by torch.onnx: for architectures that onnx_export.py does not write (decision 0032).

usage: torch_export.py FOLDER OUT.onnx      onnx_export.py runs it with the Python of the runtime pytorch

Inputs input_ids and attention_mask, and token_type_ids where the model has a table of them, [B, S] int64, of any B and S; the output
is logits [B, C] fp32.
"""
import inspect
import os
import sys

os.environ["HF_HUB_OFFLINE"] = os.environ["TRANSFORMERS_OFFLINE"] = "1"
import torch  # noqa: E402  pylint: disable=wrong-import-position
import transformers  # noqa: E402  pylint: disable=wrong-import-position


def main():
    folder, out = sys.argv[1:]
    net = transformers.AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32).eval()
    takes_types = "token_type_ids" in inspect.signature(net.forward).parameters and getattr(net.config, "type_vocab_size", 0) > 0
    names = ["input_ids", "attention_mask"] + ["token_type_ids"] * takes_types
    example = {name: torch.ones(2, 9, dtype=torch.int64) for name in names}  # no size of it stays in the graph
    shapes = {name: {0: "batch", 1: "sequence"} for name in example}
    torch.onnx.export(net, (), out, kwargs=example, input_names=list(example), output_names=["logits"], dynamic_shapes=shapes,
                      external_data=False)


if __name__ == "__main__":
    main()
