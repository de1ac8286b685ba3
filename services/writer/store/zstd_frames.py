"""Independent zstd frames of whole rows: made of lines, and read back as far as they are whole.

A compressed file is nothing but such frames, one behind the other, so that every standard decoder reads it as one text.
A frame is to a compressed file what a row is to a plain one: it is appended by one `write`, a durable length is always
the end of one, and what a kill leaves of half a frame is cut away. Each has a checksum, so that a byte that changed on
the disk is an error of the decoder, and not a wrong price; a damaged frame costs its own rows only.
"""

import mmap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from binance_streamer.compression import FRAME_MAGIC, zstd

FRAME_TEXT_BYTES = 64 * 1024
"""A frame is closed when it holds so much text. Frames of 128 KiB are 1 % smaller (docs/decisions/0050)."""
_LEVEL = 1
"""The smallest of the quick ones; from level 5 on compressing depth takes as long as all else of a row."""
_MIN_MATCH = 7
"""Bytes of the shortest repetition that is looked for. With the 6 of level 1 rows are larger, and take 5 % longer."""
_PIECE_BYTES = 2**20
"""The most that is decoded at once: a frame that is not ours may hold gigabytes."""

_OPTIONS: dict[int, int] = {
    zstd.CompressionParameter.compression_level: _LEVEL,
    zstd.CompressionParameter.min_match: _MIN_MATCH,
    zstd.CompressionParameter.checksum_flag: 1,
}
_compressor = zstd.ZstdCompressor(options=_OPTIONS)


class _Piece(NamedTuple):
    """Text of one frame; `frame_end` is where that ends in the file, None where more of it follows or it is damaged."""

    text: bytes
    frame_end: int | None
    is_damaged: bool = False


class WholePart(NamedTuple):
    """The beginning of a file that can be read: its length in bytes, and its last line, empty if that is the header."""

    length: int
    last_row: bytes


def frames_of(lines: Sequence[bytes], size_bytes: int) -> bytes:
    """Return lines as frames, each of whole lines and of 64 to 128 KiB; one where there is less, whatever its size.

    `size_bytes` is that of all lines together.
    """
    frame_bytes = size_bytes / max(1, size_bytes // FRAME_TEXT_BYTES)
    found: list[bytes] = []
    start = text_bytes = 0
    for end, line in enumerate(lines, 1):
        text_bytes += len(line)
        if text_bytes >= frame_bytes or end == len(lines):
            found.append(_compressor.compress(b"".join(lines[start:end]), zstd.ZstdCompressor.FLUSH_FRAME))
            start, text_bytes = end, 0
    return b"".join(found)


def whole_part(path: Path) -> WholePart:
    """Return how much of a compressed file ends with a frame that is whole, undamaged, and ends with a row.

    All of it is decoded, a GB of text in some seconds: only where the ledger does not say where the file ends.
    """
    whole = WholePart(0, b"")
    line, lines = b"", 0
    for piece in _pieces(path):
        if piece.is_damaged:
            line = b""
            continue
        lines += piece.text.count(b"\n")
        line += piece.text
        line = line[line.rfind(b"\n", 0, len(line) - 1) + 1 :]
        if piece.frame_end is not None and line.endswith(b"\n"):
            whole = WholePart(piece.frame_end, line if lines > 1 else b"")
    return whole


def first_line(path: Path) -> bytes:
    """Return the first line of a compressed file, with its line break; empty where it cannot be read."""
    found = b""
    for piece in _pieces(path):
        found += piece.text
        if b"\n" in found or piece.is_damaged:
            break
    return found[: found.find(b"\n") + 1]


def text_lines(path: Path) -> Iterator[str]:
    """Yield the lines of a compressed file, with their line breaks; those of damaged frames are left out."""
    left = b""
    for piece in _pieces(path):
        *lines, left = (left + piece.text).split(b"\n")
        yield from (line.decode(errors="replace") + "\n" for line in lines)
        if piece.is_damaged:
            left = b""


def _pieces(path: Path) -> Iterator[_Piece]:
    """Yield the text of all frames in their order.

    Behind bytes that are no whole frame it goes on with the next one: their headers say where each of them ends.
    """
    with path.open("rb") as file:
        size = file.seek(0, 2)
        if not size:
            return
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content, memoryview(content) as view:
            at = 0
            while 0 <= at < size:
                try:
                    end = at + zstd.get_frame_size(view[at:])
                except zstd.ZstdError:
                    yield _Piece(b"", None, is_damaged=True)
                    at = content.find(FRAME_MAGIC, at + 1)
                    continue
                yield from _pieces_of_frame(view[at:end], end)
                at = end


def _pieces_of_frame(frame: memoryview, frame_end: int) -> Iterator[_Piece]:
    decoder = zstd.ZstdDecompressor()
    try:
        text = decoder.decompress(frame, _PIECE_BYTES)
        while not decoder.eof:
            yield _Piece(text, None)
            if decoder.needs_input:
                raise zstd.ZstdError("its header says that it ends here")
            text = decoder.decompress(b"", _PIECE_BYTES)
    except zstd.ZstdError:
        yield _Piece(b"", None, is_damaged=True)
        return
    yield _Piece(text, frame_end)
