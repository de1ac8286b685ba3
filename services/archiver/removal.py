"""Takes away a daily file that has been sealed, without ever taking a row that has not.

The writer may at any moment open the file again for a late row. So the file first gets a name that the writer does not
use; from then on a late row begins a new file. Then a lease of the kernel (`F_SETLEASE`) proves that nobody has it
open, and its size that it is what was sealed. Only then is it deleted; otherwise it gets its name back.
"""

import contextlib
import fcntl
import os
from pathlib import Path

import msgspec

from binance_streamer.days import certificate as certificates
from binance_streamer.days.certificate import Certificate, CertifiedFile
from binance_streamer.days.lake import Lake
from binance_streamer.days.sources import REMOVING
from services.archiver.due import certificate_of


def remove_sealed(data: Path, lake: Lake, symbol: str, day: str) -> int:
    """Remove the daily files of a day whose rows lie in the lake, and return how many; others stay for the next time.

    The certificate says `removed` before a file is gone. A kill between the two leaves a file that it does not list:
    the day is sealed again with what the lake has, to the same rows, and the file is removed then.
    """
    certificate = certificate_of(lake, symbol, day)
    chosen = removable(certificate) if certificate is not None else []
    if certificate is None or not chosen:
        return 0
    _put(lake, symbol, day, _marked(certificate, {one.path for one in chosen}))
    stayed = {one.path for one in chosen if not try_remove(data / one.path, one.size_bytes)}
    if stayed:
        _put(lake, symbol, day, _marked(certificate, {one.path for one in chosen} - stayed))
    return len(chosen) - len(stayed)


def removable(certificate: Certificate) -> list[CertifiedFile]:
    """Return the daily files whose rows lie in the lake: of streams that were sealed, not of pending ones."""
    return [
        one
        for stream in certificate.streams.values()
        if stream.condition != certificates.PENDING and stream.sealed
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
