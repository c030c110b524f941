"""`breakeven report --format html` as a browser's parser reads it, on good records and on hostile ones.

Usage: html_test.py BREAKEVEN SOURCE_DIR
"""
import base64
import hashlib
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
ELEMENTS = set("html head meta title style body h1 h2 h3 p ul li div section table thead tbody tr th td details pre summary "
               "figure figcaption noscript script strong".split())
ATTRIBUTES = set("lang charset http-equiv content name class id type".split())
SCRIPT = re.compile(r"<script[^>]*>.*?</script>", re.DOTALL)


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
    """Every text of a record becomes hostile, but for what a record must name as we know it."""
    if isinstance(value, dict):
        kept = ("verdict", "severity", "mode", "kind", "outcome", "device", "precision", "padding", "arrivals")
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
        # A parser of XML does not know that a script holds no markup.
        xml.etree.ElementTree.fromstring(SCRIPT.sub("", text).replace("<!DOCTYPE html>", ""))  # well-formed
        reader = Reader()
        reader.feed(text)
        self.assertLessEqual(reader.elements, ELEMENTS)
        self.assertLessEqual(reader.attributes, ATTRIBUTES)
        self.assertIn("default-src 'none'", text)
        policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1]
        scripts = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
        self.assertEqual(len(scripts), 4)
        for content in scripts:
            digest = base64.b64encode(hashlib.sha256(content.encode("utf-8")).digest()).decode()
            self.assertIn(f"'sha256-{digest}'", policy)
        self.assertIsNone(re.search(r"url\(|@import|https?:", SCRIPT.sub("", text)))
        return reader

    def data(self, text):
        found = re.findall(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
        self.assertEqual(len(found), 1)
        self.assertNotRegex(found[0], "[<>&\\u2028\\u2029]")
        return json.loads(found[0])

    def test_real_records(self):
        text = self.report(self.records)
        shown = "".join(self.read(text).text)
        for part in ("Verdict", "Which machine to rent", "Latency of a batch", "Throughput", "Where a batch's time goes", "Noise",
                     "Environment", "run_id,machine"):
            self.assertIn(part, shown)

    def test_every_chart_has_its_points_and_its_numbers(self):
        text = self.report(self.records)
        charts = {chart["title"]: chart for chart in self.data(text)["charts"]}
        title = "Latency of a batch, one in flight (median; mean where batches are few)"
        points = [point for series in charts[title]["series"] for point in series["points"]]
        serial = [record for record in self.records if record["cell"]["mode"] == "serial" and record["verdict"] != "INVALID"]
        self.assertEqual(len(points), len(serial))
        means = {round(1000 * 32 / record["reviews_per_s"]["value"], 6) for record in serial if "p50" not in record["latency_s"]}
        self.assertEqual(means, {round(point[1], 6) for point in points if "mean" in point[4]})
        self.assertTrue(means)
        root = xml.etree.ElementTree.fromstring(SCRIPT.sub("", text).replace("<!DOCTYPE html>", ""))
        figures = {figure.find("figcaption").text: figure for figure in root.iter("figure")
                   if figure.get("id", "").startswith("chart-")}
        self.assertEqual(list(figures), list(charts))
        rows = figures[title].findall(".//tbody/tr")
        self.assertEqual(len(rows), len(serial))

    def test_the_question_what_to_rent_has_every_cell(self):
        decision = self.data(self.report(self.records))["decision"]
        self.assertEqual(len(decision["cells"]), 6)
        self.assertTrue(all(len(cell["at"]) == len(decision["limits_s"]) for cell in decision["cells"]))

    def test_the_sliders_start_with_the_flags(self):
        journal = self.folder / "j.jsonl"
        journal.write_text("".join(json.dumps(record) + "\n" for record in self.records), encoding="utf-8")
        command = [BREAKEVEN, "report", str(journal), "--cpu-price", "0.4/h", "--gpu-price", "1.5", "--load", "2M/day", "--p99", "80ms",
                   "--memory", "512MiB", "--accuracy-loss", "0.5", "--budget", "2400/year"]
        result = subprocess.run([*command, "--format", "html"], check=True, capture_output=True, text=True)
        start = self.data(result.stdout)["decision"]["start"]
        self.assertEqual((start["cpu_price"], start["gpu_price"], start["limit"]), (0.4, 1.5, 4))
        self.assertAlmostEqual(start["load_per_s"], 2e6 / 86400)
        self.assertEqual((start["memory_bytes"], start["accuracy_loss"], start["budget_per_month"]), (512 * 2**20, 0.005, 200))
        self.assertIn("Asked: CPU machine 0.400/h", result.stdout)
        refused = subprocess.run(command, check=False, capture_output=True, text=True)
        self.assertEqual(refused.returncode, 2)
        self.assertIn("--load is for --format html", refused.stderr)
        for flag, value in (("--cpu-price", "-1"), ("--gpu-price", "nan"), ("--load", "40"), ("--p99", "0ms"), ("--memory", "0GB"),
                            ("--memory", "2"), ("--accuracy-loss", "101"), ("--accuracy-loss", "-1"), ("--budget", "nan/month")):
            refused = subprocess.run([BREAKEVEN, "report", str(journal), "--format", "html", flag, value], check=False, capture_output=True, text=True)
            self.assertEqual(refused.returncode, 2)
            self.assertIn(flag, refused.stderr)

    def test_hostile_records_do_nothing(self):
        records = [hostile(record) for record in self.records]
        text = self.report(records)
        shown = "".join(self.read(text).text)
        self.assertIn("<script>alert(1)</script>", shown)  # as text
        self.assertIn("<script>alert(1)</script>", json.dumps(self.data(text)))

    def test_hostile_model_name_reaches_title_and_labels_as_text(self):
        for record in self.records:
            record["model_name"] = record["cell"]["runtime"] = HOSTILE
        self.assertNotIn("<img", SCRIPT.sub("", self.report(self.records)))

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
        self.data(text)  # JSON knows no NaN

    def test_a_file_that_cannot_be_written_is_named(self):
        journal = self.folder / "j.jsonl"
        journal.write_text(json.dumps(self.records[0]) + "\n", encoding="utf-8")
        result = subprocess.run([BREAKEVEN, "report", str(journal), "--format", "html", "-o", "/no/such/folder/r.html"],
                                check=False, capture_output=True, text=True)
        self.assertEqual(result.returncode, 2)
        self.assertIn("/no/such/folder", result.stderr)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
