"""Metric families with our prefix; a value that nobody knows is left out."""

from collections.abc import Iterable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric, SummaryMetricFamily

PREFIX = "binance_streamer_"

Rows = Iterable[tuple[tuple[str, ...], float | None]]


def gauge(name: str, text: str, labels: tuple[str, ...], rows: Rows) -> Metric:
    """What goes up and down."""
    family = GaugeMetricFamily(PREFIX + name, text, labels=labels)
    for values, number in rows:
        if number is not None:
            family.add_metric(values, number)
    return family


def counter(name: str, text: str, labels: tuple[str, ...], rows: Rows) -> Metric:
    """What only grows, or begins anew; `_total` is appended to the name."""
    family = CounterMetricFamily(PREFIX + name, text, labels=labels)
    for values, number in rows:
        if number is not None:
            family.add_metric(values, number)
    return family


def summary(name: str, text: str, rows: Iterable[tuple[tuple[str, ...], int, float]]) -> Metric:
    """How often, and how long together, per process."""
    family = SummaryMetricFamily(PREFIX + name, text, labels=("process",))
    for values, count, total in rows:
        family.add_metric(values, count_value=count, sum_value=total)
    return family
