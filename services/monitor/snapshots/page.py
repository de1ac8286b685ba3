"""The snapshot of the recorder with what the monitor sees on the bus: `/events` sends it, and its JSON is the
page's.

Prices keep the exchange's digits, as text, because a float would change them. None is what nobody knows.
All types are frozen: a snapshot is made in one thread and read in others. A field that is renamed here is
renamed in the page's script too.
"""

import msgspec

from binance_streamer.health.snapshot import Snapshot, StreamSnapshot, SymbolSnapshot
from binance_streamer.wire.statuses import Status


class _PagePart(msgspec.Struct, frozen=True, kw_only=True):
    # Frozen, since threads share it; by keywords alone, since neighbouring fields of one type could be swapped.
    pass


class BookTop(_PagePart, frozen=True):
    """The order book of a symbol, and its best five levels a side as [price, quantity], best first.

    Both sides are empty while the book is not valid: levels that may be wrong are not shown. `since_ms` is when
    the present state began; `reason` says why a book is not valid. The counts are of the book's process, since
    its start.
    """

    valid: bool
    state: str
    reason: str
    since_ms: int | None
    resyncs: int
    audits_passed: int
    audits_failed: int
    bids: tuple[tuple[str, str], ...]
    asks: tuple[tuple[str, str], ...]


class LatencyHistogram(_PagePart, frozen=True):
    """Receive stamp minus event time of a sample of the messages: counts per bucket, and their sum in seconds.

    The upper bounds are `traffic.BUCKETS_S`; one more count at the end has what is above the last bound. Counts
    are not cumulative. Values may be negative, since the two stamps are of two clocks.
    """

    counts: tuple[int, ...]
    sum_s: float


class PageStream(StreamSnapshot, frozen=True):
    """A stream with what was seen of it on the bus: `rate` over 5 s, `rates` second by second, newest last.

    `bytes` are those of our frames since the monitor started, not those of the exchange. `rates` has the last
    60 seconds, with 0 for those before the start.
    """

    bytes: int
    rates: tuple[int, ...]
    latency: LatencyHistogram


class MarketFigures(_PagePart, frozen=True):
    """Figures of a symbol from markPrice and from its last 24 hours (ticker, miniTicker); None where nothing has them.

    Text is the exchange's: prices and volume in the quote asset, the rate of the next funding as a share.
    """

    mark_price: str | None
    funding_rate: str | None
    next_funding_ms: int | None
    change_percent: str | None
    quote_volume: str | None


class RecordedToday(_PagePart, frozen=True):
    """Rows and bytes that the writer has written since `since_ms`, which is midnight UTC or later."""

    rows: int
    bytes: int
    since_ms: int


class PageSymbol(SymbolSnapshot, frozen=True):
    """A symbol with its last price, its spread and its order book; `streams` are as the bus shows them.

    `price` and `spread` are decimal text in the quote asset. `book` is None where no process that keeps it is
    heard.
    """

    streams: tuple[PageStream, ...]
    price: str | None
    spread: str | None
    market: MarketFigures
    book: BookTop | None


class Series(_PagePart, frozen=True):
    """The last ten minutes, a point every two seconds, oldest first.

    The four columns have one length, at most 300. Quantiles are of the sampled latencies of all streams in
    these two seconds, None where there was no sample.
    """

    t_ms: tuple[int, ...]
    messages_per_s: tuple[float, ...]
    latency_p50_ms: tuple[float | None, ...]
    latency_p99_ms: tuple[float | None, ...]


class PageGap(_PagePart, frozen=True):
    """One of today's gaps. Times and `first_messages` are those of its widest bounds, `missing_messages` of now.

    Both counts are None where the ids of the stream do not count messages.
    """

    symbol: str
    stream: str
    from_ms: int
    to_ms: int | None
    reason: str
    state: str
    first_messages: int | None
    missing_messages: int | None


class PageSnapshot(Snapshot, frozen=True):
    """Everything on the page, at one moment. `newest_gaps` are at most 200, newest first.

    It is the snapshot of `binance_streamer.health` with more fields, so that the page and the command line
    judge by the same rules.
    """

    symbols: tuple[PageSymbol, ...]
    recorded: RecordedToday | None
    series: Series
    newest_gaps: tuple[PageGap, ...]
    gaps_since_ms: int
    """Today's gaps are known from here on: from midnight, or where the files cannot be read from the start."""


class MonitorSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The page's snapshot, and what only metrics and alerts need: the statuses that it was made from, and
    counters.

    `statuses` are by process name. `refused` counts messages that broke the contract, `sampled` those whose
    latency was read. These stay out of the page's JSON, which is sent to every client each second.
    """

    page: PageSnapshot
    statuses: dict[str, Status]
    ended_gaps: dict[tuple[str, str], int]
    """Gaps that ended since the monitor started, by symbol and stream."""
    refused: int
    sampled: int


def as_json(page: PageSnapshot) -> bytes:
    """Encode the page's snapshot as JSON in UTF-8; a number that is none (NaN) becomes null."""
    return msgspec.json.encode(page)
