"""Streams whose messages do not name their predecessor: copies are told by content, losses are bounded by time.

That a second connection is open proves nothing: it may have begun behind a message that was on its way. So each
connection of such a stream has a state:

| state of a connection | meaning | next |
|---|---|---|
| unknown | it has delivered nothing of the stream | a first message: joined where no other delivers, else entering |
| entering | it delivers, and may have missed something | proven, or the first one left: joined |
| joined | it has all that joined ones had since its first message | ended: unknown |

Proven means: a joined connection has delivered its first message too, or it has delivered the message with which the
joined ones began (it may have begun before them and be slower). While one joined connection goes on, the end of another
one costs nothing. Where the last one ends, the time from its last row to the first row of the next is a gap, behind
which the connection that entered first is joined without a proof; none where the first message of the next one is one
that the ended ones had too. One that is late stays what it is, and proves nothing.
"""

from collections.abc import Sequence
from typing import NamedTuple

from services.ingest.streams.arrivals import Arrival, Bunch, Outcome
from services.ingest.streams.chain import IdChain
from services.ingest.streams.deduplicator import NEAR_MS, Deduplicator, Seen, content_of
from services.ingest.streams.gaps import RESTART, StreamGaps
from services.runtime.gaps.drafts import Gap
from services.runtime.gaps.last_rows import LastRow

_MOST_BARS = 1_500  # a day of minutes


class _FirstMessage(NamedTuple):
    """The first message of a connection that is entering, by which it may join the others."""

    event_time_ms: int
    recv_ns: int
    connection: int
    key: bytes


