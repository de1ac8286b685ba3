"""The certificate of one symbol and UTC day: what was recorded, what is missing, and what that is known by.

In: facts of each stream, gap rows, audits, the clock. Out: `Certificate`, whose JSON is the same whenever the same rows
are sealed, but for times and versions. docs/files.md explains every field.
"""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

import msgspec

from binance_streamer.days.checks.facts import StreamFacts
from binance_streamer.days.checks.ids import is_provable, stream_type_of
from binance_streamer.days.checks.order import flat
from binance_streamer.days.checks.ranges import RangeSet
from binance_streamer.exchange.stream_types import Continuity
from binance_streamer.health.gap_files import day_start
from binance_streamer.health.gaps import REPAIRED, GapRow, stem_of_gap
from binance_streamer.wire.gap_reasons import fault_of

SCHEMA = "binance-streamer/certificate/1"
AVAILABLE, DEGRADED, PENDING, MISSING = "available", "degraded", "pending", "missing"
_DAY_NS = 86_400_000_000_000
_EDGE_NS = 60_000_000_000
"""A minute without a row at either end of a day counts as recorded: bars come once a minute."""


class DegradedTime(msgspec.Struct, frozen=True, order=True):
    """A time in which something is missing, by our clock, ns since 1970."""

    from_ns: int
    to_ns: int


class CertifiedGap(msgspec.Struct, frozen=True, kw_only=True):
    """One gap of a stream in its newest state; `fault`: exchange, network, this host, this software, or unknown."""

    gap_id: str
    state: str
    from_id: int | None
    to_id: int | None
    from_ns: int
    to_ns: int | None
    reason: str
    fault: str


class CertifiedFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file that holds, or held, rows of the stream; `path` is relative to the data folder or to the lake."""

    path: str
    size_bytes: int
    sha256: str = ""
    removed: bool = False
    """True for a daily file that was removed after it had been sealed."""


class CertifiedStream(msgspec.Struct, frozen=True, kw_only=True):
    """One stream of the day; its key is the beginning of its files' names (`depth_100ms`)."""

    condition: str
    why: str = ""
    continuity: str
    """`proven by ids`, or `not provable`: nothing in such messages says whether one is missing."""
    facts: StreamFacts
    gaps: tuple[CertifiedGap, ...] = ()
    digest: str = ""
    """Of the canonical rows, docs/files.md; empty while they are not sealed."""
    sealed: tuple[CertifiedFile, ...] = ()
    sources: tuple[CertifiedFile, ...] = ()


class AuditCounts(msgspec.Struct, frozen=True, kw_only=True):
    """Comparisons of our order book with the exchange's, by outcome."""

    passed: int = 0
    failed: int = 0


class CertifiedClock(msgspec.Struct, frozen=True, kw_only=True):
    """The exchange's clock minus ours in ms: median, least and greatest of the day's measurements, and their error."""

    measurements: int
    offset_ms: float
    least_ms: float
    most_ms: float
    error_ms: float
    """The greatest error bound of any measurement."""
    steps: int
    """The number of times that our clock was set."""


class Certificate(msgspec.Struct, frozen=True, kw_only=True):
    """One symbol and day. `verified_percent` and `clean_percent` are of stream-seconds, and never to be multiplied."""

    certificate: str = SCHEMA
    symbol: str
    day: str
    condition: str
    why: str = ""
    verified_percent: float
    """The share of the day of all its streams in which a loss would be seen, by ids."""
    clean_percent: float | None
    """Of that, the share outside of gaps and of time that was not recorded; None where nothing can be verified."""
    degraded: tuple[DegradedTime, ...] = ()
    streams: dict[str, CertifiedStream]
    audits: AuditCounts
    clock: CertifiedClock | None
    restarts: int
    """Runs of the recording process of this symbol, less one."""
    sealed_at: str
    versions: dict[str, str]


