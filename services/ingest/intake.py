"""All that a worker receives with: the thread that reads, the streams, and the coordinator between them."""

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import msgspec

from services.ingest.connections.reader import Reader
from services.ingest.coordinator import Coordinator
from services.ingest.streams.stream_set import StreamSet
from services.ingest.symbols import WorkerSymbols
from services.ingest.takeover.claims import SymbolClaims, rows_to_judge
from services.ingest.takeover.waiting import WorkerStreams
from services.runtime.clock import monotonic_s, wall_ns
from services.runtime.delivery.events import MAX_ENVELOPE_BYTES
from services.runtime.gaps.last_rows import LastRow
from services.runtime.process import Shell


@dataclass(slots=True)
class Intake:
    """The parts that receive; `streams` are replaced when a worker that waited begins to record."""

    reader: Reader
    streams: StreamSet
    coordinator: Coordinator
    symbols: WorkerSymbols
    took_over_ms: float | None = None
    """From the moment at which the journal was ours until all was known that is to be recorded behind it; None of a
    worker that has not waited."""


def new_intake(
    shell: Shell, worker: str, symbols: WorkerSymbols, claims: SymbolClaims, last_rows: Mapping[str, LastRow]
) -> tuple[Intake, WorkerStreams]:
    """Return what receives these symbols from their last rows on; nothing is connected yet.

    Those that another worker records, or has recorded last, wait.
    """
    own = claims.take_own(symbols.by_name)
    rows = rows_to_judge(symbols, claims, own, last_rows)
    streams = WorkerStreams(
        worker, [one for one in symbols.streams if one.symbol in own], last_rows=rows, new_gap_id=gap_ids(shell.epoch)
    )
    intake = intake_of(shell, worker, symbols, streams)
    streams.wait_for(symbols.by_name.keys() - set(own))
    intake.coordinator.add([one for one in symbols.streams if one.symbol not in own], monotonic_s())
    return intake, streams


def intake_of(shell: Shell, worker: str, symbols: WorkerSymbols, streams: StreamSet) -> Intake:
    """Return what receives these symbols for these streams."""
    connections = shell.config.connections_of(shell.config.symbol(worker))
    network = msgspec.structs.replace(shell.config.network, connections=connections)
    config = msgspec.structs.replace(shell.config, network=network)
    reader = Reader(
        max_message_bytes=config.performance.max_frame_bytes - MAX_ENVELOPE_BYTES,
        frame_timeout_s=config.network.frame_timeout,
    )
    coordinator = Coordinator(config, worker, streams, reader, started_ns=wall_ns())
    return Intake(reader, streams, coordinator, symbols)


def gap_ids(epoch: int) -> Callable[[], str]:
    """Return what names the gaps of one run: `<epoch>-1`, `<epoch>-2`, …"""
    numbers = itertools.count(1)
    return lambda: f"{epoch}-{next(numbers)}"
