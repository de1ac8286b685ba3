"""When nothing is to be expected, as the REST process says it: a symbol or its market does not trade."""

from typing import Annotated

import msgspec

from binance_streamer.wire.frames import WireError

_BELIEVED_S = 300.0  # the word comes every minute, whatever the exchange's REST says

_Ms = Annotated[int, msgspec.Meta(ge=0, lt=1 << 53)]
_Ranges = Annotated[list[tuple[_Ms, _Ms]], msgspec.Meta(max_length=1000)]


class Trading:
    """Whether the symbol trades; without a word of late it does: a silent stream must not be well for ever."""

    def __init__(self) -> None:
        self._denied_s = float("-inf")

    def learn(self, status: object, now_s: float) -> None:
        """`status` of a `symbol_status`."""
        self._denied_s = float("-inf") if status == "TRADING" else now_s

    def holds(self, now_s: float) -> bool:
        """Whether something is to be expected now."""
        return now_s - self._denied_s > _BELIEVED_S


class OffSession:
    """When the market behind a TradFi contract is closed, days ahead; without a word it is open."""

    def __init__(self) -> None:
        self._ranges: list[tuple[int, int]] = []

    def learn(self, ranges: object) -> None:
        """`off_session` of a `symbol_status`; raises `WireError` for what is none."""
        try:
            self._ranges = msgspec.convert(ranges, _Ranges)
        except msgspec.ValidationError as error:
            raise WireError(f"symbol_status: off_session: {error}") from error

    def covers(self, now_ms: int) -> bool:
        """Whether silence is to be expected now."""
        return any(start_ms <= now_ms < end_ms for start_ms, end_ms in self._ranges)
