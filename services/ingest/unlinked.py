"""Streams whose messages do not name their predecessor: copies are told by payload, losses bounded by time."""

from collections.abc import Sequence

from services.ingest.continuity import Arrival, Chain, Outcome
from services.ingest.copies import Copies
from services.ingest.holes import RESTART, Holes
from services.runtime.gaps import Gap
from services.runtime.segments import LastRow


class Unlinked:
    """A stream without gapless ids, over all its connections.

    A connection is `joined` once it is proven that nothing was missed between its first message and the others': they
    have delivered that message too. Where the last joined one ends, the time up to the next row is a gap.
    Known limit: after a kill within the moment in which a new connection is ahead of those it has yet to join, the gap
    begins at the row that was recorded last, though the others had not delivered all that was sent before it.

    `ids_grow` (bookTicker, partial depth): the same id and payload twice on one connection is the exchange repeating
    itself; streams without any id drop nothing within one connection.
    """

    def __init__(self, holes: Holes, *, last_row: LastRow | None = None, ids_grow: bool = False) -> None:
        self.newest: int | None = None
        self.held = 0
        self._holes = holes
        self._ids_grow = ids_grow
        self._copies = Copies()
        self._joined: set[int] = set()
        self._entering: dict[int, bytes] = {}  # by connection: digest of its first message
        self._last_ns: int | None = None
        self._lost: str | None = None
        self._last_run: LastRow | None = None
        if last_row is not None:
            self._last_run = last_row
            self._last_ns = last_row.recv_ns
            self._lost = RESTART

    def covers(self, connection: int) -> bool:
        """Whether this connection would have delivered all that the others did."""
        return connection in self._joined

    def has_entered(self, connection: int) -> bool:
        """Whether the connection has delivered anything."""
        return connection in self._joined or connection in self._entering

    def lost(self, reason: str) -> None:
        """Nobody was there for a while, or may have been: a gap from the last row to the next one."""
        if self._last_ns is not None and self._lost is None:
            self._lost = reason
        self._joined.update(self._entering)
        self._entering.clear()

    def forget(self, connection: int, now_s: float) -> Sequence[Outcome]:
        """The connection has ended."""
        self._joined.discard(connection)
        self._entering.pop(connection, None)
        return ()

    def expire(self, now_s: float) -> Sequence[Outcome]:
        """Nothing is ever held here."""
        return ()

    def offer(self, arrival: Arrival, now_s: float) -> Sequence[Outcome]:
        """Record it, unless it is a copy; the first row after a loss ends a gap."""
        connection, recv_ns, event, reading = arrival
        digest, count, most = self._copies.add(event, connection, now_s)
        if self._entering or connection not in self._joined:
            self._join(connection, digest, is_copy=most >= count)
        if most > 0 if self._ids_grow else count <= most:
            return ()
        if self._last_run is not None and self._is_last_of_last_run(arrival):
            return ()
        if reading.last_id is not None and (self.newest is None or reading.last_id > self.newest):
            self.newest = reading.last_id
        last_ns, self._last_ns = self._last_ns, recv_ns
        if self._lost is None or last_ns is None:
            return (arrival,)
        reason, self._lost = self._lost, None
        return (self._holes.outage((last_ns, recv_ns), reason), arrival)

    def _join(self, connection: int, digest: bytes, *, is_copy: bool) -> None:
        if connection in self._joined:
            self._joined.update(other for other, first in self._entering.items() if first == digest)
            self._entering = {other: first for other, first in self._entering.items() if first != digest}
        elif connection not in self._entering:
            if is_copy or not self._joined:
                self._joined.add(connection)
            else:
                self._entering[connection] = digest

    def _is_last_of_last_run(self, arrival: Arrival) -> bool:
        """Whether the exchange repeats, to this run, what the last run recorded last."""
        last_run, self._last_run = self._last_run, None
        reading = arrival.reading
        return (
            last_run is not None
            and reading.last_id is not None
            and reading.last_id == last_run.last_id
            and reading.event_time_ms <= (last_run.event_time_ms or 0)
        )


class Bars:
    """Klines: an open one has no id, of the closed ones none may be missing."""

    def __init__(self, holes: Holes, *, last_row: LastRow | None = None) -> None:
        self._all = Unlinked(holes, last_row=last_row)
        self._closed = Chain(holes, last_row=last_row, ids_are_times=True)

    @property
    def newest(self) -> int | None:
        """Open time of the last closed one."""
        return self._closed.newest

    @property
    def held(self) -> int:
        """Closed ones that wait for one before them."""
        return self._closed.held

    def covers(self, connection: int) -> bool:
        """Whether this connection would have delivered all that the others did."""
        return self._all.covers(connection)

    def has_entered(self, connection: int) -> bool:
        """Whether the connection has delivered anything."""
        return self._all.has_entered(connection)

    def lost(self, reason: str) -> None:
        """Nobody was there for a while."""
        self._all.lost(reason)
        self._closed.lost(reason)

    def forget(self, connection: int, now_s: float) -> Sequence[Outcome]:
        """The connection has ended."""
        self._all.forget(connection, now_s)
        return self._closed.forget(connection, now_s)

    def expire(self, now_s: float) -> Sequence[Outcome]:
        """Give up what nobody brings."""
        return self._closed.expire(now_s)

    def offer(self, arrival: Arrival, now_s: float) -> Sequence[Outcome]:
        """Record it, unless it is a copy or a repeat; gaps of both kinds."""
        outcomes = self._all.offer(arrival, now_s)
        if arrival.reading.last_id is None:
            return outcomes
        gaps = [outcome for outcome in outcomes if isinstance(outcome, Gap)]
        return (*gaps, *self._closed.offer(arrival, now_s))
