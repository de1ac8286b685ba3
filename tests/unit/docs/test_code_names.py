"""Names of code in the pages that explain it: each one exists, as the page spells it."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.support.data import REPOSITORY

PAGES = ("docs/architecture.md", "docs/glossary.md", "docs/adding-a-stream.md", "docs/adding-a-rest-series.md")
OTHER_PAGES = (
    "docs/api.md",
    "docs/commands.md",
    "docs/wire.md",
    "docs/testing.md",
    "docs/simulator.md",
    "docs/files.md",
)
"""Pages in which words in backticks are often not of the code: columns, options, values."""
_code = re.compile(r"`([^`\n]+)`")
_fence = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
_name = re.compile(r"(?:[A-Za-z_]\w*\.)*(?:[A-Z][a-z]\w*|[A-Za-z_]\w*(?=\(\)))(?:\(\))?(?:\.\w+(?:\(\))?)*")
"""A class, a function written with its brackets, or a member of a class."""


_class_or_method = re.compile(r"\b[A-Z][a-z]+(?:[A-Z][a-z]+)+\b|\b[A-Z]\w*\.\w+(?=\(\))")
_word = re.compile(r"\w+(?:\.\w+)*(?:\(\))?")
_path = re.compile(r"[\w/]+\.py")
_item = re.compile(r"\n(?=\n|\d+\. |- |\|)")
"""The place before a paragraph, an item of a list, or a row of a table."""


def named(page: str) -> list[str]:
    prose = _fence.sub("", page)
    return [code for code in _code.findall(prose) if _name.fullmatch(code)]


def pictured(page: str) -> list[str]:
    """Classes of two words and more, and methods with their class, in blocks that are pictures."""
    return [name for block in _fence.findall(page) for name in _class_or_method.findall(block)]


def words(page: str) -> list[str]:
    """Every single word in backticks: what looks like a name, whether or not it is written as one."""
    found = [code for code in _code.findall(_fence.sub("", page)) if _word.fullmatch(code)]
    return [word for code in found for word in re.findall(r"\w+", code)]


def places(page: str) -> Iterator[tuple[list[str], list[str]]]:
    """(modules, names) of each item or row that names both: the names stand in one of these modules."""
    for item in _item.split(_fence.sub("", page)):
        codes = _code.findall(item)
        modules = [code for code in codes if _path.fullmatch(code)]
        names = [code.replace("()", "") for code in codes if _name.fullmatch(code)]
        if modules and names and re.match(r"\d+\. |\|", item.strip()):
            yield modules, names


def defined(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            yield node.name
            for member in node.body:
                if isinstance(member, ast.FunctionDef | ast.AsyncFunctionDef):
                    yield f"{node.name}.{member.name}"
                elif isinstance(member, ast.AnnAssign) and isinstance(member.target, ast.Name):
                    yield f"{node.name}.{member.target.id}"
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name
        elif isinstance(node, ast.Assign):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id


def sources() -> Iterator[Path]:
    for folder in ("binance_streamer", "services", "simulator", "tests/architecture"):
        yield from (REPOSITORY / folder).rglob("*.py")


def names_in(path: Path) -> set[str]:
    return set(defined(ast.parse(path.read_text(encoding="utf-8"))))


@cache
def every_name() -> set[str]:
    found: set[str] = set()
    for path in sources():
        names = names_in(path)
        found |= names | {f"{path.stem}.{name}" for name in names}
    return found


def without_docstrings(tree: ast.Module) -> ast.Module:
    """The same without texts that stand alone: in them a name may live on that is gone."""

    class Remover(ast.NodeTransformer):
        def visit_Expr(self, node: ast.Expr) -> ast.AST:
            is_text = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
            return ast.Pass() if is_text else self.generic_visit(node)

    cleaned = Remover().visit(tree)
    assert isinstance(cleaned, ast.Module)
    return cleaned


@cache
def every_word() -> set[str]:
    """Every word of the code, of the names of files and of the configuration; comments and docstrings left out."""
    found = set(re.findall(r"\w+", (REPOSITORY / "config" / "streamer.yaml").read_text(encoding="utf-8")))
    for path in sources():
        found |= set(path.relative_to(REPOSITORY).with_suffix("").parts)
        found |= set(re.findall(r"\w+", ast.unparse(without_docstrings(ast.parse(path.read_text(encoding="utf-8"))))))
    return found


def test_a_name_is_recognised() -> None:
    page = "`IdChain.offer()` of `chain`, `Reader`, `stream_of()`, `data/`, `depth@0ms`, `UTC`\n```\n`Gone`\n```\n"
    assert named(page) == ["IdChain.offer()", "Reader", "stream_of()"]


@pytest.mark.parametrize("page", PAGES + OTHER_PAGES)
def test_every_name_of_the_page_exists(page: str) -> None:
    known = every_name()
    names = named((REPOSITORY / page).read_text(encoding="utf-8"))
    assert [name for name in names if name.replace("()", "") not in known] == []


def test_every_name_of_a_picture_exists() -> None:
    names = pictured((REPOSITORY / "docs" / "architecture.md").read_text(encoding="utf-8"))
    assert len(names) > 10
    assert [name for name in names if name not in every_name()] == []


def test_names_of_a_picture() -> None:
    assert pictured("`OutOfIt`\n```\n bus ──▶ StreamSet, Journal; A.b() bookTicker\n```\n") == ["StreamSet", "A.b"]


def test_a_word_without_brackets_is_looked_up_too() -> None:
    assert words("`summary_draft`, `chain.offer()` and `a, b`\n```\n`gone`\n```\n") == [
        "summary_draft",
        "chain",
        "offer",
    ]


@pytest.mark.parametrize("page", PAGES)
def test_every_word_in_backticks_occurs_in_the_code(page: str) -> None:
    known = every_word()
    found = words((REPOSITORY / page).read_text(encoding="utf-8"))
    assert [word for word in found if word not in known] == []


def test_the_modules_of_an_item_are_told() -> None:
    page = "1. `a/b.py`: `B.c()`\n   calls `d()`.\n2. `E` of it\n\n| `f` of | `a/g.py` `h()` |\n\n`a/b.py` and `I`\n"
    assert list(places(page)) == [(["a/b.py"], ["B.c", "d"]), (["a/g.py"], ["h"])]


@pytest.mark.parametrize("page", PAGES)
def test_a_name_stands_in_the_module_of_its_item(page: str) -> None:
    wrong = []
    for modules, names in places((REPOSITORY / page).read_text(encoding="utf-8")):
        there = set().union(*(names_in(REPOSITORY / module) for module in modules))
        wrong += [f"{name} in {modules}" for name in names if name not in there]
    assert wrong == []


def test_the_walk_of_one_message_has_a_name_in_each_step() -> None:
    page = (REPOSITORY / "docs" / "architecture.md").read_text(encoding="utf-8")
    walk = page.partition("## One depth message")[2].partition("\n## ")[0]
    assert len(list(places(walk))) == len(re.findall(r"^\d+\. ", walk, flags=re.MULTILINE)) > 20


def test_every_decision_is_listed() -> None:
    folder = REPOSITORY / "docs" / "decisions"
    listed = re.findall(r"\]\((\d{4}-[\w-]+\.md)\)", (folder / "README.md").read_text(encoding="utf-8"))
    assert listed == sorted(path.name for path in folder.glob("[0-9]*.md"))


def test_paths_of_the_glossary_exist() -> None:
    page = (REPOSITORY / "docs" / "glossary.md").read_text(encoding="utf-8")
    owners = re.findall(r"\| `([\w/]+\.py)` \|$", page, flags=re.MULTILINE)
    assert len(owners) > 50
    assert [owner for owner in owners if not Path(REPOSITORY / owner).is_file()] == []
