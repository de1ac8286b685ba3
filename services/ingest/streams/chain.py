"""The chain of ids of one stream: it proves from the exchange's own ids that nothing is missing, or shows what is.

A message of a gapless stream covers the half-open interval (previous_id, last_id]: aggTrade (a-1, a], trade (t-1, t],
depth (pu, u], a closed kline (t - interval, t]. `newest` is the largest id that a row has covered. A message is judged
by where it lies:

| state of the chain | previous = newest | previous > newest | previous < newest < last | last <= newest |
|---|---|---|---|---|
| empty: no row yet | row; the chain begins | row; the chain begins | row; the chain begins | row; the chain begins |
| whole: nothing is held | row | held: holding | row | see below |
| holding: there is a hole | row, and what it releases | held | row, and what it releases | see below |

What ends at or before `newest` is a straggler (a row) where it lies in a listed gap; it may be the first message of ids
that began anew (recount.py); else it is a repeat, and dropped. A chain is holding until the hole is filled, or given
up: after 0.5 s, when no connection can fill it any more, or when 4,096 messages are held. Then the hole becomes a gap,
the messages behind it become rows, and the chain is whole, or holding behind the next hole.

| counts of ids | meaning | next |
|---|---|---|
| one | ids only grow | a new count is proven: gap `ids went back`; two |
| two | late copies of the old count still come, and are told by id and time | see below |

With two counts, a message that goes on with the old one, later than all of the new one, shows that there was no new
count: the gap is taken back, and there is one. Half a minute behind the last row of the old count there is one, too
(docs/decisions/0089).

With several connections a message beyond a hole is held for a moment, because the others often bring what is missing:
then no gap is written and the rows are in order. It is held rather than recorded at once because a process that is
killed meanwhile would leave a hole that nobody has listed; so it leaves rows that end before the hole.
"""

import math
from bisect import insort
from collections.abc import Callable, Sequence
from typing import NamedTuple

from binance_streamer.exchange.messages import EventIds, Reading
from services.ingest.streams.arrivals import Arrival, Bunch, Outcome
from services.ingest.streams.gaps import RESTART, SEQUENCE, StreamGaps
from services.ingest.streams.recount import OldCount, Recount, happened_ms, is_fresh
from services.runtime.gaps.drafts import Gap
from services.runtime.gaps.last_rows import LastRow, latest_ms

GRACE_S = 0.5
"""A message behind a hole waits so long for another connection to bring what is missing (docs/decisions/0002)."""
_MOST_HELD = 4096


class _Held(NamedTuple):
    last: int
    previous: int
    recv_ns: int  # before the rest, so that sorting never compares that
    since_s: float
    arrival: Arrival


