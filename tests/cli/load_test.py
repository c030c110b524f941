"""`breakeven load` as a person runs it: against `breakeven serve`, and against a server that can be told to break.
load_test.py BREAKEVEN."""
import json
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import unittest

BREAKEVEN = sys.argv.pop(1)
MEASURED = (0, 3)  # 3: on a busy machine requests are sent late, and no row counts
LABEL = b'[{"label":"POSITIVE","score":0.9},{"label":"NEGATIVE","score":0.1}]'


def reply(body=LABEL, status="200 OK", fields=b""):
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n%s\r\n" % (status.encode(), len(body), fields) + body


class StandIn:
    """Answers what `answer(number, head, body)` gives: bytes, or a list of bytes and of seconds of sleep, then None = close."""

    def __init__(self, answer):
        self.answer, self.count, self.lock = answer, 0, threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.url = "http://127.0.0.1:%d" % self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=[connection], daemon=True).start()

    def serve(self, connection):
        rest = b""
        try:
            with connection:
                while True:
                    while b"\r\n\r\n" not in rest:
                        more = connection.recv(65536)
                        if not more:
                            return
                        rest += more
                    head, rest = rest.split(b"\r\n\r\n", 1)
                    length = next((int(line.split(b":")[1]) for line in head.split(b"\r\n")
                                   if line.lower().startswith(b"content-length")), 0)
                    while len(rest) < length:
                        rest += connection.recv(65536)
                    body, rest = rest[:length], rest[length:]
                    with self.lock:
                        self.count += 1
                        number = self.count
                    parts = self.answer(number, head.decode(), body)
                    for part in parts if isinstance(parts, list) else [parts]:
                        if part is None:
                            return
                        if isinstance(part, threading.Event):
                            part.wait()
                        else:
                            connection.sendall(part)
        except OSError:
            pass

    def end(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


def tei(number, head, body):
    return reply() if "/predict" in head else reply(b"{}") if "/health" in head else reply(b"", "404 Not Found")


def measured(answer):
    """`answer(count, number, head, body)` for what is asked after the calibration, a TEI before."""
    null_replies, counted = [0], [0]

    def answers(number, head, body):
        if "/predict" not in head:
            null_replies[0] += 1
            return tei(number, head, body)
        counted[0] += null_replies[0] > 10  # before the warm-up there are few
        return answer(counted[0])
    return answers


class Load(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.journal = self.folder / "j.jsonl"

    def load(self, *flags):
        return subprocess.run([BREAKEVEN, "load", *flags, "--journal", str(self.journal)], capture_output=True, text=True)

    def records(self):
        return [json.loads(line) for line in self.journal.read_text().splitlines()]

    def refused(self, said, *flags):
        run = self.load(*flags)
        self.assertEqual(run.returncode, 2, run.stderr + run.stdout)
        self.assertIn(said, run.stderr)

    def stand_in(self, answer):
        server = StandIn(answer)
        self.addCleanup(server.end)
        return server

    def rate(self, server, *flags, path="/predict"):
        run = self.load(server.url + path, "--rate", "200", "--time", "3s", "--count", "4", *flags)
        self.assertIn(run.returncode, MEASURED, run.stderr)
        return self.records()[-1]

    # --- what is typed
    def test_what_cannot_be_meant_is_told(self):
        self.refused("is no URL", "http://a:b", "--slo", "p99=50ms")
        self.refused("TLS", "https://a", "--slo", "p99=50ms")
        self.refused("--slo 'soon'", "http://127.0.0.1:1", "--slo", "soon")
        self.refused("what is to be found out", "http://127.0.0.1:1")
        self.refused("exclude each other", "http://127.0.0.1:1", "--slo", "p99=50ms", "--rate", "5")
        self.refused("--rate 'x'", "http://127.0.0.1:1", "--rate", "x")
        self.refused("twice the limit", "http://127.0.0.1:1", "--slo", "p99=1s", "--timeout", "1.5s")
        self.refused("--header 'a'", "http://127.0.0.1:1", "--rate", "5", "--header", "a")
        self.refused("--connections 'x'", "http://127.0.0.1:1", "--rate", "5", "--connections", "x")
        self.refused("no-such-file", "http://127.0.0.1:1", "--rate", "5", "--trace", "no-such-file")
        self.refused("no-such-file", "http://127.0.0.1:1", "--rate", "5", "--texts", "no-such-file")
        self.refused("--interface", "http://127.0.0.1:1/x", "--rate", "5")

    # --- who answers
    def test_nobody_and_the_wrong_ones_are_told(self):
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self.refused("nobody answers at 127.0.0.1:%d: Connection refused" % port, f"http://127.0.0.1:{port}", "--rate", "5")
        self.refused("No such file", f"unix:{self.folder}/none.sock", "--rate", "5", "--interface", "tei")
        flags = ["--rate", "5", "--count", "4"]
        self.refused("does not speak HTTP", self.stand_in(lambda *_: [b"SSH-2.0\r\n", None]).url + "/predict", *flags)
        self.refused("the connection ended", self.stand_in(lambda *_: [None]).url + "/predict", *flags)
        self.refused("has nothing at /classify that takes texts (404)", self.stand_in(tei).url + "/classify", *flags)
        self.refused("does not say how it wants to be asked", self.stand_in(tei).url, *flags)
        self.refused("wants a key (401)", self.stand_in(lambda *_: reply(b"", "401 No")).url + "/predict", *flags)
        self.refused("answers 500 to a text alone", self.stand_in(lambda *_: reply(b"oh", "500 No")).url + "/predict", *flags)
        self.refused("the reply", self.stand_in(lambda *_: reply(b"<html>")).url + "/predict", *flags)
        self.refused("holds no label as tei has it", self.stand_in(lambda *_: reply(b"{}")).url + "/predict", *flags)
        never = threading.Event()
        self.addCleanup(never.set)
        self.refused("has not answered", self.stand_in(lambda *_: [never]).url + "/predict", "--timeout", "0.3s", *flags)
        slow = [b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n", never]
        self.refused("has not answered", self.stand_in(lambda *_: slow).url + "/predict", "--timeout", "0.3s", *flags)

    # --- what becomes of requests
    def test_a_server_of_another_make_is_measured(self):
        record = self.rate(self.stand_in(tei), "--device", "cuda:0", "--precision", "fp16")
        cell, http = record["cell"], record["http"]
        self.assertEqual((cell["runtime"], cell["variant"], cell["device"], cell["precision"]), ("http", "tei", "cuda:0", "fp16"))
        self.assertEqual((cell["mode"], cell["rate_per_s"], cell["arrivals"]), ("paced", 200, "poisson"))
        self.assertEqual(record["paced"]["answered"], record["paced"]["requests"])
        self.assertEqual(len(record["samples_s"]), record["paced"]["requests"])
        self.assertGreater(http["null_per_s"], 0)
        self.assertTrue(http["local"])

    def test_labels_that_are_not_those_of_its_model_make_a_row_invalid(self):
        flags = ["--model", "builtin-narrow", "--max-length", "64"]
        record = self.rate(self.stand_in(tei), *flags)  # POSITIVE, whatever is asked
        parity = record["parity"]
        self.assertEqual((parity["judge"], parity["texts"], parity["outcome"]), ("native cpu fp32", 4, "failed"))
        self.assertGreater(parity["flips"], 0)
        self.assertIn(("parity", "invalid"), [(reason["code"], reason["severity"]) for reason in record["reasons"]])
        self.assertEqual((record["cell"]["max_length"], len(record["texts"]["token_counts"])), (64, 4))
        self.assertEqual(len(record["model_hash"]), 64)
        # In int8 a few of many texts may differ, so four prove nothing.
        record = self.rate(self.stand_in(tei), "--precision", "int8", *flags)
        self.assertEqual(record["parity"]["outcome"], "unproven")
        other = self.stand_in(lambda *_: reply(b'[{"label":"SPAM","score":0.9}]'))
        self.refused("'SPAM', which --model", other.url + "/predict", "--rate", "5", "--count", "4", *flags)
        self.refused("no-such-model", other.url + "/predict", "--rate", "5", "--count", "4", "--model", "no-such-model")

    def test_interim_replies_chunks_and_closed_connections_are_replies(self):
        chunks = (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                  b"5\r\n" + LABEL[:5] + b"\r\n%x\r\n" % (len(LABEL) - 5) + LABEL[5:] + b"\r\n0\r\n\r\n")
        record = self.rate(self.stand_in(lambda *_: chunks))
        self.assertEqual(record["paced"]["answered"], record["paced"]["requests"])
        record = self.rate(self.stand_in(lambda *_: [b"HTTP/1.1 200 OK\r\n\r\n" + LABEL, None]), "--connections", "new")
        self.assertEqual(record["paced"]["answered"], record["paced"]["requests"])
        self.assertFalse(record["http"]["keep_alive"])
        # One that says nothing of closing, and closes every third connection: asked again on a new one.
        record = self.rate(self.stand_in(lambda number, *_: [reply(), None] if number % 3 == 0 else reply()))
        self.assertEqual(record["paced"]["answered"], record["paced"]["requests"])

    def test_failures_are_counted_as_what_they_are(self):
        def bad(count):
            if count < 40 or count % 10:
                return reply()
            return [reply(b"", "429 Later"), reply(b"", "500 No"), reply(b"not JSON"),
                    [b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", None]][count // 10 % 4]
        record = self.rate(self.stand_in(measured(bad)))
        http = record["http"]
        for kind in ("refused", "errors", "malformed", "broken"):
            self.assertGreater(http[kind], 0, kind)
        failed = sum(http[kind] for kind in ("refused", "errors", "malformed", "broken", "timed_out", "unsent"))
        self.assertEqual(failed, record["paced"]["requests"] - record["paced"]["answered"])
        self.assertEqual(record["samples_s"].count(http["timeout_s"]), failed)

    def test_those_that_never_end_are_late_and_the_others_are_not(self):
        never = threading.Event()
        self.addCleanup(never.set)

        def drip(count):
            return [b"HTTP/1.1 200 OK\r\nContent-Le", never] if count % 20 == 19 else reply()
        record = self.rate(self.stand_in(measured(drip)), "--timeout", "1s")
        self.assertGreater(record["http"]["timed_out"], 0)
        self.assertEqual(record["http"]["timed_out"], record["paced"]["requests"] - record["paced"]["answered"])

    def test_a_server_that_dies_ends_the_run(self):
        def dies(number, head, body):
            if number > 300:
                server.end()
                return [None]
            return tei(number, head, body)
        server = StandIn(dies)
        run = self.load(server.url + "/predict", "--rate", "200", "--time", "60s", "--count", "4")
        self.assertEqual(run.returncode, 2, run.stderr)
        self.assertIn("any more", run.stderr)

    def test_a_pause_of_the_server_is_a_queue_of_late_answers(self):
        pause, gate = threading.Event(), threading.Lock()

        def stops(count):
            with gate:  # all wait for the one that sleeps
                if count == 250:
                    pause.wait(0.5)
            return reply()
        record = self.rate(self.stand_in(measured(stops)))
        late = sum(1 for seconds in record["samples_s"] if seconds > 0.1)
        self.assertGreater(late, 40)  # those that were due in 0.4 s of it, not one alone

    def test_a_trace_is_played_as_it_was(self):
        trace = self.folder / "trace.txt"
        trace.write_text("".join(f"{second + i / 1000}\n" for second in range(4) for i in range(50)))
        run = self.load(self.stand_in(tei).url + "/predict", "--trace", str(trace), "--time", "5s", "--count", "4")
        self.assertIn(run.returncode, MEASURED, run.stderr)
        record = self.records()[0]
        self.assertEqual(record["cell"]["arrivals"], "trace")
        starts = record["sample_start_s"]
        gaps = [b - a for a, b in zip(starts, starts[1:])]
        self.assertGreater(max(gaps), 0.9)
        self.assertLess(sorted(gaps)[len(gaps) // 2], 0.002)


class OurServer(unittest.TestCase):
    """The narrow built-in model behind a Unix socket: short texts, so that it is quick."""

    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory()
        cls.folder = pathlib.Path(cls.temporary.name)
        cls.socket = f"unix:{cls.folder}/s"
        cls.server = subprocess.Popen([BREAKEVEN, "serve", "--model", "builtin-narrow", "--device", "cpu", "--threads", "1",
                                       "--listen", cls.socket], stderr=subprocess.PIPE, text=True)
        for line in cls.server.stderr:
            if "is let in" in line:
                break
        (cls.folder / "texts.txt").write_text("A warm and funny film.\nDull from start to end.\nGood.\n")

    @classmethod
    def tearDownClass(cls):
        cls.server.send_signal(signal.SIGTERM)
        cls.server.communicate()
        cls.temporary.cleanup()

    def load(self, name, *flags):
        return subprocess.run([BREAKEVEN, "load", self.socket, "--texts", str(self.folder / "texts.txt"), *flags,
                               "--journal", str(self.folder / name)], capture_output=True, text=True)

    def test_a_journal_that_advise_takes(self):
        run = self.load("ours.jsonl", "--slo", "p99=1s", "--time", "20s")
        self.assertRegex(run.stderr, r"p99 (within )?1.00 s")
        records = [json.loads(line) for line in (self.folder / "ours.jsonl").read_text().splitlines()]
        first = records[0]
        self.assertEqual((first["cell"]["runtime"], first["cell"]["variant"]), ("http", "breakeven"))
        self.assertEqual((first["cell"]["threads"], first["cell"]["batch"], first["texts"]["count"]), (1, 64, 3))
        self.assertEqual(len(first["model_hash"]), 64)
        self.assertEqual(first["texts"]["token_counts"][0], 8)
        self.assertEqual(len({record["paced"]["seed"] for record in records}), len(records))
        advice = subprocess.run([BREAKEVEN, "advise", str(self.folder / "ours.jsonl"), "--cpu-price", "0.04", "--gpu-price", "2",
                                 "--load", "20/s", "--p99", "1s"], capture_output=True, text=True)
        self.assertIn(advice.returncode, (0, 1, 3), advice.stderr)
        self.assertIn("cpu fp32, batch 64", advice.stdout)
        report = subprocess.run([BREAKEVEN, "report", str(self.folder / "ours.jsonl")], capture_output=True, text=True)
        self.assertEqual(report.returncode, 0, report.stderr)

    def test_labels_are_compared_with_those_of_its_model(self):
        run = self.load("same.jsonl", "--rate", "20", "--time", "3s", "--model", "builtin-narrow")
        self.assertIn(run.returncode, MEASURED, run.stderr)
        record = json.loads((self.folder / "same.jsonl").read_text().splitlines()[0])
        self.assertEqual((record["parity"]["texts"], record["parity"]["flips"], record["parity"]["outcome"]), (3, 0, "unproven"))
        run = self.load("other.jsonl", "--rate", "20", "--time", "3s", "--model", "builtin")
        self.assertEqual(run.returncode, 2, run.stderr)
        self.assertIn("has another model", run.stderr)

    def test_every_interface_of_ours_is_measured(self):
        for interface in ("tei", "vllm"):
            run = self.load("all.jsonl", "--rate", "20", "--time", "2s", "--interface", interface)
            self.assertIn(run.returncode, MEASURED, run.stderr)
        records = [json.loads(line) for line in (self.folder / "all.jsonl").read_text().splitlines()]
        self.assertEqual([record["cell"]["variant"] for record in records], ["tei", "vllm"])
        for record in records:
            self.assertEqual(record["paced"]["answered"], record["paced"]["requests"])

    def test_an_interruption_keeps_what_ended(self):
        process = subprocess.Popen([BREAKEVEN, "load", self.socket, "--rate", "20", "--time", "600s", "--texts",
                                    str(self.folder / "texts.txt"), "--journal", str(self.folder / "cut.jsonl")],
                                   stderr=subprocess.PIPE, text=True)
        for line in process.stderr:
            if "null replies" in line:
                break
        process.send_signal(signal.SIGINT)
        _, told = process.communicate()
        self.assertEqual(process.returncode, 3)
        self.assertIn("interrupted", told)


if __name__ == "__main__":
    unittest.main()
