"""Sequence classifiers as an ONNX graph: BERT's kin (shapes.KNOWN) from config.json and safetensors alone, others by torch.onnx in
PyTorch's environment (decision 0032).

The nodes of the former have the shapes that onnxruntime.transformers.optimizer knows (model_type "bert"): it makes EmbedLayerNormalization,
Attention, SkipLayerNormalization and BiasGelu of them. Inputs are input_ids and attention_mask [B, S] int64, for BERT token_type_ids
too; the output is logits [B, C] fp32.
"""
import subprocess
import tempfile

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import common

shapes = common.sibling("shapes")
OPSET = 17  # the first with LayerNormalization
LOWEST = float(np.finfo(np.float32).min)


class Graph:
    """Nodes and initialisers under construction. Each op method returns the name of its output."""

    def __init__(self, tensors):
        self.tensors, self.nodes, self.initializers, self.constants = tensors, [], {}, {}

    def op(self, kind, *inputs, **attributes):
        output = f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    def weight(self, name, transpose=False):
        if name not in self.tensors:
            raise common.Refused("model", f"the weights have no {name}")
        value = self.tensors[name]
        self.initializers.setdefault(name, np.ascontiguousarray(value.T) if transpose else value)
        return name

    def constant(self, value, dtype):
        array = np.asarray(value, dtype=dtype)
        name = self.constants.setdefault((array.dtype.str, array.shape, array.tobytes()), f"constant_{len(self.constants)}")
        self.initializers[name] = array
        return name

    def linear(self, x, name):
        """[.., in] -> [.., out] as MatMul and Add: the form that the fusions look for."""
        return self.op("Add", self.op("MatMul", x, self.weight(name + ".weight", transpose=True)), self.weight(name + ".bias"))

    def norm(self, x, name, eps):
        return self.op("LayerNormalization", x, self.weight(name + ".weight"), self.weight(name + ".bias"), axis=-1, epsilon=eps)

    def activate(self, x, kind):
        number = lambda value: self.constant(value, np.float32)  # pylint: disable=unnecessary-lambda-assignment
        if kind in ("relu", "tanh"):
            return self.op(kind.capitalize(), x)
        if kind == "gelu":
            erf = self.op("Add", self.op("Erf", self.op("Div", x, number(2 ** 0.5))), number(1))
            return self.op("Mul", self.op("Mul", x, erf), number(0.5))
        if kind in ("gelu_new", "gelu_pytorch_tanh"):
            cube = self.op("Mul", self.op("Pow", x, number(3)), number(0.044715))
            inner = self.op("Mul", self.op("Add", x, cube), number((2 / np.pi) ** 0.5))
            outer = self.op("Add", self.op("Tanh", inner), number(1))
            return self.op("Mul", self.op("Mul", x, number(0.5)), outer)
        raise common.Refused("unsupported", f"the activation is {kind!r}: gelu, gelu_new, gelu_pytorch_tanh and relu are exported here",
                             "take --runtime pytorch")


def embed(graph, shape, model):
    """-> [B, S, H]"""
    name = f"{shape.prefix}embeddings.{{}}_embeddings.weight".format
    whole = lambda value: graph.constant(value, np.int64)  # pylint: disable=unnecessary-lambda-assignment
    if shape.pads:
        real = graph.op("Cast", graph.op("Not", graph.op("Equal", "input_ids", whole(model.pad_id))), to=TensorProto.INT64)
        numbers = graph.op("Add", graph.op("Mul", graph.op("CumSum", real, whole(1)), real), whole(model.pad_id))
    else:
        end = graph.op("Unsqueeze", graph.op("Gather", graph.op("Shape", "input_ids"), whole(1), axis=0), whole([0]))
        numbers = graph.op("Slice", graph.constant(np.arange(model.positions)[None], np.int64), whole([0]), end, whole([1]), whole([1]))
    graph.tensors[name("word")] = shapes.word_table(shape, graph.tensors, shape.types == "zero")
    x = graph.op("Gather", graph.weight(name("word")), "input_ids")
    if shape.types == "input":
        x = graph.op("Add", x, graph.op("Gather", graph.weight(name("token_type")), "token_type_ids"))
    x = graph.op("Add", x, graph.op("Gather", graph.weight(name("position")), numbers))
    x = graph.norm(x, f"{shape.prefix}embeddings.LayerNorm", shape.eps)
    wider = f"{shape.prefix}embeddings_project"
    return graph.linear(x, wider) if f"{wider}.weight" in graph.tensors else x


def attend(graph, shape, x, mask, names):
    """x [B, S, H], mask [B, 1, 1, S]: 0 or the lowest float -> the context's projection [B, S, H], before its residual."""
    head = shape.hidden // shape.heads
    split = graph.constant([0, 0, shape.heads, head], np.int64)

    def heads(name, order):
        return graph.op("Transpose", graph.op("Reshape", graph.linear(x, name), split), perm=order)
    query, key, value = heads(names[0], (0, 2, 1, 3)), heads(names[1], (0, 2, 3, 1)), heads(names[2], (0, 2, 1, 3))
    scores = graph.op("Div", graph.op("MatMul", query, key), graph.constant(head ** 0.5, np.float32))
    shares = graph.op("Softmax", graph.op("Add", scores, mask), axis=-1)
    context = graph.op("Transpose", graph.op("MatMul", shares, value), perm=(0, 2, 1, 3))
    return graph.linear(graph.op("Reshape", context, graph.constant([0, 0, shape.hidden], np.int64)), names[3])


