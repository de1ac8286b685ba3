"""All questions together: none is answered without observations, all are answerable, and the documentation has each."""

import re
from pathlib import Path

import pytest

from binance_streamer.cli.fieldtest.questions import QUESTIONS
from tests.support.data import REPOSITORY
from tests.support.field_seen import answer_of, everything, nothing

_NUMBERS = [question.number for question in QUESTIONS]
_PAGE = Path(REPOSITORY) / "docs" / "exchange.md"


@pytest.mark.parametrize("number", _NUMBERS)
def test_who_has_seen_nothing_says_so(number: str) -> None:
    assert answer_of(number, nothing())[0] == "not seen"


@pytest.mark.parametrize("number", [number for number in _NUMBERS if number != "9"])
def test_who_has_seen_everything_confirms_it(number: str) -> None:
    verdict, evidence = answer_of(number, everything())
    assert (verdict, bool(evidence)) == ("confirmed", True), evidence


def test_numbers_are_unique_and_in_order() -> None:
    assert len(set(_NUMBERS)) == len(_NUMBERS)
    plain = [int(re.sub(r"\D", "", number)) for number in _NUMBERS]
    assert plain == sorted(plain)


def test_every_open_point_of_the_documentation_has_its_questions() -> None:
    section = _PAGE.read_text(encoding="utf-8").partition("## 10. ")[2].partition("\n## ")[0]
    points = [int(number) for number in re.findall(r"^(\d+)\. ", section, re.MULTILINE)]
    assert points == list(range(1, len(points) + 1))
    assert {int(re.sub(r"\D", "", number)) for number in _NUMBERS} == set(points)
