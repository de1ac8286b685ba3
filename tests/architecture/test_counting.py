"""The counting functions on sources that are small enough to count by eye."""

import ast
from textwrap import dedent

import pytest

from tests.architecture.counting import (
    Docstring,
    LineCount,
    class_names,
    docstrings,
    impurities,
    is_mirrored,
    is_question,
    is_short,
    is_todo,
    line_count,
    says_pure,
    siblings,
    total,
)
from tests.architecture.sources import below, imported, within


def parsed(source: str) -> ast.Module:
    return ast.parse(dedent(source))


def counted(source: str) -> tuple[int, int]:
    count = line_count(dedent(source).strip())
    return count.code, count.explanation


def test_a_line_of_code_holds_a_token() -> None:
    assert counted("x = 1") == (1, 0)
    assert counted("x = (\n    1,\n\n    2,\n)") == (4, 0)
    assert counted("") == (0, 0)


def test_a_comment_beside_code_is_code_and_explanation() -> None:
    assert counted("x = 1  # why") == (1, 1)
    assert counted("# why\nx = 1") == (1, 1)
    assert counted("# why\n\n# and why\n") == (0, 2)


def test_a_docstring_is_explanation_from_its_first_line_to_its_last() -> None:
    source = '''
        """Say a thing.

        And more.
        """
        def f() -> None:
            """Return nothing."""
    '''
    assert counted(source) == (1, 5)


def test_the_docstring_of_an_attribute_is_explanation() -> None:
    source = '''
        class Book:
            levels: int
            """Count of bids."""
        MOST = 5
        """Bound of the queue, in rows."""
    '''
    assert counted(source) == (3, 2)


def test_a_string_that_is_a_value_is_code_on_all_its_lines() -> None:
    assert counted('x = """one\n# two\nthree"""') == (3, 0)
    assert counted('f("""one\ntwo""")') == (2, 0)


def test_code_behind_a_docstring_is_code() -> None:
    assert counted('def f(): "Return nothing."; return 1  # é') == (1, 1)


def test_totals_and_the_ratio() -> None:
    both = total([LineCount(code=150, explanation=30), LineCount(code=50, explanation=3)])
    assert both == LineCount(code=200, explanation=33)
    assert both.ratio == 16.5
    assert LineCount(code=0, explanation=2).ratio == 0


def test_docstrings_know_the_public_name_they_explain() -> None:
    source = '''\
        """Module."""
        class Book:
            """Class."""
            size = 1
            """Attribute."""
            class Level:
                """Inner class."""
            def read(self):
                """Method."""
                def inner():
                    """Function within a function."""
            def _hidden(self):
                """Private method."""
            def __len__(self):
                """Method that Python calls."""
        class _Side:
            """Private class."""
            def best(self):
                """Method of a private class."""
        if True:
            async def fetch():
                """Coroutine."""
        def bare():
            return 1
    '''
    assert docstrings(parsed(source)) == [
        Docstring(line=1, text="Module.", public="the module"),
        Docstring(line=3, text="Class.", public="Book"),
        Docstring(line=5, text="Attribute.", public=None),
        Docstring(line=7, text="Inner class.", public="Book.Level"),
        Docstring(line=9, text="Method.", public="Book.read"),
        Docstring(line=11, text="Function within a function.", public=None),
        Docstring(line=13, text="Private method.", public=None),
        Docstring(line=15, text="Method that Python calls.", public=None),
        Docstring(line=17, text="Private class.", public=None),
        Docstring(line=19, text="Method of a private class.", public=None),
        Docstring(line=22, text="Coroutine.", public="fetch"),
    ]


def test_a_string_below_the_first_statement_explains_no_definition() -> None:
    assert docstrings(parsed("def f():\n    x = 1\n    'Later.'\n")) == [Docstring(line=3, text="Later.", public=None)]


@pytest.mark.parametrize(
    "text", ["What it is.", "Which one?", "Whether.", "Who", "Whose book.", "How many.", "\n    What.", "Who's there."]
)
def test_a_question(text: str) -> None:
    assert is_question(text)


@pytest.mark.parametrize(
    "text", ["", "However it is.", "`What` it is.", "Whatever.", "Return what is.", "Where it is."]
)
def test_no_question(text: str) -> None:
    assert not is_question(text)


