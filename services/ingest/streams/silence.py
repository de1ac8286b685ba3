"""Which streams have been silent for too long, told from their data alone: an acknowledgement or a ping proves nothing.

Quiet streams are not dead streams: what is expected depends on the stream type (docs/exchange.md §7.8).
"""

from collections.abc import Iterable
from typing import NamedTuple

from binance_streamer.exchange.streams import Stream

LIVE, WAITING, STALE = "live", "waiting", "stale"

_MOST_NAGGING = 32
_SUSPICIOUS = 10.0
_SLEPT_S = 5.0


class Stale(NamedTuple):
    """A transition: the stream has just been found silent."""

    stream: Stream
    silent_s: float


class _Expectation:
    __slots__ = ("asked_s", "has_been_heard", "nagging", "patience_s", "silent_from_s", "state", "stream")

    def __init__(self, stream: Stream, stale_timeout_s: float) -> None:
        self.stream = stream
        self.patience_s = stream.type.patience * stale_timeout_s
        self.has_been_heard = False
        self.silent_from_s: float | None = None  # None while nothing is connected: then silence means nothing
        self.asked_s = 0.0  # when a new connection was last asked for, or silence began
        self.nagging = 1
        self.state = WAITING

    def restart(self, now_s: float) -> None:
        self.silent_from_s = self.asked_s = now_s

    def pardon(self, now_s: float) -> None:
        self.restart(now_s)
        self.nagging = 1
        if self.state == STALE:
            self.state = WAITING


class Liveness:
    """The state of each stream of one symbol. One that stays silent is reported again at growing intervals."""

    def __init__(self, streams: Iterable[Stream], stale_timeout_s: float) -> None:
        self._stale_timeout_s = stale_timeout_s
        self._streams: dict[str, _Expectation] = {}
        for stream in streams:
            self.add(stream)
        self._checked_s: float | None = None
        self.is_trading = True
        """While the symbol is not TRADING, nothing is expected."""
        self.is_off_session = False
        """While the market that it follows is closed, silence is to be expected."""

    def add(self, stream: Stream) -> None:
        """Expect this stream too."""
        self._streams[stream.name] = _Expectation(stream, self._stale_timeout_s)

    def remove(self, name: str) -> None:
        """Expect this stream no more."""
        del self._streams[name]

    def opened(self, route: str, now_s: float) -> None:
        """A connection was opened: give it time."""
        for one in self._of(route):
            if one.silent_from_s is None:
                one.restart(now_s)
            elif one.state == STALE:  # else one that comes and goes would hide that the others bring nothing
                one.asked_s = now_s

    def closed(self, route: str) -> None:
        """Nothing is connected any more."""
        for one in self._of(route):
            one.silent_from_s = None
            one.state = WAITING

    def heard(self, name: str, at_s: float) -> bool:
        """A row of the stream came; whether it was stale until now."""
        one = self._streams[name]
        was_stale = one.state == STALE
        one.restart(at_s)
        one.has_been_heard = True
        one.nagging = 1
        one.state = LIVE
        return was_stale

    def state(self, name: str) -> str:
        """live, waiting (nothing yet since it was connected) or stale."""
        return self._streams[name].state

    def silent_s(self, name: str, now_s: float) -> float | None:
        """How long the stream has been silent while it was connected; None where nothing is."""
        since_s = self._streams[name].silent_from_s
        return None if since_s is None else max(0.0, now_s - since_s)

    def patience_s(self, name: str) -> float:
        """After so long a silence the stream is stale; 0: never."""
        return self._streams[name].patience_s

    def has_been_heard(self, name: str) -> bool:
        """Whether the stream ever delivered a row to this process."""
        return self._streams[name].has_been_heard

    @property
    def is_expecting(self) -> bool:
        """Whether silence says something."""
        return self.is_trading and not self.is_off_session

    def check(self, now_s: float) -> list[Stale]:
        """The streams that want a new connection now."""
        slept = self._checked_s is not None and now_s - self._checked_s > _SLEPT_S
        self._checked_s = now_s
        found = []
        for one in self._streams.values():
            if one.silent_from_s is None or not one.patience_s:
                continue
            if not self.is_expecting:  # there is nothing to hear
                one.pardon(now_s)
            elif slept:  # it was us who did not listen
                one.restart(now_s)
            elif now_s - one.asked_s > one.patience_s * one.nagging:
                found.append(Stale(one.stream, now_s - one.silent_from_s))
                one.state = STALE
                one.asked_s = now_s
                one.nagging = min(one.nagging * 2, _MOST_NAGGING)
        return found

    def suspicious(self, now_s: float) -> list[str]:
        """aggTrade streams that are silent for very long while depth moves."""
        limit_s = _SUSPICIOUS * self._stale_timeout_s
        streams = self._streams.values()
        if not self.is_expecting or not any(one.state == LIVE for one in streams if one.stream.type.builds_book):
            return []
        return [
            one.stream.name
            for one in streams
            if one.stream.stream_type == "aggtrade"
            and one.silent_from_s is not None
            and now_s - one.silent_from_s > limit_s
        ]

    def _of(self, route: str) -> list[_Expectation]:
        return [one for one in self._streams.values() if one.stream.route == route]
