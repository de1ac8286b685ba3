"""Latencies as counts: percentiles and a histogram of any number of them in bounded memory."""

import math
from collections import Counter
from itertools import accumulate

import msgspec

_STEPS_PER_MS = 100
"""Percentiles are exact to 0.01 ms; event times are whole milliseconds."""
EDGES_MS = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
"""Edges of the histogram's bins; below 0 lies what our clock, behind the exchange's, makes negative."""
_BARS = "▁▂▃▄▅▆▇█"


class Summary(msgspec.Struct, frozen=True):
    """Of one stream, in ms. `histogram` counts what lies below the first of EDGES_MS, between two, above the last."""

    count: int
    min_ms: float
    mean_ms: float
    median_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float
    histogram: tuple[int, ...]


class Distribution:
    """Takes latencies in ms one by one, and gives their summary.

    It keeps a count for each step of 0.01 ms that occurs: memory grows with the spread of latencies, not with their
    number.
    """

    def __init__(self) -> None:
        self.count = 0
        self._sum_ms = 0.0
        self._min_ms, self._max_ms = math.inf, -math.inf
        self._steps: Counter[int] = Counter()

    def add(self, latency_ms: float) -> None:
        """Count one latency, in ms."""
        self.count += 1
        self._sum_ms += latency_ms
        self._min_ms = min(self._min_ms, latency_ms)
        self._max_ms = max(self._max_ms, latency_ms)
        self._steps[round(latency_ms * _STEPS_PER_MS)] += 1

    def summary(self) -> Summary:
        """Return count, extremes, mean, percentiles and histogram; needs at least one latency."""
        ordered = sorted(self._steps.items())
        least_ms, most_ms = round(self._min_ms, 3), round(self._max_ms, 3)
        totals = list(accumulate(count for _, count in ordered))

        def percentile(share: float) -> float:
            """Return the least latency that at least this share of all does not exceed."""
            needed = math.ceil(self.count * share)
            place = next(number for number, total in enumerate(totals) if total >= needed)
            return min(max(least_ms, ordered[place][0] / _STEPS_PER_MS), most_ms)

        histogram = [0] * (len(EDGES_MS) + 1)
        for step, count in ordered:
            histogram[sum(step >= edge * _STEPS_PER_MS for edge in EDGES_MS)] += count
        return Summary(
            self.count,
            least_ms,
            round(self._sum_ms / self.count, 3),
            percentile(0.5),
            percentile(0.95),
            percentile(0.99),
            most_ms,
            tuple(histogram),
        )


def bars(histogram: tuple[int, ...]) -> str:
    """Draw a histogram in one line: a column per bin, the highest one full, none empty that has a count."""
    highest = max(histogram, default=0)
    return "".join(_BARS[max(0, math.ceil(count / highest * len(_BARS)) - 1)] if count else " " for count in histogram)
