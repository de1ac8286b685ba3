"""Gaps as a frame, and the rows between them."""

from pathlib import Path

import polars as pl
import pytest

from binance_streamer.days import GapError, Recording
from binance_streamer.days.reading.gap_frames import GAP_SCHEMA
from tests.support.recorded_days import START_MS, DayWriter, recv_ns


@pytest.fixture
def recording(tmp_path: Path) -> Recording:
    DayWriter().write(tmp_path)
    return Recording(tmp_path)


def at(second: float) -> int:
    return (START_MS + int(1000 * second)) * 10**6


def test_each_gap_is_a_row(recording: Recording) -> None:
    gaps = recording.gaps()
    assert gaps.schema == GAP_SCHEMA
    assert gaps.select("symbol", "stem", "gap_id", "state", "fault", "from_id", "to_id", "missing").rows() == [
        ("BTCUSDT", "aggtrade", "g-1", "unrepairable", "network", 1100, 1103, 3),
        ("BTCUSDT", "bookticker", "g-3", "unrepairable", "network", None, None, None),
        ("BTCUSDT", "depth", "g-2", "unrepairable", "network", 9700, 9760, None),
    ]
    assert gaps["from_ns"].to_list() == [recv_ns(START_MS + ms) for ms in (50_000, 59_301, 89_300)]
    assert gaps["to_ns"].to_list() == [recv_ns(START_MS + ms) for ms in (52_000, 65_301, 92_300)]


def test_gaps_of_a_time_are_those_that_touch_it(recording: Recording) -> None:
    assert recording.gaps("BTCUSDT", at(51), at(52))["gap_id"].to_list() == ["g-1"]
    assert recording.gaps("BTCUSDT", at(53), at(60))["gap_id"].to_list() == ["g-3"]
    assert recording.gaps("BTCUSDT", at(100))["gap_id"].to_list() == []


def test_the_newest_state_counts_and_a_gap_without_end_goes_on(tmp_path: Path) -> None:
    days = DayWriter()
    days.lines["gap"] = []
    for state, bounds, second in (("open", "5,9", 20), ("repaired", "5,9", 40)):
        cells = f"g,{state},btcusdt@aggTrade,{bounds},{at(10)},{at(12)},disconnected,rest,5,9,"
        days.add("gap", cells, START_MS + 1000 * second, "local")
    days.add("gap", f"h,open,btcusdt@aggTrade,,,{at(14)},,stall,,,,", START_MS + 15_000, "local")
    days.write(tmp_path)
    recording = Recording(tmp_path)
    assert recording.gaps().select("gap_id", "state", "missing").rows() == [("g", "repaired", 0), ("h", "open", None)]
    assert recording.gaps("BTCUSDT", at(170), at(171))["gap_id"].to_list() == ["h"]
    with pytest.raises(GapError, match="1 gap,") as found:
        recording.scan("aggtrade", "BTCUSDT", on_gap="error")
    assert found.value.gaps["gap_id"].to_list() == ["h"]


def bounds(frame: pl.LazyFrame, column: str) -> list[tuple[int, ...]]:
    """Segment, first and last value of a column in it."""
    value = pl.col(column)
    return (
        frame.group_by("segment").agg(value.min().alias("a"), value.max().alias("b")).sort("segment").collect().rows()
    )


def test_rows_are_split_at_gaps(recording: Recording) -> None:
    assert bounds(recording.trades("BTCUSDT", on_gap="split"), "agg_trade_id") == [(0, 1000, 1100), (1, 1104, 1359)]
    depth = recording.scan("depth", "BTCUSDT", on_gap="split")
    assert bounds(depth, "final_update_id") == [(0, 7030, 9700), (1, 9790, 12400)]
    before, behind = (recv_ns(START_MS + ms) for ms in (59_301, 65_301))
    quotes = bounds(recording.quotes("BTCUSDT", on_gap="split"), "recv_ns")
    assert [(quotes[0][2], quotes[1][1])] == [(before, behind)]
    assert "segment" not in recording.trades("BTCUSDT").collect_schema()


def test_a_time_with_a_gap_is_refused_if_the_gap_is_of_the_stream(recording: Recording) -> None:
    with pytest.raises(GapError, match="aggtrade of BTCUSDT: 1 gap,"):
        recording.trades("BTCUSDT", at(51), at(52), on_gap="error")
    assert len(recording.trades("BTCUSDT", at(60), at(90), on_gap="error").collect()) == 60
    assert len(recording.scan("markprice", "BTCUSDT", on_gap="error").collect()) == 180
