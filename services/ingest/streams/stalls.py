"""Connections that stay open and deliver a stream no more, while others go on with it (docs/exchange.md §3).

For `Liveness` such a stream is live; but the connection is of no use, and proves nothing.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

_MOST_NAGGING = 32
_SLEPT_S = 5.0


class Heard(NamedTuple):
    """One stream: when its last row came, and by open connection when that delivered it last, or was opened."""

    stream: str
    patience_s: float
    recorded_s: float
    heard_s: Mapping[int, float]


class StalledStream(NamedTuple):
    """Of this stream others have brought rows for longer than its patience, this connection nothing."""

    stream: str
    connection: int


class _Behind(NamedTuple):
    heard_s: float
    since_s: float  # when the first row came that this connection has not delivered


class Stalls:
    """What counts is over how long a time others brought rows, not how long this connection has been silent: a quiet
    stream of which it missed a message is no stall, and the one that brought the newest row is never to blame.
    """

    def __init__(self) -> None:
        self._behind: dict[StalledStream, _Behind] = {}
        self._asked: dict[str, tuple[float, int]] = {}  # by stream: when last, and how many patiences to wait then
        self._checked_s: float | None = None

    def check(self, streams: Iterable[Heard], now_s: float) -> set[StalledStream]:
        """All stalls that there are now."""
        slept = self._checked_s is not None and now_s - self._checked_s > _SLEPT_S
        self._checked_s = now_s
        before: dict[StalledStream, _Behind] = {} if slept else self._behind  # it was us who did not listen
        self._behind = {}
        found = set()
        for stream, patience_s, recorded_s, heard in streams:
            for connection, heard_s in heard.items():
                if not patience_s or recorded_s <= heard_s:
                    continue
                one = StalledStream(stream, connection)
                behind = before.get(one)
                if behind is None or behind.heard_s != heard_s:
                    behind = _Behind(heard_s, recorded_s)
                self._behind[one] = behind
                if recorded_s - behind.since_s > patience_s:
                    found.add(one)
        return found

    def may_ask(self, stream: str, patience_s: float, now_s: float) -> bool:
        """Whether to have a connection replaced for this stream now: at growing intervals where that does not help."""
        asked_s, nagging = self._asked.get(stream, (float("-inf"), 0))
        passed = (now_s - asked_s) / patience_s
        if passed <= nagging:
            return False
        is_in_vain = passed <= 2 * nagging + 1
        self._asked[stream] = now_s, min(nagging * 2, _MOST_NAGGING) if is_in_vain else 1
        return True
