"""Parquet on many machines, by the contract of `breakeven classify --shard` (docs/many_machines.md): plan, parts and done files of the same names.

    python -m breakeven.shards in/*.parquet --output out --plan --text-field body --keep id
    python -m breakeven.shards in/*.parquet --output out --shard 3/512 --text-field body --keep id
    python -m breakeven.shards --output out --finish

A part has the columns that are kept, `label` and `score`; null where a text is. Needs pyarrow (breakeven[arrow]).
"""
import argparse
import datetime
import glob
import json
import os
import sys
import time
import zlib

import pyarrow
import pyarrow.compute
import pyarrow.parquet

from ._commit import ASIDE, CHECK_EVERY, DONE, FINISHED, PLAN, Folder, run
from ._errors import Error
from ._pipeline import pipeline

SUFFIX, END_BYTES, REJECTED = ".parquet", 65536, b"breakeven_rejected"


def _rows_of(path):
    try:
        return pyarrow.parquet.read_metadata(path).num_rows
    except (OSError, pyarrow.ArrowException) as error:
        raise Error("shards/damaged", f"{path} is no whole Parquet file ({str(error).splitlines()[0]})", "end all runs on this folder, then --finish takes it away") from None


def _open(path):
    """-> ParquetFile"""
    try:
        return pyarrow.parquet.ParquetFile(path)
    except FileNotFoundError:
        raise Error("file/missing", f"there is no file {path}", "check its name") from None
    except (OSError, pyarrow.ArrowException) as error:
        raise Error("data/parquet", f"{path} is no Parquet file that can be read ({str(error).splitlines()[0]})", "give whole Parquet files") from None


def _mark(path):
    """Size and checksum of both ends, as the program has it: a Parquet file tells of all its rows at its end."""
    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        ends = zlib.crc32(file.read(END_BYTES))
        if size > END_BYTES:
            file.seek(-END_BYTES, os.SEEK_END)
            ends ^= zlib.crc32(file.read(END_BYTES))
    return {"bytes": size, "ends": ends}


def find_inputs(patterns):
    """Files by name or pattern, in the order given; those of a pattern sorted."""
    found = []
    for pattern in patterns:
        names = [pattern] if os.path.exists(pattern) else sorted(glob.glob(pattern))
        if not names:
            raise Error("file/missing", f"nothing matches {pattern}" if glob.has_magic(pattern) else f"there is no file {pattern}", "check the pattern")
        found += names
    twice = [name for name in found if found.count(name) > 1]
    if twice:
        raise Error("flag/shard", f"{twice[0]} is given twice", "give each file once")
    return found


def make_plan(files, rows_a_shard, fingerprint):
    """-> the plan's lines; a shard may go on in the next file."""
    planned, shards, pieces, room = [], [], [], rows_a_shard
    for index, path in enumerate(files):
        with _open(path) as file:
            rows = file.metadata.num_rows
        planned.append({"file": path, **_mark(path), "format": "parquet"})
        first = 0
        while first < rows:
            taken = min(room, rows - first)
            pieces.append({"file": index, "first_row": first, "rows": taken})
            first, room = first + taken, room - taken
            if not room:
                shards, pieces, room = [*shards, pieces], [], rows_a_shard
    if pieces:
        shards.append(pieces)
    if not shards:
        raise Error("data/empty", f"{', '.join(files)} hold no row", "give files with at least one text")
    counts = [sum(piece["rows"] for piece in shard) for shard in shards]
    job = {"plan": 1, "rows": sum(counts), "shards": len(shards), "rows_a_shard": rows_a_shard, "fingerprint": fingerprint, "files": planned}
    return [job, *({"shard": shard, "rows": count, "pieces": each} for shard, (count, each) in enumerate(zip(counts, shards)))]


def read_plan(folder):
    """-> the job, its shards. A plan that is cut or another's is refused."""
    path = folder.path / PLAN
    try:
        job, *shards = map(json.loads, path.read_text(encoding="utf-8").splitlines())
        whole = job["plan"] == 1 and len(shards) == job["shards"] and [each["shard"] for each in shards] == list(range(job["shards"]))
        parquet = all(file["format"] == "parquet" for file in job["files"])
    except FileNotFoundError:
        raise Error("shards/plan", f"there is no {path}", "--plan makes it") from None
    except (ValueError, KeyError, TypeError):
        whole = parquet = False
    if not whole or not parquet:
        raise Error("shards/plan", f"{path} is cut off, or not of Parquet files", "it is not what --plan wrote: choose another folder")
    return job, shards


