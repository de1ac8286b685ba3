"""Names of streams, and the path of the websocket that delivers each one (docs/exchange.md §1.1)."""

import string
from enum import Enum

_TO_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


class Route(Enum):
    """The path that a connection was opened on."""

    PUBLIC = "public"
    MARKET = "market"
    LEGACY = ""  # unrouted /ws and /stream: since 2026-04-23 only public streams arrive there


_PUBLIC_FAMILIES = frozenset({"bookTicker", "depth", "depth5", "depth10", "depth20", "rpiDepth", "trade"})


def stream_name(symbol: str, suffix: str) -> str:
    """Return `btcusdt@depth@0ms`; only ASCII is lower-cased: 币安人生USDT becomes 币安人生usdt."""
    return f"{symbol.translate(_TO_LOWER)}@{suffix}"


def family_of(suffix: str) -> str:
    """Return the kind of a stream without its speed or interval: depth@0ms is depth, kline_1m is kline."""
    return suffix.partition("@")[0].partition("_")[0]


def delivers(route: Route, name: str) -> bool:
    """Return True if a stream flows on a path; on any other it is acknowledged and silent for ever."""
    suffix = name[1:] if name.startswith("!") else name.partition("@")[2]
    is_public = family_of(suffix) in _PUBLIC_FAMILIES
    return is_public if route is not Route.MARKET else not is_public
