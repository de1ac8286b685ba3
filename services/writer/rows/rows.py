"""A frame of a producer as a line of a file: which file, which day, which bytes. Times come as arguments.

Every frame becomes exactly one line. What has no row form is a line of a `raw` file, with the reason.
"""

import base64
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from binance_streamer.config.symbols import encode_name, symbol_fault
from binance_streamer.exchange.messages import ExchangeError
from binance_streamer.exchange.rows import RowForm
from binance_streamer.exchange.stream_types import event_name, file_stem, rest_row_form, row_form
from binance_streamer.exchange.streams import stream_from_name, stream_variant
from binance_streamer.wire.frames import Topic
from services.runtime.delivery.events import EventFrames, MessageColumns, head_of, read_frames
from services.writer.rows.cells import CellReader, RowFault, has_control, quoted, text_cell
from services.writer.rows.daily_files import DailyFile, daily_file, day_of, is_free_stem, raw_folder, root_file
from services.writer.rows.own_rows import (
    MAX_NUMBER,
    OWN_COLUMNS,
    TAIL,
    OwnData,
    common_cells,
    own_header,
    own_line,
    plain_fields,
    source_cell,
    whole_frame,
)

_EVENT_HEADER = b"recv_ns,epoch,seq,source,event\n"
RAW_HEADER = b"stream_type,stream,reason,encoding,event,recv_ns,epoch,seq,source\n"
_MAX_REMEMBERED = 20_000
_MAX_REMEMBERED_HEADS = 20_000
"""Streams times connections, of all runs; both come and go for months."""
_MAX_RAW_STREAMS, _MAX_RAW_REASONS, _MAX_COUNTED_NAME = 100, 10, 100
"""Counted apart in the status message, which goes over the bus every second."""

EXCHANGE_INFO = "exchange_info"
EXCHANGE_SYMBOL = "EXCHANGE"
CLOCK = "clock"


class Run(NamedTuple):
    """One run of a producer."""

    producer: str
    epoch: int


class Row(NamedTuple):
    """One line of one file, and what continuity needs to know of it.

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


RawCounts = dict[str, dict[str, int]]
"""Raw rows by the exchange's name of their stream and by reason; those of no stream by symbol, or else by producer."""


class RowRoute:
    """What is the same for all frames of one stream type, symbol and stream."""

    __slots__ = (
        "cells",
        "fault",
        "folder",
        "header",
        "is_of_all_symbols",
        "rest_cells",
        "stem",
        "stream",
        "targets",
        "topic",
        "with_request",
    )

    def __init__(self, stream_type: str, symbol: str, stream: str) -> None:
        self.stream = stream
        self.fault: str | None = None
        self.cells: CellReader | None = None
        self.rest_cells: CellReader | None = None
        self.with_request = stream_type == "depth_snapshot"
        self.targets: dict[int, DailyFile] = {}
        self.folder = encode_name(symbol)
        self.stem = stream_type
        self.header = _EVENT_HEADER
        variant = stream_variant(stream_type, stream)
        self.topic = Topic(stream_type, symbol, variant)
        self.is_of_all_symbols = stream_type == CLOCK and symbol == EXCHANGE_SYMBOL
        form = row_form(stream_type)
        if event_name(stream_type) is not None:
            self.fault = _stream_fault(stream_type, symbol, stream)
        elif form is None and not is_free_stem(stream_type):
            self.fault = "the stream type cannot be part of a file name"
        if self.fault is None:
            self.stem = file_stem(stream_type, variant)
        if form is not None:
            self.cells = self.rest_cells = CellReader(form, _implied(stream_type, symbol, variant, form))
            rest_form = rest_row_form(stream_type)
            if rest_form is not None:
                self.rest_cells = CellReader(rest_form, {})
            request = "requested_ns," if self.with_request else ""
            self.header = f"{','.join(column for column, _ in form.columns)},{request}{TAIL}\n".encode()
        elif stream_type in OWN_COLUMNS:
            self.header = own_header(stream_type)

    def target(self, day: int) -> DailyFile:
        found = self.targets.get(day)
        if found is None:
            if self.is_of_all_symbols:
                found = root_file(self.stem, day, "csv", self.header)
            else:
                found = daily_file(self.folder, self.stem, day, self.header)
            self.targets[day] = found
        return found


