"""A recording as a whole: what is in it, SQL over it, and bounds that are none."""

from pathlib import Path

import pytest

from binance_streamer.days import Recording
from tests.support.recorded_days import DayWriter
from tests.support.sealing import begun, sealed


@pytest.fixture
def recording(tmp_path: Path) -> Recording:
    DayWriter().write(tmp_path)
    return Recording(tmp_path)


def test_it_lists_what_is_recorded(recording: Recording) -> None:
    stems = ["aggtrade", "bookticker", "depth", "gap", "kline_1m", "markprice", "orderbook", "snapshot"]
    assert recording.contents().rows() == [("BTCUSDT", stem, "20261122") for stem in stems]


def test_sql_sees_a_view_for_each_stem(recording: Recording, tmp_path: Path) -> None:
    with recording.sql() as connection:
        found = connection.sql("select symbol, count(*), max(price) from aggtrade where quantity > 0.005 group by 1")
        assert [(symbol, count, str(price)) for symbol, count, price in found.fetchall()] == [
            ("BTCUSDT", 160, "84002.20000000")
        ]
        joined = "select count(*) from depth d join bookticker b on d.final_update_id = b.update_id"
        assert connection.sql(joined).fetchall() == [(173,)]
    lake = begun(tmp_path / "lake")
    sealed(lake, tmp_path / "BTCUSDT" / "aggtrade_BTCUSDT_20261122.csv", stem="aggtrade")
    with Recording(tmp_path / "lake").sql(start="2026-11-22T00:01", end="2026-11-22T00:02") as connection:
        assert connection.sql("select count(*) from aggtrade").fetchall() == [(120,)]


def test_a_stream_or_symbol_that_is_not_recorded_is_an_error_that_says_what_is(recording: Recording) -> None:
    with pytest.raises(LookupError, match="no depths of BTCUSDT is recorded: its stems are aggtrade, bookticker"):
        recording.scan("depths", "BTCUSDT")
    with pytest.raises(LookupError, match="no trade of BTCUSDT is recorded: its stems are aggtrade"):
        recording.scan("trade", "BTCUSDT", "2026-11-22", "2026-11-23")
    with pytest.raises(LookupError, match="no depth_100ms of BTCUSDT"):
        recording.book_at("BTCUSDT", "2026-11-22T00:01", stem="depth_100ms")
    unknown = "nothing of ETHUSDT is recorded: there is BTCUSDT"
    for ask in (recording.quotes, recording.bars, recording.gaps, lambda symbol: recording.sql([symbol])):
        with pytest.raises(LookupError, match=unknown):
            ask("ETHUSDT")
    with pytest.raises(LookupError, match=unknown):
        recording.books("ETHUSDT", "2026-11-22", "2026-11-23")


def test_a_stream_that_is_recorded_and_has_no_rows_in_the_interval_is_an_empty_frame(recording: Recording) -> None:
    assert len(recording.scan("depth", "BTCUSDT", "2020-01-01", "2020-01-02").collect()) == 0
    assert len(recording.bars("BTCUSDT", "1h", "2020-01-01", "2020-01-02").collect()) == 0
    assert len(recording.gaps("BTCUSDT", "2020-01-01", "2020-01-02")) == 0
    for stem in ("forceorder", "raw"):  # no file until something happens
        assert len(recording.scan(stem, "BTCUSDT").collect()) == 0


def test_bounds_that_are_none_are_refused(recording: Recording) -> None:
    with pytest.raises(ValueError, match="before the end"):
        recording.scan("depth", "BTCUSDT", "2026-11-23", "2026-11-22")
    with pytest.raises(ValueError, match="nanoseconds"):
        recording.book_at("BTCUSDT", 1_795_305_600)
    with pytest.raises(ValueError, match="length of time"):
        recording.books("BTCUSDT", "2026-11-22", "2026-11-23", every="fast")
