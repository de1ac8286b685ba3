"""When the markets behind TradFi contracts are closed.

Such a contract follows another market's hours: outside of them its streams may be silent while it stays TRADING
(docs/exchange.md §5.3).
"""

from typing import Annotated

import msgspec

from services.rest.answers import RestAnswer, decode

CONTRACT_TYPE = "TRADIFI_PERPETUAL"
_CLOSED = "NO_TRADING"
_MOST_RANGES = 100
"""A week has 8 of them."""

Range = tuple[int, int]
"""In ms of the exchange's clock; the end is no part of it."""
_Time = Annotated[int, msgspec.Meta(ge=0, lt=1 << 53)]


class _TradingSession(msgspec.Struct):
    startTime: _Time  # noqa: N815 (the exchange's names)
    endTime: _Time  # noqa: N815
    type: str


class _Market(msgspec.Struct):
    sessions: list[_TradingSession]


class _Schedule(msgspec.Struct):
    marketSchedules: dict[str, _Market]  # noqa: N815


class TradingSchedule:
    """One answer: a week of sessions by market, from the day before on."""

    def __init__(self, closed: dict[str, list[Range]]) -> None:
        self.closed = closed
        """The ranges in which a market is closed, in order; neighbours are one."""

    def is_closed(self, market: str, now_ms: int) -> bool:
        """Whether the market is known to be closed; one without a session now is not."""
        return any(start_ms <= now_ms < end_ms for start_ms, end_ms in self.closed.get(market, []))


def read_schedule(answer: RestAnswer) -> TradingSchedule:
    """The answer to `/fapi/v1/tradingSchedule`, checked as JSON; raises `AnswerError`."""
    found = decode(answer.body, _Schedule, "a trading schedule")
    return TradingSchedule(
        {name: _closed(market.sessions)[-_MOST_RANGES:] for name, market in found.marketSchedules.items()}
    )


def _closed(sessions: list[_TradingSession]) -> list[Range]:
    found: list[Range] = []
    for start_ms, end_ms in sorted((one.startTime, one.endTime) for one in sessions if one.type == _CLOSED):
        if found and start_ms <= found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], end_ms)
        else:
            found.append((start_ms, end_ms))
    return found
