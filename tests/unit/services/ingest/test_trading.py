"""When nothing is to be expected, as the REST process says it."""

from typing import Any

from binance_streamer.wire.requests import SymbolStatus
from services.ingest.trading import Trading


def a_status(status: str, **fields: Any) -> SymbolStatus:
    return SymbolStatus(symbol="BTCUSDT", stream="/fapi/v1/exchangeInfo", recv_ns=1, status=status, **fields)


def test_that_a_symbol_does_not_trade_is_believed_for_as_long_as_it_is_said_again() -> None:
    trading = Trading()
    assert trading.is_trading(0.0)
    for said_s in (0.0, 60.0, 120.0):
        trading.take(a_status("SETTLING"), said_s)
        assert not trading.is_trading(said_s)
    assert [now_s for now_s in range(120, 430, 60) if not trading.is_trading(now_s)] == [120, 180, 240, 300, 360, 420]
    assert trading.is_trading(421.0)
    trading.take(a_status(""), 500.0)
    assert not trading.is_trading(500.0)
    trading.take(a_status("TRADING"), 501.0)
    assert trading.is_trading(501.0)


def test_hours_that_nobody_says_change_nothing() -> None:
    trading = Trading()
    assert not trading.is_off_session(1500)
    trading.take(a_status("TRADING", off_session=[(1000, 2000), (5000, 6000)]), 0.0)
    assert [now_ms for now_ms in (999, 1000, 1999, 2000, 5500) if trading.is_off_session(now_ms)] == [1000, 1999, 5500]
    trading.take(a_status("TRADING"), 0.0)
    assert trading.is_off_session(1500)
    trading.take(a_status("TRADING", off_session=[]), 0.0)
    assert not trading.is_off_session(1500)


def test_messages_are_expected_of_a_symbol_that_trades_while_its_market_is_open() -> None:
    trading = Trading()
    assert trading.is_expected(0.0, 1500)
    trading.take(a_status("TRADING", off_session=[(1000, 2000)]), 0.0)
    assert not trading.is_expected(0.0, 1500)
    assert trading.is_expected(0.0, 2000)
    trading.take(a_status("SETTLING"), 1.0)
    assert not trading.is_expected(1.0, 2000)
