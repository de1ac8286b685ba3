"""Compares the compiled kernel with Python: the rows of messages behind the usual one of a stream."""

import json

from binance_streamer.exchange.stream_types import row_form
from services.runtime.delivery.events import MessageColumns
from services.writer import kernel
from services.writer.rows.cells import CellReader, RowFault
from services.writer.rows.spelling import Kind
from tests.support.spellings import USUAL, stream

RECV_NS, EPOCH, SEQ = 1_790_526_539_058_352_268, 1_790_000_000_000_000_001, 7
Row = tuple[bytes, int | None]


def reader(suffix: str, *events: bytes) -> CellReader:
    """A reader that has learnt from these messages, and has no other way than the kernel and the plain one."""
    form = row_form(stream(suffix).stream_type)
    assert form is not None
    found = CellReader(form, {"e": json.dumps(stream(suffix).type.shape.event).encode(), "s": b'"BTCUSDT"'})
    for event in events:
        found.read(event)
    return found


def rows_by_kernel(taught: CellReader, events: list[bytes]) -> list[Row | None]:
    count = len(events)
    found = taught.lines(MessageColumns("", [SEQ] * count, [RECV_NS] * count, events), EPOCH)
    assert found is not None
    return [None if line is None else (line, day_ms) for line, day_ms in zip(*found, strict=True)]


def row_by_python(plain: CellReader, event: bytes) -> Row | None:
    try:
        columns, extra, day_ms = plain.read(event)
    except RowFault:
        return None
    return b"%b,%d,%d,%d,ws,%b\n" % (columns, RECV_NS, EPOCH, SEQ, extra), day_ms


def check_rows(suffix: str, events: list[bytes]) -> int:
    """Compare the rows of messages behind the usual one; return how many the kernel made."""
    plain = reader(suffix)
    found = rows_by_kernel(reader(suffix, USUAL[suffix]), events)
    for event, row in zip(events, found, strict=True):
        if row is not None:
            assert row == row_by_python(plain, event), event
    return sum(row is not None for row in found)


def check_room() -> None:
    """Have a line made that is much longer than its message, of the longest numbers there are."""
    assert kernel.template_class is not None
    most = 2**64 - 1
    steps = ((b"", Kind.LEVELS), (b"", Kind.WHOLE))
    template = kernel.template_class(steps, b"", (0, b"x" * 50, 1), b"e" * 50, 1)
    lines: list[bytes | None] = [None]
    days_ms: list[int | None] = [None]
    assert template.lines([most], [most], [b"[]5"], b"%d" % most, lines, days_ms) == 0
    assert lines == [b'"[]",%b,5,%d,%d,%d,ws,%b\n' % (b"x" * 50, most, most, most, b"e" * 50)]
    assert days_ms == [5]
