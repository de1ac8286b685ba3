"""Decides which symbol's snapshot is asked for now.

The REST process serves requests in their order, at a pace that the exchange sets. So few are outstanding at a time:
those of the busiest symbols first, and one audit, but only while no symbol waits for its first turn. A symbol that is
not served within a few repetitions lets the others pass; REST may be away, or refuse this symbol. An audit is then
given up: the next one comes soon enough.

| entry | asked | then |
|---|---|---|
| waits for its turn | 0 | asked for when less than `MOST_OUTSTANDING` others are, the lowest `turn` first |
| outstanding | 1 to 3 | asked for again after the retry time, until `settle` |
| not served | 3, and the retry time is over | waits again with a higher `turn`; an audit is dropped |
"""

from collections.abc import Callable

from binance_streamer.wire.requests import AUDIT, SnapshotRequest
from services.orderbook.book.snapshot_pacing import RANGE
from services.runtime.retry import RandomSource, spread_s

MOST_OUTSTANDING = 4
"""Requests: at the usual pace of `rest` each is answered within seconds, and is not repeated meanwhile."""
_REPETITIONS = 3
_OF_A_VALID_BOOK = (AUDIT, RANGE)


class _Entry:
    """The request of one symbol, how often it was made in this turn, and how many turns it had before."""

    __slots__ = ("asked", "next_s", "turn", "wanted")

    def __init__(self, wanted: SnapshotRequest) -> None:
        self.wanted = wanted
        self.asked = 0  # in this turn; 0: waits for its turn
        self.turn = 0
        self.next_s = 0.0

    @property
    def is_audit(self) -> bool:
        return self.wanted.reason == AUDIT


class SnapshotScheduler:
    """The requests of all symbols, at most one each."""

    def __init__(self, *, retry_s: float, rng: RandomSource, activity: Callable[[str], float]) -> None:
        """Begin without requests; `activity` gives for a symbol how busy it is: the busier, the higher."""
        self._retry_s = retry_s
        self._rng = rng
        self._activity = activity
        self._entries: dict[str, _Entry] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def request(self, wanted: SnapshotRequest) -> None:
        """Ask for this snapshot, in its turn, until `settle`; it replaces the request of the same symbol before.

        A book that is not valid any more begins a turn of its own; other changes keep the place in the turn.
        """
        entry = self._entries.get(wanted.symbol)
        if entry is None or (entry.wanted.reason in _OF_A_VALID_BOOK and wanted.reason not in _OF_A_VALID_BOOK):
            self._entries[wanted.symbol] = _Entry(wanted)
        else:
            entry.wanted = wanted

    def settle(self, symbol: str) -> None:
        """Forget the request of a symbol: it is answered, or not needed any more."""
        self._entries.pop(symbol, None)

    def requested(self, symbol: str) -> SnapshotRequest | None:
        """The request of a symbol; None where there is none."""
        entry = self._entries.get(symbol)
        return None if entry is None else entry.wanted

    def take_due(self, now_s: float) -> list[SnapshotRequest]:
        """Return the requests to send now, for the first time or again, and count them as sent."""
        for entry in list(self._entries.values()):
            if entry.asked >= _REPETITIONS and now_s >= entry.next_s:
                entry.asked, entry.turn = 0, entry.turn + 1
                if entry.is_audit:
                    del self._entries[entry.wanted.symbol]
        outstanding = [entry for entry in self._entries.values() if entry.asked]
        free = MOST_OUTSTANDING - len(outstanding)
        if free > 0 and len(outstanding) < len(self._entries):
            outstanding += self._next(free, outstanding)
        asked = [entry for entry in outstanding if now_s >= entry.next_s]
        for entry in asked:
            entry.asked += 1
            entry.next_s = now_s + spread_s(self._retry_s, self._rng)
        return [entry.wanted for entry in asked]

    def _next(self, number: int, outstanding: list[_Entry]) -> list[_Entry]:
        waiting = [entry for entry in self._entries.values() if not entry.asked]
        books = [entry for entry in waiting if not entry.is_audit]
        books.sort(key=lambda entry: (entry.turn, -self._activity(entry.wanted.symbol)))
        before_audits = [entry for entry in outstanding if entry.is_audit or not entry.turn]
        if not before_audits and not any(not entry.turn for entry in books):
            books = [entry for entry in waiting if entry.is_audit][:1] + books
        return books[:number]
