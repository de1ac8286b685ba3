"""The snapshot of the recorder with what the monitor sees on the bus: `/events` sends it, and its JSON is the page's.

Prices keep the exchange's digits, as text. None is what nobody knows.
"""

import msgspec

from binance_streamer.health.snapshot import Snapshot, StreamSnapshot, SymbolSnapshot
from binance_streamer.wire.statuses import Status


class _PagePart(msgspec.Struct, frozen=True, kw_only=True):
    pass


class BookTop(_PagePart, frozen=True):
    """The order book of a symbol, and its best five levels a side as [price, quantity], best first."""

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
    """Receive stamp minus event time of a sample of the messages: counts per bucket, and their sum in seconds."""

    counts: tuple[int, ...]
    sum_s: float


class PageStream(StreamSnapshot, frozen=True):
    """A stream with what was seen of it on the bus: `rate` over 5 s, `rates` second by second, newest last."""

    bytes: int
    rates: tuple[int, ...]
    latency: LatencyHistogram


class PageSymbol(SymbolSnapshot, frozen=True):
    """A symbol with its last price, its spread and its order book; `streams` are as the bus shows them."""

    streams: tuple[PageStream, ...]
    price: str | None
    spread: str | None
    book: BookTop | None


class Series(_PagePart, frozen=True):
    """The last ten minutes, a point every two seconds, oldest first."""

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
    """Everything on the page, at one moment. `newest_gaps` are at most 200, newest first."""

    symbols: tuple[PageSymbol, ...]
    series: Series
    newest_gaps: tuple[PageGap, ...]
    gaps_since_ms: int
    """Today's gaps are known from here on: from midnight, or where the files cannot be read from the start."""


class MonitorSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The page's snapshot, and what only metrics and alerts need: the statuses that it was made from, and counters."""

    page: PageSnapshot
    statuses: dict[str, Status]
    ended_gaps: dict[tuple[str, str], int]
    """Gaps that ended since the monitor started, by symbol and stream."""
    refused: int
    sampled: int


def as_json(page: PageSnapshot) -> bytes:
    """Encode what the page reads; a number that is none (NaN) becomes null."""
    return msgspec.json.encode(page)
