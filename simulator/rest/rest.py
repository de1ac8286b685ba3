"""The REST side: endpoints, parameters and error codes of /fapi/v1 and /futures/data, weights, bans, and faults.

Answers, codes and weights are those of the exchange's documentation and of answers seen by others (docs/exchange.md
§4). Every answer goes onto the tape, so that a test can tell what a recorder was told.
"""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol
from urllib.parse import parse_qsl

from simulator.clock import ExchangeClock
from simulator.control.rest_faults import HTML, RestFault, RestFaults, error_response
from simulator.rest.parameters import RestError, integer, not_valid
from simulator.rest.series import PolledEndpoints
from simulator.rest.weights import RequestWeight, request_limit, request_weight
from simulator.server.http import HttpRequest, HttpResponse, compact_json
from simulator.tape import Tape

_PREFIX = "/fapi/v1/"
_DEFAULT_LIMITS = {"depth": 500, "aggTrades": 500, "klines": 500, "rpiDepth": 1000}
_MOST = {"aggTrades": 1000, "klines": 1500}
_DEPTH_LIMITS = frozenset({5, 10, 20, 50, 100, 500, 1000})
_HOUR_MS = 3_600_000


class Market(Protocol):
    """The market that REST serves: the synthetic one, or the replay of a capture."""

    def status(self, symbol: str) -> str | None:
        """Return TRADING, SETTLING, …; None for an unknown symbol."""

    def exchange_info(self) -> bytes:
        """Return the body of /fapi/v1/exchangeInfo."""

    def trading_schedule(self) -> bytes:
        """Return the body of /fapi/v1/tradingSchedule (docs/exchange.md §5.3)."""

    async def depth(self, symbol: str, limit: int) -> bytes:
        """Return the body of a snapshot, up to `limit` levels a side, best first."""

    def stale_depth(self, symbol: str) -> bytes:
        """Return a snapshot older than the stream, for the fault of that name (docs/exchange.md §5.2.5)."""

    def agg_trades(
        self, symbol: str, from_id: int | None, span_ms: tuple[int, int] | None, limit: int, since_ms: int, /
    ) -> list[str]:
        """Return rows from an id on or of a time, none older than `since_ms`; the oldest first."""

    def klines(self, symbol: str, interval: str, span_ms: tuple[int, int], limit: int) -> list[str] | None:
        """Return rows, the oldest first; None for an unknown interval."""


