"""`doctor`: whether this machine can record what is configured, and what to do where it cannot."""

import os
import platform
import resource
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from binance_streamer.cli.commands.tap import printable
from binance_streamer.cli.errors import CommandError, Exit
from binance_streamer.cli.hints import say
from binance_streamer.cli.options import ConfigFile, refuse
from binance_streamer.cli.page import state_of_monitor
from binance_streamer.cli.supervisor import files
from binance_streamer.cli.supervisor.control import Supervisor
from binance_streamer.config.endpoints import host_and_port
from binance_streamer.config.schema import (
    BOUND_ENDPOINTS,
    DEFAULT_PATH,
    Config,
    ConfigError,
    LoggingConfig,
    StorageConfig,
    load,
)
from binance_streamer.days import INSTALL
from binance_streamer.deploy.interpreter import module_command
from binance_streamer.deploy.supervisord import MAX_SOCKET_PATH_BYTES, control_socket, state_directory
from binance_streamer.health.sizes import amount, size
from binance_streamer.health.storage import volume_lines
from binance_streamer.health.volumes import measured
from binance_streamer.transport import curve
from binance_streamer.wire.check_lines import Check, read_checks

_LEAST_PYTHON = (3, 11)
_WRITER_FILES = 512
"""That the writer keeps open, of series that it wrote to lately."""
_MORE_FILES = 200
"""Beside those: sockets, libraries, the ledger."""
_LONGEST_IPC_BYTES = 107
"""`sun_path` of Linux (man 7 unix) has 108 bytes, the last of them zero."""
_JOURNAL_SEGMENTS_BYTES = 64 * 2**20
"""A journal has one segment of 8 MiB at least; with this much per symbol an hour of most symbols has room."""
_BUCKET_ADVICE = "look at AWS_ENDPOINT_URL, AWS_REGION, the credentials and their rights (docs/files.md)"
_PROBE_S = 120.0
"""That a probe may take to end after its last line, before it counts as broken."""


def doctor(
    ctx: typer.Context,
    *,
    seconds: Annotated[
        float, typer.Option(metavar="S", min=0.1, max=60, help="How long to wait for messages of each path.")
    ] = 10,
    offline: Annotated[bool, typer.Option("--offline", help="Send nothing to the exchange.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="A list of JSON objects.")] = False,
    config: ConfigFile = DEFAULT_PATH,
) -> None:
    """Check whether this machine can record what is configured.

    This machine: Python, kernel, configuration, supervisord, disks, the lake, open files, keys, the page's port,
    priority. Then the exchange: its time and ours, the request weight in use, whether it lists every symbol, and one
    message of every configured stream. That costs two requests of weight 1 and one connection per path, out of the
    budget that all processes share; nothing is sent during a ban. Each line says ok, warn or fail, and what to do.
    Exits with 1 where anything fails.

    \b
    Examples:
      binance-streamer doctor
      binance-streamer doctor --offline
      binance-streamer doctor --json | jq '.[] | select(.state == "fail")'
    """
    if offline:
        refuse(ctx, "means nothing with --offline", "seconds")
    loaded = load(config)
    found: list[Check] = []
    for check in _checks(loaded, config, seconds=seconds, offline=offline):
        found.append(check)
        if not as_json:
            _print(check)
    fails = sum(check.state == "fail" for check in found)
    warns = sum(check.state == "warn" for check in found)
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(found)).decode())
    else:
        typer.echo(f"{len(found)} checks: {fails} failed, {warns} to look at")
    raise typer.Exit(Exit.INCOMPLETE if fails else Exit.OK)


def _print(check: Check) -> None:
    """Print a check in its colour, and below it what to do where something is to be done."""
    colour = {"ok": "green", "warn": "yellow", "fail": "red"}[check.state]
    typer.echo(typer.style(f"{check.state:<5}", fg=colour) + printable(f" {check.what}: {check.found}"))
    if check.advice:
        say(printable(f"      → {check.advice}"))


