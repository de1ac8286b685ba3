"""Measure the product's code: one function a measure, each with the places that make it so.

Limits and other tables are in `limits.py`; `test_measures.py` holds the code to them, `measures.py` prints them.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import PurePosixPath

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
from tests.architecture.limits import LIMITS, NOT_MIRRORED, PURE
from tests.architecture.sources import OURS, Module, below, files, modules

LONG_LINES = 300


@dataclass(frozen=True)
class Offender:
    """A place that makes a measure worse. `line` is 0 where the whole file or folder is meant."""

    path: str
    line: int
    says: str

    def __str__(self) -> str:
        place = f"{self.path}:{self.line}" if self.line else self.path
        return f"{place}  {self.says}"


@dataclass(frozen=True)
class Measure:
    """A measured value, and the places that make it so, the worst first."""

    value: float
    offenders: tuple[Offender, ...]

    def places(self, most: int | None = None, *, first: Collection[str] = ()) -> str:
        """Return the places, one a line: the first `most`, or all; those in the files `first` before all others."""
        ordered = sorted(self.offenders, key=lambda offender: offender.path not in first)
        shown = [f"  {'>' if offender.path in first else ' '} {offender}" for offender in ordered[:most]]
        left = len(self.offenders) - len(shown)
        return "\n".join([*shown, *([f"    … and {left} more (--all)"] if left else [])])


def measure(name: str) -> Measure:
    """Measure the product now; `name` is a key of `LIMITS`."""
    return MEASURES[name]()


def _siblings() -> Measure:
    counts = {folder: len(names) for folder, names in siblings(files(*OURS)).items()}
    aimed = LIMITS["siblings in the fullest folder"].aimed
    full = sorted(((count, folder) for folder, count in counts.items() if count > aimed), reverse=True)
    offenders = [Offender(f"{folder}/", 0, f"{count} files and folders") for count, folder in full]
    return Measure(max(counts.values()), tuple(offenders))


def _long_modules() -> Measure:
    lengths = [(len(module.text.splitlines()), module.path) for module in modules(*OURS)]
    return _counted(
        Offender(path, 0, f"{length} lines") for length, path in sorted(lengths, reverse=True) if length > LONG_LINES
    )


def _class_names() -> Measure:
    places: dict[str, dict[str, int]] = defaultdict(dict)
    for module in modules(*OURS):
        for line, name in class_names(module.tree):
            places[name].setdefault(module.path, line)
    several = sorted((-len(where), name) for name, where in places.items() if len(where) > 1)
    offenders = [
        Offender(path, line, f"class {name}") for _, name in several for path, line in sorted(places[name].items())
    ]
    return Measure(len(several), tuple(offenders))


def _questions() -> Measure:
    return _counted(_place(module, each) for module, each in _docstrings() if is_question(each.text))


def _short() -> Measure:
    return _counted(
        Offender(module.path, each.line, f"{each.public}: {each.text.strip()}")
        for module, each in _docstrings()
        if is_short(each)
    )


def _todos() -> Measure:
    return _counted(_place(module, each) for module, each in _docstrings() if is_todo(each.text))


def _explanation() -> Measure:
    aimed = LIMITS["explanation lines per 100 code lines"].aimed
    missing = {path: count.code * aimed / 100 - count.explanation for path, count in lines().items()}
    offenders = [
        Offender(path, 0, f"{lines()[path].explanation} lines explain {lines()[path].code}")
        for path in sorted(missing, key=lambda path: -missing[path])
        if missing[path] > 0
    ]
    return Measure(total(lines().values()).ratio, tuple(offenders))


def _code_lines() -> Measure:
    largest = sorted(lines().items(), key=lambda item: -item[1].code)
    offenders = [Offender(path, 0, f"{count.code} lines of code") for path, count in largest]
    return Measure(total(lines().values()).code, tuple(offenders))


def _impurities() -> Measure:
    found = [Offender(place, 0, "nothing is there: mend PURE") for place in PURE if not _inside(place)]
    for module in (module for place in PURE for module in _inside(place)):
        found.extend(Offender(module.path, line, name) for line, name in impurities(module.tree))
    return _counted(found)


def _say_pure() -> Measure:
    first: dict[str, Offender] = {}
    for module, each in _docstrings():
        if says_pure(each.text) and not any(below(module.path, place) for place in PURE):
            first.setdefault(module.path, _place(module, each))
    return _counted(first.values())


def _away() -> Measure:
    tests = [path for path in files("tests/unit") if PurePosixPath(path).match("test_*.py")]
    return _counted(
        Offender(path, 0, "no product module of this place and name")
        for path in tests
        if not any(below(path, folder) for folder in NOT_MIRRORED) and not is_mirrored(path, files(*OURS))
    )


MEASURES: dict[str, Callable[[], Measure]] = {
    "siblings in the fullest folder": _siblings,
    "modules above 300 lines": _long_modules,
    "class names with several meanings": _class_names,
    "docstrings that begin as a question": _questions,
    "public docstrings below five words": _short,
    "explanation lines per 100 code lines": _explanation,
    "code lines": _code_lines,
    "impurities in pure modules": _impurities,
    "modules outside that say pure": _say_pure,
    "unit tests away from their module": _away,
    "docstrings that say TODO": _todos,
}


@cache
def lines() -> dict[str, LineCount]:
    """Count the lines of each module of the product, by its path."""
    return {module.path: line_count(module.text) for module in modules(*OURS)}


@cache
def _docstrings() -> tuple[tuple[Module, Docstring], ...]:
    return tuple((module, each) for module in modules(*OURS) for each in docstrings(module.tree))


def _counted(offenders: Iterable[Offender]) -> Measure:
    every = tuple(offenders)
    return Measure(len(every), every)


def _place(module: Module, docstring: Docstring) -> Offender:
    return Offender(module.path, docstring.line, docstring.text.strip().split("\n")[0])


def _inside(place: str) -> list[Module]:
    return [module for module in modules(*OURS) if below(module.path, place)]
