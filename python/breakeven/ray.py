"""Files of texts on a Ray cluster: breakeven.ray.classify_files(). Needs ray (pip install breakeven[ray]).

The work is that of `breakeven classify --shard` (docs/many_machines.md): one plan, one part a shard, committed whole and once. Here is who does which
shard, where, for what money; nothing of the texts goes through Ray.
"""
import collections
import dataclasses
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from . import _placement
from ._commit import CHECK_EVERY, DONE, PLAN
from ._errors import ArgumentError, Error
from ._program import PROGRAM

PILOT_S = 20  # of shards by each class of devices, before the rest is placed
LONGEST_PILOT_S = 600  # where a worker does not even end its first shard
DEATHS = 3  # of the program at one shard, until its rows are tried one half after the other; of a node's workers at their start
TELL_S = 5  # how far it is
_UNITS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}


class _Worker:
    """One `breakeven classify --shard -` on some node. What kills the program does not kill this."""

    def __init__(self, command, environment):
        self._command, self._environment = command, environment
        self._start()

    def _start(self):
        self._told = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")
        self._program = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._told, encoding="utf-8",
                                         env={**os.environ, **self._environment})
        ready = self._program.stdout.readline()
        if not ready:
            raise RuntimeError(self._last_words())
        self._ready = json.loads(ready)

    def _last_words(self):
        code = self._program.wait()
        self._told.seek(0)
        lines = self._told.read().strip().splitlines()
        how = f"killed by signal {-code}" if code < 0 else f"exit {code}"
        return f"the program ended ({how})" + (f": {lines[-1].removeprefix('breakeven: ')}" if lines else "")

    def ready(self):
        return {**self._ready, "pid": os.getpid(), "program": self._program.pid}

    def ask(self, request):
        """-> the program's answer; {"died": how} where it did not live to give one."""
        if self._program.poll() is not None:
            self._start()
        try:
            self._program.stdin.write(json.dumps(request) + "\n")
            self._program.stdin.flush()
            line = self._program.stdout.readline()
        except BrokenPipeError:
            line = ""
        return json.loads(line) if line.endswith("\n") else {"died": self._last_words()}

    def find_killers(self, shard, first, rows, most=20):
        """-> {row: why} of the rows that end the program, each found by halving."""
        killers, todo = {}, [(first, first + rows)]
        while todo and len(killers) < most:
            begin, end = todo.pop()
            answer = self.ask({"shard": shard, "rows": [begin, end]})
            if "died" not in answer:
                continue
            if end - begin == 1:
                killers[begin] = answer["died"]
            else:
                todo += [((begin + end) // 2, end), (begin, (begin + end) // 2)]
        return killers


@dataclasses.dataclass
class _Slot:
    """A place for a worker: the CPUs of a node, or one of its GPUs."""
    node: str
    kind: str  # "cpu", "gpu"
    cpus: float
    actor: object = None
    ready: bool = False
    deaths: int = 0  # before it was ready
    shard: int | None = None
    since: float = 0.0
    device: str = ""
    used: bool = True
    rows: int = 0
    seconds: float = 0.0


@dataclasses.dataclass
class Report:
    """What classify_files() did. `rates`: texts a second of a worker, by kind; `log`: what happened, a line each."""
    shards: int = 0
    rows: int = 0
    done_before: int = 0
    done: int = 0
    lost: int = 0  # attempts that another one had to do again
    rejected: dict = dataclasses.field(default_factory=dict)
    failed: dict = dataclasses.field(default_factory=dict)
    rates: dict = dataclasses.field(default_factory=dict)
    seconds: float = 0.0
    cost: float | None = None
    placement: object = None
    log: list = dataclasses.field(default_factory=list)


def _seconds(text):
    if text is None:
        return None
    found = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([a-z]+)\s*", f"{text} s" if isinstance(text, (int, float)) else text)
    if not found or found[2] not in _UNITS or float(found[1]) == 0:
        raise ArgumentError("flag/deadline", f"deadline is {text!r}", 'give "6h", "90min", or seconds')
    return float(found[1]) * _UNITS[found[2]]


def _duration(seconds):
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _price(kind, price):
    if isinstance(price, bool) or not isinstance(price, (int, float)) or not 0 <= price < float("inf"):
        raise ArgumentError("flag/prices", f"the price of {kind!r} is {price!r}", "give a number: of a machine an hour")
    return float(price)


def _call(command):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8", errors="replace", check=False)
    lines = done.stderr.strip().splitlines() or [f"breakeven ended with {done.returncode}"]
    return done.returncode, [line.removeprefix("breakeven: ") for line in lines if line != "Run with --help for more information."]


class _Job:
    def __init__(self, inputs, out, model, text, keep, precision, shard_rows, prices, deadline, program, options, tell, patience):
        inputs = [inputs] if isinstance(inputs, (str, os.PathLike)) else list(inputs)
        self.out, self.tell, self.patience = pathlib.Path(out).absolute(), tell, patience
        self.files = [os.path.abspath(os.fspath(each)) for each in inputs]
        parquet = {each.endswith(".parquet") for each in self.files}
        if len(parquet) > 1:
            raise ArgumentError("flag/inputs", "inputs are of Parquet and of other files", "call it once for each kind, with a folder each")
        self.program = [*program] if isinstance(program, (list, tuple)) else [str(program or PROGRAM), "classify"]
        if parquet == {True} and not program:
            self.program = [sys.executable, "-m", "breakeven.shards"]
        self.flags = [*(["--model", os.fspath(model)] if model else []), *(["--text-field", text] if text else []), "--precision", precision, *options]
        if keep is not None:
            with_comma = [name for name in keep if "," in name]
            if with_comma or isinstance(keep, str):
                raise ArgumentError("flag/keep", f"keep is {keep!r}", "give a list of names of columns, without commas in them")
            self.flags += ["--keep", ",".join(keep) or "none"]
        self.prices, self.deadline = {kind: _price(kind, price) for kind, price in (prices or {}).items()}, _seconds(deadline)
        unknown = self.prices.keys() - {"cpu", "gpu"}
        if unknown:
            raise ArgumentError("flag/prices", f"prices has {', '.join(map(repr, sorted(unknown)))}", 'give {"cpu": 0.19, "gpu": 0.53}, of a machine an hour')
        # The model, the files and the folder are looked at here, before any worker starts.
        code, told = _call(self.command("cpu", 1) + ["--plan", "--shard-rows", str(shard_rows)])
        if code:
            raise Error("shards/plan", told[-1])
        with open(self.out / PLAN, encoding="utf-8") as plan:
            self.rows_a_shard = json.loads(next(plan))["rows_a_shard"]
            self.rows = [json.loads(line)["rows"] for line in plan]
        self.first = [0]
        for rows in self.rows:
            self.first.append(self.first[-1] + rows)
        self.slots, self.bad_nodes = {}, {}
        self.attempts = collections.Counter()
        self.report = Report(shards=len(self.rows), rows=self.first[-1])
        self.finished = {shard for shard in range(len(self.rows)) if (self.out / DONE / f"{shard:06}.json").exists()}
        self.report.done_before = len(self.finished)
        self.queue = collections.deque(shard for shard in range(len(self.rows)) if shard not in self.finished)
        self.pending = {}  # ref -> (slot, actor, what)
        self.rejected = {}  # shard -> {row: why}

    def command(self, kind, threads):
        device = ["--device", "cuda:0"] if kind == "gpu" else ["--device", "cpu", "--threads", str(max(1, int(threads)))]
        return [*self.program, *self.files, "--output", str(self.out), *self.flags, *device]

    # Workers

    def look_at_nodes(self):
        alive = {}
        for node in ray.nodes():
            if not node["Alive"]:
                continue
            resources = node["Resources"]
            for gpu in range(int(resources.get("GPU", 0))):
                alive[(node["NodeID"], f"gpu {gpu}")] = ("gpu", 1 if resources.get("CPU", 0) >= 1 else 0)
            if not resources.get("GPU") and resources.get("CPU", 0) >= 1:
                alive[(node["NodeID"], "cpu")] = ("cpu", resources["CPU"])
        for key in [key for key in self.slots if key not in alive]:
            self.give_up(self.slots.pop(key), "its node is gone")
        for key, (kind, cpus) in alive.items():
            if key not in self.slots and key[0] not in self.bad_nodes:
                self.slots[key] = _Slot(key[0], kind, cpus)

    def start(self, slot):
        options = {"num_cpus": slot.cpus, "num_gpus": 1 if slot.kind == "gpu" else 0, "max_restarts": 0, "max_task_retries": 0,
                   "scheduling_strategy": NodeAffinitySchedulingStrategy(slot.node, soft=False)}
        environment = {} if slot.kind == "gpu" else {"CUDA_VISIBLE_DEVICES": ""}
        slot.actor = ray.remote(_Worker).options(**options).remote(self.command(slot.kind, slot.cpus) + ["--shard", "-"], environment)
        self.pending[slot.actor.ready.remote()] = (slot, slot.actor, "ready")

    def give_up(self, slot, why):
        """The worker is gone: its shard goes back to the queue, unless someone else did it meanwhile."""
        shard, slot.shard = slot.shard, None
        if slot.actor is not None:
            self.note(f"a worker on {slot.node[:8]} is lost ({why})" + ("" if shard is None else f"; shard {shard} is done again"))
            ray.kill(slot.actor)
        slot.actor, slot.ready = None, False
        if shard is not None and shard not in self.finished:
            self.report.lost += 1
            if not any(other.shard == shard for other in self.slots.values()):
                self.queue.appendleft(shard)

    def note(self, line):
        self.report.log.append(line)
        if self.tell:
            print(f"breakeven: {line}", file=sys.stderr)

    # Shards

    def ask(self, slot, shard, what, call):
        slot.shard, slot.since = shard, time.monotonic()
        self.pending[call] = (slot, slot.actor, what)

    def give(self, slot, shard):
        request = {"shard": shard}
        if self.rejected.get(shard):
            request["rejected"] = {str(row): why for row, why in self.rejected[shard].items()}
        self.ask(slot, shard, "shard", slot.actor.ask.remote(request))

    def take(self, slot):
        """-> the shard that this worker should do next; None: nothing now."""
        rate = self.rate(slot.kind)
        if self.queue:
            faster = [self.rate(each.kind) for each in self.slots.values() if each.ready and each.used and (self.rate(each.kind) or 0) > (rate or 0)]
            left = sum(self.rows[shard] for shard in self.queue)
            rows = self.rows[self.queue[0]]
            if rate and not _placement.worth_starting(rate, rows, left, sum(faster), max(faster, default=0)):
                return None
            return self.queue.popleft()
        # Nothing is left: the oldest shard of a worker that is silent for too long.
        now = time.monotonic()
        running = [each for each in self.slots.values() if each.shard is not None and each.shard not in self.finished]
        waiting = [each for each in running if now - each.since > self.patience_for(each) and sum(o.shard == each.shard for o in running) == 1]
        return min(waiting, key=lambda each: each.since).shard if waiting else None

    def patience_for(self, slot):
        rate = self.rate(slot.kind)
        return max(self.patience, 3 * self.rows[slot.shard] / rate) if rate else 10 * self.patience

    def rate(self, kind):
        alike = [slot for slot in self.slots.values() if slot.kind == kind]
        seconds = sum(slot.seconds for slot in alike)
        return sum(slot.rows for slot in alike) / seconds if seconds else None

    def got(self, slot, what, answer):
        if what == "ready":
            slot.ready, slot.deaths, slot.device = True, 0, answer["device"]
            return
        shard, slot.shard = slot.shard, None
        if what == "killers":
            self.rejected.setdefault(shard, {}).update(answer)
            self.report.rejected.update(answer)
            self.note(f"shard {shard}: " + (f"rows {', '.join(map(str, answer))} end the program and get no label" if answer else "no row ends the program alone"))
            if not answer and self.attempts[shard] > 2 * DEATHS:
                self.report.failed[shard] = "it ends the program, and no single row does"
                self.finished.add(shard)
            else:
                self.queue.appendleft(shard)
        elif "died" in answer:
            self.attempts[shard] += 1
            self.report.lost += 1
            self.note(f"shard {shard}: {answer['died']}")
            if shard in self.finished:
                return
            if self.attempts[shard] % DEATHS:
                self.queue.append(shard)
            else:
                self.ask(slot, shard, "killers", slot.actor.find_killers.remote(shard, self.first[shard], self.rows[shard]))
        elif "error" in answer:
            if answer["error"].startswith("data/"):  # of its texts: no other worker can do it either
                self.report.failed[shard] = answer["message"]
                self.finished.add(shard)
                self.note(f"shard {shard}: {answer['message']}")
                return
            self.attempts[shard] += 1
            if self.attempts[shard] >= DEATHS:
                raise Error(answer["error"], answer["message"], answer.get("hint", ""))
            self.note(f"shard {shard}: {answer['message']}")
            if shard not in self.finished:
                self.queue.append(shard)
        elif shard not in self.finished:
            self.finished.add(shard)
            self.report.done += 1
            if answer.get("outcome") == "done":
                slot.rows += self.rows[shard]
                slot.seconds += answer["seconds"]

    def lost(self, slot, actor, what, error):
        if slot.actor is not actor:
            return
        why = str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
        if what == "ready":
            slot.deaths += 1
            found = re.search(r"RuntimeError: (the program ended.*)", str(error))
            why = found[1] if found else why
            if slot.deaths >= DEATHS:
                self.bad_nodes[slot.node] = why
                self.note(f"node {slot.node[:8]} is left out: {why}")
                for key in [key for key, each in self.slots.items() if each.node == slot.node]:
                    self.slots.pop(key)
        self.give_up(slot, why)

    # The run

    def classes(self):
        kinds = collections.Counter(slot.kind for slot in self.slots.values())
        return [_placement.DeviceClass(kind, self.rate(kind), count, self.prices.get(kind)) for kind, count in kinds.items() if self.rate(kind)]

    def left(self):
        return sum(rows for shard, rows in enumerate(self.rows) if shard not in self.finished)

    def step(self):
        """Starts what can start, waits a little, takes what came."""
        self.look_at_nodes()
        if not self.slots:
            reasons = "; ".join(sorted(set(self.bad_nodes.values())))
            raise Error("ray/no-worker", f"no node of the cluster can work{': ' + reasons if reasons else ''}", "ray status shows the nodes")
        for slot in list(self.slots.values()):
            if slot.used and slot.actor is None:
                self.start(slot)
            if slot.used and slot.ready and slot.shard is None:
                shard = self.take(slot)
                if shard is not None:
                    self.give(slot, shard)
        ready, _ = ray.wait(list(self.pending), timeout=0.2) if self.pending else (time.sleep(0.05), None)
        for ref in ready or ():
            slot, actor, what = self.pending.pop(ref)
            try:
                answer = ray.get(ref)
            except ray.exceptions.RayError as error:
                self.lost(slot, actor, what, error)
                continue
            if slot.actor is actor:
                self.got(slot, what, answer)

    def pilot(self):
        """One worker of each class does real shards until its rate is known; they are kept."""
        self.look_at_nodes()
        first = {slot.kind: slot for slot in reversed(self.slots.values())}
        for slot in self.slots.values():
            slot.used = slot is first[slot.kind]
        begin = time.monotonic()
        while self.queue and any(slot.seconds < PILOT_S for slot in self.slots.values() if slot.used) and time.monotonic() - begin < LONGEST_PILOT_S:
            self.step()
        for slot in self.slots.values():
            slot.used = True

    def weigh(self, begin, dry_run):
        """The pilot, and what follows from it: who does the rest."""
        self.pilot()
        classes, left = self.classes(), max(1, self.left())
        for each in classes:
            self.note(f"{each.name}: {each.rate:.0f} texts/s a worker, {each.cap} there"
                      + ("" if each.price is None else f", {each.cost_of(1e6):.3g} a million texts"))
        there = {slot.kind for slot in self.slots.values()}
        for kind in sorted(self.prices.keys() - there):
            self.note(f"prices has {kind!r}, and no node with one works here")
        if self.prices and there - self.prices.keys():
            self.note(f"no price is known of {', '.join(sorted(there - self.prices.keys()))}: the fewest workers are taken, not the cheapest, and no cost is told")
        if not classes:
            self.note("no worker did a shard in the pilot: all go on, and no time is foretold")
            return
        remaining = None if self.deadline is None else self.deadline - (time.monotonic() - begin)
        enough = _placement.one_is_enough(classes, left, remaining)
        if enough:
            self.note(f"one {enough.name} machine is enough: {_duration(left / enough.rate)}")
        slowest = min(classes, key=lambda each: each.rate)
        rows = _placement.shard_rows(slowest.rate, self.first[-1], sum(each.cap for each in classes))
        if rows < self.rows_a_shard / 2:
            self.note(f"a shard of {self.rows_a_shard} takes {_duration(self.rows_a_shard / slowest.rate)} on {slowest.name}: "
                      f"shard_rows={rows} and another folder would end it more evenly")
        if dry_run:
            for name, count, seconds, cost in _placement.dry_run(classes, left):
                self.note(f"{count:5} {name}: {_duration(seconds)}" + ("" if cost is None else f", {cost:.2f}"))
        found = self.report.placement = _placement.place(classes, left, remaining)
        self.apply(found)
        self.note(f"{' + '.join(f'{count} {kind}' for kind, count in found.counts.items() if count)}: {_duration(found.seconds)}"
                  + ("" if found.cost is None else f", {found.cost:.2f}") + ("" if found.in_time else ": longer than the deadline, with all workers there are"))

    def apply(self, found):
        counts = dict(found.counts)
        for slot in self.slots.values():
            slot.used = counts.get(slot.kind, 0) > 0 or slot.kind not in counts
            counts[slot.kind] = counts.get(slot.kind, 0) - 1

    def line(self, begin):
        left, rates = self.left(), collections.Counter()
        for slot in self.slots.values():
            if slot.used and slot.ready and self.rate(slot.kind):
                rates[slot.kind] += self.rate(slot.kind)
        rate = sum(rates.values())
        parts = [f"{100 * (1 - left / self.report.rows):.1f} %", f"{rate:.0f} texts/s",
                 " + ".join(f"{sum(s.kind == kind and s.ready for s in self.slots.values())} {kind}" for kind in sorted(rates)) or "starting"]
        if self.money() is not None:
            parts.append(f"{self.money():.2f} so far")
        if rate:
            parts.append(f"ends {time.strftime('%H:%M', time.localtime(time.time() + left / rate))} (in {_duration(left / rate)})")
        return " · ".join(parts)

    def money(self):
        kinds = {slot.kind for slot in self.slots.values() if slot.rows}
        if not kinds or not kinds <= self.prices.keys():
            return None
        return sum(slot.seconds / 3600 * self.prices[slot.kind] for slot in self.slots.values())

    def check(self):
        """Every thousandth shard once more, by another kind of device, where there is one."""
        kinds = {slot.device: slot for slot in self.slots.values() if slot.ready}
        if len(kinds) < 2:
            return
        for shard in range(0, len(self.rows), CHECK_EVERY):
            for slot in kinds.values():
                try:
                    ray.get(slot.actor.ask.remote({"shard": shard, "check": True}), timeout=10 * self.patience)
                except (ray.exceptions.RayError, TimeoutError) as error:
                    self.note(f"shard {shard} was not compared: {type(error).__name__}")

    def close(self):
        for slot in self.slots.values():
            if slot.actor is not None:
                ray.kill(slot.actor)
                slot.actor = None


def classify_files(inputs, out, *, model=None, text=None, keep=None, deadline=None, prices=None, precision="fp32", shard_rows=10_000, dry_run=False, progress=True,
                   options=(), program=None, patience=60):
    """Labels files of texts on all nodes of the Ray cluster, into the folder `out` that all of them see -> Report.

    inputs: a path or pattern, or a list of them (JSONL, CSV, lines, compressed or not; or .parquet, whose parts are Parquet, too); model, text (the
    field or column), precision: as `breakeven classify` has them, and what else it takes in `options`, as ("--top-k", "2"). keep: names of the fields
    that go along, all by default. shard_rows: texts a shard, of a new folder. Again with the same arguments: what is done is not done again.
    deadline: "6h"; prices: {"cpu": 0.19, "gpu": 0.53}, of a node (or of one GPU) an hour. With either, a pilot on real shards, which are kept, measures
    each kind of device, and the cheapest workers that keep the deadline do the rest. dry_run: the pilot, then a table of what 1, 2, 4, 8 ...
    machines cost. patience: seconds after which the shard of a silent worker is given to an idle one, too.
    Raises Error where a shard cannot be done (its texts, a full disk, no node that works).
    """
    if not ray.is_initialized():
        ray.init(address="auto")
    begin = time.monotonic()
    job = _Job(inputs, out, model, text, keep, precision, shard_rows, prices, deadline, program, options, progress, patience)
    try:
        if job.queue and (job.deadline or job.prices or dry_run):
            job.weigh(begin, dry_run)
            if dry_run:
                return _closed(job, begin)
        shown = begin
        while len(job.finished) < len(job.rows):
            if all(not slot.used for slot in job.slots.values()):  # those that were chosen are gone
                for slot in job.slots.values():
                    slot.used = True
            job.step()
            if progress and time.monotonic() - shown > TELL_S:
                shown = time.monotonic()
                print(f"breakeven: {job.line(begin)}", file=sys.stderr)
        job.check()
    finally:
        job.close()
    report = _closed(job, begin)
    if report.failed:
        shard, why = next(iter(report.failed.items()))
        raise Error("shards/failed", f"{len(report.failed)} of {report.shards} shards cannot be done; shard {shard}: {why}", "mend the texts and call it again")
    code, told = _call([*job.program, "--output", str(job.out), "--finish"])
    if code:
        raise Error("shards/unfinished", told[-1], "call it again")
    return report


def _closed(job, begin):
    job.close()
    job.report.seconds = time.monotonic() - begin
    job.report.rates = {each.name: each.rate for each in job.classes()}
    job.report.cost = job.money()
    return job.report


class Classify:
    """For ds.map_batches(Classify, fn_constructor_kwargs={"model": ..., "text": "body"}, batch_format="pyarrow"): adds the columns label and score."""

    def __init__(self, text="text", pair=None, **options):
        from ._pipeline import pipeline
        self._label = pipeline(**options).mapper(text, pair)

    def __call__(self, batch):
        return self._label(batch)
