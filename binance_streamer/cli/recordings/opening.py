"""Opens recorded files as text, whether they are plain, gzip or zstd, and while the writer appends to them."""

import contextlib
import gzip
import io
from collections.abc import Callable, Iterator
from pathlib import Path

from binance_streamer.compression import zstd

SUFFIXES = ("", ".gz", ".zst")
"""Ends of the names of one daily file: as it was recorded, or compressed later."""


@contextlib.contextmanager
def opened_lines(path: Path, progressed: Callable[[int], None] = lambda _: None) -> Iterator[Iterator[str]]:
    """Open a file as lines with their line breaks; bytes that are no UTF-8 are replaced; `progressed` takes bytes read.

    The lines end in front of half a compressed frame: a write that is under way, or one that a kill has torn.
    """
    with (
        _CountingReader(path, progressed) as raw,
        io.TextIOWrapper(_binary(raw, path.suffix), encoding="utf-8", errors="replace", newline="") as file,
    ):
        yield _until_torn(file)


def _binary(raw: io.FileIO, suffix: str) -> gzip.GzipFile | zstd.ZstdFile | io.BufferedReader:
    if suffix == ".gz":
        return gzip.GzipFile(fileobj=raw)
    if suffix == ".zst":
        return zstd.ZstdFile(raw)
    return io.BufferedReader(raw, 1 << 20)


def _until_torn(lines: Iterator[str]) -> Iterator[str]:
    with contextlib.suppress(EOFError):
        yield from lines


class _CountingReader(io.FileIO):
    """A file that tells how many bytes of it have been read, compressed ones where it is compressed: for progress."""

    def __init__(self, path: Path, progressed: Callable[[int], None]) -> None:
        super().__init__(path)
        self._progressed = progressed

    def read(self, size: int = -1) -> bytes:  # type: ignore[override]
        content = super().read(size) or b""
        self._progressed(len(content))
        return content

    def readinto(self, buffer: "bytearray | memoryview") -> int | None:  # type: ignore[override]
        count = super().readinto(buffer)
        self._progressed(count or 0)
        return count
