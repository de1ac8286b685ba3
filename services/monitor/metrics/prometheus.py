"""Families of Prometheus metrics, named with our prefix; a value that nobody knows is left out.

A family is one metric name with its help text, and a value for each set of label values. Left out means
that there is no sample: 0 would be read as a measurement.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric, SummaryMetricFamily

PREFIX = "binance_streamer_"

Rows = Iterable[tuple[tuple[str, ...], float | None]]
"""Samples of a family: the values of its labels, and the number; None where the number is not known."""


One = TypeVar("One")
Table = Sequence[tuple[Callable[[str, str, tuple[str, ...], Rows], Metric], str, str, Callable[[One], float | None]]]
"""Families of things of one kind: `gauge` or `counter`, name, help text, and the number that a thing gives."""


def families(
    labels: tuple[str, ...], things: Iterable[tuple[tuple[str, ...], One]], table: Table[One]
) -> Iterator[Metric]:
    """Yield the families of a table, each with a sample of every thing; `things` are (values of the labels, thing)."""
    known = list(things)
    for make, name, text, number in table:
        yield make(name, text, labels, [(values, number(one)) for values, one in known])


def gauge(name: str, text: str, labels: tuple[str, ...], rows: Rows) -> Metric:
    """Make a family of values that go up and down; `rows` are (values of the labels, value).

    The values of the labels stand in the order of `labels`. True and False become 1 and 0.
    """
    return _filled(GaugeMetricFamily(PREFIX + name, text, labels=labels), rows)


def counter(name: str, text: str, labels: tuple[str, ...], rows: Rows) -> Metric:
    """Make a family of values that only grow, or begin anew; the client appends `_total` to the name.

    Where a process starts anew its counts begin at 0: `rate()` and `increase()` of Prometheus allow for that.
    """
    return _filled(CounterMetricFamily(PREFIX + name, text, labels=labels), rows)


def summary(name: str, text: str, rows: Iterable[tuple[tuple[str, ...], int, float]]) -> Metric:
    """Make a family of how often something was done, and how long all of it took; `rows` are (process, count,
    sum).

    The sum is in seconds. The mean over a time is `rate(…_sum) / rate(…_count)`; there are no quantiles.
    """
    family = SummaryMetricFamily(PREFIX + name, text, labels=("process",))
    for values, count, total in rows:
        family.add_metric(values, count_value=count, sum_value=total)
    return family


def _filled(family: GaugeMetricFamily | CounterMetricFamily, rows: Rows) -> Metric:
    """Add the rows to the family, without those whose value is None, and return it."""
    for values, number in rows:
        if number is not None:
            family.add_metric(values, number)
    return family
