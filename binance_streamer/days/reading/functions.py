"""The questions of a `Recording` as functions, for the recording that the configuration names, or any other.

Each takes `recording`: a `Recording`, a place that makes one, or nothing for what the commands take without `-c`.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from binance_streamer.days.reading.books import RecordedBook
from binance_streamer.days.reading.gap_frames import OnGap
from binance_streamer.days.reading.instants import Instant
from binance_streamer.days.reading.recording import Recording

if TYPE_CHECKING:
    import duckdb

Where = Recording | str | Path | None


def _of(recording: Where) -> Recording:
    return recording if isinstance(recording, Recording) else Recording(recording)


def contents(*, recording: Where = None) -> pl.DataFrame:
    """Return symbol, stem and day of all that is recorded; see `Recording.contents`."""
    return _of(recording).contents()


def scan(  # noqa: PLR0913 (as `Recording.scan`, and of which recording)
    stem: str,
    symbol: str,
    start: Instant | None = None,
    end: Instant | None = None,
    *,
    on_gap: OnGap = "keep",
    recording: Where = None,
) -> pl.LazyFrame:
    """Return the rows of a stream and symbol as a lazy frame; see `Recording.scan`."""
    return _of(recording).scan(stem, symbol, start, end, on_gap=on_gap)


def gaps(
    symbol: str | None = None, start: Instant | None = None, end: Instant | None = None, *, recording: Where = None
) -> pl.DataFrame:
    """Return the gaps that touch a time as a frame; see `Recording.gaps`."""
    return _of(recording).gaps(symbol, start, end)


def trades(
    symbol: str,
    start: Instant | None = None,
    end: Instant | None = None,
    *,
    on_gap: OnGap = "keep",
    recording: Where = None,
) -> pl.LazyFrame:
    """Return aggregate trades by id; see `Recording.trades`."""
    return _of(recording).trades(symbol, start, end, on_gap=on_gap)


def quotes(
    symbol: str,
    start: Instant | None = None,
    end: Instant | None = None,
    *,
    on_gap: OnGap = "keep",
    recording: Where = None,
) -> pl.LazyFrame:
    """Return best bids and asks by update id; see `Recording.quotes`."""
    return _of(recording).quotes(symbol, start, end, on_gap=on_gap)


def bars(
    symbol: str,
    interval: str = "1m",
    start: Instant | None = None,
    end: Instant | None = None,
    *,
    recording: Where = None,
) -> pl.LazyFrame:
    """Return bars of trades beside those of the exchange; see `Recording.bars`."""
    return _of(recording).bars(symbol, interval, start, end)


def book_at(symbol: str, instant: Instant, *, stem: str = "", recording: Where = None) -> RecordedBook:
    """Return the order book at an instant; see `Recording.book_at`."""
    return _of(recording).book_at(symbol, instant, stem=stem)


def books(  # noqa: PLR0913 (as `Recording.books`, and of which recording)
    symbol: str,
    start: Instant,
    end: Instant,
    *,
    every: str = "1s",
    depth: int = 20,
    stem: str = "",
    recording: Where = None,
) -> pl.DataFrame:
    """Return order books at regular instants; see `Recording.books`."""
    return _of(recording).books(symbol, start, end, every=every, depth=depth, stem=stem)


def book_times(symbol: str, start: Instant, end: Instant, *, stem: str = "", recording: Where = None) -> pl.DataFrame:
    """Return the times in which the book is known, and is not; see `Recording.book_times`."""
    return _of(recording).book_times(symbol, start, end, stem=stem)


def sql(
    symbols: list[str] | None = None,
    start: Instant | None = None,
    end: Instant | None = None,
    *,
    recording: Where = None,
) -> "duckdb.DuckDBPyConnection":
    """Return a DuckDB connection with a view for each stem; see `Recording.sql`."""
    return _of(recording).sql(symbols, start, end)
