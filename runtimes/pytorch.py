"""PyTorch with Hugging Face Transformers. Any sequence classifier that Transformers loads runs here.

Variants: `seed` is how most people run it (AutoTokenizer, no_grad, padding to max_length unless asked otherwise); `tuned` pads to the longest
of the batch, computes under inference_mode and sorts a stream by length; `compile` is tuned under torch.compile. int8: torch.ao's, dynamic.
"""
import collections
import inspect
import os
import pathlib
import shutil
import sysconfig
import warnings

import common

IN_FLIGHT = 4  # batches that a GPU has in its queue


class PyTorch(common.Runtime):
    name = "pytorch"

    def __init__(self):
        global torch, transformers  # pylint: disable=global-variable-undefined
        os.environ["HF_HUB_OFFLINE"] = os.environ["TRANSFORMERS_OFFLINE"] = "1"  # a folder is all that it needs
        import torch, transformers  # pylint: disable=import-outside-toplevel,multiple-imports
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        self.net = self.device = self.auto = None
        self.context = torch.no_grad

    def version(self):
        return torch.__version__

    def tokenizer_version(self):
        return f"transformers {transformers.__version__}, {super().tokenizer_version()}"

    def abilities(self):
        plain = [("cpu", "fp32")] + [("cpu", "bf16")] * common.native_bf16()
        plain += [(f"cuda:{i}", precision) for i in range(torch.cuda.device_count())
                  for precision in ["fp32"] + ["bf16"] * torch.cuda.is_bf16_supported(including_emulation=False) + ["fp16"]]
        variants = [("seed", plain + [("cpu", "int8")], ["max_length", "longest"]),
                    ("tuned", plain + [("cpu", "int8")], ["longest", "max_length"])]
        if shutil.which("g++") and pathlib.Path(sysconfig.get_paths()["include"], "Python.h").exists():
            variants.append(("compile", plain, ["longest", "max_length"]))
        return [{"variant": variant, "device": device, "precision": precision, "paddings": paddings}
                for variant, places, paddings in variants for device, precision in places]

    def open_tokenizer(self, spec, model):
        self.auto = transformers.AutoTokenizer.from_pretrained(model.folder)
        if spec.variant != "seed":
            self.tokenizer = common.prepared(self.auto.backend_tokenizer, spec.max_length)
            return
        self.tokenize = lambda texts: self.auto(texts, truncation=True, max_length=spec.max_length, verbose=False)["input_ids"]
        self.is_cut = lambda text: len(self.auto([text], verbose=False)["input_ids"][0]) > spec.max_length

    def load(self, spec, model, progress):
        torch.set_num_threads(spec.threads)
        self.device, self.sorts = torch.device(spec.device), spec.variant != "seed"
        dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(spec.precision, torch.float32)
        progress(0.2, "loading the weights")
        self.net = transformers.AutoModelForSequenceClassification.from_pretrained(model.folder, dtype=dtype).to(self.device).eval()
        model.takes_types = {"token_type_ids"} <= {*self.auto.model_input_names} & {*inspect.signature(self.net.forward).parameters}
        settings = {"torch": torch.__version__, "transformers": transformers.__version__, "intra_op_threads": torch.get_num_threads(),
                    "attention": self.net.config._attn_implementation, "autograd": "inference_mode" if self.sorts else "no_grad",
                    "stream": "sorted by length" if self.sorts else "as it comes"}
        if spec.precision == "int8":
            settings["quantization"] = f"torch.ao dynamic, linear layers by channel, engine {torch.backends.quantized.engine}"
            self.net = torch.ao.quantization.quantize_dynamic(self.net, {torch.nn.Linear: torch.ao.quantization.per_channel_dynamic_qconfig})
        values = self.net.state_dict().values()  # a quantised layer keeps its weight and bias as a tuple
        tensors = [one for value in values for one in (value if isinstance(value, tuple) else (value,)) if isinstance(one, torch.Tensor)]
        self.context = torch.inference_mode if self.sorts else torch.no_grad
        if self.device.type == "cuda":
            self.in_flight = IN_FLIGHT if self.sorts else 1
            settings |= {"gpu": torch.cuda.get_device_name(self.device), "tf32": torch.backends.cuda.matmul.allow_tf32}
            torch.cuda.reset_peak_memory_stats(self.device)
        settings |= {"compile": self.compile(spec, progress), "autograd": "no_grad"} if spec.variant == "compile" else {}
        return {"weight_bytes": sum(one.numel() * one.element_size() for one in tensors), "settings": settings,
                "instruction_set": torch.backends.cpu.get_cpu_capability() if self.device.type == "cpu" else ""}

    def compile(self, spec, progress):
        """Graphs for batch 1 and for all other shapes are made here; a later recompilation is an error, never a slow batch."""
        from torch._inductor import config  # pylint: disable=import-outside-toplevel
        config.freezing = self.device.type == "cpu"  # packs the weights
        self.context = torch.no_grad  # freezing knows no inference tensors
        self.net = torch.compile(self.net, dynamic=True)
        shapes = [(rows, width) for rows in sorted({1, min(2, spec.max_batch), spec.max_batch}) for width in (11, spec.max_length)]
        for done, (rows, width) in enumerate(shapes):
            progress(0.3 + 0.6 * done / len(shapes), "compiling")
            for short in {width, width // 2 + 1}:  # with padding and without
                self.compute(common.pad([[1] * short] + [[1] * width] * (rows - 1), "longest", width), common.Laps())
        torch.compiler.set_stance("fail_on_recompile")
        return f"inductor, dynamic shapes, {torch._dynamo.utils.counters['stats']['unique_graphs']} graphs{', frozen weights' if config.freezing else ''}"

    def prepare(self, texts, laps):
        if self.spec.variant != "seed":
            return super().prepare(texts, laps)
        inputs = self.auto(texts, padding=self.spec.padding, truncation=True, max_length=self.spec.max_length, return_tensors="pt")
        laps.end("tokenize")
        return common.Batch(inputs, None, None, inputs["input_ids"].shape[1], inputs["attention_mask"].sum(dim=1).tolist(), inputs["input_ids"].numel())

    def upload(self, batch):
        if self.spec.variant == "seed":
            return batch.ids.to(self.device)
        typed = batch.token_types is not None or self.spec.variant == "compile" and self.model.takes_types  # a graph's inputs stay the same
        tensors = {name: torch.from_numpy(array) for name, array in batch.inputs(common.INPUTS[:2 + typed]).items()}
        if self.device.type == "cuda":
            tensors = {name: tensor.pin_memory().to(self.device, non_blocking=True) for name, tensor in tensors.items()}
        return tensors

    def compute(self, batch, laps):
        cuda = self.device.type == "cuda"
        with self.context():
            inputs = self.upload(batch)
            laps.end("upload" if cuda else "compute")
            logits = self.net(**inputs).logits
            if cuda:
                torch.cuda.synchronize(self.device)
            laps.end("compute")
            logits = logits.float().cpu().tolist()
            laps.end("download" if cuda else "compute")
            return logits

    def compute_all(self, batches, laps):
        waiting = collections.deque()

        def oldest():
            logits, done = waiting.popleft()
            done.synchronize()
            laps.end("compute")
            return logits.tolist()

        with self.context():
            for batch in batches:
                if self.in_flight == 1:
                    yield self.compute(batch, laps)
                    continue
                inputs = self.upload(batch)
                laps.end("upload")
                waiting.append((self.net(**inputs).logits.float().to("cpu", non_blocking=True), torch.cuda.Event()))
                waiting[-1][1].record()
                laps.end("compute")
                if len(waiting) == self.in_flight:
                    yield oldest()
            while waiting:
                yield oldest()

    def device_peak_bytes(self):
        return torch.cuda.max_memory_allocated(self.device) if self.device is not None and self.device.type == "cuda" else None


common.serve(PyTorch)
