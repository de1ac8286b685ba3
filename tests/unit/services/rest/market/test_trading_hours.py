"""The hours of the markets behind TradFi contracts."""

import json
from typing import Any

import pytest

from services.rest.answers import AnswerError, RestAnswer
from services.rest.market.trading_hours import TradingSchedule, read_schedule


def answer(body: object) -> RestAnswer:
    return RestAnswer(200, {}, body if isinstance(body, bytes) else json.dumps(body).encode(), 1, 2)


def schedule(**markets: list[tuple[int, int, str]]) -> TradingSchedule:
    """Read from what the exchange documents."""
    sessions: dict[str, Any] = {
        market: {"sessions": [{"startTime": start, "endTime": end, "type": kind} for start, end, kind in found]}
        for market, found in markets.items()
    }
    return read_schedule(answer({"updateTime": 1, "marketSchedules": sessions}))


def test_only_no_trading_is_closed_and_neighbours_are_one() -> None:
    found = schedule(
        EQUITY=[
            (100, 200, "OVERNIGHT"), (200, 300, "PRE_MARKET"), (300, 400, "REGULAR"), (400, 500, "AFTER_MARKET"),
            (600, 700, "NO_TRADING"), (500, 600, "NO_TRADING"), (900, 950, "NO_TRADING"),
        ],
        COMMODITY=[(100, 200, "REGULAR")],
    )  # fmt: skip
    assert found.closed == {"EQUITY": [(500, 700), (900, 950)], "COMMODITY": []}
    assert [now_ms for now_ms in (450, 499, 500, 699, 700, 949) if found.is_closed("EQUITY", now_ms)] == [500, 699, 949]
    assert not found.is_closed("COMMODITY", 150)


def test_a_market_or_a_time_that_the_schedule_does_not_have_counts_as_open() -> None:
    found = schedule(EQUITY=[(100, 200, "NO_TRADING")])
    assert not found.is_closed("KR_EQUITY", 150)
    assert not found.is_closed("EQUITY", 10**6)


@pytest.mark.parametrize(
    "body",
    [
        b"", b"[]", b"{}", b'{"marketSchedules":[]}', b'{"marketSchedules":{"EQUITY":{}}}', b"\xff",
        b'{"marketSchedules":{"EQUITY":{"sessions":[{"startTime":-1,"endTime":2,"type":"REGULAR"}]}}}',
    ],
)  # fmt: skip
def test_what_is_no_schedule_is_refused(body: bytes) -> None:
    with pytest.raises(AnswerError, match="expected a trading schedule"):
        read_schedule(answer(body))
