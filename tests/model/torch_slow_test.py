"""pytorch_model.bin and scores as the Hugging Face pipeline gives them, live: files of torch.save in every form are classified by the
program and by transformers' text-classification pipeline, which have to agree in value and order."""
import collections
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest
import warnings
import zipfile

ORACLE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "breakeven/oracle-venv"
if pathlib.Path(sys.prefix) != ORACLE and (ORACLE / "bin/python").exists():
    os.execv(ORACLE / "bin/python", [str(ORACLE / "bin/python"), *sys.argv])

import torch  # pylint: disable=wrong-import-position
import transformers  # pylint: disable=wrong-import-position

BINARY = sys.argv.pop(1)
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "good", "bad", "film", "!", "very", "not"]
TEXTS = ["a good film !", "a bad film", "not very good", "very very bad !", "film"]


def write_model(folder, **settings):
    """A random tiny BERT with its tokenizer -> its state dict."""
    torch.manual_seed(7)
    config = transformers.BertConfig(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
                                     vocab_size=len(WORDS), max_position_embeddings=32, initializer_range=0.5, **settings)
    model = transformers.BertForSequenceClassification(config)
    model.save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n", encoding="utf-8")
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer"}', encoding="utf-8")
    return model.state_dict()


class Live(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        warnings.simplefilter("ignore")

    def classify(self, *flags):
        result = subprocess.run([BINARY, "classify", "--device", "cpu", "--model", self.folder, *flags], input="\n".join(TEXTS).encode(),
                                capture_output=True, check=False)
        self.assertEqual(result.returncode, 0, result.stderr.decode())
        return [json.loads(line) for line in result.stdout.splitlines()]

    def refused(self, words):
        result = subprocess.run([BINARY, "classify", "--device", "cpu", "--model", self.folder], input=b"a", capture_output=True, check=False)
        self.assertEqual(result.returncode, 2)
        self.assertIn(words, result.stderr.decode())

    def test_scores_are_the_pipelines(self):
        cases = [{"num_labels": 1}, {"num_labels": 3}, {"num_labels": 4, "problem_type": "multi_label_classification"},
                 {"num_labels": 1, "problem_type": "regression"}, {"num_labels": 3, "problem_type": "regression"},
                 {"num_labels": 1, "problem_type": "multi_label_classification"}]
        for settings in cases:
            shutil.rmtree(self.folder)
            self.folder.mkdir()
            write_model(self.folder, **settings)
            pipeline = transformers.pipeline("text-classification", model=str(self.folder), device="cpu")
            for function in (None, "sigmoid", "softmax", "none"):
                for top in (None, 2):
                    with self.subTest(settings=settings, function=function, top=top):
                        theirs = pipeline(TEXTS, top_k=top, **({"function_to_apply": function} if function else {}))
                        ours = self.classify("--top-k", str(top or "all"), *(["--function-to-apply", function] if function else []))
                        for mine, other in zip(ours, theirs, strict=True):
                            self.assertEqual([each["label"] for each in mine["scores"]], [each["label"] for each in other])
                            for one, two in zip(mine["scores"], other):
                                self.assertAlmostEqual(one["score"], two["score"], delta=2e-5)
                            self.assertEqual((mine["label"], mine["score"]), tuple(mine["scores"][0].values()))

    def test_every_form_of_torch_save(self):
        state = write_model(self.folder, num_labels=3)
        right = [row["logits"] for row in self.classify()]
        (self.folder / "model.safetensors").unlink()
        path = self.folder / "pytorch_model.bin"
        flat = torch.cat([value.reshape(-1) for value in state.values()])
        views, at = collections.OrderedDict(), 0
        for name, value in state.items():
            views[name] = flat[at:at + value.numel()].view(value.shape)
            at += value.numel()
        forms = {f"protocol {protocol}": (state, {"pickle_protocol": protocol}) for protocol in (2, 3, 4, 5)} | {
            "parameters": ({name: torch.nn.Parameter(value) for name, value in state.items()}, {}),
            "double": ({name: value.double() for name, value in state.items()}, {}),
            "one storage": (views, {}),
            "transposed": ({name: value.t().contiguous().t() if value.dim() == 2 else value for name, value in state.items()}, {}),
            "data parallel, compiled": ({f"module._orig_mod.{name}": value for name, value in state.items()}, {}),
            "other dtypes beside": (state | {"x": torch.zeros(2, dtype=torch.uint16), "y": torch.zeros(1, dtype=torch.float8_e5m2),
                                             "z": torch.zeros(0, 3), "steps": 3}, {})}
        for name, (content, options) in forms.items():
            with self.subTest(form=name):
                torch.save(content, path, **options)
                for mine, other in zip(self.classify(), right, strict=True):
                    torch.testing.assert_close(mine["logits"], other, rtol=0, atol=1e-5)
        torch.save(state, path)
        with zipfile.ZipFile(path) as file:
            members = {name: file.read(name) for name in file.namelist()}
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
            for name, content in members.items():
                file.writestr(name, content)
        self.assertEqual([row["logits"] for row in self.classify()], right)

    def test_what_is_no_state_dict_is_refused(self):
        state = write_model(self.folder)
        (self.folder / "model.safetensors").unlink()
        path = self.folder / "pytorch_model.bin"
        torch.save({"state_dict": state, "epoch": 3}, path)
        self.refused('"state_dict" in it is no tensor')
        torch.save(torch.nn.Linear(2, 2), path)
        self.refused("torch.nn.modules.linear.Linear")
        torch.save({"a": torch.eye(3).to_sparse()}, path)
        self.refused("_rebuild_sparse_tensor")
        torch.save(state, path, _use_new_zipfile_serialization=False)
        self.refused("before 1.6; convert it once: python3 -c")
        torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), path)
        self.refused("TorchScript")


if __name__ == "__main__":
    unittest.main(verbosity=2)
