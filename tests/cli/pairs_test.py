"""Pairs of texts as a person gives them, against what Hugging Face makes of them (tools/make_pair_goldens.py)."""
import csv
import json
import os
import pathlib
import shlex
import shutil
import subprocess
import sys
import tempfile
import unittest

BINARY, SOURCE = os.path.abspath(sys.argv.pop(1)), pathlib.Path(sys.argv.pop(1)).resolve()
GOLDEN = SOURCE / "tests" / "golden" / "pairs"
LIMIT = 2e-3  # of logits and scores, on every instruction set


def golden(model):
    return json.loads((GOLDEN / model / "golden.json").read_text())


class Program(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def call(self, command, model, *arguments, stdin=""):
        return subprocess.run([BINARY, command, "--model", str(GOLDEN / model), "--device", "cpu", *arguments], input=stdin.encode(),
                              capture_output=True, check=False, cwd=self.folder)

    def lines(self, *arguments, stdin="", says=()):
        result = self.call(*arguments, stdin=stdin)
        self.assertEqual(result.returncode, 0, result.stderr.decode())
        for words in says:
            self.assertIn(words, result.stderr.decode())
        return [json.loads(line) for line in result.stdout.decode().splitlines()]

    def refused(self, *arguments, says, stdin=""):
        result = self.call(*arguments, stdin=stdin)
        told = result.stderr.decode()
        self.assertEqual(result.returncode, 2, told)
        for words in says:
            self.assertIn(words, told)


class Pairs(Program):
    def test_logits_and_ids_are_hugging_faces(self):
        for model in ("bert_nli", "roberta_nli", "distilbert_reranker"):
            cases = golden(model)["pairs"]
            for length in sorted({case["max_length"] for case in cases}):
                some = [case for case in cases if case["max_length"] == length]
                stdin = "".join(json.dumps({"text": case["text"], "text_pair": case["text_pair"]}) + "\n" for case in some)
                flags = ["--max-length", str(length)]
                with self.subTest(model=model, length=length):
                    for row, case in zip(self.lines("tokenize", model, *flags, stdin=stdin), some, strict=True):
                        self.assertEqual(row, {"input_ids": case["input_ids"], "token_type_ids": case["token_type_ids"]})
                    for row, case in zip(self.lines("classify", model, *flags, stdin=stdin), some, strict=True):
                        for ours, theirs in zip(row["logits"], case["logits"], strict=True):
                            self.assertAlmostEqual(ours, theirs, delta=LIMIT)

    def test_the_ways_to_give_a_pair_agree(self):
        flags = ["classify", "bert_nli"]
        given, = self.lines(*flags, "--text", "a good film", "--pair", "bad")
        alone, = self.lines(*flags, "--text", "a good film")
        self.assertNotEqual(given, alone)
        said = ["each record is a pair, 'premise' and 'hypothesis'"]
        self.assertEqual(self.lines(*flags, stdin='{"premise":"a good film","hypothesis":"bad"}', says=said), [given])
        csv = "premise,hypothesis\na good film,bad\n"
        self.assertEqual(self.lines(*flags, "--input-format", "csv", stdin=csv, says=said), [given])
        self.assertEqual(self.lines(*flags, "--text-field", "a", "--pair-field", "b", stdin='{"b":"bad","a":"a good film"}'), [given])
        self.assertEqual(self.lines(*flags, "--text-field", "premise", stdin='{"premise":"a good film","hypothesis":"bad"}'),
                         [alone | {"hypothesis": "bad"}])

    def test_a_pair_that_is_cut_counts_once(self):
        # [CLS] a good film [SEP] a good film [SEP]
        stdin = '{"query":"a good film","passage":"a good film"}\n{"query":"a","passage":"a"}\n'
        self.lines("classify", "bert_nli", "--max-length", "7", stdin=stdin, says=["cut at 7 tokens: 1 of 2 texts"])
        self.lines("tokenize", "bert_nli", "--max-length", "8", stdin=stdin, says=["cut at 8 tokens: 1 of 2 texts"])
        self.assertNotIn(b"cut", self.call("classify", "bert_nli", "--max-length", "9", stdin=stdin).stderr)

    def test_what_cannot_be_a_pair_is_refused(self):
        self.refused("classify", "bert_nli", "--pair", "b", says=["--pair 'b'", "--text"])
        self.refused("classify", "bert_nli", "--text", "a", "file.txt", says=["--text and the file file.txt"])
        self.refused("classify", "roberta_nli", "--max-length", "3", "--text", "a", "--pair", "b", says=["the 4 special tokens of a pair"])
        self.refused("tokenize", "bert_nli", "--pair-field", "b", stdin="a\n", says=["--pair-field b", "has no fields"])

    def test_zero_shot_is_the_pipelines(self):
        for model in ("bert_nli", "roberta_nli"):
            groups = {}
            for case in golden(model)["zero_shot"]:
                groups.setdefault((tuple(case["labels"]), case["template"], case["multi_label"]), []).append(case)
            for (labels, template, multi_label), cases in groups.items():
                (self.folder / "labels.txt").write_text("\n".join(labels))
                flags = ["--zero-shot-file", "labels.txt", "--hypothesis-template", template] + ["--multi-label"] * multi_label
                stdin = "".join(json.dumps({"text": case["text"], "id": i}) + "\n" for i, case in enumerate(cases))
                for i, (row, case) in enumerate(zip(self.lines("classify", model, *flags, stdin=stdin), cases, strict=True)):
                    wanted = dict(zip(case["ranked"], case["scores"], strict=True))
                    scores = [one["score"] for one in row["scores"]]
                    self.assertEqual(scores, sorted(scores, reverse=True))
                    self.assertEqual({one["label"] for one in row["scores"]}, set(wanted))
                    for one in row["scores"]:
                        self.assertAlmostEqual(one["score"], wanted[one["label"]], delta=LIMIT)
                    self.assertEqual((row["label"], row["score"]), (row["scores"][0]["label"], scores[0]))
                    self.assertEqual((row["index"], row["id"], len(row["logits"])), (i, i, len(labels)))

    def test_zero_shot_takes_its_candidates_as_given(self):
        flags = ["classify", "bert_nli", "--text", "a good film"]
        many, = self.lines(*flags, "--zero-shot", " music,bad film , story")
        self.assertEqual({one["label"] for one in many["scores"]}, {"music", "bad film", "story"})
        (self.folder / "labels.txt").write_bytes(b"\xef\xbb\xbfmusic\r\nbad film\r\nstory\r\n")
        self.assertEqual(self.lines(*flags, "--zero-shot-file", "labels.txt"), [many])
        (self.folder / "labels.txt").write_text("good, or not\n")
        one, = self.lines(*flags, "--zero-shot-file", "labels.txt")
        self.assertEqual(one["label"], "good, or not")
        self.assertEqual(len(self.lines(*flags, "--zero-shot", "music,bad", "--top-k", "1")[0]["scores"]), 1)
        # One candidate is scored by itself, as each is with --multi-label.
        alone, = self.lines(*flags, "--zero-shot", "story")
        each, = self.lines(*flags, "--zero-shot", "music,story", "--multi-label")
        self.assertIn(alone["scores"][0], each["scores"])

    def test_zero_shot_that_cannot_be_is_refused(self):
        flags = ["classify", "bert_nli", "--text", "a good film"]
        self.refused(*flags, "--zero-shot", "a,,b", says=["--zero-shot: candidate 2 of 3 is empty"])
        self.refused(*flags, "--zero-shot", "a, b,a", says=["'a' is there twice"])
        for template in ("It is.", "{} is {}.", "{0}", "{}}"):
            self.refused(*flags, "--zero-shot", "a", "--hypothesis-template", template, says=[f"'{template}' needs {{}} once", "This example is {}."])
        self.refused(*flags, "--multi-label", says=["--multi-label has no candidates", "--zero-shot"])
        self.refused(*flags, "--zero-shot", "a", "--function-to-apply", "none", says=["--function-to-apply none does not go with --zero-shot"])
        self.refused(*flags, "--zero-shot", "a", "--zero-shot-file", "b", says=["exclude each other"])
        self.refused(*flags, "--zero-shot-file", "b", says=["no file b"])
        self.refused(*flags, "--zero-shot", "a", "--pair", "b", says=["a text is a pair already", "--text-field"])
        self.refused(*flags, "--zero-shot", "music", "--max-length", "8", says=["candidate 'music'", "8 is the most"])
        self.refused("classify", "distilbert_reranker", "--text", "a", "--zero-shot", "a,b", says=["(LABEL_0)", "'entail'"])

    def test_passages_are_ranked_as_sentence_transformers_does(self):
        for case in golden("distilbert_reranker")["rank"]:
            stdin = "".join(json.dumps({"text": passage, "id": i}) + "\n" for i, passage in enumerate(case["passages"]))
            flags = ["--query", case["query"], "--batch", "3"] + ["--function-to-apply", "none"] * case["identity"]
            rows = self.lines("rerank", "distilbert_reranker", *flags, stdin=stdin)
            self.assertEqual([row["index"] for row in rows], case["order"])
            self.assertEqual([(row["rank"], row["id"]) for row in rows], list(enumerate(case["order"], 1)))
            for row, score in zip(rows, case["scores"], strict=True):
                self.assertAlmostEqual(row["score"], score, delta=LIMIT)
            best = self.lines("rerank", "distilbert_reranker", *flags, "--top-k", "2", "--with-text", stdin=stdin)
            texts = [case["passages"][i] for i in case["order"][:2]]
            self.assertEqual(best, [row | {"text": text} for row, text in zip(rows[:2], texts)])

    def test_a_ranking_takes_the_models_own_activation(self):
        model = self.folder / "model"
        shutil.copytree(GOLDEN / "distilbert_reranker", model)
        config = json.loads((model / "config.json").read_text())
        config["sentence_transformers"] = {"activation_fn": "torch.nn.modules.linear.Identity"}
        (model / "config.json").write_text(json.dumps(config))
        for row in self.lines("rerank", model, "--query", "a", stdin="b\nc\nb\n"):
            self.assertEqual([row["score"]], row["logits"])
        equal = [row["index"] for row in self.lines("rerank", model, "--query", "a", stdin="b\nb\nb\nb\n")]
        self.assertEqual(equal, [0, 1, 2, 3])

    def test_what_cannot_be_ranked_is_refused(self):
        flags = ["rerank", "distilbert_reranker"]
        self.refused("rerank", "bert_nli", "--query", "a", "--text", "b", says=["has 3 labels (contradiction, entailment, neutral)", "classify"])
        self.refused(*flags, "--text", "b", says=["--query"])
        self.refused(*flags, "--query", "", "--text", "b", says=["--query", "empty"])
        self.refused(*flags, "--query", "a", stdin='{"query":"a","passage":"b"}', says=["a pair already", "--text-field"])
        self.refused(*flags, "--query", "a", "--function-to-apply", "softmax", "--text", "b", says=["softmax", "sigmoid or none"])
        self.refused(*flags, "--query", "a", "--top-k", "0", "--text", "b", says=["--top-k '0'"])
        result = self.call(*flags, "--query", "a", stdin='{"text":"a"}\n{"text":1}\n')
        self.assertEqual((result.returncode, result.stdout), (2, b""))  # half of the passages have no ranking

    def test_the_commands_of_the_page_work(self):
        models = {"NLI": "bert_nli", "RERANKER": "distilbert_reranker"}
        (self.folder / "texts.jsonl").write_text('{"text":"a good film"}\n{"text":"poor music"}\n')
        (self.folder / "snli.jsonl").write_text('{"premise":"a good film","hypothesis":"a film"}\n')
        (self.folder / "labels.txt").write_text("good\nbad, or worse\n")
        (self.folder / "passages.jsonl").write_text('{"passage":"a good film"}\n{"passage":"bad"}\n')
        tried = 0
        for line in (SOURCE / "docs" / "inputs.md").read_text().splitlines():
            words = shlex.split(line.partition(" > ")[0]) if line.startswith("breakeven ") and "--model" in line else []
            if len(words) > 3 and words[2] == "--model" and words[3] in models:
                tried += 1
                self.assertTrue(self.lines(words[1], models[words[3]], *words[4:]), line)
        self.assertGreaterEqual(tried, 6)

    def test_zero_shot_says_where_the_pipeline_takes_another_label(self):
        model = self.folder / "model"
        shutil.copytree(GOLDEN / "bert_nli", model)
        config = json.loads((model / "config.json").read_text())
        config["id2label"] = {"0": "neutral", "1": "entailment", "2": "contradiction"}
        (model / "config.json").write_text(json.dumps(config))
        flags = ["classify", model, "--zero-shot", "music,bad", "--text", "a good film"]
        self.lines(*flags, "--multi-label", says=["'entailment' against 'contradiction'", "takes 'neutral'"])
        self.assertNotIn(b"pipeline", self.call(*flags).stderr)

    def test_run_measures_and_judges_pairs(self):
        cases = [case for case in golden("bert_nli")["pairs"] if case["max_length"] == 17]
        texts = self.folder / "pairs.jsonl"
        texts.write_text("".join(json.dumps({"premise": case["text"], "hypothesis": case["text_pair"]}) + "\n" for case in cases))
        result = self.call("run", "bert_nli", "--texts", str(texts), "--max-length", "17", "--batch", "4", "--precision", "fp32", "--threads",
                           "1", "--mode", "serial", "--time", "2s", "--count", str(len(cases)), "--journal", "j.jsonl")
        self.assertIn(result.returncode, (0, 3), result.stderr.decode())
        record = json.loads((self.folder / "j.jsonl").read_text().splitlines()[0])
        self.assertEqual(record["texts"]["count"], len(cases))
        self.assertEqual(record["texts"]["token_counts"], [len(case["input_ids"]) for case in cases])
        whole = [len(row["input_ids"]) for row in self.lines("tokenize", "bert_nli", "--max-length", "0", str(texts))]
        self.assertEqual(record["texts"]["truncated"], sum(length > 17 for length in whole))
        self.assertIn("memory", record)  # a fresh process got the pairs, too
        lengths = record["texts"]["token_counts"]
        self.assertEqual((record["texts"]["real_tokens"], record["texts"]["computed_tokens"]), (sum(lengths),) * 2)

    def pairs_file(self):
        cases = [case for case in golden("bert_nli")["pairs"] if case["max_length"] == 17]
        texts = self.folder / "pairs.csv"
        with texts.open("w", newline="") as file:
            csv.writer(file).writerows([["a", "b"]] + [[case["text"], case["text_pair"]] for case in cases])
        return cases, ["--texts", str(texts), "--text-field", "a", "--pair-field", "b", "--max-length", "17", "--precision", "fp32",
                       "--threads", "1"]

    def test_padding_of_pairs_is_counted(self):
        cases, flags = self.pairs_file()
        result = self.call("run", "bert_nli", *flags, "--batch", "4", "--padding", "longest", "--mode", "serial", "--time", "2s", "--count",
                           str(len(cases)), "--no-memory", "--journal", "j.jsonl")
        self.assertIn(result.returncode, (0, 3), result.stderr.decode())
        record = json.loads((self.folder / "j.jsonl").read_text().splitlines()[0])
        lengths = record["texts"]["token_counts"]
        batches = [lengths[begin:begin + 4] for begin in range(0, len(lengths), 4)]
        self.assertEqual(record["texts"]["computed_tokens"], sum(max(batch) * len(batch) for batch in batches))

    def test_paced_and_scale_take_pairs(self):
        cases, flags = self.pairs_file()
        result = self.call("run", "bert_nli", *flags, "--mode", "paced", "--rate", "50", "--time", "3s", "--count", str(len(cases)),
                           "--no-memory", "--journal", "p.jsonl")
        self.assertIn(result.returncode, (0, 1, 3), result.stderr.decode())
        record = json.loads((self.folder / "p.jsonl").read_text().splitlines()[0])
        self.assertEqual((record["cell"]["mode"], record["texts"]["count"]), ("paced", len(cases)))
        self.assertEqual(record["texts"]["token_counts"], [len(case["input_ids"]) for case in cases])
        result = self.call("scale", "bert_nli", *flags, "--batch", "1,4", "--sizes", "8,38", "--time", "4s", "--journal", "s.jsonl")
        self.assertIn(result.returncode, (0, 1, 3), result.stderr.decode())
        records = [json.loads(line) for line in (self.folder / "s.jsonl").read_text().splitlines()]
        lengths = {len(case["input_ids"]) for case in cases}
        self.assertTrue(records)
        for record in records:  # of texts in a mixed order
            self.assertLessEqual(set(record["texts"]["token_counts"]), lengths)


if __name__ == "__main__":
    unittest.main()
