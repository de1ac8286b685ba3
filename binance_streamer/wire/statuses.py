"""Status messages as typed structs. What a process does not say has a default; what it says wrongly is an error.

The fields are explained in docs/operations.md, "What a process says of itself".
"""

from typing import Any

import msgspec

from binance_streamer.wire.frames import WireError

RECORDING = "recording"
BLOCKED = "blocked: "
"""Begins the state of a process that cannot begin; the reason follows."""


class _StatusPart(msgspec.Struct, frozen=True, kw_only=True):
    pass


class StreamStatus(_StatusPart, frozen=True):
    """One stream of an ingest worker; None where it does not know."""

    messages: int = 0
    rate: float = 0.0
    rows: int = 0
    last_id: int | None = None
    gaps: int = 0
    repeats: int = 0
    raw: int = 0
    latency_ms: float | None = None
    last_recv_ns: int | None = None
    state: str = ""
    silent_s: float | None = None
    patience_s: float = 0.0


class ConnectionStatus(_StatusPart, frozen=True):
    """One connection of an ingest worker."""

    connection: int
    route: str
    ordinal: int = 0
    state: str = ""
    age_s: float = 0.0
    messages: int = 0
    first_arrivals: float = 0.0
    lag_ms: float | None = None

    @property
    def is_open(self) -> bool:
        """Whether the handshake is done; TCP ends a dead connection within half a minute."""
        return self.state in ("open", "delivering", "stalled", "late")

    @property
    def is_delivering(self) -> bool:
        """Whether anything has come over it; one that has stalled brings other streams, or did."""
        return self.state in ("delivering", "stalled", "late")


class JournalStatus(_StatusPart, frozen=True):
    """The journal of a producer."""

    state: str = RECORDING
    appended: int = 0
    not_journalled: int = 0
    refused_frames: int = 0
    journal_bytes: int = 0
    unacknowledged_bytes: int = 0
    unacknowledged_s: float = 0.0
    damaged_bytes: int = 0
    next_position: int = 0
    durable: tuple[int, int] | None = None
    syncs: int = 0
    sync_s: float = 0.0
    longest_write_s: float = 0.0
    longest_sync_s: float = 0.0
    disk_free_bytes: int | None = None
    disk_total_bytes: int | None = None


class BookStatus(_StatusPart, frozen=True):
    """One symbol of the order book service."""

    valid: bool = False
    valid_since_ns: int | None = None
    state: str = ""
    reason: str = ""
    resyncs: int = 0
    audits_passed: int = 0
    audits_failed: int = 0


class Status(_StatusPart, frozen=True):
    """What every process says of itself."""

    producer: str
    epoch: int
    recv_ns: int
    pid: int = 0
    started_ns: int = 0
    up_s: float = 0.0
    """Since its start, by a monotonic clock."""
    rss_bytes: int = 0
    cpu_s: float = 0.0
    state: str = ""
    journal: JournalStatus | None = None


def is_blocked(status: Status) -> bool:
    """Return True if the process cannot begin, for the reason that its state names."""
    return status.state.startswith(BLOCKED)


class IngestStatus(Status, frozen=True):
    """A worker's."""

    streams: dict[str, StreamStatus] = {}
    connections: tuple[ConnectionStatus, ...] = ()
    failing: dict[str, str] = {}
    suspicious: tuple[str, ...] = ()
    attempts_exhausted: bool = False
    opened: dict[str, int] = {}
    lost: dict[str, int] = {}
    queued_bytes: int = 0
    raw: dict[str, int] = {}
    snapshot_wanted: int | None = None
    is_trading: bool = True
    is_off_session: bool = False


class WrittenStatus(_StatusPart, frozen=True):
    """What the writer has of one producer, in its newest epoch."""

    next_received: int = 0
    next_durable: int = 0
    refused: int = 0


class WriterStatus(Status, frozen=True):
    """The writer's."""

    rows: int = 0
    bytes: int = 0
    gaps: int = 0
    commits: int = 0
    commit_s: float = 0.0
    longest_commit_s: float = 0.0
    producers: dict[str, WrittenStatus] = {}
    raw: dict[str, dict[str, int]] = {}
    """Rows in `raw` files since its start: by stream (`btcusdt@aggTrade`), then by reason."""
    disk_free_bytes: int | None = None
    disk_total_bytes: int | None = None


class RestStatus(Status, frozen=True):
    """The REST process's."""

    fault: str = ""
    stand_down_s: float = 0.0
    used_weight: int = 0
    weight_limit: int = 0
    answers: dict[str, int] = {}
    snapshots: int = 0
    waiting: int = 0
    clock_offset_ms: float | None = None
    clock_error_ms: float | None = None
    clock_steps: int = 0
    symbols: dict[str, str] = {}
    unlisted: dict[str, tuple[str, ...]] = {}
    """Configured symbols that the exchange does not list, each with the listed names most like it."""
    off_session: tuple[str, ...] = ()


class BusStatus(Status, frozen=True):
    """The bus's."""

    messages_in: int = 0
    bytes_in: int = 0
    messages_out: int = 0
    bytes_out: int = 0


class OrderbookStatus(Status, frozen=True):
    """The order book service's."""

    books: dict[str, BookStatus] = {}


_BY_PRODUCER: dict[str, type[Status]] = {
    "bus": BusStatus,
    "writer": WriterStatus,
    "rest": RestStatus,
    "orderbook": OrderbookStatus,
}


def read_status(data: dict[str, Any]) -> Status:
    """The status in a frame's data; `WireError` where a field is not what it should be."""
    producer = data["producer"]
    shape = IngestStatus if producer.startswith("ingest-") else _BY_PRODUCER.get(producer, Status)
    try:
        return msgspec.convert(data, shape)
    except msgspec.ValidationError as error:
        raise WireError(f"status of {producer!r:.80}: {error}") from error
