"""`csv`: each stream's day as one CSV file with the columns, digits and quotes of a daily file, sorted.

A sealed day becomes again what was recorded; of a day with several daily files (two formats, late rows) it is one.
"""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from binance_streamer.days.export.days import ExportDay, Exported, ExportFolder
from binance_streamer.days.export.values import pieces
from binance_streamer.days.recorded.texts import as_texts
from binance_streamer.days.schema import LEVELS, columns, table_schema
from binance_streamer.exchange.csv_cells import QUOTED_COLUMNS, quoted, text_cell

_PIECE_ROWS = 4096


def export(day: ExportDay, folder: ExportFolder) -> Iterator[Exported]:
    """Write `trade_BTCUSDT_20261122.csv` and so on, in the order of docs/files.md."""
    for stem in day.stems:
        name, count = f"{stem}_{day.name}_{day.day}.csv", 0
        with folder.file(name) as path, path.open("wb") as file:
            file.write(",".join(columns(stem)).encode() + b"\n")
            for table in day.rows(stem):  # all have been read when the first one comes, and their digits are known
                for piece in pieces(table, _PIECE_ROWS):
                    file.write(_lines(as_texts(piece, day.digits(stem)), stem))
                count += len(table)
        yield Exported(folder.path / name, count)


def _lines(texts: pa.Table, stem: str) -> bytes:
    cells = {field.name: _cells(texts.column(field.name).combine_chunks(), field) for field in table_schema(stem)}
    if "encoding" in cells:
        is_base64 = pc.equal(texts["encoding"], "base64")
        cells["event"] = pc.if_else(is_base64, texts["event"], cells["event"])
    lines = pc.binary_join_element_wise(*cells.values(), ",")
    return b"".join(f"{line}\n".encode() for line in lines.to_pylist())


def _cells(column: Any, field: pa.Field) -> Any:
    """Return cells as the writer writes them; a null is nothing."""
    if field.type in (pa.string(), LEVELS):
        write = quoted if field.name in QUOTED_COLUMNS else text_cell
        found = column.dictionary_encode()  # each text once: most columns hold few
        written = [write(text.encode()).decode() for text in found.dictionary.to_pylist()]
        column = pa.array(written, pa.string()).take(found.indices)
    return pc.fill_null(column, "")
