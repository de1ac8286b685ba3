"""Seals one symbol's day: each stream that changed, then the certificate.

In: a `RecordedDay`. Out: files in the lake, and a certificate that lists what they were made of. The certificate comes
last: until it is there the day is due, and whoever seals it again comes to the same files.
"""

import contextlib
import hashlib
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import deltalake
import msgspec
import pyarrow as pa
from deltalake.exceptions import DeltaError

from binance_streamer import __version__
from binance_streamer.days import certificate as certificates
from binance_streamer.days import rows
from binance_streamer.days.certificate import Certificate, CertifiedFile, CertifiedStream
from binance_streamer.days.checks.facts import StreamFacts, StreamPass
from binance_streamer.days.checks.gaps import newest_gaps
from binance_streamer.days.checks.ids import missing_ids
from binance_streamer.days.checks.ranges import RangeSet
from binance_streamer.days.day_files import ids_of_raw_rows
from binance_streamer.days.lake import Lake
from binance_streamer.days.parquet import Place, metadata_of
from binance_streamer.days.rows import NotSealable
from binance_streamer.days.seal import Part, ReadBackError, SealedFile, WrittenFile, publish, write
from binance_streamer.days.sources import EXCHANGE, sources_of
from binance_streamer.health.gap_files import dashed_day, shifted_day
from binance_streamer.health.gaps import GapRow, stem_of_gap
from services.archiver.due import RecordedDay, SizedSource, certificate_of, named

_HASHED_BYTES = 4 * 2**20
_SEEN_BY_ALL = frozenset({"gap", "raw"})
"""Streams that say of all others which of their ids are missing."""
LAKE_FAULTS = (OSError, ReadBackError, DeltaError, pa.ArrowException)
"""Raised where the disk refuses, or a file or a log of the lake is damaged: the day stays due, others go on."""


class Progress(NamedTuple):
    """Called while a day is sealed: `begun` with each stream, `advanced` every some MiB, which may raise to give up.

    `done` takes the bytes of a stream's daily files when it is sealed.
    """

    begun: Callable[[str], None]
    advanced: Callable[[], None]
    done: Callable[[int], None]


class _DailyFile(NamedTuple):
    """A daily file for the certificate. `is_continued`: it begins with what was sealed of a file of this name."""

    file: CertifiedFile
    is_continued: bool


class _Beside(NamedTuple):
    """Facts of other files about a stream: its gaps, and the ids of its messages that became raw rows."""

    gaps: list[GapRow]
    raw: RangeSet


