"""The few requests of the field test, within a tenth of the weight; and rows of REST beside the streamed ones."""

import time
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import msgspec
import requests

from binance_streamer.cli.fieldtest.seen import RestSeen, RowsCompared
from binance_streamer.config.schema import NetworkConfig

SHARE = 0.1
"""Of every limit that is documented: the field test takes no more."""
_MINUTE_NS = 60_000_000_000
_LOOK_S = 5.0
_BAR_KEYS = ("t", "o", "h", "l", "c", "v", "T", "q", "n", "V", "Q")
"""Keys of a streamed bar in the order of REST's array (docs/exchange.md §4)."""
_AGGREGATE_KEYS = ("p", "q", "nq", "f", "l", "T", "m")


class RestAsker:
    """Asks one request at a time; after a refusal (429, 418, 403, 451) it asks nothing more.

    `weight_limit` is the exchange's, a minute, for all who share this address: the recorder is one of them, so that the
    weight in use is asked for first. A request that would pass a tenth of the limit waits `patience_s` for the next
    minute, and is not sent where that is too long.
    """

    def __init__(self, network: NetworkConfig) -> None:
        self.seen: list[RestSeen] = []
        self.weight_limit = 2400
        self.is_refused = False
        self.patience_s = 0.0
        self._network = network
        self._used = self._used_in = 0
        """The weight that the last answer named, and its minute."""

    def ask(self, path: str, *, weight: int) -> RestSeen | None:
        """Return the answer; None where nothing was sent. Raises `requests.RequestException` where nobody answers."""
        if weight > 1 and not self._has_room(weight):
            return None
        return None if self.is_refused else self._asked(path)

    def _has_room(self, weight: int) -> bool:
        """Return True once a request of this weight stays within the tenth; asks for the time to learn what is used."""
        until_s = time.monotonic() + self.patience_s
        while not self.is_refused:
            minute = time.time_ns() // _MINUTE_NS
            used = self._used if self._used_in == minute else 0
            if used + 1 + weight <= self.weight_limit * SHARE:
                used = self._asked(path_of("time")).used_weight or 0
            if used + weight <= self.weight_limit * SHARE:
                return True
            if time.monotonic() > until_s:
                return False
            time.sleep(_LOOK_S)
        return False

    def _asked(self, path: str) -> RestSeen:
        requested_ns = time.time_ns()
        response = requests.get(
            f"{self._network.rest_url.rstrip('/')}{path}",
            timeout=self._network.request_timeout,
            verify=self._network.ca_file or True,
            headers={"Connection": "close"},
        )
        recv_ns = time.time_ns()
        answer = _seen(path, response, requested_ns, recv_ns)
        self.is_refused = answer.status in (403, 418, 429, 451)
        self.seen.append(answer)
        self._used, self._used_in = answer.used_weight or 0, recv_ns // _MINUTE_NS
        return answer

    def rows(self, path: str, *, weight: int) -> Any:
        """Return the body of a good answer; None of any other, and where nothing was sent."""
        answer = self.ask(path, weight=weight)
        return answer.body if answer is not None and answer.status == 200 else None


def _seen(path: str, response: requests.Response, requested_ns: int, recv_ns: int) -> RestSeen:
    try:
        body = msgspec.json.decode(response.content)
    except msgspec.DecodeError:
        body = None
    code = body.get("code") if isinstance(body, dict) and response.status_code != 200 else None
    used = response.headers.get("X-MBX-USED-WEIGHT-1M", "")
    return RestSeen(
        path.partition("?")[0],
        response.status_code,
        body,
        requested_ns,
        recv_ns,
        int(used) if used.isdecimal() else None,
        "Retry-After" in response.headers,
        code if isinstance(code, int) else None,
    )


def path_of(endpoint: str, symbol: str = "", **parameters: object) -> str:
    """Return the path of a request: `/fapi/v1/depth?symbol=…`, percent-encoded."""
    query = {"symbol": symbol, **parameters} if symbol else parameters
    text = "&".join(f"{key}={quote(str(value), safe='')}" for key, value in query.items())
    return f"/fapi/v1/{endpoint}" + (f"?{text}" if text else "")


def compared_aggregates(what: str, streamed: Mapping[int, Mapping[str, Any]], rows: Any) -> RowsCompared:
    """Compare aggregates of REST with streamed ones of the same id, field by field."""
    pairs = [(streamed[row["a"]], row) for row in rows or [] if row["a"] in streamed]
    found: dict[str, str] = {}
    for event, row in pairs:
        for key in _AGGREGATE_KEYS:
            if event.get(key) != row.get(key):
                found.setdefault(key, f"{key} streamed {event.get(key)!r}, REST {row.get(key)!r}")
    if pairs and (more := set().union(*(row.keys() for _, row in pairs)) - {"a", *_AGGREGATE_KEYS}):
        found["new"] = f"keys of REST alone: {', '.join(sorted(more))}"
    return RowsCompared(what, len(pairs), tuple(found.values()))


def compared_bars(what: str, streamed: Mapping[int, Mapping[str, Any]], rows: Any) -> RowsCompared:
    """Compare closed bars of REST, arrays, with streamed ones of the same opening time, field by field."""
    pairs = [(streamed[row[0]], row) for row in rows or [] if row[0] in streamed]
    found: dict[str, str] = {}
    for bar, row in pairs:
        for key, value in zip(_BAR_KEYS, row, strict=False):
            if not _is_same(bar.get(key), value):
                found.setdefault(key, f"{key} streamed {bar.get(key)!r}, REST {value!r}")
    return RowsCompared(what, len(pairs), tuple(found.values()))


def _is_same(streamed: Any, value: Any) -> bool:
    """Return True for equal values, also where digits are written otherwise: `0` and `0.000`."""
    if streamed == value:
        return True
    try:
        return isinstance(streamed, str) and isinstance(value, str) and float(streamed) == float(value)
    except ValueError:
        return False


def chosen_symbols(listing: Any, tickers: Any) -> tuple[str, ...]:
    """Return a liquid, a quiet and a non-ASCII perpetual that trade, as far as there are such.

    `listing` is the body of exchangeInfo, `tickers` that of ticker/24hr, or None. The quiet one is not the least of
    all, which may not trade for hours, but that at a tenth of the list by turnover.
    """
    names = [
        one["symbol"] for one in listing["symbols"] if one["status"] == "TRADING" and one["contractType"] == "PERPETUAL"
    ]
    turnover = {one["symbol"]: float(one.get("quoteVolume", 0)) for one in tickers or []}
    by_turnover = sorted((name for name in names if name.isascii()), key=lambda name: turnover.get(name, 0.0))
    strange = sorted((name for name in names if not name.isascii()), key=lambda name: -turnover.get(name, 0.0))
    liquid = "BTCUSDT" if "BTCUSDT" in names or not by_turnover else by_turnover[-1]
    quiet = (
        [name for name in by_turnover if name != liquid]
        if turnover
        else [n for n in names if n.isascii() and n != liquid][::-1]
    )
    return tuple(dict.fromkeys([liquid, *quiet[len(quiet) // 10 :][:1], *strange[:1]]))


def newest_before(events: Sequence[tuple[int, Mapping[str, Any]]], recv_ns: int, key: str) -> int | None:
    """Return the largest value of a key among events that were received before a time; None where there are none."""
    return max((event[key] for at_ns, event in events if at_ns < recv_ns), default=None)
