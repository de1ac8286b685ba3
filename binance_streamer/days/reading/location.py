"""Finds the data folder and the lake of a recording, from whatever place the user names.

| place | daily files | lake |
|---|---|---|
| a configuration, or a folder with `streamer.yaml` or `config/streamer.yaml` | as it says | as it says |
| a lake: it has a folder with `_delta_log`, or `certificates` | none | the place |
| a URL, such as `s3://bucket/lake` | none | the place |
| any other folder | the place | none |
"""

from pathlib import Path
from typing import NamedTuple

from binance_streamer.config import schema as configuration
from binance_streamer.days.sources import CERTIFICATES
from binance_streamer.stores.opening import is_url

_NAMES = ("streamer.yaml", "config/streamer.yaml")


class Location(NamedTuple):
    """Where the rows of a recording are: daily files below `data`, sealed ones below `lake`, a folder or a URL."""

    data: Path | None
    lake: str


def locate(place: str | Path | Location | None) -> Location:
    """Return the folders of a place; without one, those of the configuration that the commands take without `-c`.

    Raises `FileNotFoundError` where there is no such place, `ConfigError` where the configuration cannot be used.
    """
    if isinstance(place, Location):
        return place
    found = config_of(place)
    if found is not None:
        storage = configuration.load(found).storage
        return Location(Path(storage.output_directory), storage.lake)
    named = str(place)
    if is_url(named):
        return Location(None, named.rstrip("/"))
    path = Path(named).expanduser()
    if not path.is_dir():
        raise FileNotFoundError(f"no recording at {path}: name a recorder's folder, a data folder or a lake")
    return Location(None, str(path)) if _is_lake(path) else Location(path, "")


def config_of(place: str | Path | Location | None) -> Path | None:
    """Return the configuration that says where a recording lies; None where the place is a data folder or a lake."""
    if place is None:
        return configuration.default_path()
    if isinstance(place, Location) or is_url(place):
        return None
    path = Path(place).expanduser()
    if path.is_file():
        return path
    return next((path / name for name in _NAMES if (path / name).is_file()), None)


def _is_lake(path: Path) -> bool:
    return (path / CERTIFICATES).is_dir() or any(path.glob("*/_delta_log"))
