"""`docker-compose.yml` on the disk: beside `Dockerfile`, above the folder of the configurations.

In: configurations with TCP endpoints, by which containers reach each other. Out: the file, and a line for each change.
"""

import json
import os
import re
import shlex
from pathlib import Path
from typing import Any

import typer
import yaml

from binance_streamer.cli.errors import Exit
from binance_streamer.cli.supervisor.files import built_services, write_text
from binance_streamer.config import schema as configuration
from binance_streamer.config.schema import ConfigError
from binance_streamer.deploy import compose

_CHECKOUT = Path(__file__).resolve().parents[3]
RECORD, DEMO = "compose.yaml", "demo.yaml"


def compose_path(config_path: Path) -> Path:
    """Return the path of the file for this configuration: above a checkout's folder `config`, else beside it."""
    folder = config_path.resolve().parent
    return (folder.parent if folder.name == "config" else folder) / "docker-compose.yml"


def compose_text(config_path: Path) -> str:
    """Return the text that the file must have, from `compose.yaml` and, where there is one, `demo.yaml` of the folder.

    Of a user's own configuration only the two files are mounted, since beside them lies what it records. Raises
    `ConfigError` where `compose.yaml` is missing: the default endpoints are unix sockets, which end at a container.
    """
    folder = config_path.resolve().parent
    if not (folder / RECORD).exists():
        raise ConfigError(
            f"{folder / RECORD} is missing: it says by which endpoints containers reach each other; "
            "binance-streamer apply --compose makes it in a checkout"
        )
    if folder.name != "config":
        mounts = tuple(f"./{name}:/app/config/{name}:ro" for name in dict.fromkeys((config_path.name, RECORD)))
        return compose.text(_stack("", folder / RECORD, mounts), None, os.path.relpath(_CHECKOUT, folder))
    mounts = ("./config:/app/config:ro",)
    demo = _stack("demo", folder / DEMO, mounts) if (folder / DEMO).exists() else None
    return compose.text(_stack("record", folder / RECORD, mounts), demo, ".")


def write(config_path: Path, *, dry_run: bool) -> Exit:
    """Print the services that change, and write the file; in a dry run, or without a change, nothing is written.

    Beside a user's own configuration it makes `compose.yaml` first, which lays the endpoints of containers over it.
    """
    if not _has_overlay(config_path, dry_run=dry_run):
        return Exit.OK
    path, text = compose_path(config_path), compose_text(config_path)
    old = path.read_text(encoding="utf-8") if path.exists() else "services: {}"
    if old == text:
        typer.echo(f"up to date: {path}")
        return Exit.OK
    for line in changes(old, text):
        typer.echo(line)
    if dry_run:
        typer.echo("dry run: nothing was done")
        return Exit.OK
    write_text(path, text)
    named = "" if path.parent == _CHECKOUT else f"-f {shlex.quote(os.path.relpath(path))} "
    typer.echo(f"written: {path}; take it with `docker compose {named}up -d --remove-orphans`")
    return Exit.OK


def _has_overlay(config_path: Path, *, dry_run: bool) -> bool:
    """Make `compose.yaml` beside a configuration that has none; False, and a line, where a dry run would make it.

    Its text is that of the checkout, with this configuration as its base.
    """
    example, overlay = _CHECKOUT / "config" / RECORD, config_path.resolve().parent / RECORD
    if overlay.exists() or not example.is_file():
        return True
    if dry_run:
        typer.echo(f"dry run: {overlay} and {compose_path(config_path)} would be made")
        return False
    text = example.read_text(encoding="utf-8")
    write_text(
        overlay, re.sub(r"^base: .*$", lambda _: f"base: {json.dumps(config_path.name)}", text, flags=re.MULTILINE)
    )
    typer.echo(f"made {overlay}: the endpoints of containers, laid over {config_path.name}")
    return True


def changes(old: str, new: str) -> list[str]:
    """Return a line for each service that `docker compose up` will start, start again, or stop."""
    before, after = _services(old), _services(new)
    return [
        *(f"{name}: will be started" for name in after if name not in before),
        *(f"{name}: will be started again" for name in after if before.get(name, after[name]) != after[name]),
        *(f"{name}: will be stopped" for name in before if name not in after),
    ]


def _services(text: str) -> dict[str, Any]:
    """Return the services of a file by name; none where the file is not one of ours."""
    try:
        found = yaml.safe_load(text)["services"]
    except (yaml.YAMLError, TypeError, KeyError):
        return {}  # of somebody else's making
    return found if isinstance(found, dict) else {}


def _stack(profile: str, path: Path, mounts: tuple[str, ...]) -> compose.Stack:
    return compose.Stack(profile, path, configuration.load(path), built_services(), mounts)
