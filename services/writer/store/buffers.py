"""Rows that wait for being written, in a buffer for each file.

A row is written when its buffer is full, or at the next flush: one `write` for many rows, and at most `flush_interval`
until they can be read.
"""

from dataclasses import dataclass, field

from services.writer.rows.daily_files import DailyFile
from services.writer.rows.raw_rows import RawCounts
from services.writer.store.files import DataFile, DataFiles
from services.writer.store.ledger import Ledger
from services.writer.store.recovery import adopt

_MAX_BUFFER_BYTES = 512 * 1024
"""A buffer that grows beyond this is written at once: one `write` of half a MiB costs little more than one of a row."""


@dataclass(slots=True)
class _Buffer:
    target: DailyFile
    first_ns: int
    lines: list[bytes] = field(default_factory=list)
    size_bytes: int = 0


@dataclass(slots=True)
class Counts:
    """Totals since the start of the process, for the status message.

    Rows that were written, cut away after a full disk and pushed again count twice.
    """

    rows: int = 0
    bytes: int = 0
    gaps: int = 0
    streams: dict[str, int] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)
    raw: RawCounts = field(default_factory=dict)

    def count_written(self, series: str, rows: int, size_bytes: int) -> None:
        """Count rows that have been written into a file of this series."""
        self.rows += rows
        self.bytes += size_bytes
        self.streams[series] = self.streams.get(series, 0) + rows


class RowBuffers:
    """Buffers of rows, and the files that they are written into."""

    def __init__(self, files: DataFiles, ledger: Ledger, *, max_rows: int, counts: Counts) -> None:
        """`max_rows`: a buffer with so many is written at once."""
        self._files = files
        self._ledger = ledger
        self._max_rows = max_rows
        self._counts = counts
        self._buffers: dict[str, _Buffer] = {}

    def add(self, target: DailyFile, lines: list[bytes], first_ns: int) -> None:
        """Add rows of one file; `first_ns` is the receive stamp of the first one."""
        buffer = self._buffers.get(target.path)
        if buffer is None:
            buffer = self._buffers[target.path] = _Buffer(target, first_ns)
        buffer.lines += lines
        buffer.size_bytes += sum(map(len, lines))
        if buffer.size_bytes > _MAX_BUFFER_BYTES or len(buffer.lines) >= self._max_rows:
            self._write([buffer])

    def write_all(self) -> None:
        """Write all rows that wait, so that they can be read."""
        if self._buffers:
            self._write(list(self._buffers.values()))

    def _write(self, buffers: list[_Buffer]) -> None:
        for buffer, file in zip(buffers, self._files_of(buffers), strict=True):
            header = [buffer.target.header] if file.length == 0 else []
            self._files.append(file, header + buffer.lines)
            self._counts.count_written(buffer.target.series, len(buffer.lines), buffer.size_bytes)
            del self._buffers[buffer.target.path]

    def _files_of(self, buffers: list[_Buffer]) -> list[DataFile]:
        """Return the files of these buffers; new ones are recorded in the ledger first, all in one transaction."""
        announced = []
        for buffer in buffers:
            path = buffer.target.path
            if self._files.get(path) is None:
                record = self._ledger.file(path)
                if record is None:
                    record = adopt(self._files, path, buffer.target.header, buffer.first_ns)
                    announced.append(record)
                self._files.know(record)
        if announced:
            self._ledger.announce(announced)
        return [file for buffer in buffers if (file := self._files.get(buffer.target.path))]
