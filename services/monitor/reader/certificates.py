"""The certificates of a lake: of a folder without any library, of a bucket with the extra `days`."""

from collections.abc import Iterator

from binance_streamer.config.symbols import decode_name
from binance_streamer.days.sources import CERTIFICATES, certificate_path
from binance_streamer.stores.opening import store_of


class Certificates:
    """The certificates of one lake, which is opened once for a question; none where there is no lake."""

    def __init__(self, lake: str) -> None:
        self._store = store_of(lake) if lake else None

    def days(self) -> Iterator[tuple[str, str]]:
        """Yield symbol and day (20261122) of each certificate."""
        if self._store is None:
            return
        for folder in self._store.names(CERTIFICATES):
            try:
                symbol = decode_name(folder)
            except UnicodeDecodeError:
                continue
            for name in self._store.names(f"{CERTIFICATES}/{folder}"):
                if name.endswith(".json"):
                    yield symbol, name.removesuffix(".json").rpartition("_")[2]

    def text(self, symbol: str, day: str) -> bytes | None:
        """Return the content of a certificate; None where there is none, or retention has just removed it."""
        try:
            return self._store.read_bytes(certificate_path(symbol, day)) if self._store else None
        except FileNotFoundError:
            return None
