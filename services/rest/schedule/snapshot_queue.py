"""Queue of depth snapshots: those that somebody waits for, the periodic ones, and audits at last.

`now_s` is monotonic, `now_ms` the exchange's wall clock, which decides the periodic slots and the UTC day.
"""

from collections.abc import Iterable
from typing import NamedTuple

from binance_streamer.wire.requests import AUDIT, SnapshotRequest
from services.rest.schedule.pacing import LONGEST_DELAY_ROUNDS
from services.runtime.retry import KeyedBackoff

DAY_MS = 86_400_000
MAX_WAITING = 2000
"""Symbols with a request waiting; the exchange lists 900 (2026-09-15)."""
_ANSWER_ROUNDS = 2
"""Of the retry time. Workers and books repeat their request every `retry_s` until they see the snapshot; one that was
recorded within so many rounds is on its way. A request that comes later is served anew: the snapshot was lost on its
way, or the ids were re-based."""
_INTEREST_ROUNDS = 12
"""Of the retry time. A snapshot that came too old is asked for again only while somebody still repeats the request."""


class _Waiting(NamedTuple):
    request: SnapshotRequest
    asked_s: float
    is_for_book: bool
    """The order book service asks for few at a time, of the busiest symbols; workers for all that they connect."""


class _Recorded(NamedTuple):
    last_update_id: int
    at_s: float


