"""From messages to what is journalled: routing, continuity and copies over all streams of a symbol. Pure.

Every message ends in exactly one way: a row, a repeat that is counted, or a raw row with the reason why it is none.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, Protocol

from binance_streamer.exchange import EventReader, ExchangeError, Reading, Stream, has_ids
from services.ingest import routing
from services.ingest.continuity import Arrival, Chain, Outcome
from services.ingest.holes import Holes
from services.ingest.reports import Delivered
from services.ingest.unlinked import Bars, Unlinked
from services.runtime.gaps import Draft, Gap, gap_draft
from services.runtime.segments import LastRow

OVERLAP_S = 1.0
"""A connection that has been delivering for less may have been opened behind a message in flight on another one."""
QUIET_S = 30.0
_IDS_GROW = frozenset({"bookticker", "partialdepth"})
_BARS = frozenset({"kline", "continuouskline"})

_LARGEST_ID = 2**53  # the exchange's ids are for clients whose integers are doubles; the largest seen is 1.2e13
_YEAR_2100_MS = 4_102_444_800_000
_DAY_MS = 86_400_000
_NO_READING = Reading(None, None, 0)


class Tracker(Protocol):
    """What Chain, Unlinked and Bars have in common."""

    @property
    def newest(self) -> int | None: ...
    @property
    def held(self) -> int: ...
    def offer(self, arrival: Arrival, now_s: float) -> Iterable[Outcome]: ...
    def expire(self, now_s: float) -> Iterable[Outcome]: ...
    def forget(self, connection: int, now_s: float) -> Iterable[Outcome]: ...
    def lost(self, reason: str) -> Iterable[Outcome]: ...
    def covers(self, connection: int) -> bool: ...
    def has_entered(self, connection: int) -> bool: ...


class Anchor(NamedTuple):
    """The order book of this stream begins anew: a snapshot with at least this id is wanted."""

    last_update_id: int
    reason: str


class Feed:
    """One stream, its continuity and its counts."""

    def __init__(self, stream: Stream, holes: Holes, last_row: LastRow | None) -> None:
        self.stream = stream
        self.tracker = _tracker(stream, holes, last_row)
        self._holes = holes
        self.read = EventReader(stream).read
        self.messages = self.rows = self.raw = 0
        self.heard_s: dict[int, float] = {}
        """By connection: when it last delivered a message of the stream, a repeat too."""
        self.recorded_s = self.told_s = 0.0
        self.last: Arrival | None = None
        self.is_anchored = stream.stream_type != "depth"

    @property
    def gaps(self) -> int:
        """Gaps listed so far."""
        return self._holes.count

    @property
    def repeats(self) -> int:
        """Messages that were there already."""
        return self.messages - self.rows - self.tracker.held


class Recorder:
    """All streams of one symbol. What it decides waits in `collect` and `anchors`."""

    def __init__(
        self,
        symbol: str,
        streams: Iterable[Stream],
        *,
        last_rows: Mapping[str, LastRow],
        new_gap_id: Callable[[], str],
    ) -> None:
        self.refused: Counter[str] = Counter()
        """By kind: messages that became raw rows."""
        self.first_arrivals: Counter[int] = Counter()
        """By connection: the rows that came over it first."""
        self.lag_ms: dict[int, float] = {}
        """By connection: how much later than the first copy of a row its own last came."""
        self.anchors: list[Anchor] = []
        self.shutdowns: set[int] = set()
        """Connections over which the exchange announced their end."""
        self.feeds: dict[str, Feed] = {}
        self._by_name: dict[bytes, Feed] = {}
        self._symbol = symbol
        self._last_rows = last_rows
        self._new_gap_id = new_gap_id
        self._drafts: list[Draft] = []
        self._gaps: dict[str, Gap] = {}
        for stream in streams:
            self.add(stream)

    def add(self, stream: Stream) -> None:
        """Record this stream too, from where the last run ended."""
        holes = Holes(stream, self._new_gap_id)
        feed = Feed(stream, holes, self._last_rows.get(stream.name))
        self.feeds[stream.name] = self._by_name[stream.name.encode()] = feed

    def remove(self, stream: Stream) -> None:
        """Record this stream no more."""
        del self.feeds[stream.name], self._by_name[stream.name.encode()]

    @property
    def is_holding(self) -> bool:
        """Whether messages wait for others, so that `expire` must be called soon."""
        return any(feed.tracker.held for feed in self.feeds.values())

    def deliver(self, delivered: Delivered, now_s: float) -> None:
        """Take the messages of one recv."""
        connection = delivered.connection
        latest_ms = delivered.recv_ns // 1_000_000 + _DAY_MS
        for recv_ns, message in enumerate(delivered.messages, delivered.recv_ns):
            routed = routing.route(message)
            feed = self._by_name.get(routed.name) if routed is not None else None
            if routed is None or feed is None:
                arrival = Arrival(connection, recv_ns, message, _NO_READING)
                self._take_unroutable(arrival, routed.name if routed is not None else None)
                continue
            try:
                reading = feed.read(routed.event)
                if not 0 <= reading.event_time_ms <= latest_ms or not 0 <= (reading.last_id or 0) <= _LARGEST_ID:
                    reading = _plausible(reading, latest_ms)
            except ExchangeError as error:
                feed.raw += 1
                self._take_raw(Arrival(connection, recv_ns, routed.event, _NO_READING), feed.stream.name, str(error))
                continue
            feed.messages += 1
            feed.heard_s[connection] = now_s
            outcomes = feed.tracker.offer(Arrival(connection, recv_ns, routed.event, reading), now_s)
            if outcomes:
                self._take(feed, outcomes, now_s)
            elif feed.last is not None and feed.last.event == routed.event:
                self.lag_ms[connection] = (recv_ns - feed.last.recv_ns) / 1e6

    def expire(self, now_s: float) -> None:
        """Give up what has been waited for long enough."""
        for feed in self.feeds.values():
            self._take(feed, feed.tracker.expire(now_s), now_s)

    def ended(self, connection: int, route: str, others: Mapping[int, float], *, reason: str, now_s: float) -> None:
        """A connection is gone. `others`: the route's other ones, and since when they have been delivering.

        A stream that none of them is known to have had without a break gets a gap, where its next row shows one.
        """
        for feed in self._of(route):
            is_covered = _is_covered(feed, connection, others, now_s)
            self._take(feed, feed.tracker.forget(connection, now_s), now_s)
            feed.heard_s.pop(connection, None)
            if not is_covered:
                self._take(feed, feed.tracker.lost(reason), now_s)
                feed.is_anchored = feed.stream.stream_type != "depth"
        self.lag_ms.pop(connection, None)
        self.first_arrivals.pop(connection, None)

    def lost(self, route: str, reason: str, now_s: float) -> None:
        """Messages of the route were thrown away."""
        for feed in self._of(route):
            self._take(feed, feed.tracker.lost(reason), now_s)

    def takes_over(self, old: int, new: int, now_s: float) -> bool:
        """Whether the old connection may be closed: the new one is proven on every stream that is not quiet."""
        for feed in self.feeds.values():
            if feed.tracker.covers(new):
                continue
            if feed.tracker.has_entered(new) or now_s - feed.heard_s.get(old, -QUIET_S - now_s) < QUIET_S:
                return False
        return True

    def collect(self, recv_ns: int) -> list[Draft]:
        """What is to be journalled since the last call. Of a gap that changed meanwhile only the last state is told."""
        drafts, self._drafts = self._drafts, []
        if self._gaps:
            drafts += [gap_draft(gap, recv_ns) for gap in self._gaps.values()]
            self._gaps = {}
        return drafts

    def _of(self, route: str) -> list[Feed]:
        return [feed for feed in self.feeds.values() if feed.stream.route == route]

    def _take(self, feed: Feed, outcomes: Iterable[Outcome], now_s: float) -> None:
        stream = feed.stream
        for outcome in outcomes:
            if isinstance(outcome, Gap):
                self._gaps[outcome.gap_id] = outcome
                if stream.stream_type == "depth" and outcome.to_id is not None:
                    self.anchors.append(Anchor(outcome.to_id, outcome.reason))
                continue
            connection, recv_ns, event, reading = outcome
            feed.rows += 1
            feed.recorded_s = now_s
            feed.last = outcome
            self.first_arrivals[connection] += 1
            data = {
                "symbol": stream.symbol,
                "stream": stream.name,
                "recv_ns": recv_ns,
                "source": "ws",
                "connection": connection,
                "event": event,
            }
            noted = reading if _is_newest(reading, feed.tracker.newest) else None
            self._drafts.append(Draft(stream.stream_type, stream.symbol, stream.variant, data, noted))
            if not feed.is_anchored:
                feed.is_anchored = True
                self.anchors.append(Anchor(reading.previous_id or 0, "connected"))

    def _take_unroutable(self, arrival: Arrival, name: bytes | None) -> None:
        if routing.is_subscribed(arrival.event):
            return
        if name is None:
            self._take_raw(arrival, "", "not the combined form")
        else:
            self._take_raw(arrival, "", f"unknown stream {name.decode(errors='replace')!r:.80}")

    def _take_raw(self, arrival: Arrival, name: str, reason: str) -> None:
        connection, recv_ns, event, _ = arrival
        kind = "unreadable event" if name else reason.partition(" '")[0]
        if routing.is_shutdown(event):
            self.shutdowns.add(connection)
            kind = reason = "serverShutdown"
        self.refused[kind] += 1
        data: dict[str, Any] = {
            "symbol": self._symbol,
            "stream": name,
            "recv_ns": recv_ns,
            "source": "ws",
            "connection": connection,
            "reason": reason[:200],
            "event": event,
        }
        self._drafts.append(Draft("raw", self._symbol, "", data))


def _tracker(stream: Stream, holes: Holes, last_row: LastRow | None) -> Tracker:
    if has_ids(stream.stream_type):
        return Chain(holes, last_row=last_row)
    if stream.stream_type in _BARS:
        return Bars(holes, last_row=last_row)
    return Unlinked(holes, last_row=last_row, ids_grow=stream.stream_type in _IDS_GROW)


def _plausible(reading: Reading, latest_ms: int) -> Reading:
    """The reading, with an event time that does no harm to those behind it; a clock may be a day off."""
    if not 0 <= (reading.last_id or 0) <= _LARGEST_ID:
        raise ExchangeError(f"expected an id up to 2**53, got {reading.last_id!r:.40}")
    if not 0 <= reading.event_time_ms <= _YEAR_2100_MS:
        raise ExchangeError(f"expected an event time before 2100, got {reading.event_time_ms!r:.40}")
    return reading._replace(event_time_ms=min(reading.event_time_ms, latest_ms))


def _is_newest(reading: Reading, newest: int | None) -> bool:
    """Whether the next run is to go on behind this row; a straggler is not where the stream ended."""
    return reading.previous_id is None or reading.last_id is None or newest is None or reading.last_id >= newest


def _is_covered(feed: Feed, ended: int, others: Mapping[int, float], now_s: float) -> bool:
    tracker = feed.tracker
    if any(tracker.covers(other) for other in others):
        return True
    heard_s = feed.heard_s.get(ended, float("-inf"))
    return any(
        not tracker.has_entered(other) and heard_s < since_s <= now_s - OVERLAP_S for other, since_s in others.items()
    )
