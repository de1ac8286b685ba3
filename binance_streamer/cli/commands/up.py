"""`up`: record what is configured, in the foreground."""

import time
from pathlib import Path

import typer

from binance_streamer.cli.commands.tap import printable
from binance_streamer.cli.errors import Exit
from binance_streamer.cli.hints import say, warn
from binance_streamer.cli.journals import unwritten
from binance_streamer.cli.options import ConfigFile, Duration
from binance_streamer.cli.status.live import LiveStatus
from binance_streamer.cli.status.problems import failures, lines_of, settled_failures
from binance_streamer.cli.status.screen import screen
from binance_streamer.cli.supervisor.foreground import Foreground, Interruption, Timer, take_pending, watch
from binance_streamer.client.tap import Tap
from binance_streamer.config.schema import DEFAULT_PATH, Config, load

_FIRST_STATUS_S = 5.0
"""An early Ctrl-C waits so long for the first statuses: without them nobody knows that anything was recorded."""


def up(duration: Duration = None, config: ConfigFile = DEFAULT_PATH) -> None:
    """Record what is configured, in the foreground.

    Ends at Ctrl-C, or after --duration or the configured run_duration, once everything received is in the files.

    \b
    Examples:
      binance-streamer up
      binance-streamer up --duration 3600 -c my.yaml
    """
    raise typer.Exit(_record(load(config), config, duration))


def _is_heard(live: LiveStatus) -> bool:
    """Return True once the writer and an ingest worker have said a status."""
    names = live.totals.newest
    return "writer" in names and any(name.startswith("ingest-") for name in names)


def _record(config: Config, config_path: Path, duration_s: float | None) -> Exit:
    """Record until Ctrl-C, or until the duration (else the configured one) has passed; see that nothing is left.

    Returns OK only if something was recorded, all that was received is in the files, and at the end all processes ran
    and nothing had been keeping a stream from being recorded for a while.
    """
    limit_s = config.selected.run_duration if duration_s is None else duration_s
    live = LiveStatus(config, config_path)
    timer = Timer(limit_s, live.totals)
    with Interruption() as interruption, Foreground(config, config_path) as foreground:
        typer.echo(f"recording into {config.storage.output_directory}" + (f" for {limit_s:g} s" if limit_s else ""))
        keys = config.endpoints.curve_directory
        with Tap(config.endpoints.bus_subscribe, ["status."], curve_directory=keys) as tap:
            with screen() as shown:
                watch(foreground, tap, shown, live, is_over=lambda: interruption.requested or timer.tick())
                deadline_s = time.monotonic() + _FIRST_STATUS_S
                watch(foreground, tap, shown, live, is_over=lambda: _is_heard(live) or time.monotonic() > deadline_s)
            snapshot = live.snapshot()
            reasons = lines_of(failures(snapshot.problems))
            faults = [*foreground.reasons(), *settled_failures(snapshot)]
            foreground.shutdown(say)
            take_pending(tap, live.take)  # what processes said at their end
    faults += [*live.totals.losses, *foreground.faults, *unwritten(config_path)]
    if not live.totals.has_begun:
        faults += reasons or ["no stream delivered anything"]
    for fault in dict.fromkeys(faults):
        warn(printable(fault))
    if not live.totals.has_begun:
        say(f"nothing was recorded: {config.storage.output_directory}; `binance-streamer doctor` says what is reached")
        return Exit.INCOMPLETE
    if faults:
        typer.echo(f"recorded, but not all of it: {config.storage.output_directory}")
        return Exit.INCOMPLETE
    typer.echo(f"recorded: {config.storage.output_directory}")
    return Exit.OK
