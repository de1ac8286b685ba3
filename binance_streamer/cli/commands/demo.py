"""`demo`: record a simulated exchange, and compare what was recorded with what was sent."""

import math
import socket
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from binance_streamer.cli.demo.captures import CapturedStreams
from binance_streamer.cli.demo.compare_tape import compare
from binance_streamer.cli.demo.modes import SYMBOLS_A_WORKER, grouped, named
from binance_streamer.cli.demo.simulator import Market, ReplayedMarket, SeededMarket, Simulator
from binance_streamer.cli.errors import CommandError, Exit
from binance_streamer.cli.hints import HINTS, say, warn
from binance_streamer.cli.journals import unwritten
from binance_streamer.cli.options import Duration, refuse
from binance_streamer.cli.status.live import LiveStatus
from binance_streamer.cli.status.screen import Screen, screen
from binance_streamer.cli.supervisor.foreground import Foreground, Interruption, Timer, watch
from binance_streamer.client.tap import Tap
from binance_streamer.config import schema as configuration
from binance_streamer.config.schema import Config, ModeConfig
from binance_streamer.exchange.streams import suffix_of
from binance_streamer.health.gap_files import gaps_of_all_days
from binance_streamer.health.gaps import folded, summary_of
from binance_streamer.stores.scratch import ScratchFolder
from binance_streamer.wire.statuses import IngestStatus

_SETTLE_S = 20.0
"""That a demo may take to receive what was sent: much less on an idle machine."""
_QUIET_S = 3.0
"""Three times the interval of status messages."""


def _speed(given: str) -> str:
    """Return the given speed if it is a number of at least 0, or `max`; 0 is `max`, too."""
    try:
        is_speed = given == "max" or 0 <= float(given) < math.inf
    except ValueError:
        is_speed = False
    if not is_speed:
        raise typer.BadParameter(f"expected a number of at least 0, or max, got {given!r}")
    return given


def demo(  # noqa: PLR0913 (the options of the command line)
    ctx: typer.Context,
    *,
    symbols: Annotated[int, typer.Option(metavar="N", min=1, max=700, help="Symbols of the simulated market.")] = 3,
    group: Annotated[
        bool, typer.Option("--group", help="Record them as a group: workers that have many symbols.")
    ] = False,
    duration: Duration = None,
    data_dir: Annotated[
        Path | None, typer.Option(metavar="D", help="Where to record; a new or empty folder. [default: ./demo-<time>]")
    ] = None,
    capture: Annotated[
        Path | None,
        typer.Option(metavar="FILE", exists=True, dir_okay=False, help="Replay this recording instead of a market."),
    ] = None,
    speed: Annotated[
        str,
        typer.Option(metavar="X", callback=_speed, help="Of the replay: 1 as recorded, max (or 0) as fast as it goes."),
    ] = "1",
    rate: Annotated[
        float, typer.Option(metavar="R", min=1, max=50_000, help="Messages a second of the simulated market.")
    ] = 300,
    seed: Annotated[int, typer.Option(metavar="N", help="Of the simulated market.")] = 1,
) -> None:
    """Record a simulated exchange and check the result.

    Needs no network. Ends at Ctrl-C, after --duration, or when the capture has been played; then every row is compared
    with what the simulator sent.

    \b
    Examples:
      binance-streamer demo
      binance-streamer demo --symbols 10 --rate 5000 --duration 60
      binance-streamer demo --capture recording/capture.gz --speed max --data-dir out
    """
    market: Market = SeededMarket(symbols, rate, seed)
    if capture is None:
        refuse(ctx, "means nothing without --capture", "speed")
    else:
        refuse(ctx, "means nothing with --capture", "symbols", "group", "rate", "seed")
        market = ReplayedMarket(capture, speed)
    raise typer.Exit(_run(market, data_dir, duration, workers=math.ceil(symbols / SYMBOLS_A_WORKER) if group else 0))


def _run(market: Market, data_directory: Path | None, duration_s: float | None, *, workers: int) -> Exit:
    """Record until Ctrl-C, until the duration has passed, or until a recording has been played; then compare."""
    data = _new_directory(data_directory)
    found = market.contents()
    for name, count in found.skipped.items():
        typer.echo(f"not replayed: {count} messages of {name}, which is no stream of a symbol")
    with ScratchFolder("binance-streamer-") as place:
        session = _Demo(market, found, data, place, workers=workers)
        session.record(duration_s or 0)
        return session.judge()


