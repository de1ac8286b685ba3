"""Files of an export appear whole or not at all, and what they say of the day is what its files' names say."""

from pathlib import Path

import pytest

from binance_streamer.days.export.days import ExportFolder
from tests.support.exports import export_day, written_day
from tests.support.sealing import compress


def test_a_file_has_its_name_when_it_is_whole(tmp_path: Path) -> None:
    folder = ExportFolder(tmp_path / "out")
    with folder.file("a.csv") as path:
        path.write_text("whole", encoding="utf-8")
        assert not (tmp_path / "out" / "a.csv").exists()
    assert [one.name for one in (tmp_path / "out").iterdir()] == ["a.csv"]


@pytest.mark.parametrize("end", [KeyboardInterrupt, SystemExit, OSError])
def test_a_half_file_is_removed_and_an_older_one_stays(tmp_path: Path, end: type[BaseException]) -> None:
    (tmp_path / "a.csv").write_text("old", encoding="utf-8")

    def fail() -> None:
        with ExportFolder(tmp_path).file("a.csv") as path:
            path.write_text("ha", encoding="utf-8")
            raise end

    with pytest.raises(end):
        fail()
    assert [one.name for one in tmp_path.iterdir()] == ["a.csv"]
    assert (tmp_path / "a.csv").read_text(encoding="utf-8") == "old"


def test_a_day_that_is_being_recorded_is_read_up_to_its_last_whole_frame(tmp_path: Path) -> None:
    export_day(tmp_path)
    compressed = compress(tmp_path / "data" / "BTCUSDT" / "depth_BTCUSDT_20261122.csv", lines=50)
    with compressed.open("ab") as file:
        file.write(compressed.read_bytes()[:40])
    assert sum(len(table) for table in written_day(tmp_path).rows("depth")) == 178


def test_a_day_reads_each_of_its_bytes_once_for_each_pass(tmp_path: Path) -> None:
    day = export_day(tmp_path)
    read: list[int] = []
    day.progressed = read.append
    for stem in day.stems:
        assert list(day.rows(stem))
    assert sum(read) == day.size_bytes
    assert (day.symbol, day.day, day.dashed, day.stem_of("trade", "aggtrade")) == (
        "BTCUSDT",
        "20261122",
        "2026-11-22",
        "aggtrade",
    )
