"""The small recorded day (`recorded_days`) as exports take it, and the best prices that its books have."""

import gzip
from pathlib import Path

from binance_streamer.days.day_files import days_in
from binance_streamer.days.export.days import ExportDay, Exported, ExportFolder
from binance_streamer.days.export.formats import FORMATS
from tests.support.recorded_days import DayWriter


def export_day(tmp_path: Path, writer: DayWriter | None = None) -> ExportDay:
    """Write a day into a data folder, the small recorded one by default; return it as exports take it."""
    (writer or DayWriter()).write(tmp_path / "data")
    return written_day(tmp_path)


def written_day(tmp_path: Path) -> ExportDay:
    """The day that lies in the data folder, as exports take it."""
    return ExportDay(days_in([tmp_path / "data"]), spill(tmp_path))


def spill(tmp_path: Path) -> Path:
    """An empty folder for what is sorted on the disk."""
    folder = tmp_path / "spill"
    folder.mkdir(exist_ok=True)
    return folder


def exported(day: ExportDay, form: str, tmp_path: Path) -> dict[str, Exported]:
    """Export a day; return the files by name."""
    return {one.path.name: one for one in FORMATS[form](day, ExportFolder(tmp_path / "export"))}


def gzip_lines(path: Path) -> list[list[str]]:
    """The cells of each line of a compressed CSV file."""
    return [line.split(",") for line in gzip.decompress(path.read_bytes()).decode().splitlines()]


def best_prices(writer: DayWriter) -> dict[int, tuple[float, float]]:
    """Best bid and ask by the time (ms) of the update they are from, as the day's bookTicker says.

    Without those between the hole in depth and the update that the next snapshot has.
    """
    found = {}
    for line in writer.lines["bookticker"]:
        cells = line.split(",")
        number = (int(cells[0]) - 7030) // 30
        if not 90 <= number < 95:
            found[int(cells[5])] = float(cells[1]), float(cells[3])
    return found


def received_at(line: str, ns: int) -> str:
    """The line of a daily file, received at another time."""
    head, _, *tail = line.rsplit(",", 5)
    return ",".join([head, str(ns), *tail])
