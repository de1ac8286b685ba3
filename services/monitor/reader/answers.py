"""Answers of the HTTP API and refusals, as the functions make them that know.

In: the query of a URL. Out: its words as a struct, and the JSON of an answer or of a refusal.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, TypeVar
from urllib.parse import parse_qsl

import msgspec

JSON = "application/json"
KNOWN = 200
"""So many names of what there is stand in a refusal."""


class Sink(Protocol):
    """Takes the pieces of an answer."""

    def write(self, content: bytes, /) -> int:
        """Take a piece; returns its length."""


_Struct = TypeVar("_Struct", bound=msgspec.Struct)


class ApiQuestion(msgspec.Struct, frozen=True):
    """The part of a URL behind `/api/`, and its query as it came."""

    path: str
    query: str = ""


class AnswerHead(msgspec.Struct, frozen=True, kw_only=True):
    """Status and content type of an answer; `next` is the URL that goes on where the answer was cut."""

    status: int
    content_type: str
    next: str = ""


class ApiAnswer(NamedTuple):
    """An answer that is ready to be sent: `write` gives it piece by piece."""

    write: Callable[[Sink], Any]
    content_type: str = JSON
    status: int = 200
    next: str = ""


class RefusedError(Exception):
    """A question that cannot be answered; `known` lists what could be asked for instead."""

    def __init__(self, status: int, error: str, known: list[str] | None = None) -> None:
        super().__init__(error)
        self.status = status
        self.known = known


class RefusalText(msgspec.Struct, frozen=True, omit_defaults=True):
    """The body of every refusal: what is wrong and what to do, and where it helps what there is."""

    error: str
    known: list[str] | None = None


def refusal(status: int, error: str, known: list[str] | None = None) -> ApiAnswer:
    """Return a refusal as an answer."""
    shown = known if known is None else known[:KNOWN]
    return as_json(RefusalText(error, shown), status)


def as_json(value: Any, status: int = 200) -> ApiAnswer:
    """Return a value as a JSON answer."""
    text = msgspec.json.encode(value) + b"\n"
    return ApiAnswer(lambda sink: sink.write(text), status=status)


def asked(kind: type[_Struct], query: str) -> _Struct:
    """Return the words of a query as a struct; refuses words that it does not have, and values of another type."""
    try:
        return msgspec.convert(dict(parse_qsl(query, keep_blank_values=True)), kind, strict=False)
    except msgspec.ValidationError as error:
        names = ", ".join(field.encode_name for field in msgspec.structs.fields(kind))
        raise RefusedError(400, f"{error}; the words are {names}") from None
