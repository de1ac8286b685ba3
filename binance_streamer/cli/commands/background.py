"""`start`, `stop` and `restart`: a recording in the background, its programs under a supervisord that stays."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import typer

from binance_streamer.cli.errors import CommandError, Exit
from binance_streamer.cli.options import ConfigFile, Names
from binance_streamer.cli.supervisor import files as sites
from binance_streamer.cli.supervisor.control import Process, Supervisor
from binance_streamer.cli.supervisor.foreground import check_socket_length
from binance_streamer.config.schema import DEFAULT_PATH, Config, load
from binance_streamer.deploy.interpreter import module_command
from binance_streamer.deploy.supervisord import checkout_site, control_socket, program_name, programs, state_directory

_SETTLE_S = 15.0
_STOP_S = 90.0


def start(names: Names = None, config: ConfigFile = DEFAULT_PATH) -> None:
    """Start recording in the background.

    Starts supervisord first where it does not run.

    \b
    Examples:
      binance-streamer start
      binance-streamer start ingest-BTCUSDT
    """
    loaded = load(config)
    supervisor = _supervisor(loaded)
    supervisor.refuse_a_second()
    if not supervisor.answers():
        _start_supervisord(loaded, config)
    wanted = [program_name(name) for name in names or []]
    for name in wanted or [process.name for process in supervisor.processes()]:
        supervisor.start(name, wait=False)
    _settled(supervisor, wanted)
    _print_table(supervisor.processes())


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
        typer.echo(f"{program_name(name)}: {'stopped' if was_running else 'was not running'}")
    if names:
        return
    hidden_pid = None if supervisor.answers() else supervisor.hidden_pid()
    if hidden_pid is None:
        pid = supervisor.pid()
        supervisor.stop_all()
        supervisor.shutdown()
    else:
        pid = hidden_pid
        os.kill(pid, signal.SIGTERM)
    # without a socket to stop them together it takes a second for each program
    deadline_s = _STOP_S + len(loaded.symbols)
    _until(lambda: not Path(f"/proc/{pid}").exists(), deadline_s, f"supervisord (pid {pid}) does not end")
    typer.echo("stopped")


def restart(names: Names = None, config: ConfigFile = DEFAULT_PATH) -> None:
    """Restart programs, one after the other.

    In the order of their start; the next one follows once this one runs, and the others go on meanwhile.

    \b
    Examples:
      binance-streamer restart
      binance-streamer restart writer
    """
    loaded = load(config)
    supervisor = _supervisor(loaded)
    running = [process.name for process in supervisor.processes()]
    order = [program.name for program in programs(loaded, config, sites.built_services())]
    wanted = [program_name(name) for name in names or []] or sorted(running, key=lambda name: _rank(name, order))
    for name in wanted:
        supervisor.stop(name)
        supervisor.start(name)
        typer.echo(f"{name}: restarted, {supervisor.process(name).description}")


def _supervisor(config: Config) -> Supervisor:
    return Supervisor(control_socket(state_directory(config)))


def _start_supervisord(config: Config, config_path: Path) -> None:
    site = checkout_site(config, config_path)
    faults = sites.outdated(site, sites.site_files(site, config, config_path))
    if faults:
        raise CommandError(f"{faults[0]}: run `binance-streamer apply -c {config_path}`", Exit.CONFIG)
    check_socket_length(site.state)
    site.state.mkdir(mode=0o700, parents=True, exist_ok=True)
    # programs run by the Python that runs us, also where it is on no PATH
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}"}
    command = module_command("supervisor.supervisord", "-c", str(site.root / "supervisord.conf"))
    done = subprocess.run(  # noqa: S603 (our own command line)
        command,
        env=environment,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
        stdin=subprocess.DEVNULL,
    )
    if done.returncode:
        raise CommandError(f"supervisord does not start: {(done.stderr or done.stdout).strip()}", Exit.INCOMPLETE)
    _until(_supervisor(config).answers, _SETTLE_S, f"supervisord does not answer; see {site.state}")
    if config.selected.run_duration:
        typer.echo("run_duration is ignored under a supervisord that stays: recording goes on until `stop`", err=True)


def _settled(supervisor: Supervisor, names: Sequence[str]) -> None:
    def states() -> list[Process]:
        return [process for process in supervisor.processes() if not names or process.name in names]

    _until(lambda: all(process.state != "STARTING" for process in states()), _SETTLE_S, "programs are still starting")
    failed = [f"{process.name} is {process.state.lower()}: {process.description}" for process in states()
              if process.state != "RUNNING"]  # fmt: skip
    if failed:
        raise CommandError("; ".join(failed), Exit.INCOMPLETE)


def _until(is_so: Callable[[], bool], deadline_s: float, fault: str) -> None:
    end_s = time.monotonic() + deadline_s
    while not is_so():
        if time.monotonic() > end_s:
            raise CommandError(fault, Exit.INCOMPLETE)
        time.sleep(0.1)


def _rank(name: str, order: Sequence[str]) -> int:
    return order.index(name) if name in order else len(order)


def _print_table(processes: Sequence[Process]) -> None:
    width = max((len(process.name) for process in processes), default=0)
    for process in processes:
        typer.echo(f"{process.name:<{width}}  {process.state:<8}  {process.description}".rstrip())
