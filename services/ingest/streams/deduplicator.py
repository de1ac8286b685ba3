"""Tells copies of other connections by their content, event times aside (docs/exchange.md §7.4).

Memory of it is bounded, so the lag of what is judged by it is too: a connection that comes near the bound is late, and
nothing more is taken of it; another one has brought it, or what is missing is listed.
"""

import math
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
NEAR_MS = 100
"""So far apart may the event times of copies be."""
_REMEMBERED_S = 120.0
"""A connection that ended so long ago is forgotten: no copy of what it delivered comes any more."""


def content_of(payload: bytes, event_time_ms: int) -> bytes:
    """Return the digest of a payload without its event time."""
    untimed = payload.replace(b'"E":%d' % event_time_ms, b"", 1)
    return blake2b(untimed, digest_size=16).digest()


class Seen(NamedTuple):
    """A payload just delivered.

    `key` stands for the message of which it is a copy, or for itself. `by_connection`: how often this connection has
    delivered it, this time included. `most_before`: the most deliveries by any one connection before. `first_ns`: the
    receive stamp of the first one of all.
    """

    key: bytes
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

    `within_ms`: the event times of copies lie at most so far apart, for the same content later is another message.
    Without it the content alone counts: right where an id makes other messages differ. A payload costs 350 bytes while
    only one connection has delivered it, once.
    """

    def __init__(self, within_ms: float = math.inf) -> None:
        self.late: set[int] = set()
        """Connections that lag so much that nothing more of the stream is taken of them."""
        self.lag_s: dict[int, float] = {}
        """By connection: how much later than the first copy of the same message its own last copy came."""
        self._within_ms = within_ms
        self._payloads: dict[bytes, _Payload] = {}
        self._counts: dict[tuple[bytes, int], int] = {}  # without the first delivery of each payload
        self._times: dict[bytes, set[int]] = {}  # by content, where event times count: those of different messages
        self._old_payloads: dict[bytes, _Payload] = {}
        self._old_counts: dict[tuple[bytes, int], int] = {}
        self._old_times: dict[bytes, set[int]] = {}
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
        content = content_of(payload, event_time_ms)
        found = self._find(content, connection, event_time_ms)
        if found is not None:
            return self._repeat(content, found, connection, event_time_ms=event_time_ms, now_s=now_s)
        if event_time_ms <= self._forgotten_ms and self._is_forgotten(connection, event_time_ms):
            self._give_up(connection)
            return None
        key = self._note_new(content, connection, recv_ns, event_time_ms=event_time_ms, now_s=now_s)
        return Seen(key, 1, 0, recv_ns)

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
            content = content_of(event, event_time_ms)
            if event_time_ms <= self._forgotten_ms or self._is_known(content, event_time_ms):
                break
            self._note_new(content, connection, recv_ns, event_time_ms=event_time_ms, now_s=now_s)
            at += 1
        return at

    def _note_new(self, content: bytes, connection: int, recv_ns: int, *, event_time_ms: int, now_s: float) -> bytes:
        self._note_time(connection, event_time_ms)
        self._number += 1
        key = self._key(content, event_time_ms)
        self._remember(content, key, _Payload(recv_ns, connection, 1, now_s, self._number, event_time_ms))
        return key

    def _remember(self, content: bytes, key: bytes, known: _Payload) -> None:
        self._payloads[key] = known
        if self._within_ms < math.inf:
            self._times.setdefault(content, set()).add(known.event_time_ms)

    def _repeat(
        self, content: bytes, found: tuple[bytes, _Payload], connection: int, *, event_time_ms: int, now_s: float
    ) -> Seen:
        key, known = found
        self._note_time(connection, event_time_ms)
        count = 1 + self._count(key, connection, known)
        if count == 1:
            self._measure(connection, known, event_time_ms, now_s)
        most_before = known.most
        known.most = max(count, most_before)
        self._counts[key, connection] = count
        self._remember(content, key, known)
        return Seen(key, count, most_before, known.first_ns)

    def has(self, key: bytes, connection: int) -> bool:
        """Return True where the connection has delivered the message, as far as is remembered."""
        known = self._known(key)
        return known is not None and self._count(key, connection, known) > 0

    def knows(self, payload: bytes, event_time_ms: int) -> bool:
        """Return True where any connection has delivered the payload, as far as is remembered."""
        return self._is_known(content_of(payload, event_time_ms), event_time_ms)

    def forget(self, connection: int, now_s: float) -> None:
        """Take note that a connection has ended; others may still bring copies of what it delivered."""
        self.lag_s.pop(connection, None)
        if connection in self._spans:
            self._spans[connection].ended_s = now_s
        for other, span in list(self._spans.items()):
            if span.ended_s is not None and now_s - span.ended_s > _REMEMBERED_S:
                del self._spans[other]

    def _key(self, content: bytes, event_time_ms: int) -> bytes:
        return content if self._within_ms == math.inf else content + b"%d" % event_time_ms

    def _known(self, key: bytes) -> _Payload | None:
        return self._payloads.get(key) or self._old_payloads.get(key)

    def _is_known(self, content: bytes, event_time_ms: int) -> bool:
        if self._within_ms == math.inf:
            return content in self._payloads or content in self._old_payloads
        return bool(self._near(content, event_time_ms))

    def _near(self, content: bytes, event_time_ms: int) -> list[int]:
        """Return the event times of the messages of which this may be a copy, the nearest first."""
        times = self._times.get(content, set()) | self._old_times.get(content, set())
        near = [time_ms for time_ms in times if abs(time_ms - event_time_ms) <= self._within_ms]
        return sorted(near, key=lambda time_ms: (abs(time_ms - event_time_ms), time_ms))

    def _find(self, content: bytes, connection: int, event_time_ms: int) -> tuple[bytes, _Payload] | None:
        """Return the message of which this is a copy: the nearest in time that others have brought more often.

        Else it is one that the exchange sends once more: with the same time it counts as one of those, later it is new.
        """
        key = self._key(content, event_time_ms)
        exact = self._known(key)
        if self._within_ms < math.inf:
            for time_ms in self._near(content, event_time_ms):
                other = self._key(content, time_ms)
                known = self._known(other)
                if known is not None and self._count(other, connection, known) < known.most:
                    return other, known
        return None if exact is None else (key, exact)

    def _turn(self, now_s: float) -> None:
        self._began_s = now_s
        self._forgotten_ms = max(self._forgotten_ms, self._old_latest_ms)
        self._old_latest_ms, self._latest_ms = self._latest_ms, 0
        self._old_payloads, self._payloads = self._payloads, {}
        self._old_counts, self._counts = self._counts, {}
        self._old_times, self._times = self._times, {}

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
        if event_time_ms - known.event_time_ms > NEAR_MS:  # the exchange has sent it again, later
            return
        self.lag_s[connection] = lag_s = now_s - known.first_s
        if lag_s >= LATE_S or self._number - known.number >= _LATE_COUNT:
            self._give_up(connection)

    def _give_up(self, connection: int) -> None:
        self.late.add(connection)
        self._spans.pop(connection, None)

    def _count(self, key: bytes, connection: int, known: _Payload) -> int:
        at = (key, connection)
        return self._counts.get(at) or self._old_counts.get(at) or int(known.first_by == connection)
