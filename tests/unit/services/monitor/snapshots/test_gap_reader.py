"""The gap files are read at the start, soon after and once an hour, and a disk that stands still holds nobody."""

import threading
from pathlib import Path

import pytest

from binance_streamer.health.gap_files import ReadGaps
from services.monitor.snapshots import gap_reader
from services.monitor.snapshots.gap_reader import DayGaps, GapReader
from tests.support.waiting import eventually
from tests.unit.binance_streamer.health.test_gap_files import line, write

DAY = 20_783  # 2026-11-26


def read(reader: GapReader, now_s: float) -> DayGaps:
    reader.read_if_due(DAY, now_s)
    return eventually(reader.take, what="the files are read")


def is_read(reader: GapReader, now_s: float) -> bool:
    before = reader._thread
    reader.read_if_due(DAY, now_s)
    return reader._thread is not before


def test_the_files_are_read_at_the_start_soon_after_and_hourly(tmp_path: Path) -> None:
    write(tmp_path, "BTCUSDT", "20261126", line("1"), "")
    reader = GapReader(tmp_path, ["BTCUSDT"], 100.0)
    assert [row.gap_id for row in read(reader, 100.0).found.rows] == ["1"]
    assert reader.take() is None
    assert not is_read(reader, 129.0)
    write(tmp_path, "BTCUSDT", "20261126", line("1"), line("2"), "")
    assert [row.gap_id for row in read(reader, 130.0).found.rows] == ["1", "2"]
    assert not is_read(reader, 3729.0)
    assert is_read(reader, 3730.0)


def test_where_the_data_lie_on_another_host_nothing_comes(tmp_path: Path) -> None:
    reader = GapReader(tmp_path / "absent", ["BTCUSDT"], 0.0)
    reader.read_if_due(DAY, 0.0)
    assert reader._thread is not None
    reader._thread.join(20)
    assert reader.take() is None


def test_a_disk_that_stands_still_holds_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()

    def stuck(*_: object) -> ReadGaps:
        released.wait(60)
        return ReadGaps([])

    monkeypatch.setattr(gap_reader, "gaps_of_day", stuck)
    reader = GapReader(tmp_path, ["BTCUSDT"], 0.0)
    reader.read_if_due(DAY, 0.0)
    assert not is_read(reader, 10_000.0)
    assert reader.take() is None
    released.set()
    eventually(reader.take, what="it goes on where the disk does")
