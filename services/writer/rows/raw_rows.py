"""Lines of `raw` files: messages that have no row form, byte for byte, with the reason.

Nothing that a producer sends may be lost because it is odd, and no odd message may end the writer or harm another one.
So a raw line takes any bytes, and its other cells are made harmless first.
"""

import base64

from binance_streamer.exchange.rows import RAW_COLUMNS
from services.writer.rows.cells import has_control, quoted, text_cell

RAW_HEADER = f"{','.join(RAW_COLUMNS)}\n".encode()
_MAX_REASON_CHARACTERS = 200
_MAX_STREAMS, _MAX_REASONS = 100, 10
"""Counted apart in the status message: a flood of odd names must not make that large, it goes out every second."""
_MAX_NAME_CHARACTERS, _MAX_KIND_CHARACTERS = 100, 60

RawCounts = dict[str, dict[str, int]]
"""Raw rows by the exchange's name of their stream and by reason; those of no stream by symbol, or else by producer."""


def raw_line(names: tuple[str, str, str], reason: str, event: bytes, *, stamps: tuple[int, int, int]) -> bytes:
    """Return the line of a message.

    `names` are stream type, stream and source, without control characters; `stamps` are `recv_ns`, epoch and seq.
    """
    stream_type, stream, source = names
    encoding, text = _event_cell(event)
    harmless = "".join(" " if has_control(character) else character for character in reason)
    cells = [text_cell(one, "a name") for one in (stream_type, stream, harmless[:_MAX_REASON_CHARACTERS])]
    return b",".join([*cells, encoding, text, b"%d,%d,%d" % stamps, text_cell(source, "a name")]) + b"\n"


def raw_identity(series: str, stream_type: str, stream: str) -> str:
    """Return the name of the sequence that a line belongs to: many streams number their rows in one raw file."""
    return f"{series} {stream_type} {stream}"


def count_raw(counts: RawCounts, stream: str, reason: str) -> None:
    """Count a raw row, unless too many streams or reasons are counted already.

    Rows of one kind differ behind the first colon of their reason, so that this part does not count.
    """
    stream = stream[:_MAX_NAME_CHARACTERS]
    if stream not in counts and len(counts) >= _MAX_STREAMS:
        return
    reasons = counts.setdefault(stream, {})
    kind = reason.split(":", 1)[0][:_MAX_KIND_CHARACTERS]
    if kind in reasons or len(reasons) < _MAX_REASONS:
        reasons[kind] = reasons.get(kind, 0) + 1


def _event_cell(event: bytes) -> tuple[bytes, bytes]:
    """Return how the bytes are written, and the cell: as they are where that is one line of UTF-8, else in base64."""
    if b"\n" not in event and b"\r" not in event and b"\0" not in event:
        try:
            event.decode()
        except UnicodeDecodeError:
            pass
        else:
            return b"utf-8", quoted(event)
    return b"base64", base64.b64encode(event)
