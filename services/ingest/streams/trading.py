"""When a stream may be expected to deliver, as the REST process says it: the symbol trades, and its market is open."""

from typing import Annotated

import msgspec

from binance_streamer.wire.frames import WireError

_BELIEVED_S = 300.0
"""`rest` repeats the status every minute, whatever the exchange answers: five missed ones, and it is not there."""

_Ms = Annotated[int, msgspec.Meta(ge=0, lt=1 << 53)]
_Ranges = Annotated[list[tuple[_Ms, _Ms]], msgspec.Meta(max_length=1000)]


class Trading:
    """Trading status and market hours of the symbol.

    Without a recent word to the contrary it trades, and its market is open: a silent stream must not be well for ever.
    """

    def __init__(self) -> None:
        self._denied_s = float("-inf")  # when it was last said that the symbol does not trade
        self._off_session: list[tuple[int, int]] = []  # [start, end) in ms since 1970; known days ahead

    def set_status(self, status: object, now_s: float) -> None:
        """Take `status` of a `symbol_status` message."""
        self._denied_s = float("-inf") if status == "TRADING" else now_s

    def set_off_session(self, ranges: object) -> None:
        """Take `off_session` of a `symbol_status` message; raise `WireError` where it is none, and keep the old one."""
        try:
            self._off_session = msgspec.convert(ranges, _Ranges)
        except msgspec.ValidationError as error:
            raise WireError(f"symbol_status: off_session: {error}") from error

    def is_trading(self, now_s: float) -> bool:
        """Return True where nobody has said within five minutes that the symbol does not trade."""
        return now_s - self._denied_s > _BELIEVED_S

    def is_off_session(self, now_ms: int) -> bool:
        """Return True where the market behind a TradFi contract is closed, so that silence is normal."""
        return any(start_ms <= now_ms < end_ms for start_ms, end_ms in self._off_session)
