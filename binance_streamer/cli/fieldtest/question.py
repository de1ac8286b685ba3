"""A question that only a live run can settle: its number in docs/exchange.md §10, its words, and how it is answered."""

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import NamedTuple

from binance_streamer.cli.fieldtest.seen import Observations


class Verdict(StrEnum):
    """The three things that a run can say of a question."""

    CONFIRMED = "confirmed"
    CONTRADICTED = "contradicted"
    NOT_SEEN = "not seen"


class Answer(NamedTuple):
    """A verdict, and what was seen that speaks for it."""

    verdict: Verdict
    evidence: str


class Question(NamedTuple):
    """One question; `number` is that of docs/exchange.md §10, with a letter where the point has several parts."""

    number: str
    words: str
    answer: Callable[[Observations], Answer]


def judged(contradictions: Sequence[str], confirmed: str) -> Answer:
    """Return contradicted where anything contradicts, else confirmed with these words, else, without any, not seen."""
    if contradictions:
        return Answer(Verdict.CONTRADICTED, "; ".join(contradictions))
    return Answer(Verdict.CONFIRMED, confirmed) if confirmed else Answer(Verdict.NOT_SEEN, "")


def not_seen(why: str) -> Answer:
    """Return an answer that settles nothing, with the reason."""
    return Answer(Verdict.NOT_SEEN, why)


def listed(items: Sequence[str], most: int = 6) -> str:
    """Join items with commas; of many the first ones, and the number of the others."""
    more = len(items) - most
    return ", ".join(items[:most]) + (f" and {more} more" if more > 0 else "")
