"""breakeven.ray on a Ray cluster of this machine: pilot, deadline, prices, dry run; Parquet; what other libraries' columns need. kill_list.py kills.

usage: cluster_test.py PROGRAM [unittest's arguments]     with a Python that has ray[data], datasets and the wheel of breakeven
The GPU is a logical one: a stand-in for the program turns `--device cuda:0` into the CPU held to AVX2, so that there are two kinds of devices.
"""
import contextlib
import io
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest
import unittest.mock

import datasets
import pyarrow
import pyarrow.parquet
import ray

import breakeven.ray
from breakeven import ArgumentError, Error, pipeline
from breakeven.ray import Classify, classify_files

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from kill_list import QUIET, ROWS, SHARDS, texts  # noqa: E402

PROGRAM = os.path.abspath(sys.argv.pop(1))


class OnThreeNodes(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        from ray.cluster_utils import Cluster
        os.environ.update(QUIET)
        folder = tempfile.TemporaryDirectory(prefix="breakeven-ray-")
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        cls.inputs = cls.folder / "in.jsonl"
        texts(cls.inputs)
        cls.expected = subprocess.run([PROGRAM, "classify", "--model", "builtin-narrow", "--device", "cpu", cls.inputs], check=True, stdout=subprocess.PIPE).stdout
        cls.stand_in = cls.folder / "program"
        cls.stand_in.write_text(f'#!/bin/bash\n[[ " $* " == *" cuda:0 "* ]] && export BREAKEVEN_ISA=avx2\nexec "{PROGRAM}" "${{@/cuda:0/cpu}}"\n')
        cls.stand_in.chmod(0o755)
        cls.cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
        cls.addClassCleanup(cls.cluster.shutdown)
        for gpus in (0, 0, 1):
            cls.cluster.add_node(num_cpus=1, num_gpus=gpus, object_store_memory=80_000_000)
        ray.init(address=cls.cluster.address, log_to_driver=False, logging_level="ERROR")
        cls.addClassCleanup(ray.shutdown)
        breakeven.ray.PILOT_S = 1

    def run_job(self, out, inputs=None, **more):
        arguments = {"model": "builtin-narrow", "shard_rows": ROWS, "program": self.stand_in, "progress": False, **more}
        return classify_files(inputs or self.inputs, self.folder / out, **arguments)

    def check(self, out):
        """What the labels are; bits differ between instruction sets, and parts made by one have the bytes of `expected`."""
        wanted = self.expected.splitlines(keepends=True)
        for shard in range(SHARDS):
            made_by = json.loads((self.folder / out / f"_done/{shard:06}.json").read_text())["instruction_set"]
            part = (self.folder / out / f"part-{shard:06}.jsonl").read_bytes().splitlines(keepends=True)
            mine = wanted[shard * ROWS: (shard + 1) * ROWS]
            if made_by != "avx2":
                self.assertEqual(part, mine, shard)
            for ours, theirs in zip(map(json.loads, part), map(json.loads, mine), strict=True):
                self.assertEqual((ours["id"], ours["label"]), (theirs["id"], theirs["label"]))

    def test_a_dry_run_keeps_what_the_pilot_did(self):
        dry = self.run_job("dry", dry_run=True, prices={"cpu": 0.19, "gpu": 0.53})
        log = "\n".join(dry.log)
        self.assertRegex(log, r"cpu: \d+ texts/s a worker, 2 there, [\d.e-]+ a million texts")
        for row in (r"^ +1 cpu: .*, \d\.\d\d$", r"^ +2 cpu: ", r"^ +1 gpu: "):
            self.assertRegex(log, "(?m)" + row)
        self.assertEqual((set(dry.rates), dry.done_before), ({"cpu", "gpu"}, 0))
        self.assertGreater(dry.done, 1)
        self.assertLess(dry.done, SHARDS)
        parts = {part: part.stat().st_mtime_ns for part in (self.folder / "dry").glob("part-*")}
        self.assertGreaterEqual(len(parts), dry.done)
        whole = self.run_job("dry")
        self.assertEqual((whole.done_before + whole.done, whole.rows), (SHARDS, SHARDS * ROWS))
        self.assertGreaterEqual(whole.done_before, dry.done)
        self.assertEqual({part: part.stat().st_mtime_ns for part in parts}, parts, "the pilot's parts are kept")
        self.check("dry")

    def test_the_cheapest_that_keep_a_deadline(self):
        for out, prices, counts in (("cheap-cpu", {"cpu": 0.19, "gpu": 50}, {"cpu": 1, "gpu": 0}), ("cheap-gpu", {"cpu": 50, "gpu": 0.01}, {"cpu": 0, "gpu": 1})):
            with self.subTest(out):
                report = self.run_job(out, prices=prices, deadline="2h")
                kind = out[-3:]
                self.assertEqual((report.placement.counts, report.placement.in_time), (counts, True))
                self.assertTrue(any(line.startswith(f"one {kind} machine is enough") for line in report.log), report.log)
                self.assertGreater(report.cost, 0)
                self.check(out)
                made = [json.loads(path.read_text())["instruction_set"] == "avx2" for path in (self.folder / out / "_done").glob("??????.json")]
                self.assertGreater(sum(is_gpu == (kind == "gpu") for is_gpu in made), SHARDS / 2, "the pilot's apart, the chosen kind does all")

    def test_it_says_how_far_it_is(self):
        with unittest.mock.patch.object(breakeven.ray, "TELL_S", 0.2), contextlib.redirect_stderr(io.StringIO()) as told:
            self.run_job("progress", prices={"cpu": 0.19, "gpu": 0.53}, progress=True)
        self.assertRegex(told.getvalue(), r"breakeven: \d+\.\d % · \d+ texts/s · \d cpu \+ 1 gpu · \d\.\d\d so far · ends \d\d:\d\d \(in \d+ s\)\n")

    def test_a_deadline_that_cannot_be_kept(self):
        report = self.run_job("late", prices={"cpu": 0.19, "gpu": 0.53}, deadline=0.5)
        self.assertEqual((report.placement.counts, report.placement.in_time), ({"cpu": 2, "gpu": 1}, False))
        self.assertTrue(any("longer than the deadline" in line for line in report.log), report.log)
        self.check("late")

    def test_prices_that_do_not_fit_the_nodes(self):
        report = self.run_job("half-priced", prices={"gpu": 0.53}, deadline="1h")
        self.assertTrue(any("no price is known of cpu" in line for line in report.log), report.log)
        self.assertEqual((report.cost, sum(report.placement.counts.values())), (None, 1))
        self.check("half-priced")
        # A GPU that Ray knows of and the program does not.
        report = self.run_job("no-gpu", prices={"cpu": 0.19, "gpu": 0.53}, deadline="1h", program=PROGRAM)
        log = "\n".join(report.log)
        self.assertRegex(log, "node [0-9a-f]+ is left out: the program ended .*cuda")
        self.assertIn("prices has 'gpu', and no node with one works here", log)
        self.assertEqual(report.placement.counts, {"cpu": 1})
        self.check("no-gpu")

    def test_two_kinds_of_devices_are_compared(self):
        self.run_job("both")
        self.check("both")
        records = [json.loads(path.read_text()) for path in (self.folder / "both/_done").iterdir()]
        if len({record["instruction_set"] for record in records}) < 2:
            self.skipTest("SKIPPED: this CPU has no second instruction set beside AVX2")
        compared = json.loads((self.folder / "both/_done/000000.check.json").read_text())
        self.assertEqual((compared["parity"]["texts"], compared["parity"]["flips"]), (ROWS, 0))
        self.assertLess(compared["parity"]["logit_abs_max"], 1e-3)
        table = subprocess.run([PROGRAM, "report", self.folder / "both/_done"], check=True, encoding="utf-8", stdout=subprocess.PIPE).stdout
        self.assertIn(f"0 of {ROWS} labels differ", table)

    def test_parts_are_the_same_bytes_whatever_the_shards(self):
        for rows in (250, 1999, 30_000):
            with self.subTest(rows):
                report = self.run_job(f"rows-{rows}", shard_rows=rows, program=PROGRAM)
                self.assertEqual((report.done, report.rows), (-(-SHARDS * ROWS // rows), SHARDS * ROWS))
                self.assertEqual(b"".join(part.read_bytes() for part in sorted((self.folder / f"rows-{rows}").glob("part-*"))), self.expected)

    def test_parquet(self):
        rows = [json.loads(line) for line in self.inputs.read_text().splitlines()][:4000]
        source = self.folder / "in.parquet"
        pyarrow.parquet.write_table(pyarrow.table({"id": [row["id"] for row in rows], "body": [row["text"] for row in rows], "x": [1] * len(rows)}), source,
                                    row_group_size=1500)
        report = self.run_job("parquet", source, text="body", keep=["id"], program=None)
        self.assertEqual((report.done, report.rows), (8, 4000))
        out = pyarrow.concat_tables([pyarrow.parquet.read_table(part) for part in sorted((self.folder / "parquet").glob("part-*"))])
        self.assertEqual(out.schema.names, ["id", "label", "score"])
        wanted = [json.loads(line) for line in self.expected.splitlines()[:4000]]
        self.assertEqual([(row["id"], row["label"]) for row in out.to_pylist()], [(row["id"], row["label"]) for row in wanted])
        again = self.run_job("parquet", source, text="body", keep=["id"], program=None)
        self.assertEqual((again.done, again.done_before), (0, 8))
        with self.assertRaisesRegex(Error, "no column 'nope'"):
            self.run_job("parquet-2", source, text="nope", program=None)
        with self.assertRaisesRegex(Error, "another job"):
            self.run_job("parquet", source, text="body", keep=["x"], program=None)

    def test_keep(self):
        few = self.folder / "few.jsonl"
        few.write_text('{"id": 1, "text": "a good film", "stars": 4}\n{"id": 2, "text": "bad", "stars": 1}\n')
        for out, keep, names in (("keep-1", ["stars"], {"stars"}), ("keep-0", [], set()), ("keep-all", None, {"id", "stars"})):
            self.run_job(out, few, keep=keep)
            for line in (self.folder / out / "part-000000.jsonl").read_text().splitlines():
                self.assertEqual(json.loads(line).keys() - {"index", "label", "score", "logits"}, names)

    def test_what_is_refused(self):
        for arguments, words in (({"deadline": "6 parsecs"}, "deadline is '6 parsecs'"), ({"deadline": 0}, "deadline is 0"), ({"deadline": -1}, "deadline is -1"),
                                 ({"deadline": float("nan")}, "deadline is nan"), ({"deadline": "0h"}, "deadline is '0h'"), ({"prices": {"tpu": 1}}, "'tpu'"),
                                 ({"prices": {"cpu": "much"}}, "'cpu' is 'much'"), ({"prices": {"cpu": -1}}, "'cpu' is -1"), ({"keep": "id"}, "keep is 'id'"),
                                 ({"keep": ["a,b"]}, "a,b"), ({"inputs": ["a.jsonl", "b.parquet"]}, "Parquet and of other files")):
            with self.subTest(**arguments), self.assertRaisesRegex(ArgumentError, words):
                self.run_job("refused", **arguments)
        for arguments, words in (({"inputs": self.folder / "none.jsonl"}, "no file .*none.jsonl"), ({"inputs": str(self.folder / "*.none")}, "nothing matches"),
                                 ({"model": "/no/such/model"}, "/no/such/model"), ({"shard_rows": 0}, "--shard-rows '0'"), ({"options": ["--bogus"]}, "--bogus"), ({"text": "nope"}, "nope")):
            with self.subTest(**arguments), self.assertRaisesRegex(Error, words):
                self.run_job("refused", **arguments)

    def test_classify_in_a_pipeline_of_ray_data(self):
        rows = [{"body": text, "n": i} for i, text in enumerate(["a good film", None, "bad and boring"] * 20)]
        out = ray.data.from_arrow(pyarrow.Table.from_pylist(rows)).map_batches(
            Classify, fn_constructor_kwargs={"model": "builtin-narrow", "text": "body", "device": "cpu", "threads": 1}, batch_format="pyarrow", batch_size=16,
            compute=ray.data.ActorPoolStrategy(size=1)).take_all()
        clf = pipeline(model="builtin-narrow", device="cpu", threads=1)
        wanted = {text: clf(text)[0]["label"] for text in ("a good film", "bad and boring")} | {None: None}
        self.assertEqual(sorted((row["n"], row["label"]) for row in out), [(i, wanted[row["body"]]) for i, row in enumerate(rows)])

    def test_the_mapper_of_datasets(self):
        clf = pipeline(model="builtin-narrow", device="cpu", threads=1)
        rows = ["a good film", None, "bad and boring"] * 20
        plain = datasets.Dataset.from_dict({"text": rows}).map(clf.mapper(), batched=True, batch_size=16)
        arrow = datasets.Dataset.from_dict({"text": rows}).with_format("arrow").map(clf.mapper(), batched=True, batch_size=16).with_format(None)
        self.assertEqual(plain[:], arrow[:])
        self.assertEqual(plain["label"][:3], [clf(text)[0]["label"] if text else None for text in rows[:3]])
        self.assertEqual(plain._fingerprint, datasets.Dataset.from_dict({"text": rows}).map(clf.mapper(), batched=True, batch_size=16)._fingerprint)


if __name__ == "__main__":
    unittest.main(verbosity=2)