class _Demo:
    """One demo: a simulator, everything that records it, and the comparison afterwards.

    Its own folders, ports and sockets keep it apart from a recording that runs on the same machine.
    """

    def __init__(self, market: Market, found: CapturedStreams, data: Path, place: Path, *, workers: int) -> None:
        """`workers`: of a group of all symbols; 0: each symbol has a worker of its own."""
        self._market = market
        self._tape = data / "tape"
        self._data = data
        self._config_path = data / "streamer.yaml"
        mode = grouped(market, workers) if workers else named(found)
        self._config = _demo_config(mode, data, place / "run", self._config_path)
        self._live = LiveStatus(self._config, self._config_path)
        self._simulator = Simulator(market, self._tape, place)

    def record(self, duration_s: float) -> None:
        """Start the simulator and everything that records it, watch, and end in order."""
        timer = Timer(duration_s, self._live.totals)
        what = (
            f"what {self._market.capture} plays" if isinstance(self._market, ReplayedMarket) else "a simulated exchange"
        )
        HINTS.config_path = self._config_path
        typer.echo(f"recording {what} into {self._data}; Ctrl-C ends it")
        say("from another terminal, for example: `binance-streamer status`")
        if self._market.spare:
            say(f"{self._market.spare} is traded, too: name it in {self._config_path}, then `binance-streamer apply`")
        with Interruption() as interruption, self._simulator as simulator:
            self._point_at(simulator.port())
            with (
                Foreground(self._config, self._config_path) as foreground,
                Tap(self._config.endpoints.bus_subscribe, ["status."]) as tap,
            ):
                self._watch(foreground, tap, interruption, timer)
                foreground.shutdown(say)

    def _watch(self, foreground: Foreground, tap: Tap, interruption: Interruption, timer: Timer) -> None:
        """Show the recording until it is to end, then have the market stand still, so that nothing is cut off."""
        with screen() as shown:
            watch(
                foreground,
                tap,
                shown,
                self._live,
                is_over=lambda: interruption.requested or timer.tick() or self._is_played(),
            )
            shown.say("stopping: the market stands still until everything that it sent is received")
            self._settle(foreground, tap, shown)

    def judge(self) -> Exit:
        """Compare, print the comparison, and where everything is."""
        faults = unwritten(self._config_path)
        typer.echo("comparing every row with what the simulator sent")
        streams = compare(self._tape, self._data)
        gaps = summary_of(folded(gaps_of_all_days(self._data).rows))
        listed_by = {(symbol, suffix_of(name)): one.listed for (symbol, name), one in gaps.by_stream.items()}
        width = max((len(verdict.symbol) for verdict in streams), default=6)
        typer.echo(f"{'symbol':<{width}}  {'stream':<24} {'sent':>9} {'rows':>9} {'gaps':>5}  rows and messages")
        for verdict in streams:
            same = "are the same" if verdict.is_equal else "DIFFER"
            typer.echo(
                f"{verdict.symbol:<{width}}  {verdict.stream:<24} {verdict.sent:>9} {verdict.rows:>9} "
                f"{listed_by.get((verdict.symbol, verdict.stream), 0):>5}  {same}"
            )
        if not streams:
            faults.append("nothing was recorded")
        for fault in faults:
            warn(fault)
        typer.echo(f"recorded: {self._data}    sent: {self._tape}    logs: {self._data / 'log'}")
        is_complete = not faults and all(verdict.is_equal for verdict in streams)
        missing = gaps.total.open + gaps.total.unrepairable
        listed = f"listed as {missing} gap{'s' if missing > 1 else ''}: {self._data}/*/gap_*.csv"
        if is_complete and missing:
            typer.echo(f"everything that was received is in the files; what was sent while nobody received is {listed}")
        elif is_complete:
            typer.echo("everything that was sent is in the files")
        else:
            typer.echo(
                "the files are NOT complete" + (f"; what was on its way to a worker is {listed}" if missing else "")
            )
        return Exit.OK if is_complete else Exit.INCOMPLETE

    def _point_at(self, port: int) -> None:
        """Write the configuration, with the port on which the simulator listens."""
        network = msgspec.structs.replace(
            self._config.network, websocket_url=f"ws://127.0.0.1:{port}", rest_url=f"http://127.0.0.1:{port}"
        )
        self._config = msgspec.structs.replace(self._config, network=network)
        self._config_path.write_text(configuration.dump(self._config), encoding="utf-8")

    def _settle(self, foreground: Foreground, tap: Tap, shown: Screen) -> None:
        """Have the market stand still until everything that was sent is received, so that no message is cut off."""
        self._simulator.command("pause")
        deadline_s = time.monotonic() + _SETTLE_S
        standstill = _Standstill()
        watch(
            foreground,
            tap,
            shown,
            self._live,
            is_over=lambda: (
                self._has_everything()
                or time.monotonic() > deadline_s
                or (self._live.totals.restarts > 0 and standstill.tick(self._live.totals.messages))
            ),
        )

    def _has_everything(self) -> bool:
        """Return True when as many messages were received as were handed over, and no snapshot is still wanted."""
        delivered: int = self._simulator.stats()["delivered"]
        return self._live.totals.messages >= delivered and not self._wants_snapshots()

    def _is_played(self) -> bool:
        """Return True once a replay has ended; a seeded market never does. Raises where the simulator is gone."""
        self._simulator.check()
        if isinstance(self._market, SeededMarket) or not self._live.totals.messages:
            return False
        return bool(self._simulator.stats()["replay"] == "finished")

    def _wants_snapshots(self) -> bool:
        """Return True while a worker still waits for a snapshot."""
        statuses = self._live.totals.newest.values()
        return any(isinstance(one, IngestStatus) and one.snapshots_wanted for one in statuses)


