"""The days of a recording: how each one of each symbol is, its certificate, and its gaps. Without the extra `days`.

Sealed days are told by their certificates (docs/files.md), of which only the few keys are decoded that are needed. A
day with daily files and no certificate is `open`: it is being recorded, or waits to be sealed.
"""

import time
from collections.abc import Collection, Iterator
from typing import Annotated
from urllib.parse import urlencode

import msgspec

from binance_streamer.days.reading.location import Location
from binance_streamer.days.sources import EXCHANGE, sources
from binance_streamer.exchange.stream_types import STREAM_TYPES
from binance_streamer.health.gap_files import day_start, day_text, gaps_of_day, shifted_day
from binance_streamer.health.gaps import FoldedGap, GapRow, folded, stem_of_gap
from binance_streamer.wire.gap_reasons import fault_of
from services.monitor.reader.answers import ApiAnswer, RefusedError, as_json, asked
from services.monitor.reader.certificates import Certificates

OPEN = "open"
_DEFAULT_DAYS = 60
MOST_DAYS = 400
MOST_GAPS = 5000


class _DaysQuestion(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    start: str = msgspec.field(default="", name="from")
    to: str = ""


class _CertificateQuestion(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    symbol: str
    day: str


class _GapsQuestion(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    day: str
    symbol: str = ""
    skip: Annotated[int, msgspec.Meta(ge=0)] = 0


class SymbolDays(msgspec.Struct, frozen=True):
    """A symbol with a condition for each day, empty where nothing is recorded, and the share that is clean."""

    symbol: str
    condition: list[str]
    clean_percent: list[float | None]


class DaysAnswer(msgspec.Struct, frozen=True):
    """Days in order, as 20261122, and the symbols of which anything is recorded on them."""

    days: list[str]
    symbols: list[SymbolDays]


class GapText(msgspec.Struct, frozen=True, kw_only=True):
    """A gap in its newest state, with the columns of `days.gaps` (docs/reading.md)."""

    symbol: str
    stem: str
    gap_id: str
    state: str
    reason: str
    fault: str
    from_ns: int
    to_ns: int | None
    from_id: int | None
    to_id: int | None
    missing: int | None


class GapsAnswer(msgspec.Struct, frozen=True):
    """Gaps of a day by their beginnings, from the one that was asked for on, and how many there are in all."""

    day: str
    total: int
    gaps: list[GapText]


class _Summary(msgspec.Struct, frozen=True):
    condition: str
    clean_percent: float | None


class _CertifiedGaps(msgspec.Struct, frozen=True):
    gaps: list[dict[str, msgspec.Raw]] = []


class _GapsOfCertificate(msgspec.Struct, frozen=True):
    streams: dict[str, _CertifiedGaps]


def days(query: str, location: Location) -> ApiAnswer:
    """Return the condition of each symbol and day between two days, both included; the last 60 where none is named."""
    wanted = asked(_DaysQuestion, query)
    last = _day(wanted.to) if wanted.to else day_text(time.time())
    first = _day(wanted.start) if wanted.start else shifted_day(last, 1 - _DEFAULT_DAYS)
    count = (day_start(last) - day_start(first)).days + 1
    if not 0 < count <= MOST_DAYS:
        raise RefusedError(400, f"expected 1 to {MOST_DAYS} days, got {count} from {first} to {last}")
    places = {shifted_day(first, number): number for number in range(count)}
    found: dict[str, SymbolDays] = {}
    for symbol, day, summary in _recorded(location, places):
        one = found.setdefault(symbol, SymbolDays(symbol, [""] * count, [None] * count))
        one.condition[places[day]] = summary.condition
        one.clean_percent[places[day]] = summary.clean_percent
    return as_json(DaysAnswer(list(places), [found[symbol] for symbol in sorted(found)]))


def certificate(query: str, location: Location) -> ApiAnswer:
    """Return the certificate of a symbol and day as it was written."""
    wanted = asked(_CertificateQuestion, query)
    day = _day(wanted.day)
    certificates = Certificates(location.lake)
    content = certificates.text(wanted.symbol, day)
    if content is None:
        known = sorted(found for symbol, found in certificates.days() if symbol == wanted.symbol)
        raise RefusedError(404, f"{wanted.symbol} has no certificate of {day}: a day has one once it is sealed", known)
    return ApiAnswer(lambda sink: sink.write(content))


def gaps(query: str, location: Location) -> ApiAnswer:
    """Return the gaps that began on a day, of one symbol or of all, at most `MOST_GAPS` and the URL of the next."""
    wanted = asked(_GapsQuestion, query)
    day = _day(wanted.day)
    certificates = Certificates(location.lake)
    symbols = sorted({symbol for symbol, _ in (*_with_files(location, {day}), *_with_certificate(certificates, {day}))})
    if wanted.symbol and wanted.symbol not in symbols:
        raise RefusedError(404, f"nothing of {wanted.symbol} is recorded on {day}", symbols)
    rows = _gap_rows(location, certificates, [wanted.symbol] if wanted.symbol else symbols, day)
    ordered = sorted(folded(rows), key=lambda gap: (gap.newest.from_ns, gap.newest.symbol, gap.newest.gap_id))
    end = wanted.skip + MOST_GAPS
    answer = as_json(GapsAnswer(day, len(ordered), [_text(gap) for gap in ordered[wanted.skip : end]]))
    following = (
        f"/api/gaps?{urlencode({'day': day, 'symbol': wanted.symbol, 'skip': end})}" if end < len(ordered) else ""
    )
    return answer._replace(next=following)


def _day(text: str) -> str:
    """Return a day as 20261122, whether it came so or as 2026-11-22."""
    day = text.replace("-", "")
    try:
        if len(day) == len("20261122"):
            day_start(day)
            return day
    except ValueError:
        pass
    raise RefusedError(400, f"expected a day such as 20261122, got {text!r}")


def _recorded(location: Location, wanted: Collection[str]) -> Iterator[tuple[str, str, _Summary]]:
    """Yield symbol, day and summary of what is recorded on some days: open ones first, so that certificates count."""
    is_open = _Summary(OPEN, None)
    for symbol, day in _with_files(location, wanted):
        yield symbol, day, is_open
    certificates = Certificates(location.lake)
    for symbol, day in _with_certificate(certificates, wanted):
        content = certificates.text(symbol, day)
        if content is not None:
            yield symbol, day, _summary(content)


def _with_files(location: Location, wanted: Collection[str]) -> Iterator[tuple[str, str]]:
    """Yield symbol and day of the daily files of some days."""
    for source in sources(location.data) if location.data else ():
        if source.day in wanted and source.symbol != EXCHANGE:
            yield source.symbol, source.day


def _with_certificate(certificates: Certificates, wanted: Collection[str]) -> Iterator[tuple[str, str]]:
    """Yield symbol and day of the certificates of some days, which are not read."""
    for symbol, day in certificates.days():
        if day in wanted and symbol != EXCHANGE:
            yield symbol, day


def _summary(content: bytes) -> _Summary:
    try:
        return msgspec.json.decode(content, type=_Summary)
    except msgspec.DecodeError:
        return _Summary("unreadable", None)


def _gap_rows(location: Location, certificates: Certificates, symbols: list[str], day: str) -> Iterator[GapRow]:
    """Yield gaps of certificates, and behind them the rows of gap files, which are newer where there are both."""
    for symbol in symbols:
        content = certificates.text(symbol, day)
        if content is not None:
            yield from _certified_rows(symbol, content)
    if location.data:
        yield from gaps_of_day(location.data, symbols, day).rows


def _certified_rows(symbol: str, content: bytes) -> Iterator[GapRow]:
    try:
        streams = msgspec.json.decode(content, type=_GapsOfCertificate).streams
    except msgspec.DecodeError:
        return
    for stem, stream in streams.items():
        for gap in stream.gaps:
            values = {key: msgspec.json.decode(value) for key, value in gap.items() if key != "fault"}
            yield GapRow(symbol=symbol, stream=_stream_name(symbol, stem), **values)


def _stream_name(symbol: str, stem: str) -> str:
    """Return a stream's name at the exchange where its stem is enough to know it: ids are counted by the name."""
    found = STREAM_TYPES.get(stem)
    name = f"{symbol.lower()}@{found.spelling if found else stem}"
    return name if stem_of_gap(GapRow(gap_id="", symbol=symbol, stream=name, state="", from_ns=0)) == stem else stem


def _text(gap: FoldedGap) -> GapText:
    newest = gap.newest
    return GapText(
        symbol=newest.symbol,
        stem=stem_of_gap(newest),
        gap_id=newest.gap_id,
        state=newest.state,
        reason=newest.reason,
        fault=fault_of(newest.reason),
        from_ns=newest.from_ns,
        to_ns=newest.to_ns,
        from_id=newest.from_id,
        to_id=newest.to_id,
        missing=gap.missing_messages,
    )