class DaySealer:
    """Seals the days of a data folder into a lake, one at a time."""

    def __init__(self, data: Path, lake: Lake) -> None:
        self._data = data
        self._lake = lake

    def seal(self, due: RecordedDay, progress: Progress, *, now: datetime) -> Certificate:
        """Seal what has changed of a day, and write its certificate; return that.

        A stream that cannot be sealed stays in its daily files, and the certificate says why. Raises `OSError` and
        `ReadBackError`, which are of the disk, and what `progress` raises.
        """
        before = certificate_of(self._lake, due.symbol, due.day)
        streams: dict[str, CertifiedStream] = dict(before.streams) if before else {}
        gaps: list[GapRow] = []
        raw: dict[str, RangeSet] = {}
        is_first = True
        for stem, files in _by_stem(due.files).items():
            old = before.streams.get(stem) if before else None
            if is_first and stem not in _SEEN_BY_ALL:
                gaps, raw, is_first = self._gaps(due.symbol, due.day), self._raw_ids(due.symbol, due.day), False
            beside = _Beside([gap for gap in gaps if stem_of_gap(gap) == stem], raw.get(stem, RangeSet()))
            progress.begun(stem)
            streams[stem] = self._stream(Place(stem, due.symbol, due.day), files, beside, old=old, progress=progress)
            progress.done(sum(one.size for one in files))
        certificate = self._certificate(due, streams, now=now)
        self._lake.put_certificate(due.symbol, due.day, certificates.encoded(certificate))
        return certificate

    def _stream(
        self,
        place: Place,
        files: list[SizedSource],
        beside: _Beside,
        *,
        old: CertifiedStream | None,
        progress: Progress,
    ) -> CertifiedStream:
        """Return a stream of the certificate, sealed anew where one of its files has changed."""
        known = {one.path: one for one in old.sources if not one.removed} if old else {}
        found_files = [self._listed(one, known, progress) for one in files]
        listed = [one.file for one in found_files]
        gone = _gone(old, {one.file.path for one in found_files if one.is_continued})
        if old is not None and not old.why and listed == [one for one in old.sources if not one.removed]:
            return certificates.certified_stream(
                place.stem,
                msgspec.structs.replace(old.facts, holes=tuple(missing_ids(old.facts.holes, beside.raw))),
                beside.gaps,
                digest=old.digest,
                sealed=old.sealed,
                sources=(*gone, *listed),
            )
        try:
            _refuse_late(old, files)
            found, facts = self._sealed(
                place, files, beside, is_known=old is not None, has_more=bool(gone), progress=progress
            )
        except NotSealable as fault:
            why = str(fault).replace(f"{self._data}/", "")
            known_facts = old.facts if old else StreamFacts()
            sealed, digest = (old.sealed, old.digest) if old else ((), "")
            return certificates.certified_stream(
                place.stem,
                known_facts,
                beside.gaps,
                digest=digest,
                sealed=sealed,
                sources=(*gone, *listed),
                pending=why,
            )
        sealed_file = CertifiedFile(path=found.path, size_bytes=found.size, sha256=found.sha256)
        return certificates.certified_stream(
            place.stem, facts, beside.gaps, digest=found.facts.digest, sealed=[sealed_file], sources=(*gone, *listed)
        )

    def _sealed(  # noqa: PLR0913 (all that a seal hangs on)
        self,
        place: Place,
        files: list[SizedSource],
        beside: _Beside,
        *,
        is_known: bool,
        has_more: bool,
        progress: Progress,
    ) -> tuple[SealedFile, StreamFacts]:
        """Seal the files, together with what the lake has where some rows are only there (`has_more`).

        Without a certificate (not `is_known`) nobody can tell what the lake's file was made of. Where its rows are not
        those of the files, it stays in, so that no row is lost whose daily file was removed.
        """
        for one in files:
            if one.source.is_set_aside:
                raise NotSealable(one.source.path, 1, "", "has other columns than this version records")
        here = [Part(one.source.path, one.size) for one in files]
        before = [Part(self._lake.local(path), 0) for path in self._lake.files(place)]
        written, watched = self._written(before + here if has_more else here, place, beside.gaps, progress=progress)
        if before and not is_known and metadata_of(before[0].path).get("digest") != written.facts.digest:
            written, watched = self._written(before + here, place, beside.gaps, progress=progress)
        return publish(written, place, self._lake, progressed=progress.advanced), watched.facts(beside.raw)

    def _written(
        self, parts: list[Part], place: Place, gaps: list[GapRow], *, progress: Progress
    ) -> tuple[WrittenFile, StreamPass]:
        watched = StreamPass(place.stem, place.stem, gaps)
        return write(parts, place, self._lake, watchers=[watched], progressed=progress.advanced), watched

    def _listed(self, one: SizedSource, known: Mapping[str, CertifiedFile], progress: Progress) -> "_DailyFile":
        """Return a daily file as the certificate lists it; of one that has not grown the hash is known."""
        name = named(one.source.path, self._data)
        old = known.get(name)
        if old is not None and old.size_bytes == one.size:
            return _DailyFile(old, is_continued=True)
        sizes = [old.size_bytes, one.size] if old is not None else [one.size]
        hashes = _sha256(one.source.path, sizes, progress.advanced)
        is_continued = old is not None and hashes[0] == old.sha256
        return _DailyFile(CertifiedFile(path=name, size_bytes=one.size, sha256=hashes[-1]), is_continued=is_continued)

    def _certificate(self, due: RecordedDay, streams: Mapping[str, CertifiedStream], *, now: datetime) -> Certificate:
        return certificates.certify(
            due.symbol,
            dashed_day(due.day),
            streams,
            audits=certificates.audit_counts(self._rows("audit", due.symbol, due.day)),
            clock=certificates.certified_clock(self._rows("clock", EXCHANGE, due.day)),
            sealed_at=now.isoformat(timespec="seconds"),
            versions={
                "binance-streamer": __version__,
                "deltalake": deltalake.__version__,
                "pyarrow": pa.__version__,
                "python": platform.python_version(),
            },
        )

    def _gaps(self, symbol: str, day: str) -> list[GapRow]:
        """Return the gaps of a day and of the one before, which may reach into it."""
        tables: list[Any] = []
        for one in (shifted_day(day, -1), day):
            tables += self._rows("gap", symbol, one)
        return newest_gaps(symbol, tables)

    def _raw_ids(self, symbol: str, day: str) -> dict[str, RangeSet]:
        return ids_of_raw_rows(row for table in self._rows("raw", symbol, day) for row in table.to_pylist())

    def _rows(self, stem: str, symbol: str, day: str) -> Iterator[Any]:
        """Yield the rows of a small stream: sealed ones, and those of daily files that are not sealed yet.

        A daily file that cannot be read as rows is passed over here: its own stream says so.
        """
        sealed = self._lake.read(stem, symbol, day)
        if sealed is not None:
            yield from sealed
            return
        for one in sources_of(self._data, symbol, day):
            if one.stem == stem and not one.is_set_aside:
                with contextlib.suppress(NotSealable):
                    yield from rows.batches(one.path, stem)


