"""`breakeven serve` as a person runs it, on the narrow built-in model: serve_test.py BREAKEVEN."""
import http.client
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import unittest
import urllib.error
import urllib.request

BREAKEVEN = sys.argv.pop(1)


class Server:
    def __init__(self, *flags):
        self.process = subprocess.Popen(
            [BREAKEVEN, "serve", "--model", "builtin-narrow", "--device", "cpu", "--listen", "127.0.0.1:0", *flags],
            stderr=subprocess.PIPE, text=True)
        self.told = []
        for line in self.process.stderr:
            self.told.append(line)
            found = re.search(r" at (127\.0\.0\.1:\d+);", line)
            if found:
                self.url = "http://" + found[1]
                break

    def ask(self, path, body=None, kind="application/json", **fields):
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, headers=fields)
        if data is not None:
            request.add_header("Content-Type", kind)
        try:
            with urllib.request.urlopen(request) as reply:
                return reply.status, reply.headers, reply.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.headers, error.read().decode()

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        _, told = self.process.communicate()
        return self.process.returncode, told


class Serve(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server()

    @classmethod
    def tearDownClass(cls):
        code, told = cls.server.end()
        assert code == 0, code
        assert "0 of those accepted were not" in told, told

    def test_labels_are_those_of_classify(self):
        texts = ["A warm and funny film.", "Dull from start to end.", "film " * 1000]
        lines = "".join(json.dumps({"text": text}) + "\n" for text in texts)
        run = subprocess.run([BREAKEVEN, "classify", "--model", "builtin-narrow", "--device", "cpu", "-"],
                             input=lines, capture_output=True, text=True, check=True)
        expected = [json.loads(line) for line in run.stdout.splitlines()]
        status, fields, body = self.server.ask("/v1/classify", {"input": texts})
        self.assertEqual(status, 200)
        results = json.loads(body)["results"]
        for ours, theirs in zip(results, expected, strict=True):
            self.assertEqual(ours["label"], theirs["label"])
            self.assertAlmostEqual(ours["score"], theirs["score"], places=5)
        self.assertEqual(results[0]["truncated_tokens"], 0)
        self.assertEqual((results[2]["tokens"], results[2]["truncated_tokens"]), (512, 490))  # of 1000 + 2
        parts = [float(value) for value in re.findall(r"dur=([0-9.]+)", fields["Server-Timing"])]
        self.assertAlmostEqual(sum(parts[:3]), parts[3], delta=0.003)
        stream = self.server.ask("/v1/classify", lines.replace('"text"', '"input"').encode(), "application/x-ndjson")[2]
        # In chunks, as a list, a line each and from a file it is the same.
        connection = http.client.HTTPConnection(self.server.url[7:])
        body = json.dumps({"input": texts}).encode()
        connection.request("POST", "/v1/classify", iter([body[:9], body[9:]]), {"Content-Type": "application/json"}, encode_chunked=True)
        chunked = json.loads(connection.getresponse().read())["results"]
        connection.close()
        for other in (chunked, [json.loads(line) for line in stream.splitlines()]):
            self.assertEqual([(each["label"], each["tokens"]) for each in other], [(each["label"], each["tokens"]) for each in results])
            for ours, theirs in zip(other, expected, strict=True):
                self.assertAlmostEqual(ours["score"], theirs["score"], places=5)

    def test_other_interfaces(self):
        status, _, body = self.server.ask("/predict", {"inputs": ["A film.", "Good."]})
        self.assertEqual((status, len(json.loads(body))), (200, 2))
        status, _, body = self.server.ask("/classify", {"input": ["A film.", "Good."]})
        self.assertEqual([each["index"] for each in json.loads(body)["data"]], [0, 1])
        name = json.loads(self.server.ask("/info")[2])["model"]
        tensor = {"name": "text", "shape": [1], "datatype": "BYTES", "data": ["Good."]}
        status, _, body = self.server.ask(f"/v2/models/{name}/infer", {"inputs": [tensor]})
        self.assertEqual((status, json.loads(body)["outputs"][0]["name"]), (200, "label"))
        self.assertEqual(self.server.ask(f"/v2/models/{name}/ready")[0], 200)

    def test_a_limit_that_cannot_be_kept(self):
        status, _, body = self.server.ask("/v1/classify", {"input": "a"}, **{"x-deadline-ms": "0.0001"})
        self.assertEqual((status, json.loads(body)["error"]["code"]), (422, "serve/limit"))


class Start(unittest.TestCase):
    def refused(self, *flags):
        run = subprocess.run([BREAKEVEN, "serve", "--model", "builtin-narrow", *flags], capture_output=True, text=True)
        self.assertEqual(run.returncode, 2, run.stderr)
        return run.stderr

    def test_what_cannot_be_is_told(self):
        self.assertIn("--api-key-file", self.refused("--listen", "0.0.0.0:0"))
        self.assertIn("unix:PATH", self.refused("--listen", "nowhere", "--insecure"))
        self.assertIn("--p99", self.refused("--p99", "soon"))
        self.assertIn("no-such-file", self.refused("--api-key-file", "no-such-file"))
        self.assertIn("--max-connections", self.refused("--max-connections", "0"))
        self.assertIn("--connections-per-address", self.refused("--connections-per-address", "none"))

    def test_it_gives_up_rights_that_it_does_not_need(self):
        server = Server()
        try:
            state = pathlib.Path(f"/proc/{server.process.pid}/status").read_text()
            threads = [thread / "status" for thread in pathlib.Path(f"/proc/{server.process.pid}/task").iterdir()]
            for each in (state, *[thread.read_text() for thread in threads]):
                self.assertIn("NoNewPrivs:\t1", each)
        finally:
            code, told = server.end()
        self.assertEqual(code, 0)
        self.assertEqual(os.geteuid() == 0, "it runs as root" in "".join(server.told) + told)

    def test_a_key_is_asked_for(self):
        with tempfile.TemporaryDirectory() as folder:
            key = pathlib.Path(folder) / "key"
            key.write_text("")
            self.assertIn("holds no key", self.refused("--api-key-file", str(key)))
            key.write_text("secret\n")
            server = Server("--api-key-file", str(key))
            try:
                self.assertEqual(server.ask("/info")[0], 401)
                self.assertEqual(server.ask("/info", Authorization="Bearer secret")[0], 200)
                self.assertEqual(server.ask("/livez")[0], 200)
                # No dump of its memory, which holds the key; nothing of what clients sent in what it tells.
                limits = pathlib.Path(f"/proc/{server.process.pid}/limits").read_text()
                self.assertRegex(limits, r"Max core file size +0 +0 ")
                for authorization in ("Bearer secret", "Bearer wrong"):
                    server.ask("/v1/classify", {"input": "my own words"}, Authorization=authorization)
                    server.ask("/v1/classify", b"my own words", Authorization=authorization)
            finally:
                code, told = server.end()
            self.assertEqual(code, 0)
            told = "".join(server.told) + told
            for private in ("my own words", "secret", "wrong"):
                self.assertNotIn(private, told)


if __name__ == "__main__":
    unittest.main()
