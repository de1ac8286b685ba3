"""Rows of a stream as a polars LazyFrame, whatever files they are in, in the order of sealed days.

Sealed days are read by polars itself, which reads the columns and row groups that a query needs. Daily files are read,
typed and sorted by what seals them, so that a row is the same before and after its day is sealed.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

import polars as pl
import pyarrow as pa
from polars.io.plugins import register_io_source

from binance_streamer.days import rows
from binance_streamer.days.day_files import whole_bytes
from binance_streamer.days.reading.parts import ALWAYS, DayParts
from binance_streamer.days.rows import Span
from binance_streamer.days.schema import table_schema
from binance_streamer.days.seal import rows_in_order
from binance_streamer.stores.scratch import ScratchFolder

_OLDEST = pl.CompatLevel.oldest()


def polars_schema(stem: str) -> pl.Schema:
    """Return the columns of a stream as polars has them: those of `table_schema`."""
    empty = pl.from_arrow(table_schema(stem).empty_table())
    assert isinstance(empty, pl.DataFrame)
    return empty.schema


def lazy_rows(days: Sequence[DayParts], stem: str, span: Span = ALWAYS) -> pl.LazyFrame:
    """Return the rows of some days that were received within the span, in order; none where there are no days."""
    frames: list[pl.LazyFrame] = []
    for is_sealed, group in groupby(days, key=lambda day: not day.files):
        if is_sealed:
            frames.append(_sealed_rows([day.sealed for day in group]))
        else:
            frames += [_open_rows(day, stem, span) for day in group]
    if not frames:
        return pl.LazyFrame(schema=polars_schema(stem))
    found = pl.concat(frames) if len(frames) > 1 else frames[0]
    if span == ALWAYS:
        return found
    return found.filter(pl.col("recv_ns") >= span.start_ns, pl.col("recv_ns") < span.end_ns)


def _sealed_rows(files: list[str]) -> pl.LazyFrame:
    """Symbols are percent-encoded in paths, which are no patterns and no URLs to polars."""
    return pl.scan_parquet(files, glob=False, hive_partitioning=False)


def _open_rows(day: DayParts, stem: str, span: Span) -> pl.LazyFrame:
    """Return the rows of a day with daily files; they are read when the frame is collected."""

    def read(
        with_columns: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, batch_size: int | None
    ) -> Iterator[pl.DataFrame]:
        del batch_size
        left = n_rows
        with ScratchFolder("binance-streamer-days-") as spill:
            for table in rows_in_order(_origins(day, stem, span), stem, spill):
                frame = pl.from_arrow(table)
                assert isinstance(frame, pl.DataFrame)
                frame = frame if predicate is None else frame.filter(predicate)
                frame = frame if left is None else frame.head(left)
                left = None if left is None else left - len(frame)
                yield frame if with_columns is None else frame.select(with_columns)
                if left == 0:
                    return

    return register_io_source(read, schema=polars_schema(stem))


def _origins(day: DayParts, stem: str, span: Span) -> list[Iterable[pa.RecordBatch]]:
    """Return the sources of a day in the order in which a seal would take them: the sealed file first."""
    files: list[Iterable[pa.RecordBatch]] = [
        rows.batches(path, stem, whole_bytes(path), span=None if span == ALWAYS else span) for path in day.files
    ]
    return [_sealed_batches(day.sealed, stem, span), *files] if day.sealed else files


def _sealed_batches(file: str, stem: str, span: Span) -> Iterator[pa.RecordBatch]:
    within = pl.col("recv_ns").is_between(span.start_ns, span.end_ns, closed="left")
    for frame in _sealed_rows([file]).filter(within).collect_batches(maintain_order=True):
        yield from frame.to_arrow(compat_level=_OLDEST).cast(table_schema(stem)).to_batches()
