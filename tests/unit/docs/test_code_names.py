"""Names of code in the pages that explain it: each one exists, as the page spells it."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.data import REPOSITORY

PAGES = ("docs/architecture.md", "docs/glossary.md", "docs/adding-a-stream.md")
_code = re.compile(r"`([^`\n]+)`")
_fence = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
_name = re.compile(r"(?:[A-Za-z_]\w*\.)*(?:[A-Z][a-z]\w*|[A-Za-z_]\w*(?=\(\)))(?:\(\))?(?:\.\w+(?:\(\))?)*")
"""A class, a function written with its brackets, or a member of a class."""


def named(page: str) -> list[str]:
    prose = _fence.sub("", page)
    return [code for code in _code.findall(prose) if _name.fullmatch(code)]


def defined(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            yield node.name
            for member in node.body:
                if isinstance(member, ast.FunctionDef):
                    yield f"{node.name}.{member.name}"
                elif isinstance(member, ast.AnnAssign) and isinstance(member.target, ast.Name):
                    yield f"{node.name}.{member.target.id}"
        elif isinstance(node, ast.FunctionDef):
            yield node.name
        elif isinstance(node, ast.Assign):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))


def every_name() -> set[str]:
    found: set[str] = set()
    for package in ("binance_streamer", "services", "simulator"):
        for path in (REPOSITORY / package).rglob("*.py"):
            names = set(defined(ast.parse(path.read_text(encoding="utf-8"))))
            found |= names | {f"{path.stem}.{name}" for name in names}
    return found


def test_a_name_is_recognised() -> None:
    page = "`IdChain.offer()` of `chain`, `Reader`, `stream_of()`, `data/`, `depth@0ms`, `UTC`\n```\n`Gone`\n```\n"
    assert named(page) == ["IdChain.offer()", "Reader", "stream_of()"]


@pytest.mark.parametrize("page", PAGES)
def test_every_name_of_the_page_exists(page: str) -> None:
    known = every_name()
    names = named((REPOSITORY / page).read_text(encoding="utf-8"))
    assert [name for name in names if name.replace("()", "") not in known] == []


def test_paths_of_the_glossary_exist() -> None:
    page = (REPOSITORY / "docs" / "glossary.md").read_text(encoding="utf-8")
    owners = re.findall(r"\| `([\w/]+\.py)` \|$", page, flags=re.MULTILINE)
    assert len(owners) > 50
    assert [owner for owner in owners if not Path(REPOSITORY / owner).is_file()] == []
