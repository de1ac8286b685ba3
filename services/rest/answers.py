"""Reads the answers of the exchange: their status, their headers, and the few values that we need of a body."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

import msgspec

from binance_streamer.exchange.messages import ExchangeError
from binance_streamer.exchange.rest import RestPage, rest_page
from services.rest.market.clock_offset import Sample
from services.rest.schedule.backfill_queue import MissingRows
from services.runtime.retry import STAND_DOWN_S

Verdict = Literal["good", "refused", "banned", "forbidden", "trouble"]
"""refused: this request is wrong, others are welcome. banned: send nothing for a while. forbidden: this address is not
served. trouble: try again later."""

Shape = TypeVar("Shape")
_WEIGHT_HEADER = "X-MBX-USED-WEIGHT-1M"
_SHOWN_BYTES = 200


class RestAnswer(NamedTuple):
    """An answer as it came; `fault` says why there is no complete one.

    Stamps: when the request left, and when the last byte arrived, by our wall clock.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    requested_ns: int
    recv_ns: int
    fault: str = ""


class Odd(NamedTuple):
    """An entry of an answer that is not understood: where it stands, its bytes as they came, and why."""

    place: str
    raw: bytes
    why: str


class AnswerError(ValueError):
    """A body that is not what was asked for."""


_Number = Annotated[int, msgspec.Meta(ge=-1, lt=1 << 53)]


class DepthAnswer(msgspec.Struct):
    """The part of a depth answer that we need; levels are only checked to be there. A new symbol may have the id -1."""

    lastUpdateId: _Number  # noqa: N815 (the exchange's name)
    bids: list[msgspec.Raw]
    asks: list[msgspec.Raw]
    E: Any = 0

    @property
    def event_time_ms(self) -> int:
        """`E`, 0 where it is not a time; nothing depends on it."""
        return self.E if type(self.E) is int and 0 <= self.E < 1 << 53 else 0


class _Time(msgspec.Struct):
    serverTime: Annotated[int, msgspec.Meta(gt=0, lt=1 << 53)]  # noqa: N815


class _ErrorBody(msgspec.Struct):
    code: Any
    msg: Any = ""


def decode(body: bytes | msgspec.Raw, shape: type[Shape], what: str) -> Shape:
    """Return the JSON as a value of this type; raise `AnswerError`, which says `what` was expected and what came."""
    try:
        return msgspec.json.decode(body, type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise AnswerError(f"expected {what}: {error}; got {bytes(body)[:_SHOWN_BYTES]!r}") from error


def try_decode(raw: msgspec.Raw, shape: type[Shape], place: str, *, odd: list[Odd]) -> Shape | None:
    """Return an entry of an answer as a value; None where it is not understood, and put it among what is `odd`."""
    try:
        return decode(raw, shape, "an entry that we know")
    except AnswerError as error:
        odd.append(Odd(place, bytes(raw), str(error)))
        return None


def refusal(answer: RestAnswer) -> str:
    """Return the exchange's code and text of an error, or the HTTP status where the body has none."""
    try:
        found = decode(answer.body, _ErrorBody, "an error")
    except AnswerError:
        return f"status {answer.status}"
    return f"{found.code} {found.msg}"[:_SHOWN_BYTES]


def verdict(answer: RestAnswer) -> Verdict:
    """Return the meaning of the HTTP status alone; a body that is not what was asked for shows when it is read."""
    if answer.fault:
        return "trouble"
    if answer.status == 200:
        return "good"
    if answer.status in STAND_DOWN_S:
        return "banned"
    if answer.status in (403, 451):
        return "forbidden"
    return "refused" if answer.status == 400 else "trouble"


def used_weight(answer: RestAnswer) -> int | None:
    """Return the weight that the exchange counts for this address in this minute; None where it does not say."""
    text = answer.headers.get(_WEIGHT_HEADER, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def read_snapshot(answer: RestAnswer) -> DepthAnswer:
    """Return a depth answer, checked as JSON; raise `AnswerError` where it is none."""
    return decode(answer.body, DepthAnswer, "a depth snapshot")


def read_rows(answer: RestAnswer, missing: MissingRows) -> RestPage:
    """Return the rows of a page and what is odd in it; raise `AnswerError` for no page, or one that was not asked for.

    A page asked for by time begins wherever the exchange has rows; one asked for by id has something behind that id.
    """
    try:
        page = rest_page(missing.stream, answer.body)
    except ExchangeError as error:
        raise AnswerError(f"{error}; got {answer.body[:_SHOWN_BYTES]!r}") from error
    if page.rows and missing.since_ms is None and page.rows[-1].last_id <= missing.from_id:
        raise AnswerError(f"expected ids above {missing.from_id}, got {page.rows[-1].last_id}")
    return page


def read_clock_sample(answer: RestAnswer) -> Sample:
    """Return the exchange's time with our stamps before and after it; raise `AnswerError` where there is none."""
    server_ms = decode(answer.body, _Time, "a server time").serverTime
    return Sample(server_ms, answer.requested_ns, answer.recv_ns)


def shown(answer: RestAnswer) -> str:
    """Return the fault, or the status and the first 200 bytes of the body, for the log."""
    return answer.fault or f"status {answer.status} {answer.body[:_SHOWN_BYTES]!r}"


class _Turnover(msgspec.Struct):
    symbol: str
    quoteVolume: Any  # noqa: N815 (the exchange's name)


def read_turnovers(answer: RestAnswer) -> dict[str, float]:
    """Return the turnover of each symbol in 24 hours, in its quote asset; one that cannot be read is 0."""
    found = decode(answer.body, list[_Turnover], "a list of 24 hour tickers")
    return {one.symbol: _number_of(one.quoteVolume) for one in found}


def _number_of(value: object) -> float:
    try:
        number = float(str(value))
    except ValueError:
        return 0.0
    return number if 0 <= number < float("inf") else 0.0
