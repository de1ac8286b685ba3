"""`supervisord.conf` on the disk: written as a whole, and compared with what the configuration says."""

import logging
import os
import sys
from collections.abc import Collection
from pathlib import Path

from binance_streamer.cli.errors import CommandError, Exit
from binance_streamer.cli.supervisor.control import Supervisor
from binance_streamer.config.schema import Config
from binance_streamer.deploy.digest import kept_file
from binance_streamer.deploy.supervisord import (
    MAX_SOCKET_PATH_BYTES,
    Program,
    Site,
    configured_socket,
    control_socket,
    program_sections,
    programs,
    site_of,
    state_directory,
    text_of,
)

_log = logging.getLogger(__name__)

_SERVICES = Path(__file__).resolve().parents[3] / "services"


def built_services() -> set[str]:
    """Return the names of the services that are installed: `bus`, `writer`, …"""
    return {path.parent.name for path in _SERVICES.glob("*/app.py")}


def wanted_programs(config: Config, config_path: Path) -> list[Program]:
    """Return all programs of a configuration, in the order of their start."""
    return programs(config, config_path.resolve(), built_services())


def wanted_text(config: Config, config_path: Path) -> str:
    """Return the text that `supervisord.conf` must have for this configuration."""
    return text_of(site_of(config, config_path), wanted_programs(config, config_path))


def is_current(config: Config, config_path: Path) -> bool:
    """Return True if `supervisord.conf` is there and says what the configuration says."""
    return _text(site_of(config, config_path).main) == wanted_text(config, config_path)


def outdated_programs(main: Path, text: str) -> set[str]:
    """Return the programs whose section in the file differs from this text, or that only one of the two has."""
    before, after = program_sections(_text(main) or ""), program_sections(text)
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


def prepare_start(config: Config, config_path: Path) -> Site:
    """Make all that supervisord needs for its start; raise `CommandError` where it could not listen."""
    control = control_socket(state_directory(config))
    if len(str(control).encode()) > MAX_SOCKET_PATH_BYTES:
        raise CommandError(f"{control} is too long for a unix socket; set a shorter run_directory", Exit.CONFIG)
    return prepare(config, config_path)


def prepare(config: Config, config_path: Path) -> Site:
    """Make the folder in which supervisord keeps its state, and `supervisord.conf` as the configuration says."""
    site = site_of(config, config_path)
    refuse_another_run_directory(site)
    try:
        site.state.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise CommandError(f"cannot make {site.state}: {error}; set another run_directory", Exit.CONFIG) from error
    write_text(site.main, wanted_text(config, config_path))
    return site


def refuse_another_run_directory(site: Site) -> None:
    """Raise where the run directory has changed, and the old supervisord runs behind its old socket."""
    before = configured_socket(site.main)
    if before is not None and before != control_socket(site.state) and Supervisor(before).is_answering():
        raise CommandError(
            f"endpoints.run_directory has changed, and a supervisord runs behind {before}: change it back, run "
            "`binance-streamer stop`, change it again, then run `binance-streamer start`",
            Exit.CONFIG,
        )


def environment() -> dict[str, str]:
    """Return the environment for supervisord: ours, with the Python that runs us first in PATH.

    The file of a checkout names no path of this machine, and has its programs looked for there.
    """
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}"}


def forget_settings(state: Path, wanted: Collection[Program]) -> None:
    """Delete kept configurations that none of these programs starts with any more."""
    needed = {kept_file(state, program.settings) for program in wanted}
    for path in set((state / "settings").glob("*.yaml")) - needed:
        path.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Give a file this text, unless it has it. A reader sees the old text or the new one, never half of one."""
    if _text(path) == text:
        return
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_text(text, encoding="utf-8")
        draft.replace(path)
    except OSError as error:
        raise CommandError(
            f"cannot write {path}: {error}; copy the configuration into a folder that you may write", Exit.CONFIG
        ) from error
    _log.debug("written: %s", path)


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except (FileNotFoundError, UnicodeDecodeError):
        return None
