"""All that receives a symbol: the thread that reads, the streams, and the coordinator of connections between them."""

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import msgspec

from binance_streamer.config.schema import SymbolConfig, streams_of
from services.ingest.connections.reader import Reader
from services.ingest.coordinator import Coordinator
from services.ingest.streams.stream_set import StreamSet
from services.ingest.trading import Trading
from services.runtime.clock import wall_ns
from services.runtime.delivery.events import MAX_ENVELOPE_BYTES
from services.runtime.gaps.last_rows import LastRow
from services.runtime.process import Shell


@dataclass(slots=True)
class Intake:
    """The parts that receive one symbol; `streams` are replaced when a worker that waited begins to record."""

    reader: Reader
    streams: StreamSet
    coordinator: Coordinator
    trading: Trading
    took_over_ms: float | None = None
    """From the moment at which the journal was ours until all was known that is to be recorded behind it; None of a
    worker that has not waited."""


def new_intake(shell: Shell, symbol: SymbolConfig, last_rows: Mapping[str, LastRow]) -> Intake:
    """Return what receives this symbol from its last rows on; nothing is connected yet."""
    streams = StreamSet(symbol.symbol, streams_of(symbol), last_rows=last_rows, new_gap_id=gap_ids(shell.epoch))
    return intake_of(shell, symbol, streams)


def intake_of(shell: Shell, symbol: SymbolConfig, streams: StreamSet) -> Intake:
    """Return what receives this symbol for these streams."""
    network = msgspec.structs.replace(shell.config.network, connections=shell.config.connections_of(symbol))
    config = msgspec.structs.replace(shell.config, network=network)
    reader = Reader(
        max_message_bytes=config.performance.max_frame_bytes - MAX_ENVELOPE_BYTES,
        frame_timeout_s=config.network.frame_timeout,
    )
    coordinator = Coordinator(config, symbol.symbol, streams, reader, started_ns=wall_ns())
    return Intake(reader, streams, coordinator, Trading())


def gap_ids(epoch: int) -> Callable[[], str]:
    """Return what names the gaps of one run: `<epoch>-1`, `<epoch>-2`, …"""
    numbers = itertools.count(1)
    return lambda: f"{epoch}-{next(numbers)}"
