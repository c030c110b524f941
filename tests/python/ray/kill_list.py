#!/usr/bin/env python3
"""breakeven.ray on a Ray cluster of three nodes on this machine, with everything killed that can be: 40 shards, the narrow built-in model.

usage: kill_list.py PROGRAM [--runs N] [--stop SECONDS] [--seed N] [KIND ...]     with a Python that has ray; prints a table; exit 1: something was lost

Each run: a driver labels 20,000 texts; at a random shard the thing happens; afterwards every part must be, byte for byte, what one process writes, every
shard done once, shards that were done before untouched, nothing left aside.
"""
import argparse
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve()
SHARDS, ROWS, POISON, LIMIT_S = 40, 500, 7777, 240
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_DEDUP_LOGS": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0", "PYTHONWARNINGS": "ignore"}


def drive(address, out, inputs, program, patience):
    """The driver's process: prints its report, or the error's code."""
    import logging

    import ray
    from breakeven import Error
    from breakeven.ray import classify_files
    ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, configure_logging=False)
    try:
        report = classify_files(inputs, out, model="builtin-narrow", shard_rows=ROWS, program=program, progress=False, patience=float(patience))
    except Error as error:
        print(json.dumps({"error": error.code, "message": str(error)}))
        return 2
    print(json.dumps({"done": report.done, "before": report.done_before, "lost": report.lost, "rejected": report.rejected, "log": report.log,
                      "seconds": report.seconds}))
    return 0