def settle_plan(folder, files, rows_a_shard, fingerprint):
    """The folder's plan, made by whoever is first; one of another job is refused, and all that differs is named."""
    if not folder.has(PLAN):
        folder.put(PLAN, "".join(json.dumps(line) + "\n" for line in make_plan(files, rows_a_shard, fingerprint)))
    job, shards = read_plan(folder)
    theirs = job["fingerprint"]
    differences = [f"{name} {theirs.get(name)}, not {fingerprint.get(name)}" for name in {**theirs, **fingerprint} if theirs.get(name) != fingerprint.get(name)]
    names = [each["file"] for each in job["files"]]
    if names != files:
        differences.append(f"files {', '.join(names)}, not {', '.join(files)}")
    else:
        differences += [f"{each['file']} with other content" for each in job["files"] if _mark(each["file"]) != {key: each[key] for key in ("bytes", "ends")}]
    if differences:
        raise Error("shards/other-job", f"{folder.path} is of another job: {'; '.join(differences)}", "choose another folder, or give what it was planned with")
    return job, shards


class Worker:
    """Does shards of a plan with one pipeline."""

    def __init__(self, folder, job, shards, clf, options):
        self.folder, self.job, self.shards, self.clf, self.options = folder, job, shards, clf, options
        self.prototype = json.loads(clf._core.record)
        self.first = [0]
        for shard in shards:
            self.first.append(self.first[-1] + shard["rows"])

    def texts(self, shard, columns):
        """-> a table of a shard's rows."""
        tables = []
        for piece in self.shards[shard]["pieces"]:
            begin, end, row = piece["first_row"], piece["first_row"] + piece["rows"], 0
            with _open(self.job["files"][piece["file"]]["file"]) as file:
                for group in range(file.num_row_groups):
                    rows = file.metadata.row_group(group).num_rows
                    if row < end and row + rows > begin:
                        table = file.read_row_group(group, columns=columns)
                        tables.append(table.slice(max(0, begin - row), min(end, row + rows) - max(begin, row)))
                    row += rows
        return pyarrow.concat_tables(tables)

    def label(self, table):
        text, pair = self.options.text_field, self.options.pair_field
        try:
            return pyarrow.table(self.clf.arrow(table[text], table[pair] if pair else None))
        except (TypeError, ValueError) as error:
            raise Error("data/type", str(error), f"the column {text!r} has to be of texts") from None

    def labels(self, shard, rejected, timed):
        """-> the shard's rows and their labels; `timed` is told what it took."""
        begin, before, options = time.monotonic(), self.clf.stats, self.options
        table = given = self.texts(shard, options.columns)
        read_s = time.monotonic() - begin
        if rejected:
            gone = pyarrow.array([row in rejected for row in range(self.first[shard], self.first[shard + 1])])
            place = table.schema.get_field_index(options.text_field)
            texts = pyarrow.compute.if_else(gone, pyarrow.scalar(None, table.schema.field(place).type), table[options.text_field])
            given = table.set_column(place, options.text_field, texts)
        labels = self.label(given)
        counted = {name: value - before[name] for name, value in self.clf.stats.items()}
        timed.update(seconds=time.monotonic() - begin, read_s=read_s, compute_s=counted["seconds"], tokens=counted["tokens"], truncated=counted["truncated"])
        return table, labels

    def write(self, shard, rejected, path, timed):
        begin = time.monotonic()
        table, labels = self.labels(shard, rejected, timed)
        out = table.select(self.options.kept).append_column("label", labels["label"]).append_column("score", labels["score"])
        if rejected:
            out = out.replace_schema_metadata({**(out.schema.metadata or {}), REJECTED: json.dumps(rejected).encode()})
        try:
            pyarrow.parquet.write_table(out, path)
        except OSError as error:
            raise Error("file/unwritable", f"cannot write {path}: {error}", "choose a place with enough room that you may write to") from None
        timed["seconds"] = time.monotonic() - begin

    def receipt(self, shard, part, own, timed, rejected):
        """The done file: a record as the program writes it (docs/schema.md)."""
        record, rows = json.loads(json.dumps(self.prototype)), self.shards[shard]["rows"]
        record["kind"] = "shard"
        record["started_at"] = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        record["command"] = sys.argv
        record["shard"] = {"index": shard, "first_row": self.first[shard], "rows": rows, "rejected": len(rejected), "part": self.folder.part(shard),
                           "bytes": part.bytes, "sha256": part.sha256, "seconds": 0.0, "read_s": 0.0, "compute_s": 0.0, "adopted": not own}
        record["texts"].update(name=self.job["files"][self.shards[shard]["pieces"][0]["file"]]["file"], count=rows)
        if own:
            record["shard"].update((name, timed[name]) for name in ("seconds", "read_s", "compute_s"))
            record["texts"].update(truncated=timed["truncated"], real_tokens=timed["tokens"], computed_tokens=timed["tokens"], mean_tokens=timed["tokens"] / rows)
            record["passes"] = 1
            record["reviews_per_s"]["value"], record["tokens_per_s"]["value"] = rows / timed["seconds"], timed["tokens"] / timed["seconds"]
        return json.dumps(record) + "\n"

    def run(self, shard, rejected=None):
        """-> "done", "was done", "adopted"."""
        timed, rejected = {}, {int(row): why for row, why in (rejected or {}).items()}
        return run(self.folder, self.folder.names(shard), self.shards[shard]["rows"],
                   lambda aside: self.write(shard, rejected, self.folder.path / aside, timed),
                   lambda part, own: self.receipt(shard, part, own, timed, rejected))

    def check(self, shard):
        """Does a finished shard once more where another kind of device made its part, and writes how the labels compare -> False: nothing to do."""
        done, name, part = self.folder.done(shard), f"{DONE}/{shard:06}.check.json", self.folder.part(shard)
        if not self.folder.has(done) or self.folder.has(name):
            return False
        theirs = json.loads((self.folder.path / done).read_text(encoding="utf-8"))
        if theirs["shard"]["adopted"] or theirs["shard"]["rejected"] or _device(theirs) == _device(self.prototype):
            return False
        timed = {}
        ours = self.labels(shard, {}, timed)[1]["label"].cast(pyarrow.string()).to_pylist()
        judge = pyarrow.parquet.read_table(self.folder.path / part, columns=["label"])["label"].cast(pyarrow.string()).to_pylist()
        record = json.loads(self.receipt(shard, self.folder.look(part), True, timed, {}))
        record["parity"] = {"judge": _device(theirs), "texts": len(ours), "flips": sum(a != b for a, b in zip(ours, judge, strict=True))}
        return self.folder.put(name, json.dumps(record) + "\n")

    def ask(self, request):
        """One request of stdin, as docs/many_machines.md has them -> the answer."""
        request = request if isinstance(request, dict) else {"shard": request}
        shard = request.get("shard")
        if not isinstance(shard, int) or isinstance(shard, bool) or not 0 <= shard < len(self.shards):
            raise Error("flag/shard", f"a request names shard {shard!r} of {len(self.shards)}", 'give {"shard":17}')
        told = {"shard": shard, "rows": self.shards[shard]["rows"]}
        if request.get("check"):
            return told | {"outcome": "checked" if self.check(shard) else "nothing to check"}
        if "rows" in request:
            begin, end = (row - self.first[shard] for row in request["rows"])
            self.label(self.texts(shard, self.options.columns).slice(begin, end - begin))
            return told | {"outcome": "tried"}
        return told | {"outcome": self.run(shard, request.get("rejected"))}


