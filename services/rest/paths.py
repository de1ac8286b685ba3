"""Paths and weights of the requests that we make. Weights: docs/exchange.md §4, read 2026-11-22."""

from typing import NamedTuple
from urllib.parse import quote

from binance_streamer.exchange.rest import MOST_AGG_TRADES, span_of, step_of
from services.rest.schedule.backfill_queue import MissingRows
from services.rest.schedule.pacing import HEAVY_WEIGHT

_CHEAP_KLINES = 100
"""A page of fewer klines than that has weight 1, up to 499 of them 2."""


class Path(NamedTuple):
    """Path and query of a GET, and its weight."""

    text: str
    weight: int


TIME = Path("/fapi/v1/time", 1)
EXCHANGE_INFO = Path("/fapi/v1/exchangeInfo", 1)
TRADING_SCHEDULE = Path("/fapi/v1/tradingSchedule", 5)
TURNOVERS = Path("/fapi/v1/ticker/24hr", 40)


def depth_path(symbol: str) -> Path:
    """Return the path of a depth snapshot of 1000 levels a side, the most that there are; its frames carry the text."""
    return Path(f"/fapi/v1/depth?symbol={quote(symbol, safe='')}&limit=1000", HEAVY_WEIGHT)


def backfill_path(missing: MissingRows) -> Path:
    """Return the path of the first page of missing rows: at most 1000 aggregates, or 499 klines.

    Aggregates are asked for by id, or by time where the exchange has the first ids no more. Klines have no id: theirs
    is the time at which they end, `from_id` the end of the last one that we have.
    """
    stream = missing.stream
    symbol = quote(stream.symbol, safe="")
    step = step_of(stream)
    count = (min(missing.to_id, missing.from_id + span_of(stream)) - missing.from_id) // step
    if stream.stream_type == "kline":
        times = f"startTime={missing.from_id + step}&endTime={missing.to_id}&limit={max(1, count)}"
        query = f"interval={stream.variant}&{times}"
        return Path(f"/fapi/v1/klines?symbol={symbol}&{query}", 1 if count < _CHEAP_KLINES else 2)
    query = f"fromId={missing.from_id + 1}&limit={count}"
    if missing.since_ms is not None:
        query = f"startTime={missing.since_ms}&limit={MOST_AGG_TRADES}"
    return Path(f"/fapi/v1/aggTrades?symbol={symbol}&{query}", HEAVY_WEIGHT)
