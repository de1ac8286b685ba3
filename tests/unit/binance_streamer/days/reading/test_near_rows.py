"""Rows near a time are those of the part of a daily file that has them, and the rest is not read."""

from pathlib import Path

import polars as pl
import pytest

from binance_streamer.days.day_files import whole_bytes
from binance_streamer.days.reading import near_rows
from binance_streamer.days.reading.near_rows import near_frames
from binance_streamer.days.reading.parts import DayParts
from binance_streamer.days.reading.rows_of_days import lazy_rows
from binance_streamer.days.rows import NotSealable, Span
from tests.support.sealing import DAY, DAY_MS, begun, compress, sealed, trade, write

LINES = [trade(number) for number in range(1, 20_001)]
NAMES = ["id", "recv_ns", "price"]


def ns(number: int) -> int:
    return (DAY_MS + number) * 10**6


def ids(files: DayParts, first: int, end: int) -> list[int]:
    frames = near_frames([files], "trade", Span(ns(first), ns(end)), NAMES)
    return [number for frame in frames for number in frame.collect()["id"].to_list()]


@pytest.fixture(params=["plain", "compressed"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = write(tmp_path, LINES)
    return path if request.param == "plain" else compress(path, lines=700)


def test_the_rows_of_a_time_are_found(path: Path) -> None:
    files = DayParts(DAY, "", (path,))
    for first, end in ((0, 3), (1, 2), (699, 703), (9_000, 9_500), (19_999, 30_000), (25_000, 26_000), (0, 20_001)):
        assert ids(files, first, end) == [number for number in range(first, end) if 0 < number <= 20_000], first


def test_cells_are_text_until_they_are_needed(path: Path) -> None:
    (frame,) = near_frames([DayParts(DAY, "", (path,))], "trade", Span(ns(5), ns(6)), NAMES)
    assert frame.collect().rows() == [(5, ns(5), "84551.10")]
    assert frame.collect_schema() == pl.Schema({"id": pl.Int64, "recv_ns": pl.Int64, "price": pl.String})


def test_the_rest_of_the_file_is_not_read(path: Path) -> None:
    """Bytes that are no rows, far from the rows that are asked for."""
    content = path.read_bytes()
    at = 9 * len(content) // 10
    path.write_bytes(content[:at] + bytes(100) + content[at + 100 :])
    assert ids(DayParts(DAY, "", (path,)), 2000, 2003) == [2000, 2001, 2002]
    with pytest.raises(NotSealable):
        lazy_rows([DayParts(DAY, "", (path,))], "trade").collect()


@pytest.mark.parametrize(("read_bytes", "text_bytes"), [(1000, 4000), (8000, 20_000)])
def test_pieces_of_any_size_are_the_same_rows(
    path: Path, monkeypatch: pytest.MonkeyPatch, read_bytes: int, text_bytes: int
) -> None:
    """Lines that stand in two pieces, frames larger than a piece, and several of them in one."""
    monkeypatch.setattr(near_rows, "_READ_BYTES", read_bytes)
    monkeypatch.setattr(near_rows, "_TEXT_BYTES", text_bytes)
    files = DayParts(DAY, "", (path,))
    for first, end in ((0, 900), (9_000, 9_050), (19_500, 30_000)):
        found = near_frames([files], "trade", Span(ns(first), ns(end)), NAMES)
        assert len(found) > 1
        assert pl.concat(found).collect().rows() == [
            (number, ns(number), "84551.10") for number in range(first, end) if 0 < number <= 20_000
        ]


def test_half_a_row_at_the_end_is_passed_over(path: Path) -> None:
    for cut in (1, 20, 100):
        path.write_bytes(path.read_bytes()[:-cut])
        found = ids(DayParts(DAY, "", (path,)), 19_000, 30_000)
        assert found == list(range(19_000, found[-1] + 1))
        assert found[-1] < 20_000
    assert whole_bytes(path) < path.stat().st_size


def test_a_file_with_other_columns_is_read_as_a_whole_and_says_so(path: Path) -> None:
    text = b"id,price\n" + b"\n".join(line.encode() for line in LINES) + b"\n"
    path = path.with_suffix(".csv") if path.suffix == ".zst" else path
    path.write_bytes(text)
    with pytest.raises(NotSealable, match="has other columns"):
        ids(DayParts(DAY, "", (path,)), 2000, 2003)


def test_a_day_that_is_sealed_too_has_each_row_once(tmp_path: Path) -> None:
    path = write(tmp_path / "data", LINES[:100])
    lake = str(tmp_path / "lake" / sealed(begun(tmp_path / "lake"), path).path)
    write(tmp_path / "data", LINES[100:110])
    assert ids(DayParts(DAY, lake, (path,)), 95, 105) == list(range(95, 105))
    assert ids(DayParts(DAY, lake, ()), 95, 105) == list(range(95, 101))
