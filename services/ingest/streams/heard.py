"""One table of when each stream was heard over each connection; stale and stalled are read off it.

Only data counts: an acknowledgement or a pong proves nothing. And a quiet stream is not a dead one, so each stream type
has a patience (docs/exchange.md §7.8). Two questions are asked of the table, at every tick:

- Is the newest row over all connections too old? Then the stream is *stale*: all its connections are to be replaced.
- Have other connections brought rows for longer than the patience, and this one nothing? Then this connection has
  *stalled* for that stream (docs/exchange.md §3). The stream is live; but the connection is of no use, and proves
  nothing.

| state of a stream | meaning | a row | its patience is over | nothing is expected | last connection ends |
|---|---|---|---|---|---|
| `waiting` | no row since it was connected | `live` | `stale` | | |
| `live` | rows come | | `stale` | | `waiting` |
| `stale` | silent for longer than its patience | `live` | `stale`, reported again | `waiting` | `waiting` |

Silence is counted from the newest row; where that is older, from the first connection of the route, from the end of a
time in which nothing was expected, or from when this process ran again after it was stopped.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from binance_streamer.exchange.streams import Stream

LIVE, WAITING, STALE = "live", "waiting", "stale"
STALLED, LATE = "stalled", "late"

_LONGEST_PAUSE = 32
"""In patiences: the longest time between two replacements that are asked for because of one stream."""
_SUSPICIOUS = 10.0
"""In stale timeouts: trades of a symbol whose book moves have been silent for so long that somebody should look."""
_SLEPT_S = 5.0
"""Ticks come every 0.2 s. After a longer pause it was this process that did not listen (stopped by a signal, say)."""


class Heard:
    """One line of the table, of one stream. It is written for every message, so it is no more than two fields."""

    __slots__ = ("by_connection", "row_s")

    def __init__(self) -> None:
        self.by_connection: dict[int, float] = {}
        """Monotonic time of the last message of the stream over each connection, copies and repeats too."""
        self.row_s = -math.inf
        """Monotonic time of the newest row of the stream, whichever connection brought it."""


class StaleStream(NamedTuple):
    """A stream that has been silent for so long that its connections are to be replaced now."""

    stream: Stream
    silent_s: float


class StreamFault(NamedTuple):
    """A connection is open and of no use for a stream.

    `stalled`: others have brought rows of it for longer than its patience, this connection nothing. `late`: it lags by
    so much that its copies cannot be told any more (services/ingest/streams/deduplicator.py).
    """

    kind: str
    stream: str
    connection: int


class Findings(NamedTuple):
    """The result of a check. `stale` and `revived` are changes since the last one, `stalled` is all there is now."""

    revived: list[str]
    stale: list[StaleStream]
    stalled: set[StreamFault]


@dataclass(slots=True)
class _Watched:
    stream: Stream
    route: str
    heard: Heard
    patience_s: float
    state: str = WAITING
    silent_from_s: float | None = None  # None while nothing is connected: then silence means nothing
    seen_s: float = -math.inf  # `heard.row_s` at the last check
    asked_s: float = 0.0  # when a new connection was last asked for, or silence began
    pause: int = 1  # in patiences, until the next one is asked for
    behind: dict[int, tuple[float, float]] = field(default_factory=dict)
    """By connection that others have outrun: when it delivered last, and the first row since then that it has not."""
    claimed_s: float = -math.inf
    claim_pause: int = 0

    def restart(self, now_s: float) -> None:
        self.silent_from_s = self.asked_s = now_s

    def excuse(self, now_s: float) -> None:
        """Begin to listen anew, because nothing was to be heard."""
        self.restart(now_s)
        self.pause = 1
        if self.state == STALE:
            self.state = WAITING


class HeardTable:
    """The table of all streams of a worker, and the open connections by number.

    `is_expected` of a symbol: it trades and its market is open, so that silence is a fault.
    """

    def __init__(self, stale_timeout_s: float) -> None:
        self._stale_timeout_s = stale_timeout_s
        self._watched: dict[str, _Watched] = {}
        self._opened: dict[int, tuple[str, float]] = {}  # by connection: its route, and when it was opened
        self._checked_s = math.inf

    def add(self, stream: Stream, heard: Heard, *, route: str = "", now_s: float | None = None) -> None:
        """Expect this stream too; `heard` is written by whoever records it.

        `route`: its connections, those of its type where none are named. `now_s`: it is subscribed to on those that are
        open; without it, on the next ones.
        """
        line = _Watched(stream, route or stream.route, heard, stream.type.patience * self._stale_timeout_s)
        self._watched[stream.name] = line
        if now_s is not None and any(other == line.route for other, _ in self._opened.values()):
            line.restart(now_s)

    def remove(self, name: str) -> None:
        """Expect this stream no more."""
        del self._watched[name]

    def open(self, connection: int, route: str, now_s: float) -> None:
        """Note a connection that was opened: a stale stream of its route is given time.

        Silence goes on where others were open before; else one that comes and goes would hide that they bring nothing.
        """
        self._opened[connection] = route, now_s
        for line in self._of(route):
            if line.silent_from_s is None:
                line.restart(now_s)
            elif line.state == STALE:
                line.asked_s = now_s

    def close(self, connection: int) -> None:
        """Note that a connection has ended; behind the last one of a route silence means nothing."""
        route, _ = self._opened.pop(connection)
        if any(other == route for other, _ in self._opened.values()):
            return
        for line in self._of(route):
            line.silent_from_s = None
            line.state = WAITING

    def check(self, now_s: float, *, is_expected: Callable[[str], bool]) -> Findings:
        """Judge all streams; `is_expected` is asked for their symbols."""
        slept = now_s - self._checked_s > _SLEPT_S
        self._checked_s = now_s
        findings = Findings([], [], set())
        for line in self._watched.values():
            if self._take_rows(line):
                findings.revived.append(line.stream.name)
            if not line.patience_s:
                continue
            if line.silent_from_s is not None:
                is_due = is_expected(line.stream.symbol)
                findings.stale.extend(_newly_stale(line, now_s, is_expected=is_due, slept=slept))
            if slept:
                line.behind = {}
            findings.stalled.update(self._stalled(line))
        return findings

    def claim_replacement(self, name: str, now_s: float) -> bool:
        """Return True when a stalled connection may be replaced now for this stream, and count it.

        At growing intervals where it does not help: 1, 2, 4 … 32 patiences. A stall that comes long after the last one
        is a new one, and begins anew.
        """
        line = self._watched[name]
        passed = (now_s - line.claimed_s) / line.patience_s
        if passed <= line.claim_pause:
            return False
        is_in_vain = passed <= 2 * line.claim_pause + 1
        line.claim_pause = min(line.claim_pause * 2, _LONGEST_PAUSE) if is_in_vain else 1
        line.claimed_s = now_s
        return True

    def state(self, name: str) -> str:
        """Return the state of a stream, as the last check found it."""
        return self._watched[name].state

    def comes(self, name: str, *, is_expected: Callable[[str], bool]) -> bool:
        """Return True where the last check found that a stream comes, and where it may be silent; as of `check`."""
        line = self._watched[name]
        return line.state == LIVE or not line.patience_s or not is_expected(line.stream.symbol)

    def silent_s(self, name: str, now_s: float) -> float | None:
        """Return how long the stream has been silent while it was connected; None where nothing is."""
        since_s = self._watched[name].silent_from_s
        return None if since_s is None else max(0.0, now_s - since_s)

    def is_older_than_silence(self, connection: int, name: str) -> bool:
        """Return True where this open connection was there when the stream fell silent, or was subscribed to."""
        since_s = self._watched[name].silent_from_s
        return since_s is not None and self._opened[connection][1] <= since_s

    def patience_s(self, name: str) -> float:
        """Return the silence after which the stream is stale; 0: never."""
        return self._watched[name].patience_s

    def others_live(self, name: str) -> bool:
        """Return True where a stream of another symbol comes over the connections of this one."""
        line = self._watched[name]
        return any(
            other.state == LIVE and other.route == line.route and other.stream.symbol != line.stream.symbol
            for other in self._watched.values()
        )

    def suspicious(self, now_s: float, *, is_expected: Callable[[str], bool]) -> list[str]:
        """Return the aggTrade streams that have been silent for very long while depth of their symbol moves."""
        limit_s = _SUSPICIOUS * self._stale_timeout_s
        lines = self._watched.values()
        moving = {line.stream.symbol for line in lines if line.state == LIVE and line.stream.type.builds_book}
        return [
            line.stream.name
            for line in lines
            if line.stream.stream_type == "aggtrade"
            and line.stream.symbol in moving
            and is_expected(line.stream.symbol)
            and line.silent_from_s is not None
            and now_s - line.silent_from_s > limit_s
        ]

    def _of(self, route: str) -> list[_Watched]:
        return [line for line in self._watched.values() if line.route == route]

    def _take_rows(self, line: _Watched) -> bool:
        """Note rows since the last check; return True where the stream was stale until then."""
        row_s = line.heard.row_s
        if row_s <= line.seen_s:
            return False
        line.seen_s = row_s
        if line.silent_from_s is None:  # a row that was held until its connection had ended
            return False
        was_stale = line.state == STALE
        line.restart(row_s)
        line.pause = 1
        line.state = LIVE
        return was_stale

    def _stalled(self, line: _Watched) -> set[StreamFault]:
        """Return the open connections that others have outrun.

        The time counts over which others brought rows, and not how long this one was silent: a quiet stream of which
        it missed one message has not stalled, and the connection that brought the newest row is never to blame.
        """
        before, line.behind = line.behind, {}
        row_s, by_connection = line.heard.row_s, line.heard.by_connection
        for connection, (route, opened_s) in self._opened.items():
            heard_s = max(opened_s, by_connection.get(connection, opened_s))
            if route != line.route or row_s <= heard_s:
                continue
            before_s, since_s = before.get(connection, (heard_s, row_s))
            line.behind[connection] = heard_s, since_s if before_s == heard_s else row_s
        return {
            StreamFault(STALLED, line.stream.name, connection)
            for connection, (_, since_s) in line.behind.items()
            if row_s - since_s > line.patience_s
        }


def _newly_stale(line: _Watched, now_s: float, *, is_expected: bool, slept: bool) -> list[StaleStream]:
    assert line.silent_from_s is not None
    if not is_expected:
        line.excuse(now_s)
    elif slept:
        line.restart(now_s)
    elif now_s - line.asked_s > line.patience_s * line.pause:
        line.state = STALE
        line.asked_s = now_s
        line.pause = min(line.pause * 2, _LONGEST_PAUSE)
        return [StaleStream(line.stream, now_s - line.silent_from_s)]
    return []
