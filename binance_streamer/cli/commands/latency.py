"""`latency`: receive stamp minus event time of every stream, from recorded files or live, and the clock beside it."""

import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from binance_streamer.cli.commands.tap import latency_of, printable
from binance_streamer.cli.errors import CommandError, Exit
from binance_streamer.cli.options import ConfigFile, refuse
from binance_streamer.cli.recordings import files as recordings
from binance_streamer.cli.recordings.distribution import EDGES_MS, Distribution, Summary, bars
from binance_streamer.cli.recordings.files import ClockDay
from binance_streamer.client.tap import Tap
from binance_streamer.config.schema import DEFAULT_PATH, Config, load
from binance_streamer.exchange.streams import suffix_of
from binance_streamer.health.gap_files import day_text
from binance_streamer.health.sizes import ahead_or_behind
from binance_streamer.health.snapshot import Clock

_WIDTH = 200
"""Columns of output that goes into a file or pipe, where nothing should be wrapped."""
_DAY_MS = 86_400_000


def latency(  # noqa: PLR0913 (the options of the command line)
    ctx: typer.Context,
    places: Annotated[
        list[Path] | None,
        typer.Argument(metavar="FILE", help="Recorded files, or folders of them. [default: today's recording]"),
    ] = None,
    *,
    live: Annotated[bool, typer.Option("--live", help="Of messages that pass the bus now.")] = False,
    duration: Annotated[float, typer.Option(metavar="S", min=0.1, help="How long to listen to the bus.")] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    config: ConfigFile = DEFAULT_PATH,
) -> None:
    """Show how late messages come.

    Our receipt minus the exchange's event time, per stream: count, min, mean, median, p95, p99, max and distribution,
    and how far the two clocks were apart, which is in all of these numbers.

    \b
    Examples:
      binance-streamer latency
      binance-streamer latency --live --duration 60
      binance-streamer latency data/BTCUSDT/depth_BTCUSDT_*.csv
      binance-streamer latency data --json | jq '.streams[] | [.stream, .latency.p99_ms]'
    """
    loaded = load(config)
    if not live:
        refuse(ctx, "means nothing without --live", "duration")
    elif places:
        raise typer.BadParameter("--live takes what passes the bus, and no files", ctx, param_hint="FILE")
    if live:
        raise typer.Exit(of_bus(loaded, duration_s=duration, as_json=as_json))
    raise typer.Exit(of_files(loaded, places or [], as_json=as_json))


class StreamLatency(msgspec.Struct, frozen=True):
    """The latency of one stream: symbol, suffix as configured or stem of its files, and the numbers."""

    symbol: str
    stream: str
    latency: Summary


class Latencies(msgspec.Struct, frozen=True):
    """All of it. `clock` by day of recorded files, or what rest says now."""

    streams: tuple[StreamLatency, ...]
    clock: dict[str, ClockDay]
    clock_now: Clock | None
    histogram_edges_ms: tuple[int, ...] = EDGES_MS


Distributions = dict[tuple[str, str], Distribution]


def of_files(config: Config, places: Sequence[Path], *, as_json: bool) -> Exit:
    """Show the latencies in these files and folders; without any, those of today's recording."""
    files = recordings.found(places or [Path(config.storage.output_directory)])
    if not places:
        today = day_text(time.time())
        files = [file for file in files if file.day == today]
    found: Distributions = {}
    total = sum(file.path.stat().st_size for file in files)
    with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("reading", total=total)
        for file in files:
            distribution = found.get((file.symbol, file.stream)) or Distribution()
            for latency_ms in recordings.latencies(file, lambda count: progress.advance(task, count)):
                distribution.add(latency_ms)
            if distribution.count:
                found[file.symbol, file.stream] = distribution
    if not found:
        where = ", ".join(str(place) for place in places) or f"today's files of {config.storage.output_directory}"
        raise CommandError(f"no rows with an event time in {where}", Exit.INCOMPLETE)
    _show(Latencies(_streams(found), recordings.clock_days(files), None), as_json=as_json)
    return Exit.OK


