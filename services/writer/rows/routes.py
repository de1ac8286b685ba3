"""Where the frames of one stream go: the columns of their rows, the header, and the file of each day."""

import msgspec

from binance_streamer.config.symbols import encode_name
from binance_streamer.exchange.messages import ExchangeError
from binance_streamer.exchange.rows import EVENT_COLUMNS, OWN_COLUMNS, SNAPSHOT_TYPE, RowForm
from binance_streamer.exchange.stream_types import event_name, file_stem, rest_row_form, row_form
from binance_streamer.exchange.streams import stream_from_name, stream_variant
from binance_streamer.wire.frames import Topic
from services.writer.rows.cells import CellReader
from services.writer.rows.daily_files import DailyFile, daily_file, is_free_stem, root_file, suffix_of
from services.writer.rows.own_rows import TAIL, own_header

_EVENT_HEADER = f"{','.join(EVENT_COLUMNS)}\n".encode()
EXCHANGE_INFO = "exchange_info"
EXCHANGE_SYMBOL = "EXCHANGE"
CLOCK = "clock"


class RowRoute:
    """Everything that is the same for all frames of one stream type, symbol and stream: columns, header, files.

    `fault` is the reason why none of its frames has a row form; None where they have one.
    """

    __slots__ = (
        "cells",
        "fault",
        "folder",
        "header",
        "is_of_all_symbols",
        "rest_cells",
        "stem",
        "stream",
        "suffix",
        "targets",
        "topic",
        "with_request",
    )

    def __init__(self, stream_type: str, symbol: str, stream: str, *, file_format: str = "csv") -> None:
        self.stream = stream
        self.suffix = suffix_of(stream_type, file_format)
        self.fault: str | None = None
        self.cells: CellReader | None = None
        self.rest_cells: CellReader | None = None
        self.with_request = stream_type == SNAPSHOT_TYPE
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
        """Return the file of a day, given in days since 1970."""
        found = self.targets.get(day)
        if found is None:
            if self.is_of_all_symbols:
                found = root_file(self.stem, day, "csv", self.header)
            else:
                found = daily_file(self.folder, self.stem, day, self.header, suffix=self.suffix)
            self.targets[day] = found
        return found


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
    implied = {"e": msgspec.json.encode(event_name(stream_type)), "s": quoted_symbol, "symbol": quoted_symbol}
    if form.inner:
        implied[f"{form.inner}.s"] = quoted_symbol
    if "open_time" in dict(form.columns) and form.inner:
        implied[f"{form.inner}.i"] = msgspec.json.encode(variant.rpartition("_")[2])
    return implied
