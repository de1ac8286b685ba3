"""Takes away daily files that have been sealed, and sealed ones that are too old, without ever taking another row.

A daily file goes only after the sealed file in the lake was read again, and has the checksum of the certificate. The
writer may at any moment open the file again for a late row. So the file first gets a name that the writer does not use;
from then on a late row begins a new file. Then a lease of the kernel (`F_SETLEASE`) proves that nobody has it open, and
its size that it is what was sealed. Only then is it deleted; otherwise it gets its name back.

A sealed file is the last copy of its rows. It goes in this order: a mark in the lake names the day, the certificate
says `removed`, one commit of the log takes the partition out, the file is deleted, the mark is taken away. After a kill
the next start finds the mark, and does all of it again. The certificate stays.
"""

import contextlib
import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import msgspec

from binance_streamer.days import certificate as certificates
from binance_streamer.days.certificate import Certificate, CertifiedFile
from binance_streamer.days.lake import Lake
from binance_streamer.days.parquet import Place
from binance_streamer.days.sources import REMOVING, sources_of
from services.archiver.due import certificate_of


class NotProvenError(Exception):
    """A sealed file is not what its certificate says; the daily files, which have its rows, have to stay."""


def remove_sealed(
    data: Path, lake: Lake, symbol: str, day: str, *, progressed: Callable[[], None] = lambda: None
) -> int:
    """Remove the daily files of a day whose rows lie in the lake, and return how many; others stay for the next time.

    Raises `NotProvenError` where the lake does not have what the certificate says, and what `progressed` raises. The
    certificate says `removed` before a file is gone. A kill between the two leaves a file that it does not list: the
    day is sealed again with what the lake has, to the same rows, and the file is removed then.
    """
    certificate = certificate_of(lake, symbol, day)
    chosen = removable(certificate) if certificate is not None else []
    if certificate is None or not chosen:
        return 0
    _prove(lake, certificate, symbol, day, progressed)
    _put(lake, symbol, day, _marked(certificate, {one.path for one in chosen}))
    stayed = {one.path for one in chosen if not try_remove(data / one.path, one.size_bytes)}
    if stayed:
        _put(lake, symbol, day, _marked(certificate, {one.path for one in chosen} - stayed))
    return len(chosen) - len(stayed)


def remove_from_lake(data: Path, lake: Lake, symbol: str, day: str) -> int:
    """Remove the sealed files of a day, and return how many; none where a daily file of it is there, or is pending."""
    certificate = certificate_of(lake, symbol, day)
    if certificate is None or certificate.condition == certificates.PENDING or sources_of(data, symbol, day):
        return 0
    lake.mark_removing(symbol, day)
    return _remove_marked(lake, certificate, symbol, day)


def finish_removal(lake: Lake) -> None:
    """Finish what a kill interrupted: the day that `Lake.removing` names leaves the lake."""
    marked = lake.removing()
    certificate = certificate_of(lake, *marked) if marked is not None else None
    if marked is not None and certificate is not None:
        _remove_marked(lake, certificate, *marked)
    lake.unmark_removing()


def _remove_marked(lake: Lake, certificate: Certificate, symbol: str, day: str) -> int:
    replace = msgspec.structs.replace
    streams = {
        stem: replace(stream, sealed=tuple(replace(one, removed=True) for one in stream.sealed))
        for stem, stream in certificate.streams.items()
    }
    _put(lake, symbol, day, replace(certificate, streams=streams))
    for stem, stream in streams.items():
        lake.remove(Place(stem, symbol, day), [one.path for one in stream.sealed])
    lake.unmark_removing()
    return sum(len(stream.sealed) for stream in streams.values())


def _prove(lake: Lake, certificate: Certificate, symbol: str, day: str, progressed: Callable[[], None]) -> None:
    """Read the sealed files of a day, and raise `NotProvenError` where one is not what the certificate says."""
    for stem, stream in certificate.streams.items():
        if stream.condition == certificates.PENDING:
            continue
        listed = lake.files(Place(stem, symbol, day))
        if listed != [one.path for one in stream.sealed if not one.removed]:
            raise NotProvenError(f"{symbol} {day} {stem}: the log of the lake does not list the sealed file")
        for one in stream.sealed:
            if lake.sha256(one.path, progressed) != one.sha256:
                raise NotProvenError(f"{one.path}: its SHA-256 is not that of the certificate; its daily file stays")


def removable(certificate: Certificate) -> list[CertifiedFile]:
    """Return the daily files whose rows lie in the lake: of streams that were sealed, not of pending ones."""
    return [
        one
        for stream in certificate.streams.values()
        if stream.condition != certificates.PENDING and any(not one.removed for one in stream.sealed)
        for one in stream.sources
        if not one.removed
    ]


def _marked(certificate: Certificate, removed: set[str]) -> Certificate:
    """Return the certificate with these daily files as removed ones."""
    replace = msgspec.structs.replace
    streams = {
        stem: replace(
            stream,
            sources=tuple(replace(one, removed=one.removed or one.path in removed) for one in stream.sources),
        )
        for stem, stream in certificate.streams.items()
    }
    return replace(certificate, streams=streams)


def _put(lake: Lake, symbol: str, day: str, certificate: Certificate) -> None:
    lake.put_certificate(symbol, day, certificates.encoded(certificate))


def try_remove(path: Path, size: int) -> bool:
    """Remove a file of which `size` bytes have been sealed; return False where it has to stay for now.

    Where the writer has begun a new file of that name in this very moment, the old one keeps its new name, by which
    `sources` finds it: the day is sealed again with both.
    """
    hidden = path if path.name.startswith(REMOVING) else path.with_name(REMOVING + path.name)
    try:
        if hidden != path:
            path.rename(hidden)
        if _is_unused(hidden, size):
            hidden.unlink()
            return True
    except FileNotFoundError:  # somebody else moved it
        return False
    if hidden != path:
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(hidden)
            hidden.unlink()
    return False


def _is_unused(path: Path, size: int) -> bool:
    """Return True if nobody has the file open, and nobody has added to it."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        is_whole = os.fstat(descriptor).st_size == size
        return is_whole and fcntl.fcntl(descriptor, fcntl.F_GETLEASE) == fcntl.F_WRLCK
    except OSError:  # EAGAIN: somebody has it open; EINVAL: a file system without leases
        return False
    finally:
        os.close(descriptor)
