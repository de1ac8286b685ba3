"""Series that clients poll: bodies of their endpoints, made up from symbol and time, so that the truth is known.

Answers follow the exchange's documentation (docs/exchange.md §4.1). Where that says nothing this is strict: a time
older than what is kept is refused, and of a window with more rows than the limit the newest ones are returned.
"""

import zlib
from collections.abc import Callable, Mapping
from typing import Any

from simulator.market.bars import INTERVALS_MS
from simulator.rest.parameters import RestError, integer, not_valid
from simulator.server.http import compact_json

_DAY_MS = 86_400_000
KEPT_MS = 30 * _DAY_MS
"""Of the statistics of /futures/data."""
PUBLISHED_MS = 5_000
"""A bucket is there so long after the time that names it."""
FUNDING_MS = 8 * 3_600_000
PERIODS_MS = {name: INTERVALS_MS[name] for name in ("5m", "15m", "30m", "1h", "2h", "4h", "6h", "12h", "1d")}
WEIGHTS = {
    "/fapi/v1/openInterest": (1, 1),
    "/fapi/v1/premiumIndex": (1, 10),
    "/fapi/v1/ticker/24hr": (1, 40),
    "/fapi/v1/fundingRate": (0, 0),
    "/fapi/v1/fundingInfo": (0, 0),
    "/fapi/v1/constituents": (2, 2),
    "/fapi/v1/insuranceBalance": (1, 1),
    "/futures/data/globalLongShortAccountRatio": (0, 0),
    "/futures/data/topLongShortAccountRatio": (0, 0),
    "/futures/data/topLongShortPositionRatio": (0, 0),
    "/futures/data/takerlongshortRatio": (0, 0),
    "/futures/data/openInterestHist": (0, 0),
}
"""Weight of a request with a symbol, and without."""
_WITHOUT_SYMBOL = frozenset({"/fapi/v1/fundingInfo"})
"""Served for all symbols at once only. Tickers are too; what others say without a symbol this simulator lacks."""


