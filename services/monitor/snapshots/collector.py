"""Takes every message off the bus, and makes a snapshot of everything once a second.

In: topic, frame and receive time of each message (`take`). Out: a `MonitorSnapshot` (`end_second`). No
socket and no clock: times are given, so that a test can give its own. Main thread only.

Statuses go to the observer, which the command line uses too; gaps to `TodaysGaps`; data of streams to
`Traffic`; tops of order books are kept as they are until the second ends.
"""

import msgspec

from binance_streamer.config.schema import Config, streams_of
from binance_streamer.exchange.streams import Stream, stream_of, suffix_of
from binance_streamer.health.gaps import gap_row
from binance_streamer.health.judge import SILENT_S
from binance_streamer.health.observer import Observer
from binance_streamer.health.snapshot import StreamSnapshot, SymbolSnapshot
from binance_streamer.wire.frames import WireError, decode_frame, encode_topic
from binance_streamer.wire.statuses import OrderbookStatus, Status, WriterStatus
from services.monitor.snapshots.market import market_of
from services.monitor.snapshots.page import BookTop, MonitorSnapshot, PageSnapshot, PageStream, PageSymbol
from services.monitor.snapshots.prices import BookMessages, price_of, spread_of
from services.monitor.snapshots.recorded_today import RecordedCounter
from services.monitor.snapshots.todays_gaps import TodaysGaps
from services.monitor.snapshots.traffic import NO_LATENCY, StreamTraffic, Traffic, topic_of

_FALLBACKS = {"depth@0ms": "depth@100ms"}
"""The stream that a worker records instead where the exchange does not deliver the first one."""
_RATE_S = 5
"""Seconds over which a stream's rate is averaged: shorter and the number jumps, longer and a stop is seen late."""


