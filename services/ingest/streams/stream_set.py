"""From messages to what is journalled: routing, continuity and copies over all streams of a symbol.

Every message ends in exactly one way: a row, a repeat that is counted, or a raw row with the reason why it is none.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from binance_streamer.exchange.messages import LARGEST_ID, ExchangeError, Reading, SequenceIds
from binance_streamer.exchange.streams import Stream
from services.ingest.connections.events import Delivered
from services.ingest.streams import demux as routing
from services.ingest.streams.arrivals import Arrival, Outcome
from services.ingest.streams.backfill import BackfillPage
from services.ingest.streams.gaps import REPAIRED
from services.ingest.streams.stream import StreamRecorder
from services.runtime.delivery.events import EventRun, reading_of
from services.runtime.gaps.drafts import Draft, Gap, GapChange, gap_draft
from services.runtime.gaps.last_rows import LastRow, latest_ms

_YEAR_2100_MS = 4_102_444_800_000
_LONGEST_REASON = 200
_NO_READING = Reading(None, None, 0)


class Anchor(NamedTuple):
    """The order book of this stream begins anew: a snapshot with at least this id is wanted."""

    last_update_id: int
    reason: str


class Late(NamedTuple):
    """Of this stream nothing more is taken of this connection: it lags by too much."""

    stream: str
    connection: int


class StreamSet:
    """All streams of one symbol. What it decides waits in `collect` and `anchors`."""

    def __init__(
        self,
        symbol: str,
        streams: Iterable[Stream],
        *,
        last_rows: Mapping[str, LastRow],
        new_gap_id: Callable[[], str],
    ) -> None:
        self.feeds: dict[str, StreamRecorder] = {}
        self.refused: Counter[str] = Counter()
        """By kind: messages that became raw rows."""
        self.first_arrivals: Counter[int] = Counter()
        """By connection: the rows that came over it first."""
        self.lag_ms: dict[int, float] = {}
        """By connection: how much later than the first copy of a row its own last came."""
        self.anchors: list[Anchor] = []
        self.shutdowns: set[int] = set()
        """Connections over which the exchange announced their end."""
        self._by_name: dict[bytes, StreamRecorder] = {}
        self._symbol = symbol
        self._last_rows = last_rows
        self._new_gap_id = new_gap_id
        self._drafts: list[Draft | EventRun | Gap] = []
        self._changes: dict[str, GapChange] = {}
        for stream in streams:
            self.add(stream)

    def add(self, stream: Stream) -> None:
        """Record this stream too, from where the last run ended."""
        feed = StreamRecorder(stream, self._new_gap_id, self._last_rows.get(stream.name))
        self.feeds[stream.name] = self._by_name[stream.name.encode()] = feed
        self._changes.update({gap.gap_id: gap for gap in feed.filled_gaps})

    def remove(self, stream: Stream) -> None:
        """Record this stream no more."""
        del self.feeds[stream.name], self._by_name[stream.name.encode()]

    @property
    def is_holding(self) -> bool:
        """Whether messages wait for others, so that `expire` must be called soon."""
        return any(feed.tracker.held for feed in self.feeds.values())

    def deliver(self, delivered: Delivered, now_s: float) -> None:
        """Take the messages of one recv."""
        connection, first_ns, messages, _ = delivered
        at = 0
        while at < len(messages):
            name, event = routing.split(messages[at])
            feed = self._by_name.get(name)
            if feed is None:
                self._deliver_unusual(Arrival(connection, first_ns + at, messages[at], _NO_READING), now_s)
                at += 1
                continue
            if at + 1 < len(messages) and messages[at + 1].startswith(feed.prefix):
                events = [event, *routing.events_like(feed.prefix, messages, at + 1)]
                self._deliver_alike(feed, connection, first_ns + at, events, now_s)
                at += len(events)
            else:
                self._deliver_single(feed, connection, first_ns + at, event, now_s)
                at += 1

    def expire(self, now_s: float) -> None:
        """Give up what has been waited for long enough."""
        for feed in self.feeds.values():
            self._take(feed, feed.tracker.expire(now_s), now_s)

    def ended(self, connection: int, route: str, others: Mapping[int, float], *, reason: str, now_s: float) -> None:
        """A connection is gone. `others`: the route's other ones, and since when they have been delivering.

        A stream that none of them is known to have had without a break gets a gap, where its next row shows one.
        """
        for feed in self._of(route):
            self._leave(feed, connection, others, reason, now_s)
        self._forget(connection, route)

    def handed_over(self, connection: int, route: str, now_s: float) -> None:
        """A connection is gone, and another one is proven to have all that it delivered."""
        for feed in self._of(route):
            self._take(feed, feed.tracker.forget(connection, now_s), now_s)
        self._forget(connection, route)

    def has_heard(self, connection: int) -> bool:
        """Whether it has delivered a message of any stream; an acknowledgement is none, nor is what nobody can read."""
        return any(connection in feed.heard_s for feed in self.feeds.values())

    def late(self) -> set[Late]:
        """The streams of which a connection brings copies too late to be told; nothing of those is taken of it."""
        return {Late(name, one) for name, feed in self.feeds.items() for one in feed.tracker.late}

    def stalled(
        self, connection: int, streams: Iterable[str], others: Mapping[int, float], *, reason: str, now_s: float
    ) -> None:
        """A connection is open, but does not deliver these streams any more: as if it had ended; it may come back."""
        for name in streams:
            self._leave(self.feeds[name], connection, others, reason, now_s)

    def takes_over(self, old: int, new: int, now_s: float) -> bool:
        """Whether the old connection may be closed: every stream has been handed over."""
        return all(feed.hands_over(old, new, now_s) for feed in self.feeds.values())

    def collect(self, recv_ns: int) -> list[Draft | EventRun]:
        """What is to be journalled since the last call: a gap before the row that shows it, what rows leave of gaps
        behind them, and of that only the last state.

        So a write that is cut short leaves a hole that is listed, and no gap that is closed without its rows.
        """
        collected = [*self._drafts, *self._changes.values()]
        self._drafts, self._changes = [], {}
        return [gap_draft(item, recv_ns) if isinstance(item, Gap) else item for item in collected]

    def repair(self, page: BackfillPage) -> None:
        """Take rows of REST for what is still missing."""
        feed = self.feeds[page.stream]
        drafts, gaps = feed.repair(page)
        self._drafts += drafts
        for gap in gaps:
            self._list(gap)

    def give_up(self, page: BackfillPage) -> list[Gap]:
        """REST will not bring what this answer refuses."""
        gaps = self.feeds[page.stream].give_up(page)
        for gap in gaps:
            self._list(gap)
        return gaps

    def restore(self, rows: Mapping[str, LastRow], reason: str) -> None:
        """The journal did not take what was collected, or has a gap of its own: go on from what it has."""
        for name, feed in self.feeds.items():
            if name in rows:
                feed.restore(rows[name], reason)
                self._changes.update({gap.gap_id: gap for gap in feed.filled_gaps})

    def _leave(
        self, feed: StreamRecorder, connection: int, others: Mapping[int, float], reason: str, now_s: float
    ) -> None:
        is_covered = feed.is_covered(connection, others, now_s)
        self._take(feed, feed.tracker.forget(connection, now_s), now_s)
        if not is_covered:
            self._take(feed, feed.lose(reason), now_s)

    def has_lost(self, name: str, to_id: int | None, reason: str) -> None:
        """The producer lists a gap of its own that ends with this id: a book begins anew behind it."""
        if name in self.feeds and self.feeds[name].stream.type.builds_book and to_id is not None:
            self.anchors.append(Anchor(to_id, reason))

    def _forget(self, connection: int, route: str) -> None:
        for feed in self._of(route):
            feed.heard_s.pop(connection, None)
        self.lag_ms.pop(connection, None)
        self.first_arrivals.pop(connection, None)

    def _deliver_single(self, feed: StreamRecorder, connection: int, recv_ns: int, event: bytes, now_s: float) -> None:
        link = feed.link(event)
        if link is not None and feed.follows(connection, recv_ns, link):
            self._extend_run(feed, connection, ((recv_ns,), (event,), (link,)), now_s)
        else:
            self._deliver_one(feed, Arrival(connection, recv_ns, event, _reading_of(link)), now_s)

    def _deliver_alike(
        self, feed: StreamRecorder, connection: int, first_ns: int, events: list[bytes], now_s: float
    ) -> None:
        """Several messages of one stream: their ids are read together, and those that hang on one another noted so."""
        follows = feed.follows
        taken: list[SequenceIds] = []
        begin = 0
        for at, link in enumerate(feed.links(events)):
            if link is not None and follows(connection, first_ns + at, link):
                taken.append(link)
                continue
            if taken:
                self._extend_run(
                    feed, connection, (range(first_ns + begin, first_ns + at), events[begin:at], taken), now_s
                )
                taken = []
            self._deliver_one(feed, Arrival(connection, first_ns + at, events[at], _reading_of(link)), now_s)
            begin = at + 1
        if taken:
            stamps_ns = range(first_ns + begin, first_ns + len(events))
            self._extend_run(feed, connection, (stamps_ns, events[begin:], taken), now_s)

    def _extend_run(
        self,
        feed: StreamRecorder,
        connection: int,
        followed: tuple[Sequence[int], Sequence[bytes], Sequence[SequenceIds]],
        now_s: float,
    ) -> None:
        """Take messages that follow: their stamps, bytes and ids."""
        run = self._run_of(feed, connection)
        stamps_ns, events, links = followed
        run.stamps_ns += stamps_ns
        run.events += events
        run.links += links
        feed.took(run, len(links), now_s)
        self.first_arrivals[connection] += len(links)

    def _run_of(self, feed: StreamRecorder, connection: int) -> EventRun:
        """The run that the connection's last message before belongs to, if it is of the stream and nothing has come
        since; or else a new one.
        """
        last = self._drafts[-1] if self._drafts else None
        if isinstance(last, EventRun) and last.connection == connection and last.stream is feed.stream:
            return last
        run = EventRun(feed.stream, connection)
        self._drafts.append(run)
        return run

    def _deliver_one(self, feed: StreamRecorder, arrival: Arrival, now_s: float) -> None:
        """A message about which there is something to decide."""
        connection, recv_ns, event, reading = arrival
        try:
            reading = _plausible(feed.read(event) if reading is _NO_READING else reading, latest_ms(recv_ns))
        except ExchangeError as error:
            inner = routing.inner_event(feed.stream.name.encode(), event)
            if inner is None:
                self._take_raw(arrival, feed.stream.name, str(error))
            else:
                self._deliver_one(feed, arrival._replace(event=inner), now_s)
            return
        feed.messages += 1
        feed.heard_s[connection] = now_s
        outcomes = feed.offer(arrival._replace(reading=reading), now_s)
        if outcomes:
            self._take(feed, outcomes, now_s)
        else:
            lag_ms = feed.lag_ms(connection, reading.last_id, recv_ns)
            if lag_ms is not None:
                self.lag_ms[connection] = lag_ms

    def _of(self, route: str) -> list[StreamRecorder]:
        return [feed for feed in self.feeds.values() if feed.stream.route == route]

    def _take(self, feed: StreamRecorder, outcomes: Sequence[Outcome], now_s: float) -> None:
        for outcome in outcomes:
            if isinstance(outcome, Arrival):
                self._drafts.append(feed.row(outcome, now_s))
                self.first_arrivals[outcome.connection] += 1
                if not feed.is_anchored:
                    feed.is_anchored = True
                    self.anchors.append(Anchor(outcome.reading.previous_id or 0, "connected"))
            else:
                self._list(outcome)
                if feed.stream.type.builds_book and outcome.to_id is not None and outcome.state != REPAIRED:
                    self.anchors.append(Anchor(outcome.to_id, outcome.reason))

    def _list(self, gap: Gap) -> None:
        if isinstance(gap, GapChange):
            self._changes[gap.gap_id] = gap
        else:
            self._changes.pop(gap.gap_id, None)  # this one is final, and is told before changes are
            self._drafts.append(gap)

    def _deliver_unusual(self, arrival: Arrival, now_s: float) -> None:
        """A message that is not of a known stream in the exchange's usual spelling."""
        if routing.is_subscribed(arrival.event):
            return
        parsed = routing.parse(arrival.event)
        if parsed is None:
            self._take_raw(arrival, "", "not the combined form")
            return
        name, event = parsed
        if name not in self._by_name:
            self._take_raw(arrival, "", f"unknown stream: {name.decode(errors='replace')!r:.80}")
            return
        respelt = routing.joined(name, event)
        self.deliver(Delivered(arrival.connection, arrival.recv_ns, [respelt], 0), now_s)

    def _take_raw(self, arrival: Arrival, name: str, reason: str) -> None:
        """`name` is empty where the whole message is what could not be read."""
        connection, recv_ns, event, _ = arrival
        kind = reason.partition(":")[0]
        if name:
            self.feeds[name].raw += 1
            kind = "unreadable event"
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
            "reason": reason[:_LONGEST_REASON],
            "event": event,
        }
        self._drafts.append(Draft("raw", self._symbol, "", data))


def _reading_of(link: SequenceIds | None) -> Reading:
    return _NO_READING if link is None else reading_of(link)


def _plausible(reading: Reading, latest_ms: int) -> Reading:
    """The reading; an event time more than a day ahead of our clock says nothing, whichever of the two is wrong.

    0 and not the latest plausible one: copies of a message would have different times, and look like a new count.
    """
    if not 0 <= (reading.last_id or 0) <= LARGEST_ID:
        raise ExchangeError(f"expected an id up to 2**53, got {reading.last_id!r:.40}")
    if not 0 <= reading.event_time_ms <= _YEAR_2100_MS:
        raise ExchangeError(f"expected an event time before 2100, got {reading.event_time_ms!r:.40}")
    return reading if reading.event_time_ms <= latest_ms else reading._replace(event_time_ms=0)
