"""Supervisord's files on the disk: written atomically, compared, and old ones removed."""

import os
from collections.abc import Mapping
from pathlib import Path

from binance_streamer.config import Config
from binance_streamer.supervision import Program, Site, files, programs

_SERVICES = Path(__file__).resolve().parents[2] / "services"


def built_services() -> set[str]:
    """The services that are there to start."""
    return {path.parent.name for path in _SERVICES.glob("*/app.py")}


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


def write(site: Site, texts: Mapping[Path, str]) -> None:
    """Bring the disk up to date; a supervisord that reads meanwhile sees old files or new ones, never half of one."""
    site.include.mkdir(parents=True, exist_ok=True)
    for path, text in texts.items():
        if _text(path) != text:
            draft = path.with_name(f".{path.name}.{os.getpid()}")
            draft.write_text(text, encoding="utf-8")
            draft.replace(path)
    for path in _strays(site, texts):
        path.unlink()


def _strays(site: Site, texts: Mapping[Path, str]) -> list[Path]:
    return sorted(set(site.include.glob("*.conf")) - set(texts))


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
