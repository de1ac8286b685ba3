"""Everything that the monitor knows, out of what came over the bus; a snapshot of it every second."""

from typing import Any

from binance_streamer.config.schema import Config, streams_of
from binance_streamer.exchange.streams import Stream, stream_of, suffix_of
from binance_streamer.health.judge import SILENT_S, Disk, Health, disk_of, recorded_stream, stream_state, trading_status
from binance_streamer.health.observer import Observer
from binance_streamer.wire.frames import WireError, decode_frame, encode_topic
from binance_streamer.wire.statuses import IngestStatus, OrderbookStatus, RestStatus, Status, StreamStatus, WriterStatus
from services.monitor.view.gaps import GapCount, TodaysGaps, gap_of
from services.monitor.view.picture import (
    BookPart,
    ClockPart,
    DiskPart,
    Picture,
    ProblemPart,
    Snapshot,
    StreamPart,
    SymbolPart,
    WeightPart,
)
from services.monitor.view.prices import BookLane, price_of, spread_of
from services.monitor.view.processes import Processes
from services.monitor.view.traffic import Lane, Traffic, topic_of

_FALLBACKS = {"depth@0ms": "depth@100ms"}


class View:
    """Fed with messages; what is of no configured symbol, stream or process leaves nothing behind."""

    def __init__(self, config: Config, now_ns: int) -> None:
        self._config = config
        self._streams = {symbol.symbol: streams_of(symbol) for symbol in config.symbols}
        self.observer = Observer(config)
        self.processes = Processes(config)
        self.gaps = TodaysGaps(
            {symbol: set(_with_fallbacks(streams)) for symbol, streams in self._streams.items()}, now_ns
        )
        self._traffic = Traffic(stream for streams in self._streams.values() for stream in _with_fallbacks(streams))
        self._books = {encode_topic("orderbook", symbol): BookLane() for symbol in self._streams}

    @property
    def topics(self) -> list[bytes]:
        """What to subscribe to."""
        return [b"status.", b"gap.", *self._books, *self._traffic.lanes]

    def take(self, topic: bytes, frame: bytes, now_s: float) -> None:
        """A message off the bus."""
        if self._traffic.take(topic, frame):
            return
        book = self._books.get(topic.removesuffix(b"summary"))
        if book is not None:
            book.heard_s = now_s
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
            self._take_status(data, now_s)
        elif stream_type == "gap":
            gap = gap_of(data)
            if gap is not None:
                self.gaps.take(gap)

    def second(self, now_s: float, now_ms: int) -> Snapshot:
        """A second has passed: the picture now."""
        self.gaps.roll(now_ms * 1_000_000)
        self._traffic.second(now_ms)
        health = self.observer.health(now_s, now_ms)
        return Snapshot(
            picture=self._picture(health, now_s, now_ms),
            statuses=self.observer.present(now_s),
            gaps_seen=dict(self.gaps.seen),
            refused=self.observer.refused,
            sampled=sum(lane.sampled for lane in self._traffic.lanes.values()),
        )

    def _take_status(self, data: dict[str, Any], now_s: float) -> None:
        status = self.observer.take(data, now_s)
        if status is not None:
            self.processes.take(status)

    def _picture(self, health: Health, now_s: float, now_ms: int) -> Picture:
        present = self.observer.present(now_s)
        writer, rest = present.get("writer"), present.get("rest")
        return Picture(
            time_ms=now_ms,
            mode=self._config.mode,
            healthy=health.healthy,
            problems=tuple(
                ProblemPart(
                    what=one.what, why=one.why, since_ms=one.since_ms, condition=one.condition, severity=one.severity
                )
                for one in health.problems
            ),
            symbols=self._symbols(present, now_s, now_ms),
            processes=self.processes.parts(present),
            series=self._traffic.series,
            gaps=self.gaps.newest(),
            gaps_since_ms=self.gaps.since_ns // 1_000_000,
            disk=self._disk(disk_of(writer) if isinstance(writer, WriterStatus) else None),
            clock=_clock(rest if isinstance(rest, RestStatus) else None),
            weight=_weight(rest if isinstance(rest, RestStatus) else None),
        )

    def _symbols(self, present: dict[str, Status], now_s: float, now_ms: int) -> tuple[SymbolPart, ...]:
        counts = self.gaps.counts()
        return tuple(
            self._symbol(
                symbol,
                present,
                {key[1]: count for key, count in counts.items() if key[0] == symbol},
                self._book(symbol, present.get("orderbook"), now_s),
                now_ms=now_ms,
            )
            for symbol in self._streams
        )

    def _book(self, symbol: str, service: Status | None, now_s: float) -> BookPart | None:
        """None where nobody who keeps it is heard."""
        lane = self._books[encode_topic("orderbook", symbol)]
        if not self._config.orderbook.enabled:
            return lane.of_share(2 * self._config.orderbook.output_interval + SILENT_S, now_s)
        told = service.books.get(symbol) if isinstance(service, OrderbookStatus) else None
        return None if service is None or told is None else lane.of_service(told, service.recv_ns)

    def _symbol(
        self,
        symbol: str,
        present: dict[str, Status],
        counts: dict[str, GapCount],
        book: BookPart | None,
        *,
        now_ms: int,
    ) -> SymbolPart:
        trading = trading_status(symbol, present)
        told = present.get(f"ingest-{symbol}")
        ingest = told if isinstance(told, IngestStatus) else None
        recorded = dict.fromkeys(
            recorded_stream(stream, ingest) if ingest else stream for stream in self._streams[symbol]
        )
        lanes = [self._traffic.lanes[topic_of(stream)] for stream in recorded]
        return SymbolPart(
            symbol=symbol,
            status=trading,
            price=price_of(lanes),
            spread=spread_of(lanes, book),
            book=book,
            gaps_today=sum(count.gaps for count in counts.values()),
            missed_today=sum(count.missed for count in counts.values()),
            streams=tuple(
                _stream(lane, ingest, trading, counts.get(lane.stream.name, GapCount()), now_ms=now_ms)
                for lane in lanes
            ),
        )

    def _disk(self, disk: Disk | None) -> DiskPart | None:
        return None if disk is None else DiskPart(path=self._config.storage.output_directory, **disk._asdict())


