"""One segment of a journal: a file of records of one epoch, which begins with the last rows before it."""

import os
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from binance_streamer.exchange.messages import ExchangeError, Reading
from binance_streamer.exchange.readers import EventReader
from binance_streamer.exchange.rest import rest_row
from binance_streamer.exchange.stream_types import has_sequence_ids, is_repairable
from binance_streamer.exchange.streams import stream_from_name
from binance_streamer.wire import frames as wire
from binance_streamer.wire.frames import Position
from services.runtime.gaps.open_gaps import OpenGaps, with_gap, with_row
from services.runtime.journal.records import DamagedBytes, JournalRecord, scan

SUFFIX = ".journal"
_HEAD_READ_BYTES = 64 * 1024
MARK_BYTES = 64 * 1024


class LastRow(msgspec.Struct, frozen=True, array_like=True):
    """What was journalled last of one exchange stream; ids and event time are None where the messages have none.

    `open_gaps`: what REST may still have of it.
    """

    stream_type: str
    symbol: str
    last_id: int | None
    event_time_ms: int | None
    recv_ns: int
    open_gaps: OpenGaps = ()


_encode_rows = msgspec.msgpack.Encoder().encode
_decode_rows = msgspec.msgpack.Decoder(dict[str, LastRow]).decode


@dataclass(slots=True)
class Segment:
    """A segment as the journal knows it; `size` counts whole records, `first` is the position of its first frame."""

    path: Path
    number: int
    epoch: int
    first: int
    size: int
    acknowledged_at_s: float | None = None
    marks: list[tuple[int, int]] = field(default_factory=list)
    """(position, offset) of a record every `MARK_BYTES`, so that a position is found without reading the whole file."""

    def mark(self, position: int, offset: int) -> None:
        """Note where a record begins, unless the last note is near enough."""
        if offset - (self.marks[-1][1] if self.marks else 0) >= MARK_BYTES:
            self.marks.append((position, offset))

    def nearest_mark(self, position: int) -> tuple[int, int]:
        """The last note at or before the position; the beginning of the file where there is none."""
        index = bisect_right(self.marks, (position, 1 << 62))
        return self.marks[index - 1] if index else (self.first, 0)

    def mark_behind(self, position: int) -> int:
        """The offset of the first note behind the position; the end of the file where there is none."""
        index = bisect_right(self.marks, (position, 1 << 62))
        return self.marks[index][1] if index < len(self.marks) else self.size


def segment_path(directory: Path, number: int) -> Path:
    """Numbers never repeat while the journal has a segment, and sort as text."""
    return directory / f"{number:012d}{SUFFIX}"


def encode_last_rows(rows: Mapping[str, LastRow]) -> bytes:
    """The payload of a segment's head."""
    return _encode_rows(rows)


def following_row(before: LastRow | None, stream_type: str, symbol: str, reading: Reading, *, recv_ns: int) -> LastRow:
    """Where a stream stands behind one more row.

    A straggler does not set it back; an id that is lower at a newer event time does: the exchange counts anew. The row
    may end a gap that is open: a kill had cut it off behind the gap, and it came again.
    """
    last_id, event_time_ms = reading.last_id, reading.event_time_ms
    if before is not None and before.last_id is not None and before.event_time_ms is not None:
        is_new_count = has_sequence_ids(stream_type) and event_time_ms > before.event_time_ms
        if last_id is None or (last_id < before.last_id and not is_new_count):
            last_id = before.last_id
        event_time_ms = max(event_time_ms, before.event_time_ms)
    open_gaps = before.open_gaps if before is not None else ()
    if open_gaps and reading.previous_id is not None and reading.last_id is not None:
        open_gaps = with_row(open_gaps, reading.previous_id, reading.last_id)
    return LastRow(stream_type, symbol, last_id, event_time_ms, recv_ns, open_gaps)


