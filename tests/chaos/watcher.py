"""A reader that knows nothing of us, and looks at every file all the time."""

import csv
import io
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

_PATIENCE_S = 2.0
"""A write in progress is seen half done by any reader; in a file of a writer that lives it is whole soon after."""
_PAUSE_S = 0.05


class Watcher:
    """Reads what is new in all CSV files of a directory; `faults` are rows that were no rows."""

    def __init__(self, data: Path, writer_lives: Callable[[], bool]) -> None:
        self.faults: list[str] = []
        self.rows = 0
        self.rounds = 0
        self._data = data
        self._writer_lives = writer_lives
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
            for path in sorted(self._data.glob("*/*.csv")):
                self._look(path)

    def _look(self, path: Path) -> None:
        start = self._read.get(path, 0)
        with path.open("rb") as file:
            size = file.seek(0, io.SEEK_END)
            if size < start:  # cut back: rows that were not durable when the writer died
                start = 0
            file.seek(start)
            content = file.read(16 * 2**20)
        whole = content.rfind(b"\n") + 1
        self._read[path] = start + whole
        for cells in csv.reader(io.StringIO(content[:whole].decode(), newline=""), strict=True):
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
            self.faults.append(f"{path.name}: half a row for {_PATIENCE_S} s")
