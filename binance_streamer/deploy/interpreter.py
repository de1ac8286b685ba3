"""The way programs of ours are run: they import what is installed beside us, and speak UTF-8, wherever the user stands.

`-E` takes nothing from PYTHONPATH and its like, `-P` nothing from the current folder (a `services` package there would
come first), `-X utf8` makes names, files and output UTF-8 in any locale.
"""

import locale
import os
import sys
from collections.abc import Sequence
from io import TextIOWrapper
from typing import TextIO

FLAGS = ("-E", "-P", "-X", "utf8")


def module_command(module: str, *arguments: str) -> list[str]:
    """Return the command that runs a module of ours by the Python that runs us."""
    return [sys.executable, *FLAGS, "-m", module, *arguments]


def be_utf8(words: Sequence[str] = sys.orig_argv) -> None:
    """Start this process again in UTF-8 where it is not; what its terminal cannot show is replaced.

    Arguments and paths are decoded before any code of ours runs: that cannot be made good later.
    """
    if not _is_utf8(sys.getfilesystemencoding()) or not _is_utf8(locale.getencoding()):
        if not sys.flags.utf8_mode:
            os.execv(sys.executable, [sys.executable, "-X", "utf8", *words[1:]])  # noqa: S606 (no shell is wanted)
        for stream in (sys.stdout, sys.stderr):
            _fit(stream)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper) and stream.errors == "strict":  # else closed by whoever started us
            stream.reconfigure(errors="replace")  # PYTHONIOENCODING=ascii


def _fit(stream: TextIO) -> None:
    """Have a stream that leads to a terminal use the terminal's own characters."""
    encoding = locale.getencoding() if stream.isatty() else "utf-8"
    stream.reconfigure(encoding=encoding, errors="replace")  # type: ignore[attr-defined]


def _is_utf8(encoding: str) -> bool:
    return encoding.lower().replace("-", "") == "utf8"
