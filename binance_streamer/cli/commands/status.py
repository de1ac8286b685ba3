"""`status`: asks supervisord, listens to the bus for a moment, reads today's gaps, and says what it found."""

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
from binance_streamer.cli.hints import HINTS, say
from binance_streamer.cli.journals import ownerless_journals
from binance_streamer.cli.options import ConfigFile
from binance_streamer.cli.supervisor import files
from binance_streamer.cli.supervisor.control import HiddenSupervisordError, Process, Supervisor
from binance_streamer.cli.supervisor.foreground import take_next
from binance_streamer.client.tap import Tap, is_listening
from binance_streamer.config.schema import DEFAULT_PATH, Config, load
from binance_streamer.deploy.supervisord import control_socket, program_name, state_directory
from binance_streamer.health.gap_files import day_text, gaps_of_day
from binance_streamer.health.gaps import GapTotals, folded, summary_of
from binance_streamer.health.judge import processes as expected_processes
from binance_streamer.health.observer import Observer
from binance_streamer.health.sizes import size
from binance_streamer.health.snapshot import ProcessSnapshot, Snapshot, StreamSnapshot
from binance_streamer.health.storage import volume_lines
from binance_streamer.health.volumes import measured

_LISTEN_S = 3.0
"""Every process says its status once a second; where all have been heard, no longer."""
_WIDTH = 200


class SupervisedProgram(msgspec.Struct, frozen=True):
    """A program as supervisord sees it; `state` is supervisord's word, `description` what it adds.

    `exit_code` is that of its last end, -1 where a signal ended it.
    """

    name: str
    state: str
    pid: int
    description: str
    uptime_s: float
    exit_code: int = 0


class StatusReport(Snapshot, frozen=True):
    """The snapshot, and what supervisord says: its pid (None where none answers) and its programs."""

    supervisord_pid: int | None
    programs: tuple[SupervisedProgram, ...]
    ownerless_journals: tuple[str, ...]


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
    """Print what runs and what is recorded; OK only if everything configured is being recorded."""
    supervisor = Supervisor(control_socket(state_directory(config)))
    pid: int | None = None
    programs: list[Process] = []
    absence: CommandError | None = None
    try:
        pid, programs = supervisor.pid(), supervisor.processes()
    except CommandError as error:
        absence = error
    endpoint = config.endpoints.bus_subscribe
    runs = absence is None or isinstance(absence, HiddenSupervisordError) or is_listening(endpoint)
    snapshot = _snapshot(config, _LISTEN_S if runs else 0)
    if snapshot.stored is None:
        snapshot = msgspec.structs.replace(snapshot, stored=measured(config.storage, time.time_ns()))
    report = StatusReport(
        **msgspec.structs.asdict(snapshot),
        supervisord_pid=pid,
        programs=tuple(SupervisedProgram(**program._asdict()) for program in programs),
        ownerless_journals=tuple(ownerless_journals(config)),
    )
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(report)).decode())
    if absence is not None and not any(process.up for process in report.processes):
        raise absence
    if not as_json:
        if isinstance(absence, HiddenSupervisordError):
            typer.echo(f"{absence}\n")
        _print(report)
        _tell_what_is_not_applied(config, config_path, report)
    return Exit.OK if report.healthy else Exit.INCOMPLETE


