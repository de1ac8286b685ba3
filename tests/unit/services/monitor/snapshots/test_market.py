"""Mark price, funding and figures of a day, out of the newest messages."""

from typing import Any

from binance_streamer.exchange.streams import stream_of
from services.monitor.snapshots.market import market_of
from services.monitor.snapshots.page import MarketFigures
from services.monitor.snapshots.traffic import StreamTraffic
from tests.support.monitor_scene import market

MARK = {"e": "markPriceUpdate", "E": 1, "s": "BTCUSDT", "p": "84550.12345678", "i": "84551.0", "P": "84552.0",
        "r": "0.00010000", "T": 1_795_708_800_000}  # fmt: skip
TICKER = {"e": "24hrTicker", "E": 1, "s": "BTCUSDT", "P": "-1.250", "q": "12345678901.25", "o": "1", "c": "2"}
MINI = {"e": "24hrMiniTicker", "E": 1, "s": "BTCUSDT", "c": "84551.1", "o": "84000.0", "h": "1", "l": "1", "v": "1",
        "q": "777.5"}  # fmt: skip
NOTHING = MarketFigures(
    mark_price=None, funding_rate=None, next_funding_ms=None, change_percent=None, quote_volume=None
)


def heard(name: str, event: Any) -> StreamTraffic:
    seen = StreamTraffic(stream_of("BTCUSDT", name))
    if event is not None:
        seen.take(market(seen.stream.stream_type, event)[1])
    return seen


def test_mark_price_and_funding_are_the_exchange_s_digits() -> None:
    found = market_of([heard("markPrice@1s", MARK), heard("ticker", TICKER)])
    assert found == MarketFigures(
        mark_price="84550.12345678",
        funding_rate="0.00010000",
        next_funding_ms=1_795_708_800_000,
        change_percent="-1.250",
        quote_volume="12345678901.25",
    )


def test_the_change_of_a_mini_ticker_is_computed() -> None:
    found = market_of([heard("miniTicker", MINI)])
    assert (found.change_percent, found.quote_volume) == ("0.656", "777.5")
    assert market_of([heard("miniTicker", {**MINI, "o": "0"})]).change_percent is None
    assert market_of([heard("miniTicker", {**MINI, "o": "x"})]).change_percent is None


def test_the_ticker_comes_before_the_mini_ticker() -> None:
    assert market_of([heard("miniTicker", MINI), heard("ticker", TICKER)]).change_percent == "-1.250"


def test_what_is_not_recorded_or_cannot_be_read_is_not_known() -> None:
    assert market_of([]) == NOTHING
    assert market_of([heard("aggTrade", {"p": "1"}), heard("ticker", None)]) == NOTHING
    assert market_of([heard("markPrice@1s", [1]), heard("ticker", {"P": 5, "q": None})]) == NOTHING
    contract = market_of([heard("markPrice@1s", {**MARK, "r": "", "T": 0})])
    assert (contract.mark_price, contract.funding_rate, contract.next_funding_ms) == ("84550.12345678", None, None)
