"""Gaps of a recording as a frame, and what a reader of rows wants done about them.

A gap is a time, and where ids prove it a range of ids, in which messages of a stream are missing (docs/files.md,
`gap`).
"""

from collections.abc import Iterable
from typing import Literal

import polars as pl

from binance_streamer.days.reading.instants import FOREVER_NS
from binance_streamer.days.rows import Span
from binance_streamer.days.schema import sort_key
from binance_streamer.health.gaps import REPAIRED, GapRow, folded, gap_row, stem_of_gap
from binance_streamer.health.sizes import amount
from binance_streamer.wire.gap_reasons import fault_of

OnGap = Literal["keep", "split", "error"]
"""For a reader of rows: pass over gaps, number the segments between them, or raise `GapError`."""

RECV_NS = "recv_ns"
SEGMENT = "segment"
"""The column that `split` adds."""

GAP_SCHEMA = pl.Schema(
    {
        **dict.fromkeys(("symbol", "stem", "stream", "gap_id", "state", "reason", "fault"), pl.String()),
        **dict.fromkeys(
            ("from_ns", "to_ns", "from_id", "to_id", "first_from_id", "first_to_id", "missing"), pl.Int64()
        ),
    }
)
"""Columns of a frame of gaps."""


class GapError(Exception):
    """Messages are missing in the rows that were asked for; `gaps` is the frame of them."""

    def __init__(self, stem: str, symbol: str, gaps: pl.DataFrame) -> None:
        first = gaps.row(0, named=True)
        super().__init__(
            f"{stem} of {symbol}: {amount(len(gaps), 'gap')}, the first from {first['from_ns']} to {first['to_ns']} "
            f"({first['reason']}); ask for on_gap='keep' or 'split' to read around them"
        )
        self.gaps = gaps


def gap_frame(symbol: str, rows: pl.LazyFrame, span: Span) -> pl.DataFrame:
    """Return the gaps of a symbol that touch the span, one row each in its newest state, by `from_ns`.

    `rows` are those of its `gap` files. A gap whose end is not known touches all that comes after.
    """
    values = (
        {key: value for key, value in row.items() if value is not None} for row in rows.collect().iter_rows(named=True)
    )
    listed = (gap_row({**row, "symbol": symbol}) for row in values)
    found = folded(row for row in listed if row is not None)
    touching = [one for one in found if _touches(one.newest, span)]
    cells = [_cells(one.first, one.newest, one.missing_messages) for one in touching]
    return pl.DataFrame(cells, schema=GAP_SCHEMA).sort("from_ns", "gap_id")


def _touches(gap: GapRow, span: Span) -> bool:
    return gap.from_ns < span.end_ns and (FOREVER_NS if gap.to_ns is None else gap.to_ns) >= span.start_ns


def _cells(first: GapRow, newest: GapRow, missing: int | None) -> dict[str, str | int | None]:
    return {
        "symbol": newest.symbol,
        "stem": stem_of_gap(newest),
        "stream": newest.stream,
        "gap_id": newest.gap_id,
        "state": newest.state,
        "reason": newest.reason,
        "fault": fault_of(newest.reason),
        "from_ns": newest.from_ns,
        "to_ns": newest.to_ns,
        "from_id": newest.from_id,
        "to_id": newest.to_id,
        "first_from_id": first.from_id,
        "first_to_id": first.to_id,
        "missing": missing,
    }


def missing_of(gaps: pl.DataFrame, stem: str) -> pl.DataFrame:
    """Return the gaps of one stream in which something is still missing."""
    return gaps.filter(pl.col("stem") == stem, pl.col("state") != REPAIRED)


def with_segments(rows: pl.LazyFrame, stem: str, gaps: pl.DataFrame) -> pl.LazyFrame:
    """Return the rows with a column `segment`: 0, then one more behind each gap; in one segment nothing is missing.

    Rows are told apart by their ids where the gap has ids, and by their receipt otherwise.
    """
    own_id = sort_key(stem)[0]
    has_ids = own_id != RECV_NS
    by_id = gaps["to_id"].drop_nulls() if has_ids else gaps["to_id"].clear()
    by_time = gaps.filter(pl.col("to_id").is_null() if has_ids else True)["to_ns"].drop_nulls()
    segment = _count(by_time, RECV_NS, "right")
    if has_ids:
        segment = segment + _count(by_id, own_id, "left")
    return rows.with_columns(segment.alias(SEGMENT))


def _count(bounds: pl.Series, column: str, side: Literal["left", "right"]) -> pl.Expr:
    """Count the bounds below a column's value, with `right` also those that equal it."""
    ordered = bounds.sort()
    return pl.col(column).map_batches(
        lambda values: ordered.search_sorted(values, side).cast(pl.Int64), return_dtype=pl.Int64, is_elementwise=True
    )


def unite(frames: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """Return the gaps of several symbols as one frame, by `from_ns`."""
    return pl.concat([pl.DataFrame(schema=GAP_SCHEMA), *frames]).sort("from_ns", "symbol", "gap_id")
