"""The questions of the HTTP API, and the functions that answer them (docs/http-api.md).

| path | extra `days` | answer |
|---|---|---|
| `days` | | the condition of each symbol and day |
| `certificate` | | the certificate of one symbol and day |
| `gaps` | | the gaps of one day |
| `rows` | needed | a slice of a stream, as JSON lines or Arrow |
| `book` | needed | the order book at an instant |

What needs the extra is imported when it is asked for: a recorder does without it.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any

from binance_streamer.days.reading.location import Location
from services.monitor.reader import calendar
from services.monitor.reader.answers import ApiAnswer, ApiQuestion, RefusedError, refusal

_ANSWERS: dict[str, Callable[[str, Location], ApiAnswer]] = {
    "days": calendar.days,
    "certificate": calendar.certificate,
    "gaps": calendar.gaps,
    "rows": lambda query, location: _module("rows").rows(query, location),
    "book": lambda query, location: _module("book").book(query, location),
}
_LIBRARIES = ("deltalake", "duckdb", "numpy", "polars", "pyarrow")


def _module(name: str) -> Any:
    return import_module(f"services.monitor.reader.{name}")


def answer_to(question: ApiQuestion, location: Location) -> ApiAnswer:
    """Return the answer, or the refusal, of a question about the files of a recording."""
    try:
        return _answered(question, location)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _LIBRARIES:
            raise
        how = "`pip install 'binance-streamer[days]'`, in a checkout `./run --extra days …`; then restart the monitor"
        return refusal(501, f"this needs {error.name}: {how}")
    except RefusedError as refused:
        return refusal(refused.status, str(refused), refused.known)
    except MemoryError:
        return refusal(413, "this needs more memory than reading may take: ask for a shorter time")


def _answered(question: ApiQuestion, location: Location) -> ApiAnswer:
    answer = _ANSWERS.get(question.path)
    if answer is None:
        raise RefusedError(404, "there is no such question: see docs/http-api.md", sorted(_ANSWERS))
    return answer(question.query, location)
