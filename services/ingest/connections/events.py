"""What the reading thread tells the recorder, in the order in which it happened, and how it is stamped."""

from collections.abc import Mapping
from typing import NamedTuple

_BACKWARDS_NS = 1_000_000_000


class Delivered(NamedTuple):
    """Messages out of one recv; the first is stamped `recv_ns`, each next one a nanosecond more."""

    connection: int
    recv_ns: int
    messages: list[bytes]
    size_bytes: int


class Opened(NamedTuple):
    """The handshake is done; what the connection delivers comes behind this."""

    connection: int
    recv_ns: int


class Ended(NamedTuple):
    """The connection is closed, whoever did it; nothing of it comes behind this. `reason` is that of a gap."""

    connection: int
    recv_ns: int
    reason: str
    detail: str


class Failed(NamedTuple):
    """No connection came about."""

    connection: int
    detail: str
    retry_after_s: float
    http_status: int | None = None


ReaderEvent = Delivered | Opened | Ended | Failed


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
    """Stamps that order what this process received.

    They follow the clock, but never go back by less than a second, which is noise; a clock set back is followed.
    """

    def __init__(self) -> None:
        self._last_ns = 0

    def first_of(self, now_ns: int, count: int) -> int:
        """The first of `count` consecutive stamps for what was received at this time."""
        first_ns = now_ns
        if now_ns <= self._last_ns <= now_ns + _BACKWARDS_NS:
            first_ns = self._last_ns + 1
        self._last_ns = first_ns + count - 1
        return first_ns
