"""Checks `files`, `digest` and `certificate`: a day against what its certificate says of it."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from binance_streamer.days.certificate import (
    AuditCounts,
    Certificate,
    CertifiedClock,
    CertifiedStream,
    certified_clock,
    certified_stream,
    certify,
    day_bounds_ns,
    decoded,
)
from binance_streamer.days.checks.facts import StreamFacts
from binance_streamer.days.checks.finding import Finding
from binance_streamer.days.checks.ids import id_columns
from binance_streamer.days.checks.order import integers
from binance_streamer.days.day_files import DayFiles, StreamFiles
from binance_streamer.days.parquet import metadata_of
from binance_streamer.days.rows import NotSealable
from binance_streamer.days.sources import EXCHANGE, certificate_path
from binance_streamer.health.gap_files import dashed_day
from binance_streamer.health.gaps import GapRow
from binance_streamer.stores.opening import store_of

_BLOCK_BYTES = 1 << 20
_MOST = 5
"""Blocks that differ and are named: a row that is missing makes all behind it differ."""
_NOT_COMPARED = frozenset({"streams", "sealed_at", "versions"})
"""Of the certificate: streams are compared one by one, and when and by what it was made no file says."""


class CountedDay(NamedTuple):
    """A day as it was counted again. `clock` is that of the certificate where no clock was recorded in this place."""

    symbol: str
    day: str
    facts: Mapping[str, StreamFacts]
    gaps: Sequence[GapRow]
    audits: AuditCounts
    clock: CertifiedClock | None


class FileComparison(NamedTuple):
    """Files compared with a certificate. `grown` are streams to which rows have come since: they await a new seal."""

    findings: list[Finding]
    files: int
    grown: dict[str, Path]


def compare_files(files: DayFiles, certificate: Certificate) -> FileComparison:
    """Compare the files that are there with those of the certificate, byte for byte by SHA-256; count them.

    One that is longer than it was must begin with what was sealed of it. One that the certificate does not know, or
    calls removed, has come since.
    """
    found = FileComparison([], 0, {})
    count = 0
    for stem in sorted(certificate.streams.keys() | files.streams.keys()):
        stream = certificate.streams.get(stem)
        listed = () if stream is None else stream.sealed if files.is_lake else stream.sources
        known = {files.root / file.path: file for file in listed if not file.removed}
        for path, file in known.items():
            if not path.is_file():
                found.findings.append(_finding("files", stem, path, "is in the certificate, and is not there"))
                continue
            count += 1
            if path.stat().st_size < file.size_bytes:
                found.findings.append(_finding("files", stem, path, "is shorter than the certificate says"))
            elif sha256_of(path, file.size_bytes) != file.sha256:
                found.findings.append(_finding("files", stem, path, "SHA-256 is not that of the certificate"))
            elif path.stat().st_size > file.size_bytes:
                found.grown[stem] = path
        for path in files.streams[stem].paths if stem in files.streams else ():
            if path not in known and files.is_lake:
                found.findings.append(_finding("files", stem, path, "is not in the certificate"))
            elif path not in known:
                found.grown[stem] = path
    return found._replace(files=count)


def compare_stream(
    stream: StreamFiles, facts: StreamFacts, *, digest: str, listed: CertifiedStream | None
) -> list[Finding]:
    """Compare digest and facts of a stream's rows with those in the certificate; name the rows that may differ."""
    stem, path = stream.stem, stream.paths[0]
    if listed is None:
        return [_finding("certificate", stem, path, "the certificate does not have this stream")]
    if listed.why:  # its rows are not sealed, or not all of them
        return []
    found = []
    if digest != listed.digest:
        ranges = facts.blocks.differing(listed.facts.blocks)
        found = [_changed(stream, first, min(end, facts.rows)) for first, end in ranges if first < facts.rows][:_MOST]
        if not found:
            text = f"the rows have the digest {digest[:16]}…, the certificate has {listed.digest[:16]}…"
            found.append(_finding("digest", stem, path, text))
    elif facts.blocks != listed.facts.blocks:
        found.append(_finding("certificate", stem, path, "blocks: their digests are not those of the rows"))
    for name in (one for one in StreamFacts.__struct_fields__ if one != "blocks"):
        here, there = getattr(facts, name), getattr(listed.facts, name)
        if here != there:
            found.append(
                _finding("certificate", stem, path, f"{name}: {here!s:.80}, the certificate has {there!s:.80}")
            )
    return found


