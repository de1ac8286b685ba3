"""The parts of status messages: a stream, a connection, a journal, a book, a producer at the writer, a webhook.

`binance_streamer.wire.statuses` puts them together. Counts are those of the current run of the process.
"""

import msgspec

RECORDING = "recording"
"""The state of a writer, or of a journal, that takes everything."""


class StreamStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One stream of an ingest worker: counts, its last message, and its state (`live`, `waiting`, `stale`, …)."""

    messages: int = 0
    rate: float = 0.0
    """Messages a second since the status before."""
    rows: int = 0
    last_id: int | None = None
    """The newest sequence id, None before the first message, and for streams without ids."""
    gaps: int = 0
    open_gaps: int = 0
    repaired: int = 0
    repeats: int = 0
    raw: int = 0
    latency_ms: float | None = None
    """Receipt minus event time of the last message. These are two clocks, so it may be negative."""
    last_recv_ns: int | None = None
    route: str = ""
    """The route of the connections that carry it; empty: that of its type."""
    state: str = ""
    silent_s: float | None = None
    """None while no connection carries the stream."""
    patience_s: float = 0.0
    """A longer silence is a fault; 0 for streams that may be silent for any time."""


class ConnectionStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One connection of an ingest worker; `state` is `dialling`, `open`, `delivering`, `stalled` or `late`."""

    connection: int
    route: str
    ordinal: int = 0
    state: str = ""
    age_s: float = 0.0
    messages: int = 0
    first_arrivals: float = 0.0
    """The share of its messages, 0 to 1, that no other connection brought earlier."""
    lag_ms: float | None = None
    """Delay behind the first connection; None while there is nothing to compare with."""

    @property
    def is_open(self) -> bool:
        """Return True when the handshake is done. TCP ends a dead connection within half a minute."""
        return self.state in ("open", "delivering", "stalled", "late")

    @property
    def is_delivering(self) -> bool:
        """Return True when any message has come over it. A stalled connection still brings other streams, or did."""
        return self.state in ("delivering", "stalled", "late")


class JournalStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The journal of a producer: what it holds, what the writer has acknowledged, and how the disk behaves."""

    state: str = RECORDING
    appended: int = 0
    pushed_frames: int = 0
    not_journalled: int = 0
    refused_frames: int = 0
    journal_bytes: int = 0
    unacknowledged_bytes: int = 0
    unacknowledged_s: float = 0.0
    """Age of the oldest record that is not durable at the writer."""
    damaged_bytes: int = 0
    torn_bytes: int = 0
    next_position: int = 0
    writer_id: str | None = None
    durable: tuple[int, int] | None = None
    """(epoch, position) up to which the last acknowledgement says that everything is durable."""
    received: tuple[int, int] | None = None
    unexpected_acks: int = 0
    syncs: int = 0
    sync_s: float = 0.0
    longest_write_s: float = 0.0
    longest_sync_s: float = 0.0
    disk_free_bytes: int | None = None
    disk_total_bytes: int | None = None


class BookState(msgspec.Struct, frozen=True, kw_only=True):
    """The state of the book of one symbol, as its status, its live message and every answer tell it."""

    valid: bool = False
    valid_since_ns: int | None = None
    state: str = ""
    reason: str = ""
    """Why the book is not valid; empty while it is."""
    stream: str = ""
    """The depth stream that the book is built from."""
    update_id: int | None = None
    """The exchange's id of the last update in the book; None while the book is not valid."""
    levels: tuple[int, int] = (0, 0)
    """Numbers of bids and asks of the whole book when they were last counted; (0, 0) while it is not valid."""
    updates: int = 0
    resyncs: int = 0
    audits_passed: int = 0
    audits_failed: int = 0


class BookStatus(BookState, frozen=True, kw_only=True):
    """The status of the book of one symbol: its state, and counts."""

    missed: int = 0
    buffered: int = 0
    audits_skipped: int = 0
    tops_compared: int = 0


class WrittenStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The positions that the writer has of one producer, in its newest epoch; None before the first batch."""

    epoch: int | None = None
    next_received: int = 0
    next_durable: int = 0
    refused: int = 0


class WebhookStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One webhook of the monitor: alerts that were posted, that failed, and that were dropped."""

    posted: int = 0
    failed: int = 0
    dropped: int = 0


class StoredFormat(msgspec.Struct, frozen=True, kw_only=True):
    """One format on the disk: all bytes and days of it, and bytes a day of the last whole days, if there is one."""

    bytes: int
    days: int
    bytes_per_day: float | None = None


class PlannedRemoval(msgspec.Struct, frozen=True, kw_only=True):
    """The next removal of a format: its oldest day, of all symbols, and when, in ns; `why` is `age` or `size`."""

    format: str
    day: str
    bytes: int
    at_ns: int
    why: str


class DiskRoom(msgspec.Struct, frozen=True, kw_only=True):
    """A disk: what is free, and the days until it is full; None where it does not fill, or nothing is known."""

    path: str
    free_bytes: int
    total_bytes: int
    days_left: float | None


class Volumes(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes of recorded and of sealed days, what retention removes next, and the disks.

    `fills` is False where retention holds all disks below their size, None where no rate is known.
    """

    formats: dict[str, StoredFormat] = {}
    removals: tuple[PlannedRemoval, ...] = ()
    disks: tuple[DiskRoom, ...] = ()
    fills: bool | None = None
