"""ONNX Runtime: our export of the model, fused by onnxruntime.transformers.optimizer, on the CPU or the CUDA provider.

Variants: `plain` takes a stream's texts as they come, `tuned` sorts them by length first. int8 is onnxruntime's dynamic quantisation.
"""
import json

import common


class OnnxRuntime(common.Runtime):
    name = "onnxruntime"

    def __init__(self):
        global ort, export  # pylint: disable=global-variable-undefined
        import onnxruntime as ort  # pylint: disable=import-outside-toplevel,import-self
        export = common.sibling("onnx_export")
        self.session = self.names = self.device = None

    def version(self):
        return ort.__version__

    def abilities(self):
        paddings = ["longest", "max_length"]
        found = [("cpu", "fp32"), ("cpu", "int8")]
        if "CUDAExecutionProvider" in ort.get_available_providers():
            found += [(f"cuda:{i}", precision) for i in range(common.visible_gpus()) for precision in ("fp32", "fp16")]
        return [{"variant": variant, "device": device, "precision": precision, "paddings": paddings}
                for device, precision in found for variant in ("plain", "tuned")]

    def load(self, spec, model, progress):
        # Sums of two 8-bit products saturate at 16 bits where there is no VNNI: 7-bit weights there, as onnxruntime's guide says.
        reduced = spec.precision == "int8" and not common.cpu_flags() & {"avx512_vnni", "avx_vnni"}
        folder = common.converted(
            ("onnxruntime", ort.__version__, spec.precision + "-channels" * (spec.precision == "int8") + "-reduced" * reduced, model.hash()),
            lambda folder: convert(model, spec, reduced, folder), progress)
        options = ort.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = spec.threads, 1
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
        providers = ["CPUExecutionProvider"]
        if spec.device != "cpu":
            self.device = int(spec.device.partition(":")[2] or 0)
            providers.insert(0, ("CUDAExecutionProvider", {"device_id": self.device, "use_tf32": 0}))
        progress(0.8, "making the session")
        self.session = ort.InferenceSession(str(folder / "model.onnx"), options, providers=providers)
        if spec.device != "cpu" and "CUDAExecutionProvider" not in self.session.get_providers():
            raise common.Refused("unsupported", "onnxruntime could not start its CUDA provider", "its log says which library is missing")
        self.names = [one.name for one in self.session.get_inputs()]
        self.sorts = spec.variant == "tuned"
        fused = json.loads((folder / "fused.json").read_text(encoding="utf-8"))
        settings = {
            "onnxruntime": ort.__version__, "providers": ",".join(self.session.get_providers()), "intra_op_threads": spec.threads,
            "graph_optimization": "all", "fused": ", ".join(f"{kind} {count}" for kind, count in fused["fused"].items()) or "nothing",
            "export": f"opset {fused['opset']}, {export.origin(model)}", "stream": "sorted by length" if self.sorts else "as it comes"}
        if spec.precision == "int8":
            settings["quantization"] = "dynamic, u8 activations a tensor, s8 weights a channel" + (", 7 bits" if reduced else "")
            settings["quantized"] = ", ".join(f"{kind} {count}" for kind, count in fused["quantized"].items())
        return {"weight_bytes": fused["weight_bytes"], "settings": settings}

    def compute(self, batch, laps):
        arrays = batch.inputs(self.names)
        if self.device is None:
            logits = self.session.run(["logits"], arrays)[0].tolist()
            laps.end("compute")
            return logits
        binding = self.session.io_binding()
        for name, array in arrays.items():
            binding.bind_ortvalue_input(name, ort.OrtValue.ortvalue_from_numpy(array, "cuda", self.device))
        binding.bind_output("logits", "cuda", self.device)
        laps.end("upload")
        self.session.run_with_iobinding(binding)
        binding.synchronize_outputs()
        laps.end("compute")
        logits = binding.copy_outputs_to_cpu()[0].tolist()
        laps.end("download")
        return logits


def convert(model, spec, reduced, folder):
    import onnx  # pylint: disable=import-outside-toplevel
    from onnxruntime import quantization  # pylint: disable=import-outside-toplevel,no-name-in-module
    fused, counts = export.fuse(export.export(model, spec.pytorch), model, fp16=spec.precision == "fp16")
    path = folder / "model.onnx"
    quantized = {}
    if spec.precision == "int8":
        quantization.quantize_dynamic(fused, path, weight_type=quantization.QuantType.QInt8, per_channel=True, reduce_range=reduced,
                                      extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT})  # behind fused nodes
        fused = onnx.load(path)
        for node in fused.graph.node:
            if node.op_type in ("QAttention", "QEmbedLayerNormalization", "MatMulInteger", "DynamicQuantizeMatMul"):
                quantized[node.op_type] = quantized.get(node.op_type, 0) + 1
    else:
        onnx.save(fused, path)
    weights = sum(one.ByteSize() for one in fused.graph.initializer)
    opset = next(one.version for one in fused.opset_import if not one.domain)
    told = {"fused": counts, "quantized": quantized, "weight_bytes": weights, "opset": opset}
    (folder / "fused.json").write_text(json.dumps(told), encoding="utf-8")


common.serve(OnnxRuntime)