class PolledEndpoints:
    """The endpoints of polled series.

    Values depend on symbol and time alone, so that a test can make the whole truth without asking; what changes
    seldom at the exchange changes here when somebody sets it.
    """

    def __init__(self, check_symbol: Callable[[Mapping[str, str]], str], symbols: Callable[[], list[str]]) -> None:
        """`check_symbol` returns the symbol of a request or raises; `symbols` are all that the exchange lists."""
        self._check_symbol = check_symbol
        self._symbols = symbols
        self.unserved: set[tuple[str, str]] = set()
        """Endpoints and symbols that are refused (-1121), although the symbol is listed."""
        self.funding_hours: dict[str, int] = {}
        """Hours between two settlements in fundingInfo; 8 where a symbol is not here."""
        self.constituents: dict[str, tuple[str, ...]] = {}
        """Exchanges in the index of a symbol; three where a symbol is not here."""

    def body(self, path: str, parameters: Mapping[str, str], now_ms: int) -> bytes | None:
        """Return the answer; None for a path that is none of these.

        Raises `RestError` for wrong parameters and for a symbol that is not served.
        """
        if path not in WEIGHTS:
            return None
        if path in _WITHOUT_SYMBOL:
            return _json([self._funding_info(symbol) for symbol in self._symbols()])
        if path == "/fapi/v1/ticker/24hr" and "symbol" not in parameters:
            return _json([self._moment(path, symbol, now_ms) for symbol in self._symbols()])
        symbol = self._check_symbol(parameters)
        if (path.rpartition("/")[2], symbol) in self.unserved:
            raise RestError(-1121, "Invalid symbol.")
        if path.startswith("/futures/data/"):
            return _json(_buckets(path, symbol, parameters, now_ms))
        if path == "/fapi/v1/fundingRate":
            return _json(_funding_rates(symbol, parameters, now_ms))
        return _json(self._moment(path, symbol, now_ms))

    def _funding_info(self, symbol: str) -> dict[str, Any]:
        return {
            "symbol": symbol,
            "adjustedFundingRateCap": "0.02000000",
            "adjustedFundingRateFloor": "-0.02000000",
            "fundingIntervalHours": self.funding_hours.get(symbol, 8),
            "disclaimer": False,
            "updateTime": 1_744_070_609_229,
        }

    def _moment(self, path: str, symbol: str, now_ms: int) -> dict[str, Any]:
        """Return what such an endpoint says of this moment."""
        price = f"{1000 + number_of(symbol, now_ms) % 1000}.10"
        if path == "/fapi/v1/openInterest":
            return {"openInterest": "10659.509", "symbol": symbol, "time": now_ms}
        if path == "/fapi/v1/premiumIndex":
            return {
                "symbol": symbol,
                "markPrice": price,
                "indexPrice": price,
                "estimatedSettlePrice": price,
                "lastFundingRate": "0.00010000",
                "interestRate": "0.00010000",
                "nextFundingTime": (now_ms // FUNDING_MS + 1) * FUNDING_MS,
                "time": now_ms,
            }
        if path == "/fapi/v1/ticker/24hr":
            prices = ("priceChange", "priceChangePercent", "weightedAvgPrice", "lastPrice")
            levels = ("openPrice", "highPrice", "lowPrice")
            return {
                "symbol": symbol,
                **dict.fromkeys(prices, price),
                "lastQty": "0.010",
                **dict.fromkeys(levels, price),
                "volume": "1000.000",
                "quoteVolume": f"{number_of(symbol, 0)}.00",
                "openTime": now_ms - _DAY_MS,
                "closeTime": now_ms,
                "firstId": 1,
                "lastId": 1000,
                "count": 1000,
            }
        if path == "/fapi/v1/constituents":
            exchanges = self.constituents.get(symbol, ("binance", "coinbase", "okex"))
            parts = [{"exchange": one, "symbol": symbol, "price": price, "weight": "0.33333333"} for one in exchanges]
            return {"symbol": symbol, "time": now_ms, "constituents": parts}
        asset = {"asset": "USDT", "marginBalance": "793930579.315848", "updateTime": now_ms // 3_600_000 * 3_600_000}
        return {"symbols": [symbol], "assets": [asset]}


def number_of(symbol: str, time_ms: int) -> int:
    """Return the number that all made-up values of a symbol and a time are taken from."""
    return zlib.crc32(f"{symbol} {time_ms}".encode())


def bucket(path: str, symbol: str, time_ms: int) -> dict[str, Any]:
    """Return one bucket of the statistics."""
    number = number_of(symbol, time_ms)
    ratio, one, other = f"{number % 30_000 / 10_000:.4f}", f"0.{number % 10_000:04}", f"0.{9999 - number % 10_000:04}"
    if path.endswith("takerlongshortRatio"):
        return {"buySellRatio": ratio, "buyVol": f"{number % 10**6}.3300", "sellVol": "248.5030", "timestamp": time_ms}
    if path.endswith("openInterestHist"):
        value = f"{number}.00000000"
        return {"symbol": symbol, "sumOpenInterest": value, "sumOpenInterestValue": value, "timestamp": time_ms}
    return {"symbol": symbol, "longShortRatio": ratio, "longAccount": one, "shortAccount": other, "timestamp": time_ms}


def _buckets(path: str, symbol: str, parameters: Mapping[str, str], now_ms: int) -> list[dict[str, Any]]:
    """Return the buckets of a window, the oldest first; of too many the newest, which loses a careless client some."""
    period_ms = PERIODS_MS.get(parameters.get("period", ""))
    if period_ms is None:
        raise not_valid("period")
    limit = _integer_or(parameters, "limit", 30)
    if not 1 <= limit <= 500:
        raise not_valid("limit")
    newest_ms = (now_ms - PUBLISHED_MS) // period_ms * period_ms
    end_ms = min(_integer_or(parameters, "endTime", newest_ms), newest_ms) // period_ms * period_ms
    start_ms = _integer_or(parameters, "startTime", end_ms - (limit - 1) * period_ms)
    if start_ms < now_ms - KEPT_MS:
        raise not_valid("startTime")
    first_ms = -(-start_ms // period_ms) * period_ms
    times = range(first_ms, end_ms + 1, period_ms)
    return [bucket(path, symbol, time_ms) for time_ms in times[-limit:]]


def _funding_rates(symbol: str, parameters: Mapping[str, str], now_ms: int) -> list[dict[str, Any]]:
    """Return settled rates, one every eight hours, from the start of the window on; of too many the oldest."""
    limit = _integer_or(parameters, "limit", 100)
    if not 1 <= limit <= 1000:
        raise not_valid("limit")
    end_ms = min(_integer_or(parameters, "endTime", now_ms), now_ms) // FUNDING_MS * FUNDING_MS
    start_ms = _integer_or(parameters, "startTime", end_ms - (limit - 1) * FUNDING_MS)
    times = range(-(-start_ms // FUNDING_MS) * FUNDING_MS, end_ms + 1, FUNDING_MS)
    rate = {"symbol": symbol, "fundingRate": "0.00010000", "markPrice": "34287.54619963", "rateType": "NORMAL"}
    return [{**rate, "fundingTime": time_ms} for time_ms in times[:limit]]


def _integer_or(parameters: Mapping[str, str], key: str, default: int) -> int:
    value = integer(parameters, key)
    return default if value is None else value


def _json(value: object) -> bytes:
    return compact_json(value).encode()
