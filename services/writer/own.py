"""Messages made by us, as rows: gaps in columns, all others as the JSON of their fields. Pure."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from binance_streamer.wire import WireError, decode_frame
from services.writer.cells import RowFault, quoted, text_cell
from services.writer.places import day_of

MAX_NUMBER = 2**63 - 1
"""What SQLite and dataframes take as an integer."""

TAIL = "recv_ns,epoch,seq,source,extra"
GAP_COLUMNS = ("gap_id", "state", "stream", "from_id", "to_id", "from_ns", "to_ns", "reason", "repaired_by")
GAP_HEADER = f"{','.join(GAP_COLUMNS)},{TAIL}\n".encode()
_ENVELOPE_KEYS = frozenset(
    "symbol stream recv_ns producer epoch seq source connection requested_ns event".split()  # noqa: SIM905
)


_Number = Annotated[int, Meta(ge=0, le=MAX_NUMBER)]


class Data(msgspec.Struct):
    """What every frame carries; its other fields are read where they are recorded."""

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
    """The cell `source`."""
    return b"ws" if source == "ws" else text_cell(source, "source")


def common_cells(data: Data) -> bytes:
    """The cells from `recv_ns` to `source`, and the comma behind them."""
    return b"%d,%d,%d,%b," % (data.recv_ns, data.epoch, data.seq, source_cell(data.source))


def plain_fields(frame: bytes) -> bytes:
    """The fields of a message made by us, as JSON."""
    return _compact({key: value for key, value in whole_frame(frame).items() if key not in _ENVELOPE_KEYS})


def whole_frame(frame: bytes) -> dict[str, Any]:
    """All fields of a frame."""
    try:
        return decode_frame(frame)[1]
    except WireError as error:
        raise RowFault(str(error)) from error


def _compact(fields: dict[str, Any]) -> bytes:
    try:
        return msgspec.json.encode(fields)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise RowFault(f"a field has no JSON form: {error}") from error


def gap_line(frame: bytes, data: Data) -> tuple[bytes, int]:
    """The row of a gap, and its day."""
    fields = whole_frame(frame)
    fields = {key: value for key, value in fields.items() if key == "stream" or key not in _ENVELOPE_KEYS}
    cells = [_gap_cell(fields.pop(column, None), column) for column in GAP_COLUMNS]
    from_ns = cells[GAP_COLUMNS.index("from_ns")]
    extra = quoted(_compact(fields)) if fields else b""
    day = day_of(None, int(from_ns)) if from_ns.isdigit() else 0
    return b"%b,%b%b\n" % (b",".join(cells), common_cells(data), extra), day or day_of(None, data.recv_ns)


def _gap_cell(value: object, column: str) -> bytes:
    if value is None:
        return b""
    if type(value) is int:
        return b"%d" % value
    if isinstance(value, str):
        return text_cell(value, column)
    raise RowFault(f"{column} is neither text nor an integer")
