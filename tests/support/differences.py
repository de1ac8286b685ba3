"""Unified differences, applied without a program that a machine may lack."""

import re
from pathlib import Path

_heads = re.compile(r"^--- (?:a/)?(\S+)\n\+\+\+ (?:b/)?(\S+)\n", re.MULTILINE)
_hunks = re.compile(r"^@@ .*\n", re.MULTILINE)


class DifferenceError(ValueError):
    """A hunk does not fit; the text names file and hunk."""


def apply_difference(text: str, root: Path) -> None:
    """Change the files below `root`.

    What a hunk replaces must stand in its file exactly once; line numbers do not count.
    """
    _, *parts = _heads.split(text)
    if not parts:
        raise DifferenceError("no file is named")
    for old_name, new_name, body in zip(parts[::3], parts[1::3], parts[2::3], strict=True):
        path = root / new_name
        content = "" if old_name == "/dev/null" else path.read_text(encoding="utf-8")
        for hunk in _hunks.split(body)[1:]:
            content = _replaced(content, hunk, new_name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")


def _replaced(content: str, hunk: str, name: str) -> str:
    lines = [line if line != "\n" else " \n" for line in hunk.splitlines(keepends=True)]  # editors cut the blank
    before = "".join(line[1:] for line in lines if line[0] in " -")
    after = "".join(line[1:] for line in lines if line[0] in " +")
    places = [found.start() for found in re.finditer(rf"^(?={re.escape(before)})", content, re.MULTILINE)]
    if len(places) != 1:
        raise DifferenceError(f"{name}: stands there {len(places)} times, not once:\n{before}")
    return content[: places[0]] + after + content[places[0] + len(before) :]
