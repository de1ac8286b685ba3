"""The streams of one symbol: their names at the exchange, and our words for them.

In: a symbol and a suffix, or a full name. Out: `Stream`, or `ExchangeError` that lists the suffixes there are.
"""

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from binance_streamer.exchange.messages import INTERVAL_MS, ExchangeError
from binance_streamer.exchange.rest_series import REST_SERIES, series_from_name
from binance_streamer.exchange.stream_types import (
    CONTRACTS,
    INTERVALS,
    KNOWN_SUFFIXES,
    STREAM_TYPES,
    Continuity,
    StreamType,
    file_stem,
    stream_type_of,
)

_CONTRACT = re.compile(f"_({CONTRACTS})$")
_LOWER = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")
UPPER = str.maketrans("abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
"""Only ASCII letters change their case, as at the exchange, which lists symbols like 币安人生USDT."""


MOST_STREAMS = 200
"""On one connection. The exchange allows 1,024 in its newest documentation and 200 in older ones; 200 costs little
(docs/exchange.md §3)."""


class Stream(NamedTuple):
    """One stream of one symbol: its full name at the exchange, and our words for it.

    `symbol` is in upper case, `name` in lower case for ASCII letters. `variant` tells streams of one type apart (`0ms`,
    `1m`), `route` is the path of the websocket host that carries it (docs/exchange.md §1.1). `of_all` is the stream of
    all symbols together by which its messages come (`!markPrice@arr@1s`); empty: by its own.
    """

    name: str
    symbol: str
    stream_type: str
    variant: str
    route: str
    of_all: str = ""

    @property
    def subscribed(self) -> str:
        """The name that is subscribed to: its own, or that of the stream of all symbols."""
        return self.of_all or self.name

    @property
    def type(self) -> StreamType:
        """The record of its stream type: how its messages are read, proven and written."""
        return STREAM_TYPES[self.stream_type]


OF_ALL: Mapping[str, str] = {
    "!forceOrder@arr": "forceOrder",
    "!markPrice@arr": "markPrice",
    "!markPrice@arr@1s": "markPrice@1s",
    "!miniTicker@arr": "miniTicker",
    "!ticker@arr": "ticker",
    "!bookTicker": "bookTicker",
}
"""Streams of all symbols together, with the suffix of a symbol's own stream whose messages they bring: one each, or
several as a list (docs/exchange.md §2.11)."""


def stream_of(symbol: str, suffix: str) -> Stream:
    """Return the stream that a configuration names by symbol and suffix (`depth@0ms`).

    One of all symbols together (`!markPrice@arr@1s`) gives the symbol's own, which comes by it. Raises `ExchangeError`
    where there is none.
    """
    if suffix in OF_ALL:
        return stream_of(symbol, OF_ALL[suffix])._replace(of_all=suffix)
    if suffix.startswith("!"):
        raise ExchangeError(f"stream {suffix!r}: expected one of {', '.join(OF_ALL)}, at a group; or name symbols")
    found = stream_type_of(suffix)
    if found is None:
        raise ExchangeError(f"stream {suffix!r}: expected one of {KNOWN_SUFFIXES}; intervals {', '.join(INTERVALS)}")
    stream_type, variant = found
    name = f"{symbol.translate(_LOWER)}{stream_type.separator}{suffix}"
    return Stream(name, symbol, stream_type.name, variant, stream_type.route)


def route_with_room(stream: Stream, taken: Iterable[tuple[str, str]]) -> str:
    """Return the route that has this stream's subscription already, else the first of its path that has room for one.

    `taken` are routes and what is subscribed to on them. The first route of `market` is `market` itself, the next ones
    `market-1`, `market-2`, …
    """
    routes = {name: route for route, name in taken}
    if stream.subscribed in routes:
        return routes[stream.subscribed]
    counts = Counter(routes.values())
    for number in itertools.count():
        route = f"{stream.route}-{number}" if number else stream.route
        if counts.get(route, 0) < MOST_STREAMS:
            break
    return route


def routes_needed(streams: Iterable[Stream]) -> int:
    """Return the number of routes that carry these streams, of each path as few as have room for them."""
    by_path = Counter(route for route, _ in {(stream.route, stream.subscribed) for stream in streams})
    return sum(-(-count // MOST_STREAMS) for count in by_path.values())


def path_of_route(route: str) -> str:
    """Return the path of the websocket to which the connections of a route go: `market` of `market-1`."""
    return route.partition("-")[0]


def stream_from_name(name: str) -> Stream:
    """Return the stream of a full name (`btcusdt@depth@0ms`), as messages carry it; raises `ExchangeError`."""
    if name.startswith("!"):
        raise ExchangeError(f"stream {name!r}: it is of all symbols together, and has no rows of its own")
    lower, suffix = _split(name)
    return stream_of(lower.translate(UPPER), suffix)


def stem_of_stream(name: str) -> str:
    """Return the stem of the files of a stream or series, by its full name; raise `ExchangeError` for others."""
    if series := series_from_name(name):
        return file_stem(series[0].name, series[1])
    stream = stream_from_name(name)
    return file_stem(stream.stream_type, stream.variant)


def suffix_of(name: str) -> str:
    """Return the suffix of a full name, as a configuration has it (`depth@0ms`); another name as it is."""
    return _split(name)[1] or name


def stream_variant(stream_type: str, name: str) -> str:
    """Return the variant in a full stream name, empty for other REST answers and for names that are not the exchange's.

    That of a series is the length of its buckets.
    """
    if stream_type in REST_SERIES:
        found = series_from_name(name)
        return found[1] if found else ""
    if stream_type not in STREAM_TYPES:
        return ""
    try:
        return stream_from_name(name).variant
    except ExchangeError:
        return ""


def interval_ms(stream: Stream) -> int | None:
    """Return the length of a kline stream's bars in ms; None of other streams, and of months, which differ."""
    if stream.type.continuity is not Continuity.KLINES:
        return None
    return INTERVAL_MS.get(stream.variant.rpartition("_")[2])


def missing_count(stream: Stream, from_id: int, to_id: int) -> int | None:
    """Count the messages in (from_id, to_id]; None where ids do not count messages: those of the order book do not.

    For klines both ids are opening times in ms, and the count is that of the bars between.
    """
    if stream.type.has_consecutive_ids:
        return max(0, to_id - from_id)
    step_ms = interval_ms(stream)
    return max(0, to_id - from_id) // step_ms if step_ms else None


def missing_messages(name: str, from_id: int | None, to_id: int | None) -> int | None:
    """Count the messages of a stream in (from_id, to_id]: the one count of every gap, wherever it is shown.

    None where ids do not count messages, are not known or went back, and of names that are not the exchange's.
    """
    if from_id is None or to_id is None or from_id > to_id:
        return None
    if series := series_from_name(name):
        period_ms = series[0].period_ms(series[1])
        return (to_id - from_id) // period_ms if period_ms else None
    try:
        return missing_count(stream_from_name(name), from_id, to_id)
    except ExchangeError:
        return None


def _split(name: str) -> tuple[str, str]:
    """Return symbol in lower case and suffix; in continuous klines the contract belongs to the suffix."""
    lower, _, suffix = name.partition("@")
    contract = _CONTRACT.search(lower) if suffix.startswith("continuousKline_") else None
    return (lower[: contract.start()], f"{contract[1]}@{suffix}") if contract else (lower, suffix)
