"""The planner of breakeven.ray: pure functions, and whole jobs in virtual time."""
import itertools
import math
import pathlib
import random
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "python"))
from breakeven._placement import DeviceClass, dry_run, one_is_enough, place, shard_rows, simulate, worth_starting  # noqa: E402


class Placement(unittest.TestCase):
    def test_the_cheapest_that_keep_a_deadline(self):
        """Against all combinations there are."""
        chance = random.Random(1)
        for _ in range(300):
            classes = [DeviceClass(name, chance.uniform(50, 20_000), chance.randint(0, 6), chance.uniform(0.05, 4)) for name in "abc"[: chance.randint(1, 3)]]
            texts, deadline = chance.randint(10**5, 10**8), chance.uniform(600, 36_000)
            best = min((sum(count * each.price for count, each in zip(counts, classes)) * texts / rate / 3600
                        for counts in itertools.product(*(range(each.cap + 1) for each in classes))
                        if (rate := sum(count * each.rate for count, each in zip(counts, classes))) * deadline >= texts * (1 - 1e-9)), default=None)
            if all(each.cap == 0 for each in classes):
                continue
            found = place(classes, texts, deadline)
            self.assertEqual(found.in_time, best is not None)
            for each in classes:
                self.assertLessEqual(found.counts[each.name], each.cap)
            if best is None:
                self.assertEqual(found.counts, {each.name: each.cap for each in classes})
            else:
                # Whole workers: what the last one does too fast costs at most its own hour's share.
                self.assertLessEqual(found.cost, best * 1.05 + max(each.price for each in classes) * found.seconds / 3600 / 3)

    def test_a_deadline_that_is_over_is_not_kept_however_little_is_left(self):
        classes = [DeviceClass("cpu", 1000.0, 3, 0.2), DeviceClass("gpu", 9000.0, 1, 2.0)]
        for gone_s in (0.0, -0.5):
            found = place(classes, 10, gone_s)
            self.assertEqual((found.counts, found.in_time), ({"cpu": 3, "gpu": 1}, False))

    def test_without_a_deadline_all_work(self):
        found = place([DeviceClass("cpu", 300, 40), DeviceClass("gpu", 17_000, 3)], 10**8)
        self.assertEqual((found.counts, found.cost), ({"cpu": 40, "gpu": 3}, None))
        self.assertAlmostEqual(found.seconds, 10**8 / 63_000)
        with self.assertRaises(ValueError):
            place([], 1)

    def test_a_mix_only_where_the_cheap_class_is_capped(self):
        gpu, cpu = DeviceClass("gpu", 17_000, 8, 0.53), DeviceClass("cpu", 300, 400, 0.19)
        self.assertEqual(place([gpu, cpu], 300_000_000, 3 * 3600).counts, {"gpu": 2, "cpu": 0})
        self.assertEqual(place([gpu, cpu], 300_000_000, 2100).counts["gpu"], 8)
        self.assertGreater(place([gpu, cpu], 300_000_000, 2100).counts["cpu"], 0)

    def test_one_machine(self):
        gpu, cpu = DeviceClass("gpu", 17_000, 1, 0.53), DeviceClass("cpu", 300, 9, 0.19)
        self.assertEqual(one_is_enough([gpu, cpu], 300_000_000, 6 * 3600).name, "gpu")
        self.assertIsNone(one_is_enough([gpu, cpu], 300_000_000, 3600))
        self.assertIsNone(one_is_enough([gpu, cpu], 300, None))
        rows = dry_run([gpu, cpu], 3_000_000)
        self.assertEqual([(name, count) for name, count, _, _ in rows], [("gpu", 1), ("cpu", 1), ("cpu", 2), ("cpu", 4), ("cpu", 8), ("cpu", 9)])
        self.assertAlmostEqual(rows[1][2], 10_000)
        self.assertAlmostEqual(rows[1][3], 10_000 / 3600 * 0.19)


class VirtualTime(unittest.TestCase):
    def test_jobs_of_one_to_a_thousand_workers(self):
        chance = random.Random(2)
        for workers in (1, 2, 3, 5, 10, 30, 100, 300, 1000):
            for cpu_share in (0.0, 0.5, 0.9, 1.0):
                rates = [300.0 * chance.uniform(0.9, 1) if i < cpu_share * workers else 17_000.0 for i in range(workers)]
                bound_s = 1000
                texts = int(sum(rates) * bound_s)
                rows = shard_rows(min(rates), texts, workers)
                finish, tail = simulate(rates, rows, texts)
                self.assertLessEqual(finish, 1.05 * texts / sum(rates), (workers, cpu_share))
                self.assertLessEqual(tail, rows / min(rates), (workers, cpu_share))
                # A tenth of the nodes is half as fast as its kind, and nobody knows.
                slow = {worker for worker in range(workers) if chance.random() < 0.1}
                finish, tail = simulate(rates, rows, texts, lambda worker, _: 2.0 if worker in slow else 1.0)
                real = [rate / 2 if worker in slow else rate for worker, rate in enumerate(rates)]
                self.assertLessEqual(finish, 1.05 * texts / sum(real), (workers, cpu_share))
                self.assertLessEqual(tail, rows / min(real), (workers, cpu_share))

    def test_a_slow_worker_does_not_hold_up_the_end(self):
        self.assertTrue(worth_starting(300, 6000, 0, 0, 0))  # nobody is faster
        self.assertFalse(worth_starting(300, 6000, 6000, 17_000, 17_000))
        self.assertTrue(worth_starting(300, 6000, 10**7, 17_000, 17_000))
        finish, _ = simulate([10.0, 1000.0], 1000, 5000)
        self.assertAlmostEqual(finish, 5)

    def test_shards(self):
        self.assertEqual(shard_rows(300, 10**9, 100), 6000)
        self.assertEqual(shard_rows(17_000, 10**12, 10), 100_000)
        self.assertEqual(shard_rows(1, 10**9, 10), 500)
        self.assertEqual(shard_rows(300, 10**6, 10), 2500)
        self.assertTrue(math.isfinite(simulate([1.0], 500, 1)[0]))


if __name__ == "__main__":
    unittest.main()
