"""Carries out retention: lists what is stored, removes what is to go, and measures what is left.

In: the data folder and the lake. Out: fewer files, and a `Result` for the status. Each removal looks at its day again
first; one that is refused (a file is open, a copy is not proven) counts as not sealed, and the next oldest goes.
"""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from binance_streamer.config.schema import StorageConfig
from binance_streamer.days.lake import Lake
from binance_streamer.days.sources import sources, sources_of
from binance_streamer.health.volumes import PARQUET, daily_sizes, volumes
from binance_streamer.wire.status_parts import Volumes
from services.archiver.due import Times, days_of
from services.archiver.removal import NotProvenError, remove_from_lake, remove_sealed
from services.archiver.retention import DAILY, Removal, StoredDay, removals, rules_of, stored_days


class Result(NamedTuple):
    """Files that were removed, days whose copy is not proven (`BTCUSDT 20261122` → why), and what is stored now."""

    daily_files: int
    sealed_files: int
    unproven: dict[str, str]
    refused: int
    """Days of which something has to stay for now."""
    stored: Volumes


class Retention:
    """One look at all that is stored."""

    def __init__(self, storage: StorageConfig, lake: Lake, times: Times, progressed: Callable[[], None]) -> None:
        self._storage = storage
        self._data = Path(storage.output_directory)
        self._lake = lake
        self._times = times
        self._progressed = progressed
        self._daily_files = self._sealed_files = self._refused = 0
        self._unproven: dict[str, str] = {}

    def keep(self) -> Result:
        """Remove what is to go, unless `keep_csv` holds everything; raises `OSError`, and what `progressed` raises."""
        if not self._storage.keep_csv:
            days = self._stored()
            while refused := self._remove(days):
                self._refused += len(refused)
                days = [one._replace(is_sealed=one.is_sealed and one[:2] not in refused) for one in self._sized(days)]
        return Result(self._daily_files, self._sealed_files, self._unproven, self._refused, self._volumes())

    def _stored(self) -> list[StoredDay]:
        found = days_of(self._data, self._lake, self._times, progressed=self._progressed)
        return stored_days(*self._sizes(), {(one.day, one.symbol) for one in found.settled})

    def _sized(self, days: list[StoredDay]) -> list[StoredDay]:
        """Return the days with what is stored of them now."""
        daily, sealed = self._sizes()
        return [one._replace(daily_bytes=daily.get(one[:2], 0), sealed_bytes=sealed.get(one[:2], 0)) for one in days]

    def _sizes(self) -> tuple[dict[tuple[str, str], int], dict[tuple[str, str], int]]:
        daily: dict[tuple[str, str], int] = {}
        for one in sources(self._data):
            key = (one.day, one.symbol)
            with contextlib.suppress(FileNotFoundError):  # moved away since
                daily[key] = daily.get(key, 0) + one.path.stat().st_size
        sealed: dict[tuple[str, str], int] = {}
        for place, size in self._lake.stored():
            key = (place.day, place.symbol)
            sealed[key] = sealed.get(key, 0) + size
        return daily, sealed

    def _remove(self, days: list[StoredDay]) -> set[tuple[str, str]]:
        """Carry out what is to go; return the days of which something has to stay."""
        refused = set()
        for one in removals(days, rules_of(self._storage.retention), self._times.now_ns):
            self._progressed()
            if (one.day, one.symbol) not in refused and not self._try_remove(one):
                refused.add((one.day, one.symbol))
        return refused

    def _try_remove(self, one: Removal) -> bool:
        if one.kind != DAILY:
            removed = remove_from_lake(self._data, self._lake, one.symbol, one.day)
            self._sealed_files += removed
            return removed > 0
        try:
            self._daily_files += remove_sealed(self._data, self._lake, one.symbol, one.day, progressed=self._progressed)
        except NotProvenError as error:
            self._unproven[f"{one.symbol} {one.day}"] = str(error)
        return not sources_of(self._data, one.symbol, one.day)

    def _volumes(self) -> Volumes:
        sizes: dict[str, dict[str, int]] = daily_sizes(self._data)
        sealed: dict[str, int] = {}
        for place, size in self._lake.stored():
            sealed[place.day] = sealed.get(place.day, 0) + size
        if sealed:
            sizes[PARQUET] = sealed
        return volumes(self._storage, sizes, self._times.now_ns)
