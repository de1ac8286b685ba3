"""What the answers of the exchange mean: their status, their headers, and the few values that we read of a body."""

from collections.abc import Mapping
from typing import Annotated, Literal, NamedTuple, TypeVar

import msgspec

from binance_streamer.exchange.messages import ExchangeError
from binance_streamer.exchange.rest import rest_rows
from services.rest.market.clock_offset import Sample
from services.rest.schedule.backfill_queue import BackfillRequest
from services.runtime.retry import STAND_DOWN_S

Verdict = Literal["good", "refused", "banned", "forbidden", "trouble"]
"""refused: this request is wrong, others are welcome. banned: send nothing for a while. forbidden: this address is not
served. trouble: try again later."""

Shape = TypeVar("Shape")
_WEIGHT_HEADER = "X-MBX-USED-WEIGHT-1M"
_SHOWN_BYTES = 200


class RestAnswer(NamedTuple):
    """What came back; `fault` where no whole answer did. Stamps: when the request left, when the last byte arrived."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    requested_ns: int
    recv_ns: int
    fault: str = ""


class AnswerError(ValueError):
    """A body that is not what was asked for."""


_Number = Annotated[int, msgspec.Meta(ge=-1, lt=1 << 53)]


class DepthAnswer(msgspec.Struct):
    """What we need of a depth answer; the levels are only checked to be there. The id of a fresh listing may be -1."""

    lastUpdateId: _Number  # noqa: N815 (the exchange's name)
    bids: list[msgspec.Raw]
    asks: list[msgspec.Raw]
    E: _Number = 0


class _Time(msgspec.Struct):
    serverTime: Annotated[int, msgspec.Meta(gt=0, lt=1 << 53)]  # noqa: N815


class _ErrorBody(msgspec.Struct):
    code: int
    msg: str = ""


def decode(body: bytes, shape: type[Shape], what: str) -> Shape:
    """Return the JSON as a value of this type; raise `AnswerError`, which says `what` was expected and what came."""
    try:
        return msgspec.json.decode(body, type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise AnswerError(f"expected {what}: {error}; got {body[:_SHOWN_BYTES]!r}") from error


def refusal(answer: RestAnswer) -> str:
    """The exchange's own words where it does not give what was asked for."""
    try:
        found = decode(answer.body, _ErrorBody, "an error")
    except AnswerError:
        return f"status {answer.status}"
    return f"{found.code} {found.msg}"[:_SHOWN_BYTES]


def verdict(answer: RestAnswer) -> Verdict:
    """By the status alone; whether a body is what was asked for shows when it is read."""
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
    """The weight that the exchange counts for this address in this minute."""
    text = answer.headers.get(_WEIGHT_HEADER, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def read_snapshot(answer: RestAnswer) -> DepthAnswer:
    """A depth answer, checked as JSON; raises `AnswerError`."""
    return decode(answer.body, DepthAnswer, "a depth snapshot")


def has_rows(answer: RestAnswer, missing: BackfillRequest) -> bool:
    """Whether there are rows for a gap in it; raises `AnswerError` for what are none, or were not asked for."""
    try:
        rows = rest_rows(missing.stream, answer.body)
    except ExchangeError as error:
        raise AnswerError(f"{error}; got {answer.body[:_SHOWN_BYTES]!r}") from error
    if rows and missing.since_ms is None and rows[0].last_id <= missing.from_id:
        raise AnswerError(f"expected ids above {missing.from_id}, got {rows[0].last_id}")
    return bool(rows)


def read_clock_sample(answer: RestAnswer) -> Sample:
    """The exchange's time between our two stamps; raises `AnswerError`."""
    server_ms = decode(answer.body, _Time, "a server time").serverTime
    return Sample(server_ms, answer.requested_ns, answer.recv_ns)


def shown(answer: RestAnswer) -> str:
    """A few words for the log."""
    return answer.fault or f"status {answer.status} {answer.body[:_SHOWN_BYTES]!r}"