def note_gap(rows: dict[str, LastRow], fields: Mapping[str, Any]) -> None:
    """Bring a stream's open gaps up to date with a gap message.

    The stream has come to where a gap ends that is open: a kill may have cut off the row behind it.
    """
    stream = fields["stream"]
    row = rows.get(stream)
    if row is None or not is_repairable(row.stream_type):
        return
    open_gaps = with_gap(row.open_gaps, fields)
    last_id, event_time_ms = row.last_id, row.event_time_ms
    for gap in open_gaps:
        if last_id is None or gap.to_id > last_id:  # what comes late for the gap is not newer than the row behind it
            last_id, event_time_ms = gap.to_id, max(event_time_ms or 0, gap.to_ns // 1_000_000)
    rows[stream] = msgspec.structs.replace(row, open_gaps=open_gaps, last_id=last_id, event_time_ms=event_time_ms)


def note_late_row(rows: dict[str, LastRow], stream_type: str, data: Mapping[str, Any]) -> None:
    """Take a row out of the gap that it fills, whoever brought it."""
    name, event = data["stream"], data.get("event")
    row = rows.get(name)
    if row is None or not row.open_gaps or row.stream_type != stream_type or event is None:
        return
    try:
        stream = stream_from_name(name)
        previous_id, last_id = (
            rest_row(stream, event)[:2] if data["source"] == "rest" else EventReader(stream).read(event)[:2]
        )
    except ExchangeError:
        return
    if previous_id is not None and last_id is not None:
        rows[name] = msgspec.structs.replace(row, open_gaps=with_row(row.open_gaps, previous_id, last_id))


def inspect(path: Path) -> Segment | None:
    """What a segment holds, by its first good record; None where it has none."""
    with path.open("rb") as file:
        beginning = file.read(_HEAD_READ_BYTES)
        found = _first_record(beginning) or _first_record(beginning + file.read())
    if found is None:
        return None
    return Segment(path, int(path.stem), found.epoch, found.position, path.stat().st_size)


def read_rows(path: Path, rows: dict[str, LastRow]) -> tuple[int, bool]:
    """Bring `rows` up to date with the segment's records.

    Returns the size up to the last whole record, and whether the head was readable (then `rows` holds nothing older).
    """
    whole = 0
    has_head = False
    for found in scan(path.read_bytes()):
        if isinstance(found, DamagedBytes):
            continue
        whole = found.end
        if found.is_head:
            rows.clear()
            rows.update(_rows_of_head(found))
            has_head = True
        else:
            _take_row(found.payload, rows)
    return whole, has_head


def cut_tail(path: Path, size: int) -> int:
    """Cut a torn tail; returns how many bytes it had."""
    torn = path.stat().st_size - size
    if torn > 0:
        os.truncate(path, size)
    return torn


def last_position(segment: Segment) -> Position | None:
    """The last frame, None where there is none; looked for behind the last mark first, so that little is read."""
    for offset in dict.fromkeys((segment.marks[-1][1] if segment.marks else 0, 0)):
        with segment.path.open("rb") as file:
            file.seek(offset)
            content = file.read(segment.size - offset)
        last = None
        for found in scan(content):
            if isinstance(found, JournalRecord) and not found.is_head:
                last = Position(found.epoch, found.position)
        if last is not None:
            return last
    return None


def _first_record(buffer: bytes) -> JournalRecord | None:
    return next((found for found in scan(buffer) if isinstance(found, JournalRecord)), None)


def _rows_of_head(head: JournalRecord) -> dict[str, LastRow]:
    try:
        return _decode_rows(head.payload)
    except msgspec.DecodeError:  # of a version that wrote its heads otherwise
        return {}


def _take_row(frame: bytes, rows: dict[str, LastRow]) -> None:
    try:
        stream_type, data = wire.decode_frame(frame)
    except wire.WireError:
        return
    if stream_type == "gap":
        note_gap(rows, data)
        return
    event, name = data.get("event"), data["stream"]
    if event is None or stream_type == "raw":
        return
    if data["source"] == "ws":
        try:
            reading = EventReader(stream_from_name(name)).read(event)
        except ExchangeError:
            return
        rows[name] = following_row(rows.get(name), stream_type, data["symbol"], reading, recv_ns=data["recv_ns"])
    else:
        note_late_row(rows, stream_type, data)