class OverlapTracker:
    """A stream without gapless ids, over all its connections.

    Known limit: after a kill within the moment in which a new connection is ahead of those it has yet to join, the gap
    begins at the row that was recorded last, though the others had not delivered all that was sent before it.

    `ids_grow` (bookTicker, partial depth): the same id and content twice on one connection is the exchange repeating
    itself; streams without any id drop nothing within one connection.
    """

    def __init__(self, gaps: StreamGaps, *, last_row: LastRow | None = None, ids_grow: bool = False) -> None:
        self.newest: int | None = None
        self.held = 0
        self._gaps = gaps
        self._ids_grow = ids_grow
        self.copies = Deduplicator() if ids_grow else Deduplicator(NEAR_MS)
        self._joined: set[int] = set()
        self._beginning = b""  # key of the message with which the joined ones began
        self._entering: dict[int, _FirstMessage] = {}
        self._reached_ns: dict[int, int] = {}  # of the newest row that each of those has delivered
        self._last_ns: int | None = None  # of the newest row that a joined connection has delivered
        self._recorded_ns = 0  # of the newest row of all
        self._lost: str | None = None
        self._last_run: LastRow | None = None
        if last_row is not None:
            self._last_run = last_row
            self._last_ns = last_row.recv_ns
            self._lost = RESTART

    @property
    def has_unlisted_loss(self) -> bool:
        """Return True where something may be missing behind the last row, which the next row will show."""
        return self._lost is not None

    def covers(self, connection: int) -> bool:
        """Return True where this connection has all that the others delivered since its first message."""
        return connection in self._joined and connection not in self.copies.late

    def has_entered(self, connection: int) -> bool:
        """Return True where the connection has delivered a message of the stream."""
        return connection in self._joined or connection in self._entering

    def lost(self, reason: str) -> Sequence[Outcome]:
        """Take note that something may be missing from the last row on.

        The gap ends where the next connection began, and is returned if one has begun; else it ends with the next row.
        """
        if self._last_ns is None:
            return ()
        since_ns = self._last_ns
        if self._joined or not self._entering:
            self._lost = self._lost or reason
            if self._joined or self._recorded_ns <= since_ns:
                return ()
            self._last_ns = self._recorded_ns  # of a connection that had not joined: another gap begins behind it
            return (self._gaps.outage((since_ns, self._recorded_ns), reason),)
        first = min(self._entering.values())
        self._join(first.connection)
        self._beginning = first.key
        self._join_proven()
        return (self._gaps.outage((since_ns, first.recv_ns), reason),)

    def forget(self, connection: int, now_s: float) -> Sequence[Outcome]:
        """Take note that a connection has ended."""
        self._joined.discard(connection)
        self._entering.pop(connection, None)
        self._reached_ns.pop(connection, None)
        self.copies.forget(connection, now_s)
        return ()

    def expire(self, now_s: float) -> Sequence[Outcome]:
        """Return nothing: no message is ever held here."""
        return ()

    def restore(self, row: LastRow, reason: str) -> None:
        """Do nothing: what the journal did not take is a gap that the producer lists, by time."""

    def recall(self, recorded: Sequence[tuple[Arrival, float]]) -> None:
        """Take what the journal holds as the messages of a connection, each with its monotonic time.

        They are rows already. Whether others go on behind them is told when that connection is lost.
        """
        self._lost = self._last_run = None
        for arrival, at_s in recorded:
            self.offer(arrival, at_s)

    def take_all(self, connection: int, bunch: Bunch, begin: int, now_s: float) -> int:
        """Take new messages of a joined connection from this place on, while none is entering and nothing is lost.

        Return where the first one stands that is a copy, or not plausible, and is to be offered (`offer`).
        """
        if self._entering or connection not in self._joined or self._lost is not None or self._last_run is not None:
            return begin
        end = self.copies.add_new(bunch, begin, connection, now_s)
        if end > begin:
            self._last_ns = self._recorded_ns = bunch.stamps_ns[end - 1]
            for ids in bunch.ids[begin:end]:
                if ids is not None and ids.last_id is not None and (self.newest is None or ids.last_id > self.newest):
                    self.newest = ids.last_id
        return end

    def offer(self, arrival: Arrival, now_s: float) -> Sequence[Outcome]:
        """Return the message as a row unless it is a copy; before the first row after a loss stands its gap."""
        connection, recv_ns, event, reading = arrival
        event_time_ms = reading.event_time_ms
        seen = self.copies.add(event, connection, event_time_ms=event_time_ms, recv_ns=recv_ns, now_s=now_s)
        if seen is None:
            return ()
        if self._entering or connection not in self._joined:
            self._enter(arrival, seen)
        if seen.most_before > 0 if self._ids_grow else seen.by_connection <= seen.most_before:
            return ()
        if self._last_run is not None and self._is_last_of_last_run(arrival):
            return ()
        if reading.last_id is not None and (self.newest is None or reading.last_id > self.newest):
            self.newest = reading.last_id
        last_ns = self._last_ns
        self._recorded_ns = recv_ns
        if connection in self._joined:
            self._last_ns = recv_ns
        if self._lost is None or last_ns is None:
            return (arrival,)
        reason, self._lost = self._lost, None
        return (self._gaps.outage((last_ns, recv_ns), reason), arrival)

    def _enter(self, arrival: Arrival, seen: Seen) -> None:
        connection = arrival.connection
        if connection in self._joined:
            self._last_ns = max(self._last_ns or 0, seen.first_ns)  # it has come to what another one brought first
        elif not self._joined and not self._entering:
            self._joined.add(connection)
            self._beginning = seen.key
            if seen.most_before > 0 and self._last_ns is not None and seen.first_ns <= self._last_ns:
                self._lost = None  # the ones that have ended had this too: it goes on where they stopped
        elif connection not in self._entering:
            event_time_ms = arrival.reading.event_time_ms
            self._entering[connection] = _FirstMessage(event_time_ms, seen.first_ns, connection, seen.key)
        if connection in self._entering:
            self._reached_ns[connection] = max(self._reached_ns.get(connection, 0), seen.first_ns)
        self._join_proven()

    def _join(self, connection: int) -> None:
        del self._entering[connection]
        self._joined.add(connection)
        self._last_ns = max(self._last_ns or 0, self._reached_ns.pop(connection))

    def _join_proven(self) -> None:
        while proven := [
            entry
            for entry in self._entering.values()
            if self.copies.has(self._beginning, entry.connection)
            or any(self.copies.has(entry.key, other) for other in self._joined)
        ]:
            for entry in proven:
                self._join(entry.connection)

    def _is_last_of_last_run(self, arrival: Arrival) -> bool:
        """Return True, once at most, where this is what the last run of the process recorded last."""
        last_run, self._last_run = self._last_run, None
        last_id = arrival.reading.last_id
        return last_run is not None and last_id is not None and last_id == last_run.last_id


