"""Status messages: one struct for each process, built by the process itself and read by everybody else.

Every process publishes its struct once a second under `status.<process>.`; docs/operations.md, "What a process says of
itself", explains the fields. A field that is absent has its default, so that a reader understands an older producer.
A field of the wrong type is an error. Counts are those of the current run of the process.
"""

from typing import Any

import msgspec

from binance_streamer.wire.frames import WIRE_VERSION, WireError
from binance_streamer.wire.status_parts import (
    BookStatus,
    ConnectionStatus,
    JournalStatus,
    StreamStatus,
    Volumes,
    WebhookStatus,
    WrittenStatus,
)

STANDBY = "standby"
"""The state of an ingest worker that waits for the journal of another one, and is connected."""
TAKEN_OVER = "taken over"
"""The reason in the row of `status` by which a worker says that it goes on in place of another one."""
COMPILED = "in use"
"""The state of the writer's compiled kernel where it makes the rows."""
BLOCKED = "blocked: "
"""The state of a process that cannot begin starts with this; the reason follows."""


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """The fields that all status messages share.

    `StatusPublisher` fills in those from `producer` to `cpu_s`.
    """

    producer: str = ""
    epoch: int = 0
    recv_ns: int = 0
    """When the message was made, in nanoseconds since 1970 UTC."""
    seq: int = 0
    wire_version: int = WIRE_VERSION
    pid: int = 0
    started_ns: int = 0
    up_s: float = 0.0
    """Since its start, by a monotonic clock."""
    rss_bytes: int = 0
    cpu_s: float = 0.0
    """CPU time since the start, user and system."""
    state: str = ""
    journal: JournalStatus | None = None
    """None for processes that have no journal: bus, writer, monitor and archiver."""
    cut: dict[str, int] = {}
    """Maps that were too large to send whole, with the number of their entries."""


def is_blocked(status: Status) -> bool:
    """Return True if the process cannot begin, for the reason that its state names."""
    return status.state.startswith(BLOCKED)


class IngestStatus(Status, frozen=True, kw_only=True):
    """The status of an ingest worker: its streams by exchange name, its connections, and what fails."""

    streams: dict[str, StreamStatus] = {}
    connections: tuple[ConnectionStatus, ...] = ()
    failing: dict[str, str] = {}
    """By route: why the last attempt to connect failed. Empty when all is well."""
    suspicious: tuple[str, ...] = ()
    attempts_exhausted: bool = False
    opened: dict[str, int] = {}
    lost: dict[str, int] = {}
    queued_bytes: int = 0
    raw: dict[str, int] = {}
    bus_refused: int = 0
    snapshots_wanted: dict[str, int] = {}
    """By symbol: the least `last_update_id` of the depth snapshot that is being asked for."""
    not_trading: tuple[str, ...] = ()
    """Symbols of which the REST process says that they do not trade."""
    off_session: tuple[str, ...] = ()
    """Symbols whose market is closed."""
    waiting: dict[str, str] = {}
    """Symbols that this worker receives and does not record yet: empty where another worker has it, else why."""
    others: dict[str, int] = {}
    """By stream of all symbols: messages in it of symbols that this worker does not record."""
    took_over_ms: float | None = None
    """Time taken to go on in place of another worker; None of one that has connected after it had its journal."""
    is_warm: bool = False
    """Of one that waits for its journal: every stream comes, so that it could go on in place of the other one."""
    recent_bytes: int = 0
    """Of one that waits: what it remembers of the last seconds."""
    recent_dropped: int = 0
    """Of one that waits: messages that it has forgotten before their time, for want of room."""


class WriterStatus(Status, frozen=True, kw_only=True):
    """The status of the writer: rows, commits, producers by name, and room on the data disk."""

    rows: int = 0
    bytes: int = 0
    gaps: int = 0
    streams: dict[str, int] = {}
    """Rows of each file series."""
    refused: dict[str, int] = {}
    raw: dict[str, dict[str, int]] = {}
    """Rows in `raw` files: by stream (`btcusdt@aggTrade`), then by reason."""
    new_keys: dict[str, tuple[str, ...]] = {}
    """Keys of messages that are no column, by file series."""
    commits: int = 0
    commit_s: float = 0.0
    longest_commit_s: float = 0.0
    durable_ns: int | None = None
    """Every byte that was in a file at this time (wall clock) is durable; None before the first commit."""
    producers: dict[str, WrittenStatus] = {}
    writer_id: str | None = None
    """None while the writer is not recording."""
    kernel: str = ""
    """`COMPILED`, or why the compiled kernel is not in use; empty while it is not recording."""
    subscription_bytes: int = 0
    subscribers_cut: int = 0
    disk_free_bytes: int | None = None
    disk_total_bytes: int | None = None