def test_a_short_docstring_has_fewer_than_five_words_and_a_public_name() -> None:
    assert is_short(Docstring(line=1, text="Return the best bid.", public="best"))
    assert not is_short(Docstring(line=1, text="Return the best bid price.", public="best"))
    assert not is_short(Docstring(line=1, text="Return the best bid.", public=None))


def test_todo_is_a_docstring_by_itself() -> None:
    assert [is_todo(text) for text in ("TODO", " TODO. ", "TODO: ", "TODO lists are read.", "todo")] == [
        True,
        True,
        True,
        False,
        False,
    ]


def test_the_word_pure() -> None:
    assert [says_pure(text) for text in ("Rows. Pure.", "It is pure", "impure", "purely", "Purely")] == [
        True,
        True,
        False,
        False,
        False,
    ]


def test_class_names_at_every_depth() -> None:
    source = """\
        class A:
            class B:
                pass
        def f():
            class C:
                pass
        D = type("D", (), {})
    """
    assert sorted(class_names(parsed(source))) == [(1, "A"), (2, "B"), (5, "C")]


def test_siblings_are_the_files_and_folders_of_a_folder() -> None:
    paths = ["a/__init__.py", "a/__main__.py", "a/x.py", "a/page.html", "a/b/__init__.py", "a/b/y.py", "a/b/c/z.py"]
    assert siblings(paths) == {"a": {"x.py", "page.html", "b"}, "a/b": {"y.py", "c"}, "a/b/c": {"z.py"}}


def test_imports_with_lines_and_whole_names() -> None:
    source = "import os.path, re\nfrom a.b import c, d as e\ndef f():\n    import time\n"
    assert imported(parsed(source)) == [(1, "os.path"), (1, "re"), (2, "a.b.c"), (2, "a.b.d"), (4, "time")]


def test_a_relative_import_is_refused() -> None:
    with pytest.raises(AssertionError, match="line 1: relative import"):
        imported(parsed("from . import a"))


def test_a_pure_module_reaches_nothing() -> None:
    source = """\
        import json
        from datetime import UTC, datetime
        from collections import deque
        from ours.timers import due
        def day(ns: int):
            return datetime.fromtimestamp(ns / 1e9, UTC)
    """
    assert impurities(parsed(source)) == []


def test_imports_and_calls_that_reach_outside() -> None:
    source = """\
        import zmq.auth
        from pathlib import Path
        from urllib.parse import quote
        from urllib.request import urlopen
        import datetime
        def f():
            import time
            datetime.datetime.now()
            datetime.now(tz=UTC)
            self.now()
            open("x")
            file.open()
    """
    assert impurities(parsed(source)) == [
        (1, "zmq.auth"),
        (2, "pathlib.Path"),
        (4, "urllib.request.urlopen"),
        (7, "time"),
        (8, "datetime.datetime.now()"),
        (9, "datetime.now()"),
        (11, "open()"),
    ]


PRODUCT = ["a/__main__.py", "a/b/rows.py", "a/b/page.js", "a/b/c/deep.py"]


@pytest.mark.parametrize(
    "test",
    [
        "tests/unit/a/b/test_rows.py",
        "tests/unit/a/b/test_rows_rest.py",
        "tests/unit/a/test_main.py",
        "tests/unit/a/b/test_b.py",  # the folder as a whole
        "tests/unit/a/b/c/test_deep.py",
    ],
)
def test_a_test_at_its_place(test: str) -> None:
    assert is_mirrored(test, PRODUCT)


@pytest.mark.parametrize(
    "test",
    [
        "tests/unit/a/test_rows.py",
        "tests/unit/a/b/test_rowsets.py",
        "tests/unit/a/b/test_row.py",
        "tests/unit/a/b/test_deep.py",
        "tests/unit/a/b/test_page.py",
        "tests/unit/x/test_x.py",
        "tests/unit/test_rows.py",
    ],
)
def test_a_test_at_another_place(test: str) -> None:
    assert not is_mirrored(test, PRODUCT)


def test_names_and_paths_end_at_their_separators() -> None:
    assert within("a.b.c", "a.b")
    assert within("a.b", "a.b")
    assert not within("a.bc", "a.b")
    assert below("a/b/c.py", "a/b")
    assert below("a/b/c.py", "a/b/")
    assert below("a/b.py", "a/b.py")
    assert not below("a/bc.py", "a/b")
