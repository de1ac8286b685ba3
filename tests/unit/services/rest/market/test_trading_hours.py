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


def test_a_time_that_the_schedule_does_not_have_counts_as_open() -> None:
    found = schedule(EQUITY=[(100, 200, "NO_TRADING")])
    assert not found.is_closed("EQUITY", 10**6)


def test_the_five_markets_of_the_exchange_are_read() -> None:
    """KR, HK and CN have no sessions but REGULAR and NO_TRADING (facts page §10.1)."""
    stocks = [(100, 200, "REGULAR"), (200, 300, "NO_TRADING")]
    found = schedule(
        EQUITY=[(0, 100, "OVERNIGHT"), (100, 150, "PRE_MARKET"), (150, 180, "REGULAR"), (180, 200, "AFTER_MARKET"),
                (200, 300, "NO_TRADING")],
        COMMODITY=stocks, KR_EQUITY=stocks, HK_EQUITY=stocks, CN_EQUITY=stocks,
    )  # fmt: skip
    assert found.closed.keys() == {"EQUITY", "COMMODITY", "KR_EQUITY", "HK_EQUITY", "CN_EQUITY"}
    assert all(ranges == [(200, 300)] for ranges in found.closed.values())
    assert found.odd == []


def test_silence_is_no_fault_in_a_session_of_a_kind_that_nobody_knows() -> None:
    found = schedule(EQUITY=[(100, 200, "REGULAR"), (200, 250, "AUCTION"), (250, 300, "NO_TRADING")])
    assert found.closed == {"EQUITY": [(200, 300)]}
    assert [(odd.place, odd.why) for odd in found.odd] == [
        ("tradingSchedule EQUITY", "unknown kind of session 'AUCTION'")
    ]


@pytest.mark.parametrize(
    "odd",
    [7, None, {}, {"startTime": 1, "endTime": 2}, {"startTime": -1, "endTime": 2, "type": "REGULAR"},
     {"startTime": "1", "endTime": 2, "type": "NO_TRADING"}, {"startTime": 1, "endTime": 2, "type": None}],
)  # fmt: skip
def test_a_session_that_is_not_understood_costs_no_other(odd: object) -> None:
    good = {"startTime": 200, "endTime": 300, "type": "NO_TRADING"}
    found = read_schedule(answer({"marketSchedules": {"EQUITY": {"sessions": [odd, good]}}}))
    assert found.closed == {"EQUITY": [(200, 300)]}
    assert [(one.place, json.loads(one.raw)) for one in found.odd] == [("tradingSchedule EQUITY", odd)]


@pytest.mark.parametrize("odd", [7, None, [], {}, {"sessions": None}, {"sessions": {}}])
def test_a_market_that_is_not_understood_costs_no_other(odd: object) -> None:
    good = {"sessions": [{"startTime": 200, "endTime": 300, "type": "NO_TRADING"}]}
    found = read_schedule(answer({"marketSchedules": {"HK_EQUITY": odd, "EQUITY": good}}))
    assert found.closed == {"EQUITY": [(200, 300)]}
    assert [(one.place, json.loads(one.raw)) for one in found.odd] == [("tradingSchedule HK_EQUITY", odd)]


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"marketSchedules":[]}', b"\xff"])
def test_what_is_no_schedule_is_refused(body: bytes) -> None:
    with pytest.raises(AnswerError, match="expected a trading schedule"):
        read_schedule(answer(body))