class IdChain:
    """The gapless ids of one stream over all its connections.

    `newest_row` gives the newest row that was recorded. `ids_are_times` (closed klines): a lower id never means a new
    count.
    """

    def __init__(
        self,
        gaps: StreamGaps,
        *,
        last_row: LastRow | None = None,
        newest_row: Callable[[], Arrival | None] = lambda: None,
        ids_are_times: bool = False,
    ) -> None:
        self.newest: int | None = None
        self._newest_ns = 0
        self._newest_event_ms = 0
        self._reason = SEQUENCE
        self._gaps = gaps
        self._ids_are_times = ids_are_times
        self._held: list[_Held] = []
        self._reached: dict[int, int] = {}  # by connection: the furthest id it has delivered
        self._entered: dict[int, int] = {}  # by connection: where its first message began
        self._old: OldCount | None = None
        if last_row is not None and last_row.last_id is not None:
            self.newest, self._newest_ns = last_row.last_id, last_row.recv_ns
            self._newest_event_ms = last_row.event_time_ms or 0
            self._reason = RESTART
        self._recount = Recount(newest_row, self._newest_event_ms)
        self.has_unlisted_loss = False
        """The ids of the next message show what is missing, whoever takes it."""
        self.copies = None
        """No memory of copies is needed: by its ids any message can be judged, however late it comes."""

    @property
    def held(self) -> int:
        """Return the number of messages that wait for what is missing before them."""
        return len(self._held)

    def covers(self, connection: int) -> bool:
        """Return True where all that came before this connection's first message is recorded, or listed as missing."""
        entered = self._entered.get(connection)
        return entered is not None and self.newest is not None and entered <= self.newest

    def has_entered(self, connection: int) -> bool:
        """Return True where the connection has delivered a message of the stream."""
        return connection in self._entered

    def lost(self, reason: str) -> Sequence[Outcome]:
        """Set the reason of the hole that the next message may show; the ids show whether there is one."""
        self._reason = reason
        return ()

    def restore(self, row: LastRow, reason: str) -> None:
        """Do nothing: what the journal did not take is a gap that the producer lists, by ids."""

    def recall(self, recorded: Sequence[tuple[Arrival, float]]) -> None:
        """Do nothing: by its ids any message is known to be recorded."""

    def go_back(self, row: LastRow, reason: str) -> None:
        """Go on behind this row, because what came after it was not kept; the next message shows the hole."""
        self.newest, self._newest_ns, self._reason = row.last_id, row.recv_ns, reason

    def offer(self, arrival: Arrival, now_s: float) -> Sequence[Outcome]:
        """Return what a message leads to, in order: rows (itself, and what it releases) and gaps before them.

        Nothing where it is dropped or held.
        """
        connection, recv_ns, _, reading = arrival
        if self._try_take(connection, recv_ns, reading):
            return (arrival,)
        return self._offer_unusual(arrival, *_ids_of(reading), now_s)

    def take_all(self, connection: int, bunch: Bunch, begin: int, _: float) -> int:
        """Take messages from this place on, each of which hangs on the one before, as nearly all do.

        Return where the first one stands that does not, or that is not plausible, and is to be offered (`offer`).
        """
        if self._held or connection not in self._reached:
            return begin
        newest, newest_ms = self.newest, self._newest_event_ms
        at = begin
        for ids, recv_ns in zip(bunch.ids[begin:], bunch.stamps_ns[begin:], strict=True):
            if ids is None or ids.previous_id != newest or ids.event_time_ms > latest_ms(recv_ns):
                break
            last_id = ids.last_id
            if last_id is None or newest is None or last_id <= newest:
                break
            newest = last_id
            newest_ms = max(newest_ms, ids.event_time_ms)
            at += 1
        if at > begin and newest is not None:
            self.newest = self._reached[connection] = newest
            self._newest_ns, self._newest_event_ms = bunch.stamps_ns[at - 1], newest_ms
            self._reason = SEQUENCE
        return at

    def _try_take(self, connection: int, recv_ns: int, ids: EventIds) -> bool:
        """Take a message that hangs on the newest one while nothing is held; return True if so, else change nothing."""
        previous, last, event_time_ms = ids.previous_id, ids.last_id, ids.event_time_ms
        assert previous is not None
        assert last is not None
        if previous != self.newest or last <= previous or self._held or connection not in self._reached:
            return False
        self.newest = self._reached[connection] = last
        self._newest_ns = recv_ns
        if event_time_ms > self._newest_event_ms:  # noqa: PLR1730 (max() costs 80 ns here)
            self._newest_event_ms = event_time_ms
        self._reason = SEQUENCE
        return True

    def forget(self, connection: int, now_s: float) -> Sequence[Outcome]:
        """Take note that a connection has ended: no hole waits for it any more."""
        self._reached.pop(connection, None)
        self._entered.pop(connection, None)
        self._recount.forget(connection)
        return self.expire(now_s)

    def expire(self, now_s: float) -> Sequence[Outcome]:
        """Give up holes whose time has come, and release what was held behind them."""
        outcomes: list[Outcome] = []
        while self._held:
            assert self.newest is not None
            first = self._held[0]
            if first.previous > self.newest:
                if not self._is_given_up(first, now_s):
                    break
                outcomes += self._gap_before(first)
            del self._held[0]
            if first.last > self.newest:
                outcomes.append(self._forward(first.arrival, first.last))
        return outcomes

    def _offer_unusual(self, arrival: Arrival, previous: int, last: int, now_s: float) -> Sequence[Outcome]:
        if self._old is not None and not is_fresh(arrival.recv_ns, self._old.ended_ns):
            self._old = None
        if self._old is not None:
            of_old = self._of_old_count(self._old, arrival, previous, last)
            if of_old is not None:
                return of_old
        connection = arrival.connection
        self._entered.setdefault(connection, previous)
        self._reached[connection] = max(last, self._reached.get(connection, last))
        if self.newest is None:
            self._gaps.begin(previous)
            return (self._forward(arrival, last),)
        if last <= self.newest:
            return self._behind(arrival, (previous, last), now_s)
        if previous <= self.newest:
            return (*self._fill(previous, last), self._forward(arrival, last), *self.expire(now_s))
        if not any(held.previous <= previous and last <= held.last for held in self._held):
            insort(self._held, _Held(last, previous, arrival.recv_ns, now_s, arrival))
        return self.expire(now_s)

    def _behind(self, arrival: Arrival, ids: tuple[int, int], now_s: float) -> Sequence[Outcome]:
        """Take what fills a hole, and the first messages of a new count; all else is there already."""
        assert self.newest is not None
        event_time_ms = arrival.reading.event_time_ms
        at_ms = 0
        if event_time_ms > self._newest_event_ms and not self._ids_are_times:  # alone that says nothing
            at_ms = self._recount.later_ms(arrival)
        filled = None if at_ms else self._gaps.fill(*ids)
        if filled is not None:
            self._recount.latest_ms()  # of the newest row, before this one takes its place
            return (*filled, arrival)
        if self._ids_are_times or (not at_ms and is_fresh(arrival.recv_ns, self._newest_ns)):
            return ()
        begun = self._recount.add(arrival, ids, at_ms, self.newest, now_s)
        return self._begin_anew(begun) if begun else ()

    def _fill(self, previous: int, last: int) -> Sequence[Gap]:
        return self._gaps.fill(previous, last) or ()

    def _begin_anew(self, begun: Sequence[Arrival]) -> Sequence[Outcome]:
        """Record the messages of a new count, the first of which leaves a gap behind all that came before."""
        released = self.expire(math.inf)  # of the old count: now or never
        assert self.newest is not None
        connection, recv_ns, _, reading = begun[0]
        previous, _ = _ids_of(reading)
        *ended, gap = self._gaps.reset((self.newest, previous), (self._newest_ns, recv_ns))
        self._old = OldCount(self.newest, self._recount.latest_ms(), self._newest_ns, previous, gap)
        self._recount.begin()
        self._newest_event_ms = 0
        rows = [self._forward(one, _ids_of(one.reading)[1]) for one in begun]
        self._reached, self._entered = {connection: self.newest}, {connection: previous}
        return (*released, *ended, gap, *rows)

    def _of_old_count(self, old: OldCount, arrival: Arrival, previous: int, last: int) -> Sequence[Outcome] | None:
        """Return what a message of the count before the ids went back leads to; None where it is not one.

        Where that count goes on, later than the one that was taken for a new one, the ids had not gone back at all.
        """
        if self.newest is None or last <= self.newest:
            return None
        if old.has(arrival, last):
            return ()
        if previous != old.newest or previous <= self.newest:  # or the new count has come as far as the old one was
            return None
        if happened_ms(arrival) <= self._recount.latest_ms():  # a slower connection had more of it
            old.newest = last
            return (arrival,)
        if old.is_near(self.newest):
            return None
        self._old = None
        self._reached, self._entered = {arrival.connection: last}, {arrival.connection: previous}
        self._held = [held for held in self._held if held.last > last]
        return (*self._gaps.undo_reset(old.gap), self._forward(arrival, last))

    def _forward(self, arrival: Arrival, last: int) -> Arrival:
        self.newest = last
        self._newest_ns = arrival.recv_ns
        self._newest_event_ms = max(self._newest_event_ms, arrival.reading.event_time_ms)
        self._reason = SEQUENCE
        return arrival

    def _gap_before(self, held: _Held) -> Sequence[Gap]:
        assert self.newest is not None
        bounds = (self.newest, held.previous)
        self.newest = held.previous
        return self._gaps.open(bounds, (self._newest_ns, held.recv_ns), self._reason)

    def _is_given_up(self, first: _Held, now_s: float) -> bool:
        """Return True after the grace, or when every connection has delivered what lies behind the hole."""
        if now_s - first.since_s >= GRACE_S or len(self._held) > _MOST_HELD:
            return True
        return all(reached > first.previous for reached in self._reached.values())


def _ids_of(reading: Reading) -> tuple[int, int]:
    """Return the half-open interval that a message covers; at least one id, and not below the first."""
    previous, last, _ = reading
    assert previous is not None
    assert last is not None
    return max(-1, min(previous, last - 1)), last
