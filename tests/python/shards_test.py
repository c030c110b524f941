"""Parquet in shards, `python -m breakeven.shards`: its protocol under hypothesis, on a file system and on an object store; its parts, failures, refusals."""
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import unittest

import hypothesis
import hypothesis.stateful
import hypothesis.strategies as st
import pyarrow
import pyarrow.parquet

import breakeven
from breakeven import Error, classify_parquet
from breakeven._commit import Folder, Names, Seen, attempt, run
from breakeven._program import PROGRAM

PART, DONE, ROWS = "part-000000.jsonl", "_done/000000.json", 3


def content_of(index):
    return f"{index}\n" * ROWS  # as devices with other bits make them


class Died(Exception):
    pass


class Store:
    """A store with faults: "half" writes half and the process is dead, "full" has no room. Of a bucket nothing stays of an upload that was under way."""
    fault = None

    def __init__(self, kind, visible, asides):
        self.kind, self.visible, self.asides = kind, visible, asides

    def has(self, name):
        return name in self.visible

    def look(self, name):
        content = (self.asides if name in self.asides else self.visible)[name]
        return Seen(len(content), content.count("\n"), f"sha of {content}")

    def write_aside(self, name, content):
        if self.fault == "full":
            raise Error("file/unwritable", "the disk is full")
        half = self.fault == "half"
        if not half or self.kind != "object store":
            self.asides[name] = content[:3] if half else content
        if half:
            raise Died

    def publish(self, aside, name):
        content = self.asides[aside]
        first = name not in self.visible or self.kind == "replaces"
        if first:
            half = self.fault == "half" and self.kind == "shows halves"
            self.visible[name] = content[:3] if half else content
            if half:
                raise Died
        return first

    def remove_aside(self, name):
        self.asides.pop(name, None)


class RealStore(Folder):
    """The real folder, with the same faults."""
    fault = None

    def __init__(self, path):
        super().__init__(path, ".jsonl", lambda part: part.read_bytes().count(b"\n"))

    def write_aside(self, name, content):
        if self.fault == "full":
            raise Error("file/unwritable", "the disk is full")
        super().write_aside(name, content[:3] if self.fault == "half" else content)
        if self.fault == "half":
            raise Died

    def visible_files(self):
        return {name: (self.path / name).read_text() for name in [*(p.name for p in self.path.glob("[!_]*") if p.is_file()),
                                                                    *(f"_done/{p.name}" for p in (self.path / "_done").iterdir())]}


class Protocol(hypothesis.stateful.RuleBasedStateMachine):
    """Three attempts at one shard at a time, any number in all, in any order of their steps; each may die or meet a full disk at any step."""
    kind = "posix"

    def __init__(self):
        super().__init__()
        self.visible, self.asides, self.count, self.before, self.sound = {}, {}, 0, None, True
        if self.kind == "folder":
            self.folder = tempfile.TemporaryDirectory()
            (pathlib.Path(self.folder.name) / "_plan.jsonl").touch()
        self.running = [self.make() for _ in range(3)]

    def store(self):
        return RealStore(self.folder.name) if self.kind == "folder" else Store(self.kind, self.visible, self.asides)

    def make(self):
        self.count += 1
        store, index = self.store(), self.count
        names = Names(PART, DONE, f"_tmp/{index}", f"_tmp/done.{index}")
        return store, names, attempt(store, names, ROWS, lambda aside: store.write_aside(aside, content_of(index)), lambda part, own: f"{part.sha256} {own}")

    @hypothesis.stateful.rule(who=st.integers(0, 2), times=st.integers(1, 4), fault=st.sampled_from([None, None, None, "half", "full"]))
    def step(self, who, times, fault):
        """So many steps; the fault is at the last."""
        store, names, steps = self.running[who]
        try:
            for last in [False] * (times - 1) + [True]:
                store.fault = fault if last else None
                next(steps)
            return
        except Died:
            pass
        except StopIteration:
            pass
        except Error as error:
            assert error.code == "file/unwritable", error
            store.remove_aside(names.part_aside)  # as run() does
            store.remove_aside(names.done_aside)
        self.running[who] = self.make()

    @hypothesis.stateful.rule(who=st.integers(0, 2))
    def die(self, who):
        _, names, steps = self.running[who]
        steps.close()
        if self.kind == "object store":
            self.asides.pop(names.part_aside, None)
            self.asides.pop(names.done_aside, None)
        self.running[who] = self.make()

    @hypothesis.stateful.invariant()
    def whole_and_once(self):
        now, self.sound = self.store().visible_files() if self.kind == "folder" else self.visible, False
        assert self.before is None or now.get(PART) == self.before, "a part that was visible is another one now"
        self.before = now.get(PART)
        assert self.before is None or self.before.count("\n") == ROWS, "half a part is visible"
        if DONE in now:
            assert self.before is not None, "a done file without a part"
            assert now[DONE].startswith(self.store().look(PART).sha256), "the done file is of another part"
        assert now.keys() <= {PART, DONE}, now.keys()
        self.sound = True

    def teardown(self):
        """A run that nothing disturbs ends the shard."""
        if self.sound:
            for _ in self.make()[2]:
                pass
            self.whole_and_once()
            assert self.store().has(DONE) and self.before
        if self.kind == "folder":
            self.folder.cleanup()