class Collector:
    """Fed with messages; a message of no configured symbol, stream or process leaves nothing behind.

    Of members of groups only statuses and gaps are taken: the data of 500 symbols would cost more than it tells.

    Memory is therefore bounded by the configuration, whatever strangers publish. `observer` judges health,
    `gaps` are those of today.
    """

    def __init__(self, config: Config, now_ns: int) -> None:
        """Make the tables by topic, once: each later message is found by one look-up. `now_ns` is the wall clock."""
        self.observer = Observer(config)
        self._config = self.observer.config
        streams = {symbol.symbol: _with_fallbacks(streams_of(symbol)) for symbol in config.named}
        self.gaps = TodaysGaps(_streams_by_symbol(self._config), now_ns)
        self._traffic = Traffic(stream for some in streams.values() for stream in some)
        self._recorded = RecordedCounter()
        self._books = {encode_topic("orderbook", symbol): BookMessages() for symbol in streams}

    @property
    def symbols(self) -> list[str]:
        """The symbols that are recorded now."""
        return [symbol.symbol for symbol in self._config.symbols]

    @property
    def topics(self) -> list[bytes]:
        """The prefixes to subscribe to.

        A subscription matches every topic that begins with it: what is more than was meant is sorted out in `take`.
        """
        return [b"status.", b"gap.", *self._books, *self._traffic.by_topic]

    def take(self, topic: bytes, frame: bytes, now_s: float) -> None:
        """Take in a message off the bus, received at `now_s` of a monotonic clock. Called for every message.

        The order is that of frequency: data of streams first, which needs no decoding, then books, then the few
        others. A status whose topic names another producer than its data is ignored: one process cannot speak for
        another by mistake. What cannot be decoded is counted as refused.
        """
        if self._traffic.take(topic, frame):
            return
        book = self._books.get(topic.removesuffix(b"summary"))
        if book is not None:
            book.received_s = now_s
            if topic.endswith(b"."):
                book.newest = frame
            return
        try:
            stream_type, data = decode_frame(frame)
            is_status = stream_type == "status" and topic == encode_topic("status", data["producer"])
        except WireError:
            self.observer.refused += 1
            return
        if is_status:
            self.observer.take(data, now_s)
        elif stream_type == "gap":
            row = gap_row(data)
            if row is not None:
                self.gaps.take(row)

    def end_second(self, now_s: float, now_ms: int) -> MonitorSnapshot:
        """End a second, and return the snapshot of now; call it once a second. `now_ms` is the wall clock.

        The order matters: the day is rolled before its gaps are listed, and rates are ended before they are shown.
        """
        if self._config is not (config := self.observer.config):
            self._config = config
            self.gaps.follow(_streams_by_symbol(config))
        self.gaps.roll(now_ms * 1_000_000)
        self._traffic.end_second(now_ms)
        return MonitorSnapshot(
            page=self._page(now_s, now_ms),
            statuses=self.observer.present(now_s),
            ended_gaps=dict(self.gaps.ended),
            refused=self.observer.refused,
            sampled=sum(one.sampled for one in self._traffic.by_topic.values()),
        )

    def _page(self, now_s: float, now_ms: int) -> PageSnapshot:
        """Make the page's snapshot: the observer's, with each symbol extended by its data on the bus."""
        snapshot = self.observer.snapshot(self.gaps.summary(), now_s, now_ms)
        present = self.observer.present(now_s)
        orderbook, writer = present.get("orderbook"), present.get("writer")
        symbols = tuple(
            self._symbol(symbol, self._book(symbol.symbol, orderbook, now_s)) for symbol in snapshot.symbols
        )
        return PageSnapshot(
            **msgspec.structs.asdict(snapshot) | {"symbols": symbols},
            recorded=self._recorded.of(writer if isinstance(writer, WriterStatus) else None, now_ms),
            series=self._traffic.series,
            newest_gaps=self.gaps.newest(),
            gaps_since_ms=self.gaps.since_ns // 1_000_000,
        )

    def _symbol(self, symbol: SymbolSnapshot, book: BookTop | None) -> PageSymbol:
        """Extend a symbol by its streams, price, spread and book; the streams keep their order."""
        seen = [
            self._traffic.by_topic.get(topic_of(stream_of(symbol.symbol, stream.stream))) for stream in symbol.streams
        ]
        streams = tuple(_stream(stream, one) for stream, one in zip(symbol.streams, seen, strict=True))
        traffic = [one for one in seen if one is not None]
        return PageSymbol(
            **msgspec.structs.asdict(symbol) | {"streams": streams},
            price=price_of(traffic),
            spread=spread_of(traffic, book),
            market=market_of(traffic),
            book=book,
        )

    def _book(self, symbol: str, orderbook: Status | None, now_s: float) -> BookTop | None:
        """Return the book of a symbol; None where nobody who keeps it is heard.

        Without an order book service of the configuration, shares may run under names of their own: their messages
        count, and are gone after two output intervals and the ten seconds that any process may be silent.
        """
        messages = self._books.get(encode_topic("orderbook", symbol))
        if messages is None:
            return None
        if not self._config.orderbook.enabled:
            return messages.of_share(2 * self._config.orderbook.output_interval + SILENT_S, now_s)
        book = orderbook.books.get(symbol) if isinstance(orderbook, OrderbookStatus) else None
        return None if orderbook is None or book is None else messages.of_service(book, orderbook.recv_ns)


def _with_fallbacks(streams: tuple[Stream, ...]) -> tuple[Stream, ...]:
    """Return the streams, and those that a worker may record in their place; each once.

    Without them a worker that has fallen back to the slower stream would look silent on the page.
    """
    found = dict.fromkeys(streams)
    for stream in streams:
        fallback = _FALLBACKS.get(suffix_of(stream.name))
        if fallback is not None:
            found[stream_of(stream.symbol, fallback)] = None
    return tuple(found)


def _streams_by_symbol(config: Config) -> dict[str, tuple[Stream, ...]]:
    return {symbol.symbol: _with_fallbacks(streams_of(symbol)) for symbol in config.symbols}


def _stream(stream: StreamSnapshot, seen: StreamTraffic | None) -> PageStream:
    """Extend a stream by its traffic. The rate is that of rows on the bus over 5 s.

    It is steadier than the second that a worker tells of; which it is where nothing of the stream is subscribed to.
    """
    if seen is None:
        return PageStream(**msgspec.structs.asdict(stream), bytes=0, rates=(), latency=NO_LATENCY)
    rates = tuple(seen.rates)
    return PageStream(
        **msgspec.structs.asdict(stream) | {"rate": sum(rates[-_RATE_S:]) / _RATE_S},
        bytes=seen.bytes,
        rates=rates,
        latency=seen.latency,
    )
