"""`status`: asks supervisord, listens to the bus for a moment, looks at today's gaps, and says what it found."""

import time
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from binance_streamer.cli.commands.tap import printable
from binance_streamer.cli.errors import CommandError, Exit
from binance_streamer.cli.journals import ownerless_journals
from binance_streamer.cli.options import ConfigFile
from binance_streamer.cli.recordings.gap_files import day_text, gaps_of
from binance_streamer.cli.status.report import ProcessReport, Report, StreamReport, report_of
from binance_streamer.cli.status.screen import size
from binance_streamer.cli.supervisor import files as sites
from binance_streamer.cli.supervisor.control import HiddenSupervisordError, Process, Supervisor
from binance_streamer.client.tap import Tap
from binance_streamer.config.schema import DEFAULT_PATH, Config, load
from binance_streamer.deploy.supervisord import SIMULATOR, control_socket, state_directory
from binance_streamer.health.judge import processes as expected_processes
from binance_streamer.health.observer import Observer

_LISTEN_S = 3.0
"""Every process says its status once a second; where all have been heard, no longer."""
_WIDTH = 200


def status(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    config: ConfigFile = DEFAULT_PATH,
) -> None:
    """Show whether everything is being recorded.

    supervisord's view of every process and what it says of itself; messages, age of the last one and today's gaps of
    every stream; backlog, room on the disk, the clock, and what is wrong. Exits with 0 only if everything that is
    configured is being recorded.

    \b
    Examples:
      binance-streamer status
      binance-streamer status --json | jq .problems
      binance-streamer status > /dev/null || echo "not recording"
    """
    raise typer.Exit(_status(load(config), config, as_json=as_json))


def _status(config: Config, config_path: Path, *, as_json: bool) -> Exit:
    report, absence = _gathered(config)
    is_heard = any(process.says is not None for process in report.processes)
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(report)).decode())
    if absence is not None and not is_heard:
        raise absence
    if not as_json:
        if isinstance(absence, HiddenSupervisordError):
            typer.echo(f"{absence}\n")
        _print(report)
        _tell_what_is_not_applied(config, config_path, report)
    return Exit.OK if report.recording else Exit.INCOMPLETE


