"""A bar with tqdm's habits: on stderr, only on a terminal unless it is asked for, silent under TQDM_DISABLE, ten times a second at most, left standing at its end."""
import os
import sys
import time

WIDTH, EACH_S = 30, 0.1


class Bar:
    def __init__(self, what, total, shown=None, unit="texts", clock=time.monotonic):
        """shown: None = where stderr is a terminal and TQDM_DISABLE is not set."""
        disabled = os.environ.get("TQDM_DISABLE", "").lower() not in ("", "0", "false")
        self._shown = shown if shown is not None else sys.stderr.isatty() and not disabled
        self._what, self._total, self._unit, self._clock = what, total, unit, clock
        self._done, self._begin, self._next = 0, clock(), 0.0

    def add(self, count):
        self._done += count
        now = self._clock()
        if self._shown and (now >= self._next or self._done >= self._total):
            self._next = now + EACH_S
            sys.stderr.write("\r" + self.text(now - self._begin))
            sys.stderr.flush()

    def text(self, seconds):
        part = self._done / self._total if self._total else 1.0
        rate = self._done / seconds if seconds > 0 else 0.0
        left = (self._total - self._done) / rate if rate else 0.0
        bar = "#" * round(part * WIDTH)
        return f"{self._what}: {part:4.0%}|{bar:{WIDTH}}| {self._done}/{self._total} [{_clock_time(seconds)}<{_clock_time(left)}, {rate:,.0f} {self._unit}/s]"

    def close(self):
        if self._shown:
            sys.stderr.write("\n")


def _clock_time(seconds):
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes:02}:{seconds:02}"
