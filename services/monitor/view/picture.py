"""The picture of a recorder that `/events` sends every second; everything else is made from it. Its JSON is the page's.

Prices keep the exchange's digits, as text. None is what nobody knows.
"""

import msgspec

from binance_streamer.wire.statuses import Status


class _PicturePart(msgspec.Struct, frozen=True, kw_only=True):
    pass


class ProblemPart(_PicturePart, frozen=True):
    """See `binance_streamer.health.judge`."""

    what: str
    why: str
    since_ms: int | None
    condition: str
    severity: str


class BookPart(_PicturePart, frozen=True):
    """The local order book of a symbol, its best five levels a side as [price, quantity]."""

    valid: bool
    state: str
    reason: str
    since_ms: int | None
    resyncs: int
    audits_passed: int
    audits_failed: int
    bids: tuple[tuple[str, str], ...]
    asks: tuple[tuple[str, str], ...]


class Latency(_PicturePart, frozen=True):
    """Receipt less event time of a sample of the messages: counts per bucket, and their sum."""

    counts: tuple[int, ...]
    sum_s: float


class StreamPart(_PicturePart, frozen=True):
    """`messages` are rows; `received` counts the copies of redundant connections too. `rates` are the last 60 s."""

    stream: str
    state: str
    why: str
    rate: float
    messages: int
    received: int
    bytes: int
    age_s: float | None
    latency_ms: float | None
    gaps: int
    missed: int
    rates: tuple[int, ...]
    latency: Latency


class SymbolPart(_PicturePart, frozen=True):
    """One configured symbol."""

    symbol: str
    status: str
    price: str | None
    spread: str | None
    book: BookPart | None
    gaps_today: int
    missed_today: int
    streams: tuple[StreamPart, ...]


class ProcessPart(_PicturePart, frozen=True):
    """One configured process; `detail` is its newest status, for what only metrics show."""

    name: str
    kind: str
    up: bool
    state: str
    pid: int | None
    uptime_s: float | None
    rss_bytes: int | None
    cpu_percent: float | None
    backlog_bytes: int
    backlog_s: float
    detail: str


class Series(_PicturePart, frozen=True):
    """The last ten minutes."""

    t_ms: tuple[int, ...]
    messages_per_s: tuple[float, ...]
    latency_p50_ms: tuple[float | None, ...]
    latency_p99_ms: tuple[float | None, ...]


class GapPart(_PicturePart, frozen=True):
    """One of today's gaps; `missed` is None where the stream does not count its messages."""

    symbol: str
    stream: str
    from_ms: int
    to_ms: int | None
    reason: str
    state: str
    missed: int | None


class DiskPart(_PicturePart, frozen=True):
    """Of the recorded files."""

    path: str
    free_bytes: int
    total_bytes: int
    written_bytes_per_day: float | None
    days_left: float | None


class ClockPart(_PicturePart, frozen=True):
    """How far the exchange's clock is ahead of ours, and how well that is known."""

    offset_ms: float | None
    error_ms: float | None


class WeightPart(_PicturePart, frozen=True):
    """REST request weight of the last minute."""

    used: int
    limit: int
    stand_down_s: float


class Picture(_PicturePart, frozen=True):
    """Everything, at one moment."""

    time_ms: int
    mode: str
    healthy: bool
    problems: tuple[ProblemPart, ...]
    symbols: tuple[SymbolPart, ...]
    processes: tuple[ProcessPart, ...]
    series: Series
    gaps: tuple[GapPart, ...]
    gaps_since_ms: int
    disk: DiskPart | None
    clock: ClockPart
    weight: WeightPart


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The picture, and the statuses that it was made from, for the metrics."""

    picture: Picture
    statuses: dict[str, Status]
    gaps_seen: dict[tuple[str, str], int]
    refused: int
    sampled: int


def as_json(picture: Picture) -> bytes:
    """What the page reads; a number that is none (NaN) becomes null."""
    return msgspec.json.encode(picture)