def sha256_of(path: Path, size_bytes: int | None = None) -> str:
    """Return the SHA-256 of a file, or of its first bytes, in hexadecimal digits."""
    found = hashlib.sha256()
    left = path.stat().st_size if size_bytes is None else size_bytes
    with path.open("rb") as file:
        while left > 0 and (block := file.read(min(left, _BLOCK_BYTES))):
            found.update(block)
            left -= len(block)
    return found.hexdigest()


def compare_day(certificate: Certificate, counted: CountedDay) -> list[Finding]:
    """Make the certificate again, of what was just counted, and compare what it says of the day and of each stream.

    Gaps that began before the day are taken from the certificate: the files of the day before may be gone.
    """
    start_ns, _ = day_bounds_ns(counted.day)
    streams = {}
    for stem, listed in certificate.streams.items():
        own = certified_stream(stem, counted.facts[stem], counted.gaps, pending=listed.why)
        earlier = [gap for gap in listed.gaps if gap.from_ns < start_ns]
        now = [gap for gap in own.gaps if gap.from_ns >= start_ns]
        streams[stem] = msgspec.structs.replace(
            own, gaps=(*earlier, *now), condition=listed.condition if earlier else own.condition
        )
    made = certify(
        counted.symbol,
        dashed_day(counted.day),
        streams,
        audits=counted.audits,
        clock=counted.clock,
        sealed_at=certificate.sealed_at,
        versions=certificate.versions,
    )
    found = []
    for stem, stream in streams.items():
        listed = certificate.streams[stem]
        pairs = [(name, getattr(stream, name), getattr(listed, name)) for name in ("condition", "continuity", "gaps")]
        found += [("certificate", stem, *pair) for pair in pairs if pair[1] != pair[2]]
    names = [name for name in Certificate.__struct_fields__ if name not in _NOT_COMPARED]
    pairs = [(name, getattr(made, name), getattr(certificate, name)) for name in names]
    found += [("certificate", "", *pair) for pair in pairs if pair[1] != pair[2]]
    return [
        Finding(check, stem, "", None, None, f"{name} is {here!s:.80}, the certificate has {there!s:.80}")
        for check, stem, name, here, there in found
    ]


def clock_of(files: DayFiles, certificate: Certificate) -> CertifiedClock | None:
    """Return the clock of a day by the rows in its place; that of the certificate where there are none to be read."""
    clock = files.other("clock", symbol=EXCHANGE, day=files.day)
    if clock is None:
        return certificate.clock
    try:
        return certified_clock(clock.unordered())
    except NotSealable:  # verifying the day of the exchange itself says so
        return certificate.clock


def compare_own_digest(stream: StreamFiles, digest: str) -> list[Finding]:
    """Compare the digest of a sealed file's rows with the one in its metadata; daily files have none."""
    path = stream.paths[0]
    stored = metadata_of(path).get("digest", digest) if stream.is_sealed and len(stream.paths) == 1 else digest
    text = f"the rows have the digest {digest[:16]}…, the file's metadata {stored[:16]}…"
    return [] if stored == digest else [_finding("digest", stream.stem, path, text)]


def _changed(stream: StreamFiles, first: int, end: int) -> Finding:
    """Return the finding for a block of rows, from the place `first` to the one before `end`, that differs."""
    columns = id_columns(stream.stem)
    name = columns.last if columns else "recv_ns"
    ends = []
    place = 0
    for table in stream.tables():
        for wanted in (first, end - 1):
            if place <= wanted < place + len(table):
                ends.append((integers(table[name])[wanted - place].as_py(), table["recv_ns"][wanted - place].as_py()))
        place += len(table)
    (low, recv_ns), (high, _) = ends[0], ends[-1]
    text = f"of the {end - first} rows with {name} {low} to {high} at least one is not the one that was sealed"
    return Finding("digest", stream.stem, stream.file, low if columns else None, recv_ns, text)


def _finding(check: str, stem: str, path: Path, text: str) -> Finding:
    return Finding(check, stem, str(path), None, None, text)


def certificate_of(files: DayFiles, places: Sequence[str | Path]) -> Certificate | None:
    """Return the certificate of a day, from its own folder or from one of these places; None where there is none.

    Raises `msgspec.MsgspecError` where it is there, and is no certificate; `OSError` where a bucket does not answer.
    """
    for place in (files.root, *places):
        try:
            return decoded(store_of(str(place)).read_bytes(certificate_path(files.symbol, files.day)))
        except FileNotFoundError:
            continue
    return None
