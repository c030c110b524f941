"""CTranslate2: its encoder from safetensors through its own specification classes (its converter would need torch), the head in numpy.

It takes token ids of several lengths and removes the padding itself, on the CPU in every layer. Variants: `plain` computes a stream's batches
one after the other with all threads; `tuned` sorts them by length and computes one a thread at once, as its documentation recommends.
"""
import collections
import concurrent.futures
import time

import common

shapes = common.sibling("shapes")
KNOWN = ("distilbert", "bert", *common.ROBERTAS)  # of shapes.KNOWN what its own converter has
COMPUTE_TYPES = {"fp32": "float32", "int8": "int8_float32", "bf16": "bfloat16", "fp16": "float16"}


class CTranslate2(common.Runtime):
    name = "ctranslate2"

    def __init__(self):
        global ct2, np  # pylint: disable=global-variable-undefined
        import ctranslate2 as ct2  # pylint: disable=import-outside-toplevel,import-self
        np = common.quiet_numpy()
        self.encoder = self.many = self.threads = self.head = self.activate = self.folder = None

    def version(self):
        return ct2.__version__

    def abilities(self):
        devices = ["cpu"] + [f"cuda:{i}" for i in range(ct2.get_cuda_device_count())]
        return [{"variant": variant, "device": device, "precision": precision,
                 "paddings": ["none" if device == "cpu" else "longest"]} for device in devices
                for precision, kind in COMPUTE_TYPES.items() if kind in ct2.get_supported_compute_types(device.partition(":")[0])
                for variant in ("plain", "tuned")]

    def load(self, spec, model, progress):
        if model.type not in KNOWN:
            raise common.Refused("unsupported", f"CTranslate2 has no {model.type!r}: it has {', '.join(KNOWN)}", "take --runtime pytorch")
        shape = shapes.read_shape(model)
        self.types = shape.types == "input"
        self.folder = common.converted(("ctranslate2", ct2.__version__, spec.precision, model.hash()),
                                       lambda folder: convert(model, shape, COMPUTE_TYPES[spec.precision], folder), progress)
        progress(0.8, "loading")
        tensors = model.tensors()
        self.head = [tensors[f"{shape.head[index]}.{part}"] for index in (0, 2) for part in ("weight", "bias")]
        self.activate = {"relu": lambda x: np.maximum(x, 0), "tanh": np.tanh}[shape.head[1]]
        self.encoder, self.sorts = self.open(1, spec.threads), spec.variant == "tuned"
        settings = {"ctranslate2": ct2.__version__, "compute_type": self.encoder.compute_type, "intra_threads": spec.threads,
                    "padding_removed": "by CTranslate2", "head": f"numpy {np.__version__}, fp32", "export": "from safetensors",
                    "stream": f"sorted by length, {spec.threads} batches at once" if self.sorts else "as it comes"}
        return {"weight_bytes": (self.folder / "model.bin").stat().st_size, "settings": settings}

    def open(self, inter, intra):
        kind, _, index = self.spec.device.partition(":")
        return ct2.Encoder(str(self.folder), device=kind, device_index=int(index or 0), inter_threads=inter, intra_threads=intra,
                           compute_type=COMPUTE_TYPES[self.spec.precision])

    def pack(self, rows, laps):
        """A rectangle goes in; on the CPU CTranslate2 takes the padding out for all but the products within attention."""
        batch = common.pad(rows, "longest", self.spec.max_length)
        if self.spec.padding == "none":
            batch.computed_tokens = sum(batch.lengths)
        laps.end("pack")
        return batch

    def encode(self, encoder, batch):
        """-> logits [B][C]."""
        ids, types = batch.inputs(("input_ids", "token_type_ids")).values()
        ids, lengths = (ct2.StorageView.from_array(np.array(values, dtype=np.int32)) for values in (ids, batch.lengths))
        states = encoder.forward_batch(ids, lengths, types.tolist() if self.types else None).last_hidden_state
        if self.spec.device != "cpu":
            states = states.to_device(ct2.Device.cpu)
        (up, up_bias, down, down_bias), first = self.head, np.array(states.to(ct2.DataType.float32), copy=False)[:, 0]
        return (self.activate(first @ up.T + up_bias) @ down.T + down_bias).tolist()

    def compute(self, batch, laps):
        logits = self.encode(self.encoder, batch)
        laps.end("compute")
        return logits

    def before_stream(self):
        if self.sorts and self.many is None and self.spec.device == "cpu":
            self.in_flight = self.spec.threads
            self.many = self.open(self.in_flight, 1)
            self.threads = concurrent.futures.ThreadPoolExecutor(self.in_flight)

    def timed(self, batch):
        begin = time.monotonic()
        return self.encode(self.many, batch), time.monotonic() - begin

    def compute_all(self, batches, laps):
        if self.many is None:
            yield from super().compute_all(batches, laps)
            return
        waiting, laps.busy["compute"] = collections.deque(), 0.0

        def oldest():
            logits, seconds = waiting.popleft().result()
            laps.busy["compute"] += seconds
            laps.end("compute")
            return logits

        for batch in batches:
            waiting.append(self.threads.submit(self.timed, batch))
            if len(waiting) > self.in_flight:  # one more than at work, so that nobody waits for the packing
                yield oldest()
        while waiting:
            yield oldest()


