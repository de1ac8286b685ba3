"""Which stream a websocket message belongs to, told from the combined form's wrapper without parsing what it wraps."""

from typing import NamedTuple

import msgspec

_PREFIX = b'{"stream":"'
_DATA = b'","data":'
_NAME_AT = len(_PREFIX)
_LONGEST_NAME_BYTES = 400  # a symbol has 64 bytes at most
_LONGEST_NOTICE_BYTES = 512


class Routed(NamedTuple):
    """A message of the combined form; `event` is the inner object as it came."""

    name: bytes
    event: bytes


class _Wrapper(msgspec.Struct):
    stream: str
    data: msgspec.Raw


class _Inner(msgspec.Struct, frozen=True):
    e: str = ""


class _Notice(msgspec.Struct):
    """What the exchange says of a connection itself. `event` and `data` are other places where clients saw `e`."""

    e: str = ""
    event: _Inner = _Inner()
    data: _Inner = _Inner()


class _Answer(msgspec.Struct):
    result: None
    id: int


_decode_wrapper = msgspec.json.Decoder(_Wrapper).decode
_decode_notice = msgspec.json.Decoder(_Notice).decode
_decode_answer = msgspec.json.Decoder(_Answer).decode


def route(message: bytes) -> Routed | None:
    """The parts of a message of the combined form, None where it is not one.

    The exchange's own spelling costs two searches; other spellings of the same JSON are parsed.
    """
    if message.startswith(_PREFIX):
        end = message.find(_DATA, _NAME_AT, _LONGEST_NAME_BYTES)
        if end > 0 and message[-1] == 125:  # }
            name = message[_NAME_AT:end]
            if b'"' not in name and b"\\" not in name:
                return Routed(name, message[end + len(_DATA) : -1])
    try:
        wrapper = _decode_wrapper(message)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return Routed(wrapper.stream.encode("utf-8", "replace"), bytes(wrapper.data))


def is_shutdown(message: bytes) -> bool:
    """Whether it is `serverShutdown`: the exchange closes this connection in about ten minutes.

    Documented for spot only (read 2026-11-22); bare, in `data` and in `event` have been seen.
    """
    if len(message) > _LONGEST_NOTICE_BYTES or b"serverShutdown" not in message:
        return False
    try:
        notice = _decode_notice(message)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return "serverShutdown" in (notice.e, notice.event.e, notice.data.e)


def is_subscribed(message: bytes) -> bool:
    """Whether it is the acknowledgement of a SUBSCRIBE, which proves nothing: wrong streams get it too."""
    try:
        _decode_answer(message)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return True
