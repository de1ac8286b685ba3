"""Rows that REST has of a stream: the elements of an answer, and the ids that they cover.

In: the body of an answer. Out: rows in the order of their ids, each byte for byte, and elements that are no rows. REST
answers lack the event type, the symbol and the event time, and a kline is an array (docs/exchange.md §4).
"""

from typing import NamedTuple

import msgspec

from binance_streamer.exchange.messages import INTERVAL_MS, ExchangeError
from binance_streamer.exchange.streams import Stream

MOST_AGG_TRADES = 1000
"""Of one answer; its weight is 20, however few are asked for."""
MOST_KLINES = 499
"""So many that an answer's weight is 2; up to 1500 there are for 10."""
KEPT_MS = 48 * 3_600_000
SURELY_KEPT_MS = 24 * 3_600_000
"""Aggregates of the last 48 hours, the exchange said in August 2026; of the last 24, it had said in May."""

_MOST_ID = 2**53
"""Ids above are not exact in the doubles of other clients; the largest seen is 1.2e13."""


class RestRow(NamedTuple):
    """One element of an answer, byte for byte; it covers the ids in (previous_id, last_id]."""

    previous_id: int
    last_id: int
    event: bytes


class OddElement(NamedTuple):
    """An element that is not understood, byte for byte, and why; `has_id`: another one had its id before."""

    raw: bytes
    why: str
    has_id: bool = False


class RestPage(NamedTuple):
    """One answer: its rows in the order of their ids, and the elements that are not understood, in its own order."""

    rows: list[RestRow]
    odd: list[OddElement]


class _RestAggregate(msgspec.Struct):
    a: int


_decode_elements = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_aggregate = msgspec.json.Decoder(_RestAggregate).decode


def step_of(stream: Stream) -> int:
    """Return the distance between the ids of neighbouring rows: 1, or the interval of a kline in ms.

    Raises `ExchangeError` for streams of which REST has no rows by id.
    """
    if stream.stream_type == "aggtrade":
        return 1
    interval_ms = INTERVAL_MS.get(stream.variant)
    if stream.stream_type != "kline" or interval_ms is None:
        raise ExchangeError(f"stream {stream.name!r}: REST has no rows of it by id")
    return interval_ms


def span_of(stream: Stream) -> int:
    """Return the number of ids that one answer can cover; for klines these are milliseconds."""
    return step_of(stream) * (MOST_AGG_TRADES if stream.stream_type == "aggtrade" else MOST_KLINES)


def rest_page(stream: Stream, body: bytes) -> RestPage:
    """Return the rows of an answer in the order of their ids, each id once, and the elements that are no rows.

    Raises `ExchangeError` where the body is no array, or nothing of it is understood. An empty array is no error: REST
    has nothing there. Of two different elements with the same id the first is the row, the other one is odd.
    """
    try:
        elements = [bytes(element) for element in _decode_elements(body)]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ExchangeError(f"expected an array of {stream.stream_type}: {error}") from error
    rows: dict[int, RestRow] = {}
    odd = []
    for element in elements:
        try:
            row = rest_row(stream, element)
        except ExchangeError as error:
            odd.append(OddElement(element, str(error)))
            continue
        if rows.setdefault(row.last_id, row).event != element:
            odd.append(OddElement(element, f"expected each id once, got {row.last_id} twice", has_id=True))
    if odd and not rows:
        raise ExchangeError(odd[0].why)
    return RestPage([rows[last_id] for last_id in sorted(rows)], odd)


def rest_row(stream: Stream, event: bytes) -> RestRow:
    """Return one element with its ids; `ExchangeError` where it has none, or an implausible one."""
    try:
        last_id = _decode_aggregate(event).a if stream.stream_type == "aggtrade" else int(_decode_elements(event)[0])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError, IndexError) as error:
        raise ExchangeError(f"expected a row of {stream.stream_type}: {error}") from error
    if not 0 <= last_id <= _MOST_ID:
        raise ExchangeError(f"expected an id up to 2**53, got {last_id!r:.40}")
    return RestRow(last_id - step_of(stream), last_id, event)
