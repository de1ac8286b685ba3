"""The questions of the HTTP API, and the functions that answer them (docs/http-api.md).

| path | extra `days` | answer |
|---|---|---|
| `days` | | the condition of each symbol and day |
| `certificate` | | the certificate of one symbol and day |
| `gaps` | | the gaps of one day |
"""

from collections.abc import Callable

from binance_streamer.days.reading.location import Location
from services.monitor.reader import calendar
from services.monitor.reader.answers import Answer, Question, RefusedError, refusal

_ANSWERS: dict[str, Callable[[str, Location], Answer]] = {
    "days": calendar.days,
    "certificate": calendar.certificate,
    "gaps": calendar.gaps,
}


def answer_to(question: Question, location: Location) -> Answer:
    """Return the answer, or the refusal, of a question about the files of a recording."""
    try:
        return _answered(question, location)
    except RefusedError as refused:
        return refusal(refused.status, str(refused), refused.known)
    except MemoryError:
        return refusal(413, "this needs more memory than reading may take: ask for a shorter time")


def _answered(question: Question, location: Location) -> Answer:
    answer = _ANSWERS.get(question.path)
    if answer is None:
        raise RefusedError(404, "there is no such question: see docs/http-api.md", sorted(_ANSWERS))
    return answer(question.query, location)
