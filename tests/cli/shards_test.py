"""`breakeven classify --plan, --shard, --finish` as a person runs them, with the built-in model (narrow, so that it is quick)."""
import csv
import gzip
import io
import json
import os
import pathlib
import random
import resource
import signal
import subprocess
import sys
import tempfile
import unittest

BINARY, SOURCE = os.path.abspath(sys.argv.pop(1)), pathlib.Path(sys.argv.pop(1))
WORDS = "good bad great awful film plot actor boring lovely tedious naïve 电影 \"quoted\" a,b".split()


def texts_of(count, seed):
    chance = random.Random(seed)
    return [{"id": f"{seed}.{i}", "text": " ".join(chance.choices(WORDS, k=chance.randint(0, 30))), "n": 1.50} for i in range(count)]


def jsonl(records):
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)


class Shards(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        (self.folder / "in").mkdir()
        self.out = self.folder / "out"

    def file(self, name, content):
        path = self.folder / "in" / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return f"in/{name}"

    def command(self, *arguments, out="out"):
        return [BINARY, "classify", "--model", "builtin-narrow", "--device", "cpu", "--output", out, *arguments]

    def call(self, *arguments, code=0, stdin="", out="out", **more):
        done = subprocess.run(self.command(*arguments, out=out), input=stdin, encoding="utf-8", stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False,
                              cwd=self.folder, **more)
        self.assertEqual(done.returncode, code, done.stderr)
        self.assertNotIn("internal error", done.stderr)
        return done

    def refused(self, *arguments, says, **more):
        told = self.call(*arguments, code=2, **more).stderr
        for words in says:
            self.assertIn(words, told)

    def alone(self, *files, more=()):
        """What one process without shards writes for all files, one after the other."""
        lines, base = [], 0
        for name in files:
            done = subprocess.run([BINARY, "classify", "--model", "builtin-narrow", "--device", "cpu", *more, name], stdout=subprocess.PIPE, check=True,
                                  cwd=self.folder)
            these = done.stdout.decode().split("\n")[:-1]
            for index, line in enumerate(these):
                self.assertTrue(line.startswith(f'{{"index":{index},'))
                lines.append(f'{{"index":{base + index},' + line.split(",", 1)[1] + "\n")
            base += len(these)
        return "".join(lines).encode()

    def parts(self, out=None):
        return b"".join(part.read_bytes() for part in sorted((out or self.out).glob("part-*")))

    def written(self):  # when each part was; not its inode, which a file system gives to the next file
        return {part.name: part.stat().st_mtime_ns for part in self.out.glob("part-*")}

    def dones(self):
        return {path.name: json.loads(path.read_text()) for path in sorted((self.out / "_done").iterdir())}

    # What it computes

    def test_parts_are_those_of_one_process(self):
        records = texts_of(210, 1)
        table = io.StringIO()
        writer = csv.DictWriter(table, ["id", "text"], extrasaction="ignore")
        writer.writeheader()
        writer.writerows({**record, "text": record["text"].replace(" film", "\nfilm")} for record in records)
        inputs = {"a.jsonl": jsonl(records), "a.jsonl.gz": gzip.compress(jsonl(records).encode()), "a.csv": table.getvalue(),
                  "a.json": json.dumps(records), "a.txt": "".join(record["text"] + "\r\n" for record in records)}
        for name, content in inputs.items():
            path = self.file(name, content)
            expected = self.alone(path)
            for shards in (1, 2, 3, 7):
                out = f"out-{name}-{shards}"
                order = list(range(shards))
                random.Random(shards).shuffle(order)
                for task in order:
                    self.call(path, "--shard-rows", str(-(-210 // shards)), "--shard", f"{task}/{shards}", out=out)
                self.call("--finish", out=out)
                self.assertEqual(self.parts(self.folder / out), expected, out)
                self.assertEqual(len(list((self.folder / out).glob("part-*"))), shards)

    def test_several_files_and_threads(self):
        files = [self.file(f"{i}.jsonl", jsonl(texts_of(count, i))) for i, count in enumerate((5, 150, 1, 77))]
        expected = self.alone(*files)
        self.call("in/*.jsonl", "--plan", "--shard-rows", "40")
        self.assertFalse(list(self.out.glob("part-*")))
        self.call(*files, "--shard", "0/2", "--threads", "1")
        told = self.call("--finish", code=1).stderr
        self.assertIn("3 of 6 shards are not done: 1, 3, 5", told)
        self.call(*files, "--shard", "1/2", "--batch", "7")
        self.call("--finish")
        self.assertEqual(self.parts(), expected)
        finished = json.loads((self.out / "_finished.json").read_text())
        self.assertEqual((finished["rows"], finished["rejected"], len(finished["parts"])), (233, 0, 6))
        for name, record in self.dones().items():
            shard = record["shard"]
            self.assertEqual(name, f"{shard['index']:06}.json")
            self.assertEqual((record["kind"], record["texts"]["count"], shard["adopted"]), ("shard", shard["rows"], False))
            self.assertGreater(shard["seconds"], shard["compute_s"])
            self.assertGreater(record["texts"]["real_tokens"], 0)
        table = subprocess.run([BINARY, "report", self.out / "_done", "--cpu-price", "0.19", "--gpu-price", "0.53"], check=True, encoding="utf-8", stdout=subprocess.PIPE).stdout
        for words in ("6 shards", "233 texts", "cpu"):
            self.assertIn(words, table)
        whole = subprocess.run([BINARY, "report", self.out, "--cpu-price", "0.19", "--gpu-price", "0.53"], check=True, encoding="utf-8", stdout=subprocess.PIPE).stdout
        self.assertEqual(whole, table)  # the job's folder is as good as the one of its records
        one_price = subprocess.run([BINARY, "report", self.out / "_done", "--cpu-price", "0.19"], check=True, encoding="utf-8", stdout=subprocess.PIPE).stdout
        self.assertEqual(one_price, table)
        other_price = subprocess.run([BINARY, "report", self.out / "_done", "--gpu-price", "0.53"], check=True, encoding="utf-8", stdout=subprocess.PIPE).stdout
        self.assertIn("Cost: --cpu-price and --gpu-price", other_price)

    def test_fields_that_are_kept(self):
        records = texts_of(20, 1)
        path = self.file("a.jsonl", jsonl(records))
        for out, keep, names in (("all", [], {"id", "n"}), ("one", ["--keep", "id"], {"id"}), ("two", ["--keep", "n,id"], {"id", "n"}), ("none", ["--keep", "none"], set())):
            self.call(path, "--shard", "0/1", *keep, out=out)
            lines = [json.loads(line) for line in self.parts(self.folder / out).splitlines()]
            self.assertEqual({frozenset(line.keys() - {"index", "label", "score", "logits"}) for line in lines}, {frozenset(names)})
            self.assertEqual(self.parts(self.folder / out), self.alone(path, more=keep))
            if "id" in names:
                self.assertEqual([line["id"] for line in lines], [record["id"] for record in records])
        self.assertIn("--keep di: none of the first 20 records has it", self.call(path, "--shard", "0/1", "--keep", "id,di", out="misspelt").stderr)

    # Failures

    def test_what_is_done_stays(self):
        path = self.file("a.jsonl", jsonl(texts_of(200, 1)))
        self.call(path, "--shard-rows", "50", "--shard", "0/1")
        before = self.written()
        expected = self.parts()
        (self.out / "_done" / "000001.json").unlink()  # died between the part and its done file
        (self.out / "part-000002.jsonl").unlink()
        (self.out / "_done" / "000002.json").unlink()
        told = self.call(path, "--shard", "0/1").stderr
        self.assertIn("2 shards done, 2 were done before", told)
        after = self.written()
        self.assertEqual({name for name in before if before[name] != after[name]}, {"part-000002.jsonl"})
        self.assertEqual(self.parts(), expected)
        self.assertTrue(self.dones()["000001.json"]["shard"]["adopted"])
        self.assertFalse(self.dones()["000002.json"]["shard"]["adopted"])
        self.call("--finish")

    def test_damage_is_found_and_done_again(self):
        path = self.file("a.jsonl", jsonl(texts_of(200, 1)))
        self.call(path, "--shard-rows", "40", "--shard", "0/1")
        expected = self.parts()
        cut = self.out / "part-000000.jsonl"
        cut.write_bytes(cut.read_bytes()[:100])
        other = self.out / "part-000001.jsonl"
        other.write_bytes(other.read_bytes().replace(b"0.", b"1.", 1))
        (self.out / "part-000002.jsonl").unlink()
        (self.out / "_done" / "000003.json").write_text('{"schema_ver')
        told = self.call("--finish", code=1).stderr
        for words in ("0 lines, not 40", "is not the part that was committed", "is missing", "000003.json cannot be read", "4 of 5 shards are not done: 0, 1, 2, 3"):
            self.assertIn(words, told)
        self.call(path, "--shard", "0/1")
        self.call("--finish")
        self.assertEqual(self.parts(), expected)
        # A part that is not whole and that no done file tells of.
        (self.out / "_done" / "000004.json").unlink()
        cut = self.out / "part-000004.jsonl"
        cut.write_bytes(cut.read_bytes()[:-10])
        self.refused(path, "--shard", "0/1", says=["39 lines where the plan has 40", "--finish takes it away"])
        self.call("--finish", code=1)
        self.call(path, "--shard", "0/1")
        self.call("--finish")
        self.assertEqual(self.parts(), expected)

    def test_kill_9_anywhere(self):
        path = self.file("a.jsonl", jsonl(texts_of(3000, 1)))
        expected = self.alone(path)
        self.call(path, "--shard-rows", "25", "--plan")
        chance = random.Random(7)
        for _ in range(6):
            tasks = [subprocess.Popen(self.command(path, "--shard", share), cwd=self.folder, stderr=subprocess.DEVNULL) for share in ("0/1", "0/1", "1/2")]
            wanted = len(list(self.out.glob("_done/*"))) + chance.randint(1, 10)
            while len(list(self.out.glob("_done/*"))) < wanted and tasks[0].poll() is None:
                pass
            for task in tasks:
                task.send_signal(signal.SIGKILL)
                task.wait()
            for part in self.out.glob("part-*"):
                self.assertEqual(part.read_bytes().count(b"\n"), 25, part)
        before = self.written()
        self.call(path, "--shard", "0/1")
        self.assertEqual({name: at for name, at in self.written().items() if name in before}, before)
        self.call("--finish")
        self.assertEqual(self.parts(), expected)
        self.assertEqual(list((self.out / "_tmp").iterdir()), [])

    def test_a_stopped_task_that_wakes_up(self):
        path = self.file("a.jsonl", jsonl(texts_of(600, 1)))
        self.call(path, "--shard-rows", "20", "--plan")
        task = subprocess.Popen(self.command(path, "--shard", "0/1"), cwd=self.folder, stderr=subprocess.DEVNULL)
        while not list(self.out.glob("_done/*")):
            pass
        task.send_signal(signal.SIGSTOP)
        self.call(path, "--shard", "0/1")
        self.call("--finish")
        expected = self.parts()
        task.send_signal(signal.SIGCONT)
        self.assertIn(task.wait(), (0, 2))  # --finish took away what it was writing
        self.call("--finish")
        self.assertEqual(self.parts(), expected)

    def test_a_full_disk(self):
        path = self.file("a.jsonl", jsonl(texts_of(400, 1)))
        self.call(path, "--shard-rows", "400", "--plan")

        def small():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))

        self.refused(path, "--shard", "0/1", preexec_fn=small, says=["cannot write", "_tmp/part-000000.jsonl"])
        self.assertEqual((list(self.out.glob("part-*")), list(self.out.glob("_tmp/*")), list(self.out.glob("_done/*"))), ([], [], []))
        self.call(path, "--shard", "0/1")
        self.call("--finish")

    def test_a_record_that_is_none(self):
        records = jsonl(texts_of(100, 1)).splitlines()
        records[55] = '{"text": 5}'
        path = self.file("a.jsonl", "\n".join(records))
        self.refused(path, "--shard-rows", "10", "--shard", "0/1", says=["a.jsonl, line 56", "1 of this share's shards", "9 shards done"])
        self.call("--finish", code=1)
        self.assertEqual(len(list(self.out.glob("part-*"))), 9)

    def test_tasks_that_start_together_share_a_plan(self):
        path = self.file("a.jsonl", jsonl(texts_of(120, 1)))
        tasks = [subprocess.Popen(self.command(path, "--shard-rows", "30", "--shard", f"{i}/4"), cwd=self.folder) for i in range(4)]
        self.assertEqual([task.wait() for task in tasks], [0] * 4)
        self.call("--finish")
        self.assertEqual(self.parts(), self.alone(path))

    # Shards that a scheduler asks for

    def test_requests_on_stdin(self):
        path = self.file("a.jsonl", jsonl(texts_of(100, 1)))
        expected = self.alone(path).splitlines()
        asked = ['{"shard": 2}', '{"shard": 1, "rows": [30, 35]}', '{"shard": 0, "rejected": {"3": "it \\"kills\\""}}', "1", "1", '{"shard": 0, "check": true}',
                 '{"shard": 4}', '{"shard": 1, "rows": [0, 5]}', '{"shard": 3, "rejected": {"3": "x"}}', "x", '{"shard": 3}']
        done = self.call(path, "--shard-rows", "25", "--shard", "-", stdin="\n".join(asked))
        ready, *answers = map(json.loads, done.stdout.splitlines())
        self.assertEqual((ready["shards"], ready["rows"], ready["device"].split()[0]), (4, 100, "cpu"))
        self.assertEqual([answer.get("outcome", "error") for answer in answers],
                         ["done", "tried", "done", "done", "was done", "nothing to check", "error", "error", "error", "error", "done"])
        for answer in answers:
            self.assertGreaterEqual(answer["seconds"], 0)
        self.call("--finish")
        lines = self.parts().splitlines()
        self.assertEqual([line for i, line in enumerate(lines) if i != 3], [line for i, line in enumerate(expected) if i != 3])
        rejected = json.loads(lines[3])
        self.assertEqual((rejected["index"], rejected["label"], rejected["breakeven_rejected"], rejected["id"]), (3, None, 'it "kills"', "1.3"))
        self.assertEqual(self.dones()["000000.json"]["shard"]["rejected"], 1)
        self.assertEqual(json.loads((self.out / "_finished.json").read_text())["rejected"], 1)

    def test_another_device_checks_a_shard(self):
        path = self.file("a.jsonl", jsonl(texts_of(100, 1)))
        self.call(path, "--shard-rows", "50", "--shard", "0/1", env={**os.environ, "BREAKEVEN_ISA": "avx2"})
        made_by = self.dones()["000000.json"]["instruction_set"]
        before = self.parts()
        told = self.call(path, "--shard", "0/1").stderr
        if "compared with another device" not in told:
            self.skipTest(f"SKIPPED: this CPU has no second instruction set beside {made_by}")
        record = self.dones()["000000.check.json"]
        self.assertEqual((record["parity"]["judge"], record["parity"]["texts"], record["parity"]["flips"]), (f"cpu {made_by}", 50, 0))
        self.assertLess(record["parity"]["logit_abs_max"], 1e-3)
        self.assertNotEqual(record["instruction_set"], made_by)
        self.assertEqual(self.parts(), before)
        self.assertNotIn("compared", self.call(path, "--shard", "0/1").stderr)
        self.call("--finish")
        table = subprocess.run([BINARY, "report", self.out / "_done"], check=True, encoding="utf-8", stdout=subprocess.PIPE).stdout
        self.assertIn("0 of 50 labels differ", table)

    # What is refused

    def test_another_job(self):
        path = self.file("a.jsonl", jsonl(texts_of(20, 1)))
        self.call(path, "--plan")
        for flags, says in ((["--precision", "bf16"], "--precision fp32, not bf16"), (["--max-length", "9"], "--max-length 512, not 9"),
                            (["--top-k", "2"], "--top-k 0, not 2"), (["--text-field", "id"], "--text-field"), (["--keep", "id"], "--keep (none), not id")):
            self.refused(path, "--shard", "0/1", *flags, says=["out is of another job", says])
        more = self.file("b.jsonl", jsonl(texts_of(20, 2)))
        self.refused(path, more, "--shard", "0/1", says=["1 files, not 2"])
        self.refused(more, "--shard", "0/1", says=["in/a.jsonl, not in/b.jsonl"])
        self.file("a.jsonl", jsonl(texts_of(21, 1)))
        self.refused(path, "--shard", "0/1", says=["bytes, not"])
        self.file("a.jsonl", jsonl(texts_of(20, 1)).replace("good", "goop"))
        self.refused(path, "--shard", "0/1", says=["with other content"])
        self.assertEqual(list(self.out.glob("part-*")), [])

    def test_wrong_calls(self):
        path = self.file("a.jsonl", jsonl(texts_of(20, 1)))
        for share in ("1", "2/2", "0/0", "-1/2", "a/b", "0/1/2", "1/", "/1"):
            self.refused(path, "--shard", share, says=[f"--shard '{share}'"])
        self.refused("in/*.csv", "--plan", says=["nothing matches in/*.csv"])
        self.refused("in/b.jsonl", "--plan", says=["no file in/b.jsonl"])
        self.refused("in", "--plan", says=["in is no file"])
        self.refused(path, path, "--plan", says=["given twice"])
        self.refused("-", "--plan", says=["stdin"])
        self.refused(path, "--plan", "--finish", says=["exclude each other"])
        self.refused(path, "--plan", "--shard-rows", "0", says=["--shard-rows '0'"])
        self.refused("--text", "a", "--plan", says=["--text"])
        self.refused("--finish", out="none", says=["no folder none"])
        self.refused(path, "--plan", out=path, says=["is a file"])
        self.refused(path, "--plan", out="in", says=["in holds a.jsonl"])
        self.refused(path, "in/a.csv", says=["one file at a time"], out="x.jsonl")
        done = subprocess.run([BINARY, "classify", path, "--plan"], cwd=self.folder, stderr=subprocess.PIPE, check=False, encoding="utf-8")
        self.assertEqual((done.returncode, "--output FOLDER" in done.stderr), (2, True), done.stderr)

    def test_a_plan_that_is_none(self):
        path = self.file("a.jsonl", jsonl(texts_of(20, 1)))
        self.call(path, "--plan", "--shard-rows", "5")
        plan = self.out / "_plan.jsonl"
        whole = plan.read_text()
        for content in ("", "{}", whole[:-3], whole[: whole.index("\n") + 1], whole.replace('"plan":1', '"plan":7'), "\0" * 50):
            plan.write_text(content)
            for arguments in ((path, "--shard", "0/1"), ("--finish",)):
                self.refused(*arguments, says=["_plan.jsonl"])


if __name__ == "__main__":
    unittest.main()
