"""The journal's bytes: records of frames, one after another.

A record is a header (`_HEADER`) and a payload. The checksum covers both: it is the CRC-32 of the payload, started from
a value that any change of the header changes.
"""

import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from zlib_ng.zlib_ng import crc32  # that of zlib by the processor's own instructions, in a fifth of the time

from binance_streamer.wire.frames import MAX_FRAME_BYTES

_FRAME_MAGIC = 0x6E9A_51C3
_HEAD_MAGIC = 0x6E9A_51D4
_HEADER = struct.Struct("<IIIQQ")  # magic, payload length, checksum, epoch, position
HEADER_BYTES = _HEADER.size
_MAX_PAYLOAD_BYTES = MAX_FRAME_BYTES + 64 * 1024
_MAGICS = (struct.pack("<I", _FRAME_MAGIC), struct.pack("<I", _HEAD_MAGIC))


class JournalRecord(NamedTuple):
    """One whole record in a buffer; `end` is where the next one begins."""

    start: int
    end: int
    is_head: bool
    epoch: int
    position: int
    payload: bytes


class DamagedBytes(NamedTuple):
    """Bytes that are no record, up to the next whole record or to the end of the buffer."""

    start: int
    end: int


def encode_frames(epoch: int, first: int, frames: Sequence[bytes]) -> bytes:
    """Records of these frames at the positions `first`, `first + 1`, …"""
    parts: list[bytes] = []
    seed = _seed(_FRAME_MAGIC, 0, epoch, 0)
    for position, frame in enumerate(frames, first):
        length = len(frame)
        checksum = crc32(frame, seed ^ length ^ position & 0xFFFF_FFFF ^ position >> 32)
        parts += (_HEADER.pack(_FRAME_MAGIC, length, checksum, epoch, position), frame)
    return b"".join(parts)


def encode_head(epoch: int, position: int, payload: bytes) -> bytes:
    """The first record of a segment; `position` is that of the frame that follows."""
    return _header(_HEAD_MAGIC, epoch, position, payload) + payload


def scan(buffer: bytes, start: int = 0) -> Iterator[JournalRecord | DamagedBytes]:
    """All records from `start` on, and the damage between them. A record cut off by the end of the buffer is damage."""
    at = start
    while at < len(buffer):
        record = _record_at(buffer, at)
        if record is None:
            end = _next_record(buffer, at + 1)
            yield DamagedBytes(at, end)
            at = end
        else:
            yield record
            at = record.end


def frames_at(buffer: bytes, max_bytes: int, max_frames: int) -> tuple[list[memoryview], int, int]:
    """The whole frames with which the buffer begins: consecutive positions of one epoch, as many as fit, one at least.

    Returns them, the position of the first one, and where the next record begins.
    """
    frames: list[memoryview] = []
    first = end = 0
    epoch, expected = None, 0
    view = memoryview(buffer)
    while len(frames) < max_frames and end + HEADER_BYTES <= len(buffer):
        magic, length, checksum, own_epoch, position = _HEADER.unpack_from(buffer, end)
        if magic != _FRAME_MAGIC or (frames and (position != expected or own_epoch != epoch)):
            break
        begin = end + HEADER_BYTES
        frame = view[begin : begin + length]
        max_bytes -= length
        seed = (magic ^ length ^ own_epoch ^ own_epoch >> 32 ^ position ^ position >> 32) & 0xFFFF_FFFF
        if len(frame) != length or (frames and max_bytes < 0) or crc32(frame, seed) != checksum:
            break
        if not frames:
            first, epoch = position, own_epoch
        frames.append(frame)
        expected = position + 1
        end = begin + length
    return frames, first, end


def _header(magic: int, epoch: int, position: int, payload: bytes) -> bytes:
    checksum = crc32(payload, _seed(magic, len(payload), epoch, position))
    return _HEADER.pack(magic, len(payload), checksum, epoch, position)


def _seed(magic: int, length: int, epoch: int, position: int) -> int:
    return (magic ^ length ^ epoch ^ (epoch >> 32) ^ position ^ (position >> 32)) & 0xFFFF_FFFF


def _record_at(buffer: bytes, at: int) -> JournalRecord | None:
    if at + HEADER_BYTES > len(buffer):
        return None
    magic, length, checksum, epoch, position = _HEADER.unpack_from(buffer, at)
    if magic not in (_FRAME_MAGIC, _HEAD_MAGIC):
        return None
    end = at + HEADER_BYTES + length
    if length > _MAX_PAYLOAD_BYTES or end > len(buffer):
        return None
    payload = buffer[at + HEADER_BYTES : end]
    if crc32(payload, _seed(magic, length, epoch, position)) != checksum:
        return None
    return JournalRecord(at, end, magic == _HEAD_MAGIC, epoch, position, payload)


def _next_record(buffer: bytes, at: int) -> int:
    """Where the next whole record begins: a magic number that is not just part of somebody's payload."""
    candidates = [buffer.find(magic, at) for magic in _MAGICS]
    while any(candidate >= 0 for candidate in candidates):
        nearest = min(candidate for candidate in candidates if candidate >= 0)
        if _record_at(buffer, nearest) is not None:
            return nearest
        index = candidates.index(nearest)
        candidates[index] = buffer.find(_MAGICS[index], nearest + 1)
    return len(buffer)
