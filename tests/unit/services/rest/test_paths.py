"""Paths and weights, as the exchange counts them."""

import pytest

from binance_streamer.exchange.streams import Stream, stream_of
from services.rest.paths import backfill_path, depth_path
from services.rest.schedule.backfill_queue import MissingRows
from simulator.rest.weights import request_weight

NOW_MS = 1_790_000_000_000
TRADES = stream_of("BTCUSDT", "aggTrade")
BARS = stream_of("BTCUSDT", "kline_1m")


def missing(stream: Stream = TRADES, from_id: int = 10, to_id: int = 20) -> MissingRows:
    return MissingRows(stream, "g", from_id, to_id, NOW_MS * 1_000_000)


@pytest.mark.parametrize(
    ("asked", "path", "weight"),
    [
        (missing(), "/fapi/v1/aggTrades?symbol=BTCUSDT&fromId=11&limit=10", 20),
        (missing(to_id=5000), "/fapi/v1/aggTrades?symbol=BTCUSDT&fromId=11&limit=1000", 20),
        (
            missing()._replace(since_ms=NOW_MS),
            "/fapi/v1/aggTrades?symbol=BTCUSDT&startTime=1790000000000&limit=1000",
            20,
        ),
        (
            missing(BARS, 60_000, 180_000),
            "/fapi/v1/klines?symbol=BTCUSDT&interval=1m&startTime=120000&endTime=180000&limit=2",
            1,
        ),
        (
            missing(BARS, 0, 6_000_000),
            "/fapi/v1/klines?symbol=BTCUSDT&interval=1m&startTime=60000&endTime=6000000&limit=100",
            2,
        ),
        (
            missing(stream_of("牛来USDT", "kline_1m"), 0, 60_000_000),
            "/fapi/v1/klines?symbol=%E7%89%9B%E6%9D%A5USDT&interval=1m&startTime=60000&endTime=60000000&limit=499",
            2,
        ),
    ],
)
def test_a_page_is_asked_for_with_the_weight_that_the_exchange_counts(
    asked: MissingRows, path: str, weight: int
) -> None:
    assert backfill_path(asked) == (path, weight)
    limit = int(path.rpartition("=")[2])
    assert request_weight(path.partition("?")[0], limit) == weight


def test_a_symbol_outside_ascii_is_percent_encoded() -> None:
    assert depth_path("牛来USDT") == ("/fapi/v1/depth?symbol=%E7%89%9B%E6%9D%A5USDT&limit=1000", 20)