def _checks(config: Config, config_path: Path, *, seconds: float, offline: bool) -> Iterator[Check]:
    """Yield the checks in the order of `--help`: this machine first, and the exchange only without `offline`."""
    yield _python()
    yield from probed("services.writer.probe", config_path)
    valid = f"{config_path} is valid: {amount(len(config.symbols), 'symbol')} in mode {config.mode}"
    yield Check("configuration", "ok", valid)
    yield _files(config, config_path)
    yield from disks(config)
    yield from lake(config.storage)
    yield from stored(config)
    yield descriptors(config)
    yield from _endpoints(config)
    yield page(config)
    yield priority(config)
    if offline:
        return
    yield from probed("services.rest.probe", config_path)
    yield from probed("services.ingest.probe", config_path, "--seconds", str(seconds))


def _python() -> Check:
    """Check that the interpreter is new enough for the language that the code is written in."""
    found = f"{platform.python_implementation()} {platform.python_version()} on {platform.system()}"
    if sys.version_info < _LEAST_PYTHON:
        return Check("Python", "fail", found, "3.11 or newer is needed")
    return Check("Python", "ok", found)


def _files(config: Config, config_path: Path) -> Check:
    """Check that no supervisord is in the way; one that runs is no fault, but it may lack what has changed."""
    supervisor = Supervisor(control_socket(state_directory(config)))
    try:
        supervisor.refuse_a_second()
    except CommandError as error:
        return Check("supervisord", "fail", str(error), "`binance-streamer stop`, then `binance-streamer start`")
    if not supervisor.is_answering():
        return Check("supervisord", "ok", "does not run")
    if files.is_current(config, config_path):
        return Check("supervisord", "ok", "runs, with this configuration")
    return Check("supervisord", "warn", "runs; the configuration has changed since", "`binance-streamer apply`")


def disks(config: Config) -> Iterator[Check]:
    """Check the room for data, journals, logs and the lake, and that their folders can be written."""
    storage = config.storage
    needed = len(config.workers) * _JOURNAL_SEGMENTS_BYTES
    places = [
        ("data", storage.output_directory, config.alerts.disk_free_bytes, "storage.output_directory"),
        ("journals", storage.journal_directory, needed, "storage.journal_directory"),
        ("logs", str(config.log_file("x").parent), _log_bytes(config.logging), "logging.file"),
    ]
    if storage.lake_folder:
        places.append(("lake", storage.lake_folder, 0, "storage.lake"))
    for what, place, least, key in places:
        folder = _existing(place)
        usage = shutil.disk_usage(folder)
        found = f"{place}: {size(usage.free)} of {size(usage.total)} free"
        if not os.access(folder, os.W_OK | os.X_OK):
            yield Check(what, "fail", f"{place}: {folder} cannot be written", f"change its owner, or {key}")
        elif usage.free < least:
            yield Check(what, "fail", found, f"make room: at least {size(least)}; or another disk ({key})")
        else:
            yield Check(what, "ok", found)
    if _device(storage.output_directory) == _device(storage.journal_directory):
        yield Check("disks", "ok", "data and journals share one disk: where it is full or slow, both are", "")


def lake(storage: StorageConfig) -> Iterator[Check]:
    """Check a lake in a bucket by putting a small file there, and deleting it; `disks` checks one in a folder."""
    if storage.lake_folder or not storage.lake:
        return
    try:
        from binance_streamer.stores.bucket import try_bucket  # noqa: PLC0415 (an extra that may be missing)

        try_bucket(storage.lake)
    except ImportError as error:
        yield Check("lake", "fail", f"{error.name} is missing", INSTALL)
    except OSError as error:
        yield Check("lake", "fail", f"{storage.lake}: {error!s:.300}", _BUCKET_ADVICE)
    else:
        yield Check("lake", "ok", f"{storage.lake}: a file was put, read back and deleted")


def stored(config: Config) -> Iterator[Check]:
    """Say what a day takes in each format, measured from the files of the last days, and how long the disks last."""
    found = measured(config.storage, time.time_ns())
    lines = volume_lines(found)
    least = min((room.days_left for room in found.disks if room.days_left is not None), default=None)
    for number, line in enumerate(lines):
        is_short = number == len(lines) - 1 and least is not None and least < config.alerts.disk_days
        advice = "another disk, or storage.retention (docs/operations.md)" if is_short else ""
        yield Check("stored", "warn" if is_short else "ok", line, advice)


def _log_bytes(logging: LoggingConfig) -> int:
    """Return the bytes that one process's logs can take: the file and all of its backups."""
    return (logging.backup_count + 1) * logging.max_file_size


