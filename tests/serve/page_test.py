"""The page of `breakeven serve` in a real browser: a text gets its label, scores and times, the live break-even appears, nothing is loaded from
elsewhere, what a text says is never markup. Usage: page_test.py BREAKEVEN SOURCE_DIR
"""
import json
import pathlib
import sys
import tempfile
import time
import unittest

BREAKEVEN, SOURCE = sys.argv[1], pathlib.Path(sys.argv[2])
del sys.argv[2]
sys.path[:0] = [str(SOURCE / "tests/report/browser"), str(SOURCE / "tests/cli")]
import chromium  # noqa: E402
from serve_test import Server  # noqa: E402

BROWSER = chromium.find()
HOSTILE = "<img src=x onerror=\"window.hurt=1\"><script>window.hurt=2</script>"


@unittest.skipUnless(BROWSER, "SKIPPED: no Chromium (Debian: chromium-headless-shell)")
class Page(unittest.TestCase):
    def setUp(self):
        self.browser = chromium.Chromium(BROWSER)
        self.addCleanup(self.browser.__exit__)

    def serve(self, *flags):
        server = Server(*flags)
        self.addCleanup(server.end)
        return server

    def text(self, name):
        return self.browser.evaluate(f"document.getElementById({json.dumps(name)}).textContent")

    def wait_for(self, expression):
        while not self.browser.evaluate(expression):
            time.sleep(0.05)

    def label(self, text):
        self.browser.evaluate(f"document.getElementById('text').value = {json.dumps(text)}; document.querySelector('button').click()")

    def assert_quiet(self, server):
        self.assertEqual(self.browser.complaints(), [])
        foreign = [url for url in self.browser.requests() if not url.startswith((server.url + "/", "data:,"))]
        self.assertEqual(foreign, [], "it loads from nowhere else")

    def test_a_text_gets_its_label_and_the_live_break_even_appears(self):
        server = self.serve("--cpu-price", "0.19", "--gpu-price", "0.53")
        expected = json.loads(server.ask("/v1/classify", {"input": "Dull from start to end.", "top_k": "all"})[2])["results"][0]
        self.browser.open(server.url + "/")
        self.label("Dull from start to end.")
        self.wait_for("!document.getElementById('answer').hidden")
        self.assertEqual(self.text("label"), expected["label"])
        rows = self.browser.evaluate("[...document.querySelectorAll('#scores tr')].map(row => [row.cells[0].textContent, Number(row.cells[2].textContent)])")
        self.assertEqual([name for name, _ in rows], [each["label"] for each in expected["scores"]])
        self.assertAlmostEqual(rows[0][1], expected["score"], places=3)
        times = self.text("times")
        for word in ("queue", "tokenize", "compute", "total", "On cpu", f"{expected['tokens']} tokens."):
            self.assertIn(word, times)
        self.wait_for("document.querySelectorAll('#alone tr').length > 0")
        self.assertIn("requests and", self.text("load"))
        self.assertIn("One CPU machine carries up to", self.text("changes"))
        self.assert_quiet(server)

    def test_a_text_is_no_markup_and_a_long_one_says_what_was_cut(self):
        server = self.serve()
        self.browser.open(server.url + "/", width=390)
        self.label(HOSTILE + " film" * 1000)
        self.wait_for("!document.getElementById('answer').hidden")
        self.assertIn("more were cut off", self.text("times"))
        self.label("")
        self.label("x" * 70000)
        self.wait_for("document.getElementById('problem').textContent !== ''")
        self.assertIn("70000 bytes", self.text("problem"))
        self.assertIsNone(self.browser.evaluate("window.hurt ?? null"))
        self.assertTrue(self.browser.evaluate("document.documentElement.scrollWidth <= innerWidth"), "a phone need not scroll sideways")

    def test_it_asks_for_the_key(self):
        with tempfile.TemporaryDirectory() as folder:
            key = pathlib.Path(folder) / "key"
            key.write_text("secret\n", encoding="utf-8")
            server = self.serve("--api-key-file", str(key))
            self.browser.open(server.url + "/")
            self.wait_for("!document.getElementById('key-row').hidden")
            self.browser.evaluate("{ const key = document.getElementById('key'); key.value = 'secret'; key.dispatchEvent(new Event('change')); }")
            self.label("Good.")
            self.wait_for("!document.getElementById('answer').hidden")


if __name__ == "__main__":
    unittest.main()
