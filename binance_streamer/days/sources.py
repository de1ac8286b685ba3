"""Daily files of a data folder, and what their names say: symbol, stem, day; where a lake has a certificate.

In: a data folder as the writer makes it. Out: `Source`s by symbol and day. Nothing is read but names and sizes.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from binance_streamer.config.symbols import decode_name, encode_name
from binance_streamer.exchange.rows import SNAPSHOT_STEM, SNAPSHOT_TYPE

CERTIFICATES = "certificates"
"""The folder of a lake that has a folder for each symbol, and in it a certificate for each day."""
EXCHANGE = "_exchange"
"""Stands for the symbol where a file is of all symbols: `clock_…`, `exchange_info_…`. No symbol begins with `_`."""

_OF_EXCHANGE = ("clock_", "exchange_info_")
REMOVING = "removing-"
"""A daily file that is being removed has this in front of its name. One that a kill left so still counts."""

_is_daily = re.compile(
    rf"(?:{REMOVING})?(?P<stem>.+)_(?P<day>\d{{8}})\.(?:csv|jsonl)(?:\.zst)?(?P<stamp>\.\d+)?"
).fullmatch
"""Names of daily files. With a stamp: those with other columns than this version writes, which were set aside."""


class Source(NamedTuple):
    """A daily file. `is_set_aside`: it has other columns than this version writes, and cannot be sealed."""

    path: Path
    symbol: str
    stem: str
    day: str
    is_set_aside: bool


def certificate_path(symbol: str, day: str) -> str:
    """Return the path of a day's certificate below a lake, whether it is there or not; `day` as 20261122."""
    name = encode_name(symbol)
    return f"{CERTIFICATES}/{name}/{name}_{day}.json"


def sources(data: Path) -> Iterator[Source]:
    """Yield all daily files below a data folder, sorted by symbol and name; other files are passed over."""
    if not data.is_dir():
        return  # nothing has been recorded yet
    yield from _in_folder(data, "")
    for folder in sorted(path for path in data.iterdir() if path.is_dir() and not path.name.startswith(".")):
        yield from _in_folder(folder, folder.name)


def sources_of(data: Path, symbol: str, day: str) -> list[Source]:
    """Return the daily files of one symbol and day, sorted by name; `symbol` may be `EXCHANGE`."""
    return [one for one in sources_of_symbol(data, symbol) if one.day == day]


def sources_of_symbol(data: Path, symbol: str) -> Iterator[Source]:
    """Yield the daily files of one symbol of all days, sorted by name; `symbol` may be `EXCHANGE`."""
    if symbol == EXCHANGE:
        return _in_folder(data, "")
    name = encode_name(symbol)
    return _in_folder(data / name, name)


def _in_folder(folder: Path, name: str) -> Iterator[Source]:
    """Yield the daily files of a symbol's folder `name`, or of the data folder itself, whose name here is empty."""
    try:
        symbol = decode_name(name) if name else EXCHANGE
        paths = sorted(folder.iterdir())
    except (FileNotFoundError, UnicodeDecodeError):
        return
    for path in paths:
        source = _named(path, name, symbol)
        if source is not None and path.is_file():
            yield source


def source_at(path: Path) -> Source | None:
    """Return what the name of a daily file says, wherever its folder lies; None for any other file.

    The folder of a symbol has its name; files of no symbol are known by their own.
    """
    if path.name.removeprefix(REMOVING).startswith(_OF_EXCHANGE):
        return _named(path, "", EXCHANGE)
    folder = path.resolve().parent.name
    try:
        return _named(path, folder, decode_name(folder))
    except UnicodeDecodeError:
        return None


def _named(path: Path, folder: str, symbol: str) -> Source | None:
    """Return what a file's name says in the folder of a symbol, or in the data folder, whose name here is empty."""
    match = _is_daily(path.name)
    suffix = f"_{folder}" if folder else ""
    if match is None or not match["stem"].endswith(suffix):
        return None
    stem = match["stem"].removesuffix(suffix)
    known = SNAPSHOT_STEM if stem == SNAPSHOT_TYPE else stem
    return Source(path, symbol, known, match["day"], match["stamp"] is not None)
