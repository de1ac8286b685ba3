"""A snapshot as Prometheus metrics.

In: the newest `MonitorSnapshot` and its age. Out: a registry that the HTTP server encodes; it is made anew
for each scrape, so that a symbol or process that is gone leaves no old value behind.

Labels are names of configured symbols, streams and processes, routes, ordinals of connections, and states
that we name ourselves: their number is bounded by the configuration, whatever comes over the bus.
Prometheus keeps a time series for each set of label values, so that a label that strangers could choose
would fill its memory.
"""

from collections.abc import Iterable, Iterator
from itertools import accumulate

from prometheus_client import CollectorRegistry
from prometheus_client.core import HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from binance_streamer.config.schema import CONDITIONS
from binance_streamer.exchange.streams import suffix_of
from services.monitor.metrics.process_metrics import process_metrics
from services.monitor.metrics.prometheus import PREFIX, Table, counter, families, gauge
from services.monitor.snapshots.page import BookTop, LatencyHistogram, MonitorSnapshot, PageStream, PageSymbol
from services.monitor.snapshots.traffic import BUCKETS_S


def _price(symbol: PageSymbol) -> float | None:
    """Return the last price as a float, or None where it is not known or no number.

    Prometheus knows floats only, so that digits may be lost here. The recorded files keep the exchange's
    digits.
    """
    try:
        return None if symbol.price is None else float(symbol.price)
    except ValueError:
        return None


_STREAM: Table[PageStream] = (
    (counter, "messages", "Messages recorded, each once; since the start of its worker", lambda one: one.messages),
    (counter, "received_messages", "Messages received, copies of redundant connections too", lambda one: one.received),
    (counter, "bytes", "Bytes of frames on the bus, since the start of the monitor", lambda one: one.bytes),
    (
        counter,
        "raw_rows",
        "Messages that could not be read and are kept as they came, since the start of the writer",
        lambda one: one.raw,
    ),
    (gauge, "message_rate", "Messages a second, over 5 s", lambda one: one.rate),
    (gauge, "last_message_age_seconds", "Since the last one", lambda one: one.age_s),
    (
        gauge,
        "stream_recorded",
        "1 if the stream is being recorded, or nothing is expected of it",
        lambda one: not one.why,
    ),
    (gauge, "gaps_today", "Gaps of today (UTC)", lambda one: one.gaps.listed),
    (
        gauge,
        "missed_messages_today",
        "Messages that today's gaps miss and that are not repaired, where ids count them",
        lambda one: one.gaps.missing_messages,
    ),
)
_SYMBOL: Table[PageSymbol] = (
    (
        gauge,
        "symbol_trading",
        "1 if the exchange has the symbol TRADING and its market is open; else its silence is expected",
        lambda one: one.status == "TRADING",
    ),
    (
        gauge,
        "symbol_gaps_today",
        "Gaps of today in any stream of the symbol, our own records too",
        lambda one: one.gaps.listed,
    ),
    (gauge, "price", "Last price, as a float", _price),
)
_BOOK: Table[BookTop] = (
    (gauge, "book_valid", "1 if the local order book is proven right", lambda one: one.valid),
    (counter, "book_resyncs", "Times the book was built anew", lambda one: one.resyncs),
    (counter, "book_audits_passed", "Audits that the book passed", lambda one: one.audits_passed),
    (counter, "book_audits_failed", "Audits that the book failed", lambda one: one.audits_failed),
)


def registry_of(snapshot: MonitorSnapshot | None, age_s: float) -> CollectorRegistry:
    """Return a registry with the metrics of the snapshot and nothing else.

    `age_s` are the seconds since the snapshot was made. It is a metric of its own: where the monitor stands
    still, all other values keep looking well. `snapshot` None: nothing was heard yet, and the age is the only
    metric.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(snapshot, age_s))
    return registry


class _Collector(Collector):
    """Gives the metrics of one snapshot to the registry that asks for them."""

    def __init__(self, snapshot: MonitorSnapshot | None, age_s: float) -> None:
        self._snapshot = snapshot
        self._age_s = age_s

    def describe(self) -> Iterable[Metric]:
        """Return nothing: the registry then does not collect once just to learn the names, and checks no duplicates."""
        return []

    def collect(self) -> Iterable[Metric]:
        """Yield all families; called once per scrape, in a thread of the HTTP server."""
        yield gauge("snapshot_age_seconds", "Since the monitor last looked at the bus", (), [((), self._age_s)])
        if self._snapshot is None:
            return
        symbols = self._snapshot.page.symbols
        yield from _recorder(self._snapshot)
        yield from families(("symbol",), [((one.symbol,), one) for one in symbols], _SYMBOL)
        yield from families(("symbol",), [((one.symbol,), one.book) for one in symbols if one.book], _BOOK)
        yield from _streams(self._snapshot)
        yield from process_metrics(self._snapshot)


def _recorder(snapshot: MonitorSnapshot) -> Iterator[Metric]:
    """Yield the metrics of the recorder as a whole: health, problems, refused messages.

    Every pair of condition and severity has a value, 0 where there is no such problem: an alert rule that
    compares with 0 finds nothing to compare with where a series is missing.
    """
    page = snapshot.page
    yield gauge("healthy", "1 if every configured stream is being recorded", (), [((), page.healthy)])
    pairs = [(problem.condition, problem.severity) for problem in page.problems]
    yield gauge(
        "problems",
        "Problems by condition; see docs/monitoring.md",
        ("condition", "severity"),
        [
            ((condition, severity), pairs.count((condition, severity)))
            for condition in CONDITIONS
            for severity in ("failure", "warning")
        ],
    )
    yield counter("refused_messages", "Messages on the bus that broke the contract", (), [((), snapshot.refused)])


def _streams(snapshot: MonitorSnapshot) -> Iterator[Metric]:
    """Yield the metrics that every stream has: counts, rate, age, state, gaps, and latencies as a histogram.

    Counters begin at 0 with the process that counts: messages with the worker, bytes with the monitor, raw rows
    with the writer. Prometheus takes a smaller value for a restart. `stream_recorded` is 1 also where silence
    is expected: it tells of loss, not of traffic.

    Gaps that ended are a counter, those of today gauges. A rate can be taken of the counter alone: what is of today
    falls to 0 at midnight UTC. Streams without a gap are listed with 0, so that the first gap is seen as an increase.
    """
    labels = ("symbol", "stream")
    streams = {(symbol.symbol, one.stream): one for symbol in snapshot.page.symbols for one in symbol.streams}
    yield from families(labels, streams.items(), _STREAM)
    ended = {(symbol, suffix_of(name)): count for (symbol, name), count in snapshot.ended_gaps.items()}
    gaps = {**dict.fromkeys(streams, 0), **ended}
    yield counter("gaps", "Gaps that ended since the start of the monitor", labels, gaps.items())
    family = HistogramMetricFamily(
        PREFIX + "latency_seconds",
        "Receive time minus event time of a sample of the messages: two clocks, may be negative",
        labels=labels,
    )
    for key, one in streams.items():
        family.add_metric(key, _buckets(one.latency), one.latency.sum_s)
    yield family


def _buckets(latency: LatencyHistogram) -> list[tuple[str, float]]:
    """Return (upper bound, count of all samples up to it) pairs, the last bound `+Inf`.

    Prometheus' buckets are cumulative, ours are not: hence the running sum.
    """
    bounds = [*map(str, BUCKETS_S), "+Inf"]
    return list(zip(bounds, accumulate(latency.counts), strict=True))
