"""When the market behind a TradFi contract is closed, as the REST process says it, days ahead. Pure."""

from typing import Annotated

import msgspec

from binance_streamer.wire import WireError

_Ms = Annotated[int, msgspec.Meta(ge=0, lt=1 << 53)]
_Ranges = Annotated[list[tuple[_Ms, _Ms]], msgspec.Meta(max_length=1000)]


class OffSession:
    """The newest word about it; without one the market is open."""

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
