"""The times in which the book of a stream of depth updates is known, from ids and receive stamps alone.

A book at an instant is the one after the last update received until then. It is known where some snapshot and the
updates behind it lead there without a hole, and the next update hangs on the last one, so that none is missing before
the instant. Levels do not matter here, so that this reads a hundredth of the bytes of the updates.

| why it is not known | |
|---|---|
| `no snapshot` | updates are there, and no snapshot that they join |
| `updates missing` | the next update does not hang on the last one |
| `not recorded` | no update was received before, or none behind |
"""

from typing import NamedTuple

import polars as pl

from binance_streamer.days.rows import Span

NO_SNAPSHOT, MISSING, NOT_RECORDED = "no snapshot", "updates missing", "not recorded"
ID_COLUMNS = ("final_update_id", "prev_final_update_id", "recv_ns")
"""Columns of depth updates that these questions take."""


class BookTime(NamedTuple):
    """Instants from `from_ns` on and below `to_ns`; `why` is empty where the book is known."""

    from_ns: int
    to_ns: int
    why: str


def chained(updates: pl.DataFrame, snapshots: pl.DataFrame) -> pl.DataFrame:
    """Return the updates in the order of their ids, each one once, with columns of what is known behind it.

    `updates` has `ID_COLUMNS`, `snapshots` `last_update_id`. New columns: `at_ns`, from when on the update counts (it,
    or a later one, was received); `is_hung`, it hangs on the update before; `base_id`, the newest snapshot that leads
    to the book behind it, null where none does.
    """
    rows = updates.unique("final_update_id", keep="first", maintain_order=True).sort("final_update_id")
    rows = rows.with_columns(
        pl.col("recv_ns").reverse().cum_min().reverse().alias("at_ns"),
        (pl.col("prev_final_update_id") == pl.col("final_update_id").shift(1)).fill_null(value=False).alias("is_hung"),
    ).with_columns((~pl.col("is_hung")).cum_sum().alias("chain"))
    return (
        rows.join(_joined(rows, snapshots), on="final_update_id", how="left", maintain_order="left")
        .with_columns(pl.col("base_id").forward_fill().over("chain"))
        .drop("chain")
    )


def _joined(rows: pl.DataFrame, snapshots: pl.DataFrame) -> pl.DataFrame:
    """Return (final_update_id, base_id) of the first update at or behind each snapshot, where it hangs on it."""
    bases = snapshots.select(pl.col("last_update_id").alias("base_id")).drop_nulls().unique().sort("base_id")
    return (
        bases.join_asof(
            rows.select("final_update_id", "prev_final_update_id"),
            left_on="base_id",
            right_on="final_update_id",
            strategy="forward",
            coalesce=False,
        )
        .filter(pl.col("prev_final_update_id") <= pl.col("base_id"))
        .group_by("final_update_id")
        .agg(pl.col("base_id").max())
    )


def book_times(rows: pl.DataFrame, span: Span) -> list[BookTime]:
    """Return the times of a span, one behind the other without a hole, from rows as `chained` makes them."""
    known = pl.col("base_id").is_not_null()
    starts = rows.with_columns(
        pl.col("at_ns").shift(-1).alias("next_ns"), pl.col("is_hung").shift(-1).alias("is_next_hung")
    ).with_columns(
        pl.when(~known).then(pl.lit(NO_SNAPSHOT)).otherwise(pl.lit("")).alias("why"),
        pl.when(pl.col("is_next_hung").fill_null(value=False))
        .then("next_ns")
        .otherwise(pl.col("at_ns") + 1)
        .alias("to_ns"),
    )
    found: list[BookTime] = []
    end = span.start_ns
    run = starts.with_columns(
        ((pl.col("why") != pl.col("why").shift(1)) | ~pl.col("is_hung")).fill_null(value=True).cum_sum().alias("run")
    )
    runs = run.group_by("run", maintain_order=True).agg(
        pl.col("at_ns").first(), pl.col("to_ns").last(), pl.col("why").first()
    )
    is_first = True
    for at_ns, to_ns, why in runs.select("at_ns", "to_ns", "why").iter_rows():
        end = _add(found, BookTime(end, at_ns, NOT_RECORDED if is_first else MISSING), span)
        end = _add(found, BookTime(max(end, at_ns), to_ns, why), span)
        is_first = False
    _add(found, BookTime(end, span.end_ns, NOT_RECORDED), span)
    return found


def _add(found: list[BookTime], time: BookTime, span: Span) -> int:
    """Add the part of a time within the span behind those found, joined where they say the same; return its end."""
    start, end = max(time.from_ns, span.start_ns), min(time.to_ns, span.end_ns)
    if start >= end:
        return max(start, span.start_ns) if not found else found[-1].to_ns
    if found and found[-1].why == time.why:
        found[-1] = BookTime(found[-1].from_ns, end, time.why)
    else:
        found.append(BookTime(start, end, time.why))
    return end