def export(model, pytorch):
    """-> the onnx.ModelProto of a common.Model. `pytorch`: a Python with torch, which exports what is not written here; may be None."""
    if model.type not in shapes.KNOWN:
        return export_by_torch(model, pytorch)
    shape = shapes.read_shape(model)
    graph = Graph(model.tensors())
    mask = graph.op("Unsqueeze", graph.op("Unsqueeze", "attention_mask", graph.constant([1], np.int64)), graph.constant([2], np.int64))
    absent = graph.op("Sub", graph.constant(1, np.float32), graph.op("Cast", mask, to=TensorProto.FLOAT))
    mask = graph.op("Mul", absent, graph.constant(LOWEST, np.float32))
    x = embed(graph, shape, model)
    for index in range(shape.layers):
        prefix = shape.layer.format(index)
        names = [prefix + name for name in shape.attention + shape.ffn]
        x = graph.norm(graph.op("Add", attend(graph, shape, x, mask, names), x), names[4], shape.eps)
        wide = graph.activate(graph.linear(x, names[5]), shape.activation)
        x = graph.norm(graph.op("Add", graph.linear(wide, names[6]), x), names[7], shape.eps)
    first = graph.op("Gather", x, graph.constant(0, np.int64), axis=1)
    dense, activation, classifier = shape.head
    graph.linear(graph.activate(graph.linear(first, dense), activation), classifier)
    graph.nodes[-1].output[0] = "logits"
    inputs = ["input_ids", "attention_mask"] + ["token_type_ids"] * (shape.types == "input")
    whole = helper.make_graph(
        graph.nodes, "classifier",
        [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "sequence"]) for name in inputs],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", len(model.labels)])],
        [numpy_helper.from_array(value, name) for name, value in graph.initializers.items()])
    made = helper.make_model(whole, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="breakeven")
    made.ir_version = 8  # what went with opset 17: older runtimes read it too
    onnx.checker.check_model(made)
    return made


def export_by_torch(model, pytorch):
    if not pytorch:
        raise common.Refused("missing", f"model_type {model.type!r} is exported by PyTorch, which is not set up", "breakeven runtimes setup pytorch")
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/model.onnx"
        told = subprocess.run([pytorch, common.HERE / "torch_export.py", model.folder, path], capture_output=True, text=True, check=False)
        if told.returncode != 0:
            last = ([""] + [line for line in told.stderr.splitlines() if line.strip()])[-1]
            raise common.Refused("unsupported", f"torch.onnx cannot export it: {last}"[:2000], "take --runtime pytorch")
        made = onnx.load(path)
    give_norms_a_bias(made.graph)
    del made.graph.value_info[:]  # onnxruntime's quantisation transposes weights and trips over the shapes that were
    return made


def give_norms_a_bias(graph):
    """Zeros, where a norm has none (ModernBERT): onnxruntime's fusion of a sum and a norm reads it without asking."""
    sizes = {one.name: one.dims for one in graph.initializer}
    for node in graph.node:
        if node.op_type == "LayerNormalization" and len(node.input) == 2:
            zeros = node.input[1] + ".no_bias"
            if zeros not in sizes:
                sizes[zeros] = sizes[node.input[1]]
                graph.initializer.append(numpy_helper.from_array(np.zeros(sizes[zeros], np.float32), zeros))
            node.input.append(zeros)


def origin(model):
    """Where the graph comes from, for the record."""
    return "from safetensors" if model.type in shapes.KNOWN else "by torch.onnx"


def fuse(made, model, fp16=False):
    """-> the fused onnx.ModelProto and {op type: how often} of what was fused. Needs onnxruntime and sympy, not torch. With `fp16`
    its weights and insides are fp16, its logits stay fp32."""
    from onnxruntime.transformers import fusion_options, optimizer  # pylint: disable=import-outside-toplevel
    heads, hidden = (model.config.get(name, 0) for name in ("num_attention_heads", "hidden_size"))
    if model.type in shapes.KNOWN:
        shape = shapes.read_shape(model)
        heads, hidden = shape.heads, shape.hidden
    options = fusion_options.FusionOptions("bert")
    options.attention_mask_format = fusion_options.AttentionMaskFormat.MaskIndexEnd
    fused = optimizer.optimize_model(made, "bert", heads, hidden, optimization_options=options, opt_level=0)
    counts = {kind: count for kind, count in fused.get_fused_operator_statistics().items() if count}
    if not any(one.domain == "com.microsoft" for one in fused.model.opset_import):
        fused.model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    if fp16:
        fused.convert_float_to_float16(keep_io_types=True)
    return fused.model, counts
