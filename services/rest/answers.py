"""The requests that we make, and what their answers mean."""

from collections.abc import Mapping
from typing import Annotated, Literal, NamedTuple
from urllib.parse import quote

import msgspec

from binance_streamer.exchange.messages import ExchangeError
from binance_streamer.exchange.rest import MOST_AGG_TRADES, rest_rows, span_of, step_of
from services.rest.market.clock_offset import Sample
from services.rest.schedule.backfill_queue import BackfillRequest
from services.rest.schedule.pacing import HEAVY_WEIGHT
from services.rest.schedule.snapshot_queue import QueuedSnapshot
from services.runtime.retry import STAND_DOWN_S

Kind = Literal["time", "exchange_info", "trading_schedule", "depth", "repair"]
Verdict = Literal["good", "refused", "banned", "forbidden", "trouble"]
"""refused: this request is wrong, others are welcome. banned: send nothing for a while. forbidden: this address is not
served. trouble: try again later."""

_WEIGHT_HEADER = "X-MBX-USED-WEIGHT-1M"
_SHOWN_BYTES = 200


class RestRequest(NamedTuple):
    """A GET; `wanted` says for whom, where it is a snapshot, and `repair` what is missing. Weights: facts page §4, read
    2026-11-22."""

    kind: Kind
    path: str
    weight: int
    wanted: QueuedSnapshot | None = None
    repair: BackfillRequest | None = None


TIME = RestRequest("time", "/fapi/v1/time", 1)
EXCHANGE_INFO = RestRequest("exchange_info", "/fapi/v1/exchangeInfo", 1)
TRADING_SCHEDULE = RestRequest("trading_schedule", "/fapi/v1/tradingSchedule", 5)


def depth_path(symbol: str) -> str:
    """Path and query of a depth snapshot; also the `stream` that its frames carry."""
    return f"/fapi/v1/depth?symbol={quote(symbol, safe='')}&limit=1000"


def depth_request(wanted: QueuedSnapshot) -> RestRequest:
    """A snapshot of 1000 levels a side, the most that there are."""
    return RestRequest("depth", depth_path(wanted.symbol), HEAVY_WEIGHT, wanted)


def repair_request(wish: BackfillRequest) -> RestRequest:
    """The first page of what is missing."""
    stream = wish.stream
    symbol = quote(stream.symbol, safe="")
    step = step_of(stream)
    count = (min(wish.to_id, wish.from_id + span_of(stream)) - wish.from_id) // step
    if stream.stream_type == "kline":
        query = f"interval={stream.variant}&startTime={wish.from_id + step}&endTime={wish.to_id}&limit={max(1, count)}"
        return RestRequest("repair", f"/fapi/v1/klines?symbol={symbol}&{query}", 1 if count < 100 else 2, repair=wish)
    query = f"fromId={wish.from_id + 1}&limit={count}"
    if wish.since_ms is not None:
        query = f"startTime={wish.since_ms}&limit={MOST_AGG_TRADES}"
    return RestRequest("repair", f"/fapi/v1/aggTrades?symbol={symbol}&{query}", HEAVY_WEIGHT, repair=wish)


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


def refusal(answer: RestAnswer) -> str:
    """The exchange's own words where it does not give what was asked for."""
    try:
        found = msgspec.json.decode(answer.body, type=_ErrorBody)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
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
    try:
        return msgspec.json.decode(answer.body, type=DepthAnswer)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise AnswerError(f"expected a depth snapshot: {error}; got {answer.body[:_SHOWN_BYTES]!r}") from error


def has_rows(answer: RestAnswer, wish: BackfillRequest) -> bool:
    """Whether there are rows for a gap in it; raises `AnswerError` for what are none, or were not asked for."""
    try:
        rows = rest_rows(wish.stream, answer.body)
    except ExchangeError as error:
        raise AnswerError(f"{error}; got {answer.body[:_SHOWN_BYTES]!r}") from error
    if rows and wish.since_ms is None and rows[0].last_id <= wish.from_id:
        raise AnswerError(f"expected ids above {wish.from_id}, got {rows[0].last_id}")
    return bool(rows)


def read_clock_sample(answer: RestAnswer) -> Sample:
    """The exchange's time between our two stamps; raises `AnswerError`."""
    try:
        server_ms = msgspec.json.decode(answer.body, type=_Time).serverTime
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise AnswerError(f"expected a server time: {error}; got {answer.body[:_SHOWN_BYTES]!r}") from error
    return Sample(server_ms, answer.requested_ns, answer.recv_ns)


def shown(answer: RestAnswer) -> str:
    """A few words for the log."""
    return answer.fault or f"status {answer.status} {answer.body[:_SHOWN_BYTES]!r}"
