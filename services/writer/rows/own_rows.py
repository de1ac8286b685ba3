"""Makes rows of our own messages: gaps, clock, books and audits in columns, all others as JSON of their fields."""

import math
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from binance_streamer.exchange.rows import COMMON_COLUMNS, OWN_COLUMNS
from binance_streamer.wire.frames import WireError, decode_frame
from services.writer.rows.cells import RowFault, level_cell, quoted, text_cell
from services.writer.rows.daily_files import day_of

MAX_NUMBER = 2**63 - 1
"""The largest integer of SQLite and of dataframes: 64 bits with a sign."""

TAIL = ",".join(COMMON_COLUMNS)
_DAY_COLUMNS = {"gap": "from_ns"}
"""Stream types whose row belongs to the day of this column, in ns; all others to that of `recv_ns`."""
_LEVEL_COLUMNS = frozenset({"bids", "asks"})
"""Columns with lists of [price, quantity], written like those of the exchange."""
_JSON_COLUMNS = frozenset({"differences"})
_ENVELOPE_KEYS = frozenset(
    "symbol stream recv_ns producer epoch seq source connection requested_ns event".split()  # noqa: SIM905
)


_Number = Annotated[int, Meta(ge=0, le=MAX_NUMBER)]


class OwnData(msgspec.Struct):
    """The fields that every frame has; others are read where they are recorded."""

    symbol: str
    stream: str
    recv_ns: _Number
    producer: str
    epoch: _Number
    seq: Annotated[int, Meta(ge=1, le=MAX_NUMBER)]
    source: str
    requested_ns: _Number | None = None
    event: bytes | None = None


def source_cell(source: str) -> bytes:
    """Return the cell of the column `source`."""
    return b"ws" if source == "ws" else text_cell(source, "source")


def common_cells(data: OwnData) -> bytes:
    """Return the cells from `recv_ns` to `source`, and the comma behind them."""
    return b"%d,%d,%d,%b," % (data.recv_ns, data.epoch, data.seq, source_cell(data.source))


def plain_fields(frame: bytes) -> bytes:
    """Return the fields of a message of ours as JSON, without those that every frame has."""
    return _json({key: value for key, value in whole_frame(frame).items() if key not in _ENVELOPE_KEYS}, "a field")


def whole_frame(frame: bytes) -> dict[str, Any]:
    """Return all fields of a frame; `RowFault` where it is none."""
    try:
        return decode_frame(frame)[1]
    except WireError as error:
        raise RowFault(str(error)) from error


def _json(value: object, what: str) -> bytes:
    try:
        return msgspec.json.encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise RowFault(f"{what} has no JSON form: {error}") from error


def own_header(stream_type: str) -> bytes:
    """Return the first line of the files of a stream type that has columns."""
    return f"{','.join(OWN_COLUMNS[stream_type])},{TAIL}\n".encode()


def own_line(stream_type: str, frame: bytes, data: OwnData) -> tuple[bytes, int]:
    """Return the row of a message that has columns, and its day in days since 1970."""
    columns = OWN_COLUMNS[stream_type]
    fields = {key: value for key, value in whole_frame(frame).items() if key in columns or key not in _ENVELOPE_KEYS}
    cells = [_cell(fields.pop(column, None), column) for column in columns]
    extra = quoted(_json(fields, "a field")) if fields else b""
    stamp = cells[columns.index(_DAY_COLUMNS[stream_type])] if stream_type in _DAY_COLUMNS else b""
    day = day_of(None, int(stamp)) if stamp.isdigit() else 0
    return b"%b,%b%b\n" % (b",".join(cells), common_cells(data), extra), day or day_of(None, data.recv_ns)


def _cell(value: object, column: str) -> bytes:
    if value is None:
        return b""
    if column in _LEVEL_COLUMNS or column in _JSON_COLUMNS:
        text = _json(value, column)
        return quoted(level_cell(text, column) if column in _LEVEL_COLUMNS else text)
    if type(value) is int or type(value) is bool:
        return _json(value, column)
    if isinstance(value, float) and math.isfinite(value):
        return repr(value).encode()
    if isinstance(value, str):
        return text_cell(value, column)
    raise RowFault(f"{column} is neither text nor a finite number")