def search(kind, examples=200):
    machine = type("Protocol_" + kind.replace(" ", "_"), (Protocol,), {"kind": kind})
    hypothesis.stateful.run_state_machine_as_test(machine, settings=hypothesis.settings(
        max_examples=examples, stateful_step_count=40, deadline=None, database=None, derandomize=True, print_blob=False,
        suppress_health_check=list(hypothesis.HealthCheck)))


class Commit(unittest.TestCase):
    def test_no_order_of_steps_loses_doubles_or_halves_a_shard(self):
        for kind in ("posix", "object store"):
            with self.subTest(kind):
                search(kind)

    def test_on_a_real_folder(self):
        search("folder", 60)

    def test_the_search_finds_what_is_wrong(self):
        for kind, wrong in (("replaces", "is another one now"), ("shows halves", "half a part is visible")):
            with self.subTest(kind), self.assertRaisesRegex(AssertionError, wrong):
                search(kind)

    def test_how_an_attempt_ends(self):
        visible, asides = {}, {}
        store = Store("posix", visible, asides)

        def end(index):
            return run(store, Names(PART, DONE, f"aside {index}", f"aside done {index}"), ROWS, lambda aside: store.write_aside(aside, content_of(index)),
                       lambda part, own: f"{part.sha256} {own}")
        self.assertEqual((end(1), end(2)), ("done", "was done"))
        del visible[DONE]
        self.assertEqual((end(3), visible[DONE][-5:], visible[PART], asides), ("adopted", "False", content_of(1), {}))
        visible[PART] = "1\n1\n"
        del visible[DONE]
        with self.assertRaisesRegex(Error, "2 rows where the plan has 3"):
            end(4)
        store.fault = "full"
        del visible[PART]
        with self.assertRaises(Error):
            end(5)
        self.assertEqual((visible, asides), ({}, {}))


WORDS = "good bad great awful film plot actor boring lovely tedious naïve 电影".split()


