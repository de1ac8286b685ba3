"""An export takes the days that were named, tells what it made, and leaves nothing behind at a signal."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from binance_streamer.cli.errors import CommandError, Exit
from binance_streamer.cli.recordings import exporting
from binance_streamer.days.export.days import ExportDay, Exported, ExportFolder
from binance_streamer.days.export.formats import FORMATS
from tests.support.recorded_days import DayWriter

CLOCK = (
    "offset_ms,error_ms,round_trip_ms,samples,server_time,step_ms,step_from_ns,recv_ns,epoch,seq,source,extra\n"
    "1.5,0.5,1,5,1795305600000,,,1795305600000000000,7,1,rest,\n"
)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    DayWriter().write(tmp_path / "data")
    return tmp_path / "data"


def test_the_days_of_the_recording_are_exported(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    to = data.parent / "out" / "tardis"
    assert exporting.export_days("tardis", ["2026-11-22"], [str(data)], symbols=["BTCUSDT"], to=to) == Exit.OK
    names = sorted(path.name for path in to.iterdir())
    assert "binance-futures_trades_2026-11-22_BTCUSDT.csv.gz" in names
    assert not [name for name in names if name.startswith(".")]
    assert "binance-futures_trades_2026-11-22_BTCUSDT.csv.gz: 357 rows" in capsys.readouterr().out


def test_a_place_that_is_named_is_read_in_place_of_the_recording(data: Path) -> None:
    words = ["20261122", str(data)]
    assert exporting.export_days("hftbacktest", words, [], symbols=[], to=data.parent / "out") == Exit.OK
    assert [path.name for path in (data.parent / "out").iterdir()] == ["BTCUSDT_20261122.npz"]


def test_without_a_day_all_days_of_a_place_are_exported(data: Path) -> None:
    to = data.parent / "out"
    assert exporting.export_days("hftbacktest", [str(data)], [], symbols=[], to=to) == Exit.OK
    assert [path.name for path in to.iterdir()] == ["BTCUSDT_20261122.npz"]


def test_files_of_no_symbol_are_no_failure_of_a_format_without_a_place_for_them(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (data / "clock_20261122.csv").write_text(CLOCK, encoding="utf-8")
    to = data.parent / "out"
    assert exporting.export_days("tardis", ["20261122"], [str(data)], symbols=[], to=to) == Exit.OK
    assert capsys.readouterr().err == ""
    assert exporting.export_days("parquet", ["20261122"], [str(data)], symbols=["_exchange"], to=to) == Exit.OK
    assert capsys.readouterr().out == f"{to}/clock__exchange_20261122.parquet: 1 row\n"


@pytest.mark.parametrize("form", FORMATS)
def test_a_day_without_anything_for_a_format_leaves_no_file(
    tmp_path: Path, form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "clock_20261122.csv").write_text(CLOCK, encoding="utf-8")
    to = tmp_path / "out"
    assert exporting.export_days(form, ["20261122"], [str(tmp_path)], symbols=[], to=to) == Exit.OK
    named = [line.partition(": ")[0] for line in capsys.readouterr().out.splitlines()]
    assert [str(path) for path in to.rglob("*") if path.is_file()] == named


@pytest.mark.parametrize(
    ("form", "words", "symbols", "said"),
    [
        ("xls", ["20261122"], [], "no format xls: one of hftbacktest"),
        ("tardis", ["20261123"], [], "no recorded files of 20261123 in "),
        ("tardis", ["20261122"], ["ETHUSDT"], "no recorded files of ETHUSDT 20261122 in "),
        ("tardis", ["20261122", "nowhere"], [], "nowhere is not there"),
        ("tardis", [], ["ETHUSDT"], "no recorded files of ETHUSDT in "),
    ],
)
def test_what_cannot_be_exported_is_said(
    data: Path, form: str, words: list[str], symbols: list[str], said: str
) -> None:
    with pytest.raises(CommandError, match=said):
        exporting.export_days(form, words, [str(data)], symbols=symbols, to=data.parent / "out")


def test_a_file_that_is_no_recorded_one_is_named(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = data / "BTCUSDT" / "depth_BTCUSDT_20261122.csv"
    path.write_text(path.read_text(encoding="utf-8").replace("[[84000,0]]", "[[84000,x]]", 1), encoding="utf-8")
    to = data.parent / "out"
    assert exporting.export_days("hftbacktest", ["20261122"], [str(data)], symbols=[], to=to) == Exit.INCOMPLETE
    assert "depth_BTCUSDT_20261122.csv line 2 column bids" in capsys.readouterr().err
    assert list(to.iterdir()) == []


@pytest.mark.parametrize(("number", "raised"), [(signal.SIGTERM, SystemExit), (signal.SIGINT, KeyboardInterrupt)])
def test_a_signal_leaves_no_half_file(
    data: Path, monkeypatch: pytest.MonkeyPatch, number: int, raised: type[BaseException]
) -> None:
    """In the middle of a file, with something sorted on the disk."""
    to = data.parent / "out"

    def interrupted(day: ExportDay, folder: ExportFolder) -> Iterator[Exported]:
        with folder.file("whole") as path:
            path.write_bytes(b"1")
        yield Exported(folder.path / "whole", 1)
        with folder.file("half") as path, (day.room() / "run").open("wb"):
            path.write_bytes(b"1")
            assert len(list(to.iterdir())) == 3
            os.kill(os.getpid(), number)
            pytest.fail("the signal did not end the export")

    monkeypatch.setitem(FORMATS, "parquet", interrupted)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(raised):
        exporting.export_days("parquet", ["20261122"], [str(data)], symbols=[], to=to)
    assert [path.name for path in to.iterdir()] == ["whole"]
    assert signal.getsignal(signal.SIGTERM) is before
