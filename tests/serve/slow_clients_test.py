"""slowhttptest against `breakeven serve`: slow in the header, in the body, in reading; who is not slow is answered all the while, and in the end
nothing of them is left. Usage: slow_clients_test.py BREAKEVEN SOURCE_DIR
"""
import csv
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

SOURCE = pathlib.Path(sys.argv[2])
del sys.argv[2]
sys.path.insert(0, str(SOURCE / "tests/cli"))
from serve_test import Server  # noqa: E402

CONNECTIONS = 300


@unittest.skipUnless(shutil.which("slowhttptest"), "SKIPPED: no slowhttptest (Debian: slowhttptest)")
class SlowClients(unittest.TestCase):
    def setUp(self):
        self.server = Server()
        self.addCleanup(self.server.end)

    def metric(self, name):
        return int(re.search(rf"^{re.escape(name)} (\d+)$", self.server.ask("/metrics")[2], re.MULTILINE)[1])

    def attack(self, *flags, path="/v1/classify", connections=CONNECTIONS):
        """Rows of what slowhttptest saw: seconds, connections closed, pending, connected, and whether it was answered beside them."""
        with tempfile.TemporaryDirectory() as folder:
            prefix = str(pathlib.Path(folder) / "seen")
            command = ["slowhttptest", *flags, "-c", str(connections), "-r", "200", "-l", "20", "-p", "20", "-g", "-o", prefix, "-u", self.server.url + path]
            with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
                asked = 0
                while process.poll() is None:
                    status, _, body = self.server.ask("/v1/classify", {"input": "A warm and funny film."})
                    self.assertEqual(status, 200, body)
                    asked += 1
                    time.sleep(0.02)
            self.assertGreater(asked, 10)
            with open(prefix + ".csv", encoding="utf-8") as file:
                rows = [[int(value) for value in row] for row in list(csv.reader(file))[1:]]
        print(f"{' '.join(flags)}: {asked} answered beside them; at most {max(row[3] for row in rows)} slow connections, open for {rows[-1][0]} s", file=sys.stderr)
        while self.metric("breakeven_connections_open") > 1:
            time.sleep(0.1)
        self.assertEqual(self.metric("breakeven_requests_waiting"), 0)
        return rows

    def test_in_the_header(self):
        rows = self.attack("-H", "-i", "1", "-x", "24", "-t", "POST")
        self.assertTrue(all(row[4] for row in rows), rows)
        self.assertEqual(self.metric('breakeven_http_replies_total{status="408"}'), CONNECTIONS)

    def test_in_the_body(self):
        rows = self.attack("-B", "-i", "1", "-x", "10", "-s", "8192", "-t", "POST", "-f", "application/json")
        self.assertTrue(all(row[4] for row in rows), rows)
        self.assertEqual(self.metric('breakeven_http_replies_total{status="408"}'), CONNECTIONS)

    def test_in_reading(self):
        rows = self.attack("-X", "-w", "512", "-y", "1024", "-n", "1", "-z", "64", "-k", "3", path="/metrics")
        self.assertTrue(all(row[4] for row in rows), rows)


if __name__ == "__main__":
    unittest.main()
