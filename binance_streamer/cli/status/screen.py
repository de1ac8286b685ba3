"""The screen of `up` and `demo` while they record: a live table on a terminal, a line a second elsewhere."""

import sys
import time
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from binance_streamer.cli.commands.tap import printable
from binance_streamer.cli.errors import NO_ROOM_ERRNOS
from binance_streamer.cli.status.live import RunTotals, StreamTotals
from binance_streamer.cli.status.problems import failures, lines_of
from binance_streamer.health.sizes import size
from binance_streamer.health.snapshot import Snapshot, StreamSnapshot

_DAY_MS = 86_400_000
_REASONS = 2
"""Lines about what is not recorded and why, at most."""
_LINES_BESIDE_THE_STREAMS = 6 + _REASONS
"""The heading, the summary (two lines on 80 columns), the reasons, a pinned line (two), and the cursor's."""


class Screen(Protocol):
    """Shows how a recording goes on, again and again."""

    def show(self, snapshot: Snapshot, totals: RunTotals) -> None:
        """Show the state of now."""

    def say(self, line: str) -> None:
        """Print a line that stays."""

    def pin(self, line: str) -> None:
        """Show a line below everything else from now on, in place of the one before."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None: ...


def screen() -> Screen:
    """Return the screen that suits stdout: a table on a terminal, a line a second elsewhere."""
    return LiveTable() if sys.stdout.isatty() else PlainLines()


class PlainLines:
    """One line each time, flushed; lost where its file is on a full disk.

    For a pipe or a log, where a table that is drawn anew would be unreadable.
    """

    def __init__(self) -> None:
        self._started_s = time.monotonic()

    def show(self, snapshot: Snapshot, totals: RunTotals) -> None:
        self.say(f"{time.monotonic() - self._started_s:6.0f} s  {summary(snapshot, totals)}")

    def say(self, line: str) -> None:
        try:
            sys.stdout.write(line + "\n")
            sys.stdout.flush()
        except OSError as error:
            if error.errno not in NO_ROOM_ERRNOS:  # a full disk below `> up.log` must not end the recording
                raise

    def pin(self, line: str) -> None:
        self.say(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        pass


class LiveTable:
    """A table that is drawn anew in place, with lines that stay above it and one pinned line below."""

    def __init__(self) -> None:
        self._live = Live(console=Console(), auto_refresh=False, transient=True)
        self._pinned = ""

    def show(self, snapshot: Snapshot, totals: RunTotals) -> None:
        room = max(1, self._live.console.size.height - _LINES_BESIDE_THE_STREAMS)
        self._live.update(Group(stream_table(snapshot, totals, room), Text(self._pinned)), refresh=True)

    def say(self, line: str) -> None:
        self._live.console.print(Text(line))

    def pin(self, line: str) -> None:
        self._pinned = line

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._live.stop()


def summary(snapshot: Snapshot, totals: RunTotals) -> str:
    """Return one line about all streams: totals since the start, rates and latency of now, the writer's state."""
    streams = [stream for symbol in snapshot.symbols for stream in symbol.streams]
    latencies_ms = [stream.latency_ms for stream in streams if stream.latency_ms is not None]
    latency = _latency(max(latencies_ms, default=None))
    rate = sum(stream.rate for stream in streams)
    gaps = sum(totals.stream(one.symbol, stream.stream).gaps for one in snapshot.symbols for stream in one.streams)
    writer = next((process.state for process in snapshot.processes if process.name == "writer"), "not heard yet")
    return (
        f"{totals.messages} messages, {rate:.0f}/s, {totals.rows} rows, {gaps} gaps, latency {latency} ms, "
        f"backlog {size(snapshot.backlog_bytes)}, writer {writer}"
    )


def stream_table(snapshot: Snapshot, totals: RunTotals, room: int = sys.maxsize) -> RenderableType:
    """Draw the streams, a row each, below them a line for all together, and why something is not recorded.

    `room` is the number of rows that fit: where there are more streams, those with something wrong come first, and the
    last row says how many are left out.
    """
    streams = [(symbol.symbol, stream) for symbol in snapshot.symbols for stream in symbol.streams]
    left_out = 0
    if len(streams) > room:
        left_out = len(streams) - room + 1
        streams = sorted(streams, key=lambda one: not one[1].why)[: room - 1]
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("symbol", "stream"):
        table.add_column(heading, no_wrap=True)
    for heading in ("rows", "rate/s", "last id", "gaps", "latency ms"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("state", no_wrap=True)
    for symbol, stream in streams:
        cells = (Text(printable(cell)) for cell in _cells(symbol, stream, totals.stream(symbol, stream.stream)))
        table.add_row(*cells, style="yellow" if stream.why else "")
    if left_out:
        table.add_row("…", f"{left_out} more streams", style="dim")
    reasons = lines_of(failures(snapshot.problems))[:_REASONS]
    below = [Text(printable(line), no_wrap=True, overflow="ellipsis") for line in reasons]
    return Group(table, Text(printable(summary(snapshot, totals))), *below)


def _cells(symbol: str, stream: StreamSnapshot, totals: StreamTotals) -> tuple[str, ...]:
    """Return the cells of a stream's row, in the order of the table's columns."""
    return (
        symbol,
        stream.stream,
        str(totals.rows),
        f"{stream.rate:.1f}",
        "-" if stream.last_id is None else str(stream.last_id),
        str(totals.gaps),
        _latency(stream.latency_ms),
        stream.state,
    )


def _latency(latency_ms: float | None) -> str:
    """Return a latency in ms, or `-` where it is a day or more: then an old recording is being played."""
    return "-" if latency_ms is None or abs(latency_ms) > _DAY_MS else f"{latency_ms:.1f}"