class RowMaker:
    """Makes the rows of frames; remembers routes, and counts what was new or had no form."""

    def __init__(self, raw_counts: RawCounts | None = None) -> None:
        """`raw_counts`: those of a maker before this one, which are counted on."""
        self.raw_counts: RawCounts = {} if raw_counts is None else raw_counts
        self._routes: dict[tuple[str, str, str], RowRoute] = {}
        self._heads: dict[Run, dict[bytes, RowRoute]] = {}  # what frames of one connection and route begin with
        self._decode = msgspec.msgpack.Decoder(tuple[str, OwnData]).decode

    @property
    def new_keys(self) -> dict[str, list[str]]:
        """Keys that no column has and that were not expected, per series."""
        found: dict[str, set[str]] = {}
        for route in self._routes.values():
            for cells in (route.cells, route.rest_cells):
                if cells is not None and cells.new_keys:
                    found.setdefault(f"{route.folder}/{route.stem}", set()).update(cells.new_keys)
        return {series: sorted(keys)[:20] for series, keys in found.items()}

    def rows(self, run: Run, first: int, frames: Sequence[bytes], *, now_ns: int) -> list[Row]:
        """One row per frame; `first` is the position of the first one in its epoch."""
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
        """The exchange's messages in the frames of a batch, where it holds nothing else, as nearly all do.

        None otherwise, and where the first ones of a kind have not been through `rows` yet: each frame begins like one
        of the same run that had a row.
        """
        found = read_frames(frames, self._heads.get(run, {}))
        if found is None or not all(map(_is_in_range, found)):
            return None
        return found

    def raw_message(self, run: Run, messages: MessageColumns[RowRoute], number: int, *, reason: str) -> Row:
        """One that is not what its route carries."""
        route, seqs, stamps_ns, events = messages
        seq, recv_ns, event = seqs[number], stamps_ns[number], events[number]
        stream_type, symbol, _ = route.topic
        data = OwnData(symbol, route.stream, recv_ns, run.producer, run.epoch, seq, "ws", None, event)
        return self._raw(run, b"", stream_type, data, reason=reason)

    def unreadable(self, run: Run, number: int, frame: bytes, *, reason: str, now_ns: int) -> Row:
        """What is not a frame, named by its position, as raw bytes below its producer's name."""
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
        """Remember what a frame begins with, if it is spelt as most are."""
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
            route = self._routes[key] = RowRoute(stream_type, data.symbol, data.stream)
        elif len(route.targets) > 1000:
            route.targets.clear()
        return route

    def _exchange_info(self, data: OwnData, event: bytes, topic: Topic) -> Row:
        try:
            msgspec.json.decode(event, type=msgspec.Raw)
            event.decode()
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise RowFault(f"not JSON: {error}") from error
        line = b'{"recv_ns":%d,"epoch":%d,"seq":%d,"source":%b,"event":%b}\n' % (
            data.recv_ns,
            data.epoch,
            data.seq,
            msgspec.json.encode(data.source),
            event.translate(_SPACE_FOR_LINE_BREAK),
        )
        target = root_file(EXCHANGE_INFO, day_of(None, data.recv_ns), "jsonl", b"")
        return Row(target, line, target.series, data.epoch, data.seq, topic, data.stream, data.recv_ns, event)

    def _raw(self, run: Run, frame: bytes, stream_type: str, data: OwnData, *, reason: str) -> Row:
        self._count_raw(data.stream or data.symbol or run.producer, reason)
        event = data.event if data.event is not None else frame
        stream, source = data.stream, data.source
        if has_control(stream_type + stream + source):
            event, stream_type, stream, source = frame, "", "", ""
        topic = None
        if stream_type and symbol_fault(data.symbol) is None and (data.producer, data.epoch) == run:
            topic = Topic(stream_type, data.symbol, stream_variant(stream_type, stream))
        folder = raw_folder(run.producer, data.symbol)
        encoding, text = _raw_text(event)
        line = b"%b,%b,%b,%b,%b,%d,%d,%d,%b\n" % (
            text_cell(stream_type, "stream type"),
            text_cell(stream, "stream"),
            text_cell(_without_control(reason)[:200], "reason"),
            encoding,
            text,
            data.recv_ns,
            data.epoch,
            data.seq,
            text_cell(source, "source"),
        )
        target = daily_file(folder, "raw", day_of(None, data.recv_ns), RAW_HEADER)
        identity = raw_identity(target.series, stream_type, stream)
        return Row(target, line, identity, data.epoch, data.seq, topic, data.stream, data.recv_ns, data.event)

    def _count_raw(self, stream: str, reason: str) -> None:
        reasons = self.raw_counts.get(stream[:_MAX_COUNTED_NAME])
        if reasons is None:
            if len(self.raw_counts) >= _MAX_RAW_STREAMS:
                return
            reasons = self.raw_counts[stream[:_MAX_COUNTED_NAME]] = {}
        kind = reason.split(":", 1)[0][:60]
        if kind in reasons or len(reasons) < _MAX_RAW_REASONS:
            reasons[kind] = reasons.get(kind, 0) + 1


_SPACE_FOR_LINE_BREAK = bytes.maketrans(b"\r\n", b"  ")  # outside of strings, where JSON allows no raw line break


def _is_in_range(messages: MessageColumns[RowRoute]) -> bool:
    seqs = messages.seqs
    return min(seqs) > 0 and max(seqs) <= MAX_NUMBER and max(messages.stamps_ns) <= MAX_NUMBER


def raw_identity(series: str, stream_type: str, stream: str) -> str:
    """Names the sequence that a line of a raw file belongs to."""
    return f"{series} {stream_type} {stream}"


def _stream_fault(stream_type: str, symbol: str, stream: str) -> str | None:
    try:
        found = stream_from_name(stream)
    except ExchangeError:
        return "the stream is not one of the exchange's"
    if found.stream_type != stream_type:
        return "the stream is of another type"
    if found.symbol != symbol:
        return "the stream is of another symbol"
    return None if found.name == stream else "the stream is spelt otherwise"  # two would share a file and a topic


def _implied(stream_type: str, symbol: str, variant: str, form: RowForm) -> dict[str, bytes]:
    quoted_symbol = msgspec.json.encode(symbol)
    implied = {"e": msgspec.json.encode(event_name(stream_type)), "s": quoted_symbol}
    if form.inner:
        implied[f"{form.inner}.s"] = quoted_symbol
    if "open_time" in dict(form.columns) and form.inner:
        implied[f"{form.inner}.i"] = msgspec.json.encode(variant.rpartition("_")[2])
    return implied


def _event_cell(event: bytes) -> bytes:
    try:
        event.decode()
    except UnicodeDecodeError as error:
        raise RowFault(f"the event is not UTF-8: {error.reason}") from error
    return quoted(event)


def _raw_text(event: bytes) -> tuple[bytes, bytes]:
    if b"\n" not in event and b"\r" not in event and b"\0" not in event:
        try:
            event.decode()
        except UnicodeDecodeError:
            pass
        else:
            return b"utf-8", quoted(event)
    return b"base64", base64.b64encode(event)


def _without_control(text: str) -> str:
    return "".join(" " if has_control(character) else character for character in text)
