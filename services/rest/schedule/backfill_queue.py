"""Which stream's missing rows are asked for next, page by page.

Nothing here outlives a restart: a worker repeats its wish until it has the rows, or knows that there are none.
"""

from collections.abc import Collection
from typing import NamedTuple

from binance_streamer.exchange.rest import KEPT_MS, SURELY_KEPT_MS
from binance_streamer.exchange.streams import Stream
from services.rest.schedule.pacing import LONGEST_DELAY_ROUNDS
from services.runtime.retry import KeyedBackoff

MAX_WAITING = 5000
"""Streams with a wish: two of each symbol that the exchange lists, with room."""
_INTEREST_ROUNDS = 12
"""So long after a worker's last word its wish is dropped: it has ended, or its symbol is recorded no more."""
_MARGIN_MS = 600_000
"""From the edge of what the exchange keeps, which moves while we ask."""


class BackfillRequest(NamedTuple):
    """Rows of a stream with ids in (from_id, to_id]; `from_ns` is when the row before them was received.

    `since_ms`: ask by time, because the exchange no longer has the first of them by id.
    """

    stream: Stream
    gap_id: str
    from_id: int
    to_id: int
    from_ns: int
    since_ms: int | None = None


class _Waiting(NamedTuple):
    wish: BackfillRequest
    asked_s: float


class BackfillQueue:
    """One wish per stream, served in turn."""

    def __init__(self, *, retry_s: float) -> None:
        self._interest_s = _INTEREST_ROUNDS * retry_s
        self._waiting: dict[str, _Waiting] = {}
        self._backoff = KeyedBackoff[str](first_s=retry_s, ceiling_s=LONGEST_DELAY_ROUNDS * retry_s)

    def __len__(self) -> int:
        return len(self._waiting)

    def try_add(self, wish: BackfillRequest, now_s: float) -> bool:
        """Take a wish, in place of what the stream wanted before; False when there is no room."""
        name = wish.stream.name
        before = self._waiting.get(name)
        if before is None and len(self._waiting) >= MAX_WAITING:
            return False
        if before is not None and before.wish.from_id == wish.from_id:
            wish = wish._replace(since_ms=before.wish.since_ms)
        self._waiting[name] = _Waiting(wish, now_s)  # keeps the place of a stream that waits already
        return True

    def next(self, now_s: float, without: Collection[str] = ()) -> BackfillRequest | None:
        """What is due, and stays due until an answer is told of it; nothing of the types of streams `without`."""
        dropped = []
        found = None
        for name, (wish, asked_s) in self._waiting.items():
            if now_s >= asked_s + self._interest_s:
                dropped.append(name)
            elif wish.stream.stream_type not in without and not self._backoff.is_delayed(name, now_s):
                found = wish
                break
        for name in dropped:
            del self._waiting[name]
        return found

    def note_answer(self, wish: BackfillRequest) -> None:
        """The worker has an answer, and asks for what it wants then."""
        self._backoff.succeed(wish.stream.name)
        waiting = self._waiting.get(wish.stream.name)
        if waiting is not None and waiting.wish.from_id == wish.from_id:
            del self._waiting[wish.stream.name]

    def note_failure(self, wish: BackfillRequest, now_s: float) -> None:
        """No answer: held and behind the others, because its worker repeats it as long as it does not come."""
        self._backoff.fail(wish.stream.name, now_s)
        waiting = self._waiting.pop(wish.stream.name, None)
        if waiting is not None:
            self._waiting[wish.stream.name] = waiting

    def try_by_time(self, wish: BackfillRequest, now_ms: int) -> bool:
        """The exchange has nothing at the first id. Where that is old, ask by time for what it still keeps, once at
        each edge that it has named; False where there is nothing left to try.
        """
        if wish.stream.stream_type != "aggtrade":
            return False
        for kept_ms in (KEPT_MS, SURELY_KEPT_MS):
            since_ms = now_ms - kept_ms + _MARGIN_MS
            is_tried = wish.since_ms is not None and since_ms < wish.since_ms + 2 * _MARGIN_MS
            if wish.from_ns // 1_000_000 < since_ms and not is_tried:
                name = wish.stream.name
                waiting = self._waiting.get(name)
                if waiting is not None and waiting.wish.from_id == wish.from_id:
                    self._waiting[name] = waiting._replace(wish=waiting.wish._replace(since_ms=since_ms))
                    return True
        return False