def finish(folder):
    """Are all shards there and whole? What is not is taken away -> its numbers, and the numbers of rows and of those without a label."""
    job, shards = read_plan(folder)
    missing, rejected, parts = [], 0, []
    for shard, planned in enumerate(shards):
        part, done = folder.part(shard), folder.done(shard)
        try:
            record = json.loads((folder.path / done).read_text(encoding="utf-8"))["shard"] if folder.has(done) else None
            seen = folder.look(part) if folder.has(part) else None
            wrong = (f"{part} is missing" if record and not seen else f"{part} has {seen.rows} rows, not {planned['rows']}" if seen and seen.rows != planned["rows"]
                     else f"{part} is not the part that was committed" if record and record["sha256"] != seen.sha256 else None)
        except (ValueError, KeyError, TypeError):  # the part may be whole; the next run writes the done file again
            record, wrong = None, None
            _tell(f"shard {shard}: {done} cannot be read; it is taken away")
            folder.remove_aside(done)
        except Error as error:
            wrong = error.args[0].split(";")[0]
        if wrong:
            _tell(f"shard {shard}: {wrong}; it is taken away")
            folder.remove_aside(done)  # first: a done file never tells of a part that is not there
            folder.remove_aside(part)
        if wrong or not record:
            missing.append(shard)
            continue
        rejected += record["rejected"]
        parts.append({"part": part, "rows": record["rows"], "sha256": record["sha256"]})
    if not missing:
        for aside in (folder.path / ASIDE).iterdir():
            aside.unlink()
        folder.remove_aside(FINISHED)
        folder.put(FINISHED, json.dumps({"rows": job["rows"], "rejected": rejected, "parts": parts}, indent=1) + "\n")
    return missing, job["rows"], rejected


def _device(record):
    """What shards' devices are told apart by."""
    return (record.get("gpu") or {}).get("name") or f"cpu {record['instruction_set']}"


def _tell(line):
    print(f"breakeven: {line}", file=sys.stderr)


