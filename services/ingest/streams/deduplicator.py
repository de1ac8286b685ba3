"""Tells copies of other connections by their content, event times aside (docs/exchange.md §7.4).

Memory of it is bounded, so the lag of what is judged by it is too: a connection that comes near the bound is late, and
nothing more is taken of it; another one has brought it, or what is missing is listed.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import blake2b
from typing import NamedTuple

import msgspec

from services.ingest.streams.arrivals import Bunch
from services.runtime.gaps.last_rows import latest_ms

_WINDOW_S = 30.0
_MOST_IN_WINDOW = 10_000
"""Two windows are kept, the older one whole: whatever is younger than one window is remembered for sure."""
LATE_S = _WINDOW_S / 2
_LATE_COUNT = _MOST_IN_WINDOW // 2
"""A connection is given up at half of what is remembered for sure, while its copies can still be told."""
_NEAR_MS = 100
_REMEMBERED_S = 120.0
"""A connection that ended so long ago is forgotten: no copy of what it delivered comes any more."""

Keys = Callable[[bytes, int], tuple[bytes, ...]]
"""Gives the keys under which a payload with this event time may be remembered; it is stored under the first."""


def by_content(payload: bytes, event_time_ms: int) -> tuple[bytes, ...]:
    """Return the digest of a payload without its event time: right where an id makes other messages differ."""
    untimed = payload.replace(b'"E":%d' % event_time_ms, b"", 1)
    return (blake2b(untimed, digest_size=16).digest(),)


def by_content_and_time(payload: bytes, event_time_ms: int) -> tuple[bytes, ...]:
    """Return keys that two payloads share where only their event times differ, by at most 100 ms.

    For streams without an id: there the same content later is another message. The time is cut into windows of 200 ms,
    and the second key is the neighbour that is nearer, so that up to 300 ms may count as the same, too.
    """
    (digest,) = by_content(payload, event_time_ms)
    at, within = divmod(event_time_ms, 2 * _NEAR_MS)
    return digest + b"%d" % at, digest + b"%d" % (at + (1 if within >= _NEAR_MS else -1))


class Seen(NamedTuple):
    """A payload just delivered.

    `by_connection`: how often this connection has delivered it, this time included. `most_before`: the most deliveries
    by any one connection before. `first_ns`: the receive stamp of the first one of all.
    """

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
    """The event times of a connection's first and last message, and when it ended."""

    first_ms: int
    last_ms: int
    ended_s: float | None = None


class Deduplicator:
    """Remembers how often each connection delivered each payload of the last 30 to 60 s, or the last 10,000 at least.

    A payload costs 350 bytes while only one connection has delivered it, once.
    """

    def __init__(self, keys: Keys) -> None:
        self.late: set[int] = set()
        """Connections that lag so much that nothing more of the stream is taken of them."""
        self.lag_s: dict[int, float] = {}
        """By connection: how much later than the first copy of the same message its own last copy came."""
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
        """Note a delivery, and return how often this payload had come before.

        The n-th delivery by one connection is a new message only where no other one has delivered it n times. None: the
        connection is late, so that nobody knows whether this is recorded already.
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

    def add_new(self, bunch: Bunch, begin: int, connection: int, now_s: float) -> int:
        """Note deliveries from this place on like `add`, up to the first one that is not new for sure.

        Return where that one stands. Ids that are None, or a time a day ahead of our clock, are none for sure.
        """
        at = begin
        if connection in self.late:
            return at
        stamps_ns, events, all_ids = bunch.part(begin, len(bunch.events))
        for ids, event, recv_ns in zip(all_ids, events, stamps_ns, strict=True):
            if ids is None or ids.event_time_ms > latest_ms(recv_ns):
                break
            if now_s - self._began_s > _WINDOW_S or len(self._payloads) >= _MOST_IN_WINDOW:
                self._turn(now_s)
            event_time_ms = ids.event_time_ms
            keys = self._keys(event, event_time_ms)
            if event_time_ms <= self._forgotten_ms or self._has_any(keys):
                break
            self._note_time(connection, event_time_ms)
            self._number += 1
            self._payloads[keys[0]] = _Payload(recv_ns, connection, 1, now_s, self._number, event_time_ms)
            at += 1
        return at

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
        """Return True where the connection has delivered the payload, as far as is remembered."""
        known = self._payloads.get(digest) or self._old_payloads.get(digest)
        return known is not None and self._count(digest, connection, known) > 0

    def knows(self, payload: bytes, event_time_ms: int) -> bool:
        """Return True where any connection has delivered the payload, as far as is remembered."""
        return self._has_any(self._keys(payload, event_time_ms))

    def forget(self, connection: int, now_s: float) -> None:
        """Take note that a connection has ended; others may still bring copies of what it delivered."""
        self.lag_s.pop(connection, None)
        if connection in self._spans:
            self._spans[connection].ended_s = now_s
        for other, span in list(self._spans.items()):
            if span.ended_s is not None and now_s - span.ended_s > _REMEMBERED_S:
                del self._spans[other]

    def _has_any(self, keys: Iterable[bytes]) -> bool:
        return any(key in self._payloads or key in self._old_payloads for key in keys)

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
