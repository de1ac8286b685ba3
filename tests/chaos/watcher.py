"""A reader that knows nothing of us, and looks at every file all the time."""

import csv
import io
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Self

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_PATIENCE_S = 2.0
"""A write in progress is seen half done by any reader; in a file of a writer that lives it is whole soon after."""
_PAUSE_S = 0.05


class Watcher:
    """Reads what is new in all CSV files of a directory; `faults` are rows that were no rows.

    In each round it also decodes one compressed file from its first byte to its last.
    """

    def __init__(self, data: Path, writer_lives: Callable[[], bool]) -> None:
        self.faults: list[str] = []
        self.rows = 0
        self.rounds = 0
        self.decoded = 0
        """Compressed files that were decoded as a whole."""
        self._data = data
        self._writer_lives = writer_lives
        self._random = Random()
        self._read: dict[Path, int] = {}
        self._columns: dict[Path, int] = {}
        self._torn_since_s: dict[Path, float] = {}
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._closing.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._closing.wait(_PAUSE_S):
            self.rounds += 1
            compressed = sorted(self._data.glob("*/*.csv.zst"))
            for path in sorted([*self._data.glob("*/*.csv"), *compressed]):
                try:
                    self._look(path)
                except FileNotFoundError:
                    self._read.pop(path, None)  # nothing of it was durable when the writer died
            if compressed:
                self._decode(self._random.choice(compressed))

    def _look(self, path: Path) -> None:
        start = self._read.get(path, 0)
        with path.open("rb") as file:
            size = file.seek(0, io.SEEK_END)
            if size < start:  # cut back: rows that were not durable when the writer died
                start = 0
            file.seek(start)
            content = file.read(16 * 2**20)
        try:
            whole, text = _whole(path, content)
        except zstd.ZstdError as error:
            if start == 0:
                self.faults.append(f"{path.name}: {error}")
            self._read[path] = 0  # cut back, and grown again by other frames
            return
        self._read[path] = start + whole
        for cells in csv.reader(io.StringIO(text.decode(), newline=""), strict=True):
            columns = self._columns.setdefault(path, len(cells))
            self.rows += 1
            if len(cells) != columns:
                self.faults.append(f"{path.name}: {len(cells)} cells instead of {columns}: {cells}")
        self._note_torn(path, is_torn=whole < len(content))

    def _note_torn(self, path: Path, *, is_torn: bool) -> None:
        now_s = time.monotonic()
        if not is_torn or not self._writer_lives():
            self._torn_since_s.pop(path, None)
        elif now_s - self._torn_since_s.setdefault(path, now_s) > _PATIENCE_S:
            self.faults.append(f"{path.name}: half a row or frame for {_PATIENCE_S} s")

    def _decode(self, path: Path) -> None:
        """Decode all of a file; where its end is torn, all in front of that are rows."""
        try:
            content = path.read_bytes()
            _, text = _whole(path, content)
        except FileNotFoundError:
            return
        except zstd.ZstdError as error:
            self.faults.append(f"{path.name}: {error}")
            return
        self.decoded += 1
        if not text.endswith(b"\n") and text:
            self.faults.append(f"{path.name}: a frame that ends in half a row")


def _whole(path: Path, content: bytes) -> tuple[int, bytes]:
    """Return how many bytes are whole rows or frames, and their text; `ZstdError` for bytes that are no frame."""
    if path.suffix != ".zst":
        whole = content.rfind(b"\n") + 1
        return whole, content[:whole]
    found, whole = [], 0
    while whole < len(content):
        decoder = zstd.ZstdDecompressor()
        text = decoder.decompress(content[whole:])
        if not decoder.eof:
            break
        found.append(text)
        whole = len(content) - len(decoder.unused_data)
    return whole, b"".join(found)