class RestStatus(Status, frozen=True, kw_only=True):
    """The status of the REST process: its requests and their weight, both clocks, and the exchange's symbols."""

    fault: str = ""
    stand_down_s: float = 0.0
    used_weight: int = 0
    weight_limit: int = 0
    answers: dict[str, int] = {}
    """Numbers of answers by HTTP status code."""
    snapshots: int = 0
    repair_pages: int = 0
    repair_refusals: int = 0
    requests: int = 0
    refused_requests: int = 0
    waiting: int = 0
    repairs_waiting: int = 0
    snapshot_interval_s: float = 0.0
    clock_offset_ms: float | None = None
    """Exchange clock minus ours; None before the first measurement."""
    clock_error_ms: float | None = None
    clock_measured_ns: int | None = None
    clock_steps: int = 0
    clock_step_ms: float | None = None
    clock_step_ns: int | None = None
    symbols: dict[str, str] = {}
    """Trading status of each configured symbol at the exchange."""
    unlisted: dict[str, tuple[str, ...]] = {}
    """Configured symbols that the exchange does not list, each with the listed names most like it."""
    off_session: tuple[str, ...] = ()
    hours_unknown: tuple[str, ...] = ()
    """Configured contracts that follow a market whose hours are not known: their silence is not judged."""
    not_understood: dict[str, int] = {}
    """Different entries of answers that were not understood since the start, by their place."""
    refused_series: dict[str, str] = {}
    """Series of symbols (`BTCUSDT openInterest`) that the exchange does not give, each with its words."""
    save_fault: str = ""


class BusStatus(Status, frozen=True, kw_only=True):
    """The status of the bus: what it forwards, and what subscribers make it keep."""

    messages_in: int = 0
    bytes_in: int = 0
    messages_out: int = 0
    bytes_out: int = 0
    subscription_bytes: int = 0
    subscribers_cut: int = 0


class OrderbookStatus(Status, frozen=True, kw_only=True):
    """The status of the order book service: its books by symbol, and totals over all of them."""

    books: dict[str, BookStatus] = {}
    valid: int = 0
    updates: int = 0
    resyncs: int = 0
    buffered: int = 0
    audits_passed: int = 0
    audits_failed: int = 0
    audits_skipped: int = 0
    tops_compared: int = 0
    wanted_snapshots: int = 0
    requests: int = 0
    missed: int = 0
    restarts: int = 0
    refused: int = 0
    questions: int = 0
    refused_questions: int = 0


class MonitorStatus(Status, frozen=True, kw_only=True):
    """The status of the monitor: its page, messages it could not read, and its webhooks."""

    refused: int = 0
    alerts: tuple[WebhookStatus, ...] = ()


class ArchiverStatus(Status, frozen=True, kw_only=True):
    """The status of the archiver: days that are to be sealed, the one that is being sealed, and what cannot be."""

    due: int = 0
    """Days of symbols that are to be sealed, with the present one."""
    sealing: str = ""
    """The present one, `BTCUSDT 20261122 depth`; empty between two."""
    sealing_bytes: int = 0
    """Bytes of the daily files of the day that is being sealed."""
    done_bytes: int = 0
    """Of these, those of files that have been sealed."""
    sealed: int = 0
    """Days of symbols that were sealed since the start."""
    rows: int = 0
    removed: int = 0
    """Daily files that were removed after they had been sealed, since the start."""
    removed_sealed: int = 0
    """Sealed files that retention removed, since the start."""
    unproven: dict[str, str] = {}
    """Days whose daily files stay because the copy in the lake is not what its certificate says, and why."""
    stored: Volumes = Volumes()
    """Bytes by format, what retention removes next, and days of headroom; measured every ten minutes."""
    pending: dict[str, str] = {}
    """Streams of a day that cannot be sealed, with the reason: `BTCUSDT 20261122 depth` → file, line, column, why."""
    fault: str = ""
    """Why the last attempt failed, where the lake or the disk was to blame; empty when all is well."""


_BY_PRODUCER: dict[str, type[Status]] = {
    "bus": BusStatus,
    "writer": WriterStatus,
    "rest": RestStatus,
    "orderbook": OrderbookStatus,
    "monitor": MonitorStatus,
    "archiver": ArchiverStatus,
}


def status_data(status: Status) -> dict[str, Any]:
    """Return the `data` of a status frame: the fields of the struct, and the keys that every frame has."""
    data: dict[str, Any] = msgspec.to_builtins(status)
    return {"symbol": status.producer, "stream": "status", "source": "local", **data}


def read_status(data: dict[str, Any]) -> Status:
    """Return the struct of the process that `data["producer"]` names, the plain `Status` for an unknown process.

    `data` is the second member of a status frame, as `decode_frame` returns it. Raises `WireError` when a field is not
    of its type.
    """
    producer = data["producer"]
    shape = IngestStatus if producer.startswith(("ingest-", "standby-")) else _BY_PRODUCER.get(producer, Status)
    try:
        return msgspec.convert(data, shape)
    except msgspec.ValidationError as error:
        raise WireError(f"status of {producer!r:.80}: {error}") from error
