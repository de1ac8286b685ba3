"""Messages of the order book, decoded: depth updates, depth snapshots, best quotes (docs/exchange.md §2 and §5).

In: JSON as the exchange sent it. Out: structs with our names, or `ExchangeError`. Beside `messages` and `rows` this
module knows Binance's letters, for those who need the levels and not only the ids.
"""

import re
from collections.abc import Iterable
from typing import Annotated

import msgspec

from binance_streamer.exchange.messages import ExchangeError

Level = tuple[str, str]
"""Price and quantity, in the exchange's digits."""

_Id = Annotated[int, msgspec.Meta(ge=-1, le=2**62)]
"""A snapshot of a symbol that has not traded yet can have the id -1."""
_ERRORS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""All that a JSON decoder raises: also for bytes that are no UTF-8, and for brackets nested too deep."""
_is_number = re.compile(r"(?:0|[1-9][0-9]{0,19})(?:\.[0-9]{1,19})?").fullmatch
_OF_LEVELS = b'0123456789.,"[]'
"""The only characters that levels have in the exchange's notation: no sign, no exponent, no space."""
_levels = msgspec.json.Decoder(list[Level]).decode


class DepthUpdate(msgspec.Struct, frozen=True, gc=False, tag_field="e", tag="depthUpdate"):
    """Changed levels, in the half-open range (prev_final_update_id, final_update_id] of update ids.

    The chain holds per stream and speed (docs/exchange.md §2.2); `U` is not decoded, since ids are sparse and it names
    no update (§5.1). The levels are left as JSON: an update that waits in a buffer is no larger than its bytes.
    """

    symbol: str = msgspec.field(name="s")
    event_time_ms: _Id = msgspec.field(name="E")
    transact_time_ms: _Id = msgspec.field(name="T")
    final_update_id: _Id = msgspec.field(name="u")
    prev_final_update_id: _Id = msgspec.field(name="pu")
    bids_json: msgspec.Raw = msgspec.field(name="b")
    asks_json: msgspec.Raw = msgspec.field(name="a")

    def levels(self) -> tuple[list[Level], list[Level]]:
        """Return changed bids and asks; quantities are absolute, zero removes a level.

        Raises `ExchangeError` where they are no levels. Each call decodes again, so keep the result.
        """
        return _read_levels(self.bids_json), _read_levels(self.asks_json)


class DepthSnapshot(msgspec.Struct, frozen=True, gc=False):
    """The best levels of each side (REST gives up to 1000), best first, as of `last_update_id`.

    It has no symbol: the request alone says of which symbol it is (docs/exchange.md §4). Times are 0 where they are
    missing.
    """

    last_update_id: _Id = msgspec.field(name="lastUpdateId")
    bids: list[Level]
    asks: list[Level]
    event_time_ms: _Id = msgspec.field(name="E", default=0)
    transact_time_ms: _Id = msgspec.field(name="T", default=0)


class BestQuote(msgspec.Struct, frozen=True, gc=False, tag_field="e", tag="bookTicker"):
    """Best bid and ask after the update `update_id`, which counts in the same ids as depth updates."""

    symbol: str = msgspec.field(name="s")
    update_id: _Id = msgspec.field(name="u")
    bid_price: str = msgspec.field(name="b")
    bid_quantity: str = msgspec.field(name="B")
    ask_price: str = msgspec.field(name="a")
    ask_quantity: str = msgspec.field(name="A")


_decode_update = msgspec.json.Decoder(DepthUpdate).decode
_decode_snapshot = msgspec.json.Decoder(DepthSnapshot).decode
_decode_quote = msgspec.json.Decoder(BestQuote).decode


def _read_levels(json: msgspec.Raw) -> list[Level]:
    """Return the levels in a list as JSON, checked to be decimal numbers.

    The usual characters are looked for in the bytes as a whole, in C; levels are checked one by one only where another
    character occurs. This runs for each update of each book.
    """
    try:
        levels = _levels(json)
    except _ERRORS as error:
        raise ExchangeError(f"expected a list of [price, quantity]: {error}") from error
    if bytes(json).translate(None, _OF_LEVELS):  # a number in another notation; looking at each costs a lot more
        _check(levels)
    return levels


def _check(levels: Iterable[Level]) -> None:
    """Raise `ExchangeError` at the first level that is not two decimal numbers without sign and exponent."""
    for price, quantity in levels:
        if not (_is_number(price) and _is_number(quantity)):
            raise ExchangeError(f"expected levels of decimal numbers, got {price!r:.60}, {quantity!r:.60}")


def read_update(event: bytes) -> DepthUpdate:
    """Return the depth update in the exchange's JSON; `ExchangeError` where it is none."""
    try:
        return _decode_update(event)
    except _ERRORS as error:
        raise ExchangeError(f"expected a depth update: {error}") from error


def read_snapshot(body: bytes) -> DepthSnapshot:
    """Return the answer of `/fapi/v1/depth`, its levels checked; `ExchangeError` where it is none."""
    try:
        snapshot = _decode_snapshot(body)
    except _ERRORS as error:
        raise ExchangeError(f"expected a depth snapshot: {error}") from error
    _check(snapshot.bids)
    _check(snapshot.asks)
    return snapshot


def read_quote(event: bytes) -> BestQuote:
    """Return the bookTicker in the exchange's JSON; `ExchangeError` where it is none."""
    try:
        return _decode_quote(event)
    except _ERRORS as error:
        raise ExchangeError(f"expected a bookTicker: {error}") from error
