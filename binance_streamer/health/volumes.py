"""Measures what recorded and sealed days take, and forecasts what retention removes and when a disk is full.

In: the names and sizes of files, the settings of retention, the free bytes. Out: bytes a day of each format, planned
removals, days of headroom. It needs no library of the extra `days`: `doctor` and `status` ask it, too.

The forecast takes the days to come for days like the last whole ones, of which the rates are measured.
"""

import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from binance_streamer.config.amounts import bytes_of, seconds_of
from binance_streamer.config.schema import StorageConfig
from binance_streamer.days.sources import sources
from binance_streamer.health.gap_files import DAY_S, day_start, day_text, shifted_day
from binance_streamer.wire.status_parts import DiskRoom, PlannedRemoval, StoredFormat, Volumes

Sizes = Mapping[str, Mapping[str, int]]
"""Bytes by format (`csv`, `csv.zst`, `parquet`) and day (`20261122`)."""

CSV, COMPRESSED, PARQUET = "csv", "csv.zst", "parquet"
FORMATS = (CSV, COMPRESSED, PARQUET)
_RATE_DAYS = 3
"""The last whole days whose mean is the rate: a single quiet Sunday is no measure."""
_HORIZON_DAYS = 3650
"""A disk that lasts for longer than ten years does not fill."""


def daily_sizes(data: Path) -> dict[str, dict[str, int]]:
    """Return the bytes of daily files by format and day; files that vanish meanwhile count nothing."""
    found: dict[str, dict[str, int]] = {}
    if not data.is_dir():
        return found
    for one in sources(data):
        kind = COMPRESSED if ".zst" in one.path.suffixes else CSV
        days = found.setdefault(kind, {})
        days[one.day] = days.get(one.day, 0) + _size(one.path)
    return found


def sealed_sizes(lake: Path) -> dict[str, int]:
    """Return the bytes of the sealed files in a folder by day, from their names and sizes alone."""
    found: dict[str, int] = {}
    for folder in lake.glob("*/symbol=*/day=*"):
        day = folder.name.removeprefix("day=").replace("-", "")
        found[day] = found.get(day, 0) + sum(_size(path) for path in folder.glob("*.parquet"))
    return {day: size for day, size in found.items() if size}


def measured(storage: StorageConfig, now_ns: int) -> Volumes:
    """Return the volumes of the configured folders, by looking at all of their files; a bucket is not asked."""
    sizes: dict[str, dict[str, int]] = daily_sizes(Path(storage.output_directory))
    if storage.lake_folder and (sealed := sealed_sizes(Path(storage.lake_folder))):
        sizes[PARQUET] = sealed
    return volumes(storage, sizes, now_ns)


def volumes(storage: StorageConfig, sizes: Sizes, now_ns: int) -> Volumes:
    """Return rates, planned removals and headroom from what is stored now."""
    formats = {name: _stored(name, sizes, now_ns) for name in sizes}
    forecast = _Forecast(storage, formats)
    places = [storage.output_directory, *([storage.lake_folder] if storage.lake_folder else [])]
    rooms = tuple(forecast.room(path) for path in _disks(places))
    return Volumes(
        formats=formats,
        removals=tuple(_removals(storage, sizes, forecast, now_ns)),
        disks=rooms,
        fills=any(room.days_left is not None for room in rooms) if forecast.has_rate else None,
    )


