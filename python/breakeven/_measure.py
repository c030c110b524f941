"""clf.measure(): the program's `run` on texts of Python's, and what came of it. The journal of records is the truth; all else is made of it."""
import html
import json
import os
import pathlib
import subprocess
import tempfile

from ._errors import Error
from ._program import PROGRAM

NO_ANSWER = 3  # the program's exit code where the data cannot decide: that is an answer, too


def _program(*arguments, show=False):
    """-> stdout. What the program tells on the way goes to stderr with `show`, and into the exception."""
    done = subprocess.run([str(PROGRAM), *map(str, arguments)], stdout=subprocess.PIPE, stderr=None if show else subprocess.PIPE, encoding="utf-8",
                          errors="replace", check=False)
    if done.returncode not in (0, 1, NO_ANSWER):
        lines = (done.stderr or "").strip().splitlines()
        raise Error("measure/failed", lines[-1].removeprefix("breakeven: ") if lines else f"breakeven {arguments[0]} ended with {done.returncode}")
    return done.stdout


def _flat(value, prefix=""):
    """The fields of a record that are no lists, by names as in cell_device."""
    for key, each in value.items():
        if isinstance(each, dict):
            yield from _flat(each, f"{prefix}{key}_")
        elif not isinstance(each, list):
            yield f"{prefix}{key}", each


class Measurement:
    """Records of a run, one a cell (device, precision, batch, mode), and the verdict on them. In a notebook it shows its report."""

    def __init__(self, records):
        """records: list of dict, as docs/schema.md has them; Measurement.load() reads a journal."""
        self.records = records

    @classmethod
    def load(cls, *paths):
        """Of journals that runs wrote, here or on other machines: a CPU's and a GPU's together make a comparison."""
        return cls([json.loads(line) for path in paths for line in pathlib.Path(path).read_text(encoding="utf-8").splitlines()])

    def save(self, path):
        """Writes the journal, for load(), `breakeven report` and `breakeven advise`."""
        pathlib.Path(path).write_text("".join(json.dumps(record) + "\n" for record in self.records), encoding="utf-8")

    def _report(self, *arguments):
        with tempfile.TemporaryDirectory(prefix="breakeven-") as folder:
            journal = os.path.join(folder, "journal.jsonl")
            self.save(journal)
            return _program("report", *arguments, journal)

    def verdict(self):
        """-> the answer on one screen, as text."""
        return self._report()

    def advise(self, *, load, cpu_price=None, gpu_price=None, p99=None, gpu=None):
        """Which machine to rent -> text. load: "40/s", "2M/day"; prices an hour; p99: "200ms"; gpu: "h100" or "h200", whose record comes along."""
        with tempfile.TemporaryDirectory(prefix="breakeven-") as folder:
            journal = os.path.join(folder, "journal.jsonl")
            self.save(journal)
            given = {"--load": load, "--cpu-price": cpu_price, "--gpu-price": gpu_price, "--p99": p99, "--gpu": gpu}
            return _program("advise", journal, *(word for flag, value in given.items() if value is not None for word in (flag, value)))

    def html(self, path=None):
        """The report as one page with its pictures and sliders -> its text; with `path` it is written there, too."""
        page = self._report("--format", "html")
        if path is not None:
            pathlib.Path(path).write_text(page, encoding="utf-8")
        return page

    def frame(self):
        """-> list of dicts of a record's single values, which any kind of frame is made of."""
        return [dict(_flat(record)) for record in self.records]

    def to_pandas(self):
        import pandas
        return pandas.DataFrame(self.frame())

    def to_polars(self):
        import polars
        return polars.DataFrame(self.frame(), infer_schema_length=None)

    def __repr__(self):
        return self.verdict()

    def _repr_html_(self):
        return f'<iframe srcdoc="{html.escape(self.html())}" style="width:100%;height:720px;border:0" title="breakeven"></iframe>'


def measure(model, info, texts, seconds, device, precision, batch, show):
    with tempfile.TemporaryDirectory(prefix="breakeven-") as folder:
        journal = os.path.join(folder, "journal.jsonl")
        arguments = ["run", "--device", device, "--precision", precision, "--batch", batch, "--threads", info["threads"], "--max-length", info["max_length"],
                     "--time", f"{seconds:g}s", "--journal", journal, "--no-memory"]
        if model:
            arguments += ["--model", model]
        if texts is not None:
            given = os.path.join(folder, "texts.jsonl")
            with open(given, "w", encoding="utf-8") as file:
                for text in texts:
                    file.write(json.dumps({"text": text}) + "\n")
            arguments += ["--texts", given, "--text-field", "text"]
        _program(*arguments, show=show)
        return Measurement.load(journal)
