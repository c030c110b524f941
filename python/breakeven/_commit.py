"""How a part that Python writes becomes visible: the protocol of src/shards/commit.h, whole and once, whoever else does the same shard."""
import dataclasses
import errno
import hashlib
import itertools
import os
import pathlib
import uuid

from ._errors import Error

# As src/shards/folder.h and src/cli/shard_worker.h have them.
PLAN, DONE, ASIDE, FINISHED = "_plan.jsonl", "_done", "_tmp", "_finished.json"
CHECK_EVERY = 1000  # shards, of which one is also done by another kind of device

_mark, _count = f"{os.getpid()}-{uuid.uuid4().hex[:16]}", itertools.count()


@dataclasses.dataclass(frozen=True)
class Seen:
    """What stands in a file."""
    bytes: int
    rows: int
    sha256: str


@dataclasses.dataclass(frozen=True)
class Names:
    """Of a shard's part and its done file, and of what one attempt writes aside."""
    part: str
    done: str
    part_aside: str
    done_aside: str


def attempt(store, names, rows, work, receipt):
    """A generator: each step does one thing to the store, so that a test can stop and mix attempts anywhere. Its value says how it ended.

    work(name) writes the part aside; receipt(seen, own) -> the done file's content, `own` where this attempt computed these very bytes.
    """
    def look(name):
        seen = store.look(name)
        if seen.rows != rows:
            raise Error("shards/damaged", f"{name} has {seen.rows} rows where the plan has {rows}", "end all runs on this folder, then --finish takes it away")
        return seen

    if store.has(names.done):
        return "was done"
    yield
    there, mine = store.has(names.part), None
    yield
    if not there:
        work(names.part_aside)
        yield
        part = mine = look(names.part_aside)
        yield
        there = not store.publish(names.part_aside, names.part)
        yield
    if there:
        part = look(names.part)
        yield
    store.write_aside(names.done_aside, receipt(part, part == mine))
    yield
    store.publish(names.done_aside, names.done)  # whoever was first told of the same part
    yield
    store.remove_aside(names.part_aside)
    yield
    store.remove_aside(names.done_aside)
    return "done" if part == mine else "adopted"


def run(store, names, rows, work, receipt):
    """All steps of an attempt -> how it ended; what an error left aside is taken away."""
    steps = attempt(store, names, rows, work, receipt)
    try:
        while True:
            next(steps)
    except StopIteration as ended:
        return ended.value
    except BaseException:
        store.remove_aside(names.part_aside)
        store.remove_aside(names.done_aside)
        raise


class Folder:
    """A job's folder on a file system that all machines see, as src/shards/folder.h has it; `count_rows(path)` of a part."""

    def __init__(self, path, suffix, count_rows):
        self.path, self._suffix, self._count_rows = pathlib.Path(path), suffix, count_rows
        try:
            self.path.mkdir(exist_ok=True)
            found = sorted(each.name for each in self.path.iterdir())  # before the plan is looked for: others may be planning
            if not (self.path / PLAN).exists():
                for name in found:
                    if name not in (DONE, ASIDE, FINISHED):
                        raise Error("shards/foreign-folder", f"{self.path} holds {name} and no {PLAN}: it is no job's folder",
                                    "name a new folder, or an empty one")
            for name in (DONE, ASIDE):
                (self.path / name).mkdir(exist_ok=True)
        except FileExistsError:
            raise Error("shards/foreign-folder", f"{self.path} is a file, and shards go into a folder", "name another --output") from None
        except OSError as error:
            raise _unwritable(error) from None

    def part(self, shard):
        return f"part-{shard:06}{self._suffix}"

    def done(self, shard):
        return f"{DONE}/{shard:06}.json"

    def names(self, shard):
        aside = f"{ASIDE}/{self.part(shard)}.{_mark}-{next(_count)}"
        return Names(self.part(shard), self.done(shard), aside, aside + ".done")

    def has(self, name):
        return (self.path / name).exists()

    def look(self, name):
        path = self.path / name
        with open(path, "rb") as file:
            digest = hashlib.sha256()
            for block in iter(lambda: file.read(1 << 20), b""):
                digest.update(block)
            return Seen(file.tell(), self._count_rows(path), digest.hexdigest())

    def write_aside(self, name, content):
        try:
            (self.path / name).write_text(content, encoding="utf-8")
        except OSError as error:
            raise _unwritable(error) from None

    def publish(self, aside, name):
        """Makes what stands aside visible, whole and safe from a crash -> False: there is one, which stays."""
        try:
            _sync(self.path / aside)
            os.link(self.path / aside, self.path / name)
            _sync((self.path / name).parent)  # the name, too, before anything is said to be done
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno in (errno.EPERM, errno.EOPNOTSUPP):
                raise Error("file/unwritable", f"{self.path} is on a file system without hard links", "choose a folder on another one") from None
            raise _unwritable(error) from None
        return True

    def remove_aside(self, name):
        (self.path / name).unlink(missing_ok=True)

    def put(self, name, content):
        aside = f"{ASIDE}/{os.path.basename(name)}.{_mark}-{next(_count)}"
        self.write_aside(aside, content)
        try:
            return self.publish(aside, name)
        finally:
            self.remove_aside(aside)


def _sync(path):
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unwritable(error):
    return Error("file/unwritable", f"cannot write {error.filename2 or error.filename}: {error.strerror}", "choose a place with enough room that you may write to")
