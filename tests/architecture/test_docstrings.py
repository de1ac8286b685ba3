"""Every public name of the library has a docstring, because others import it. The command line has `--help`."""

import ast
from collections.abc import Iterator

from tests.architecture.sources import modules

Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def undocumented(body: list[ast.stmt], place: str) -> Iterator[str]:
    """Yield the public classes, methods and functions without a docstring."""
    for node in body:
        if not isinstance(node, Definition) or node.name.startswith("_"):
            continue
        name = f"{place}.{node.name}"
        if ast.get_docstring(node) is None and not _is_left_out(node):
            yield name
        if isinstance(node, ast.ClassDef):
            yield from undocumented(node.body, name)


def _is_left_out(node: Definition) -> bool:
    """A property of a protocol (`...`), which the class explains."""
    last = node.body[-1]
    return isinstance(last, ast.Expr) and isinstance(last.value, ast.Constant) and last.value.value is Ellipsis


def test_every_public_name_of_the_library_has_a_docstring() -> None:
    library = [module for module in modules("binance_streamer") if not module.path.startswith("binance_streamer/cli/")]
    assert [name for module in library for name in undocumented(module.tree.body, module.path)] == []


def test_a_name_without_one_is_found() -> None:
    tree = ast.parse('class A:\n    """A."""\n    def b(self) -> None: return\n    def _c(self) -> None: return\n')
    assert list(undocumented(tree.body, "m")) == ["m.A.b"]
