"""Daily files found by their names alone, and told apart by symbol, stem and day."""

from pathlib import Path

import pytest

from binance_streamer.days.sources import EXCHANGE, source_at, sources, sources_of

FILES = [
    "BTCUSDT/depth_BTCUSDT_20261122.csv",
    "BTCUSDT/depth_100ms_BTCUSDT_20261122.csv.zst",
    "BTCUSDT/depth_snapshot_BTCUSDT_20261121.csv",
    "BTCUSDT/trade_BTCUSDT_20261122.csv.1790526539",
    "%E7%89%9B%E6%9D%A5USDT/kline_1m_%E7%89%9B%E6%9D%A5USDT_20261122.csv",
    "clock_20261122.csv",
    "exchange_info_20261122.jsonl",
]
OTHERS = [
    ".writer.sqlite",
    "BTCUSDT/depth_ETHUSDT_20261122.csv",
    "BTCUSDT/notes.csv",
    "BTCUSDT/depth_BTCUSDT_2026.csv",
    "BTCUSDT/depth_BTCUSDT_20261122.csv.removed",
    "%FF/depth_%FF_20261122.csv",
]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for name in (*FILES, *OTHERS):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    return tmp_path


def test_every_daily_file_is_found_and_nothing_else(data: Path) -> None:
    found = list(sources(data))
    assert {str(one.path.relative_to(data)) for one in found} == set(FILES)
    assert {(one.symbol, one.stem, one.day, one.is_set_aside) for one in found} == {
        ("BTCUSDT", "depth", "20261122", False),
        ("BTCUSDT", "depth_100ms", "20261122", False),
        ("BTCUSDT", "snapshot", "20261121", False),
        ("BTCUSDT", "trade", "20261122", True),
        ("牛来USDT", "kline_1m", "20261122", False),
        (EXCHANGE, "clock", "20261122", False),
        (EXCHANGE, "exchange_info", "20261122", False),
    }


def test_a_file_says_the_same_wherever_it_is_met(data: Path) -> None:
    assert [source_at(one.path) for one in sources(data)] == list(sources(data))
    assert [source_at(data / name) for name in OTHERS] == [None] * len(OTHERS)
    removing = source_at(data / "BTCUSDT" / "removing-trade_BTCUSDT_20261122.csv")
    assert removing is not None
    assert (removing.symbol, removing.stem, removing.day) == ("BTCUSDT", "trade", "20261122")


def test_the_files_of_a_day_are_those_of_one_symbol(data: Path) -> None:
    assert [one.stem for one in sources_of(data, "BTCUSDT", "20261122")] == ["depth_100ms", "depth", "trade"]
    assert [one.stem for one in sources_of(data, EXCHANGE, "20261122")] == ["clock", "exchange_info"]
    assert [one.stem for one in sources_of(data, "牛来USDT", "20261122")] == ["kline_1m"]
    assert sources_of(data, "ETHUSDT", "20261122") == []
