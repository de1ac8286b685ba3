"""`csv`: each stream's day as one CSV file with the columns and digits of a daily file, sorted, each row once.

A sealed day becomes again what was recorded; of a day with several daily files (two formats, late rows) it is one.
"""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from binance_streamer.days.export.days import ExportDay, Exported, ExportFolder
from binance_streamer.days.recorded.texts import as_texts
from binance_streamer.days.schema import columns

_PIECE_ROWS = 4096


def export(day: ExportDay, folder: ExportFolder) -> Iterator[Exported]:
    """Write `trade_BTCUSDT_20261122.csv` and so on, in the order of docs/files.md."""
    for stem in day.stems:
        name, count = f"{stem}_{day.name}_{day.day}.csv", 0
        with folder.file(name) as path, path.open("wb") as file:
            file.write(",".join(columns(stem)).encode() + b"\n")
            for table in day.rows(stem):  # all have been read when the first one comes, and their digits are known
                for start in range(0, len(table), _PIECE_ROWS):
                    texts = as_texts(table.slice(start, _PIECE_ROWS), day.digits(stem))
                    file.write(_lines(texts))
                count += len(table)
        yield Exported(folder.path / name, count)


def _lines(texts: pa.Table) -> bytes:
    cells = [_quoted(texts.column(name).combine_chunks()) for name in texts.column_names]
    lines = pc.binary_join_element_wise(*cells, ",")
    return b"".join(f"{line}\n".encode() for line in lines.to_pylist())


def _quoted(column: Any) -> Any:
    """Return cells as they stand in a CSV file: a null is nothing, an empty text `""`."""
    needs = pc.or_(pc.equal(column, ""), pc.match_substring_regex(column, '[,"\r\n]'))
    quoted = pc.binary_join_element_wise('"', pc.replace_substring(column, '"', '""'), '"', "")
    return pc.fill_null(pc.if_else(needs, quoted, column), "")
