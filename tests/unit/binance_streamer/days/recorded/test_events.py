"""Names of streams by the stems of their files, and events by hand; the properties are in tests/property."""

import pytest

from binance_streamer.days.recorded.events import event_of, stream_name, type_of_stem
from binance_streamer.exchange.stream_types import file_stem, suffixes
from binance_streamer.exchange.streams import stream_of


@pytest.mark.parametrize("suffix", suffixes())
def test_every_stream_is_found_by_the_stem_of_its_files(suffix: str) -> None:
    stream = stream_of("币安人生USDT", suffix)
    stem = file_stem(stream.stream_type, stream.variant)
    assert stream_name(stem, "币安人生USDT") == stream.name
    assert type_of_stem(stem) == (stream.stream_type, stream.variant)


@pytest.mark.parametrize(
    ("stem", "name"),
    [
        ("depth", "btcusdt@depth@0ms"),
        ("depth_250ms", "btcusdt@depth"),
        ("markprice", "btcusdt@markPrice@1s"),
        ("kline_1m", "btcusdt@kline_1m"),
        ("continuouskline_perpetual_1m", "btcusdt_perpetual@continuousKline_1m"),
        ("snapshot", "/fapi/v1/depth?symbol=BTCUSDT&limit=1000"),
        ("openinterest", "/fapi/v1/openInterest?symbol=BTCUSDT"),
        ("gap", ""),
    ],
)
def test_the_name_of_a_stream(stem: str, name: str) -> None:
    assert stream_name(stem, "BTCUSDT") == name


def test_a_trade() -> None:
    row = dict.fromkeys(("epoch", "seq", "recv_ns"), "1") | {
        "id": "8121136411", "price": "83680.00", "qty": "0.001", "time": "1790370834848", "is_buyer_maker": "true",
        "event_time": "1790370834849", "order_type": "MARKET", "source": "ws", "extra": '{"st":1}',
    }  # fmt: skip
    assert event_of("trade", row, symbol="BTCUSDT") == (
        b'{"e":"trade","E":1790370834849,"T":1790370834848,"s":"BTCUSDT","t":8121136411,"p":"83680.00","q":"0.001",'
        b'"X":"MARKET","m":true,"st":1}'
    )


def test_rows_of_ours_are_no_events() -> None:
    with pytest.raises(ValueError, match="gap"):
        event_of("gap", {"source": "local", "extra": None}, symbol="BTCUSDT")
