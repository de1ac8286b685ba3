"""Makes a line of a file from each frame of a producer, and says which file; times come as arguments.

Every frame becomes exactly one line: what has no row form is a line of a `raw` file, with the reason. So the number of
rows of a run is the number of its frames, and a test can count them.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from binance_streamer.config.symbols import symbol_fault
from binance_streamer.exchange.rows import OWN_COLUMNS
from binance_streamer.exchange.streams import stream_variant
from binance_streamer.wire.frames import Topic
from services.runtime.delivery.events import EventFrames, MessageColumns, head_of, read_frames
from services.writer import kernel
from services.writer.rows.cells import RowFault, has_control, quoted
from services.writer.rows.daily_files import DailyFile, daily_file, day_of, raw_folder, root_file
from services.writer.rows.own_rows import (
    MAX_NUMBER,
    OwnData,
    common_cells,
    own_line,
    plain_fields,
    source_cell,
    whole_frame,
)
from services.writer.rows.raw_rows import RAW_HEADER, RawCounts, count_raw, raw_identity, raw_line
from services.writer.rows.routes import EXCHANGE_INFO, EXCHANGE_SYMBOL, RowRoute

_MAX_REMEMBERED = 20_000
_MAX_REMEMBERED_HEADS = 20_000
"""Beginnings of frames are one for each stream, connection and run: these come and go for months."""


class Run(NamedTuple):
    """One run of a producer, named by its epoch."""

    producer: str
    epoch: int


class Row(NamedTuple):
    """One line of one file, with the fields by which the loss tracker sees what is missing in front of it.

    `topic` is None where the frame could not be trusted to name one. `identity`, `epoch` and `seq` name the line for
    ever: files and lines tell them without a database. `event` is None where the line does not say how far its stream
    has come: what REST brought later fills a hole far behind.
    """

    target: DailyFile
    line: bytes
    identity: str
    epoch: int
    seq: int
    topic: Topic | None
    stream: str
    recv_ns: int
    event: bytes | None


class RowMaker:
    """Makes the rows of frames; remembers the routes of streams, and counts new keys and raw rows."""

    def __init__(self, raw_counts: RawCounts | None = None, *, file_format: str = "csv") -> None:
        """`raw_counts`: those of a maker before this one, which are counted on."""
        self._file_format = file_format
        self.raw_counts: RawCounts = {} if raw_counts is None else raw_counts
        self._routes: dict[tuple[str, str, str], RowRoute] = {}
        self._heads: dict[Run, dict[bytes, RowRoute]] = {}  # what frames of one connection and route begin with
        self._decode = msgspec.msgpack.Decoder(tuple[str, OwnData]).decode

    @property
    def new_keys(self) -> dict[str, list[str]]:
        """Return the keys that no column has and that were not expected, by series."""
        found: dict[str, set[str]] = {}
        for route in self._routes.values():
            for cells in (route.cells, route.rest_cells):
                if cells is not None and cells.new_keys:
                    found.setdefault(f"{route.folder}/{route.stem}", set()).update(cells.new_keys)
        return {series: sorted(keys)[:20] for series, keys in found.items()}

    def status(self) -> dict[str, Any]:
        """Return its part of the writer's status message."""
        new_keys = {series: tuple(keys) for series, keys in self.new_keys.items()}
        return {"new_keys": new_keys, "kernel": kernel.state}

    def rows(self, run: Run, first: int, frames: Sequence[bytes], *, now_ns: int) -> list[Row]:
        """Return one row for each frame; `first` is the position of the first one in its epoch."""
        rows = []
        for number, frame in enumerate(frames, first):
            try:
                stream_type, data = self._decode(frame)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                rows.append(self.unreadable(run, number, frame, reason=str(error), now_ns=now_ns))
                continue
            try:
                rows.append(self._row(run, frame, stream_type, data))
            except RowFault as fault:
                rows.append(self._raw(run, frame, stream_type, data, reason=str(fault)))
        return rows

    def messages(self, run: Run, frames: bytes) -> list[MessageColumns[RowRoute]] | None:
        """Return the exchange's messages in the frames of a batch; None where it holds anything else.

        Frames are known by their first bytes, which are the same for all of one stream, connection and run. These are
        learned from frames that went through `rows`, so that the first batch of each goes there.
        """
        found = read_frames(frames, self._heads.get(run, {}))
        if found is None or not all(map(_is_in_range, found)):
            return None
        return found

    def raw_message(self, run: Run, messages: MessageColumns[RowRoute], number: int, *, reason: str) -> Row:
        """Return the raw row of a message whose route carries something else."""
        route, seqs, stamps_ns, events = messages
        seq, recv_ns, event = seqs[number], stamps_ns[number], events[number]
        stream_type, symbol, _ = route.topic
        data = OwnData(symbol, route.stream, recv_ns, run.producer, run.epoch, seq, "ws", None, event)
        return self._raw(run, b"", stream_type, data, reason=reason)

    def unreadable(self, run: Run, number: int, frame: bytes, *, reason: str, now_ns: int) -> Row:
        """Return the raw row of bytes that are no frame: below the producer's name, its position plus one as `seq`."""
        data = OwnData("", "", now_ns, run.producer, run.epoch, number + 1, "")
        return self._raw(run, frame, "", data, reason=f"not a frame: {reason}")

    def _row(self, run: Run, frame: bytes, stream_type: str, data: OwnData) -> Row:
        epoch = run.epoch
        if data.epoch != epoch or data.producer != run.producer:
            raise RowFault("the frame names another producer or epoch than its batch")
        route = self._route(stream_type, data)
        if route.fault is not None:
            raise RowFault(route.fault)
        event = data.event
        cell_reader = route.cells if data.source != "rest" else route.rest_cells
        if cell_reader is not None and event is not None:
            columns, extra, day_ms = cell_reader.read(event)
            if cell_reader is not route.cells:
                event = None
            request = (
                (b"%d," % data.requested_ns if data.requested_ns is not None else b",") if route.with_request else b""
            )
            line = b"%b,%b%d,%d,%d,%b,%b\n" % (
                columns, request, data.recv_ns, epoch, data.seq, source_cell(data.source), extra
            )  # fmt: skip
            day = day_of(day_ms, data.recv_ns)
            if data.source == "ws" and not route.with_request:
                self._learn(run, frame, data, route)
        elif stream_type == EXCHANGE_INFO and data.symbol == EXCHANGE_SYMBOL and event is not None:
            return self._exchange_info(data, event, route.topic)
        elif stream_type == "raw":
            reason = str(whole_frame(frame).get("reason", ""))
            return self._raw(run, frame, stream_type, data, reason=reason)
        elif stream_type in OWN_COLUMNS:
            line, day = own_line(stream_type, frame, data)
        elif route.cells is not None:
            raise RowFault("the event is missing")
        else:
            cell = _event_cell(event if event is not None else plain_fields(frame))
            line = b"%b%b\n" % (common_cells(data), cell)
            day = day_of(None, data.recv_ns)
        target = route.target(day)
        return Row(target, line, target.series, epoch, data.seq, route.topic, data.stream, data.recv_ns, event)

    def _learn(self, run: Run, frame: bytes, data: OwnData, route: RowRoute) -> None:
        """Remember the first bytes of a frame, if it is written as `EventFrames` writes it."""
        heads = self._heads.get(run, {})
        head = head_of(frame)
        if head in heads or data.event is None or has_control(route.stream):
            return
        try:
            connection = whole_frame(frame).get("connection")
        except RowFault:
            return
        topic = (route.topic.stream_type, route.topic.symbol, route.stream)
        if type(connection) is not int:
            return
        frames = EventFrames(topic, connection, producer=run.producer, epoch=run.epoch)
        if frames.encode(data.seq, (data.recv_ns,), (data.event,)) == [frame]:
            if sum(map(len, self._heads.values())) >= _MAX_REMEMBERED_HEADS:
                self._heads.clear()
            self._heads.setdefault(run, {})[head] = route

    def _route(self, stream_type: str, data: OwnData) -> RowRoute:
        key = (stream_type, data.symbol, data.stream)
        route = self._routes.get(key)
        if route is None:
            fault = symbol_fault(data.symbol)
            if fault is not None:
                raise RowFault(f"the symbol {fault}")
            if len(self._routes) >= _MAX_REMEMBERED:
                self._routes.clear()
                self._heads.clear()
            route = self._routes[key] = RowRoute(stream_type, data.symbol, data.stream, file_format=self._file_format)
        elif len(route.targets) > 1000:
            route.targets.clear()
        return route

    def _exchange_info(self, data: OwnData, event: bytes, topic: Topic) -> Row:
        try:
            msgspec.json.decode(event, type=msgspec.Raw)
            event.decode()
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise RowFault(f"not JSON: {error}") from error
        source, cell = msgspec.json.encode(data.source), event.translate(_SPACE_FOR_LINE_BREAK)
        numbers = data.recv_ns, data.epoch, data.seq
        line = b'{"recv_ns":%d,"epoch":%d,"seq":%d,"source":%b,"event":%b}\n' % (*numbers, source, cell)
        target = root_file(EXCHANGE_INFO, day_of(None, data.recv_ns), "jsonl", b"")
        return Row(target, line, target.series, data.epoch, data.seq, topic, data.stream, data.recv_ns, event)

    def _raw(self, run: Run, frame: bytes, stream_type: str, data: OwnData, *, reason: str) -> Row:
        count_raw(self.raw_counts, data.stream or data.symbol or run.producer, reason)
        event = data.event if data.event is not None else frame
        stream, source = data.stream, data.source
        if has_control(stream_type + stream + source):
            event, stream_type, stream, source = frame, "", "", ""
        topic = None
        if stream_type and symbol_fault(data.symbol) is None and (data.producer, data.epoch) == run:
            topic = Topic(stream_type, data.symbol, stream_variant(stream_type, stream))
        line = raw_line((stream_type, stream, source), reason, event, stamps=(data.recv_ns, data.epoch, data.seq))
        target = daily_file(raw_folder(run.producer, data.symbol), "raw", day_of(None, data.recv_ns), RAW_HEADER)
        identity = raw_identity(target.series, stream_type, stream)
        return Row(target, line, identity, data.epoch, data.seq, topic, data.stream, data.recv_ns, data.event)


_SPACE_FOR_LINE_BREAK = bytes.maketrans(b"\r\n", b"  ")  # outside of strings, where JSON allows no raw line break


def _is_in_range(messages: MessageColumns[RowRoute]) -> bool:
    seqs = messages.seqs
    return min(seqs) > 0 and max(seqs) <= MAX_NUMBER and max(messages.stamps_ns) <= MAX_NUMBER


def _event_cell(event: bytes) -> bytes:
    try:
        event.decode()
    except UnicodeDecodeError as error:
        raise RowFault(f"the event is not UTF-8: {error.reason}") from error
    return quoted(event)
