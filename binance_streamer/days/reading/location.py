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
    if place is None:
        return _configured(configuration.default_path())
    if is_url(place):
        return Location(None, str(place).rstrip("/"))
    path = Path(place).expanduser()
    if path.is_file():
        return _configured(path)
    if not path.is_dir():
        raise FileNotFoundError(f"no recording at {path}: name a recorder's folder, a data folder or a lake")
    for name in _NAMES:
        if (path / name).is_file():
            return _configured(path / name)
    return Location(None, str(path)) if _is_lake(path) else Location(path, "")


def _configured(path: Path) -> Location:
    storage = configuration.load(path).storage
    return Location(Path(storage.output_directory), storage.lake)


def _is_lake(path: Path) -> bool:
    return (path / CERTIFICATES).is_dir() or any(path.glob("*/_delta_log"))
