"""Says which days are to be sealed, from the data folder and the certificates alone: there is no other state.

A symbol's day is due when it is over, its grace has passed, its files are quiet, and one of them differs in size from
what the certificate of the day says of it, or there is none. So a late row makes its day due again, and whatever moment
the archiver was killed in, it goes on where it was.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from binance_streamer import __version__
from binance_streamer.days import certificate as certificates
from binance_streamer.days.certificate import Certificate
from binance_streamer.days.lake import Lake
from binance_streamer.days.sources import Source, sources

_DAY_NS = 86_400 * 10**9


class SizedSource(NamedTuple):
    """A daily file and its size in bytes when it was looked at: so many of them are sealed."""

    source: Source
    size: int


class RecordedDay(NamedTuple):
    """A symbol's day that is over, with all of its daily files."""

    symbol: str
    day: str
    files: tuple[SizedSource, ...]

    @property
    def size(self) -> int:
        """The bytes of its daily files."""
        return sum(one.size for one in self.files)


class Days(NamedTuple):
    """Days that are over: those that are to be sealed, and those that are sealed and still have daily files."""

    due: list[RecordedDay]
    settled: list[RecordedDay]


class Times(NamedTuple):
    """The time of a look, and the times to wait for; all in ns."""

    now_ns: int
    grace_ns: int
    """From the end of the day on."""
    quiet_ns: int
    """Since a file last grew: what the writer has not yet made durable it would cut away after a crash."""


def days_of(
    data: Path, lake: Lake, times: Times, *, from_day: str = "", progressed: Callable[[], None] = lambda: None
) -> Days:
    """Return the days that are over and quiet, the oldest first; days before `from_day` are passed over.

    `progressed` is called for each symbol's day, and may raise to give up.
    """
    days: dict[tuple[str, str], list[Source]] = {}
    for source in sources(data):
        if source.day >= from_day and is_over(source.day, times):
            days.setdefault((source.day, source.symbol), []).append(source)
    found = Days([], [])
    for (day, symbol), files in sorted(days.items()):
        progressed()
        sized = _sized(files, times)
        if sized:
            is_due = _differs(sized, data, certificate_of(lake, symbol, day))
            (found.due if is_due else found.settled).append(RecordedDay(symbol, day, sized))
    return found


def is_over(day: str, times: Times) -> bool:
    """Return True if the UTC day (20261122) has ended and its grace has passed."""
    try:
        _, end_ns = certificates.day_bounds_ns(day)
    except ValueError:  # 99999999 in a file's name
        return False
    return times.now_ns >= end_ns + times.grace_ns


def certificate_of(lake: Lake, symbol: str, day: str) -> Certificate | None:
    """Return the certificate of a day; None where there is none, or none that can be read: the day is sealed anew."""
    try:
        return certificates.decoded(lake.certificate(symbol, day))
    except (FileNotFoundError, ValueError):
        return None


def named(path: Path, data: Path) -> str:
    """Return the name of a daily file in a certificate: its path below the data folder."""
    return str(path.relative_to(data))


def _sized(files: Iterable[Source], times: Times) -> tuple[SizedSource, ...]:
    """Return the files with their sizes; nothing where one of them has grown just now."""
    found = []
    for source in files:
        try:
            stat = source.path.stat()
        except FileNotFoundError:  # moved away since
            continue
        if times.now_ns - stat.st_mtime_ns < times.quiet_ns:
            return ()
        found.append(SizedSource(source, stat.st_size))
    return tuple(found)


def _differs(files: Iterable[SizedSource], data: Path, certificate: Certificate | None) -> bool:
    """Return True if a file is not the one that the certificate lists.

    What another version of ours could not seal, this one tries again, and so what a file kept from it that is gone now.
    """
    if certificate is None or (certificate.why and certificate.versions.get("binance-streamer") != __version__):
        return True
    listed = {
        one.path: one.size_bytes for stream in certificate.streams.values() for one in stream.sources if not one.removed
    }
    here = {named(one.source.path, data): one.size for one in files}
    is_freed = bool(certificate.why) and bool(listed.keys() - here.keys())
    return is_freed or any(listed.get(name) != size for name, size in here.items())
