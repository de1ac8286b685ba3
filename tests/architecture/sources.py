"""The product's code as the tests of this folder read it: its files, with text and syntax tree."""

import ast
import subprocess
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).parents[2]
OURS = ("binance_streamer", "services", "simulator")


@dataclass(frozen=True)
class Module:
    """A Python file; `path` is relative to the root of the checkout, with slashes."""

    path: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, self.path)


@cache
def files(*folders: str) -> tuple[str, ...]:
    """Return the paths of all files below `folders`, sorted; without hidden ones and what Python compiled.

    In a clean checkout these are the files that git tracks. Git itself is not asked: a machine may lack it.
    """
    paths = [path.relative_to(ROOT) for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file()]
    found = sorted(path.as_posix() for path in paths if not any(map(_is_left_out, path.parts)))
    assert found, f"{folders}: no file is there"
    return tuple(found)


@cache
def changed() -> frozenset[str]:
    """Return the paths that differ from the branch `main`, committed or not; none where git cannot tell.

    On `main` itself these are the files that are not committed.
    """
    commands = (["git", "diff", "--name-only", "main..."], ["git", "status", "--porcelain", "--no-renames", "-uall"])
    said = []
    for command in commands:
        try:
            done = subprocess.run(command, check=True, cwd=ROOT, capture_output=True, text=True)
        except (OSError, subprocess.CalledProcessError):
            continue
        said += done.stdout.splitlines()
    return frozenset(line.split()[-1] for line in said)


@cache
def modules(*folders: str) -> tuple[Module, ...]:
    """Return the Python files below `folders`, sorted by path."""
    paths = [path for path in files(*folders) if path.endswith(".py")]
    return tuple(Module(path=path, text=(ROOT / path).read_text(encoding="utf-8")) for path in paths)


def imported(tree: ast.Module) -> list[tuple[int, str]]:
    """Return line and dotted name of each import; a name taken out of a module follows the module's name."""
    found: list[tuple[int, str]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.extend((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: relative import; write the whole name"
            found.extend((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)
    return found


def within(name: str, package: str) -> bool:
    """Return True if the dotted `name` is `package` or lies in it."""
    return name == package or name.startswith(f"{package}.")


def below(path: str, place: str) -> bool:
    """Return True if `path` is the file `place` or lies in the folder `place`."""
    return PurePosixPath(path).is_relative_to(place)


def _is_left_out(name: str) -> bool:
    return name == "__pycache__" or name.startswith(".")
