"""Unified differences, applied without a program that a machine may lack."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.support.data import REPOSITORY

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


def tried_difference(page: str, tests: Sequence[str], root: Path) -> str:
    """Apply the difference of a page of docs/ to a copy of the project below `root`, and run these tests there.

    Returns what pytest said; it fails the test where one of them fails, or where a hunk does not fit any more.
    """
    text = (REPOSITORY / "docs" / page).read_text(encoding="utf-8")
    (difference,) = re.findall(r"```diff\n(.*?)```", text, flags=re.DOTALL)
    for folder in ("binance_streamer", "services", "docs"):
        shutil.copytree(REPOSITORY / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name in (*tests, "tests/support/data.py", "pyproject.toml", "README.md"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / name, root / name)
    for path in [path for path in (root / "tests").rglob("*") if path.is_dir()]:
        (path / "__init__.py").touch()
    (root / "tests" / "__init__.py").touch()
    apply_difference(difference, root)  # where a hunk does not fit, bring the page up to date
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-v", *tests],
        check=False, cwd=root, env={**os.environ, "PYTHONPATH": str(root)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    return done.stdout


def _replaced(content: str, hunk: str, name: str) -> str:
    lines = [line if line != "\n" else " \n" for line in hunk.splitlines(keepends=True)]  # editors cut the blank
    before = "".join(line[1:] for line in lines if line[0] in " -")
    after = "".join(line[1:] for line in lines if line[0] in " +")
    places = [found.start() for found in re.finditer(rf"^(?={re.escape(before)})", content, re.MULTILINE)]
    if len(places) != 1:
        raise DifferenceError(f"{name}: stands there {len(places)} times, not once:\n{before}")
    return content[: places[0]] + after + content[places[0] + len(before) :]
