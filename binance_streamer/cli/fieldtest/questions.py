"""All questions of the field test, in the order of docs/exchange.md §10; a test compares the two."""

import re

from binance_streamer.cli.fieldtest.other_questions import OTHER_QUESTIONS
from binance_streamer.cli.fieldtest.question import Question
from binance_streamer.cli.fieldtest.stream_questions import STREAM_QUESTIONS


def _place(question: Question) -> tuple[int, str]:
    """Return number and letter, by which `2b` comes before `10`."""
    number, letter = re.fullmatch(r"(\d+)(\w?)", question.number).groups()  # type: ignore[union-attr]
    return int(number), letter


QUESTIONS = tuple(sorted((*STREAM_QUESTIONS, *OTHER_QUESTIONS), key=_place))
"""Each with its number, its words and its answer."""