def _snapshot(config: Config, listen_s: float) -> Snapshot:
    """Listen until every configured process has been heard, at most `listen_s`."""
    observer = Observer(config)
    expected = set(expected_processes(config))
    deadline_s = time.monotonic() + listen_s
    with Tap(config.endpoints.bus_subscribe, ["status."], curve_directory=config.endpoints.curve_directory) as tap:
        while (left_s := deadline_s - time.monotonic()) > 0 and not expected <= observer.received.keys():
            take_next(tap, lambda data: observer.take(data, time.monotonic()), left_s)
    symbols = [symbol.symbol for symbol in observer.config.symbols]
    read = gaps_of_day(Path(config.storage.output_directory), symbols, day_text(time.time()))
    gaps = summary_of(folded(read.rows))
    return observer.snapshot(gaps, time.monotonic(), time.time_ns() // 1_000_000)


def _print(report: StatusReport) -> None:
    """Print processes, streams, the summary, problems and the verdict, in this order: the verdict stays in sight."""
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
    for line in volume_lines(report.stored) if report.stored is not None else ():
        console.print(Text(printable(f"stored: {line}")))
    for name in report.ownerless_journals:
        console.print(_with_hints(f"journal without an owner: {name}; `binance-streamer apply` writes and deletes it"))
    for problem in report.problems:
        style = "red" if problem.severity == "failure" else "yellow"
        console.print(Text(printable(f"{problem.severity}: {problem.what}: {problem.why}"), style=style))
    if any(problem.severity == "failure" for problem in report.problems):
        console.print(
            _with_hints("`binance-streamer logs` shows what they said; `binance-streamer doctor` looks around")
        )
    verdict = ("RECORDING everything that is configured", "green") if report.healthy else ("NOT RECORDING", "red")
    console.print(Text(*verdict))


def _with_hints(text: str) -> Text:
    """Return text whose commands can be pasted, without characters that control a terminal."""
    return Text(HINTS.in_text(printable(text)))


def _tell_what_is_not_applied(config: Config, config_path: Path, report: StatusReport) -> None:
    """Say that the file has changed since supervisord took it; nothing where none answers."""
    if report.supervisord_pid is None:
        return
    if not files.is_current(config, config_path):
        say(f"{config_path} has changed, and runs once it is applied: `binance-streamer apply`")


def _process_table(report: StatusReport) -> Table:
    """Return a row for each program of supervisord; where none answers, for each process that is heard."""
    table = _table(("process", "state"), ("pid", "up", "memory", "cpu s"), ("",))
    heard = {program_name(process.name): process for process in report.processes if process.up}
    by_pid = {process.pid: process for process in heard.values()}  # of two workers either may be the one that records
    unsupervised = [
        SupervisedProgram(name, "", one.pid or 0, "", one.uptime_s or 0.0) for name, one in sorted(heard.items())
    ]
    for program in report.programs or unsupervised:
        process = by_pid.get(program.pid, heard.get(program.name))
        is_well = program.state in ("RUNNING", "") and process is not None
        cells = (Text(printable(cell)) for cell in _process_cells(program, process))
        table.add_row(*cells, style="" if is_well else "yellow")
    return table


def _process_cells(program: SupervisedProgram, process: ProcessSnapshot | None) -> tuple[str, ...]:
    return (
        program.name,
        program.state or "-",
        str(program.pid or "-"),
        duration(program.uptime_s) if program.pid else "-",
        "-" if process is None or process.rss_bytes is None else size(process.rss_bytes),
        "-" if process is None or process.cpu_s is None else f"{process.cpu_s:.1f}",
        _state_text(program, process),
    )


def _state_text(program: SupervisedProgram, process: ProcessSnapshot | None) -> str:
    """Return a state in words: supervisord's where the program does not run, else what the process says of itself."""
    if program.state not in ("RUNNING", ""):
        return program.description
    if process is None:
        return "not heard on the bus"
    return ", ".join(filter(None, (process.state, process.detail)))


def _stream_table(report: Snapshot) -> Table:
    table = _table(("symbol", "stream"), ("messages", "rate/s", "last", "latency ms", "gaps today"), ("state",))
    for symbol in report.symbols:
        for stream in symbol.streams:
            cells = (Text(printable(cell)) for cell in _stream_cells(symbol.symbol, stream))
            table.add_row(*cells, style="red" if stream.why else "")
    return table


def _stream_cells(symbol: str, stream: StreamSnapshot) -> tuple[str, ...]:
    return (
        symbol,
        stream.stream,
        str(stream.messages),
        f"{stream.rate:.1f}",
        "-" if stream.age_s is None else f"{duration(stream.age_s)} ago",
        "-" if stream.latency_ms is None else f"{stream.latency_ms:.1f}",
        gaps_text(stream.gaps),
        f"{stream.state}: {stream.why}" if stream.why else stream.state,
    )


def gaps_text(gaps: GapTotals) -> str:
    """Write how many gaps there are and what became of them: `3 (1 unrepairable, 2 repaired)`."""
    states = ((gaps.unrepairable, "unrepairable"), (gaps.open, "open"), (gaps.repaired, "repaired"))
    found = ", ".join(f"{number} {word}" for number, word in states if number)
    return f"{gaps.listed} ({found})" if gaps.listed else "0"


def _table(left: tuple[str, ...], right: tuple[str, ...], last: tuple[str, ...]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in left:
        table.add_column(heading, no_wrap=True)
    for heading in right:
        table.add_column(heading, justify="right", no_wrap=True)
    for heading in last:
        table.add_column(heading, overflow="fold")
    return table


def _summary(report: Snapshot) -> str:
    """Return the line below the tables: gaps, backlog, disk and clock."""
    gaps, disk, clock = report.gaps, report.disk, report.clock
    unrepairable = ""
    if gaps.unrepairable:
        unrepairable = f", {gaps.unrepairable_messages} messages and {duration(gaps.unrepairable_s)} unrepairable"
    parts = [
        f"gaps today {gaps_text(gaps)}{unrepairable}",
        f"backlog {size(report.backlog_bytes)}, the oldest {report.backlog_s:.0f} s old",
    ]
    if disk is not None:
        left = f", full in {disk.days_left:.0f} days at this rate" if disk.days_left is not None else ""
        parts.append(f"disk {size(disk.free_bytes)} of {size(disk.total_bytes)} free{left}")
    if clock.offset_ms is not None:
        error = "" if clock.error_ms is None else f" ± {clock.error_ms:.1f}"
        parts.append(f"exchange clock minus ours {clock.offset_ms:+.1f}{error} ms")
    return "; ".join(parts)


def duration(seconds: float) -> str:
    """Write a length of time in short: `0.4 s`, `12 s`, `3:07:12`, `12 d 3:07`."""
    if seconds < 100:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return f"{days} d {hours}:{minutes:02}" if days else f"{hours}:{minutes:02}:{rest:02}"
