"""Websocket frames as the server writes them: unmasked, and a few that no server should write (RFC 6455)."""

from collections.abc import Callable

Encoder = Callable[[bytes], bytes]

_TEXT = 0x81  # FIN and opcode 1
_PING = b"\x89\x04tick"


def _length(size: int, mask_bit: int = 0) -> bytes:
    if size < 126:
        return bytes((size | mask_bit,))
    if size < 65536:
        return bytes((126 | mask_bit,)) + size.to_bytes(2, "big")
    return bytes((127 | mask_bit,)) + size.to_bytes(8, "big")


def text_frame(payload: bytes) -> bytes:
    """Encode a whole text frame. On the hot path: one call per message and form, whatever the number of connections."""
    size = len(payload)
    if size < 126:
        return b"\x81%c%b" % (size, payload)
    if size < 65536:
        return b"\x81\x7e%b%b" % (size.to_bytes(2, "big"), payload)
    return b"\x81\x7f%b%b" % (size.to_bytes(8, "big"), payload)


def fragmented_frames(payload: bytes) -> bytes:
    """Encode three fragments with a ping after the first (RFC 6455 §5.4 allows both)."""
    third = len(payload) // 3
    first, second, last = payload[:third], payload[third : 2 * third], payload[2 * third :]
    begin = b"\x01" + _length(len(first)) + first + _PING
    return begin + b"\x00" + _length(len(second)) + second + b"\x80" + _length(len(last)) + last


def masked_frame(payload: bytes) -> bytes:
    """Encode a masked frame, which a server must never send (§5.1)."""
    key = b"\x37\xfa\x21\x3d"
    masked = bytes(byte ^ key[index & 3] for index, byte in enumerate(payload))
    return bytes((_TEXT,)) + _length(len(payload), 0x80) + key + masked


def reserved_bit_frame(payload: bytes) -> bytes:
    """Encode a frame with RSV1 set, although no extension was negotiated (§5.2)."""
    return bytes((_TEXT | 0x40,)) + _length(len(payload)) + payload