class Rest:
    """Answers requests, one weight budget for all clients: they share one address here.

    `answers` counts responses by status, `faults` holds the faults that were ordered over the control socket.
    """

    def __init__(self, market: Market, clock: ExchangeClock, weight: RequestWeight, tape: Tape) -> None:
        self.weight = weight
        self.faults = RestFaults()
        self.answers: Counter[int] = Counter()
        self.kept_ms = 48 * _HOUR_MS  # aggTrades; as documented since 2026-08-18
        self.refuses_old = False  # what it says to an older fromId is not known: later rows, or an error
        self._market = market
        self._clock = clock
        self._tape = tape
        self.series = PolledEndpoints(self._symbol, self._listed)

    async def answer(self, request: HttpRequest) -> HttpResponse | None:
        """Return the response, after writing it onto the tape; None for a request that never gets one."""
        response = await self._response(request)
        if response is not None:
            self.answers[response.status] += 1
            self._tape.rest(time.time_ns(), response.status, request.target, response.body)
        return response

    async def _response(self, request: HttpRequest) -> HttpResponse | None:
        """Return the response to one request: weight first, then an ordered fault, then the answer itself.

        A request that is refused for its weight uses no fault up. Answers carry the used weight in
        `X-MBX-USED-WEIGHT-1M`; refusals do not, nor do faults that replace the answer.
        """
        path, _, query = request.target.partition("?")
        parameters = dict(parse_qsl(query, keep_blank_values=True))
        verdict = self.weight.admit(_weight(path, parameters), self._clock.now_ms(), request_limit(path))
        if verdict != "ok":
            return self._refusal(banned=verdict == "banned")
        fault = self.faults.next(path.removeprefix(_PREFIX))
        if fault and fault.kind in ("status", "timeout", "html"):
            return _faulty(fault)
        if fault and fault.kind == "slow":
            await asyncio.sleep(fault.seconds)
        try:
            response = HttpResponse(
                200, await self._body(path, parameters, is_stale=bool(fault and fault.kind == "stale"))
            )
        except RestError as error:
            response = error.response
        if fault and fault.kind == "differ" and response.status == 200:
            response = replace(response, body=fault.change(response.body))
        if fault and fault.kind == "truncated":
            response = replace(response, sent_bytes=len(response.body) // 2)
        return replace(response, headers={**response.headers, "X-MBX-USED-WEIGHT-1M": str(self.weight.used)})

    def _refusal(self, *, banned: bool) -> HttpResponse:
        """Return 429, or 418 whose text names the end of the ban in ms (docs/exchange.md §4).

        With `ban_as_text` the header `Retry-After` is missing, as it is not documented.
        """
        retry_after_s = self.weight.retry_after_s(self._clock.now_ms())
        if not banned:
            return error_response(429, retry_after_s)
        text = f"Way too many requests; IP(127.0.0.1) banned until {self.weight.banned_until_ms}."
        text += " Please use the websocket for live updates to avoid bans."
        body = compact_json({"code": -1003, "msg": text}).encode()
        return HttpResponse(418, body, {} if self.faults.ban_as_text else {"Retry-After": str(retry_after_s)})

    async def _body(self, path: str, parameters: dict[str, str], *, is_stale: bool) -> bytes:
        """Return the body of an answer; raises `RestError` for an unknown path or a wrong parameter."""
        name = path.removeprefix(_PREFIX)
        if name == "time":
            return b'{"serverTime":%d}' % self._clock.now_ms()
        if name == "exchangeInfo":
            return self._market.exchange_info()
        if name == "tradingSchedule":
            return self._market.trading_schedule()
        found = self.series.body(path, parameters, self._clock.now_ms())
        if found is not None:
            return found
        if name not in _DEFAULT_LIMITS or not path.startswith(_PREFIX):
            raise RestError(-5000, f"Path {path}, Method GET is invalid")
        symbol = self._symbol(parameters)
        limit = _limit(name, parameters)
        if name in ("depth", "rpiDepth"):
            return self._market.stale_depth(symbol) if is_stale else await self._market.depth(symbol, limit)
        rows = (
            self._agg_trades(symbol, parameters, limit)
            if name == "aggTrades"
            else self._klines(symbol, parameters, limit)
        )
        return f"[{','.join(rows)}]".encode()

    def _listed(self) -> list[str]:
        """Return all symbols that trade, for answers about all of them."""
        listed = json.loads(self._market.exchange_info())["symbols"]
        return [one["symbol"] for one in listed if one["status"] == "TRADING"]

    def _symbol(self, parameters: Mapping[str, str]) -> str:
        """Return the symbol of a request; `RestError` where it is missing, unknown, or not TRADING (-1122, §5.2.15)."""
        symbol = parameters.get("symbol")
        if not symbol:
            raise RestError(-1102, "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed.")
        status = self._market.status(symbol)
        if status is None:
            raise RestError(-1121, "Invalid symbol.")
        if status != "TRADING":
            raise RestError(-1122, "Invalid symbol status.")
        return symbol

    def _agg_trades(self, symbol: str, parameters: dict[str, str], limit: int) -> list[str]:
        """Return rows of aggTrades; `RestError` for more than an hour, or for an id together with a time.

        `refuses_old` decides on a `fromId` that is older than what is kept: an error, or the oldest rows that are left.
        """
        from_id, start_ms, end_ms = (integer(parameters, key) for key in ("fromId", "startTime", "endTime"))
        if start_ms is not None and end_ms is not None and end_ms - start_ms > _HOUR_MS:
            raise RestError(-1127, "More than 1 hours between startTime and endTime.")
        if from_id is not None and (start_ms is not None or end_ms is not None):
            raise RestError(-1128, "Combination of optional parameters invalid.")
        since_ms = self._clock.now_ms() - self.kept_ms
        rows = self._market.agg_trades(symbol, from_id, _span(start_ms, end_ms), limit, since_ms)
        if self.refuses_old and from_id is not None and rows and json.loads(rows[0])["a"] > from_id:
            raise not_valid("fromId")
        return rows

    def _klines(self, symbol: str, parameters: dict[str, str], limit: int) -> list[str]:
        """Return rows of klines, of all time where none is given; `RestError` for an unknown interval."""
        span_ms = _span(integer(parameters, "startTime"), integer(parameters, "endTime")) or (0, 1 << 62)
        rows = self._market.klines(symbol, parameters.get("interval", ""), span_ms, limit)
        if rows is None:
            raise RestError(-1120, "Invalid interval.")
        return rows


def _faulty(fault: RestFault) -> HttpResponse | None:
    """Return the response of a fault that replaces the answer; None for one that never comes."""
    if fault.kind == "timeout":
        return None
    return HTML if fault.kind == "html" else error_response(fault.status, fault.retry_after_s)


def _weight(path: str, parameters: dict[str, str]) -> int:
    """Return the weight of a request; a limit that is no number counts as the default one."""
    limit = parameters.get("limit", "")
    default = _DEFAULT_LIMITS.get(path.removeprefix(_PREFIX), 0)
    return request_weight(path, int(limit) if limit.isdecimal() else default, has_symbol="symbol" in parameters)


def _span(start_ms: int | None, end_ms: int | None) -> tuple[int, int] | None:
    """Return both ends of a time in ms, an end that is missing being open; None where both are."""
    return None if start_ms is None and end_ms is None else (start_ms or 0, 1 << 62 if end_ms is None else end_ms)


def _limit(name: str, parameters: dict[str, str]) -> int:
    """Return the limit of a request, the endpoint's default without one; `RestError` where it is not allowed."""
    limit = integer(parameters, "limit")
    if limit is None:
        return _DEFAULT_LIMITS[name]
    if name == "rpiDepth" and limit != 1000:
        raise RestError(-4021, f"{limit} is not valid depth limit")
    if name == "depth" and limit not in _DEPTH_LIMITS:
        raise RestError(-4021, f"{limit} is not valid depth limit")
    if name in _MOST and not 1 <= limit <= _MOST[name]:
        raise not_valid("limit")
    return limit
