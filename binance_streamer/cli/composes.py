"""`docker-compose.yml` on the disk: beside `Dockerfile`, above the folder of the configurations."""

from pathlib import Path

from binance_streamer import compose
from binance_streamer import config as configuration
from binance_streamer.cli.sites import built_services
from binance_streamer.config import ConfigError

RECORD, DEMO = "compose.yaml", "demo.yaml"


def compose_path(config_path: Path) -> Path:
    """Where the file of this configuration lies."""
    folder = config_path.resolve().parent
    return (folder.parent if folder.name == "config" else folder) / "docker-compose.yml"


def compose_text(config_path: Path) -> str:
    """What it must say; `compose.yaml` in the folder of the configuration, and `demo.yaml` where there is one."""
    folder = config_path.resolve().parent
    if not (folder / RECORD).exists():
        raise ConfigError(f"{folder / RECORD} is missing: it says by which endpoints containers reach each other")
    record = _stack("record", folder / RECORD)
    demo = _stack("demo", folder / DEMO) if (folder / DEMO).exists() else None
    return compose.text(record, demo, "./config" if folder.name == "config" else ".")


def _stack(profile: str, path: Path) -> compose.Stack:
    return compose.Stack(profile, path.name, configuration.load(path), built_services())
