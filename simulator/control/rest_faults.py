"""Faults of REST requests: a queue of wrong answers, each for the next so many requests."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from simulator.server.http import HttpResponse

Kind = Literal["status", "timeout", "slow", "html", "truncated", "stale", "differ"]
_ONLY_FOR: dict[Kind, str] = {"stale": "depth", "differ": "aggTrades"}
"""Kinds that wait for a request of this endpoint, and let all others pass."""


@dataclass(slots=True)
class RestFault:
    """One kind of wrong answer, for the next `left` requests.

    `status` and `retry_after_s` are those of the kind "status"; `seconds` is the delay of the kind "slow"; `change` is
    what the kind "differ" does to a body.
    """

    kind: Kind
    left: int
    status: int = 200
    retry_after_s: int | None = None
    seconds: float = 0.0
    change: Callable[[bytes], bytes] = bytes


class RestFaults:
    """The queue; the oldest fault comes first."""

    def __init__(self) -> None:
        self._queue: list[RestFault] = []
        self.ban_as_text = False  # bans say their end in the text only, not in Retry-After

    def add(self, fault: RestFault) -> None:
        """Put a fault behind those that wait."""
        self._queue.append(fault)

    def clear(self) -> None:
        """Forget all faults that have not happened yet."""
        self._queue.clear()

    def next(self, endpoint: str) -> RestFault | None:
        """Return the fault of a request, or None; `endpoint` is the last part of its path."""
        for fault in self._queue:
            if _ONLY_FOR.get(fault.kind, endpoint) == endpoint:
                fault.left -= 1
                if fault.left <= 0:
                    self._queue.remove(fault)
                return fault
        return None


_TEXTS = {
    202: b"",
    403: b"<html><head><title>403 Forbidden</title></head><body>The WAF limit has been broken.</body></html>",
    429: b'{"code":-1003,"msg":"Too many requests; current limit of IP(127.0.0.1) is 2400 requests per minute. '
    b'Please use the websocket for live updates to avoid bans."}',
    451: b'{"code":0,"msg":"Service unavailable from a restricted location according to \'b. Eligibility\'."}',
    503: b'{"code":-1008,"msg":"Request throttled by system-level protection."}',
}
HTML = HttpResponse(200, b"<!DOCTYPE html><html><body>Please wait</body></html>", content_type="text/html")


def error_response(status: int, retry_after_s: int | None) -> HttpResponse:
    """Return an answer with this status and the body that the exchange sends with it (docs/exchange.md §4)."""
    body = _TEXTS.get(status, b'{"code":-1000,"msg":"An unknown error occurred while processing the request."}')
    headers = {} if retry_after_s is None else {"Retry-After": str(retry_after_s)}
    if status == 202:
        headers["x-amzn-waf-action"] = "challenge"
    return HttpResponse(status, body, headers, "text/html" if status == 403 else "application/json;charset=UTF-8")
