"""The certificates of a lake: of a folder without any library, of a bucket with the extra `days`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from binance_streamer.config.symbols import decode_name
from binance_streamer.days.sources import CERTIFICATES, certificate_path


def certified_days(lake: str) -> Iterator[tuple[str, str]]:
    """Yield symbol and day (20261122) of each certificate; none where there is no lake."""
    for folder in _names(lake, CERTIFICATES) if lake else ():
        try:
            symbol = decode_name(folder)
        except UnicodeDecodeError:
            continue
        for name in _names(lake, f"{CERTIFICATES}/{folder}"):
            if name.endswith(".json"):
                yield symbol, name.removesuffix(".json").rpartition("_")[2]


def certificate_text(lake: str, symbol: str, day: str) -> bytes | None:
    """Return the content of a certificate; None where there is none, or retention has just removed it."""
    if not lake:
        return None
    name = certificate_path(symbol, day)
    try:
        if "://" in lake:
            content: bytes = _bucket(lake).read_bytes(name)
            return content
        return Path(lake, name).read_bytes()
    except FileNotFoundError:
        return None


def _names(lake: str, folder: str) -> list[str]:
    if "://" in lake:
        names: list[str] = _bucket(lake).names(folder)
        return names
    path = Path(lake, folder)
    return sorted(one.name for one in path.iterdir()) if path.is_dir() else []


def _bucket(lake: str) -> Any:
    from binance_streamer.stores.bucket import BucketStore  # noqa: PLC0415 (it needs the extra)

    return BucketStore(lake, None)