class _Standstill:
    """Notices that no message comes any more: nobody counts the messages that a killed worker had taken."""

    def __init__(self) -> None:
        self._messages = -1
        self._since_s = 0.0

    def tick(self, messages: int) -> bool:
        """Take the number of messages so far; return True once it has stood still for `_QUIET_S`."""
        if messages != self._messages:
            self._messages, self._since_s = messages, time.monotonic()
        return time.monotonic() - self._since_s > _QUIET_S


def _demo_config(mode: ModeConfig, data: Path, run_directory: Path, path: Path) -> Config:
    """Return the demo's configuration: development mode, one connection per route, still without a port."""
    config = Config(
        mode="development",
        modes={"development": mode},
        network=configuration.NetworkConfig(
            reconnect_delay=0.5, reconnect_delay_max=5, snapshot_spacing=0.2, snapshot_retry=1
        ),
        storage=configuration.StorageConfig(
            output_directory=str(data), journal_directory=str(data / "journal"), commit_interval=2
        ),
        logging=configuration.LoggingConfig(file=str(data / "log" / "{process}.log")),
        endpoints=configuration.EndpointsConfig(run_directory=str(run_directory)),
        monitor=configuration.MonitorConfig(address=f"127.0.0.1:{_free_port()}"),
    )
    return configuration.parse(configuration.dump(config), path)


def _free_port() -> int:
    """Return a port that nobody listens on now. Should somebody take it first, only the page is missing."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _new_directory(wanted: Path | None) -> Path:
    """Make the folder to record into and return its path; `CommandError` where it has content.

    Old rows would be compared with the new tape, and be called wrong.
    """
    path = wanted or Path(f"demo-{datetime.now(UTC):%Y%m%d-%H%M%S}")
    try:
        path.mkdir(mode=0o750, parents=True, exist_ok=True)
    except OSError as error:
        raise CommandError(f"{path} cannot be made: {error}", Exit.CONFIG) from error
    is_new = not any(path.iterdir())
    if is_new:
        try:
            (path / ".demo").touch(exist_ok=False)  # of two that begin at the same time one is refused
        except FileExistsError:
            is_new = False
    if not is_new:
        raise CommandError(
            f"{path} is not empty: a demo is compared with its own tape; name another folder", Exit.CONFIG
        )
    return path.resolve()
