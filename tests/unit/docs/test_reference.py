"""Commands, options and keys are documented as they are; command lines in the documentation are ones that are taken."""

import configparser
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import typer

from binance_streamer.cli.app import app
from binance_streamer.config.schema import (
    DEFAULT_STREAMS,
    AlertsConfig,
    Config,
    GroupConfig,
    MatchConfig,
    ModeConfig,
    SymbolConfig,
    WebhookConfig,
)
from tests.support.data import REPOSITORY

DOCS = sorted([REPOSITORY / "README.md", *(REPOSITORY / "docs").glob("*.md")])
ROOT: Any = typer.main.get_command(app)
COMMANDS: dict[str, Any] = dict(ROOT.commands)
LISTS: dict[Any, str] = {
    SymbolConfig: "modes.<mode>.symbols[]",
    GroupConfig: "modes.<mode>.groups[]",
    MatchConfig: "modes.<mode>.groups[].match",
    WebhookConfig: "alerts.webhooks[]",
}


def sections(path: Path) -> dict[str, str]:
    """The text below each heading that is a command."""
    found = re.split(r"^### `([a-z-]+)`$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    texts = [re.split(r"^## ", text, flags=re.MULTILINE)[0] for text in found[2::2]]
    return dict(zip(found[1::2], texts, strict=True))


COMMANDS_PAGE = sections(REPOSITORY / "docs" / "commands.md")


def test_every_command_is_documented_and_no_other_one() -> None:
    assert set(COMMANDS_PAGE) == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_of_a_command_is_documented_and_no_other_one(name: str) -> None:
    options = {
        flag
        for parameter in COMMANDS[name].params
        if parameter.param_type_name == "option" and parameter.name not in ("config", "help")
        for flag in (*parameter.opts, *parameter.secondary_opts)
    }
    table = [line for line in COMMANDS_PAGE[name].splitlines() if line.startswith("| `-")]
    documented = {word for line in table for word in re.findall(r"`(--?[a-z-]+)", line.split("|")[1])}
    assert documented == options


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_every_command_has_an_example(name: str) -> None:
    text = COMMANDS[name].help
    assert "Example" in text
    assert f"binance-streamer {name}" in text


def test_options_before_the_command_are_documented() -> None:
    head = (REPOSITORY / "docs" / "commands.md").read_text(encoding="utf-8").partition("\n## ")[0]
    for parameter in ROOT.params:
        for flag in parameter.opts:
            assert f"`{flag}" in head, flag


def inner_keys(name: str, default: object) -> Iterator[tuple[str, object]]:
    """Of a section in a section its keys, else the key itself."""
    if not isinstance(default, msgspec.Struct):
        yield name, default
        return
    for field in msgspec.structs.fields(default):
        yield f"{name}.{field.name}", field.default


def keys() -> Iterator[tuple[str, object]]:
    """Every key with its default; `msgspec.NODEFAULT` where there is none."""
    yield "mode", msgspec.NODEFAULT
    for field in msgspec.structs.fields(ModeConfig):
        if field.name not in ("symbols", "groups"):
            yield f"modes.<mode>.{field.name}", field.default
    for section in msgspec.structs.fields(Config):
        if section.name in ("mode", "modes"):
            continue
        struct: Any = section.type
        for field in msgspec.structs.fields(struct):
            if (struct, field.name) != (AlertsConfig, "webhooks"):
                yield from inner_keys(f"{section.name}.{field.name}", field.default)
    for element, prefix in LISTS.items():
        for field in msgspec.structs.fields(element):
            yield f"{prefix}.{field.name}", field.default


KEYS = dict(keys())
NONE = "\N{EN DASH}"
SPECIAL = {
    "monitor.hosts": "none",
    "network.connections": "2 in production, else 1",
    "network.connection_lifetime": "82800 (23 h)",
    "modes.<mode>.symbols[].streams": ", ".join(DEFAULT_STREAMS),
    "modes.<mode>.groups[].streams": ", ".join(DEFAULT_STREAMS),
    "modes.<mode>.groups[].match": "none",
    "modes.<mode>.groups[].top": "none",
    "modes.<mode>.groups[].match.contract": "PERPETUAL",
    "alerts.webhooks[].conditions": "all",
}


def rows() -> dict[str, str]:
    """The default of every documented key, as it stands there."""
    text = (REPOSITORY / "docs" / "configuration.md").read_text(encoding="utf-8")
    cells = [re.split(r"(?<!\\)\|", line) for line in text.splitlines() if line.startswith("| `")]
    return {row[1].strip().strip("`"): row[2].strip().strip("`") for row in cells}


def test_every_key_is_documented_and_no_other_one() -> None:
    assert set(rows()) - {"base"} == set(KEYS)


@pytest.mark.parametrize("key", KEYS)
def test_the_default_of_every_key_is_documented(key: str) -> None:
    default, shown = KEYS[key], rows()[key]
    if key in SPECIAL:
        assert shown == SPECIAL[key]
    elif default is msgspec.NODEFAULT:
        assert shown == NONE
    elif isinstance(default, bool):
        assert shown == str(default).lower()
    else:
        assert shown == (str(default) or '""')


_is_command_line = re.compile(r"^ {4}(?:\./run )?binance-streamer (.*)|`(?:\./run )?binance-streamer ([^`]+)`")


def command_lines() -> Iterator[tuple[str, str]]:
    """(file, what stands behind `binance-streamer`) in code blocks and in backticks."""
    for path in DOCS:
        for line in path.read_text(encoding="utf-8").splitlines():
            for block, inline in _is_command_line.findall(line):
                yield path.name, block or inline


@pytest.mark.parametrize(("page", "line"), sorted(set(command_lines())))
def test_every_command_line_in_the_documentation_is_taken(page: str, line: str) -> None:
    words = re.split(r" [#|>&]| 2>", f"{line} ")[0]
    arguments = shlex.split(words.replace("…", "x").replace("<time>", "x"), comments=True)
    if any(mark in words for mark in ("[", "COMMAND", "…")) or not arguments or arguments[-1] == "-v":
        return  # a form, not a command line
    with ROOT.make_context("binance-streamer", list(arguments), resilient_parsing=False) as context:
        name, command, rest = ROOT.resolve_command(context, [*context._protected_args, *context.args])
    assert command is not None, page
    parser = command.make_parser(typer.Context(command))
    parser.parse_args(list(rest))
    assert name in COMMANDS


def test_the_unit_for_systemd_runs_commands_that_there_are() -> None:
    page = (REPOSITORY / "docs" / "operations.md").read_text(encoding="utf-8")
    (text,) = re.findall(r"```ini\n(\[Unit\].*?)```", page, flags=re.DOTALL)
    unit = configparser.RawConfigParser()
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read_string(text)
    root = unit["Service"]["WorkingDirectory"]
    commands = [shlex.split(unit["Service"][key]) for key in ("ExecStart", "ExecReload", "ExecStop")]
    for program, *_ in commands:
        assert program.startswith(f"{root}/.venv/bin/")
        assert (Path(sys.executable).parent / Path(program).name).is_file()
    assert commands[0][1:] == ["-n", "-c", "supervisord.conf"]
    assert (REPOSITORY / "supervisord.conf").is_file()
    assert [words[1:] for words in commands[1:]] == [["apply"], ["stop"]]