def convert(model, shape, compute_type, folder):
    from ctranslate2 import specs  # pylint: disable=import-outside-toplevel
    kinds = {"gelu": "GELU", "relu": "RELU", "gelu_new": "GELUTanh", "gelu_pytorch_tanh": "GELUTanh"}
    tensors = model.tensors()
    if shape.activation not in kinds:
        raise common.Refused("unsupported", f"activation {shape.activation!r}: {', '.join(kinds)} are converted", "take --runtime pytorch")
    activation, merge = specs.common_spec.Activation[kinds[shape.activation]], specs.common_spec.EmbeddingsMerge.ADD
    encoder = specs.TransformerEncoderSpec(shape.layers, shape.heads, pre_norm=False, layernorm_embedding=True, activation=activation,
                                           num_source_embeddings=2 if shape.types == "input" else 1, embeddings_merge=merge)
    spec, encoder.scale_embeddings = specs.TransformerEncoderModelSpec(encoder), False
    def linear(target, *names):
        """One matrix of those named, one below the other."""
        for part in ("weight", "bias"):
            setattr(target, part, np.concatenate([tensors[f"{name}.{part}"] for name in names]))

    def norm(target, name):
        target.gamma, target.beta = (tensors[f"{name}.{part}"] for part in ("weight", "bias"))

    tables = [shapes.word_table(shape, tensors, shape.types == "zero"), tensors.get(f"{shape.prefix}embeddings.token_type_embeddings.weight")]
    for target, table in zip(encoder.embeddings, tables):  # the second where types are an input
        target.weight = table
    rows = slice(model.pad_id + 1 if shape.pads else 0, None)
    encoder.position_encodings.encodings = tensors[f"{shape.prefix}embeddings.position_embeddings.weight"][rows]
    norm(encoder.layernorm_embedding, f"{shape.prefix}embeddings.LayerNorm")
    for index, layer in enumerate(encoder.layer):
        query, key, value, out, out_norm, up, down, down_norm = (shape.layer.format(index) + name for name in shape.attention + shape.ffn)
        linear(layer.self_attention.linear[0], query, key, value)
        linear(layer.self_attention.linear[1], out)
        norm(layer.self_attention.layer_norm, out_norm)
        linear(layer.ffn.linear_0, up)
        linear(layer.ffn.linear_1, down)
        norm(layer.ffn.layer_norm, down_norm)
    spec.register_vocabulary([f"token{index}" for index in range(len(tables[0]))])  # ids go in as numbers: as many words will do
    spec.config.unk_token, spec.config.layer_norm_epsilon = "token0", shape.eps
    spec.validate()
    spec.optimize(quantization=compute_type)
    spec.save(str(folder))


common.serve(CTranslate2)
