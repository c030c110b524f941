"""The HTML report in a real browser: nothing goes wrong, every chart has its data, the sliders change the answer as advise would, a
hostile file does nothing, a phone need not scroll sideways, paper and a browser without script show every number.

Usage: browser_test.py BREAKEVEN SOURCE_DIR
"""
import copy
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

import chromium

BREAKEVEN, SOURCE = sys.argv[1], pathlib.Path(sys.argv[2])
BROWSER = chromium.find()
RESULTS = SOURCE / "results/2026-11-22-xeon-amx-2cpu"
HOSTILE = "<script>window.hurt=1</script>\"'><img src=x onerror=\"window.hurt=2\"></script><script>window.hurt=3</script>\u2028</style>${window.hurt=4}"


def records_of(name):
    return [json.loads(line) for line in (RESULTS / name).read_text(encoding="utf-8").splitlines()]


def made_up_gpu(records, times=12):
    """Not measured: the CPU's rows on a machine that does not exist, `times` as fast."""
    rows = []
    for record in copy.deepcopy(records):
        record["cell"].update(device="cuda:0", runtime="native", variant="")
        record["gpu"] = {"name": "Made-up GPU", "uuid": "none", "driver": "0", "runtime": "0", "memory_bytes": 16 * 10**9}
        record["machine"]["hostname_hash"] = "made-up"
        scale(record.get("reviews_per_s"), times)
        for estimate in record.get("latency_s", {}).values():
            scale(estimate, 1 / times)
        record["samples_s"] = [seconds / times for seconds in record["samples_s"]]
        rows.append(record)
    return rows


def scale(estimate, factor):
    if estimate:
        estimate["value"] *= factor
        if estimate.get("interval"):
            for end in ("low", "high"):
                estimate["interval"][end] *= factor


