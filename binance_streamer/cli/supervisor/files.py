"""Supervisord's files on the disk: written atomically, compared, and old ones removed."""

import logging
import os
import sys
from collections.abc import Collection, Mapping
from pathlib import Path

from binance_streamer.cli.supervisor.control import Supervisor
from binance_streamer.config.schema import Config
from binance_streamer.deploy.digest import kept_file
from binance_streamer.deploy.supervisord import (
    SIMULATOR,
    Program,
    Site,
    checkout_site,
    files,
    programs,
    state_directory,
)

_log = logging.getLogger(__name__)

MAIN = "supervisord.conf"

_SERVICES = Path(__file__).resolve().parents[3] / "services"


def built_services() -> set[str]:
    """The services that are there to start."""
    return {path.parent.name for path in _SERVICES.glob("*/app.py")}


def foreground_site(config: Config) -> Site:
    """The site of `up` and `demo`: all of it beside the run directory, run by the Python that runs us."""
    state = state_directory(config)
    return Site(root=state, include=state / "supervisor.d", state=state, python=sys.executable)


def site_in_force(config: Config, config_path: Path, supervisor: Supervisor | None) -> Site:
    """The site whose files the supervisord that runs has read, else the one that `start` uses."""
    foreground = foreground_site(config)
    if supervisor is not None and supervisor.configuration() == foreground.root / MAIN:
        return foreground
    return checkout_site(config, config_path)


def site_files(site: Site, config: Config, config_path: Path) -> Mapping[Path, str]:
    """The files of a site with all programs of a configuration."""
    return files(site, wanted_programs(config, config_path))


def wanted_programs(config: Config, config_path: Path) -> list[Program]:
    """All programs of a configuration, in the order of their start."""
    return programs(config, config_path.resolve(), built_services())


def outdated(site: Site, texts: Mapping[Path, str]) -> list[str]:
    """What is not on the disk as it should be; empty where all is."""
    faults = [f"{path} is missing or differs" for path, text in texts.items() if _text(path) != text]
    return faults + [f"{path} is of a program that is no longer configured" for path in _strays(site, texts)]


def outdated_programs(site: Site, texts: Mapping[Path, str]) -> set[str]:
    """Programs whose files are not on the disk as they should be, or should not be there."""
    differing = {path.stem for path, text in texts.items() if path.parent == site.include and _text(path) != text}
    return differing | {path.stem for path in _strays(site, texts)}


def write(site: Site, texts: Mapping[Path, str]) -> None:
    """Bring the disk up to date; a supervisord that reads meanwhile sees old files or new ones, never half of one."""
    site.include.mkdir(parents=True, exist_ok=True)
    for path, text in texts.items():
        if _text(path) != text:
            write_text(path, text)
    for path in _strays(site, texts):
        path.unlink()
        _log.debug("removed: %s", path)


def forget_settings(site: Site, wanted: Collection[Program]) -> None:
    """Delete kept configurations that none of these programs starts with any more."""
    needed = {kept_file(site.state, program.settings) for program in wanted}
    for path in set((site.state / "settings").glob("*.yaml")) - needed:
        path.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """A file with this text; whoever reads it meanwhile sees the old one."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)
    _log.debug("written: %s", path)


def _strays(site: Site, texts: Mapping[Path, str]) -> list[Path]:
    """Files of programs that are no longer configured; a demo's simulator is not configured at all."""
    return sorted(set(site.include.glob("*.conf")) - set(texts) - {site.include / f"{SIMULATOR}.conf"})


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
