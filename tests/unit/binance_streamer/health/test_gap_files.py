"""The gap files of a day, whatever else lies beside them."""

import csv
from collections.abc import Iterator
from pathlib import Path

import pytest

from binance_streamer.health.gap_files import day_text, gaps_of_all_days, gaps_of_day
from tests.unit.binance_streamer.health.test_gaps import HEADER


def line(gap_id: str = "1-1") -> str:
    return f"{gap_id},open,btcusdt@aggTrade,10,13,1,,sequence,,1,1,1,local,"


def write(root: Path, folder: str, day: str, *lines: str) -> None:
    path = root / folder / f"gap_{folder}_{day}.csv"
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join([HEADER, *lines]))


def test_the_day_is_that_of_utc() -> None:
    assert day_text(1_790_000_000) == "20260921"


def test_a_day_has_its_own_gaps_and_no_half_row(tmp_path: Path) -> None:
    write(tmp_path, "BTCUSDT", "20261126", line("1"), line("2"), "3,open,half a r")
    write(tmp_path, "BTCUSDT", "20261125", line("0"), "")
    write(tmp_path, "%E9%BE%99%E8%99%BEUSDT", "20261126", line("4"), "")
    found = gaps_of_day(tmp_path, ["BTCUSDT", "ETHUSDT", "龙虾USDT"], "20261126")
    assert [(row.symbol, row.gap_id) for row in found.rows] == [("BTCUSDT", "1"), ("BTCUSDT", "2"), ("龙虾USDT", "4")]
    assert found.fault == ""


def test_all_days_are_read_for_a_comparison(tmp_path: Path) -> None:
    write(tmp_path, "BTCUSDT", "20261125", line("0"), "")
    write(tmp_path, "BTCUSDT", "20261126", line("1"), "")
    assert [row.gap_id for row in gaps_of_all_days(tmp_path).rows] == ["0", "1"]


@pytest.fixture
def short_cells() -> Iterator[None]:
    """The csv module's own limit, which readers of recordings have raised for the whole process."""
    before = csv.field_size_limit(131_072)
    yield
    csv.field_size_limit(before)


@pytest.mark.usefixtures("short_cells")
def test_a_file_that_cannot_be_read_hides_no_other_symbol_s(tmp_path: Path) -> None:
    write(tmp_path, "AUSDT", "20261126", line(), "")
    write(tmp_path, "BUSDT", "20261126", "x" * 200_000, "")
    write(tmp_path, "CUSDT", "20261126", line("1-2"), "")
    (tmp_path / "DUSDT" / "gap_DUSDT_20261126.csv").mkdir(parents=True)
    found = gaps_of_day(tmp_path, ["DUSDT", "AUSDT", "BUSDT", "CUSDT"], "20261126")
    assert [row.gap_id for row in found.rows] == ["1-1", "1-2"]
    assert "gap_BUSDT" in found.fault


def test_of_a_large_file_the_end_is_read(tmp_path: Path) -> None:
    write(tmp_path, "BTCUSDT", "20261126", *(line(str(number)) for number in range(90_000)), "")
    found = gaps_of_day(tmp_path, ["BTCUSDT"], "20261126").rows
    assert found[-1].gap_id == "89999"
    assert 10_000 < len(found) < 90_000