def _gathered(config: Config) -> tuple[Report, CommandError | None]:
    """With the error where no supervisord answers."""
    supervisor = Supervisor(control_socket(state_directory(config)))
    pid: int | None = None
    processes: list[Process] = []
    absence: CommandError | None = None
    try:
        pid, processes = supervisor.pid(), supervisor.processes()
    except CommandError as error:
        absence = error
    observer = _listened(config)
    data = Path(config.storage.output_directory)
    day = day_text(time.time())
    report = report_of(
        config,
        observer.told,
        observer.health(time.monotonic(), time.time_ns() // 1_000_000),
        supervisord_pid=pid,
        processes=processes,
        gaps={symbol.symbol: gaps_of(data, symbol.symbol, day) for symbol in config.symbols},
        ownerless_journals=ownerless_journals(config),
        now_ns=time.time_ns(),
    )
    return report, absence


def _listened(config: Config) -> Observer:
    observer = Observer(config)
    expected = set(expected_processes(config))
    deadline_s = time.monotonic() + _LISTEN_S
    with Tap(config.endpoints.bus_subscribe, ["status."], curve_directory=config.endpoints.curve_directory) as tap:
        while (left_s := deadline_s - time.monotonic()) > 0 and not expected <= observer.told.keys():
            message = tap.receive(left_s)
            if message is not None and message.stream_type == "status" and not message.topic.variant:
                observer.take(message.data, time.monotonic())
    return observer


def _print(report: Report) -> None:
    console = Console(width=None if Console().is_terminal else _WIDTH, highlight=False, soft_wrap=True)
    if report.supervisord_pid is None:
        console.print("no supervisord answers for this configuration; what is heard on the bus:")
    else:
        console.print(f"supervisord, pid {report.supervisord_pid}")
    console.print(_process_table(report))
    console.print()
    console.print(_stream_table(report))
    console.print()
    console.print(Text(_summary(report)))
    for name in report.ownerless_journals:
        console.print(
            Text(printable(f"journal without an owner: {name}; `binance-streamer apply` writes and deletes it"))
        )
    for problem in report.problems:
        style = "red" if problem.severity == "failure" else "yellow"
        console.print(Text(printable(f"{problem.severity}: {problem.what}: {problem.why}"), style=style))
    if any(problem.severity == "failure" for problem in report.problems):
        console.print("`binance-streamer logs PROCESS` shows what one said, `doctor` looks around")
    verdict = ("RECORDING everything that is configured", "green") if report.recording else ("NOT RECORDING", "red")
    console.print(Text(*verdict))


def _tell_what_is_not_applied(config: Config, config_path: Path, report: Report) -> None:
    if report.supervisord_pid is None:
        return
    site = sites.site_in_force(config, config_path, Supervisor(control_socket(state_directory(config))))
    if sites.outdated(site, sites.site_files(site, config, config_path)):
        typer.echo(f"{config_path} has changed, and runs once it is applied: binance-streamer apply -c {config_path}")


def _process_table(report: Report) -> Table:
    table = _table(("process", "state"), ("pid", "up", "memory", "cpu s"), ("",))
    for process in report.processes:
        is_well = process.state in ("RUNNING", "") and (process.says is not None or process.name == SIMULATOR)
        table.add_row(*(Text(printable(cell)) for cell in _process_cells(process)), style="" if is_well else "yellow")
    return table


def _process_cells(process: ProcessReport) -> tuple[str, ...]:
    return (
        process.name,
        process.state or "-",
        str(process.pid or "-"),
        duration(process.uptime_s) if process.pid else "-",
        "-" if process.rss_bytes is None else size(process.rss_bytes),
        "-" if process.cpu_s is None else f"{process.cpu_s:.1f}",
        _words(process),
    )


def _words(process: ProcessReport) -> str:
    if process.state not in ("RUNNING", ""):
        return process.description
    return process.says or ("" if process.name == SIMULATOR else "says nothing on the bus")


def _stream_table(report: Report) -> Table:
    table = _table(("symbol", "stream"), ("messages", "rate/s", "last", "latency ms", "gaps today"), ("state",))
    for stream in report.streams:
        cells = (Text(printable(cell)) for cell in _stream_cells(stream))
        table.add_row(*cells, style="red" if stream.why else "")
    return table


def _stream_cells(stream: StreamReport) -> tuple[str, ...]:
    gaps = stream.gaps_today
    return (
        stream.symbol,
        stream.stream,
        str(stream.messages),
        f"{stream.rate:.1f}",
        "-" if stream.last_message_s is None else f"{duration(stream.last_message_s)} ago",
        "-" if stream.latency_ms is None else f"{stream.latency_ms:.1f}",
        f"{gaps.listed}" + (f" ({gaps.repaired} repaired)" if gaps.repaired else ""),
        f"{stream.state}: {stream.why}" if stream.why else stream.state,
    )


def _table(left: tuple[str, ...], right: tuple[str, ...], last: tuple[str, ...]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in left:
        table.add_column(heading, no_wrap=True)
    for heading in right:
        table.add_column(heading, justify="right", no_wrap=True)
    for heading in last:
        table.add_column(heading, overflow="fold")
    return table


def _summary(report: Report) -> str:
    gaps, disk, clock = report.gaps_today, report.disk, report.clock
    words = [
        f"gaps today {gaps.listed}" + (f", {gaps.repaired} of them repaired" if gaps.repaired else ""),
        f"backlog {size(report.backlog_bytes)}, the oldest {report.backlog_s:.0f} s old",
    ]
    if disk is not None:
        left = f", full in {disk.days_left:.0f} days at this rate" if disk.days_left is not None else ""
        words.append(f"disk {size(disk.free_bytes)} of {size(disk.total_bytes)} free{left}")
    if clock is not None and clock.offset_ms is not None:
        error = "" if clock.error_ms is None else f" ± {clock.error_ms:.1f}"
        words.append(f"exchange's clock {clock.offset_ms:+.1f}{error} ms ahead")
    return "; ".join(words)


def duration(seconds: float) -> str:
    """`0.4 s`, `12 s`, `3:07:12`, `12 d 3:07`."""
    if seconds < 100:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return f"{days} d {hours}:{minutes:02}" if days else f"{hours}:{minutes:02}:{rest:02}"
