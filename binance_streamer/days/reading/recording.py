"""A recording as one would use it: rows, gaps, trades, quotes, bars and books, whatever files they are in.

All instants are `Instant`s: a datetime (UTC where it has no zone), a date, ISO 8601 text, or ns since 1970. Intervals
are half-open, [start, end), of `recv_ns`, when the recorder received a row; without a bound they go as far as there are
rows. Prices, quantities and volumes are Decimal(38, 8), exchange times Datetime("us", "UTC"), ids and stamps Int64.

Frames are lazy where they may be large. They name the files that were there when they were made, and read them when
they are collected. In between a day may be sealed and its daily files removed: an error that names the file; ask again.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from binance_streamer.days.reading import gap_frames, market
from binance_streamer.days.reading.book_samples import sampled
from binance_streamer.days.reading.books import BookReader, RecordedBook
from binance_streamer.days.reading.gap_frames import GapError, OnGap
from binance_streamer.days.reading.instants import FOREVER_NS, Instant, day_of_ns, length_ns, to_ns
from binance_streamer.days.reading.location import Location, locate
from binance_streamer.days.reading.parts import ALWAYS, DayParts, RowFiles
from binance_streamer.days.reading.rows_of_days import lazy_rows
from binance_streamer.days.rows import Span
from binance_streamer.days.schema import stream_type_of_stem

if TYPE_CHECKING:
    import duckdb

_POLARS_INTERVALS = {"1M": "1mo"}
"""Intervals of the exchange that polars names otherwise."""
_GAP = "gap"


class Recording:
    """Recorded days in one place, sealed and open ones; nothing is kept open or in memory between calls."""

    def __init__(self, place: str | Path | Location | None = None) -> None:
        """Find the files below a place: a recorder's folder or configuration, a data folder, a lake, its URL.

        Without a place, those of the configuration that the commands take without `-c`. Raises `FileNotFoundError`
        where there is no such place, `ConfigError` where the configuration cannot be used.
        """
        self.location = locate(place)
        self._parts = RowFiles(self.location)

    def contents(self) -> pl.DataFrame:
        """Return `symbol`, `stem` and `day` (text, 20261122) of all that is recorded, sorted."""
        schema = dict.fromkeys(("symbol", "stem", "day"), pl.String())
        return pl.DataFrame(sorted(self._parts.names()), schema=schema, orient="row")

    def scan(
        self,
        stem: str,
        symbol: str,
        start: Instant | None = None,
        end: Instant | None = None,
        *,
        on_gap: OnGap = "keep",
    ) -> pl.LazyFrame:
        """Return the rows of a stream and symbol, received within [start, end), as a lazy frame.

        `stem` is the beginning of the files' names: `aggtrade`, `depth`, `kline_1m`, `gap`, … (docs/files.md, where the
        columns are). Rows come day by day, and within a day by the stream's id where it has one, else by receipt. Of
        sealed days only the columns and row groups that the query needs are read; of daily files all text is read, and
        only what was received within the interval is converted.

        Raises `LookupError` where this stream of the symbol is not recorded at all. Rows that are only not of the
        interval make an empty frame.

        `on_gap="split"` adds the column `segment`, which counts up at each gap; with `"error"` a gap that touches the
        interval raises `GapError`. A daily file with something that has no place in the columns raises `NotSealable`
        (`days.rows`) when the frame is collected, with file, line and column.
        """
        span = _span(start, end)
        days = self._parts.of(stem, symbol, span)
        if not days:
            self._parts.check_recorded(symbol, stem)
        rows = lazy_rows(days, stem, span)
        if on_gap == "keep":
            return rows
        gaps = gap_frames.missing_of(self._gaps(symbol, span), stem)
        if on_gap == "split":
            return gap_frames.with_segments(rows, stem, gaps)
        if len(gaps):
            raise GapError(stem, symbol, gaps)
        return rows

    def gaps(self, symbol: str | None = None, start: Instant | None = None, end: Instant | None = None) -> pl.DataFrame:
        """Return the gaps that touch [start, end), of one symbol or of all, one row each in its newest state.

        Columns: `symbol`, `stem` and `stream` of what is missing, `gap_id`, `state` (`open`, `unrepairable`,
        `repaired`), `reason`, `fault` (exchange, network, this host, this software), `from_ns` and `to_ns` (null while
        it lasts), `from_id` and `to_id`, between which messages are missing, `first_from_id` and `first_to_id` as it
        was listed, and `missing`, the number of messages where ids count them. Sorted by `from_ns`. Of a `repaired` gap
        nothing is missing any more: its bounds say what was, `missing` is 0. `LookupError` for a symbol that is not
        recorded.
        """
        span = _span(start, end)
        if symbol is not None:
            self._parts.check_recorded(symbol, _GAP)
        symbols = (
            [symbol] if symbol is not None else sorted({one for one, stem, _ in self._parts.names() if stem == _GAP})
        )
        return gap_frames.unite(self._gaps(one, span) for one in symbols)

    def trades(
        self, symbol: str, start: Instant | None = None, end: Instant | None = None, *, on_gap: OnGap = "keep"
    ) -> pl.LazyFrame:
        """Return aggregate trades by id: what one taker took at one price.

        Columns: `recv_ns`, `time`, `agg_trade_id`, `price`, `quantity`, `side` (the taker's, `buy` or `sell`),
        `first_trade_id`, `last_trade_id`. `on_gap` and errors as in `scan`.
        """
        return market.trades_of(self.scan("aggtrade", symbol, start, end, on_gap=on_gap))

    def quotes(
        self, symbol: str, start: Instant | None = None, end: Instant | None = None, *, on_gap: OnGap = "keep"
    ) -> pl.LazyFrame:
        """Return best bids and asks (bookTicker) by update id.

        Columns: `recv_ns`, `time`, `update_id`, `bid_price`, `bid_quantity`, `ask_price`, `ask_quantity`. `on_gap` and
        errors as in `scan`.
        """
        return market.quotes_of(self.scan("bookticker", symbol, start, end, on_gap=on_gap))

    def bars(
        self, symbol: str, interval: str = "1m", start: Instant | None = None, end: Instant | None = None
    ) -> pl.LazyFrame:
        """Return bars of aggregate trades, and beside them the exchange's own, by `open_time`.

        The interval is the exchange's word (`1m`, `1h`, `1d`, `1M`) or any length such as `10s`. Bars open within
        [start, end) by the exchange's time, whenever their trades were received; begin at a whole interval, since
        trades before `start` are in no bar. Columns: `open_time`, `open`, `high`, `low`, `close`, `volume`,
        `quote_volume`, `trades`, `taker_buy_volume`, `taker_buy_quote_volume`, `first_trade_id`, `last_trade_id`, and
        the same with `kline_` before, of the closed bars of `kline_<interval>`. Null where there were no trades, or no
        such bar. `LookupError` where neither such trades nor such bars are recorded at all.
        Trades that are in no aggregate (insurance fund, ADL) are in the exchange's bars only.
        """
        span = _span(start, end)
        time = pl.col("transact_time").dt.epoch("ns")
        trades = self._rows_of_time("aggtrade", symbol, span).filter(time >= span.start_ns, time < span.end_ns)
        opening = pl.col("open_time").dt.epoch("ns")
        bar_stem = f"kline_{interval}"
        if not self._parts.of(bar_stem, symbol):
            self._parts.check_recorded(symbol, "aggtrade")
        klines = self._rows_of_time(bar_stem, symbol, span)
        closed = market.closed_bars(klines.filter(opening >= span.start_ns, opening < span.end_ns))
        bars = market.bars_of_trades(trades, _POLARS_INTERVALS.get(interval, interval))
        return bars.join(closed, on="open_time", how="full", coalesce=True).sort("open_time")

    def book_at(self, symbol: str, instant: Instant, *, stem: str = "") -> RecordedBook:
        """Return the order book of a symbol at an instant, exactly as the exchange had sent it until then.

        `stem` names the stream of depth updates (`depth`, `depth_100ms`); without it the quickest that is recorded. A
        book that is not known says why and between which instants it is not. `LookupError` where no such stream is
        recorded. It takes the updates since the nearest
        snapshot, at most an hour of them by default (docs/reading.md has times).
        """
        return self._books(symbol, stem).at(to_ns(instant))

    def books(  # noqa: PLR0913 (what, when, how often, how much)
        self,
        symbol: str,
        start: Instant,
        end: Instant,
        *,
        every: str = "1s",
        depth: int = 20,
        stem: str = "",
    ) -> pl.DataFrame:
        """Return the order books at `start`, and each `every` later, below `end`: a row for each instant.

        Columns: `ns`, `why` (empty where the book is known), `update_id`, `bids` and `asks`: lists of structs `price`
        and `quantity`, best first, at most `depth` of them, and fewer where others may be missing among them.
        """
        span = _span(start, end)
        return pl.concat(sampled(self._books(symbol, stem), span, length_ns(every), depth=depth))

    def book_times(self, symbol: str, start: Instant, end: Instant, *, stem: str = "") -> pl.DataFrame:
        """Return the times of [start, end) in which the book is known and in which it is not, without a hole.

        Columns: `from_ns`, `to_ns` (the first instant that is no more of it), `why`: empty where the book is known.
        """
        times = self._books(symbol, stem).times(_span(start, end))
        return pl.DataFrame(times, schema={"from_ns": pl.Int64, "to_ns": pl.Int64, "why": pl.String}, orient="row")

    def sql(
        self, symbols: list[str] | None = None, start: Instant | None = None, end: Instant | None = None
    ) -> "duckdb.DuckDBPyConnection":
        """Return a DuckDB connection with a view for each stem, with the columns of `scan` behind `symbol`.

        The views have what was recorded when this was called, of some symbols or of all, received within [start, end).
        Close the connection when it is no more needed. DuckDB hands conditions on to the files' readers. `LookupError`
        for a symbol that is not recorded.
        """
        import duckdb  # noqa: PLC0415 (an eighth of what the monitor's reader loads before its first answer)

        connection = duckdb.connect()
        frames: dict[str, list[pl.LazyFrame]] = {}
        for symbol in symbols or ():
            self._parts.check_recorded(symbol, _GAP)
        for symbol, stem in sorted({(symbol, stem) for symbol, stem, _ in self._parts.names()}):
            if symbols is None or symbol in symbols:
                rows = self.scan(stem, symbol, start, end)
                frames.setdefault(stem, []).append(rows.select(pl.lit(symbol).alias("symbol"), pl.all()))
        for stem, several in frames.items():
            connection.register(stem, pl.concat(several))
        return connection

    def _rows_of_time(self, stem: str, symbol: str, span: Span) -> pl.LazyFrame:
        """Return the rows of days by the exchange's time, by which such files are cut, whenever they were received."""
        first, last = day_of_ns(span.start_ns), day_of_ns(span.end_ns)
        days: list[DayParts] = [day for day in self._parts.of(stem, symbol) if first <= day.day <= last]
        return lazy_rows(days, stem)

    def _gaps(self, symbol: str, span: Span) -> pl.DataFrame:
        """A gap's file is that of its beginning, and its newest row may have been written much later."""
        days = [day for day in self._parts.of(_GAP, symbol) if day.day <= day_of_ns(span.end_ns)]
        return gap_frames.gap_frame(symbol, lazy_rows(days, _GAP), span)

    def _books(self, symbol: str, stem: str) -> BookReader:
        if stem:
            self._parts.check_recorded(symbol, stem)
        return BookReader(self._parts, symbol, stem or self._depth_stem(symbol))

    def _depth_stem(self, symbol: str) -> str:
        """Return the stem of the quickest depth updates of a symbol: `depth`, which is depth@0ms, comes first."""
        stems = sorted({stem for stem in self._parts.stems(symbol) if stream_type_of_stem(stem) == "depth"})
        if not stems:
            self._parts.check_recorded(symbol, "depth")
        return stems[0]


def _span(start: Instant | None, end: Instant | None) -> Span:
    span = Span(ALWAYS.start_ns if start is None else to_ns(start), FOREVER_NS if end is None else to_ns(end))
    if span.start_ns > span.end_ns:
        raise ValueError(f"expected a start before the end, got {start} and {end}")
    return span