def _device(place: str) -> int:
    """Return the number of the device on which a place lies, or will lie once it is made."""
    return _existing(place).stat().st_dev


def _existing(place: str) -> Path:
    """Return the nearest folder above a path that exists and can be seen."""
    return next(path for path in (Path(place), *Path(place).parents) if os.path.isdir(path))  # noqa: PTH112 (no error)


def descriptors(config: Config, limits: Callable[[int], tuple[int, int]] = resource.getrlimit) -> Check:
    """Check that the writer can open its files: it raises its own limit up to the hard one."""
    _, hard = limits(resource.RLIMIT_NOFILE)
    streams = sum(len(symbol.streams) + 2 for symbol in config.symbols)
    needed = min(_WRITER_FILES, streams) + _MORE_FILES
    found = "no limit" if hard == resource.RLIM_INFINITY else f"at most {hard}"
    if hard != resource.RLIM_INFINITY and hard < needed:
        return Check("open files", "fail", f"{found}, {needed} needed", f"raise the hard limit (ulimit -Hn {needed})")
    return Check("open files", "ok", f"{found}, {needed} needed")


def _endpoints(config: Config) -> Iterator[Check]:
    """Check the lengths of socket paths, and the keys.

    The kernel's address of a unix socket has 108 bytes, with the zero at its end; a longer path cannot be bound.
    """
    for key in BOUND_ENDPOINTS:
        path = getattr(config.endpoints, key).removeprefix("ipc://")
        if path != getattr(config.endpoints, key) and len(path.encode()) > _LONGEST_IPC_BYTES:
            found = f"{path} is longer than {_LONGEST_IPC_BYTES} bytes"
            yield Check(f"endpoints.{key}", "fail", found, "set a shorter endpoints.run_directory")
    control = control_socket(state_directory(config))
    if len(str(control).encode()) > MAX_SOCKET_PATH_BYTES:
        yield Check("supervisord", "fail", f"{control} is too long", "set a shorter endpoints.run_directory")
    try:
        keys = curve.keys_of(config.endpoints.curve_directory)
    except ConfigError as error:
        yield Check("keys", "fail", str(error), "docs/security.md")
    else:
        yield Check("keys", "ok", "sockets are encrypted" if keys else "none: sockets stay on this machine")


def page(config: Config) -> Check:
    """Check that the monitor can serve its page, or does so already."""
    address = config.monitor.address
    if not config.monitor.enabled:
        return Check("page", "ok", "switched off (monitor.enabled)")
    try:
        host, port = host_and_port(address)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.create_server(("" if host == "*" else host, port), family=family):
            return Check("page", "ok", f"http://{address}/ is free")
    except OSError as error:
        found = f"{address}: {os.strerror(error.errno) if error.errno else error}"
    state = state_of_monitor(config)
    if state == "serving":
        return Check("page", "ok", f"http://{address}/ is served")
    return Check("page", "fail", found, "another program has the port: set monitor.address to a free one")


def priority(config: Config) -> Check:
    """Check that this user may set the configured nice value; where he may not, processes run with 0."""
    wanted = config.performance.process_priority
    soft, _ = resource.getrlimit(resource.RLIMIT_NICE)
    is_permitted = wanted >= 0 or os.geteuid() == 0 or soft == resource.RLIM_INFINITY or 20 - soft <= wanted
    if is_permitted:
        return Check("priority", "ok", f"nice {wanted}")
    advice = "grant CAP_SYS_NICE or a nice limit (limits.conf), or set performance.process_priority to 0"
    return Check("priority", "warn", f"nice {wanted} is not permitted to this user; 0 is used instead", advice)


def probed(module: str, config_path: Path, *arguments: str) -> Iterator[Check]:
    """Run the probe of a service, which knows what we do not, and yield its checks as they come."""
    command = module_command(module, "-c", str(config_path), *arguments)
    with subprocess.Popen(  # noqa: S603 (our own command line)
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            for line in process.stdout:
                yield from read_checks(line)
            said = process.stderr.read().strip()
            if process.wait(_PROBE_S):
                last = said.splitlines()[-1] if said else f"ended with {process.returncode}"
                yield Check(module, "fail", last, "this is a bug; please report it")
        except subprocess.TimeoutExpired:
            yield Check(module, "fail", f"did not end within {_PROBE_S:.0f} s", "this is a bug; please report it")
        finally:
            process.terminate()
