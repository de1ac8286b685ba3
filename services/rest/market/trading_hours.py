"""When the markets behind TradFi contracts are closed.

Such a contract follows another market's hours: outside of them its streams may be silent while it stays TRADING
(docs/exchange.md §5.3).
"""

from typing import Annotated, NamedTuple

import msgspec

from services.rest.answers import Odd, RestAnswer, decode, try_decode

CONTRACT_TYPE = "TRADIFI_PERPETUAL"
_CLOSED = "NO_TRADING"
_OPEN = frozenset({"PRE_MARKET", "REGULAR", "AFTER_MARKET", "OVERNIGHT"})
_MOST_RANGES = 100
"""A week has 8 of them."""

Range = tuple[int, int]
"""In ms of the exchange's clock; the end is no part of it."""
ALWAYS: Range = (0, (1 << 53) - 1)
"""Published for a contract whose hours nobody knows: its silence is no fault at any time."""
_Time = Annotated[int, msgspec.Meta(ge=0, lt=1 << 53)]


class _TradingSession(msgspec.Struct):
    startTime: _Time  # noqa: N815 (the exchange's names)
    endTime: _Time  # noqa: N815
    type: str


class _Market(msgspec.Struct):
    sessions: list[msgspec.Raw]


class _Schedule(msgspec.Struct):
    marketSchedules: dict[str, msgspec.Raw]  # noqa: N815


class TradingSchedule(NamedTuple):
    """One answer: the ranges in which each market is closed, in order, neighbours joined; a week and the day before."""

    closed: dict[str, list[Range]]
    odd: list[Odd]

    def is_closed(self, market: str, now_ms: int) -> bool:
        """Return True if the market is known to be closed; at a time that no session covers it is not."""
        return any(start_ms <= now_ms < end_ms for start_ms, end_ms in self.closed.get(market, []))


def read_schedule(answer: RestAnswer) -> TradingSchedule:
    """Return what is understood of a `/fapi/v1/tradingSchedule`, and what is odd; `AnswerError` where it is none.

    A session of a kind that we do not know counts as closed, so that silence in it is no fault.
    """
    schedule = TradingSchedule({}, [])
    for name, raw in decode(answer.body, _Schedule, "a trading schedule").marketSchedules.items():
        place = f"tradingSchedule {name}"
        market = try_decode(raw, _Market, place, odd=schedule.odd)
        if market is None:
            continue
        ranges = [found for session in market.sessions if (found := _closed(session, place, schedule.odd)) is not None]
        schedule.closed[name] = _joined(ranges)[-_MOST_RANGES:]
    return schedule


def _closed(raw: msgspec.Raw, place: str, odd: list[Odd]) -> Range | None:
    session = try_decode(raw, _TradingSession, place, odd=odd)
    if session is None or session.type in _OPEN:
        return None
    if session.type != _CLOSED:
        odd.append(Odd(place, bytes(raw), f"unknown kind of session {session.type!r:.40}"))
    return session.startTime, session.endTime


def _joined(ranges: list[Range]) -> list[Range]:
    found: list[Range] = []
    for start_ms, end_ms in sorted(ranges):
        if found and start_ms <= found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], end_ms)
        else:
            found.append((start_ms, end_ms))
    return found
