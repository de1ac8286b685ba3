"""Reads the recorded gap files again and again, in a thread: the disk may stand still, the bus does not wait for it."""

import csv
import logging
import queue
import threading
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from binance_streamer.config.symbols import encode_name
from services.monitor.view.gaps import ListedGap, gaps_of_rows

_INTERVAL_S = 15.0
_MOST_BYTES = 4 * 2**20
"""Of a file, its end: some 25,000 rows."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_log = logging.getLogger(__name__)


class Read(NamedTuple):
    """What the files of a day hold, as far as they changed since the last time; why one could not be read."""

    day: int
    gaps: list[ListedGap]
    fault: str = ""


class GapFiles:
    """`take` hands out what was read; nothing where there is no data directory to read (another host's)."""

    def __init__(self, root: Path, symbols: Iterable[str], day: int) -> None:
        self._root = root
        self._symbols = tuple(symbols)
        self._day = day
        self._sizes: dict[Path, int] = {}
        self._read: queue.SimpleQueue[Read] = queue.SimpleQueue()
        self._closing = threading.Event()
        self._fault = ""
        self._thread = threading.Thread(target=self._run, name="gap-files", daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def of_day(self, day: int) -> None:
        """From now on the files of this day."""
        self._day = day

    def take(self) -> Read | None:
        """What was read since the last call."""
        try:
            return self._read.get_nowait()
        except queue.Empty:
            return None

    def close(self) -> None:
        """Read no more; a disk that stands still is not waited for."""
        self._closing.set()

    def _run(self) -> None:
        while True:
            fault = ""
            try:
                if self._root.is_dir():
                    read = self.read()
                    self._read.put(read)
                    fault = read.fault
            except OSError as error:
                fault = str(error)
            if fault and not self._fault:
                _log.warning("gap files cannot be read: %s", fault)
            self._fault = fault
            if self._closing.wait(_INTERVAL_S):
                return

    def read(self) -> Read:
        """The files that have changed."""
        day = self._day
        stamp = f"{_EPOCH + timedelta(days=day):%Y%m%d}"
        paths = {symbol: self._path(symbol, stamp) for symbol in self._symbols}
        found: list[ListedGap] = []
        sizes: dict[Path, int] = {}
        fault = ""
        for symbol, path in paths.items():
            try:
                size = path.stat().st_size
                if size != self._sizes.get(path):
                    found += gaps_of_rows(symbol, _lines(path))
                sizes[path] = size
            except FileNotFoundError:
                continue
            except (OSError, csv.Error) as error:
                fault = f"{path}: {error}"
        self._sizes = sizes
        return Read(day, found, fault)

    def _path(self, symbol: str, stamp: str) -> Path:
        name = encode_name(symbol)
        return self._root / name / f"gap_{name}_{stamp}.csv"


def _lines(path: Path) -> Iterable[str]:
    """The header, and the rows at the end."""
    with path.open("rb") as file:
        header = file.readline()
        size = file.seek(0, 2)
        start = max(len(header), size - _MOST_BYTES)
        file.seek(start)
        if start > len(header):
            file.readline()
        rows = file.read(_MOST_BYTES)
    return (header + rows[: rows.rfind(b"\n") + 1]).decode("utf-8", errors="replace").splitlines()
