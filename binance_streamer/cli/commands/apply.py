"""`apply`: a changed configuration, taken by the supervisord that runs; whatever it does not concern goes on."""

import subprocess
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from binance_streamer.cli.commands.doctor import probed
from binance_streamer.cli.commands.tap import printable
from binance_streamer.cli.errors import CommandError, Exit
from binance_streamer.cli.hints import say, warn
from binance_streamer.cli.journals import ownerless_journals
from binance_streamer.cli.options import ConfigFile
from binance_streamer.cli.supervisor import compose_file, files
from binance_streamer.cli.supervisor.control import Supervisor
from binance_streamer.cli.supervisor.handover import Handover
from binance_streamer.cli.supervisor.moves import Moves, await_next, moves_of, recording_workers
from binance_streamer.config.schema import DEFAULT_PATH, Config, load
from binance_streamer.deploy.interpreter import module_command
from binance_streamer.deploy.supervisord import control_socket, site_of, state_directory, symbol_of, worker_symbol

_RUN_S = 30.0
"""That a started program may take until it runs, before it is reported."""
_NEXT_S = 45.0
"""For another worker to receive a symbol before the one that records it is stopped: `rest` asks for the list first."""
_DRAIN_S = 60.0
"""That the journal of a removed symbol may take to be written; after that it is kept, and `apply` can be repeated."""


def apply(
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")] = False,
    compose: Annotated[bool, typer.Option("--compose", help="Generate docker-compose.yml, and nothing else.")] = False,
    config: ConfigFile = DEFAULT_PATH,
) -> None:
    """Take a changed configuration while everything else goes on recording.

    Says what it will do. Generates the files of supervisord, and has a running one take them: a new symbol's worker
    starts, that of a removed symbol stops, what its journal holds is written to the files, and the journal is deleted.
    Warns of a new symbol that the exchange does not list, with the nearest names that it does list.
    Processes are restarted only where something changed that they read. Without a running supervisord it writes the
    files alone.

    \b
    Examples:
      binance-streamer apply --dry-run
      binance-streamer apply
      binance-streamer apply -c my.yaml
      binance-streamer apply --compose && docker compose up -d --remove-orphans
    """
    loaded = load(config)
    if compose:
        raise typer.Exit(compose_file.write(config, dry_run=dry_run))
    raise typer.Exit(_apply(loaded, config, dry_run=dry_run))


