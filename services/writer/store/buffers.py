"""Rows that wait for being written, in a buffer for each file.

| file | is written when its buffer holds | and at the latest |
|---|---|---|
| plain | half a MiB, or `batch_size` rows | at the next flush, after `flush_interval` |
| compressed | 64 KiB, which are a frame | at the next commit, after `compress_interval` |

So a frame is closed by the commit that makes it durable, and never for being looked at: one of a second of a rare
stream is hardly smaller than its text. What waits is in the journals. At most 128 KiB wait for each file that grows.
"""

from dataclasses import dataclass, field

from services.writer.rows.daily_files import DailyFile
from services.writer.rows.raw_rows import RawCounts
from services.writer.store.files import DataFile, DataFiles
from services.writer.store.ledger import Ledger
from services.writer.store.recovery import adopt
from services.writer.store.zstd_frames import FRAME_TEXT_BYTES, frames_of

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
        """Count rows that have been written into a file of this series, and the bytes that they take there."""
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
        if self._is_full(buffer):
            self._write([buffer])

    def write_plain(self) -> None:
        """Write all rows that wait for plain files, so that they can be read."""
        self._write([buffer for buffer in self._buffers.values() if not buffer.target.is_compressed])

    def write_all(self) -> None:
        """Write all rows that wait."""
        self._write(list(self._buffers.values()))

    def _is_full(self, buffer: _Buffer) -> bool:
        if buffer.target.is_compressed:
            return buffer.size_bytes >= FRAME_TEXT_BYTES
        return buffer.size_bytes > _MAX_BUFFER_BYTES or len(buffer.lines) >= self._max_rows

    def _write(self, buffers: list[_Buffer]) -> None:
        for buffer, file in zip(buffers, self._files_of(buffers), strict=True):
            content = _content(buffer, with_header=file.length == 0)
            self._files.append(file, content)
            self._counts.count_written(buffer.target.series, len(buffer.lines), len(content))
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


def _content(buffer: _Buffer, *, with_header: bool) -> bytes:
    """Return what is appended to the file for these rows."""
    header = buffer.target.header if with_header else b""
    if buffer.target.is_compressed:
        lines = [header, *buffer.lines] if header else buffer.lines
        return frames_of(lines, len(header) + buffer.size_bytes)
    return b"".join([header, *buffer.lines])
