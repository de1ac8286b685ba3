"""zstd: the module of the standard library from Python 3.14 on, and before that the same module from PyPI.

And the end of the last whole zstd frame of a file that may be growing, found by the frames' headers alone. A frame says
the length of each of its blocks, so that nothing is decoded (RFC 8878, sections 3.1.1 and 3.1.2).
"""

import os
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

__all__ = ["FRAME_MAGIC", "frame_ends", "whole_frames_bytes", "zstd"]

FRAME_MAGIC = b"\x28\xb5\x2f\xfd"
"""Every frame begins with it. It may also stand by chance within one: a decoder tells."""
_SKIPPABLE = 0x184D2A5
"""The upper 28 bits of the magic number of a frame that decoders pass over."""
_LEAST_FRAME_BYTES = 8
"""So many tell whether a frame begins."""
_PIECE_BYTES = 2**20
_RLE = 1
"""The type of a block that is one byte, repeated."""
_SIZE_FIELD_BYTES = (0, 2, 4, 8)
_DICTIONARY_FIELD_BYTES = (0, 1, 2, 4)


def whole_frames_bytes(path: Path) -> int:
    """Return the length of a file up to the end of its last whole frame; 0 where it has none.

    That is all of a file that is damaged, where no frame begins or others begin behind half a one: a decoder then says
    so, and no row is passed over. The file is read and not mapped, since it may be shortened meanwhile.
    """
    size, end = path.stat().st_size, max(frame_ends(path), default=0)
    return size if _is_damaged(path, end, size) else end


def frame_ends(path: Path, start: int = 0) -> Iterator[int]:
    """Yield where each whole frame ends, of those behind `start`, which is the end of one, or 0."""
    size = path.stat().st_size
    with path.open("rb", buffering=0) as file:
        read = partial(os.pread, file.fileno())
        end = start
        while (following := _frame_end(read, end, size)) <= size and following > end:
            end = following
            yield end


def _is_damaged(path: Path, end: int, size: int) -> bool:
    """Return True if what stands behind a frame's end is more than half a frame."""
    with path.open("rb", buffering=0) as file:
        read = partial(os.pread, file.fileno())
        if size - end < _LEAST_FRAME_BYTES:
            return False
        return _frame_end(read, end, size) == end or _has_frame(read, end + 4, size)


def _has_frame(read: Callable[[int, int], bytes], start: int, size: int) -> bool:
    """Return True if a frame begins in this part of a file, by the first bytes that all frames have."""
    return any(FRAME_MAGIC in read(_PIECE_BYTES + 3, place) for place in range(start, size, _PIECE_BYTES))


def _frame_end(read: Callable[[int, int], bytes], start: int, size: int) -> int:
    """Return where the frame at `start` ends; `start` where there is none, more than `size` for half of one.

    `read` gives so many bytes from a place on.
    """
    head = read(8, start)
    if len(head) < 6:
        return start
    if int.from_bytes(head[:4], "little") >> 4 == _SKIPPABLE:
        return start + 8 + int.from_bytes(head[4:], "little")
    if head[:4] != FRAME_MAGIC:
        return start
    descriptor = head[4]
    is_single, has_checksum = descriptor >> 5 & 1, descriptor >> 2 & 1
    size_bytes = _SIZE_FIELD_BYTES[descriptor >> 6] or is_single
    at = start + 5 + (1 - is_single) + _DICTIONARY_FIELD_BYTES[descriptor & 3] + size_bytes
    while at + 3 <= size:
        header = int.from_bytes(read(3, at), "little")
        is_last, kind, length = header & 1, header >> 1 & 3, header >> 3
        at += 3 + (1 if kind == _RLE else length)
        if is_last:
            return at + 4 * has_checksum
    return size + 1
