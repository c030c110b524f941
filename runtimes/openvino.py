"""OpenVINO on the CPU, from our ONNX export. int8 is NNCF's post-training quantisation on film reviews.

Variants: `plain` is the LATENCY hint, a stream's batches one after the other as they come; `tuned` sorts a stream by length and gives its
batches to an AsyncInferQueue under the THROUGHPUT hint, with as many streams and requests as OpenVINO finds best. The precision in which
it computes is always named, because its own choice is bf16 wherever the CPU has it.
"""
import hashlib
import json
import pathlib
import random

import common

CALIBRATION_TEXTS = 300  # NNCF's own default


class OpenVino(common.Runtime):
    name = "openvino"

    def __init__(self):
        global ov, export  # pylint: disable=global-variable-undefined
        import openvino as ov  # pylint: disable=import-outside-toplevel,import-self
        export = common.sibling("onnx_export")
        self.core = ov.Core()
        self.path = self.config = self.request = self.queue = self.names = None

    def version(self):
        return ov.get_version()

    def abilities(self):
        precisions = ["fp32"] + ["bf16"] * ("BF16" in self.core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")) + ["int8"]
        return [{"variant": variant, "device": "cpu", "precision": precision, "paddings": ["longest", "max_length"]}
                for precision in precisions for variant in ("plain", "tuned")]

    def load(self, spec, model, progress):
        settings = {"openvino": ov.get_version(), "hint": "LATENCY", "threads": spec.threads, "export": export.origin(model),
                    "capabilities": " ".join(self.core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"))}
        key = ["openvino", ov.__version__.partition("-")[0], "int8" if spec.precision == "int8" else "fp32", model.hash()]
        texts = None
        if spec.precision == "int8":
            import nncf  # pylint: disable=import-outside-toplevel
            texts, named = calibration_texts(spec.calibration)
            key.append(hashlib.sha256(json.dumps([nncf.__version__, texts]).encode()).hexdigest()[:8])
            settings["quantization"] = f"NNCF {nncf.__version__} post-training, model type transformer, {len(texts)} texts of {named}"
        self.path = common.converted(key, lambda folder: self.convert(spec, model, texts, folder, progress), progress) / "model.xml"
        # What is not quantised in an int8 model runs in the CPU's best type, as OpenVINO itself would have it.
        kind = {"fp32": "f32", "bf16": "bf16"}.get(spec.precision) or ("bf16" if common.native_bf16() else "f32")
        self.config = {"INFERENCE_PRECISION_HINT": kind, "INFERENCE_NUM_THREADS": spec.threads}
        progress(0.9, "compiling")
        compiled = self.core.compile_model(self.path, "CPU", self.config | {"PERFORMANCE_HINT": "LATENCY"})
        self.names = [one.get_any_name() for one in compiled.inputs]
        self.request = compiled.create_infer_request()
        settings |= {"inference_precision": kind, "streams": compiled.get_property("NUM_STREAMS"), "stream": "as it comes"}
        self.sorts = spec.variant == "tuned"
        if self.sorts:
            settings["stream"] = "sorted by length, AsyncInferQueue, THROUGHPUT hint"
        return {"weight_bytes": None if kind == "bf16" and spec.precision != "int8" else self.path.with_suffix(".bin").stat().st_size,
                "settings": settings}

    def convert(self, spec, model, texts, folder, progress):
        import numpy as np  # pylint: disable=import-outside-toplevel
        made = self.core.read_model(export.export(model, spec.pytorch).SerializeToString())
        if texts is not None:
            import nncf  # pylint: disable=import-outside-toplevel
            progress(0.3, f"quantising with {len(texts)} texts")
            tokenizer = common.load_tokenizer(model.folder, min(512, model.positions))
            names = [one.get_any_name() for one in made.inputs]

            def inputs(text):
                ids = np.array([tokenizer.encode(text).ids], dtype=np.int64)
                return {name: np.full_like(ids, name == "attention_mask") if name != "input_ids" else ids for name in names}
            made = nncf.quantize(made, nncf.Dataset(texts, inputs), model_type=nncf.ModelType.TRANSFORMER, subset_size=len(texts))
        ov.save_model(made, folder / "model.xml", compress_to_fp16=False)

    def compute(self, batch, laps):
        logits = self.request.infer(batch.inputs(self.names), share_inputs=True, share_outputs=True)[0].tolist()
        laps.end("compute")
        return logits

    def before_stream(self):
        if self.sorts and self.queue is None:
            compiled = self.core.compile_model(self.path, "CPU", self.config | {"PERFORMANCE_HINT": "THROUGHPUT"})
            self.queue = ov.AsyncInferQueue(compiled, compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))
            self.queue.set_callback(self.collect)
            self.in_flight = len(self.queue)

    def collect(self, request, place):
        results, index, _ = place
        results[index] = request.get_output_tensor(0).data.tolist(), request.latency / 1000

    def compute_all(self, batches, laps):
        if self.queue is None:
            yield from super().compute_all(batches, laps)
            return
        results = {}
        for index, batch in enumerate(batches):
            inputs = batch.inputs(self.names)
            self.queue.start_async(inputs, (results, index, inputs), share_inputs=True)
            laps.end("compute")
        self.queue.wait_all()
        laps.end("compute")
        laps.busy["compute"] = sum(seconds for _, seconds in results.values())
        for index in range(len(results)):
            yield results[index][0]


def calibration_texts(named):
    """-> texts as long as reviews are, joined of whole ones, and what they are made of."""
    path = pathlib.Path(named or common.HERE.parent / "data" / "reviews.jsonl")
    try:
        reviews = [json.loads(line)["text"] for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise common.Refused("unsupported", f"no reviews to quantise with: {path}: {error}", "name a JSONL file with a field text") from None
    draw = random.Random(1)
    texts = []
    for _ in range(CALIBRATION_TEXTS):
        words, text = draw.lognormvariate(5.2, 0.6), ""  # IMDB's: median 180, every tenth over 390
        while len(text.split()) < words:
            text += " " + draw.choice(reviews)
        texts.append(text.strip())
    return texts, path.name


common.serve(OpenVino)
