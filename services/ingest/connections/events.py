"""Events of the reading thread, in the order in which they happened, the stamps they carry, and ends of connections."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

_BACKWARDS_NS = 1_000_000_000

JOURNAL = 0
"""The number of the connection that a journal stands for, when another process goes on behind it; those to the exchange
count from 1."""


class Delivered(NamedTuple):
    """Messages of one connection with their receive stamps; those out of one recv differ by a nanosecond."""

    connection: int
    stamps_ns: Sequence[int]
    messages: list[bytes]
    size_bytes: int


class Opened(NamedTuple):
    """The handshake is done; all that the connection delivers comes behind this event."""

    connection: int
    recv_ns: int


class Ended(NamedTuple):
    """The connection is closed, whoever did it; nothing of it comes behind this. `reason` is that of a gap."""

    connection: int
    recv_ns: int
    reason: str
    detail: str


class Failed(NamedTuple):
    """An attempt to connect has failed.

    `retry_after_s`: the exchange wants no other attempt for so long; 0 where it did not say.
    """

    connection: int
    detail: str
    retry_after_s: float
    http_status: int | None = None


ReaderEvent = Delivered | Opened | Ended | Failed


def joined(events: Iterable[ReaderEvent]) -> list[ReaderEvent]:
    """Return the events in their order, with what one connection delivered in a row as one of them."""
    found: list[ReaderEvent] = []
    for event in events:
        last = found[-1] if found else None
        if type(event) is not Delivered or type(last) is not Delivered or last.connection != event.connection:
            found.append(event)
            continue
        stamps_ns, messages = last.stamps_ns, last.messages
        if not isinstance(stamps_ns, list):  # it is as the reader made it, and not joined with another one yet
            stamps_ns, messages = list(stamps_ns), list(messages)
        stamps_ns.extend(event.stamps_ns)
        messages.extend(event.messages)
        found[-1] = Delivered(event.connection, stamps_ns, messages, last.size_bytes + event.size_bytes)
    return found


class Lost(NamedTuple):
    """A connection does not deliver any more, and nobody has proven that another one has all that it delivered.

    `others` are the route's other connections, and since when (monotonic) each has been delivering; of one that proves
    nothing, not even for a quiet stream, that is infinity. `reason` is that of a gap.
    """

    connection: int
    route: str
    reason: str
    others: Mapping[int, float]


class HandedOver(NamedTuple):
    """A connection has ended, and another one is proven to have all that it delivered."""

    connection: int
    route: str


class Stamper:
    """Gives receive stamps that order what this process received.

    They follow the wall clock. Where it goes back by less than a second, which is noise, they go on by one nanosecond a
    message; a clock that is set back further is followed.
    """

    def __init__(self) -> None:
        self._last_ns = 0

    def stamps_of(self, now_ns: int, count: int) -> range:
        """Return `count` consecutive stamps (ns since 1970) for messages of one recv at `now_ns`."""
        first_ns = now_ns
        if now_ns <= self._last_ns <= now_ns + _BACKWARDS_NS:
            first_ns = self._last_ns + 1
        self._last_ns = first_ns + count - 1
        return range(first_ns, first_ns + count)
