"""Depth updates and snapshots written by hand: `update("7>9", bids="100.1x2 100x0")`."""

import json
from collections.abc import Iterable

from binance_streamer.exchange.depth import (
    BestQuote,
    DepthSnapshot,
    DepthUpdate,
    Level,
    read_quote,
    read_snapshot,
    read_update,
)


def pairs(text: str) -> list[Level]:
    """`"100.1x2 100x0"` → [("100.1", "2"), ("100", "0")]"""
    found = (word.split("x") for word in text.split())
    return [(price, quantity) for price, quantity in found]


def update(
    ids: str,
    *,
    bids: str | Iterable[Level] = "",
    asks: str | Iterable[Level] = "",
    at_ms: int = 0,
    event_ms: int | None = None,
) -> DepthUpdate:
    """An update that hangs on the first id and ends at the second, as the exchange spells it.

    It happened at `at_ms` (`T`), and was sent then too unless `event_ms` (`E`) says otherwise.
    """
    previous, final = map(int, ids.split(">"))
    event = {
        "e": "depthUpdate",
        "E": at_ms if event_ms is None else event_ms,
        "T": at_ms,
        "s": "BTCUSDT",
        "ps": "BTCUSDT",
        "U": previous + 2,
        "u": final,
        "pu": previous,
        "b": pairs(bids) if isinstance(bids, str) else list(bids),
        "a": pairs(asks) if isinstance(asks, str) else list(asks),
        "st": 1,
    }
    return read_update(json.dumps(event).encode())


def snapshot(
    last_update_id: int, *, bids: str | Iterable[Level] = "", asks: str | Iterable[Level] = ""
) -> DepthSnapshot:
    """A REST answer."""
    body = {
        "lastUpdateId": last_update_id,
        "E": 0,
        "T": 0,
        "bids": pairs(bids) if isinstance(bids, str) else list(bids),
        "asks": pairs(asks) if isinstance(asks, str) else list(asks),
    }
    return read_snapshot(json.dumps(body).encode())


def quote(update_id: int, *, bid: str, ask: str) -> BestQuote:
    """A bookTicker: `bid="100.1x2"`."""
    (bid_level,), (ask_level,) = pairs(bid), pairs(ask)
    event = {"e": "bookTicker", "u": update_id, "s": "BTCUSDT", "b": bid_level[0], "B": bid_level[1]}
    return read_quote(json.dumps(event | {"a": ask_level[0], "A": ask_level[1], "T": 0, "E": 0}).encode())
