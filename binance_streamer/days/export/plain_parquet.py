"""`parquet`: each stream's day as one Parquet file, sorted and typed as a sealed one, whether it is sealed or not."""

from collections.abc import Iterator

from binance_streamer.days.export.days import ExportDay, Exported, ExportFolder
from binance_streamer.days.parquet import ParquetFile, Place

_ROWS = 10_000_000
"""The rows that are expected, before they are counted: only the size of row groups hangs on it."""


def export(day: ExportDay, folder: ExportFolder) -> Iterator[Exported]:
    """Write `trade_BTCUSDT_20261122.parquet` and so on; the columns are those of docs/files.md."""
    for stem in day.stems:
        name = f"{stem}_{day.name}_{day.day}.parquet"
        with folder.file(name) as path, ParquetFile(path, Place(stem, day.symbol, day.day), _ROWS) as file:
            for table in day.rows(stem):
                file.take(table)
            facts = file.finish()
        yield Exported(folder.path / name, facts.rows)
