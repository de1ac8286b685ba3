"""Everything that a field test has observed, as plain values: what the questions are answered from."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from binance_streamer.cli.fieldtest.traffic import ObservedTraffic


@dataclass
class ConnectionSeen:
    """One plain connection beside the recorder. Times are in seconds of the monotonic clock."""

    route: str
    side: int
    opened_s: float
    url_characters: int = 0
    ended_s: float | None = None
    end: str = ""
    """The way in which it ended: `FIN`, `close 1001`, `reset`; empty while it is open, and where we ended it."""
    pings_s: list[float] = field(default_factory=list)


class PathProbe(NamedTuple):
    """Some seconds of a connection to a path, with streams that it should and should not deliver."""

    what: str
    wanted: frozenset[str]
    """Streams that belong there; that one of them is quiet says nothing."""
    unwanted: frozenset[str]
    heard: frozenset[str]
    refused: str = ""
    """The refusal of the connection, `status 400`; empty where it was let in."""


class RestSeen(NamedTuple):
    """One answer of REST: `code` is the exchange's own number of an error, `used_weight` that of the address."""

    path: str
    status: int
    body: Any
    requested_ns: int
    recv_ns: int
    used_weight: int | None = None
    has_retry_after: bool = False
    code: int | None = None


class RowsCompared(NamedTuple):
    """Rows of REST beside the streamed ones: how many, and the keys that differ, each with an example."""

    what: str
    compared: int
    differences: tuple[str, ...] = ()


class ProcessSeen(NamedTuple):
    """One process of the recorder: CPU as a share of one core, and its largest memory."""

    cpu_share: float
    rss_bytes: int


@dataclass
class RecorderSeen:
    """The recorder by its own statuses while it ran, and by its files afterwards."""

    rows: int = 0
    losses: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    new_keys: dict[str, tuple[str, ...]] = field(default_factory=dict)
    raw_rows: dict[str, int] = field(default_factory=dict)
    """Rows without a form by their reason."""
    not_understood: dict[str, int] = field(default_factory=dict)
    rest_answers: dict[str, int] = field(default_factory=dict)
    weight: tuple[int, int] = (0, 0)
    """The most weight that was used in a minute, and the exchange's limit."""
    clock: tuple[float, float] | None = None
    """Exchange clock minus ours, and the bound of its error, in ms."""
    planned_ends: int = 0
    """Connections that were replaced at their planned age."""
    early_ends: int = 0
    """Connections that ended before it, and not by the restart."""
    opened: int = 0
    most_open: int = 0
    restarted: str = ""
    """The worker that was restarted once; empty where the run was too short."""
    gaps: dict[str, int] = field(default_factory=dict)
    """Gaps that were listed, by reason."""
    unrepaired: dict[str, int] = field(default_factory=dict)
    """Of those, gaps of streams that REST has, which could not be repaired."""
    repaired: int = 0
    """Gaps that REST has filled."""
    audits: tuple[int, int, int] = (0, 0, 0)
    """Audits of books that passed and failed, and best quotes that were compared."""
    books: tuple[int, int] = (0, 0)
    """Books that were valid at the end, and books that there are."""
    processes: dict[str, ProcessSeen] = field(default_factory=dict)
    verified: int | None = None
    """Findings of `verify`; None where it could not be run."""
    findings: list[str] = field(default_factory=list)


@dataclass
class Observations:
    """All observations of one run."""

    minutes: float
    symbols: tuple[str, ...]
    """Liquid, quiet, and outside ASCII, as far as there is one."""
    traffic: ObservedTraffic
    is_simulated: bool = False
    connections: list[ConnectionSeen] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    """Attempts to connect that failed, with their reason."""
    ended_s: float = 0.0
    """When the observation ended, on the monotonic clock."""
    reconnected: bool = False
    probes: list[PathProbe] = field(default_factory=list)
    rest: list[RestSeen] = field(default_factory=list)
    rows: list[RowsCompared] = field(default_factory=list)
    notes: dict[str, str] = field(default_factory=dict)
    """Single observations by their name: `snapshot`, `newest`, `too old`, `hours`."""
    faults: dict[str, str] = field(default_factory=dict)
    """Likewise those that contradict."""
    recorder: RecorderSeen = field(default_factory=RecorderSeen)