class SnapshotQueue:
    """Requests of others, one per symbol, and the periodic slots of the configured symbols."""

    def __init__(self, periodic: Iterable[str], *, interval_s: float, retry_s: float) -> None:
        self.interval_s = self._configured_interval_s = interval_s
        self._least_s = 0.0
        self._periodic = {symbol: number for number, symbol in enumerate(periodic)}
        self._retry_s = retry_s
        self._waiting: dict[str, _Waiting] = {}
        self._recorded: dict[str, _Recorded] = {}
        self.taken_ms: dict[str, int] = {}
        self._backoff = KeyedBackoff[str](first_s=retry_s, ceiling_s=LONGEST_DELAY_ROUNDS * retry_s)
        self._idle: frozenset[str] = frozenset()

    def __len__(self) -> int:
        return len(self._waiting)

    def start(self, taken_ms: dict[str, int], now_ms: int) -> None:
        """Take the times of the last periodic snapshots, in ms by symbol.

        A symbol without one counts as taken now, because its worker asks for its first snapshot by itself.
        """
        self.taken_ms = {symbol: min(taken_ms.get(symbol, now_ms), now_ms) for symbol in self._periodic}

    def follow(self, periodic: Iterable[str], now_ms: int) -> None:
        """Let these symbols have periodic snapshots from now on; one that is new counts as taken now."""
        self._periodic = {symbol: number for number, symbol in enumerate(periodic)}
        self.taken_ms = {symbol: self.taken_ms.get(symbol, now_ms) for symbol in self._periodic}
        self.stretch(self._least_s)

    def stretch(self, least_s: float) -> None:
        """Let all periodic symbols have their turn one after the other, `least_s` apart, within an interval."""
        self._least_s = least_s
        self.interval_s = max(self._configured_interval_s, len(self._periodic) * least_s)

    def set_idle(self, symbols: frozenset[str]) -> None:
        """Give these symbols no periodic snapshots, because they do not trade."""
        self._idle = symbols

    def try_add(self, request: SnapshotRequest, now_s: float) -> bool:
        """Take a request; return False where there is no room. One that a fresh snapshot satisfies is done already."""
        symbol, last_update_id = request.symbol, request.last_update_id
        recorded = self._recorded.get(symbol)
        if (
            recorded
            and recorded.last_update_id >= last_update_id
            and now_s < recorded.at_s + _ANSWER_ROUNDS * self._retry_s
        ):
            return True
        waiting = self._waiting.get(symbol)
        is_for_book = request.producer.startswith("orderbook") or (waiting is not None and waiting.is_for_book)
        if waiting is None and len(self._waiting) >= MAX_WAITING:
            return False
        if waiting is not None:
            least = max(last_update_id, waiting.request.last_update_id)
            earlier = waiting.request.reason
            request = SnapshotRequest(symbol, least, request.reason if earlier == AUDIT else earlier)
        self._waiting[symbol] = _Waiting(request, now_s, is_for_book)  # keeps the place of a symbol that waits already
        return True

    def next_asked(self, now_s: float) -> SnapshotRequest | None:
        """Return the first snapshot that a book waits for, else a worker, of a symbol that is not delayed."""
        return self._first_waiting(now_s, is_audit=False)

    def next_audit(self, now_s: float) -> SnapshotRequest | None:
        """Return the first snapshot that a book would compare itself with."""
        return self._first_waiting(now_s, is_audit=True)

    def next_periodic(self, now_s: float, now_ms: int) -> SnapshotRequest | None:
        """Return the periodic snapshot whose slot has come, the oldest first."""
        due = [symbol for symbol in self._periodic if self._is_due(symbol, now_s, now_ms)]
        if not due:
            return None
        return SnapshotRequest(min(due, key=self.taken_ms.__getitem__), 0, "periodic")

    def note_recorded(self, wanted: SnapshotRequest, last_update_id: int, now_s: float, now_ms: int) -> None:
        """Remove the request that a recorded snapshot satisfies; one that needs a higher id waits on, with a delay."""
        symbol = wanted.symbol
        self._recorded = {
            name: recorded
            for name, recorded in self._recorded.items()
            if now_s < recorded.at_s + _ANSWER_ROUNDS * self._retry_s
        }
        self._recorded[symbol] = _Recorded(last_update_id, now_s)
        if symbol in self._periodic:
            self.taken_ms[symbol] = now_ms
        waiting = self._waiting.get(symbol)
        if waiting is None or last_update_id >= waiting.request.last_update_id:
            self._waiting.pop(symbol, None)
            self._backoff.succeed(symbol)
        else:
            self._put_back(waiting, now_s)

    def note_refusal(self, wanted: SnapshotRequest, now_s: float, now_ms: int) -> None:
        """Remove the request: the exchange has no snapshot of this symbol. Who still wants one asks again."""
        self._waiting.pop(wanted.symbol, None)
        self._backoff.fail(wanted.symbol, now_s)
        if wanted.symbol in self._periodic:
            self.taken_ms[wanted.symbol] = now_ms

    def note_failure(self, wanted: SnapshotRequest, now_s: float) -> None:
        """Delay the symbol, and put it behind the others: no answer came, and the request is repeated anyway."""
        self._backoff.fail(wanted.symbol, now_s)
        waiting = self._waiting.pop(wanted.symbol, None)
        if waiting:
            self._waiting[wanted.symbol] = waiting

    def _first_waiting(self, now_s: float, *, is_audit: bool) -> SnapshotRequest | None:
        found: SnapshotRequest | None = None
        for wanted, _, is_for_book in self._waiting.values():
            if (wanted.reason == AUDIT) == is_audit and not self._backoff.is_delayed(wanted.symbol, now_s):
                if is_for_book:
                    return wanted
                found = found or wanted
        return found

    def _put_back(self, waiting: _Waiting, now_s: float) -> None:
        symbol = waiting.request.symbol
        del self._waiting[symbol]
        self._backoff.fail(symbol, now_s)
        if now_s < waiting.asked_s + _INTEREST_ROUNDS * self._retry_s:
            self._waiting[symbol] = waiting

    def _is_due(self, symbol: str, now_s: float, now_ms: int) -> bool:
        if symbol in self._idle or self._backoff.is_delayed(symbol, now_s):
            return False
        # a clock that was set back must not make a symbol wait until it has caught up
        self.taken_ms[symbol] = min(self.taken_ms[symbol], now_ms)
        return self.taken_ms[symbol] < self._slot_ms(self._periodic[symbol], now_ms)

    def _slot_ms(self, number: int, now_ms: int) -> int:
        """A symbol's latest slot: midnight UTC, then one every interval, shifted so that the symbols spread over it."""
        midnight_ms = now_ms - now_ms % DAY_MS
        interval_ms = max(1, int(self.interval_s * 1000))
        shift_ms = interval_ms * number // len(self._periodic)
        intervals = (now_ms - midnight_ms - shift_ms) // interval_ms
        return midnight_ms if intervals < 0 else midnight_ms + intervals * interval_ms + shift_ms
