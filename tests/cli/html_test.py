"""`breakeven report --format html` as a browser's parser reads it, on good records and on hostile ones.

Usage: html_test.py BREAKEVEN SOURCE_DIR
"""
import html.parser
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree

BREAKEVEN = sys.argv[1]
SOURCE = pathlib.Path(sys.argv[2])
HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)><svg/onload=alert(3)></pre></style>&lt;\u202e{{7*7}}javascript:"
ELEMENTS = set("html head meta title style body h1 h2 p ul li div table thead tbody tr th td details pre summary "
               "figure figcaption svg text line path rect circle polygon".split())
ATTRIBUTES = set("lang charset http-equiv content name class viewbox role aria-label aria-hidden width height x1 y1 x2 y2 stroke "
                 "stroke-width stroke-dasharray x y text-anchor transform d fill cx cy r points".split())


class Reader(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.elements, self.attributes, self.text = set(), set(), []

    def handle_starttag(self, tag, attrs):
        self.elements.add(tag)
        self.attributes.update(name for name, _ in attrs)

    def handle_data(self, data):
        self.text.append(data)


def hostile(value):
    """Every text of a record becomes hostile, but for what decides how a record is read."""
    if isinstance(value, dict):
        kept = ("verdict", "severity", "mode", "kind", "outcome")
        return {key: item if key in kept else hostile(item) for key, item in value.items()}
    if isinstance(value, list):
        return [hostile(item) for item in value]
    return HOSTILE if isinstance(value, str) else value


class HtmlTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.records = [json.loads(line) for line in
                        (SOURCE / "results/2026-11-22-xeon-amx-2cpu/imdb.jsonl").read_text(encoding="utf-8").splitlines()]

    def report(self, records):
        journal = self.folder / "j.jsonl"
        journal.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
        out = self.folder / "r.html"
        subprocess.run([BREAKEVEN, "report", str(journal), "--format", "html", "-o", str(out)], check=True,
                       capture_output=True)
        return out.read_text(encoding="utf-8")

    def read(self, text):
        xml.etree.ElementTree.fromstring(text.replace("<!DOCTYPE html>", ""))  # well-formed
        reader = Reader()
        reader.feed(text)
        self.assertLessEqual(reader.elements, ELEMENTS)
        self.assertLessEqual(reader.attributes, ATTRIBUTES)
        self.assertIn("default-src 'none'", text)
        self.assertIsNone(re.search(r"url\(|@import|https?:", text))
        return reader

    def test_real_records(self):
        text = self.report(self.records)
        reader = self.read(text)
        self.assertIn("svg", reader.elements)
        shown = "".join(reader.text)
        for part in ("Verdict", "Latency of a batch", "Throughput", "Where a batch's time goes", "Environment", "run_id,machine"):
            self.assertIn(part, shown)

    def test_every_chart_has_its_points(self):
        root = xml.etree.ElementTree.fromstring(self.report(self.records).replace("<!DOCTYPE html>", ""))
        figures = {figure.find("figcaption").text: figure for figure in root.iter("figure")}
        latency = figures["Latency of a batch, one in flight (median)"].find("svg")
        labels = [title.text for title in latency.iter("title")]
        medians = [record for record in self.records
                   if record["cell"]["mode"] == "serial" and "p50" in record.get("latency_s", {}) and record["verdict"] != "INVALID"]
        self.assertEqual(len(labels), len(medians))
        self.assertTrue(medians)

    def test_hostile_records_do_nothing(self):
        records = [hostile(record) for record in self.records]
        text = self.report(records)
        shown = "".join(self.read(text).text)
        self.assertIn("<script>alert(1)</script>", shown)  # as text

    def test_hostile_model_name_reaches_title_and_labels_as_text(self):
        for record in self.records:
            record["model_name"] = record["cell"]["device"] = HOSTILE
        self.assertNotIn("<img", self.report(self.records))

    def test_numbers_without_sense_make_no_broken_chart(self):
        for i, record in enumerate(self.records):
            for key, value in list(record.items()):
                if isinstance(value, float):
                    record[key] = (0.0, -1.0, 1e300, 5e-324)[i % 4]
            record["reviews_per_s"] = {"value": (1e308, -1e308, 5e-324, 0)[i % 4], "samples": 3}
            record["texts"]["token_counts"] = [4294967295, 0]
            record["cell"]["batch"] = 18446744073709551615
        text = self.report(self.records)
        self.read(text)
        self.assertNotRegex(text, r"(nan|inf)[\" ,]")

    def test_a_file_that_cannot_be_written_is_named(self):
        journal = self.folder / "j.jsonl"
        journal.write_text(json.dumps(self.records[0]) + "\n", encoding="utf-8")
        result = subprocess.run([BREAKEVEN, "report", str(journal), "--format", "html", "-o", "/no/such/folder/r.html"],
                                check=False, capture_output=True, text=True)
        self.assertEqual(result.returncode, 2)
        self.assertIn("/no/such/folder", result.stderr)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
