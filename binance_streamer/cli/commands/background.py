"""`start`, `stop` and `restart`: a recording in the background, its programs under a supervisord that stays."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from binance_streamer.cli import page
from binance_streamer.cli.errors import CommandError, Exit
from binance_streamer.cli.hints import say, warn
from binance_streamer.cli.options import ConfigFile, Names
from binance_streamer.cli.status.problems import failures, lines_of
from binance_streamer.cli.supervisor import files
from binance_streamer.cli.supervisor.control import Process, Supervisor
from binance_streamer.cli.supervisor.foreground import take_next
from binance_streamer.cli.supervisor.handover import Handover
from binance_streamer.client.tap import Tap
from binance_streamer.config.schema import DEFAULT_PATH, Config, load
from binance_streamer.deploy.interpreter import module_command
from binance_streamer.deploy.supervisord import control_socket, program_name, programs, state_directory, worker_symbol
from binance_streamer.health.observer import Observer

_START_S = 15.0
"""That programs, and supervisord itself, may take until they run."""
_STOP_S = 90.0
"""That supervisord may take to end, beside a second for each worker: the writer first writes what it has."""
_RECORDING_S = 120.0
"""That `start --wait` waits: the connections of many symbols are opened a few at a time."""
_TELL_S = 1.0
"""Between two lines of `start --wait` about what is still missing."""


def start(
    names: Names = None,
    *,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until everything is recorded.")] = False,
    config: ConfigFile = DEFAULT_PATH,
) -> None:
    """Start recording in the background.

    Writes supervisord.conf and starts supervisord first where it does not run. Returns once the processes run; with
    --wait once everything that is configured is recorded, else with 1 and what is missing.

    \b
    Examples:
      binance-streamer start
      binance-streamer start --wait
      binance-streamer start ingest-BTCUSDT
    """
    loaded = load(config)
    supervisor = _supervisor(loaded)
    supervisor.refuse_a_second()
    if not supervisor.is_answering():
        _start_supervisord(loaded, config)
    elif not files.is_current(loaded, config):
        warn("the configuration has changed, and runs once it is applied: `binance-streamer apply`")
    wanted = [program_name(name) for name in names or []]
    for name in wanted or [process.name for process in supervisor.processes()]:
        supervisor.start(name, wait=False)
    faults = supervisor.await_running(wanted or [process.name for process in supervisor.processes()], _START_S)
    _print_table(supervisor.processes())
    if faults:
        raise CommandError("; ".join(faults), Exit.INCOMPLETE)
    missing = _await_recording(loaded) if wait else []
    say(f"recording into {loaded.storage.output_directory}")
    if loaded.monitor.enabled and not names:
        say(page.line_of(loaded, page.state_of_monitor(loaded, _START_S)) or "the monitor says nothing of its page yet")
    if missing:
        raise CommandError(
            f"not everything is recorded after {_RECORDING_S:.0f} s: {'; '.join(missing)}", Exit.INCOMPLETE
        )


def stop(names: Names = None, config: ConfigFile = DEFAULT_PATH) -> None:
    """Stop programs, or everything.

    Without a name supervisord ends too. Producers stop first, then the writer, which makes durable what it has.

    \b
    Examples:
      binance-streamer stop ingest-BTCUSDT
      binance-streamer stop
    """
    loaded = load(config)
    supervisor = _supervisor(loaded)
    for name in names or []:
        was_running = supervisor.stop(program_name(name))
        say(f"{program_name(name)}: {'stopped' if was_running else 'was not running'}")
    if names:
        return
    hidden_pid = None if supervisor.is_answering() else supervisor.hidden_pid()
    if hidden_pid is None:
        pid = supervisor.pid()
        supervisor.stop_all(say)
        supervisor.shutdown()
    else:
        pid = hidden_pid
        os.kill(pid, signal.SIGTERM)
    # without a socket to stop them together it takes a second for each program
    deadline_s = _STOP_S + len(loaded.workers)
    _until(lambda: not Path(f"/proc/{pid}").exists(), deadline_s, f"supervisord (pid {pid}) does not end")
    say("stopped")


def restart(names: Names = None, config: ConfigFile = DEFAULT_PATH) -> None:
    """Restart programs, one after the other.

    In the order of their start; the next one follows once this one runs, and the others go on meanwhile. In place of an
    ingest worker a second one goes on recording, so that nothing is missed; where that one does not come up, nothing is
    stopped.

    \b
    Examples:
      binance-streamer restart
      binance-streamer restart writer
      binance-streamer restart ingest-BTCUSDT
    """
    loaded = load(config)
    supervisor = _supervisor(loaded)
    running = [process.name for process in supervisor.processes()]
    order = [program.name for program in programs(loaded, config, files.built_services())]
    wanted = [program_name(name) for name in names or []] or sorted(running, key=lambda name: _rank(name, order))
    for name in wanted:
        symbol = worker_symbol(name)
        if symbol is None:
            _restart(supervisor, name)
            say(f"{name}: restarted, {supervisor.process(name).description}")
            continue
        with Handover(loaded, config, supervisor, symbol) as handover:
            say(f"{name}: {handover.restart(name, partial(_restart, supervisor, name))}")


def _restart(supervisor: Supervisor, name: str) -> None:
    supervisor.stop(name)
    supervisor.start(name)


def _await_recording(config: Config) -> list[str]:
    """Listen until every process says that all of its work is done, and say meanwhile what is waited for.

    Returns no line then; else, after `_RECORDING_S` seconds, a line for each reason for which something is missing.
    """
    observer = Observer(config)
    endpoints = config.endpoints
    begin_s = told_s = time.monotonic()
    told: list[str] = []
    with Tap(endpoints.bus_subscribe, ["status."], curve_directory=endpoints.curve_directory) as tap:
        while (now_s := time.monotonic()) < begin_s + _RECORDING_S:
            take_next(tap, lambda data: observer.take(data, time.monotonic()), 1)
            missing = failures(observer.health(time.monotonic(), time.time_ns() // 1_000_000).problems)
            if not missing:
                say("everything that is configured is recorded")
                return []
            names = [problem.what for problem in missing]
            if names != told and now_s >= told_s + _TELL_S:
                told, told_s = names, now_s
                say(f"waiting for {'; '.join(lines_of(missing))}")
    return lines_of(missing)


def _supervisor(config: Config) -> Supervisor:
    return Supervisor(control_socket(state_directory(config)))


def _start_supervisord(config: Config, config_path: Path) -> None:
    """Write its files, start supervisord in the background, and wait until it answers.

    Raises `CommandError` with its own words where it does not start.
    """
    site = files.prepare_start(config, config_path)
    done = subprocess.run(  # noqa: S603 (our own command line)
        module_command("supervisor.supervisord", "-c", str(site.main)),
        env=files.environment(),
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
        stdin=subprocess.DEVNULL,
    )
    if done.returncode:
        raise CommandError(f"supervisord does not start: {(done.stderr or done.stdout).strip()}", Exit.INCOMPLETE)
    _until(_supervisor(config).is_answering, _START_S, f"supervisord does not answer; see {site.state}")
    if config.selected.run_duration:
        warn("run_duration is ignored under a supervisord that stays: recording goes on until `stop`")


def _until(is_so: Callable[[], bool], deadline_s: float, fault: str) -> None:
    """Wait until it is so, looking ten times a second; `CommandError` with this fault after `deadline_s` seconds."""
    end_s = time.monotonic() + deadline_s
    while not is_so():
        if time.monotonic() > end_s:
            raise CommandError(fault, Exit.INCOMPLETE)
        time.sleep(0.1)


def _rank(name: str, order: Sequence[str]) -> int:
    """Return the place of a program in the order of starts; programs that are not configured come last."""
    return order.index(name) if name in order else len(order)


def _print_table(processes: Sequence[Process]) -> None:
    """Print a line for each program: name, supervisord's state and description, in columns."""
    width = max((len(process.name) for process in processes), default=0)
    for process in processes:
        say(f"{process.name:<{width}}  {process.state:<8}  {process.description}".rstrip())
