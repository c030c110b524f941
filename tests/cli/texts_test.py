"""`breakeven classify` and `breakeven tokenize` as a person runs them, with the built-in model (narrow, so that it is quick)."""
import bz2
import gzip
import io
import json
import lzma
import math
import os
import pathlib
import pickle
import re
import subprocess
import sys
import tempfile
import time
import unittest
import zipfile

BINARY, SOURCE, SANITIZED = os.path.abspath(sys.argv.pop(1)), pathlib.Path(sys.argv.pop(1)), sys.argv.pop(1) == "sanitized"
MODEL = SOURCE / "models" / "builtin"


class Program(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def file(self, name, content):
        path = self.folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    def call(self, *arguments, stdin=b"", stdout=subprocess.PIPE):
        stdin = stdin if isinstance(stdin, bytes) else stdin.encode()
        return subprocess.run([BINARY, self.command, "--model", "builtin-narrow", "--device", "cpu", *arguments], input=stdin,
                              stdout=stdout, stderr=subprocess.PIPE, check=False, cwd=self.folder)

    def lines(self, *arguments, stdin=b""):
        result = self.call(*arguments, stdin=stdin)
        self.assertEqual(result.returncode, 0, result.stderr.decode())
        return [json.loads(line) for line in result.stdout.decode().splitlines()]

    def refused(self, *arguments, says, stdin=b"", stdout=subprocess.PIPE):
        result = self.call(*arguments, stdin=stdin, stdout=stdout)
        told = result.stderr.decode()
        self.assertEqual(result.returncode, 2, told)
        for words in says:
            self.assertIn(words, told)
        self.assertNotIn("internal error", told)
        return result


class Both:
    """What the two commands do alike."""

    def test_wrong_flags(self):
        for flags, says in ((["--batch", "0"], "--batch '0'"), (["--batch", "x"], "--batch 'x'"), (["--threads", "0"], "--threads '0'"),
                            (["--max-length", "-1"], "--max-length"), (["--precision", "fp4"], "'fp4'"), (["--nonsense"], "--nonsense"),
                            (["--input-format", "xml"], "'xml'"), (["--model", "/nowhere"], "/nowhere"), (["--text-field"], "--text-field")):
            with self.subTest(flags=flags):
                if "--model" in flags:
                    result = subprocess.run([BINARY, self.command, *flags], input=b"a\n", capture_output=True, check=False)
                    self.assertEqual(result.returncode, 2)
                    self.assertIn(says, result.stderr.decode())
                else:
                    self.refused(*flags, stdin="a\n", says=[says])
        result = subprocess.run([BINARY, self.command, "--device", "tpu"], input=b"a\n", capture_output=True, check=False)
        self.assertEqual(result.returncode, 2)
        self.assertIn("'tpu'", result.stderr.decode())

    def test_bad_input(self):
        self.refused(str(self.folder / "none.jsonl"), says=["none.jsonl"])
        self.refused(self.file("empty.jsonl", ""), says=["empty.jsonl", "empty"])
        self.refused("-", stdin="", says=["stdin is empty"])
        self.refused(self.file("a.jsonl", '{"body":"x"}\n'), says=["a.jsonl, line 1", "'text'", "body", "--text-field"])
        self.refused(self.file("b.jsonl", '{"text":5}\n'), says=["b.jsonl, line 1", "a number"])
        self.refused(self.file("c.csv", 'text\n"never closed\n'), says=["c.csv, line 2", "never closed"])
        self.refused(self.file("d.tar.gz", "no archive"), says=["d.tar.gz"])
        self.refused(str(self.folder), says=["test/pos"])

    def test_a_broken_line_ends_the_run_behind_the_texts_before_it(self):
        result = self.refused(self.file("t.jsonl", '{"text":"one"}\n{"text":"two"}\n{"text":\n'),
                              says=["t.jsonl, line 3", "(2 written to stdout before that)"])
        self.assertEqual(len(result.stdout.splitlines()), 2)

    def test_output_that_cannot_be_written(self):
        texts = self.file("t.txt", "one\n")
        self.refused(texts, "-o", str(self.folder / "no" / "such" / "file"), says=["no/such/file"])
        self.refused(texts, "-o", "/dev/full", says=["/dev/full", "No space left"])
        self.refused(texts, "-o", texts, says=["is the file being read"])
        self.assertEqual(pathlib.Path(texts).read_text(), "one\n")
        with open("/dev/full", "wb") as full:
            self.refused(texts, stdout=full, says=["stdout", "No space left"])

    def test_output_goes_to_a_file(self):
        output = self.folder / "out.jsonl"
        output.write_text("old\n" * 1000)
        result = self.call(self.file("t.txt", "one\ntwo\n"), "-o", str(output))
        self.assertEqual((result.returncode, result.stdout), (0, b""), result.stderr)
        self.assertEqual(len([json.loads(line) for line in output.read_text().splitlines()]), 2)

    def test_a_closed_pipe_ends_the_run_quietly(self):
        program = subprocess.Popen([BINARY, self.command, "builtin", "--model", "builtin-narrow", "--device", "cpu", "--max-length", "32"],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        json.loads(program.stdout.readline())
        program.stdout.close()
        told = program.stderr.read()
        program.stderr.close()
        self.assertEqual(program.wait(), 0)
        self.assertNotIn(b"cannot write", told)

    def test_cut_texts_are_counted(self):
        # [CLS] a good film [SEP] has five tokens.
        result = self.call("--max-length", "5", stdin="a good film\na good old film\ngood\n")
        self.assertEqual(result.returncode, 0)
        self.assertIn("cut at 5 tokens: 1 of 3 texts; this model takes --max-length 512", result.stderr.decode())
        self.assertNotIn("cut at", self.call(stdin="a good old film\n").stderr.decode())

    def test_the_model_says_how_long_a_text_may_be(self):
        result = self.call("--max-length", "513", stdin="good " * 600 + "\n")
        self.assertEqual(result.returncode, 0)
        self.assertIn("--max-length 513: this model takes 512 tokens", result.stderr.decode())
        self.assertIn("cut at 512 tokens: 1 of 1 texts, and this model takes no more", result.stderr.decode())

    def test_any_bytes_are_a_text(self):
        self.assertEqual(len(self.lines(stdin=b"a\0b\n\xff\xfe\xc3\n\n" + "\u0301\n".encode() * 2)), 5)


    def test_a_compressed_input_is_read_through_also_from_stdin(self):
        right = self.lines(self.file("t.jsonl", '{"text":"one","id":1}\n{"text":"two","id":2}\n'))
        self.assertEqual(len(right), 2)
        for pack in (gzip.compress, bz2.compress, lzma.compress):
            packed = pack(b'{"text":"one","id":1}\n{"text":"two","id":2}\n')
            self.assertEqual(self.lines(self.file("t.jsonl.x", packed)), right)
            self.assertEqual(self.lines(stdin=packed), right)
            self.assertEqual(self.lines(stdin=pack(packed)), right)
            self.refused(stdin=packed[:-5], says=["stdin", "written to stdout"] if pack is gzip.compress else ["stdin"])
        table = io.BytesIO()
        with zipfile.ZipFile(table, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("train.csv", "id,text\n1,one\n2,two\n")
        self.assertEqual(len(self.lines(stdin=table.getvalue())), 2)
        with zipfile.ZipFile(table, "a") as archive:
            archive.writestr("test.csv", "id,text\n3,three\n")
        result = self.refused(self.file("t.zip", table.getvalue()), says=["holds 2 files", "train.csv, test.csv"])
        self.assertEqual(result.stdout, b"")
        self.refused(stdin=table.getvalue(), says=["'train.csv'", "'test.csv'", "(2 written to stdout before that)"])

    def test_a_pipe_in_the_file_system_is_read(self):
        path = self.folder / "pipe"
        os.mkfifo(path)
        with subprocess.Popen(["sh", "-c", 'cat > "$0"', str(path)], stdin=subprocess.PIPE) as writer:
            program = subprocess.Popen([BINARY, self.command, str(path), "--model", "builtin-narrow", "--device", "cpu"],
                                       stdout=subprocess.PIPE)
            writer.communicate(gzip.compress(b"one\ntwo\n"))
            self.assertEqual(len(program.communicate()[0].splitlines()), 2)

    def test_encodings(self):
        right = self.lines(stdin="der f\u00fclm \u4e2d\nzwei\n")
        for encoding in ("utf-8-sig", "utf-16", "utf-32"):
            self.assertEqual(self.lines(stdin="der f\u00fclm \u4e2d\nzwei\n".encode(encoding)), right)
        self.assertEqual(self.lines("--encoding", "utf-16be", stdin="der f\u00fclm \u4e2d\nzwei\n".encode("utf-16be")), right)
        self.refused(stdin="der film\n".encode("utf-16le"), says=["UTF-16", "--encoding utf-16le"])
        self.refused("--encoding", "klingon", stdin="a\n", says=["'klingon'", "latin-1", "iconv"])
        texts = self.file("t.txt", "caf\u00e9\nok\n\u2019\n".encode("cp1252"))
        told = self.call(texts).stderr.decode()
        self.assertIn("t.txt: 2 places are no UTF-8, the first in line 1", told)
        self.assertEqual(told.count("--encoding"), 1)
        result = self.call(texts, "--encoding", "cp1252")
        self.assertEqual((result.stdout, result.stderr), (self.call(stdin="caf\u00e9\nok\n\u2019\n").stdout, b""))

    def test_binary_files_are_refused_before_anything_is_written(self):
        for name, content in (("t.parquet", b"PAR1\x15\x04\x15\x00"), ("t.pkl", pickle.dumps({"text": ["a"]})), ("t.txt", b"%PDF-1.4\n"),
                              ("t.npy", b"\x93NUMPY\x01\x00"), ("t.csv", bytes(range(256)) * 8)):
            self.assertEqual(self.refused(self.file(name, content), says=[name]).stdout, b"")

    def test_csv_as_others_write_it(self):
        right = self.lines("--text-field", "2", "--no-header", "--input-format", "csv", stdin='1,"a, b"\n2,c\n')
        self.assertEqual([row["column_1"] for row in right], ["1", "2"])
        semicolons = self.call(self.file("t.csv", 'id;text\n1;"a, b"\n2;c\n'))
        self.assertIn("separated by ';'", semicolons.stderr.decode())
        self.assertEqual([json.loads(line)["id"] for line in semicolons.stdout.splitlines()], ["1", "2"])
        glue = self.call(self.file("t.tsv", 'text\tlabel\n" so good\t1\nso "\t0\n'))
        self.assertEqual(len(glue.stdout.splitlines()), 2)
        self.assertIn("--csv-quoting", glue.stderr.decode())
        self.refused("--csv-separator", "ab", stdin="a\n", says=["'ab'", "tab"])
        self.refused("--csv-quoting", "maybe", stdin="a\n", says=["'maybe'", "on, off"])
        self.assertEqual(self.lines("--csv-separator", "tab", "--csv-quoting", "off", self.file("q.csv", 'text\tx\n"a\t1\n'))[0]["x"], "1")

    def test_json_as_python_writes_it(self):
        rows = [{"text": "one", "x": math.nan}, {"text": "two", "x": [-math.inf]}]
        right = self.lines(stdin="".join(json.dumps(row) + "\n" for row in rows))
        self.assertEqual([row["x"] for row in right], [None, [None]])
        for content in (json.dumps(rows), json.dumps(rows, indent=2), "\n".join(json.dumps(row, indent=1) for row in rows)):
            self.assertEqual(self.lines(self.file("t.json", content)), right)


class Classify(Both, Program):
    command = "classify"

    def test_a_precision_of_gpus_only(self):
        self.refused("--precision", "fp8", stdin="a\n", says=["fp8 would be emulated"])

    def test_jsonl_in_jsonl_out(self):
        rows = ['{"text":"A wonderful, moving film.","id":1.10,"label":"gold"}', "", '{"text":"Dull, awful, a waste of time.","tags":[1, 2]}']
        result = self.call(stdin="\n".join(rows))
        self.assertEqual(result.returncode, 0, result.stderr.decode())
        first, second = result.stdout.decode().splitlines()
        self.assertTrue(first.startswith('{"index":0,"label":"POSITIVE","score":0.'), first)
        self.assertTrue(first.endswith('],"id":1.10,"input_label":"gold"}'), first)
        self.assertTrue(second.startswith('{"index":1,"label":"NEGATIVE","score":0.'), second)
        self.assertTrue(second.endswith('],"tags":[1, 2]}'), second)
        row = json.loads(first)
        self.assertEqual(len(row["logits"]), 2)
        self.assertGreater(row["logits"][1], row["logits"][0])

    def test_formats_agree(self):
        jsonl = self.lines(self.file("t.jsonl", '{"text":"Great, fun!"}\n{"text":"Bad."}\n'))
        self.assertEqual(self.lines(self.file("t.csv", 'text\r\n"Great, fun!"\r\nBad.\r\n')), jsonl)
        self.assertEqual(self.lines(self.file("t.txt", "Great, fun!\nBad.\n")), jsonl)
        self.assertEqual(self.lines("--input-format", "csv", "--text-field", "b", stdin='a,b\n1,"Great, fun!"\n2,Bad.\n'),
                         [dict(row, a=a) for row, a in zip(jsonl, "12")])

    def test_most_built_in_reviews_get_their_label_whatever_the_batch(self):
        reviews = str(SOURCE / "data" / "reviews.jsonl")
        rows = self.lines(reviews)
        self.assertEqual([row["index"] for row in rows], list(range(len(rows))))
        right = sum(row["label"].lower() == row["input_label"] for row in rows)
        self.assertGreaterEqual(right / len(rows), 0.7)
        for other in (self.lines(reviews, "--batch", "1"), self.lines(reviews, "--batch", "5", "--threads", "1")):
            self.assertEqual([row["label"] for row in other], [row["label"] for row in rows])
            for a, b in zip(rows, other):
                for x, y in zip(a["logits"], b["logits"]):
                    self.assertAlmostEqual(x, y, delta=1e-3)

    def test_score_is_the_softmax_of_the_logits(self):
        for row in self.lines(stdin="Good.\nBad.\nA film.\n"):
            powers = [math.exp(logit) for logit in row["logits"]]
            self.assertAlmostEqual(row["score"], max(powers) / sum(powers), delta=1e-5)

    def test_a_maximum_length_without_room_for_a_word(self):
        self.refused("--max-length", "1", stdin="a\n", says=["--max-length 1"])

    def test_a_folder_without_a_model(self):
        result = subprocess.run([BINARY, "classify", "--model", str(self.folder)], input=b"a\n", capture_output=True, check=False)
        self.assertEqual(result.returncode, 2)
        self.assertIn("config.json", result.stderr.decode())


class Tokenize(Both, Program):
    command = "tokenize"

    def setUp(self):
        super().setUp()
        self.ids = {word: i for i, word in enumerate((MODEL / "vocab.txt").read_text().splitlines())}

    def words(self, *words):
        return [self.ids[word] for word in words]

    def test_ids_are_those_of_the_vocabulary(self):
        result = self.call(stdin="A good film!\n")
        self.assertEqual(result.returncode, 0, result.stderr.decode())
        ids = ",".join(map(str, self.words("[CLS]", "a", "good", "film", "!", "[SEP]")))
        self.assertEqual(result.stdout.decode(), '{"input_ids":[%s]}\n' % ids)

    def test_cuts_at_the_maximum_length_and_0_does_not_cut(self):
        self.assertEqual(self.lines("--max-length", "4", stdin="A good film!\n")[0]["input_ids"], self.words("[CLS]", "a", "good", "[SEP]"))
        long = "good " * 1000
        self.assertEqual(len(self.lines(stdin=long)[0]["input_ids"]), 512)
        self.assertEqual(len(self.lines("--max-length", "0", stdin=long)[0]["input_ids"]), 1002)

    def test_other_fields_are_passed_on(self):
        row, = self.lines(stdin='{"text":"good","label":1,"input_ids":"mine"}')
        self.assertEqual(row, {"input_ids": self.words("[CLS]", "good", "[SEP]"), "label": 1, "input_input_ids": "mine"})

    def test_threads_change_nothing(self):
        reviews = str(SOURCE / "data" / "reviews.jsonl")
        self.assertEqual(self.call(reviews, "--threads", "1").stdout, self.call(reviews, "--threads", "3").stdout)

    def test_a_line_of_100_megabytes_is_read_and_a_longer_one_refused(self):
        path = self.file("long.txt", b"first\n" + b"x" * 100_000_000 + b"\nlast\n")
        self.assertEqual([len(row["input_ids"]) for row in self.lines(path)], [3, 3, 3])
        path = self.file("long.txt", b"first\n" + b"x" * 100_000_001 + b"\nlast\n")
        self.refused(path, says=["long.txt, line 2", "100000000 bytes", "(1 written to stdout before that)"])

    def test_a_large_file_takes_little_memory(self):
        text, lines = b"a good film " * 80 + b"\n", 150_000
        path = self.folder / "large.txt"
        with open(path, "wb") as file:
            for _ in range(lines // 1000):
                file.write(text * 1000)  # 144 MB in all
        with subprocess.Popen([BINARY, "tokenize", str(path), "--model", "builtin-narrow", "--max-length", "64"],
                              stdout=subprocess.PIPE) as program:
            # It cannot end while a megabyte is still to be taken from it. What wait4 tells would count this script's peak, too.
            for _ in range(lines - 10_000):
                program.stdout.readline()
            status = pathlib.Path(f"/proc/{program.pid}/status").read_text()
            self.assertEqual(len(program.stdout.readlines()), 10_000)
        peak_kib = int(re.search(r"VmHWM:\s+(\d+)", status)[1])
        self.assertEqual(program.returncode, 0)
        self.assertGreater(peak_kib, 5_000)
        if not SANITIZED:  # a sanitizer keeps freed memory
            self.assertLess(peak_kib * 1024, 100_000_000)


if __name__ == "__main__":
    unittest.main()
