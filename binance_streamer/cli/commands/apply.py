"""`apply`: a changed configuration, taken by the supervisord that runs; whatever it does not concern goes on."""

import subprocess
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from binance_streamer.cli.errors import CommandError, Exit
from binance_streamer.cli.journals import ownerless_journals
from binance_streamer.cli.options import ConfigFile
from binance_streamer.cli.supervisor import compose_file
from binance_streamer.cli.supervisor import files as sites
from binance_streamer.cli.supervisor.control import Supervisor, configured_socket
from binance_streamer.config.schema import DEFAULT_PATH, Config, load
from binance_streamer.deploy.interpreter import module_command
from binance_streamer.deploy.supervisord import SIMULATOR, Site, control_socket, files, state_directory, symbol_of

_RUN_S = 30.0
_DRAIN_S = 60.0


def apply(
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")] = False,
    compose: Annotated[bool, typer.Option("--compose", help="Generate docker-compose.yml, and nothing else.")] = False,
    config: ConfigFile = DEFAULT_PATH,
) -> None:
    """Take a changed configuration while everything else goes on recording.

    Says what it will do. Generates the files of supervisord, and has a running one take them: a new symbol's worker
    starts, that of a removed symbol stops, what its journal holds is written to the files, and the journal is deleted.
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
    """What supervisord has to do, each in the order in which it is done."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()

    @property
    def free(self) -> tuple[str, ...]:
        """Changed programs whose restart costs nothing: those of no symbol."""
        return tuple(name for name in self.changed if symbol_of(name) is None)


def plan_of(
    wanted: Sequence[str], running: Collection[str], outdated: Collection[str], changed: Collection[str]
) -> Plan:
    """`running`: supervisord's programs; `outdated`: those whose files are not as they should be.

    `changed`: those whose files it has not taken yet.
    """
    return Plan(
        tuple(name for name in wanted if name not in running),
        tuple(name for name in wanted if name in running and (name in outdated or name in changed)),
        tuple(name for name in running if name not in wanted),
    )


def _apply(config: Config, config_path: Path, *, dry_run: bool) -> Exit:
    """Say what will be done, and do it."""
    supervisor = Supervisor(control_socket(state_directory(config)))
    supervisor.refuse_a_second()
    is_running = supervisor.answers()
    site = sites.site_in_force(config, config_path, supervisor if is_running else None)
    _refuse_a_second_supervisord(site)
    programs = sites.wanted_programs(config, config_path)
    texts = files(site, programs)
    wanted = [program.name for program in programs]
    plan = Plan()
    if is_running:
        outdated = sites.outdated_programs(site, texts)
        plan = plan_of(wanted, _running(supervisor), outdated, supervisor.reread().changed)
    faults = sites.outdated(site, texts)
    journals = ownerless_journals(config)
    _tell(plan, journals)
    if faults and not any(plan):
        typer.echo(f"generated files in {site.root}: {len(faults)} to be written or removed")
    if not (any(plan) or faults or journals):
        typer.echo("nothing to do")
        return Exit.OK
    if dry_run:
        typer.echo("dry run: nothing was done")
        return Exit.OK
    sites.write(site, texts)
    if not is_running:
        typer.echo("written; supervisord does not run: `binance-streamer start` starts it")
        return Exit.OK
    application = _Application(config, config_path, supervisor)
    result = application.run(plan_of(wanted, _running(supervisor), (), supervisor.reread().changed))
    if result is Exit.OK:
        sites.forget_settings(site, programs)
    return result


class _Application:
    """Does what is planned, one program after the other, and goes on where one does not start."""

    def __init__(self, config: Config, config_path: Path, supervisor: Supervisor) -> None:
        self._config = config
        self._config_path = config_path
        self._supervisor = supervisor
        self._faults: list[str] = []

    def run(self, plan: Plan) -> Exit:
        """First what costs nothing, so that new workers find it as they need it."""
        for name in plan.free:
            self._restart(name)
        for name in plan.removed:
            self._supervisor.forget(name)
            typer.echo(f"{name}: stopped")
        for name in plan.added:
            self._supervisor.learn(name)
            self._wait(name, "started")
        for name in plan.changed:
            if name not in plan.free:
                self._restart(name)
        for producer in ownerless_journals(self._config):
            self._drain(producer)
        for fault in self._faults:
            typer.echo(fault, err=True)
        if self._faults:
            typer.echo("not all of it is applied; `binance-streamer apply` tries the rest again", err=True)
            return Exit.INCOMPLETE
        typer.echo("applied")
        return Exit.OK

    def _restart(self, name: str) -> None:
        self._supervisor.forget(name)
        self._supervisor.learn(name)
        self._wait(name, "restarted")

    def _wait(self, name: str, done: str) -> None:
        deadline_s = time.monotonic() + _RUN_S
        while (process := self._supervisor.process(name)).state != "RUNNING":
            if time.monotonic() > deadline_s:
                self._faults.append(
                    f"{name} is {process.state.lower()}: {process.description}; see `binance-streamer logs {name}`"
                )
                return
            time.sleep(0.1)
        typer.echo(f"{name}: {done}, {process.description}")

    def _drain(self, producer: str) -> None:
        """What a symbol without a worker has left: into the files, then its journal is deleted."""
        symbol = symbol_of(producer)
        if symbol is None:
            return
        typer.echo(f"{producer}: what its journal holds is written to the files")
        command = module_command("services.ingest", "--symbol", symbol, "--drain", "--forget")
        with subprocess.Popen(  # noqa: S603 (our own command line)
            [*command, "-c", str(self._config_path)], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process:
            try:
                process.wait(_DRAIN_S)
            except subprocess.TimeoutExpired:
                self._faults.append(
                    f"{producer}: its journal is kept, since not all of it was in the files after {_DRAIN_S:.0f} s: "
                    "does the writer run, and does no other process record this symbol?"
                )
            finally:
                process.terminate()
        if producer not in ownerless_journals(self._config):
            typer.echo(f"{producer}: all of it is in the files; its journal is deleted")
        elif process.returncode:
            self._faults.append(f"{producer}: its journal is kept; see `binance-streamer logs {producer}`")


def _running(supervisor: Supervisor) -> list[str]:
    return [process.name for process in supervisor.processes() if process.name != SIMULATOR]


def _refuse_a_second_supervisord(site: Site) -> None:
    """Where the run directory has changed, the old supervisord runs behind its old socket."""
    before = configured_socket(site.root / sites.MAIN)
    if before is not None and before != control_socket(site.state) and Supervisor(before).answers():
        raise CommandError(
            f"endpoints.run_directory has changed, and a supervisord runs behind {before}: change it back, run "
            "`binance-streamer stop`, change it again, then run `binance-streamer apply` and `binance-streamer start`",
            Exit.CONFIG,
        )


def _tell(plan: Plan, journals: Sequence[str]) -> None:
    for name in plan.free:
        typer.echo(f"~ {name}: restart, which loses nothing")
    for name in plan.removed:
        typer.echo(f"- {name}: stop")
    for name in plan.added:
        typer.echo(f"+ {name}: start")
    for name in plan.changed:
        if name not in plan.free:
            typer.echo(f"~ {name}: restart, a gap of a second or two")
    for producer in journals:
        typer.echo(f"- journal of {producer}: write what it holds to the files, then delete it")
