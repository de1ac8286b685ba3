"""Commands in our texts, made such that they can be pasted where the reader stands.

Texts name a command as `binance-streamer status`, in backticks. In a checkout it is called as `./run binance-streamer`;
and who has named a configuration, has to name it again: `./run binance-streamer status -c demo-1/streamer.yaml`.
"""

import os
import re
import shlex
import sys
from pathlib import Path

import typer

from binance_streamer.config.schema import DEFAULT_PATH

_CHECKOUT = Path(__file__).resolve().parents[2]
_WITHOUT_A_CONFIGURATION = ("chaos", "demo", "init", "keys")
_named_in = re.compile(r"`binance-streamer (?P<words>[^`]+)`").sub


class Hints:
    """The way in which commands are called here, and the configuration that they were called for.

    `config_path` is the configuration that was named, None without; `unnamed_path` is the one that is taken then.
    """

    def __init__(self, checkout: Path = _CHECKOUT) -> None:
        self.config_path: Path | None = None
        self.unnamed_path = DEFAULT_PATH
        self._checkout = checkout

    def command(self, words: str) -> str:
        """Return the command line for `status`, `logs writer`, … as it can be pasted here.

        `./run` stands before it only in the folder of a checkout, where the installed program may be missing from PATH.
        """
        is_in_checkout = (self._checkout / "run").is_file() and Path.cwd() == self._checkout
        program = "./run binance-streamer" if is_in_checkout else "binance-streamer"
        return f"{program} {words}{self._option(words)}"

    def recording(self) -> str:
        """Return the configuration whose recording was asked; where none was named, with the way to name another one.

        The newest demo of the current folder is proposed: what most often was meant and not named.
        """
        if self.config_path is not None:
            return _short(self.config_path)
        demos = sorted(Path.cwd().glob("demo-*/streamer.yaml"), key=lambda path: path.stat().st_mtime)
        other = f"another one is named with -c, such as -c {_short(demos[-1])}" if demos else ""
        return f"{_short(self.unnamed_path)} ({other or '-c FILE names another one'})"

    def in_text(self, text: str) -> str:
        """Return the text with every command in backticks as it can be pasted."""
        return _named_in(lambda found: f"`{self.command(found['words'])}`", text)

    def _option(self, words: str) -> str:
        """Return ` -c FILE` where a configuration was named and this command takes one, else nothing."""
        if self.config_path is None or words.split(maxsplit=1)[0] in _WITHOUT_A_CONFIGURATION or " -c " in f"{words} ":
            return ""
        return f" -c {shlex.quote(_short(self.config_path))}"


HINTS = Hints()
"""Of this call of the command line: `-c` sets its configuration."""


def say(text: str) -> None:
    """Print a line on stdout, with commands that can be pasted."""
    typer.echo(HINTS.in_text(text))


def warn(text: str) -> None:
    """Print a line on stderr, with commands that can be pasted; stdout is flushed first, so that the order holds."""
    sys.stdout.flush()
    typer.echo(HINTS.in_text(text), err=True)


def _short(path: Path) -> str:
    """Return the path relative to the current folder if it lies below it, else as it is."""
    return os.path.relpath(path) if path.is_absolute() and path.is_relative_to(Path.cwd()) else str(path)
