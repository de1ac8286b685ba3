"""Telling the copies that other connections deliver by their content, event times aside (docs/exchange.md §7.4).

Memory of it is bounded, so the lag of what is judged by it is too: a connection that comes near the bound is late, and
nothing more is taken of it; another one has brought it, or what is missing is listed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from typing import NamedTuple

import msgspec

_WINDOW_S = 30.0
_MOST_IN_WINDOW = 10_000
LATE_S = _WINDOW_S / 2
_LATE_COUNT = _MOST_IN_WINDOW // 2
_NEAR_MS = 100
_REMEMBERED_S = 120.0
"""So long a connection that has ended counts as one whose copies may still come."""

Keys = Callable[[bytes, int], tuple[bytes, ...]]
"""Of a payload and its event time: what it may be found by. It is kept by the first."""


def by_content(payload: bytes, event_time_ms: int) -> tuple[bytes, ...]:
    """The same but for the event time: messages that have an id, so that another one has another content."""
    untimed = payload.replace(b'"E":%d' % event_time_ms, b"", 1)
    return (blake2b(untimed, digest_size=16).digest(),)


def by_content_and_time(payload: bytes, event_time_ms: int) -> tuple[bytes, ...]:
    """The same, at event times at most 100 ms apart: without an id, the same content later is another message."""
    (digest,) = by_content(payload, event_time_ms)
    at, within = divmod(event_time_ms, 2 * _NEAR_MS)
    return digest + b"%d" % at, digest + b"%d" % (at + (1 if within >= _NEAR_MS else -1))


class Seen(NamedTuple):
    """A payload just delivered: how often this connection has, this time included; how often any had before at most;
    and when it came first."""

    digest: bytes
    by_connection: int
    most_before: int
    first_ns: int


class _Payload(msgspec.Struct, gc=False):
    first_ns: int
    first_by: int
    most: int
    first_s: float
    number: int
    event_time_ms: int


@dataclass(slots=True)
class _Span:
    """Event times that a connection has delivered, from its first message to its last; and when it ended."""

    first_ms: int
    last_ms: int
    ended_s: float | None = None


class Deduplicator:
    """Who delivered which payload how often, over the last 30 to 60 s; under heavy load 10,000 payloads at least.

    A payload costs 350 bytes while only one connection has delivered it, once.
    """

    def __init__(self, keys: Keys) -> None:
        self.late: set[int] = set()
        """Connections of which nothing more is taken."""
        self.lag_s: dict[int, float] = {}
        """By connection: how much later than the first copy its own last came."""
        self._keys = keys
        self._payloads: dict[bytes, _Payload] = {}
        self._counts: dict[tuple[bytes, int], int] = {}  # without the first delivery of each payload
        self._old_payloads: dict[bytes, _Payload] = {}
        self._old_counts: dict[tuple[bytes, int], int] = {}
        self._began_s = float("-inf")
        self._number = 0
        self._spans: dict[int, _Span] = {}
        self._latest_ms = self._old_latest_ms = 0  # event times of what is remembered
        self._forgotten_ms = -1  # no later event time has been forgotten

    def add(self, payload: bytes, connection: int, *, event_time_ms: int, recv_ns: int, now_s: float) -> Seen | None:
        """Note a delivery. The n-th copy of one connection is new only where no other has delivered n of them.

        None: the connection is late, and nobody knows whether this is there already.
        """
        if connection in self.late:
            return None
        if now_s - self._began_s > _WINDOW_S or len(self._payloads) >= _MOST_IN_WINDOW:
            self._turn(now_s)
        for key in (keys := self._keys(payload, event_time_ms)):
            known = self._payloads.get(key) or self._old_payloads.get(key)
            if known is not None:
                return self._repeat(key, known, connection, event_time_ms, now_s)
        if event_time_ms <= self._forgotten_ms and self._is_forgotten(connection, event_time_ms):
            self._give_up(connection)
            return None
        self._note_time(connection, event_time_ms)
        self._number += 1
        self._payloads[keys[0]] = _Payload(recv_ns, connection, 1, now_s, self._number, event_time_ms)
        return Seen(keys[0], 1, 0, recv_ns)

    def _repeat(self, key: bytes, known: _Payload, connection: int, event_time_ms: int, now_s: float) -> Seen:
        self._note_time(connection, event_time_ms)
        count = 1 + self._count(key, connection, known)
        if count == 1:
            self._measure(connection, known, event_time_ms, now_s)
        most_before = known.most
        known.most = max(count, most_before)
        self._counts[key, connection] = count
        self._payloads[key] = known
        return Seen(key, count, most_before, known.first_ns)

    def has(self, digest: bytes, connection: int) -> bool:
        """Whether the connection has delivered the payload."""
        known = self._payloads.get(digest) or self._old_payloads.get(digest)
        return known is not None and self._count(digest, connection, known) > 0

    def forget(self, connection: int, now_s: float) -> None:
        """The connection has ended; copies of what it delivered may still come."""
        self.lag_s.pop(connection, None)
        if connection in self._spans:
            self._spans[connection].ended_s = now_s
        for other, span in list(self._spans.items()):
            if span.ended_s is not None and now_s - span.ended_s > _REMEMBERED_S:
                del self._spans[other]

    def _turn(self, now_s: float) -> None:
        self._began_s = now_s
        self._forgotten_ms = max(self._forgotten_ms, self._old_latest_ms)
        self._old_latest_ms, self._latest_ms = self._latest_ms, 0
        self._old_payloads, self._payloads = self._payloads, {}
        self._old_counts, self._counts = self._counts, {}

    def _note_time(self, connection: int, event_time_ms: int) -> None:
        self._latest_ms = max(self._latest_ms, event_time_ms)
        span = self._spans.get(connection)
        if span is None:
            self._spans[connection] = _Span(event_time_ms, event_time_ms)
        else:
            span.last_ms, span.ended_s = event_time_ms, None

    def _is_forgotten(self, connection: int, event_time_ms: int) -> bool:
        """Return True where another connection may have brought this so long ago that nobody remembers."""
        return any(
            other != connection and span.first_ms <= event_time_ms <= span.last_ms
            for other, span in self._spans.items()
        )

    def _measure(self, connection: int, known: _Payload, event_time_ms: int, now_s: float) -> None:
        if event_time_ms - known.event_time_ms > _NEAR_MS:  # the exchange has sent it again, later
            return
        self.lag_s[connection] = lag_s = now_s - known.first_s
        if lag_s >= LATE_S or self._number - known.number >= _LATE_COUNT:
            self._give_up(connection)

    def _give_up(self, connection: int) -> None:
        self.late.add(connection)
        self._spans.pop(connection, None)

    def _count(self, digest: bytes, connection: int, known: _Payload) -> int:
        key = (digest, connection)
        return self._counts.get(key) or self._old_counts.get(key) or int(known.first_by == connection)
