"""Tells ids that began anew from messages that are recorded already (the table in docs/exchange.md §7.4).

An id names a message. Event times prove nothing: on spot the exchange stamps each connection's copies for itself, and a
repeat may carry a later one. The transaction time `T` is part of what happened, and the same in each copy.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from binance_streamer.exchange.readers import transact_time_ms
from services.ingest.streams.arrivals import Arrival
from services.runtime.gaps.drafts import Gap

_ENOUGH = 5
"""So many later messages that hang on one another are a new count. They are held meanwhile: no more than this."""
QUIET_NS = 30 * 10**9
_LASTS_S = 30.0
_LEAST = 20
"""Where the exchange's clock has gone back too, no message is later: then, once nothing has been recorded for so long,
so many messages of one connection whose ids only grow, over so long a time. They need not hang on one another: a
connection that loses some now and then would prove nothing for ever. No connection may lag by that much
(deduplicator.py), so it is not one that catches up.
"""
_DAY_MS = 86_400_000


def is_fresh(recv_ns: int, newest_ns: int) -> bool:
    """Return True where copies of the newest row may still be under way.

    A clock of ours that was set, forward or back, ends that too: else nothing would be recorded until it has caught up.
    """
    return abs(recv_ns - newest_ns) < QUIET_NS


@dataclass(slots=True)
class OldCount:
    """The count of ids before they went back: where it ended, and the gap that was listed for it."""

    newest: int
    latest_ms: int  # no transaction of it was later, as far as anybody had brought it
    ended_ns: int  # the stamp of its last row
    begun: int  # the id on which the new count's first message hangs
    gap: Gap

    def has(self, arrival: Arrival, last: int) -> bool:
        """Return True where a message that lies beyond the new count's ids is a copy of the old one.

        To be asked while copies may still be under way (`is_fresh`). Times alone do not tell: behind a clock that went
        back too, all that is new is earlier than the old count's last message.
        """
        return last <= self.newest and happened_ms(arrival) <= self.latest_ms

    def is_near(self, newest: int) -> bool:
        """Return True where the new count has come more than half of the way: it may reach the old one's end itself.

        Then what hangs on that end proves nothing, and ids that were missed before it would be listed nowhere.
        """
        return self.newest - newest <= newest - self.begun


@dataclass(slots=True)
class _Run:
    newest: int
    since_s: float
    last: int
    count: int = 0
    later: list[tuple[int, Arrival]] = field(default_factory=list)


class Recount:
    """Looks at messages that end at or before the newest id and fill no hole, connection by connection.

    `newest_row` gives the newest row of the stream; `event_time_ms` is that of the last run's.
    """

    def __init__(self, newest_row: Callable[[], Arrival | None], event_time_ms: int) -> None:
        self._newest_row = newest_row
        self._seen: Arrival | None = None
        self._latest_ms = event_time_ms
        self._runs: dict[int, _Run] = {}

    def latest_ms(self) -> int:
        """Return the latest transaction time (ms) of the rows that were the newest when this was asked for."""
        row = self._newest_row()
        if row is not None and row is not self._seen:
            self._seen = row
            self._latest_ms = max(self._latest_ms, happened_ms(row))
        return self._latest_ms

    def begin(self) -> None:
        """Begin another count: forget the times and runs of the old one."""
        self._runs.clear()
        self._seen = self._newest_row()
        self._latest_ms = 0

    def forget(self, connection: int) -> None:
        """Take note that a connection has ended."""
        self._runs.pop(connection, None)

    def later_ms(self, arrival: Arrival) -> int:
        """Return when it happened, if later than all that is recorded; else 0."""
        at_ms = happened_ms(arrival)
        return at_ms if at_ms > self.latest_ms() else 0

    def add(self, arrival: Arrival, ids: tuple[int, int], at_ms: int, newest: int, now_s: float) -> list[Arrival]:
        """Return the first messages of a new count, once this one has proven it; nothing while it may be a repeat.

        `at_ms` is what `later_ms` has said of it.
        """
        previous, last = ids
        run = self._runs.get(arrival.connection)
        if run is not None and last == run.last:
            return []
        if last == newest:  # where the old count ends
            self._runs.pop(arrival.connection, None)
            return []
        if run is None or previous < run.last:
            run = self._runs[arrival.connection] = _Run(newest, now_s, last)
        elif previous > run.last:
            run.later.clear()
        if run.newest != newest:  # the old count goes on meanwhile
            run.newest, run.since_s, run.count = newest, now_s, 0
        run.last = last
        run.count += 1
        if run.count >= _LEAST and now_s - run.since_s >= _LASTS_S:
            return [arrival]
        return self._later(run, at_ms, arrival)

    def _later(self, run: _Run, at_ms: int, arrival: Arrival) -> list[Arrival]:
        if not at_ms:
            run.later.clear()
            return []
        run.later.append((at_ms, arrival))
        latest_ms = self.latest_ms()
        overtaken = [number for number, (one_ms, _) in enumerate(run.later, 1) if one_ms <= latest_ms]
        del run.later[: max(overtaken, default=0)]
        return [one for _, one in run.later] if len(run.later) >= _ENOUGH else []


def happened_ms(arrival: Arrival) -> int:
    """Return the transaction time of a message; its event time where it has none that makes sense."""
    event_time_ms = arrival.reading.event_time_ms
    found = transact_time_ms(arrival.event) if event_time_ms else None
    return event_time_ms if found is None or found > event_time_ms + _DAY_MS else found
