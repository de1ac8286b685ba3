"""The formats that days are exported in, by the word of the command line."""

from collections.abc import Callable, Iterator

from binance_streamer.days.export import hftbacktest, nautilus, plain_csv, plain_parquet, raw, tardis
from binance_streamer.days.export.days import ExportDay, Exported, ExportFolder

FORMATS: dict[str, Callable[[ExportDay, ExportFolder], Iterator[Exported]]] = {
    "hftbacktest": hftbacktest.export,
    "tardis": tardis.export,
    "nautilus": nautilus.export,
    "raw": raw.export_gzip,
    "raw-zstd": raw.export_zstd,
    "csv": plain_csv.export,
    "parquet": plain_parquet.export,
}
"""Each writes the files of one symbol's day into a folder, and yields one after another when it is whole."""