def hostile(value, key=""):
    kept = ("verdict", "severity", "mode", "kind", "outcome", "device", "precision", "padding", "arrivals", "model_hash")
    if isinstance(value, dict):
        return {name: hostile(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [hostile(item) for item in value]
    return HOSTILE if isinstance(value, str) and key not in kept else value


@unittest.skipUnless(BROWSER, "SKIPPED: no Chromium (Debian: chromium-headless-shell)")
class BrowserTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.temporary.cleanup)
        cls.folder = pathlib.Path(cls.temporary.name)
        cls.browser = chromium.Chromium(BROWSER)
        cls.addClassCleanup(cls.browser.__exit__)
        cls.cpu = records_of("imdb.jsonl")
        cls.both = cls.cpu + made_up_gpu(cls.cpu)
        cls.pages = {}

    def journal(self, name, records):
        path = self.folder / (name + ".jsonl")
        path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
        return path

    def page(self, name, records):
        """The report of these records, made once."""
        if name not in self.pages:
            out = self.folder / (name + ".html")
            subprocess.run([BREAKEVEN, "report", self.journal(name, records), "--format", "html", "-o", out], check=True, capture_output=True)
            self.pages[name] = out
        return self.pages[name]

    def open(self, name, records, **how):
        self.browser.open(self.page(name, records), **how)

    def assert_quiet(self):
        self.assertEqual(self.browser.complaints(), [])
        self.assertEqual([url.split(":")[0] for url in self.browser.requests()], ["file"], "it loads nothing")

    def set(self, control, value):
        self.browser.evaluate(f"(() => {{ const field = document.getElementById({json.dumps(control)}); field.value = {json.dumps(value)};"
                              "field.dispatchEvent(new Event(field.type === 'range' ? 'input' : 'change')); })()")

    def text(self, name):
        return self.browser.evaluate(f"document.getElementById({json.dumps(name)}).textContent")

    def assert_every_chart_has_its_data(self):
        charts = self.browser.evaluate("""breakevenPage.drawn.map(({chart}) => {
            const {left, right, top, bottom} = chart.chartArea;
            const elements = chart.data.datasets.flatMap((_, i) => chart.getDatasetMeta(i).data);
            const {data, width} = chart.ctx.getImageData(0, 0, chart.canvas.width, chart.canvas.height);
            const colours = new Set(new Uint32Array(data.buffer));
            return {title: chart.canvas.getAttribute('aria-label'), elements: elements.length,
                    given: chart.data.datasets.reduce((sum, one) => sum + one.data.length, 0),
                    inside: elements.every(({x, y}) => x >= left - 1 && x <= right + 1 && y >= top - 1 && y <= bottom + 1),
                    area: (right - left) * (bottom - top), width, colours: colours.size};
        })""")
        self.assertEqual(len(charts), self.browser.evaluate("breakevenPage.data.charts.length + (breakevenPage.data.decision ? 1 : 0)"))
        for chart in charts:
            with self.subTest(chart["title"]):
                self.assertGreater(chart["elements"], 0)
                self.assertEqual(chart["elements"], chart["given"])
                self.assertTrue(chart["inside"], chart)
                self.assertGreater(chart["area"], 10000)
                self.assertGreater(chart["colours"], 10, "something is drawn")
        return charts

    def test_real_records_draw_every_chart_and_complain_of_nothing(self):
        for name in ("imdb.jsonl", "runtimes-128.jsonl", "runtimes.jsonl"):
            for dark in (False, True):
                with self.subTest(name, dark=dark):
                    self.open(name, records_of(name), dark=dark)
                    self.assert_quiet()
                    self.assertGreaterEqual(len(self.assert_every_chart_has_its_data()), 4)

    def test_the_page_starts_with_the_answer_of_advise(self):
        self.open("both", self.both)
        self.assert_quiet()
        prices = self.browser.evaluate("breakevenPage.data.decision.start")
        answer = self.advise("both", self.both, "--cpu-price", str(prices["cpu_price"]), "--gpu-price", str(prices["gpu_price"]),
                             "--load", f"{prices['load_per_s']}/s")
        self.assert_same_answer(answer)

    def advise(self, name, records, *flags):
        result = subprocess.run([BREAKEVEN, "advise", self.journal(name, records), "--format", "json", *flags], check=False, capture_output=True, text=True)
        self.assertIn(result.returncode, (0, 1, 3), result.stderr)
        return json.loads(result.stdout)

    def assert_same_answer(self, answer):
        """The page names the cell that advise names, in the words of its outcome, with the same cost."""
        words = self.browser.evaluate("breakevenPage.data.decision.words")
        headline = self.text("headline")
        if answer["cheapest"] is None:
            self.assertIn(words["no cell"] if answer["outcome"] == "no cell" else words["nothing"], headline)
            return headline
        self.assertTrue(headline.startswith(words[answer["outcome"]]), headline)
        best = answer["candidates"][answer["cheapest"]]
        self.assertIn(best["name"], headline)
        shown = self.browser.evaluate("breakevenPage.answer.choices[0].winner.costPerMonth")
        self.assertAlmostEqual(shown[1], best["cost_per_month"]["high"])
        return headline

    def test_sliders_change_the_verdict_as_advise_would(self):
        self.open("both", self.both)
        headlines = set()
        for cpu_price, gpu_price, load, limit in (("0.05", "4", "5", None), ("0.19", "0.53", "3000", None), ("0.19", "0.53", "40", 6),
                                                  ("0.19", "60", "1", 0), ("2", "0.1", "700", 7)):
            with self.subTest(cpu_price=cpu_price, gpu_price=gpu_price, load=load, limit=limit):
                flags = ["--cpu-price", cpu_price, "--gpu-price", gpu_price, "--load", load + "/s"]
                self.set("cpu_price", cpu_price)
                self.set("gpu_price", gpu_price)
                self.set("load", load)
                last = self.browser.evaluate("breakevenPage.data.decision.limits_s.length - 1")
                self.set("p99_range", str(last if limit is None else limit))
                if limit is not None:
                    flags += ["--p99", f"{self.browser.evaluate(f'breakevenPage.data.decision.limits_s[{limit + 1}]') * 1000:g}ms"]
                headlines.add(self.assert_same_answer(self.advise("both", self.both, *flags)))
        self.assertGreaterEqual(len(headlines), 4)
        self.assert_quiet()

    def test_break_even_ranking_and_chart_follow(self):
        self.open("both", self.both)
        before = [self.text("breakeven"), self.text("ranking"), self.browser.evaluate("breakevenPage.cost.chart.data.datasets.map((one) => one.data)")]
        self.assertRegex(before[0], r"GPU always cheaper above .*texts/s")
        self.set("gpu_price_range", "800")
        after = [self.text("breakeven"), self.text("ranking"), self.browser.evaluate("breakevenPage.cost.chart.data.datasets.map((one) => one.data)")]
        for old, new in zip(before, after):
            self.assertNotEqual(old, new)
        self.set("budget", "1")
        self.assertIn("over the budget", self.text("ranking"))
        self.assertIn("No cell keeps the limits", self.text("headline"))
        self.set("budget", "none")
        self.set("load_unit", "86400")
        self.set("load", "864000")
        self.assertEqual(self.browser.evaluate("breakevenPage.question.load_per_s"), 10)
        steps = self.browser.evaluate("breakevenPage.cost.chart.data.datasets[0].data")
        self.assertEqual([point["y"] for point in steps], sorted(point["y"] for point in steps), "cost grows with load")
        # The first step lies where one machine of the best CPU cell no longer does, as planned.
        best = self.browser.evaluate("0.7 * Math.max(...breakevenPage.answer.candidates.filter((one) => one.side === 'cpu' && one.rate).map((one) => one.rate[0]))")
        first = max(point["x"] for point in steps if point["y"] == steps[0]["y"])
        self.assertAlmostEqual(first, best, places=9)

    def limited(self):
        """Both sides, labelled, each with its memory: int8 loses most and takes least, the GPU's machine takes most."""
        records = copy.deepcopy(self.both)
        for record in records:
            on_gpu = record["cell"]["device"] != "cpu"
            lost = {"fp32": 0.0, "bf16": 0.001, "int8": 0.008}[record["cell"]["precision"]]
            record["parity"]["accuracy_loss"] = lost
            record["memory"] = {"peak_rss_bytes": int((3e9 if on_gpu else 4e8) * (1 - 40 * lost))}
        return records

    def test_memory_and_accuracy_sliders_change_the_verdict_as_advise_would(self):
        records = self.limited()
        self.open("limited", records)
        self.set("load", "500")
        headlines = []
        for memory, accuracy in (("none", "none"), ("1", "none"), ("none", "0"), ("none", "0.5"), ("1", "0.5"), ("0.0001", "none")):
            with self.subTest(memory=memory, accuracy=accuracy):
                self.set("memory", memory)
                self.set("accuracy_loss", accuracy)
                flags = ["--cpu-price", "0.19", "--gpu-price", "0.53", "--load", "500/s"]
                flags += [] if memory == "none" else ["--memory", memory + "GB"]
                flags += [] if accuracy == "none" else ["--accuracy-loss", accuracy]
                self.assert_same_answer(self.advise("limited", records, *flags))
                headlines.append(self.text("headline"))
        self.assertEqual(len(set(headlines)), 6, headlines)
        self.assertIn("No cell keeps the limits", headlines[-1])
        self.assertIn("memory", headlines[-1])
        # The same with the sliders themselves: their left ends are strict, their right ends none.
        self.set("memory_range", "1000")
        self.assertEqual(self.browser.evaluate("[breakevenPage.question.memory_bytes, document.getElementById('memory').value]"), [None, "none"])
        self.assertEqual(self.text("headline"), headlines[0])
        self.set("accuracy_loss_range", "0")
        self.assertEqual(self.browser.evaluate("breakevenPage.question.accuracy_loss"), 0)
        self.assertEqual(self.text("headline"), headlines[2])
        self.set("accuracy_loss_range", "500")
        middle = self.browser.evaluate("breakevenPage.question.accuracy_loss")
        self.assertTrue(1e-3 < middle < 1e-2, middle)
        self.assertAlmostEqual(float(self.browser.evaluate("document.getElementById('accuracy_loss').value")), 100 * middle, places=6)
        self.set("memory", "1")
        self.set("memory_unit", str(1 / 1024**3))
        self.assertEqual(self.browser.evaluate("document.getElementById('memory').value"), "0.931323")
        self.assertEqual(self.browser.evaluate("breakevenPage.question.memory_bytes"), 1e9)
        self.assert_quiet()

    def test_a_report_starts_with_the_limits_it_was_made_for(self):
        records = self.limited()
        out = self.folder / "start.html"
        flags = ["--load", "500/s", "--memory", "1GB", "--accuracy-loss", "0.5", "--budget", "90000/month"]
        subprocess.run([BREAKEVEN, "report", self.journal("limited", records), "--format", "html", "-o", out, *flags], check=True, capture_output=True)
        self.browser.open(out)
        shown = self.browser.evaluate("['memory', 'accuracy_loss', 'budget'].map((id) => document.getElementById(id).value)")
        self.assertEqual(shown, ["1", "0.5", "90000"])
        self.assert_same_answer(self.advise("limited", records, "--cpu-price", "0.19", "--gpu-price", "0.53", *flags))
        self.assert_quiet()

    def test_a_wrong_number_changes_nothing_and_shows(self):
        self.open("both", self.both)
        before = self.text("headline")
        for control in ("gpu_price", "memory", "accuracy_loss", "budget"):
            for wrong in ("-1", "x", "Infinity", "1e999"):
                self.set(control, wrong)
                self.assertTrue(self.browser.evaluate(f"document.getElementById('{control}').classList.contains('wrong')"), (control, wrong))
                self.assertEqual(self.text("headline"), before)

    def test_one_side_alone_says_what_the_other_would_have_to_do(self):
        self.open("imdb.jsonl", self.cpu)
        self.assertIn("no GPU was measured", self.text("missing"))
        self.assertIn("at 0.530 an hour it is cheaper a text at full use if it keeps up with more than", self.text("missing"))
        self.assertEqual(self.text("breakeven"), "")

    def test_a_hostile_file_does_nothing(self):
        for name, records in (("hostile", self.cpu), ("hostile runtimes", records_of("runtimes-128.jsonl"))):
            self.open(name, [hostile(record) for record in records])
            self.assert_quiet()
            self.assertIsNone(self.browser.evaluate("window.hurt ?? null"))
            self.assertEqual(self.browser.evaluate("document.querySelectorAll('img, svg, iframe, object, link').length"), 0)
            self.assertEqual(self.browser.evaluate("document.scripts.length"), 5)
            self.assertIn("window.hurt=1", self.browser.evaluate("document.body.innerText"), "as text")
            self.assert_every_chart_has_its_data()
            self.set("cpu_price", "3")
            self.assertIsNone(self.browser.evaluate("window.hurt ?? null"))

    def test_what_is_not_ours_would_not_run(self):
        text = self.page("both", self.both).read_text(encoding="utf-8")
        broken = self.folder / "broken.html"
        broken.write_text(text.replace("</body>", "<script>window.hurt = 5</script></body>"), encoding="utf-8")
        self.browser.open(broken)
        self.assertIsNone(self.browser.evaluate("window.hurt ?? null"))
        self.assertTrue(any("Content Security Policy" in json.dumps(event) for event in self.browser.complaints()))

    def test_a_phone_need_not_scroll_sideways(self):
        for name, records in (("both", self.both), ("runtimes-128.jsonl", records_of("runtimes-128.jsonl"))):
            self.open(name, records, width=360, height=740)
            self.assertLessEqual(self.browser.evaluate("document.documentElement.scrollWidth"), 360)
            self.assert_every_chart_has_its_data()
            wide = self.browser.evaluate("[...document.querySelectorAll('canvas')].filter((one) => one.clientWidth > 360).length")
            self.assertEqual(wide, 0)
            self.assert_quiet()

    def test_paper_holds_every_table_in_dark_ink(self):
        self.open("both", self.both, dark=True)
        closed = "document.querySelectorAll('details:not([open])').length"
        self.assertGreater(self.browser.evaluate(closed), 0)
        self.browser.evaluate("dispatchEvent(new Event('beforeprint'))")
        self.browser.send("Emulation.setEmulatedMedia", media="print")
        hidden = self.browser.evaluate("[...document.querySelectorAll('table')].filter((one) => one.getClientRects().length === 0).length")
        self.assertEqual((hidden, self.browser.evaluate(closed)), (0, 0))
        self.assertEqual(self.browser.evaluate("breakevenPage.drawn[0].chart.options.color"), "#1a1a1a")
        self.browser.send("Emulation.setEmulatedMedia", media="")
        self.browser.evaluate("dispatchEvent(new Event('afterprint'))")
        self.assertGreater(self.browser.evaluate(closed), 0)
        self.assertTrue(self.browser.pdf().startswith(b"%PDF"))
        self.assert_quiet()

    def test_charts_follow_the_scheme(self):
        self.open("both", self.both)
        colours = "[getComputedStyle(document.body).backgroundColor, ...breakevenPage.drawn.map(({chart}) => chart.data.datasets[0].backgroundColor)]"
        light = self.browser.evaluate(colours)
        self.browser.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
        dark = self.browser.evaluate(f"new Promise((done) => setTimeout(() => done({colours}), 100))")
        for before, after in zip(light, dark):
            self.assertNotEqual(before, after)
        self.assert_quiet()

    def test_tables_are_copied_as_csv(self):
        self.open("both", self.both)
        self.assertEqual(self.browser.evaluate("document.querySelectorAll('.scroll > table').length"),
                         self.browser.evaluate("[...document.querySelectorAll('.scroll + button')].length"))
        csv = self.browser.evaluate("breakevenPage.csvOf(document.getElementById('ranking'))").splitlines()
        self.assertTrue(csv[0].startswith('cell,texts/s,machines,'), csv[0])
        self.assertEqual(len(csv), 13)
        formula = self.browser.evaluate("""(() => { const table = document.createElement('table');
            table.insertRow().insertCell().textContent = '=1+1'; table.rows[0].insertCell().textContent = 'a"b,c'; table.rows[0].insertCell().textContent = '-1.5';
            return breakevenPage.csvOf(table); })()""")
        self.assertEqual(formula, "'=1+1,\"a\"\"b,c\",-1.5\n")

    def test_without_script_every_number_is_there(self):
        self.open("both", self.both, script=False)
        document = self.browser.send("DOM.getDocument", depth=-1)["root"]
        self.assertEqual(self.browser.send("DOM.querySelectorAll", nodeId=document["nodeId"], selector="canvas")["nodeIds"], [])
        note = self.browser.send("DOM.querySelector", nodeId=document["nodeId"], selector="noscript p")["nodeId"]
        self.assertTrue(self.browser.send("DOM.getBoxModel", nodeId=note)["model"]["height"] > 10, "the note is seen")
        ranking = self.browser.send("DOM.querySelectorAll", nodeId=document["nodeId"], selector="#ranking tbody tr")["nodeIds"]
        self.assertEqual(len(ranking), 12)
        self.assertGreaterEqual(len(self.browser.send("DOM.querySelectorAll", nodeId=document["nodeId"], selector="figure table")["nodeIds"]), 4)
        self.assert_quiet()


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
