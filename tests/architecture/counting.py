"""Count in sources: names, docstrings, lines, imports. Text, trees and paths in, numbers and places out.

A docstring is here every string that stands alone as a statement: also the one below an attribute or a constant.
"""

import ast
import io
import re
import tokenize
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from tests.architecture.limits import OUTSIDE
from tests.architecture.sources import imported, within

_QUESTION = re.compile(r"\s*(What|Which|Whether|Who|Whose|How)\b")
_PURE = re.compile(r"\bpure\b", re.IGNORECASE)
_BARE = {"__init__.py", "__main__.py"}
_LAYOUT = {tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
_CLOCKS = {"datetime.now", "datetime.utcnow", "datetime.today", "date.today"}
_CALLS = {"open", "print", "input"}

_Place = tuple[int, int]


@dataclass(frozen=True)
class Docstring:
    """A docstring and its first line. `public` is the public name that it explains, None if there is none."""

    line: int
    text: str
    public: str | None


@dataclass(frozen=True)
class LineCount:
    """Lines of a module: `code` hold a token that explains nothing, `explanation` hold a comment or docstring.

    A line of code with a comment behind it is both.
    """

    code: int
    explanation: int

    @property
    def ratio(self) -> float:
        """Give the explanation lines per 100 code lines, rounded to one digit; 0 without code."""
        return round(100 * self.explanation / self.code, 1) if self.code else 0.0


def docstrings(tree: ast.Module) -> list[Docstring]:
    """Return all docstrings of a module in the order of their lines."""
    public = {_own(node): name for name, node in _public(tree)}
    return [Docstring(line=place[0], text=text, public=public.get(place)) for place, _, text in _strings(tree)]


def is_question(text: str) -> bool:
    """Return True if the first word of a docstring is What, Which, Whether, Who, Whose or How."""
    return _QUESTION.match(text) is not None


def is_short(docstring: Docstring) -> bool:
    """Return True if a docstring of a public name has fewer than five words."""
    return docstring.public is not None and len(docstring.text.split()) < 5


def is_todo(text: str) -> bool:
    """Return True if a docstring is only the word TODO, with or without a mark behind it."""
    return text.strip().rstrip(".:!") == "TODO"


def says_pure(text: str) -> bool:
    """Return True if a docstring has the word pure in it, in any case."""
    return _PURE.search(text) is not None


def class_names(tree: ast.Module) -> list[tuple[int, str]]:
    """Return line and name of each class, also of those within classes and functions."""
    return [(node.lineno, node.name) for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]


def line_count(text: str) -> LineCount:
    """Count the lines of code and of explanation; the lines of a docstring are those from its first to its last."""
    spans = [(start, end) for start, end, _ in _strings(ast.parse(text))]
    code: set[int] = set()
    explanation = {line for start, end in spans for line in range(start[0], end[0] + 1)}
    starts = {start for start, _ in spans}
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        lines = range(token.start[0], token.end[0] + 1)
        if token.type == tokenize.COMMENT:
            explanation.update(lines)
        elif token.type not in _LAYOUT and token.start not in starts:
            code.update(lines)
    return LineCount(code=len(code), explanation=len(explanation))


def total(counts: Iterable[LineCount]) -> LineCount:
    """Return the sum of the counts of several modules."""
    every = list(counts)
    return LineCount(code=sum(each.code for each in every), explanation=sum(each.explanation for each in every))


def siblings(paths: Iterable[str]) -> dict[str, set[str]]:
    """Return the names of files and folders in each folder, without `__init__.py` and `__main__.py`."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in map(PurePosixPath, paths):
        for child in (path, *path.parents):
            if child.parent.name and child.name not in _BARE:
                found[str(child.parent)].add(child.name)
    return dict(found)


def impurities(tree: ast.Module) -> list[tuple[int, str]]:
    """Return line and name of everything by which a module reaches a clock, socket, disk, log or chance itself."""
    found = [(line, name) for line, name in imported(tree) if any(within(name, outside) for outside in OUTSIDE)]
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if name in _CALLS or ".".join(name.split(".")[-2:]) in _CLOCKS:
                found.append((node.lineno, f"{name}()"))
    return sorted(found)


def is_mirrored(test: str, product: Iterable[str]) -> bool:
    """Return True if the unit test `test` stands where its module stands.

    `tests/unit/a/b/test_c.py` belongs to `a/b/c.py`, and so does `test_c_more.py`; `test_b.py` belongs to the folder
    `a/b` as a whole. `product` are the paths of the product's files.
    """
    path = PurePosixPath(test).relative_to("tests/unit")
    inside = [other for other in map(PurePosixPath, product) if other.is_relative_to(path.parent) and path.parent.name]
    if not inside:
        return False
    here = {other.stem.strip("_") for other in inside if other.parent == path.parent and other.suffix == ".py"}
    about = path.stem.removeprefix("test_")
    return any(about == name or about.startswith(f"{name}_") for name in {*here, path.parent.name})


def _strings(tree: ast.Module) -> list[tuple[_Place, _Place, str]]:
    """Return start, end and text of each string that is a statement, in order. Places are (line, column)."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            end = (node.end_lineno or node.lineno, node.end_col_offset or 0)
            found.append(((node.lineno, node.col_offset), end, node.value.value))
    return sorted(found)


def _public(tree: ast.Module) -> Iterator[tuple[str, ast.Module | ast.stmt]]:
    yield "the module", tree
    yield from _members(tree.body, "")


def _members(body: Iterable[ast.AST], prefix: str) -> Iterator[tuple[str, ast.stmt]]:
    """Yield public classes and functions, and those within public classes; none within functions."""
    for node in body:
        if isinstance(node, ast.If | ast.Try | ast.With):
            yield from _members(ast.iter_child_nodes(node), prefix)
        elif isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.name[0] != "_":
            yield f"{prefix}{node.name}", node
            if isinstance(node, ast.ClassDef):
                yield from _members(node.body, f"{prefix}{node.name}.")


def _own(node: ast.Module | ast.stmt) -> _Place | None:
    """Return the place where a docstring of `node` would begin: that of its first statement."""
    body: list[ast.stmt] = getattr(node, "body", [])
    return (body[0].lineno, body[0].col_offset) if body else None