class KlineTracker:
    """Klines: updates of an open bar have no ids; closed bars are a chain, of which none may be missing.

    Both trackers see a closed bar: the chain decides on the row, the overlap of connections on gaps in time.
    """

    def __init__(self, gaps: StreamGaps, *, last_row: LastRow | None = None) -> None:
        self._all = OverlapTracker(gaps, last_row=last_row)
        self.copies = self._all.copies
        self._closed = IdChain(gaps, last_row=last_row, ids_are_times=True)
        self._contents: dict[int, set[bytes]] = {}  # by opening time, of closed ones

    @property
    def newest(self) -> int | None:
        """Return the opening time of the last closed bar, in ms since 1970."""
        return self._closed.newest

    @property
    def held(self) -> int:
        """Return the number of closed bars that wait for one before them."""
        return self._closed.held

    @property
    def has_unlisted_loss(self) -> bool:
        """Return True where an update of an open bar may be missing behind the last row."""
        return self._all.has_unlisted_loss

    def covers(self, connection: int) -> bool:
        """Return True where this connection has all that the others delivered since its first message."""
        return self._all.covers(connection)

    def has_entered(self, connection: int) -> bool:
        """Return True where the connection has delivered a message of the stream."""
        return self._all.has_entered(connection)

    def lost(self, reason: str) -> Sequence[Outcome]:
        """Take note that something may be missing, of open and of closed bars."""
        return (*self._all.lost(reason), *self._closed.lost(reason))

    def forget(self, connection: int, now_s: float) -> Sequence[Outcome]:
        """Take note that a connection has ended."""
        self._all.forget(connection, now_s)
        return self._closed.forget(connection, now_s)

    def expire(self, now_s: float) -> Sequence[Outcome]:
        """Give up closed bars that nobody brings."""
        return self._closed.expire(now_s)

    def restore(self, row: LastRow, reason: str) -> None:
        """Go on from the journal's last row; the next closed bar shows which ones it did not take."""
        if row.last_id is not None and self._closed.newest is not None and row.last_id < self._closed.newest:
            self._closed.go_back(row, reason)

    def recall(self, recorded: Sequence[tuple[Arrival, float]]) -> None:
        """Take what the journal holds as the messages of a connection, each with its monotonic time."""
        self._all.recall(recorded)
        for arrival, _ in recorded:
            if arrival.reading.last_id is not None:
                self._is_correction(arrival.reading.last_id, arrival)

    def take_all(self, connection: int, bunch: Bunch, begin: int, now_s: float) -> int:
        """Take none: bars are few."""
        return begin

    def offer(self, arrival: Arrival, now_s: float) -> Sequence[Outcome]:
        """Return the message as a row unless it is a copy or a repeat, behind gaps of both kinds."""
        outcomes = self._all.offer(arrival, now_s)
        open_time_ms = arrival.reading.last_id
        if open_time_ms is None:
            return outcomes
        gaps = [outcome for outcome in outcomes if isinstance(outcome, Gap)]
        rows = self._closed.offer(arrival, now_s)
        is_correction = self._is_correction(open_time_ms, arrival)
        return (*gaps, *(rows or ((arrival,) if is_correction else ())))

    def _is_correction(self, open_time_ms: int, arrival: Arrival) -> bool:
        """Return True where a closed bar that this run has recorded comes with a content that it never had before.

        Of a bar from before nobody remembers the content: then an id that is there already is a repeat.
        """
        content = content_of(arrival.event, arrival.reading.event_time_ms)
        known = self._contents.setdefault(open_time_ms, set())
        is_new = bool(known) and content not in known
        known.add(content)
        if len(self._contents) > _MOST_BARS:
            del self._contents[next(iter(self._contents))]
        return is_new