class Parquet(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        chance = random.Random(1)
        self.texts = [None if i % 31 == 7 else " ".join(chance.choices(WORDS, k=chance.randint(0, 25))) for i in range(210)]
        table = pyarrow.table({"id": range(210), "body": self.texts, "note": ["x"] * 210})
        pyarrow.parquet.write_table(table.slice(0, 130), self.folder / "a.parquet", row_group_size=40)
        pyarrow.parquet.write_table(table.slice(130), self.folder / "b.parquet")
        self.flags = ["--model", "builtin-narrow", "--device", "cpu", "--threads", "1", "--text-field", "body", "--keep", "id"]
        self.out = self.folder / "out"

    def command(self, *arguments, out="out", flags=None):
        return [sys.executable, "-m", "breakeven.shards", *arguments, "--output", out, *(self.flags if flags is None else flags)]

    def written(self):  # when each part was; not its inode, which a file system gives to the next file
        return {part.name: part.stat().st_mtime_ns for part in self.out.glob("part-*")}

    def call(self, *arguments, code=0, stdin="", env=None, **more):
        done = subprocess.run(self.command(*arguments, **more), input=stdin, env=env, encoding="utf-8", stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False,
                              cwd=self.folder)
        self.assertEqual(done.returncode, code, done.stderr)
        return done

    def refused(self, *arguments, says, **more):
        told = self.call(*arguments, code=2, **more).stderr
        self.assertNotIn("Traceback", told)
        for words in says:
            self.assertIn(words, told)

    def finish(self, out="out", code=0):
        return self.call("--finish", out=out, flags=[], code=code).stderr

    def rows(self, out="out"):
        return pyarrow.concat_tables([pyarrow.parquet.read_table(part) for part in sorted((self.folder / out).glob("part-*"))], promote_options="none").to_pylist()

    def alone(self):
        rows = []
        for name in ("a", "b"):
            classify_parquet(self.folder / f"{name}.parquet", self.folder / f"{name}.labels", "body", keep=["id"], model="builtin-narrow", device="cpu", threads=1)
            rows += pyarrow.parquet.read_table(self.folder / f"{name}.labels").to_pylist()
        return rows

    def test_parts_are_what_one_process_writes(self):
        expected, parts = self.alone(), {}
        self.assertEqual([row["id"] for row in expected], list(range(210)))
        for out, rows, shares in (("one", 300, ["0/1"]), ("seven", 30, ["2/3", "0/3", "1/3"]), ("again", 30, ["0/1"])):
            for share in shares:
                self.call("*.parquet", "--shard", share, "--shard-rows", str(rows), out=out)
            self.assertIn("210 texts, 0 without a label", self.finish(out))
            self.assertEqual(self.rows(out), expected)
            parts[out] = {part.name: part.read_bytes() for part in (self.folder / out).glob("part-*")}
        self.assertEqual(parts["seven"], parts["again"], "the bytes, too, whatever the order")
        self.assertEqual((len(parts["one"]), len(parts["seven"])), (1, 7))
        record = json.loads((self.folder / "one/_done/000000.json").read_text())
        self.assertEqual((record["kind"], record["shard"]["rows"], record["shard"]["adopted"], record["cell"]["device"]), ("shard", 210, False, "cpu"))
        self.assertGreater(record["shard"]["seconds"], record["shard"]["compute_s"])
        self.assertGreater(record["texts"]["real_tokens"], 210)
        told = subprocess.run([PROGRAM, "report", self.folder / "seven/_done", "--cpu-price", "0.19"], check=True, encoding="utf-8", stdout=subprocess.PIPE).stdout
        for words in ("7 shards", "210 texts", "cpu"):
            self.assertIn(words, told)
        self.assertNotIn("--cpu-price and --gpu-price", told, "one price tells a cost")

    def test_columns_that_are_kept(self):
        for out, keep, names in (("all", [], ["id", "body", "note"]), ("two", ["--keep", "note,id"], ["note", "id"]), ("none", ["--keep", "none"], [])):
            self.call("b.parquet", "--shard", "0/1", out=out, flags=[*self.flags[:-2], *keep])
            self.assertEqual(pyarrow.parquet.read_table(self.folder / out / "part-000000.parquet").schema.names, [*names, "label", "score"])

    def test_what_is_done_stays_and_damage_is_done_again(self):
        self.call("a.parquet", "--shard", "0/1", "--shard-rows", "20")
        expected = self.rows()
        before = self.written()
        (self.out / "_done/000001.json").unlink()  # died between the part and its done file
        (self.out / "_done/000002.json").write_text("{")
        cut = self.out / "part-000003.parquet"
        cut.write_bytes(cut.read_bytes()[:-9])
        self.call("a.parquet", "--shard", "0/1")
        (self.out / "part-000004.parquet").unlink()
        told = self.finish(code=1)
        for words in ("000002.json cannot be read", "part-000003.parquet is no whole Parquet file", "part-000004.parquet is missing", "not done: 2, 3, 4"):
            self.assertIn(words, told)
        self.assertIn("3 shards done, 4 were done before", self.call("a.parquet", "--shard", "0/1").stderr)
        self.finish()
        self.assertEqual(self.rows(), expected)
        self.assertEqual({name for name, at in self.written().items() if at != before[name]}, {"part-000003.parquet", "part-000004.parquet"})
        self.assertTrue(json.loads((self.out / "_done/000001.json").read_text())["shard"]["adopted"])

    def test_kill_9(self):
        self.call("*.parquet", "--plan", "--shard-rows", "5")
        for wanted in (3, 9, 15):
            tasks = [subprocess.Popen(self.command("*.parquet", "--shard", "0/1"), cwd=self.folder, stderr=subprocess.DEVNULL) for _ in range(2)]
            while len(list(self.out.glob("_done/*"))) < wanted and tasks[0].poll() is None:
                pass
            for task in tasks:
                task.send_signal(signal.SIGKILL)
                task.wait()
        before = self.written()
        self.call("*.parquet", "--shard", "0/1")
        self.finish()
        self.assertEqual({name: at for name, at in self.written().items() if name in before}, before)
        self.assertEqual((self.rows(), list((self.out / "_tmp").iterdir())), (self.alone(), []))

    def test_requests_on_stdin(self):
        asked = ['{"shard": 2}', '{"shard": 1, "rows": [30, 35]}', '{"shard": 0, "rejected": {"3": "it kills"}}', "1", "1", '{"shard": 0, "check": true}', '{"shard": 9}',
                 "x", '{"shard": 3}', '{"shard": 4}']
        done = self.call("a.parquet", "--shard-rows", "30", "--shard", "-", stdin="\n".join(asked))
        ready, *answers = map(json.loads, done.stdout.splitlines())
        self.assertEqual((ready["shards"], ready["rows"], ready["device"].split()[0]), (5, 130, "cpu"))
        self.assertEqual([answer.get("outcome", "error") for answer in answers],
                         ["done", "tried", "done", "done", "was done", "nothing to check", "error", "error", "done", "done"])
        self.assertIn("130 texts, 1 without a label", self.finish())
        rows = self.rows()
        self.assertEqual([rows[3]["label"], rows[3]["id"]], [None, 3])
        self.assertEqual([row for row in rows if row["id"] != 3], [row for row in self.alone()[:130] if row["id"] != 3])
        metadata = pyarrow.parquet.read_schema(self.out / "part-000000.parquet").metadata
        self.assertEqual(json.loads(metadata[b"breakeven_rejected"]), {"3": "it kills"})

    def test_another_device_checks_a_shard(self):
        self.call("a.parquet", "--shard", "0/1", env={**os.environ, "BREAKEVEN_ISA": "avx2"})
        made_by = json.loads((self.out / "_done/000000.json").read_text())["instruction_set"]
        before = (self.out / "part-000000.parquet").read_bytes()
        self.call("a.parquet", "--shard", "0/1")
        if not (self.out / "_done/000000.check.json").exists():
            self.skipTest(f"SKIPPED: this CPU has no second instruction set beside {made_by}")
        parity = json.loads((self.out / "_done/000000.check.json").read_text())["parity"]
        self.assertEqual((parity["judge"], parity["texts"], parity["flips"]), (f"cpu {made_by}", 130, 0))
        self.assertEqual((self.out / "part-000000.parquet").read_bytes(), before)
        told = subprocess.run([PROGRAM, "report", self.out / "_done"], check=True, encoding="utf-8", stdout=subprocess.PIPE).stdout
        self.assertIn("0 of 130 labels differ.", told)

    def test_what_is_refused(self):
        self.call("a.parquet", "--plan")
        self.refused("a.parquet", "--shard", "0/1", flags=[*self.flags, "--keep", "note"], says=["out is of another job", "--keep id, not note"])
        self.refused("a.parquet", "--shard", "0/1", flags=[*self.flags, "--max-length", "9"], says=["--max-length 512, not 9"])
        self.refused("*.parquet", "--shard", "0/1", says=["files a.parquet, not a.parquet, b.parquet"])
        os.replace(self.folder / "b.parquet", self.folder / "a.parquet")
        self.refused("a.parquet", "--shard", "0/1", says=["a.parquet with other content"])
        self.assertEqual(list(self.out.glob("part-*")), [])
        for flags, says in ((["--text-field", "nope"], "no column 'nope': id, body, note"), (["--keep", "gone"], "no column 'gone'"), (["--text-field", "id"], "format 'l'")):
            self.refused("a.parquet", "--shard", "0/1", out="other", flags=self.flags + flags, says=[says])
        for share in ("1", "2/2", "0/0", "a/b", "-1/2"):
            self.refused("a.parquet", f"--shard={share}", says=[f"--shard '{share}'"])
        self.refused("*.nope", "--plan", says=["nothing matches *.nope"])
        self.refused("a.parquet", "a.parquet", "--plan", says=["given twice"])
        self.refused("a.parquet", "--plan", "--shard-rows", "0", says=["--shard-rows 0"])
        self.refused("a.parquet", "--plan", out="a.parquet", says=["is a file"])
        self.refused("--finish", out="new", flags=[], says=["no folder new"])
        (self.folder / "empty").mkdir()
        self.refused("--finish", out="empty", flags=[], says=["no empty/_plan.jsonl"])
        (self.folder / "text.parquet").write_text("no Parquet")
        self.refused("text.parquet", "--plan", out="x", says=["text.parquet is no Parquet file"])
        (self.folder / "foreign").mkdir()
        (self.folder / "foreign/letter").touch()
        self.refused("a.parquet", "--plan", out="foreign", says=["foreign holds letter"])
        plan = self.out / "_plan.jsonl"
        whole = plan.read_text()
        for content in ("", "{}", whole[:-3], whole.replace("parquet", "jsonl")):
            plan.write_text(content)
            self.refused("--finish", flags=[], says=["_plan.jsonl"])


class Columns(unittest.TestCase):
    def test_a_mapper_of_datasets(self):
        import pickle
        clf = breakeven.pipeline(model="builtin-narrow", device="cpu", threads=1)
        texts = ["A good film.", None, "It was long, dull and slow!"]
        expected = [clf(text)[0] if text else {"label": None, "score": None} for text in texts]
        mapper = clf.mapper("body")
        for each in (mapper, pickle.loads(pickle.dumps(mapper))):
            self.assertEqual(each({"body": texts, "id": [1, 2, 3]}), {name: [answer[name] for answer in expected] for name in ("label", "score")})
            self.assertEqual(each(pyarrow.table({"body": texts})).to_pylist(), [{"body": text, **answer} for text, answer in zip(texts, expected)])
        self.assertEqual(pickle.dumps(mapper), pickle.dumps(clf.mapper("body")), "what datasets knows a cached result by")
        self.assertNotEqual(pickle.dumps(mapper), pickle.dumps(breakeven.pipeline(model="builtin", device="cpu").mapper("body")))
        self.assertEqual(mapper({"body": []}), {"label": [], "score": []})
        with self.assertRaisesRegex(KeyError, "no column 'body': text"):
            mapper({"text": texts})
        for batch in ({"body": texts, "label": [0, 1, 2]}, pyarrow.table({"body": texts, "label": [0, 1, 2]})):
            with self.assertRaisesRegex(ValueError, "column 'label' already"):
                mapper(batch)
        pair = clf.mapper("a", "b", function_to_apply="none")
        both = {"a": ["A good film.", "x", None], "b": ["It is good.", None, "y"]}
        lists = pair(both)
        self.assertEqual((lists["label"][1:], pair(pyarrow.table(both)).to_pydict()), ([None, None], both | lists))


if __name__ == "__main__":
    unittest.main(verbosity=2)