def _with_fallbacks(streams: tuple[Stream, ...]) -> dict[Stream, None]:
    """The streams, and those that a worker may record in their place; each once."""
    found = dict.fromkeys(streams)
    for stream in streams:
        fallback = _FALLBACKS.get(suffix_of(stream.name))
        if fallback is not None:
            found[stream_of(stream.symbol, fallback)] = None
    return found


def _stream(lane: Lane, ingest: IngestStatus | None, trading: str, count: GapCount, *, now_ms: int) -> StreamPart:
    stream = lane.stream
    told = ingest.streams.get(stream.name, StreamStatus()) if ingest else StreamStatus()
    found = stream_state(stream, ingest, trading) if ingest else None
    age_s = None if told.last_recv_ns is None else max(0.0, round(now_ms / 1000 - told.last_recv_ns / 1e9, 3))
    return StreamPart(
        stream=suffix_of(stream.name),
        state=found.state if found else "unknown",
        why=found.why if found else "its worker says nothing",
        rate=sum(list(lane.rates)[-5:]) / 5,
        messages=told.rows,
        received=told.messages,
        bytes=lane.bytes,
        age_s=age_s,
        latency_ms=None if told.latency_ms is None else round(told.latency_ms, 3),
        gaps=count.gaps,
        missed=count.missed,
        rates=tuple(lane.rates),
        latency=lane.latency,
    )


def _clock(rest: RestStatus | None) -> ClockPart:
    if rest is None:
        return ClockPart(offset_ms=None, error_ms=None)
    return ClockPart(offset_ms=rest.clock_offset_ms, error_ms=rest.clock_error_ms)


def _weight(rest: RestStatus | None) -> WeightPart:
    if rest is None:
        return WeightPart(used=0, limit=0, stand_down_s=0.0)
    return WeightPart(used=rest.used_weight, limit=rest.weight_limit, stand_down_s=rest.stand_down_s)
