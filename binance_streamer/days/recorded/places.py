"""Recorded days at any place: of folders as they lie there, of a lake in a bucket a copy while a day is read.

In: paths and `s3://` URLs. Out: days whose files can be read within `here`. Whoever checks, exports or replays a day
reads it several times, and a bucket is paid by the request and the byte: so each sealed file is downloaded once, into
a folder for temporary files, and is gone when the next day's turn comes.
"""

import contextlib
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from deltalake.exceptions import DeltaError

from binance_streamer.days.day_files import DayFiles, StreamFiles, days_in
from binance_streamer.days.lake import Lake
from binance_streamer.days.parquet import Place
from binance_streamer.days.sources import certificate_path
from binance_streamer.stores.opening import is_url
from binance_streamer.stores.scratch import ScratchFolder
from binance_streamer.stores.store import BucketError

_is_any: Callable[[str], bool] = bool
"""True of every stem: none is empty."""


class ReadableDay(Protocol):
    """One symbol and UTC day (20261122) in one place; `DayFiles` is one whose files are here already."""

    symbol: str
    day: str

    @property
    def place(self) -> str:
        """Return the folder or URL that it lies in."""

    @property
    def stems(self) -> Collection[str]:
        """Return the stems of its streams."""

    @property
    def size_bytes(self) -> int:
        """Return the size of all files together."""

    def here(self, wanted: Callable[[str], bool] = _is_any) -> AbstractContextManager[DayFiles]:
        """Give the files on this machine, at least of the wanted stems; they are there until the block ends."""


def days_at(places: Iterable[str | Path]) -> list[ReadableDay]:
    """Return the days at these places, by symbol, place and day; `BucketError` where a bucket cannot be asked."""
    named = list(places)
    found: list[ReadableDay] = [*days_in(Path(place) for place in named if not is_url(place))]
    for url in dict.fromkeys(str(place).rstrip("/") for place in named if is_url(place)):
        found += _days_in_bucket(url)
    return sorted(found, key=lambda one: (one.symbol, one.place, one.day))


def _days_in_bucket(url: str) -> list["BucketDay"]:
    """Return the days of a lake by its logs."""
    found: dict[tuple[str, str], BucketDay] = {}
    with _asked(url):
        lake = Lake(url)
        for place, size_bytes in lake.stored():
            day = found.setdefault((place.symbol, place.day), BucketDay(place.symbol, place.day, lake, 0, ()))
            day.size_bytes += size_bytes
            day.stems += (place.stem,)
    return [*found.values()]


@contextmanager
def _asked(url: str) -> Iterator[None]:
    """Turn what the two libraries raise into one error."""
    try:
        yield
    except (OSError, DeltaError) as error:
        raise BucketError(f"{url} cannot be read: {error}") from error


@dataclass(slots=True)
class BucketDay:
    """A day of a lake in a bucket, as the logs list it."""

    symbol: str
    day: str
    lake: Lake
    size_bytes: int
    stems: tuple[str, ...]

    @property
    def place(self) -> str:
        """The URL of the lake."""
        return self.lake.uri

    @contextmanager
    def here(self, wanted: Callable[[str], bool] = _is_any) -> Iterator[DayFiles]:
        """Download the wanted streams and the certificate; they are deleted when the block ends."""
        with ScratchFolder("binance-streamer-bucket-") as folder:
            files = _Downloaded(self.symbol, self.day, folder, {}, lake=self.lake)
            for stem in filter(wanted, self.stems):
                stream = files.other(stem, symbol=self.symbol, day=self.day)
                if stream is not None:
                    files.streams[stem] = stream
            files.download_certificate()
            yield files


@dataclass(slots=True, kw_only=True)
class _Downloaded(DayFiles):
    """The copy of a day; a stream of another day is downloaded beside it when somebody asks for it."""

    lake: Lake

    def other(self, stem: str, *, symbol: str, day: str) -> StreamFiles | None:
        """Return a stream of another symbol or day of the same lake; None where there is none."""
        with _asked(self.lake.uri):
            found = self.lake.files(Place(stem, symbol, day))
            for path in found:
                self.lake.download(path, self.root / path)
        return StreamFiles(stem, [self.root / path for path in found], is_sealed=True) if found else None

    def download_certificate(self) -> None:
        """Bring the day's certificate here, if there is one."""
        path = certificate_path(self.symbol, self.day)
        with _asked(self.lake.uri), contextlib.suppress(FileNotFoundError):
            self.lake.download(path, self.root / path)
