"""Queue of missing rows: one request per stream, served in turn and page by page.

Nothing here outlives a restart: a worker repeats its request until it has the rows, or knows that there are none.
"""

from collections.abc import Collection
from typing import NamedTuple

from binance_streamer.exchange.rest import KEPT_MS, SURELY_KEPT_MS
from binance_streamer.exchange.streams import Stream
from services.rest.schedule.pacing import LONGEST_DELAY_ROUNDS
from services.runtime.retry import KeyedBackoff

MAX_WAITING = 5000
"""Streams that wait: two of each of the 900 symbols that the exchange lists, with room to spare."""
_INTEREST_ROUNDS = 12
"""Of the retry time. A request that its worker has not repeated for so long is dropped: the worker has ended, or its
symbol is recorded no more. With the usual five seconds, a minute."""
_MARGIN_MS = 600_000
"""Ten minutes from the edge of what the exchange keeps, which moves on while we ask."""


class MissingRows(NamedTuple):
    """A `BackfillRequest` that REST can serve: rows of `stream` with ids in (from_id, to_id].

    `since_ms`: ask by time, because the exchange no longer has the first of them by id.
    """

    stream: Stream
    gap_id: str
    from_id: int
    to_id: int
    from_ns: int
    since_ms: int | None = None


class _WaitingStream(NamedTuple):
    request: MissingRows
    asked_s: float


class BackfillQueue:
    """One request per stream, the newest; whoever fails goes behind the others."""

    def __init__(self, *, retry_s: float) -> None:
        self._interest_s = _INTEREST_ROUNDS * retry_s
        self._waiting: dict[str, _WaitingStream] = {}
        self._backoff = KeyedBackoff[str](first_s=retry_s, ceiling_s=LONGEST_DELAY_ROUNDS * retry_s)

    def __len__(self) -> int:
        return len(self._waiting)

    def try_add(self, request: MissingRows, now_s: float) -> bool:
        """Take a request, in place of an earlier one of its stream. Return False where no room is left."""
        name = request.stream.name
        before = self._waiting.get(name)
        if before is None and len(self._waiting) >= MAX_WAITING:
            return False
        if before is not None and before.request.from_id == request.from_id:
            request = request._replace(since_ms=before.request.since_ms)
        self._waiting[name] = _WaitingStream(request, now_s)  # keeps the place of a stream that waits already
        return True

    def next(self, now_s: float, without: Collection[str] = ()) -> MissingRows | None:
        """Return the request whose turn it is; it keeps its turn until `note_answer` or `note_failure`.

        Requests for streams of the types in `without` are passed over; what nobody repeats any more is dropped.
        """
        dropped = []
        found = None
        for name, (request, asked_s) in self._waiting.items():
            if now_s >= asked_s + self._interest_s:
                dropped.append(name)
            elif request.stream.stream_type not in without and not self._backoff.is_delayed(name, now_s):
                found = request
                break
        for name in dropped:
            del self._waiting[name]
        return found

    def note_answer(self, request: MissingRows) -> None:
        """Remove an answered request: its worker asks for what it still misses. A newer request of the stream stays."""
        self._backoff.succeed(request.stream.name)
        waiting = self._waiting.get(request.stream.name)
        if waiting is not None and waiting.request.from_id == request.from_id:
            del self._waiting[request.stream.name]

    def note_failure(self, request: MissingRows, now_s: float) -> None:
        """Delay the stream, and put it behind the others: no answer came, and its worker repeats the request anyway."""
        self._backoff.fail(request.stream.name, now_s)
        waiting = self._waiting.pop(request.stream.name, None)
        if waiting is not None:
            self._waiting[request.stream.name] = waiting

    def try_by_time(self, request: MissingRows, now_ms: int) -> bool:
        """Ask by time where the exchange has nothing at the first id. Return False where nothing is left to try.

        It keeps aggregates for 48 hours, or for 24 (it has said both). Where the first row is older than that, what
        is younger may still be there: it is looked up once at each of the two edges.
        """
        if request.stream.stream_type != "aggtrade":
            return False
        for kept_ms in (KEPT_MS, SURELY_KEPT_MS):
            since_ms = now_ms - kept_ms + _MARGIN_MS
            is_tried = request.since_ms is not None and since_ms < request.since_ms + 2 * _MARGIN_MS
            if request.from_ns // 1_000_000 < since_ms and not is_tried:
                name = request.stream.name
                waiting = self._waiting.get(name)
                if waiting is not None and waiting.request.from_id == request.from_id:
                    self._waiting[name] = waiting._replace(request=waiting.request._replace(since_ms=since_ms))
                    return True
        return False
