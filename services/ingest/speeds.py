"""Which depth speeds to ask for: the undocumented one, and another where that does not come (decision 0016). Pure."""

from collections.abc import Iterable, Sequence

from binance_streamer.exchange import Stream, stream_of

_UNDOCUMENTED = "@depth@0ms"  # not in the exchange's list any more, used by everybody (docs/exchange.md §9.15)
_SUBSTITUTE = "depth@100ms"
_MOST_FRUITLESS = 2  # one may be any connection's bad luck
_AGAIN_S, _AGAIN_MAX_S = 60.0, 3600.0
"""When to ask for it again, for twice as long each time. Beside connections that deliver it costs a few attempts."""


class DepthSpeeds:
    """Nothing is condemned: what is not known to do harm stays asked for, so that the first one that comes shows it.

    While the undocumented speed is silent, the substitute is asked for beside it. Where connections that ask for it are
    refused, or end without a message, others are tried that do not, by turns; and with it again after a while.
    """

    def __init__(self, configured: Iterable[Stream]) -> None:
        self._configured = tuple(configured)
        self.undocumented = next((one for one in self._configured if one.name.endswith(_UNDOCUMENTED)), None)
        self._substitute = stream_of(self.undocumented.symbol, _SUBSTITUTE) if self.undocumented else None
        self._is_asked_for = True
        self._is_substituted = False
        self._fruitless = 0  # connections in a row, of those that are wanted now
        self._wait_s = _AGAIN_S
        self._again_s = 0.0

    @property
    def wanted(self) -> list[Stream]:
        """All streams that a new connection shall ask for."""
        streams = [one for one in self._configured if self._is_asked_for or one != self.undocumented]
        if self._is_substituted and self._substitute is not None and self._substitute not in streams:
            streams.append(self._substitute)
        return streams

    def suits(self, asked: Sequence[Stream]) -> bool:
        """Whether a connection that asks for these goes on; a speed too much or too few goes with its replacement."""
        return self.undocumented is None or (self.undocumented in asked) == self._is_asked_for

    def heard(self) -> None:
        """The undocumented speed comes."""
        self._is_asked_for, self._is_substituted = True, False
        self._fruitless, self._wait_s = 0, _AGAIN_S

    def stale(self, stream: Stream) -> None:
        """A stream is silent; whether only this one, the substitute will show."""
        if stream == self.undocumented:
            self._is_substituted = True

    def delivered(self, asked: Sequence[Stream]) -> None:
        """A connection that asks for these has brought a message of any of them."""
        if self._is_evidence(asked):
            self._fruitless = 0

    def fruitless(self, asked: Sequence[Stream], now_s: float) -> None:
        """The exchange has refused a connection that asks for these, or it ended without a message."""
        if not self._is_evidence(asked):
            return
        self._fruitless += 1
        if self._fruitless < _MOST_FRUITLESS:
            return
        self._fruitless = 0
        if self._is_asked_for:
            self._is_asked_for, self._is_substituted = False, True
            self._again_s = now_s + self._wait_s
        else:  # it is not what was asked for
            self._is_asked_for, self._wait_s = True, _AGAIN_S

    def tick(self, now_s: float) -> None:
        """Ask for it again when it is time."""
        if not self._is_asked_for and now_s >= self._again_s:
            self._is_asked_for = True
            self._fruitless = 0
            self._wait_s = min(self._wait_s * 2, _AGAIN_MAX_S)

    def _is_evidence(self, asked: Sequence[Stream]) -> bool:
        """Not what was dialled before the streams were others, and nothing of another route."""
        return self.undocumented is not None and asked[0].route == self.undocumented.route and self.suits(asked)