def certify(  # noqa: PLR0913 (all that a certificate is made of)
    symbol: str,
    day: str,
    streams: Mapping[str, CertifiedStream],
    *,
    audits: AuditCounts,
    clock: CertifiedClock | None,
    sealed_at: str,
    versions: Mapping[str, str],
) -> Certificate:
    """Return the certificate of a symbol and day (`2026-11-22`) from its streams, as `certified_stream` makes them."""
    market = {stem: stream for stem, stream in streams.items() if stream_type_of(stem) is not None}
    span = _span(market.values())
    broken = {stem: _broken(stem, stream, span, day, stream.gaps) for stem, stream in market.items()}
    provable = {stem: stream for stem, stream in market.items() if is_provable(stem)}
    verified_ns = len(provable) * _DAY_NS
    unclean = (_broken(stem, stream, span, day, _proven(stem, stream)) for stem, stream in provable.items())
    broken_ns = sum(high - low for ranges in unclean for low, high in ranges)
    clean = 100 * (verified_ns - broken_ns) / verified_ns if verified_ns else None
    together = RangeSet(sorted(one for ranges in broken.values() for one in ranges))
    conditions = {stream.condition for stream in (market or streams).values()}
    condition = _condition(conditions, is_broken=bool(len(together)) or audits.failed > 0)
    return Certificate(
        symbol=symbol,
        day=day,
        condition=condition,
        why="; ".join(sorted(f"{stem}: {stream.why}" for stem, stream in streams.items() if stream.why)),
        verified_percent=round(100 * verified_ns / (len(market) * _DAY_NS), 4) if market else 0.0,
        clean_percent=None if clean is None else round(clean, 4),
        degraded=tuple(DegradedTime(low, high) for low, high in together),
        streams=dict(sorted(streams.items())),
        audits=audits,
        clock=clock,
        restarts=max((len(stream.facts.runs) for stream in market.values()), default=1) - 1,
        sealed_at=sealed_at,
        versions=dict(sorted(versions.items())),
    )


def certified_stream(  # noqa: PLR0913 (all that is known of a stream)
    stem: str,
    facts: StreamFacts,
    gaps: Iterable[GapRow],
    *,
    digest: str = "",
    sealed: Sequence[CertifiedFile] = (),
    sources: Sequence[CertifiedFile] = (),
    pending: str = "",
) -> CertifiedStream:
    """Return a stream of the certificate. `gaps` are those of its symbol; `pending` is why it is not sealed, if so."""
    own = [gap for gap in gaps if stem_of_gap(gap) == stem]
    lost = [gap for gap in own if gap.state != REPAIRED]
    condition = DEGRADED if lost or facts.holes or facts.duplicates else AVAILABLE
    if pending:
        condition = PENDING
    elif not facts.rows:
        condition = MISSING
    return CertifiedStream(
        condition=condition,
        why=pending,
        continuity="proven by ids" if is_provable(stem) else "not provable",
        facts=facts,
        gaps=tuple(_certified_gap(gap) for gap in sorted(own, key=lambda gap: (gap.from_ns, gap.gap_id))),
        digest=digest,
        sealed=tuple(sealed),
        sources=tuple(sources),
    )


def audit_counts(tables: Iterable[Any]) -> AuditCounts:
    """Count the outcomes in the rows of `audit` tables."""
    outcomes = [outcome for table in tables for outcome in flat(table["outcome"]).to_pylist()]
    return AuditCounts(passed=outcomes.count("passed"), failed=outcomes.count("failed"))


def certified_clock(tables: Iterable[Any]) -> CertifiedClock | None:
    """Return the clock of a day from the rows of `clock` tables; None where it was never measured."""
    rows = [row for table in tables for row in table.select(["offset_ms", "error_ms", "step_ms"]).to_pylist()]
    offsets = [row["offset_ms"] for row in rows if row["offset_ms"] is not None]
    if not offsets:
        return None
    return CertifiedClock(
        measurements=len(offsets),
        offset_ms=round(statistics.median(offsets), 3),
        least_ms=min(offsets),
        most_ms=max(offsets),
        error_ms=max(row["error_ms"] for row in rows if row["error_ms"] is not None),
        steps=sum(row["step_ms"] is not None for row in rows),
    )


