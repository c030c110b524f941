"""Which machines a job takes, and who does which shard: pure functions of rates, prices and a deadline, tested in virtual time."""
import dataclasses
import heapq
import itertools
import math

SHARD_S, LEAST_ROWS, MOST_ROWS, SHARDS_A_WORKER = 20, 500, 100_000, 40


@dataclasses.dataclass(frozen=True)
class DeviceClass:
    """Workers that are alike: rate in texts a second and price an hour, of one; cap: how many there are."""
    name: str
    rate: float
    cap: int
    price: float | None = None

    def cost_of(self, texts):
        return None if self.price is None else texts / self.rate / 3600 * self.price


@dataclasses.dataclass(frozen=True)
class Placement:
    counts: dict  # of workers by class
    seconds: float  # until all texts are done
    cost: float | None  # None: a price is not known
    in_time: bool


def shard_rows(slowest_rate, texts, workers):
    """Rows of a shard: 20 seconds of the slowest class, and 40 shards a worker, as far as that is no fewer than 500."""
    return int(max(LEAST_ROWS, min(slowest_rate * SHARD_S, texts / (workers * SHARDS_A_WORKER), MOST_ROWS)))


def cost_of(classes, counts, seconds):
    used = [each for each in classes if counts.get(each.name)]
    if any(each.price is None for each in used):
        return None
    return sum(counts[each.name] * each.price for each in used) * seconds / 3600


def placement(classes, counts, texts, deadline_s=None):
    rate = sum(each.rate * counts.get(each.name, 0) for each in classes)
    seconds = texts / rate if rate else math.inf
    return Placement(dict(counts), seconds, cost_of(classes, counts, seconds), deadline_s is None or seconds <= deadline_s)


def place(classes, texts, deadline_s=None):
    """Without a deadline, or behind it, all workers. With one the cheapest that keep it: the class with the lowest cost a text up to its cap, then the next; a mix
    pays only where the cheap class is capped. Without prices a class counts as cheap as it is slow: the fewest workers.
    """
    if not classes:
        raise ValueError("there is no worker")
    everything = {each.name: each.cap for each in classes}
    if deadline_s is None or deadline_s <= 0:
        return placement(classes, everything, texts, deadline_s)
    needed = texts / deadline_s
    priced = all(each.price is not None for each in classes)
    order = sorted(classes, key=lambda each: (each.price / each.rate, -each.rate) if priced else (0, -each.rate))
    best = None
    # The last class of the order may be skipped over: one dear worker can be cheaper than many cheap ones that are mostly idle.
    for kept in itertools.product((True, False), repeat=min(len(order), 8)):
        counts, rate = {}, 0.0
        for each, keep in zip(order, kept):
            missing = needed - rate
            counts[each.name] = min(each.cap, math.ceil(missing / each.rate - 1e-9)) if keep and missing > 1e-9 else 0
            rate += counts[each.name] * each.rate
        if rate + 1e-9 < needed:
            continue
        for each in sorted(order, key=lambda each: each.rate):  # what the last one made superfluous
            while counts[each.name] and rate - each.rate >= needed - 1e-9:
                counts[each.name] -= 1
                rate -= each.rate
        found = placement(classes, counts, texts, deadline_s)
        rank = (found.cost if priced else sum(counts.values()), found.seconds)
        if best is None or rank < best[0]:
            best = rank, found
    return best[1] if best else placement(classes, everything, texts, deadline_s)


def one_is_enough(classes, texts, deadline_s):
    """The cheapest class one worker of which keeps the deadline, or None."""
    able = [each for each in classes if each.cap and deadline_s is not None and texts / each.rate <= deadline_s]
    return min(able, key=lambda each: (each.cost_of(texts) if each.price is not None else math.inf, texts / each.rate), default=None)


def dry_run(classes, texts):
    """-> rows of (class, machines, seconds, cost) for 1, 2, 4, 8 ... machines of each class, up to what there is."""
    rows = []
    for each in classes:
        count = 1
        while count < 2 * each.cap:
            count = min(count, each.cap)
            seconds = texts / each.rate / count
            rows.append((each.name, count, seconds, cost_of([each], {each.name: count}, seconds)))
            count *= 2
    return rows


def worth_starting(rate, rows, left_rows, faster_sum, fastest):
    """Whether a worker of this rate should take a shard of so many rows: not where the faster ones (the sum of their rates, the highest) do all that
    is left, this shard included, before it were done.
    """
    return not faster_sum or rows / rate <= left_rows / faster_sum + rows / fastest


def simulate(rates, rows, texts, slow_down=lambda worker, shard: 1.0):
    """Virtual time: workers of these rates do all shards of `rows` -> (seconds until the last one is done, seconds that the first waits for it)."""
    left = [rows] * (texts // rows) + ([texts % rows] if texts % rows else [])
    left.reverse()
    left_rows, idle, ends = texts, [], [0.0] * len(rates)
    events = [(0.0, worker) for worker in range(len(rates))]
    heapq.heapify(events)
    by_rate = sorted(rates)
    suffix = list(itertools.accumulate(reversed(by_rate)))[::-1]
    while events:
        now, worker = heapq.heappop(events)
        if not left:
            continue
        first_faster = next_above(by_rate, rates[worker])
        faster_sum = suffix[first_faster] if first_faster < len(by_rate) else 0
        if not worth_starting(rates[worker], left[-1], left_rows, faster_sum, by_rate[-1]):
            idle.append(worker)
            continue
        shard = left.pop()
        left_rows -= shard
        ends[worker] = now + shard / rates[worker] * slow_down(worker, len(left))
        heapq.heappush(events, (ends[worker], worker))
    finish = max(ends)
    return finish, finish - min((end for worker, end in enumerate(ends) if worker not in set(idle)), default=finish)


def next_above(ordered, value):
    low, high = 0, len(ordered)
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if ordered[middle] <= value else (low, middle)
    return low