def of_bus(config: Config, *, duration_s: float, as_json: bool) -> Exit:
    """Show the latencies of what passes the bus for so long, or until Ctrl-C."""
    found: Distributions = {}
    clock: Clock | None = None
    deadline_s = time.monotonic() + duration_s
    if sys.stderr.isatty():
        typer.echo(f"listening for {duration_s:g} s; Ctrl-C ends it sooner", err=True)
    try:
        with Tap(config.endpoints.bus_subscribe, [], curve_directory=config.endpoints.curve_directory) as tap:
            while (left_s := deadline_s - time.monotonic()) > 0:
                message = tap.receive(left_s)
                if message is None:
                    continue
                data = message.data
                if message.stream_type == "status" and data["producer"] == "rest":
                    clock = _clock(data)
                elif data["source"] == "ws" and (latency_ms := latency_of(data)) is not None:
                    key = (data["symbol"], suffix_of(data["stream"]))
                    found.setdefault(key, Distribution()).add(latency_ms)
    except KeyboardInterrupt:
        pass
    if not found:
        raise CommandError(
            f"no market message in {duration_s:g} s from {config.endpoints.bus_subscribe}: is it recording "
            "(`binance-streamer status`)?",
            Exit.INCOMPLETE,
        )
    _show(Latencies(_streams(found), {}, clock), as_json=as_json)
    return Exit.OK


def _streams(found: Distributions) -> tuple[StreamLatency, ...]:
    """Return the summaries, sorted by symbol and stream."""
    return tuple(StreamLatency(*key, distribution.summary()) for key, distribution in sorted(found.items()))


def _clock(data: Mapping[str, object]) -> Clock:
    """Return the clock in a status of rest; None for what it has not measured."""
    offset_ms, error_ms = data.get("clock_offset_ms"), data.get("clock_error_ms")
    return Clock(
        offset_ms=offset_ms if isinstance(offset_ms, float) else None,
        error_ms=error_ms if isinstance(error_ms, float) else None,
    )


def _show(latencies: Latencies, *, as_json: bool) -> None:
    """Print the latencies as JSON or as a table with the clock below it."""
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(latencies)).decode())
        return
    console = Console(width=None if Console().is_terminal else _WIDTH, highlight=False, soft_wrap=True)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("symbol", "stream"):
        table.add_column(heading, no_wrap=True)
    for heading in ("count", "min", "mean", "median", "p95", "p99", "max"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("distribution", no_wrap=True)
    for one in latencies.streams:
        found = one.latency
        numbers = (found.min_ms, found.mean_ms, found.median_ms, found.p95_ms, found.p99_ms, found.max_ms)
        table.add_row(
            *(Text(printable(cell)) for cell in (one.symbol, one.stream, str(found.count))),
            *(f"{number:.1f}" for number in numbers),
            Text(bars(found.histogram)),
        )
    console.print(table)
    edges = " ".join(str(edge) for edge in EDGES_MS)
    console.print(Text(f"\nms, our receipt less the exchange's event time; the distribution's bins end at {edges}"))
    for line in _clock_lines(latencies):
        console.print(Text(line))
    if any(abs(one.latency.median_ms) > _DAY_MS for one in latencies.streams):
        console.print(Text("a latency of days is none: an old recording was played"))


def _clock_lines(latencies: Latencies) -> list[str]:
    """Return a line for each day's clock, or one that nothing is known: all latencies hold this offset."""
    lines = [
        f"{day}: the exchange's clock was {ahead_or_behind(clock.offset_ms)} ours (median of {clock.measurements}, "
        f"{clock.least_ms:+.1f} to {clock.most_ms:+.1f}), each known to ± {clock.error_ms:.1f} ms or better"
        + (f"; our clock was set {clock.steps} times" if clock.steps else "")
        for day, clock in latencies.clock.items()
    ]
    now = latencies.clock_now
    if now is not None and now.offset_ms is not None:
        error = "" if now.error_ms is None else f", known to ± {now.error_ms:.1f} ms"
        lines.append(f"the exchange's clock is {ahead_or_behind(now.offset_ms)} ours{error}")
    if not lines:
        return ["how far the two clocks are apart is not known"]
    return [*lines, "add that to a latency to have it by one clock"]
