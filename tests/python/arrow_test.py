"""Columns of pyarrow, polars, duckdb, nanoarrow and pandas in, labels and scores out: the same as the list of their texts gives."""
import itertools
import os
import signal
import threading
import unittest

import duckdb
import nanoarrow
import pandas
import polars
import pyarrow

from breakeven import pipeline

TEXTS = ["A good film.", "", "It was long, dull and slow!", None, "Ein schöner Film \U0001f600", "exactly 12 b", "a text of more than twelve bytes", None,
         "bad " * 400]
DEFINED = [text for text in TEXTS if text is not None]


class Arrow(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.clf = pipeline(model="builtin-narrow")
        cls.expected = dict(zip(DEFINED, cls.clf(DEFINED)))

    def check(self, column, texts):
        """The rows of `column` are `texts`."""
        out = pyarrow.record_batch(self.clf.arrow(column))
        self.assertEqual(out.schema.names, ["label", "score"])
        out.validate(full=True)
        rows = out.to_pylist()
        self.assertEqual(len(rows), len(texts))
        for row, text in zip(rows, texts):
            if text is None:
                self.assertEqual(row, {"label": None, "score": None})
                continue
            self.assertEqual(row["label"], self.expected[text]["label"])
            self.assertAlmostEqual(row["score"], self.expected[text]["score"], places=5)

    def test_every_kind_of_text(self):
        for kind in (pyarrow.string(), pyarrow.large_string(), pyarrow.string_view(), pyarrow.dictionary(pyarrow.int8(), pyarrow.string()),
                     pyarrow.dictionary(pyarrow.uint32(), pyarrow.large_string())):
            array = pyarrow.array(TEXTS, pyarrow.string()).cast(kind) if pyarrow.types.is_string_view(kind) else pyarrow.array(TEXTS, kind)
            with self.subTest(kind=str(kind)):
                self.check(array, TEXTS)
                self.check(array.slice(2, 5), TEXTS[2:7])
                self.check(array.slice(9), [])
                chunks = pyarrow.chunked_array([array.slice(1, 3), array.slice(0, 0), array])
                self.check(chunks, TEXTS[1:4] + TEXTS)
                self.check(chunks.slice(2, 4), (TEXTS[1:4] + TEXTS)[2:6])
                self.check(pyarrow.table({"body": chunks}), TEXTS[1:4] + TEXTS)

    def test_every_slice(self):
        texts = (TEXTS * 3)[:20]
        array = pyarrow.array(texts)
        for first, length in itertools.product(range(0, 19, 3), (0, 1, 8, 9)):
            with self.subTest(first=first, length=length):
                self.check(array.slice(first, length), texts[first:first + length])

    def test_nulls_alone_and_none(self):
        self.check(pyarrow.nulls(5), [None] * 5)
        self.check(pyarrow.array([None, None], pyarrow.string()), [None, None])
        self.check(pyarrow.array([], pyarrow.string()), [])
        self.check(pyarrow.chunked_array([], pyarrow.string()), [])
        dictionary = pyarrow.DictionaryArray.from_arrays(pyarrow.array([0, 1, None, 0]), pyarrow.array(["A good film.", None]))
        self.check(dictionary, ["A good film.", None, None, "A good film."])
        self.check(pyarrow.StructArray.from_arrays([pyarrow.array(TEXTS)], ["body"]).slice(3, 4), TEXTS[3:7])

    def test_polars_and_duckdb(self):
        series = polars.Series("body", TEXTS)
        self.check(series, TEXTS)
        self.check(series.slice(2, 4), TEXTS[2:6])
        self.check(polars.concat([series, series[1:3]], rechunk=False), TEXTS + TEXTS[1:3])
        self.check(series.cast(polars.Categorical), TEXTS)
        frame = polars.DataFrame(self.clf.arrow(series))
        self.assertEqual(frame["label"].to_list(), [None if text is None else self.expected[text]["label"] for text in TEXTS])
        table = pyarrow.table({"id": range(len(TEXTS)), "body": TEXTS})
        self.check(duckdb.sql("select body from table order by id".replace("table", '"table"')), TEXTS)
        labels = pyarrow.table(self.clf.arrow(table["body"]))
        counted = duckdb.sql("select count(label), count(*) from labels").fetchall()[0]
        self.assertEqual(counted, (len(DEFINED), labels.num_rows))

    def test_nanoarrow_and_pandas(self):
        self.check(nanoarrow.Array(TEXTS, nanoarrow.string()), TEXTS)
        self.check(nanoarrow.c_array(TEXTS, nanoarrow.string()), TEXTS)  # not string_view: nanoarrow 0.9 breaks its own memory, beside pyarrow, too
        self.check(nanoarrow.ArrayStream(pyarrow.chunked_array([TEXTS, TEXTS[2:5]])), TEXTS + TEXTS[2:5])
        self.assertEqual(nanoarrow.Array(self.clf.arrow(nanoarrow.Array(TEXTS, nanoarrow.large_string()))["score"]).to_pylist().count(None), 2)
        self.check(pandas.Series(TEXTS, dtype="str"), TEXTS)
        self.check(pandas.DataFrame({"body": TEXTS})[["body"]][2:6], TEXTS[2:6])

    def test_one_column_of_the_answer(self):
        labels = self.clf.arrow(pyarrow.array(TEXTS))
        self.assertEqual(len(labels), len(TEXTS))
        self.assertEqual(pyarrow.array(labels["label"]).to_pylist(), [None if text is None else self.expected[text]["label"] for text in TEXTS])
        self.assertEqual(pyarrow.array(labels["score"]).null_count, 2)
        scores = pyarrow.chunked_array(labels["score"])
        del labels
        self.assertEqual(len(scores.to_pylist()), len(TEXTS))
        with self.assertRaisesRegex(KeyError, "'logits'"):
            self.clf.arrow(pyarrow.array(["a"]))["logits"]

    def test_a_column_longer_than_what_is_held_at_a_time(self):
        window = 1 << 18  # kWindowRows
        texts = [None] * (2 * window + 3)
        for place, text in zip((0, 9, window - 1, window, len(texts) - 1), itertools.cycle(DEFINED)):
            texts[place] = text
        before = self.clf.stats["texts"]
        self.check(pyarrow.array(texts, pyarrow.string()), texts)
        self.assertEqual(self.clf.stats["texts"], before + 5)

    def test_more_labels_than_the_first(self):
        """As a list of the same texts has them, in what each receiver makes of a list of structs."""
        for top, function in ((1, "default"), (2, "sigmoid"), (None, "default"), (7, "none")):
            with self.subTest(top=top, function=function):
                labels = self.clf.arrow(pyarrow.array(TEXTS), top_k=top, function_to_apply=function)
                ranked = pyarrow.table(labels)
                ranked.validate(full=True)
                self.assertEqual(ranked.schema.names, ["label", "score", "scores"])
                wanted = dict(zip(DEFINED, self.clf(DEFINED, top_k=top, function_to_apply=function)))
                for got in (ranked["scores"].to_pylist(), pyarrow.array(labels["scores"]).to_pylist(), polars.DataFrame(labels)["scores"].to_list(),
                            [row[0] for row in duckdb.sql("select scores from ranked").fetchall()]):
                    self.assertEqual(len(got), len(TEXTS))
                    for text, row, first in zip(TEXTS, got, ranked.to_pylist()):
                        if text is None:
                            self.assertIsNone(row)
                            continue
                        self.assertEqual([each["label"] for each in row], [each["label"] for each in wanted[text]])
                        for each, other in zip(row, wanted[text]):
                            self.assertAlmostEqual(each["score"], other["score"], places=5)
                        self.assertEqual(row[0], {"label": first["label"], "score": first["score"]})
        self.assertEqual(pyarrow.table(self.clf.arrow(pyarrow.nulls(2), top_k=2)).to_pylist(), [{"label": None, "score": None, "scores": None}] * 2)
        self.assertEqual(pyarrow.table(self.clf.arrow(pyarrow.array([], pyarrow.string()), top_k=2))["scores"].to_pylist(), [])
        for top, kind in ((0, ValueError), ("2", TypeError)):
            with self.assertRaisesRegex(kind, "top_k"):
                self.clf.arrow(pyarrow.array(TEXTS), top_k=top)
        with self.assertRaisesRegex(KeyError, "'scores': label, score$|'scores': label, score\""):
            self.clf.arrow(pyarrow.array(TEXTS))["scores"]

    def test_pairs_and_functions(self):
        first, second = pyarrow.array(["A good film.", None, "a"]), polars.Series(["It is good.", "b", None])
        got = pyarrow.record_batch(self.clf.arrow(first, second)).to_pylist()
        alone = self.clf({"text": "A good film.", "text_pair": "It is good."})
        self.assertEqual([row["label"] for row in got], [alone["label"], None, None])
        with self.assertRaisesRegex(ValueError, "3 rows, and that of the second texts 1"):
            self.clf.arrow(first, pyarrow.array(["a"]))
        logits = pyarrow.record_batch(self.clf.arrow(first, function_to_apply="none")).to_pylist()
        self.assertAlmostEqual(logits[0]["score"], self.clf("A good film.", function_to_apply="none")[0]["score"], places=5)

    def test_what_is_no_column_of_texts(self):
        for column, kind, words in ((pyarrow.array([1, 2]), TypeError, "format 'l'"), (pyarrow.array([b"a"]), TypeError, "format 'z'"),
                                    (pyarrow.table({"a": ["x"], "b": ["y"]}), TypeError, "2 columns"), (["a"], TypeError, "list.*__arrow_c_stream__"),
                                    (None, TypeError, "NoneType"), (pyarrow.array(["a", ["b"]][:1]).cast(pyarrow.binary()), TypeError, "'z'"),
                                    (pyarrow.array([[b"fine"], [b"\xff"]][0] + [b"a\xff"]).view(pyarrow.string()), ValueError, "row 1 is no UTF-8 from byte 1")):
            with self.subTest(words=words), self.assertRaisesRegex(kind, words):
                self.clf.arrow(column)
        with self.assertRaisesRegex(TypeError, "clf.arrow"):
            self.clf(pyarrow.array(TEXTS))

        def batches():
            yield pyarrow.record_batch({"body": ["a"]})
            raise OSError("the disk went away")
        reader = pyarrow.RecordBatchReader.from_batches(pyarrow.schema({"body": pyarrow.string()}), batches())
        with self.assertRaisesRegex(RuntimeError, "the disk went away"):
            self.clf.arrow(reader)

    def interrupted(self, column):
        """What a call over it does when Ctrl-C is pressed in its midst."""
        timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
        before = self.clf.stats["texts"]
        with self.assertRaises(KeyboardInterrupt):
            timer.start()
            self.clf.arrow(column)
        self.assertEqual(self.clf.stats["texts"], before)
        self.check(pyarrow.array(TEXTS), TEXTS)

    def test_ctrl_c_ends_a_column_that_takes_hours(self):
        rows = 5_000_000
        self.interrupted(pyarrow.DictionaryArray.from_arrays(pyarrow.repeat(pyarrow.scalar(0, pyarrow.int8()), rows), ["a very long text " * 200]))

    def test_ctrl_c_ends_the_reading_of_a_column_without_an_end(self):
        batch = pyarrow.record_batch({"body": TEXTS[:1]})
        self.interrupted(pyarrow.RecordBatchReader.from_batches(batch.schema, itertools.repeat(batch)))

    def test_threads(self):
        column, counts = pyarrow.array(TEXTS[:-1] * 4), []  # short texts: sanitizers make a long one take seconds

        def work():
            for _ in range(10):
                counts.append(pyarrow.record_batch(self.clf.arrow(column))["label"].null_count)
        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(counts, [8] * 80)


def setUpModule():
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job is started with Ctrl-C ignored, and Python leaves it so


if __name__ == "__main__":
    unittest.main(verbosity=2)