def act_as_program():
    """In the place of the program: dies of one row, or finds no model on one node."""
    real, arguments = os.environ["REAL_PROGRAM"], sys.argv[1:]
    if os.environ.get("BROKEN_NODE") and "--shard" in arguments:
        arguments[arguments.index("--model") + 1] = "/no/such/model"
    if "--shard" not in arguments or not os.environ.get("POISON"):
        os.execv(real, [real, *arguments])
    child = subprocess.Popen([real, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8")
    print(child.stdout.readline(), end="", flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        begin, end = request.get("rows", [request["shard"] * ROWS, (request["shard"] + 1) * ROWS])
        if begin <= POISON < end and str(POISON) not in request.get("rejected", {}):
            child.kill()
            os.abort()
        child.stdin.write(line)
        child.stdin.flush()
        print(child.stdout.readline(), end="", flush=True)


def texts(path):
    chance = random.Random(1)
    words = "good bad great awful film plot actor boring lovely tedious".split()
    with open(path, "w", encoding="utf-8") as file:
        for index in range(SHARDS * ROWS):
            file.write(json.dumps({"id": index, "text": " ".join(chance.choices(words, k=chance.randint(1, 30)))}) + "\n")


class Bench:
    def __init__(self, program, folder, options):
        from ray.cluster_utils import Cluster
        self.program, self.folder, self.options = os.path.abspath(program), pathlib.Path(folder), options
        self.inputs = str(self.folder / "in.jsonl")
        texts(self.inputs)
        self.expected = subprocess.run([self.program, "classify", "--model", "builtin-narrow", "--device", "cpu", self.inputs], check=True,
                                       stdout=subprocess.PIPE).stdout
        self.cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
        self.nodes = [self.add_node() for _ in range(3)]

    def add_node(self, **environment):
        return self.cluster.add_node(num_cpus=1, object_store_memory=80_000_000, env_vars=environment or None)

    def start(self, out, program=None, patience=20, **environment):
        return subprocess.Popen([sys.executable, HERE, "--drive", self.cluster.address, str(out), self.inputs, str(program or self.program), str(patience)],
                                stdout=subprocess.PIPE, encoding="utf-8", env={**os.environ, **environment}, start_new_session=True)

    def workers(self, out):
        """-> [(pid of the actor, pid of its program)] of this job."""
        found = []
        for entry in pathlib.Path("/proc").iterdir():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0") if entry.name.isdigit() else []
                if b"--shard" in words and str(out).encode() in words and b"-" in words:
                    parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
                    if b"ray::" in (pathlib.Path("/proc") / str(parent) / "cmdline").read_bytes():
                        found.append((parent, int(entry.name)))
            except (OSError, ValueError):
                pass  # it ended meanwhile
        return found

    def end(self, driver):
        told, _ = driver.communicate(timeout=LIMIT_S)
        reports = [line for line in told.splitlines() if line.startswith("{")]  # Ray has its own to say there
        assert reports, f"the driver ended with {driver.returncode} and no report: {told[-500:]}"
        return json.loads(reports[-1])

    def wait_for(self, out, shards, driver):
        begin = time.monotonic()
        while len(list(out.glob("_done/*.json"))) < shards:
            if driver.poll() is not None or time.monotonic() - begin > LIMIT_S:
                raise AssertionError(f"the driver ended before {shards} shards were done: {driver.communicate()[0]}")
            time.sleep(0.01)

    def check(self, out, before, rejected=()):
        names = {path.name for path in out.iterdir()}
        parts = sorted(out.glob("part-*"))
        assert names == {"_plan.jsonl", "_done", "_tmp", "_finished.json"} | {part.name for part in parts}, names
        assert len(parts) == SHARDS and not list((out / "_tmp").iterdir())
        assert sorted(path.name for path in (out / "_done").iterdir()) == [f"{shard:06}.json" for shard in range(SHARDS)]
        lines = b"".join(part.read_bytes() for part in parts).splitlines()
        wanted = self.expected.splitlines()
        assert len(lines) == len(wanted)
        for row, (ours, theirs) in enumerate(zip(lines, wanted)):
            if row in rejected:
                answer = json.loads(ours)
                assert answer["id"] == row and answer["label"] is None and answer["breakeven_rejected"], answer
            else:
                assert ours == theirs, (row, ours, theirs)
        for part, (inode, changed) in before.items():
            assert (part.stat().st_ino, part.stat().st_mtime_ns) == (inode, changed), f"{part} was done again"

    def finished(self, out):
        return {part: (part.stat().st_ino, part.stat().st_mtime_ns) for part in out.glob("part-*")}

    def wait_for_end(self, pid):
        """Of a program that woke up: it goes on with its shard, and ends as nobody asks it any more."""
        begin = time.monotonic()
        while (pathlib.Path("/proc") / str(pid)).exists() and "\nState:\tZ" not in (pathlib.Path("/proc") / str(pid) / "status").read_text():
            assert time.monotonic() - begin < LIMIT_S, f"{pid} does not end"
            time.sleep(0.05)

    # What happens, each with a random moment

    def kill_actor(self, out, chance):
        return self.signalled(out, chance, lambda worker: os.kill(worker[0], signal.SIGKILL))

    def kill_program(self, out, chance):
        return self.signalled(out, chance, lambda worker: os.kill(worker[1], signal.SIGKILL))

    def signalled(self, out, chance, do):
        driver = self.start(out)
        self.wait_for(out, chance.randint(2, 25), driver)
        before = self.finished(out)
        do(chance.choice(self.workers(out)))
        report = self.end(driver)
        self.check(out, before)
        return report

    def stop_actor(self, out, chance):
        driver = self.start(out, patience=2)
        self.wait_for(out, chance.randint(2, 25), driver)
        before = self.finished(out)
        worker = chance.choice(self.workers(out))
        for pid in worker:
            os.kill(pid, signal.SIGSTOP)
        begin = time.monotonic()
        try:
            report = self.end(driver)  # the others do its shard, too
            time.sleep(max(0, self.options.stop - (time.monotonic() - begin)))
        finally:
            for pid in worker:
                try:
                    os.kill(pid, signal.SIGCONT)
                except ProcessLookupError:
                    pass  # an actor that Ray ended; its program lives, stopped
        self.wait_for_end(worker[1])
        self.check(out, before)
        return report

    def kill_node(self, out, chance):
        driver = self.start(out)
        self.wait_for(out, chance.randint(2, 25), driver)
        before = self.finished(out)
        node = self.nodes.pop(chance.randrange(len(self.nodes)))
        self.cluster.remove_node(node, allow_graceful=False)
        try:
            report = self.end(driver)
        finally:
            self.nodes.append(self.add_node())
        self.check(out, before)
        return report

    def kill_driver(self, out, chance):
        driver = self.start(out)
        self.wait_for(out, chance.randint(2, 25), driver)
        driver.kill()
        driver.communicate()
        before = self.finished(out)
        report = self.end(self.start(out))
        assert report["before"] >= len(before) - 3, report  # a part may have been without its done file
        self.check(out, before)
        return report

    def full_disk(self, out, chance):
        out.mkdir()
        size = chance.randint(600, 1200)
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", out], stderr=subprocess.PIPE, check=False)
        if mounted.returncode:
            return {"skipped": mounted.stderr.decode().strip()}
        try:
            report = self.end(self.start(out))
            assert report["error"] == "file/unwritable" and "No space left" in report["message"], report
            before = self.finished(out)
            for part in before:
                assert part.read_bytes().count(b"\n") == ROWS, part
            subprocess.run(["mount", "-o", "remount,size=100m", out], check=True)
            report = self.end(self.start(out))
            self.check(out, before)
        finally:
            subprocess.run(["umount", out], check=True)
        return report

    def with_stand_in(self, out, **environment):
        stand_in = self.folder / "program"
        stand_in.write_text(f"#!/bin/sh\nexport REAL_PROGRAM='{self.program}' {' '.join(f'{k}={v}' for k, v in environment.items())}\n"
                            f"exec '{sys.executable}' '{HERE}' --act \"$@\"\n")
        stand_in.chmod(0o755)
        return self.start(out, program=stand_in)

    def poison_text(self, out, chance):
        report = self.end(self.with_stand_in(out, POISON=1))
        assert list(report["rejected"]) == [str(POISON)], report
        self.check(out, {}, rejected={POISON})
        return report

    def missing_model(self, out, chance):
        removed = self.nodes.pop(chance.randrange(len(self.nodes)))
        self.cluster.remove_node(removed)
        broken = self.add_node(BROKEN_NODE="1")
        try:
            report = self.end(self.with_stand_in(out))
        finally:
            self.cluster.remove_node(broken)
            self.nodes.append(self.add_node())
        assert any("is left out" in line and "/no/such/model" in line for line in report["log"]), report
        self.check(out, {})
        return report

    def one_two_three_nodes(self, out, chance):
        """Nothing happens: parts are the same bytes with 3, 2 and 1 nodes."""
        count = chance.randint(1, 3)
        away = [self.nodes.pop() for _ in range(3 - count)]
        for node in away:
            self.cluster.remove_node(node)
        try:
            report = self.end(self.start(out))
        finally:
            self.nodes += [self.add_node() for _ in away]
        self.check(out, {})
        return report

    def another_instruction_set(self, out, chance):
        """One node is held to AVX2: labels as without, logits close, and a shard is compared."""
        self.cluster.remove_node(self.nodes.pop(chance.randrange(len(self.nodes))))
        node = self.add_node(BREAKEVEN_ISA="avx2")
        try:
            report = self.end(self.start(out))
        finally:
            self.cluster.remove_node(node)
            self.nodes.append(self.add_node())
        lines = b"".join(part.read_bytes() for part in sorted(out.glob("part-*"))).splitlines()
        worst = 0
        for ours, theirs in zip(map(json.loads, lines), map(json.loads, self.expected.splitlines()), strict=True):
            assert (ours["id"], ours["label"]) == (theirs["id"], theirs["label"])
            worst = max([worst, *(abs(a - b) for a, b in zip(ours["logits"], theirs["logits"]))])
        assert worst < 1e-3, worst
        made = {json.loads(path.read_text())["instruction_set"] for path in (out / "_done").glob("??????.json")}
        assert len(made) == 2 and len(list((out / "_done").glob("*.check.json"))) == 1, made
        return report


KINDS = ["kill_actor", "kill_program", "kill_node", "kill_driver", "stop_actor", "full_disk", "poison_text", "missing_model", "one_two_three_nodes",
         "another_instruction_set"]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("kinds", nargs="*", default=KINDS)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--stop", type=float, default=6)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_intermixed_args()
    os.environ.update(QUIET, PYTHONPATH=str(HERE.parents[3] / "python"))
    failed = False
    with tempfile.TemporaryDirectory(prefix="breakeven-kill-") as folder:
        bench = Bench(options.program, folder, options)
        print("| what happens | runs | every id once | attempts lost | seconds, median and most |\n|---|--:|--:|--:|--:|", flush=True)
        for kind in options.kinds:
            good, lost, took, skipped = 0, 0, [], ""
            for run in range(options.runs):
                out, begin = bench.folder / f"out-{kind}-{run}", time.monotonic()
                try:
                    report = getattr(bench, kind)(out, random.Random(f"{options.seed} {kind} {run}"))
                    skipped = report.get("skipped", "")
                    good, lost = good + 1, lost + report.get("lost", 0)
                except Exception as error:  # noqa: BLE001: the table tells of all runs
                    failed = True
                    print(f"{kind}, run {run}: {type(error).__name__}: {str(error)[:2000]}", file=sys.stderr, flush=True)
                took.append(time.monotonic() - begin)
                shutil.rmtree(out, ignore_errors=True)
            took.sort()
            result = f"SKIPPED: {skipped}" if skipped else f"{good} of {options.runs}"
            print(f"| {kind.replace('_', ' ')} | {options.runs} | {result} | {lost} | {took[len(took) // 2]:.0f}, {took[-1]:.0f} |", flush=True)
        bench.cluster.shutdown()
    return 1 if failed else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--act"]:
        del sys.argv[1]
        sys.exit(act_as_program())
    sys.exit(drive(*sys.argv[2:]) if sys.argv[1:2] == ["--drive"] else main())