def encoded(certificate: Certificate) -> bytes:
    """Return the certificate as indented JSON with a line break at its end."""
    return msgspec.json.format(msgspec.json.encode(certificate), indent=1) + b"\n"


def decoded(text: bytes) -> Certificate:
    """Return a certificate from its JSON; `msgspec.ValidationError` where it is none."""
    return msgspec.json.decode(text, type=Certificate)


def sealed_sources(certificate: Certificate) -> dict[str, int]:
    """Return the daily files of which the lake has all rows: the size that was sealed, by path in the data folder."""
    return {
        one.path: one.size_bytes
        for stream in certificate.streams.values()
        if stream.sealed
        for one in stream.sources
        if not one.removed
    }


def day_bounds_ns(day: str) -> tuple[int, int]:
    """Return beginning and end of a UTC day, `2026-11-22` or `20261122`, in ns since 1970."""
    start = day_start(day.replace("-", ""))
    return tuple(int(moment.timestamp()) * 10**9 for moment in (start, start + timedelta(days=1)))  # type: ignore[return-value]


def _certified_gap(gap: GapRow) -> CertifiedGap:
    return CertifiedGap(
        gap_id=gap.gap_id,
        state=gap.state,
        from_id=gap.from_id,
        to_id=gap.to_id,
        from_ns=gap.from_ns,
        to_ns=gap.to_ns,
        reason=gap.reason,
        fault=fault_of(gap.reason),
    )


def _span(streams: Iterable[CertifiedStream]) -> tuple[int, int] | None:
    """Return the first and the last receive stamp of any stream: the time in which the symbol was recorded."""
    facts = [stream.facts for stream in streams]
    firsts = [one.first_recv_ns for one in facts if one.first_recv_ns is not None]
    lasts = [one.last_recv_ns for one in facts if one.last_recv_ns is not None]
    return (min(firsts), max(lasts)) if firsts else None


def _proven(stem: str, stream: CertifiedStream) -> list[CertifiedGap]:
    """Return the gaps of what ids can prove: of klines those of closed bars, since open ones prove nothing."""
    found = stream_type_of(stem)
    is_kline = found is not None and found.continuity is Continuity.KLINES
    return [gap for gap in stream.gaps if gap.from_id is not None or not is_kline]


def _broken(
    stem: str, stream: CertifiedStream, span: tuple[int, int] | None, day: str, gaps: Iterable[CertifiedGap]
) -> RangeSet:
    """Return the parts of the day, in ns, in which something of a stream is missing or was not recorded.

    Streams that are pushed all the time are recorded from their own first row to their last one; a quiet one, while any
    stream of the symbol is.
    """
    start, end = day_bounds_ns(day)
    found_type = stream_type_of(stem)
    facts = stream.facts
    if found_type is not None and found_type.is_busy and facts.first_recv_ns is not None:
        assert facts.last_recv_ns is not None
        span = facts.first_recv_ns, facts.last_recv_ns
    if span is None or not facts.rows:
        return RangeSet([(start, end)])
    parts = []
    if span[0] - start > _EDGE_NS:
        parts.append((start, span[0]))
    if end - span[1] > _EDGE_NS:
        parts.append((span[1], end))
    parts += [(gap.from_ns, gap.to_ns or end) for gap in gaps if gap.state != REPAIRED]
    parts += [(hole.from_ns, hole.to_ns) for hole in facts.holes if 0 < hole.from_ns < hole.to_ns]
    return RangeSet(sorted(parts)).within(start, end)


def _condition(conditions: set[str], *, is_broken: bool) -> str:
    """Return the condition of a day from those of its streams."""
    if not conditions or conditions == {MISSING}:
        return MISSING
    if PENDING in conditions:
        return PENDING
    return DEGRADED if is_broken or conditions & {DEGRADED, MISSING} else AVAILABLE
