"""Which snapshots are asked for now.

The REST process serves requests in their order, at a pace that the exchange sets. So few are outstanding at a time:
those of the busiest symbols, and one audit only while nobody has just begun to wait for a book. Whoever is not served
within a few repetitions lets the others pass; REST may be away, or refuse this symbol. An audit is then given up: the
next one is wanted soon enough.
"""

from collections.abc import Callable
from typing import NamedTuple

from services.orderbook.book.sequence import RANGE
from services.runtime.retry import RandomSource, spread_s

MOST_OUTSTANDING = 4
_REPETITIONS = 3
AUDIT = "audit"
_OF_A_RIGHT_BOOK = (AUDIT, RANGE)


class DueSnapshot(NamedTuple):
    """A snapshot of a symbol; one helps when its id is at least this."""

    symbol: str
    last_update_id: int
    reason: str


class _WaitingSymbol:
    __slots__ = ("asked", "next_s", "turn", "wanted")

    def __init__(self, wanted: DueSnapshot) -> None:
        self.wanted = wanted
        self.asked = 0  # in this turn; 0: waits for its turn
        self.turn = 0
        self.next_s = 0.0

    @property
    def is_audit(self) -> bool:
        return self.wanted.reason == AUDIT


class SnapshotScheduler:
    """The wishes of all symbols, one each."""

    def __init__(self, *, retry_s: float, rng: RandomSource, activity: Callable[[str], float]) -> None:
        """`activity` of a symbol: the busier, the higher."""
        self._retry_s = retry_s
        self._rng = rng
        self._activity = activity
        self._entries: dict[str, _WaitingSymbol] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def want(self, wanted: DueSnapshot) -> None:
        """Ask for this, in its turn, until `settle`; it takes the place of what was wanted of the symbol before."""
        entry = self._entries.get(wanted.symbol)
        if entry is None or (entry.wanted.reason in _OF_A_RIGHT_BOOK and wanted.reason not in _OF_A_RIGHT_BOOK):
            self._entries[wanted.symbol] = _WaitingSymbol(wanted)
        else:
            entry.wanted = wanted

    def settle(self, symbol: str) -> None:
        """Nothing is wanted of this symbol any more."""
        self._entries.pop(symbol, None)

    def wants(self, symbol: str) -> DueSnapshot | None:
        """What is wanted of a symbol."""
        entry = self._entries.get(symbol)
        return None if entry is None else entry.wanted

    def due(self, now_s: float) -> list[DueSnapshot]:
        """What to ask for now, first or again."""
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

    def _next(self, number: int, outstanding: list[_WaitingSymbol]) -> list[_WaitingSymbol]:
        waiting = [entry for entry in self._entries.values() if not entry.asked]
        books = [entry for entry in waiting if not entry.is_audit]
        books.sort(key=lambda entry: (entry.turn, -self._activity(entry.wanted.symbol)))
        before_audits = [entry for entry in outstanding if entry.is_audit or not entry.turn]
        if not before_audits and not any(not entry.turn for entry in books):
            books = [entry for entry in waiting if entry.is_audit][:1] + books
        return books[:number]