class Plan(NamedTuple):
    """Names of programs that supervisord has to start, restart or stop, each in the order of their start."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()

    @property
    def free(self) -> tuple[str, ...]:
        """Changed programs whose restart costs nothing: those that receive for no symbol."""
        return tuple(name for name in self.changed if worker_symbol(name) is None)

    @property
    def costly(self) -> tuple[str, ...]:
        """Changed ingest workers, in whose place others record meanwhile."""
        return tuple(name for name in self.changed if worker_symbol(name) is not None)


def plan_of(wanted: Sequence[str], running: Collection[str], changed: Collection[str]) -> Plan:
    """Compare the wanted programs with those that supervisord has; `changed` may name others, too.

    No supervisord is asked here, so that tests can try every case.
    """
    return Plan(
        tuple(name for name in wanted if name not in running),
        tuple(name for name in wanted if name in running and name in changed),
        tuple(name for name in running if name not in wanted),
    )


def _apply(config: Config, config_path: Path, *, dry_run: bool) -> Exit:
    """Say what will be done, and do it: write, let supervisord update, drain."""
    supervisor = Supervisor(control_socket(state_directory(config)))
    supervisor.refuse_a_second()
    files.refuse_another_run_directory(site_of(config, config_path))
    is_running = supervisor.is_answering()
    plan = _plan(config, config_path, supervisor) if is_running else Plan()
    journals = ownerless_journals(config)
    is_current = files.is_current(config, config_path)
    moves = moves_of(recording_workers(config_path, supervisor), config) if any(plan) else Moves()
    if warning := moves.warning(config):
        warn(warning)
    for line in _lines(plan, moves, journals):
        say(line)
    if any(symbol_of(name) for name in plan.added):
        for check in probed("services.rest.probe", config_path, "--symbols"):
            if check.state != "ok":
                warn(printable(f"{check.what}: {check.found}; {check.advice}"))
    if not any(plan) and not is_current:
        say("supervisord.conf: write it anew")
    if is_current and not any(plan) and not journals:
        say("nothing to do")
        return Exit.OK
    if dry_run:
        say("dry run: nothing was done")
        return Exit.OK
    files.prepare(config, config_path)
    if not is_running:
        say("written; supervisord does not run: `binance-streamer start` starts it")
        return Exit.OK
    return _carry_out(plan, moves, config, config_path, supervisor)


def _plan(config: Config, config_path: Path, supervisor: Supervisor) -> Plan:
    """Compare the wanted programs with the file that supervisord took last, and with one that it has not taken yet."""
    programs = files.wanted_programs(config, config_path)
    main = site_of(config, config_path).main
    changed = files.outdated_programs(main, files.wanted_text(config, config_path)) | set(supervisor.reread().changed)
    running = [process.name for process in supervisor.processes()]
    return plan_of([program.name for program in programs], running, changed)


def _carry_out(plan: Plan, moves: Moves, config: Config, config_path: Path, supervisor: Supervisor) -> Exit:
    """Do what `supervisorctl update` does, in an order of our own, and drain the journals of removed symbols.

    First what costs nothing, so that new workers find it as they need it. Workers that record are restarted one by one,
    each while another one records in its place. One whose symbols move is stopped last, when others receive them.
    """
    faults: list[str] = []
    supervisor.reread()
    needed = [name for name in plan.removed if moves.of(worker_symbol(name))]
    for name in (*plan.free, *(one for one in plan.removed if one not in needed), *plan.added):
        if name not in plan.added:
            supervisor.remove(name)
        if name not in plan.removed:
            supervisor.add(name)
        done = "stopped" if name in plan.removed else "started" if name in plan.added else "restarted"
        say(f"{name}: {done}")
    for name in plan.costly:
        faults += _hand_over(name, config, config_path, supervisor)
    for name in needed:
        late = await_next(config, moves.of(worker_symbol(name)), _NEXT_S)
        supervisor.remove(name)
        say(f"{name}: stopped{', before others received ' + ' '.join(late) if late else ''}")
    faults += supervisor.await_running((*plan.free, *plan.added), _RUN_S)
    for producer in ownerless_journals(config):
        faults += _drain(producer, config, config_path)
    for fault in faults:
        warn(fault)
    if faults:
        warn("not all of it is applied; `binance-streamer apply` tries the rest again")
        return Exit.INCOMPLETE
    files.forget_settings(state_directory(config), files.wanted_programs(config, config_path))
    say("applied")
    return Exit.OK


def _hand_over(name: str, config: Config, config_path: Path, supervisor: Supervisor) -> list[str]:
    """Have a changed worker begin anew while another one records in its place; return what stands against it."""

    def begin_anew() -> None:
        supervisor.remove(name)
        supervisor.add(name)
        faults.extend(supervisor.await_running([name], _RUN_S))

    faults: list[str] = []
    with Handover(config, config_path, supervisor, worker_symbol(name) or "") as handover:
        try:
            say(f"{name}: {handover.restart(name, begin_anew)}")
        except CommandError as error:
            faults.append(str(error))
    return faults


def _drain(producer: str, config: Config, config_path: Path) -> list[str]:
    """Write what a removed symbol left to the files, and delete its journal; return what stands against it."""
    symbol = symbol_of(producer)
    if symbol is None:
        return []
    say(f"{producer}: what its journal holds is written to the files")
    command = module_command("services.ingest", "--symbol", symbol, "--drain", "--forget", "-c", str(config_path))
    try:
        done = subprocess.run(  # noqa: S603 (our own command line)
            command, check=False, timeout=_DRAIN_S, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        return [
            f"{producer}: its journal is kept, since not all of it was in the files after {_DRAIN_S:.0f} s: "
            "does the writer run, and does no other process record this symbol?"
        ]
    if producer not in ownerless_journals(config):
        say(f"{producer}: all of it is in the files; its journal is deleted")
        return []
    if done.returncode:
        return [f"{producer}: its journal is kept; see `binance-streamer logs {producer}`"]
    say(f"{producer}: its journal is kept until others have gone on behind it; then `binance-streamer apply` again")
    return []


def _lines(plan: Plan, moves: Moves, journals: Sequence[str]) -> list[str]:
    """Return a line for each program that is touched, and one for the symbols that move."""
    return [
        *(f"~ {name}: restart, which loses nothing" for name in plan.free),
        *(f"- {name}: stop" for name in plan.removed),
        *(f"+ {name}: start" for name in plan.added),
        *(f"~ {name}: restart, while another one records in its place" for name in plan.costly),
        *([moves.line] if moves.line else []),
        *(f"- journal of {name}: write what it holds to the files, then delete it" for name in journals),
    ]
