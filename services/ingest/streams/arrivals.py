"""Messages as they came, their plausible readings, and the drafts of what is to be journalled of them."""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from binance_streamer.exchange.messages import LARGEST_ID, EventIds, ExchangeError, Reading
from binance_streamer.exchange.streams import Stream
from services.runtime.delivery.events import EventRun, reading_of
from services.runtime.gaps.drafts import Draft, Gap, GapChange, gap_draft

NO_READING = Reading(None, None, 0)
_YEAR_2100_MS = 4_102_444_800_000
_LONGEST_REASON = 200


class Arrival(NamedTuple):
    """A message of one stream as it came over a connection, with its receive stamp."""

    connection: int
    recv_ns: int
    event: bytes
    reading: Reading


class Bunch(NamedTuple):
    """Messages of one stream that came over one connection, in columns: stamps, bytes, ids.

    Ids are None where they cannot be read without a closer look.
    """

    stamps_ns: Sequence[int]
    events: Sequence[bytes]
    ids: Sequence[EventIds | None]

    def part(self, begin: int, end: int) -> "Bunch":
        """Return the messages from `begin` to before `end`."""
        stamps_ns, events, ids = self
        return Bunch(stamps_ns[begin:end], events[begin:end], ids[begin:end])


Outcome = Arrival | Gap
"""An arrival is to be recorded, a gap to be listed."""


class PendingDrafts:
    """Rows and gaps that wait to be journalled, in their order.

    A gap stands before the row that shows it. Changes of gaps stand behind all rows, each gap once, in its last state.
    So a write that is cut short leaves a hole that is listed, and no gap that is closed without its rows.
    """

    def __init__(self) -> None:
        self._drafts: list[Draft | EventRun | Gap] = []
        self._changes: dict[str, GapChange] = {}
        self.add: Callable[[Draft], None] = self._drafts.append
        """Append a row. Bound once, and the list is never replaced: this is done for nearly every message."""

    def run_of(self, stream: Stream, connection: int) -> EventRun:
        """Return the run to append to: the last draft where it is of this stream and connection, else a new one."""
        last = self._drafts[-1] if self._drafts else None
        if isinstance(last, EventRun) and last.connection == connection and last.stream is stream:
            return last
        run = EventRun(stream, connection)
        self._drafts.append(run)
        return run

    def list_gaps(self, gaps: Iterable[Gap]) -> None:
        """Append gaps, and note how others have changed."""
        for gap in gaps:
            if isinstance(gap, GapChange):
                self._changes[gap.gap_id] = gap
            else:
                self._changes.pop(gap.gap_id, None)  # this one is final, and stands before changes
                self._drafts.append(gap)

    def collect(self, recv_ns: int) -> list[Draft | EventRun]:
        """Return all that waits, and forget it; gaps are stamped with `recv_ns`."""
        collected = [*self._drafts, *self._changes.values()]
        self._drafts.clear()
        self._changes = {}
        return [gap_draft(item, recv_ns) if isinstance(item, Gap) else item for item in collected]


def reading_from(ids: EventIds | None) -> Reading:
    """Return the reading that these ids are; `NO_READING` where there are none, so that the message is to be read."""
    return NO_READING if ids is None else reading_of(ids)


def plausible(reading: Reading, latest_ms: int, *, ids_are_times: bool) -> Reading:
    """Return the reading, its event time 0 where that is more than a day ahead of our clock: one of the two is wrong.

    0 and not the latest plausible one: copies of a message would have different times, and look like a new count.
    A closed bar that is so far ahead is no bar (`ids_are_times`): none of those before it would be missing any more.
    """
    if not 0 <= (reading.last_id or 0) <= LARGEST_ID:
        raise ExchangeError(f"expected an id up to 2**53, got {reading.last_id!r:.40}")
    if ids_are_times and (reading.last_id or 0) > latest_ms:
        raise ExchangeError(f"expected a bar that has begun, got one of {reading.last_id}")
    if not 0 <= reading.event_time_ms <= _YEAR_2100_MS:
        raise ExchangeError(f"expected an event time before 2100, got {reading.event_time_ms!r:.40}")
    return reading if reading.event_time_ms <= latest_ms else reading._replace(event_time_ms=0)


def raw_draft(symbol: str, arrival: Arrival, name: str, reason: str) -> Draft:
    """Return a message that has no row form as it is journalled: as it came, with the reason."""
    connection, recv_ns, event, _ = arrival
    data = {
        "symbol": symbol,
        "stream": name,
        "recv_ns": recv_ns,
        "source": "ws",
        "connection": connection,
        "reason": reason[:_LONGEST_REASON],
        "event": event,
    }
    return Draft("raw", symbol, "", data)