def digest_of_day(certificate: Certificate) -> str:
    """Return one digest of all streams of a day: SHA-256 over a line `<stem> <digest>` for each, sorted by stem."""
    lines = [f"{stem} {stream.digest}\n" for stem, stream in sorted(certificate.streams.items())]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _by_stem(files: tuple[SizedSource, ...]) -> dict[str, list[SizedSource]]:
    """Return the files of each stream; first those that all other streams are seen together with."""
    found: dict[str, list[SizedSource]] = {}
    for one in sorted(files, key=lambda one: (one.source.stem not in _SEEN_BY_ALL, one.source.stem, one.source.path)):
        found.setdefault(one.source.stem, []).append(one)
    return found


def _refuse_late(old: CertifiedStream | None, files: list[SizedSource]) -> None:
    """Raise `NotSealable` where retention has removed the stream's day: its certificate stays that of the whole day."""
    if old is not None and old.sealed and all(one.removed for one in old.sealed):
        raise NotSealable(files[0].source.path, 0, "", "came after retention had removed its day; move or delete it")


def _gone(old: CertifiedStream | None, continued: set[str]) -> list[CertifiedFile]:
    """Return the files that were sealed and are there no more: removed by us or by others, or begun anew."""
    gone = [one for one in old.sources if one.removed or one.path not in continued] if old else []
    return [CertifiedFile(path=one.path, size_bytes=one.size_bytes, sha256=one.sha256, removed=True) for one in gone]


def _sha256(path: Path, sizes: Sequence[int], advanced: Callable[[], None] = lambda: None) -> list[str]:
    """Return the SHA-256 of the first bytes of a file, for each of these sizes, in one pass; a short file has less."""
    digest, done = hashlib.sha256(), 0
    found: dict[int, str] = {}
    with path.open("rb") as file:
        for size in sorted(sizes):
            while done < size and (piece := file.read(min(size - done, _HASHED_BYTES))):
                digest.update(piece)
                done += len(piece)
                advanced()
            found[size] = digest.hexdigest() if done == size else ""
    return [found[size] for size in sizes]
