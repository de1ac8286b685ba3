"""The state of a whole recorder at one moment: `status`, `up` and `demo` print it, the monitor serves it.

`builder` makes it. Its JSON is that of `status --json`, and, with what the monitor adds, of the page. None is what
nobody knows. Counts are those of the present run of the process that counts.
"""

import msgspec

from binance_streamer.health.gaps import GapTotals
from binance_streamer.health.judge import Disk
from binance_streamer.health.problem import Problem
from binance_streamer.wire.status_parts import Volumes


class _Part(msgspec.Struct, frozen=True, kw_only=True):
    pass


class StreamSnapshot(_Part, frozen=True):
    """A configured stream, or the one that is recorded in its place. `why` is empty where it counts as recorded.

    `messages` are rows, each message once; `received` counts the copies of redundant connections, too.
    `raw` are messages that could not be read, and are kept as they came.
    """

    stream: str
    state: str
    why: str
    rate: float
    messages: int
    received: int
    raw: int
    last_id: int | None
    age_s: float | None
    latency_ms: float | None
    new_gaps: int
    """Gaps that its worker has listed in this run."""
    gaps: GapTotals
    """Gaps of today, UTC."""


class SymbolSnapshot(_Part, frozen=True):
    """A configured symbol; `status` is the exchange's word for it. `gaps` are today's, of our own records too."""

    symbol: str
    status: str
    gaps: GapTotals
    streams: tuple[StreamSnapshot, ...]


class ProcessSnapshot(_Part, frozen=True):
    """A configured process; `kind` is its name without a symbol, `detail` what distinguishes it, in a few words."""

    name: str
    kind: str
    up: bool
    state: str
    detail: str
    pid: int | None
    uptime_s: float | None
    rss_bytes: int | None
    cpu_s: float | None
    cpu_percent: float | None
    backlog_bytes: int
    backlog_s: float


class Clock(_Part, frozen=True):
    """Exchange clock minus ours, in milliseconds, and the error bound of that; None before it was measured."""

    offset_ms: float | None = None
    error_ms: float | None = None


class Weight(_Part, frozen=True):
    """REST request weight of the last minute, and for how long no request may be sent."""

    used: int = 0
    limit: int = 0
    stand_down_s: float = 0.0


class Snapshot(_Part, frozen=True):
    """All of it. `backlog_bytes` wait in journals for the writer, the oldest of them for `backlog_s`."""

    time_ms: int
    mode: str
    healthy: bool
    problems: tuple[Problem, ...]
    symbols: tuple[SymbolSnapshot, ...]
    processes: tuple[ProcessSnapshot, ...]
    gaps: GapTotals
    raw_rows: dict[str, dict[str, int]]
    """Rows that the writer kept as they came because it could not read them, by stream, then by reason."""
    backlog_bytes: int
    backlog_s: float
    data_directory: str
    disk: Disk | None
    stored: Volumes | None
    """As the archiver measured it; None while it is not heard."""
    clock: Clock
    weight: Weight
