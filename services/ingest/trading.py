"""When a stream may be expected to deliver, as the REST process says it: the symbol trades, and its market is open."""

from msgspec import UNSET

from binance_streamer.wire.requests import SymbolStatus

_BELIEVED_S = 300.0
"""`rest` repeats the status every minute, whatever the exchange answers: five missed ones, and it is not there."""


class Trading:
    """Trading status and market hours of the symbol.

    Without a recent word to the contrary it trades, and its market is open: a silent stream must not be well for ever.
    """

    def __init__(self) -> None:
        self._denied_s = float("-inf")  # when it was last said that the symbol does not trade
        self._off_session: list[tuple[int, int]] = []  # [start, end) in ms since 1970; known days ahead

    def take(self, message: SymbolStatus, now_s: float) -> None:
        """Take what the REST process says; hours that it does not know leave those that it told before."""
        self._denied_s = float("-inf") if message.status == "TRADING" else now_s
        if message.off_session is not UNSET:
            self._off_session = message.off_session

    def is_trading(self, now_s: float) -> bool:
        """Return True where nobody has said within five minutes that the symbol does not trade."""
        return now_s - self._denied_s > _BELIEVED_S

    def is_expected(self, now_s: float, now_ms: int) -> bool:
        """Return True where the symbol trades and its market is open, so that silence is a fault."""
        return self.is_trading(now_s) and not self.is_off_session(now_ms)

    def is_off_session(self, now_ms: int) -> bool:
        """Return True where the market behind a TradFi contract is closed, so that silence is normal."""
        return any(start_ms <= now_ms < end_ms for start_ms, end_ms in self._off_session)
