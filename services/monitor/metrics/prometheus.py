"""Families of Prometheus metrics, named with our prefix; a value that nobody knows is left out."""

from collections.abc import Iterable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric, SummaryMetricFamily

PREFIX = "binance_streamer_"

Rows = Iterable[tuple[tuple[str, ...], float | None]]


def gauge(name: str, text: str, labels: tuple[str, ...], rows: Rows) -> Metric:
    """Make a family of values that go up and down; `rows` are (values of the labels, value)."""
    return _filled(GaugeMetricFamily(PREFIX + name, text, labels=labels), rows)


def counter(name: str, text: str, labels: tuple[str, ...], rows: Rows) -> Metric:
    """Make a family of values that only grow, or begin anew; the client appends `_total` to the name."""
    return _filled(CounterMetricFamily(PREFIX + name, text, labels=labels), rows)


def summary(name: str, text: str, rows: Iterable[tuple[tuple[str, ...], int, float]]) -> Metric:
    """Make a family of how often something was done, and how long all of it took; `rows` are (process, count, sum)."""
    family = SummaryMetricFamily(PREFIX + name, text, labels=("process",))
    for values, count, total in rows:
        family.add_metric(values, count_value=count, sum_value=total)
    return family


def _filled(family: GaugeMetricFamily | CounterMetricFamily, rows: Rows) -> Metric:
    for values, number in rows:
        if number is not None:
            family.add_metric(values, number)
    return family