class _Forecast:
    """Bytes on the disk in so many days, by format."""

    def __init__(self, storage: StorageConfig, formats: Mapping[str, StoredFormat]) -> None:
        retention = storage.retention
        csv_s = seconds_of(retention.csv) if retention.csv else 0.0
        kept_days = {
            PARQUET: seconds_of(retention.parquet) / DAY_S if retention.parquet else None,
            CSV: None if storage.keep_csv or not storage.lake else csv_s / DAY_S,
        }
        self.most_bytes = bytes_of(retention.max_bytes) if retention.max_bytes else None
        self.has_rate = any(one.bytes_per_day is not None for one in formats.values())
        self._formats = formats
        self._kept_days = {**kept_days, COMPRESSED: kept_days[CSV]}
        self._data, self._lake = storage.output_directory, storage.lake_folder

    def size(self, days: float, names: Iterable[str] = FORMATS) -> float:
        """Return the bytes in so many days: each format grows until as many days of it lie there as are kept."""
        total = 0.0
        for name in names:
            one = self._formats.get(name, StoredFormat(bytes=0, days=0))
            rate, kept = one.bytes_per_day or 0.0, self._kept_days[name]
            grown = one.bytes + rate * days
            # the running day lies there, too, and the one before it until it is sealed
            total += grown if kept is None else min(grown, max(one.bytes, rate * (kept + 2)))
        return total

    def room(self, path: str) -> DiskRoom:
        """Return a disk's room, and when it is full unless `max_bytes` is reached before."""
        usage = shutil.disk_usage(path)
        device = _device(path)
        here = [PARQUET] if self._lake and _device(self._lake) == device else []
        here += [CSV, COMPRESSED] if _device(self._data) == device else []
        full = _first_day(lambda days: self.size(days, here) - self.size(0, here) > usage.free)
        limited = self.limited_in_days()
        if full is not None and limited is not None and limited <= full:
            full = None
        return DiskRoom(path=path, free_bytes=usage.free, total_bytes=usage.total, days_left=full)

    def limited_in_days(self) -> float | None:
        """Return the days until `max_bytes` is reached; None where it never is."""
        most = self.most_bytes
        return None if most is None else _first_day(lambda days: self.size(days) > most)


def _removals(storage: StorageConfig, sizes: Sizes, forecast: _Forecast, now_ns: int) -> list[PlannedRemoval]:
    """Return the next removal of each format, the earliest first; none of days that go as soon as they are sealed."""
    retention = storage.retention
    limited = forecast.limited_in_days()
    found = []
    has_daily = any(sizes.get(name) for name in (CSV, COMPRESSED)) and bool(retention.csv)
    for name, text in ((CSV, retention.csv), (COMPRESSED, retention.csv), (PARQUET, retention.parquet)):
        days = sizes.get(name)
        if not days or storage.keep_csv:
            continue
        day = min(days)
        times: list[tuple[int, str]] = []
        if text and name in sizes:
            times.append((_end_ns(day) + int(seconds_of(text) * 1e9), "age"))
        if limited is not None and (name != PARQUET or not has_daily):
            times.append((now_ns + int(limited * DAY_S * 1e9), "size"))
        if times:
            at_ns, why = min(times)
            found.append(PlannedRemoval(format=name, day=day, bytes=days[day], at_ns=at_ns, why=why))
    return sorted(found, key=lambda one: (one.at_ns, one.format))


def _stored(name: str, sizes: Sizes, now_ns: int) -> StoredFormat:
    """Return a format's bytes and rate. Daily files of both kinds share their days: the one given up has no rate."""
    days = sizes[name]
    kin = [name] if name == PARQUET else [CSV, COMPRESSED]
    today = day_text(now_ns / 1e9)
    whole = sorted({day for one in kin for day in sizes.get(one, {}) if day < today})[-_RATE_DAYS:]
    first = shifted_day(whole[-1], 1 - _RATE_DAYS) if whole else ""
    recent = [day for day in whole if day >= first]
    rate = sum(days.get(day, 0) for day in recent) / len(recent) if recent else None
    return StoredFormat(bytes=sum(days.values()), days=len(days), bytes_per_day=rate)


def _disks(places: Iterable[str]) -> list[str]:
    """Return one of these folders for each disk; of a folder that is not there yet the nearest one above it."""
    found: dict[int, str] = {}
    for place in places:
        found.setdefault(_device(place), _existing(place))
    return list(found.values())


def _existing(place: str) -> str:
    return str(next(path for path in (Path(place), *Path(place).parents) if path.is_dir()))


def _device(place: str) -> int:
    return os.stat(_existing(place)).st_dev  # noqa: PTH116 (a string all along)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _first_day(is_reached: Callable[[float], bool]) -> float | None:
    """Return the first day, to a hundredth, from which on something is so; None where it is not within the horizon."""
    if not is_reached(_HORIZON_DAYS):
        return None
    low, high = 0, _HORIZON_DAYS * 100
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if is_reached(middle / 100) else (middle + 1, high)
    return low / 100


def _end_ns(day: str) -> int:
    return int(day_start(day).timestamp() + DAY_S) * 10**9