def _parse(arguments):
    parser = argparse.ArgumentParser(prog="python -m breakeven.shards", description="Parquet files in shards; see docs/many_machines.md")
    parser.add_argument("files", nargs="*", help="files or patterns")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--plan", action="store_true")
    what.add_argument("--shard", help="I/N, or - for requests on stdin")
    what.add_argument("--finish", action="store_true")
    parser.add_argument("--output", required=True, help="the job's folder")
    parser.add_argument("--model")
    parser.add_argument("--text-field", default="text", help="the column of texts [text]")
    parser.add_argument("--pair-field")
    parser.add_argument("--keep", help="columns that go along: id,stars, or none [all]")
    parser.add_argument("--shard-rows", type=int, default=10_000)
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--max-length", type=int)
    options = parser.parse_args(arguments)
    if options.shard_rows < 1:
        parser.error(f"--shard-rows {options.shard_rows}: give 1 or more")
    if not options.finish and not options.files:
        parser.error("give files")
    options.share = None
    if options.shard and options.shard != "-":
        index, _, of = options.shard.partition("/")
        if not (index.isdecimal() and of.isdecimal() and int(index) < int(of)):
            parser.error(f"--shard '{options.shard}' is no share of a job: give 0/512 to 511/512 for one of 512 tasks, or -")
        options.share = int(index), int(of)
    return options


def _check_columns(options, files):
    """Which columns a part has, of the first file; all files have to have them."""
    for path in files:
        with _open(path) as file:
            known = file.schema_arrow.names
        kept = known if options.keep is None else [] if options.keep == "none" else options.keep.split(",")
        for name in [options.text_field, *([options.pair_field] if options.pair_field else []), *kept]:
            if name not in known:
                raise Error("data/missing-field", f"{path} has no column {name!r}: {', '.join(known)}", "--text-field and --keep name columns")
        for name in ("label", "score"):
            if name in kept:
                raise Error("flag/keep", f"{path} has a column {name!r} already", "leave it out with --keep")
        if path != files[0] and kept != options.kept:
            raise Error("data/columns", f"{path} has the columns {', '.join(kept)}, not {', '.join(options.kept)}", "name those that all have with --keep")
        options.kept = kept
    options.columns = list(dict.fromkeys([*kept, options.text_field, *([options.pair_field] if options.pair_field else [])]))


def main(arguments=None):
    options = _parse(arguments)
    if options.finish and not os.path.isdir(options.output):
        raise Error("file/missing", f"there is no folder {options.output}", "--plan makes it")
    folder = Folder(options.output, SUFFIX, _rows_of)
    if options.finish:
        missing, rows, rejected = finish(folder)
        if missing:
            _tell(f"{len(missing)} shards are not done: {', '.join(map(str, missing[:20]))}{' ...' if len(missing) > 20 else ''}; run --shard again")
            return 1
        _tell(f"{folder.path}: {rows} texts, {rejected} without a label; breakeven report {folder.path / DONE}")
        return 0
    files = find_inputs(options.files)
    _check_columns(options, files)
    clf = pipeline(model=options.model, device=options.device, precision=options.precision, threads=options.threads, max_length=options.max_length)
    fingerprint = {"model": json.loads(clf._core.record)["model_hash"], "--precision": options.precision, "--max-length": str(clf.info["max_length"]),
                   "--text-field": options.text_field, "--pair-field": options.pair_field or "", "--keep": ",".join(options.kept)}
    job, shards = settle_plan(folder, files, options.shard_rows, fingerprint)
    if options.plan:
        _tell(f"{folder.path / PLAN}: {job['rows']} texts in {len(shards)} shard{'' if len(shards) == 1 else 's'}, {job['rows_a_shard']} in each")
        return 0
    worker = Worker(folder, job, shards, clf, options)
    if options.share:
        outcomes = [worker.run(shard) for shard in range(options.share[0], len(shards), options.share[1])]
        before = outcomes.count("was done")
        for shard in range(0, len(shards), CHECK_EVERY):
            worker.check(shard)
        _tell(f"share {options.shard}: {len(outcomes) - before} shards done, {before} were done before")
        return 0
    print(json.dumps({"ready": True, "device": _device(worker.prototype), "shards": len(shards), "rows": job["rows"]}), flush=True)
    for line in sys.stdin:
        if not line.strip():
            continue
        begin = time.monotonic()
        try:
            answer = worker.ask(json.loads(line))
        except ValueError as error:
            answer = {"error": "flag/shard", "message": f"a request is no JSON: {error}", "hint": 'give {"shard":17}'}
        except Error as error:
            answer = {"error": error.code, "message": error.args[0], "hint": error.hint}
        print(json.dumps(answer | {"seconds": time.monotonic() - begin}), flush=True)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (Error, TypeError) as problem:
        _tell(str(problem))
        sys.exit(2)
