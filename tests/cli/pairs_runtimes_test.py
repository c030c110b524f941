"""`breakeven run --runtime ... --pair-field` with the real runtimes, as far as they are set up: each computes the pairs, from the same ids
and with the same token types, and is judged."""
import array
import csv
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

BINARY, SOURCE = os.path.abspath(sys.argv.pop(1)), pathlib.Path(sys.argv.pop(1)).resolve()
sys.path.insert(0, str(SOURCE / "tests" / "adapters"))
import tiny_model  # noqa: E402  pylint: disable=wrong-import-position

GOLDEN = SOURCE / "tests" / "golden"
NAMES = ("pytorch", "onnxruntime", "openvino", "ctranslate2")


def ready():
    listed = subprocess.run([BINARY, "runtimes", "list"], capture_output=True, text=True, check=False).stdout
    return {line.split()[0] for line in listed.splitlines() if line.startswith(NAMES) and line.split()[1] == "ready"}


def add_token_types(folder):
    """Gives a DeBERTa a table of two token types, which no published one has, but Transformers computes."""
    named = json.loads((folder / "tokenizer_config.json").read_text())
    # Without this Transformers 5 gives a model none, unlike 4 (docs/tokenizers.md).
    (folder / "tokenizer_config.json").write_text(json.dumps(named | {"model_input_names": ["input_ids", "token_type_ids", "attention_mask"]}))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"type_vocab_size": 2}))
    path = folder / "model.safetensors"
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header, tensors = json.loads(data[8:8 + length]), data[8 + length:]
    first, size = len(tensors), 2 * config["hidden_size"]
    header["deberta.embeddings.token_type_embeddings.weight"] = {"dtype": "F32", "shape": [2, config["hidden_size"]],
                                                                 "data_offsets": [first, first + 4 * size]}
    table = array.array("f", [(i * 7 % 11 - 5) / 5 for i in range(size)])
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + tensors + table.tobytes())


class PairsInRuntimes(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.ready = ready()
        if not self.ready:
            self.skipTest("SKIPPED: no runtime is set up (breakeven runtimes setup)")

    def records(self, model, names):
        cases = [case for case in json.loads((GOLDEN / "pairs/bert_nli/golden.json").read_text())["pairs"] if case["max_length"] == 17]
        with (self.folder / "pairs.csv").open("w", newline="") as file:
            csv.writer(file).writerows([["a", "b"]] + [[case["text"], case["text_pair"]] for case in cases])
        named = ",".join(name for name in names if name.partition(":")[0] in self.ready)
        if not named:
            self.skipTest(f"SKIPPED: none of {names} is set up")
        done = subprocess.run(
            [BINARY, "run", "--model", model, "--texts", "pairs.csv", "--text-field", "a", "--pair-field", "b", "--max-length", "17",
             "--precision", "fp32", "--batch", "4", "--mode", "serial,stream", "--count", str(len(cases)),
             "--judge", str(len(cases)), "--time", "10s", "--no-memory", "--runtime", "native," + named, "--journal", "j.jsonl"],
            capture_output=True, text=True, check=False, cwd=self.folder)
        self.assertIn(done.returncode, (0, 3), done.stderr)
        records = [json.loads(line) for line in (self.folder / "j.jsonl").read_text().splitlines()]
        records = [record for record in records if "cell" in record]
        rows = {}
        for record in records:
            cell = record["cell"]
            rows.setdefault(cell["runtime"] + ":" + cell.get("variant", ""), []).append(record)
        self.assertEqual({name.partition(":")[0] for name in rows} - {"native"}, {one.partition(":")[0] for one in named.split(",")}, done.stderr)
        for name, found in rows.items():
            for record in found:
                with self.subTest(model=model.name, row=name, mode=record["cell"]["mode"], batch=record["cell"]["batch"]):
                    self.assertIn(record["parity"]["outcome"], ("passed", "unproven"), record)  # 500 texts would prove it
                    self.assertEqual((record["parity"]["texts"], record["parity"]["flips"]), (len(cases), 0))
                    self.assertLess(record["parity"]["logit_abs_max"], 2e-5)
                    self.assertEqual(record["texts"]["token_counts"], next(iter(rows.values()))[0]["texts"]["token_counts"])
                    self.assertNotIn("ids", [note["code"] for note in record["reasons"]])
        return rows

    def test_all_of_them(self):
        rows = self.records(GOLDEN / "pairs" / "bert_nli", ("pytorch:seed", "pytorch:tuned", "onnxruntime:plain", "onnxruntime:tuned",
                                                           "openvino:plain", "openvino:tuned", "ctranslate2:plain", "ctranslate2:tuned"))
        self.assertGreaterEqual(len(rows), 2)

    def test_roberta(self):
        self.records(GOLDEN / "pairs" / "roberta_nli", NAMES)

    def test_a_graph_by_torch_takes_token_types(self):
        model = self.folder / "deberta"
        model.mkdir()
        tiny_model.make(model, GOLDEN / "model" / "deberta_v3", SOURCE / "tests" / "adapters" / "golden")
        add_token_types(model)
        self.records(model, ("pytorch:tuned", "onnxruntime:plain", "openvino:plain"))


if __name__ == "__main__":
    unittest.main(verbosity=2)
