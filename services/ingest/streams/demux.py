"""Which stream a websocket message belongs to, told from the combined form's wrapper without parsing what it wraps."""

from collections.abc import Sequence

import msgspec

_PREFIX = b'{"stream":"'
_DATA = b'","data":'
_NAME_AT = len(_PREFIX)
_BRACE = ord("}")
_LONGEST_NAME_BYTES = 400  # a symbol has 64 bytes at most
_LONGEST_NOTICE_BYTES = 512


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


def split(message: bytes) -> tuple[bytes, bytes]:
    """(stream name, event as it came) of a message in the exchange's own spelling of the combined form.

    Cheap, and gives some name for any bytes: ask `parse` where it is none that is known.
    """
    end = message.find(_DATA, _NAME_AT, _LONGEST_NAME_BYTES)
    if end < 0 or not message.startswith(_PREFIX) or message[-1] != _BRACE:
        return b"", message
    return message[_NAME_AT:end], message[end + len(_DATA) : -1]


def prefix_of(name: bytes) -> bytes:
    """What the messages of a stream begin with, in the exchange's own spelling; a brace ends them."""
    return _PREFIX + name + _DATA


def events_like(prefix: bytes, messages: Sequence[bytes], start: int) -> list[bytes]:
    """The events of the messages from `start` up to the first one that begins otherwise, or is cut off."""
    length = len(prefix)
    events = []
    for number in range(start, len(messages)):
        message = messages[number]
        if not message.startswith(prefix) or message[-1] != _BRACE:
            break
        events.append(message[length:-1])
    return events


def parse(message: bytes) -> tuple[bytes, bytes] | None:
    """The same of any spelling, None where it is not the combined form."""
    try:
        wrapper = _decode_wrapper(message)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return wrapper.stream.encode("utf-8", "replace"), bytes(wrapper.data)


def joined(name: bytes, event: bytes) -> bytes:
    """The message that `split` makes these two of."""
    return prefix_of(name) + event + b"}"


def inner_event(name: bytes, rest: bytes) -> bytes | None:
    """The event of a message that has more members behind it, `split` into its name and all the rest; else None."""
    parsed = parse(joined(name, rest))
    return parsed[1] if parsed is not None and parsed[0] == name and parsed[1] != rest else None


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
