"""The order book of a symbol at an instant. Needs the extra `days`."""

from typing import Annotated

import msgspec
import polars as pl

from binance_streamer.days import RecordedBook, Recording
from binance_streamer.days.reading.location import Location
from services.monitor.reader.answers import ApiAnswer, as_json, asked
from services.monitor.reader.rows import instant_ns, refusing_faults

MOST_LEVELS = 5000


class _BookQuestion(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    symbol: str
    at: str
    depth: Annotated[int, msgspec.Meta(ge=1, le=MOST_LEVELS)] = 20
    stem: str = ""


class BookText(msgspec.Struct, frozen=True, kw_only=True):
    """A `RecordedBook` as text: levels are [price, quantity] with eight places, best first."""

    symbol: str
    ns: int
    why: str
    update_id: int | None
    recv_ns: int | None
    bids: list[tuple[str, str]]
    asks: list[tuple[str, str]]
    bids_known_to: str | None
    asks_known_to: str | None
    unknown_from_ns: int | None
    unknown_to_ns: int | None


def book(query: str, location: Location) -> ApiAnswer:
    """Return the book of a symbol at an instant, its best levels; one that is not known says why."""
    wanted = asked(_BookQuestion, query)
    ns = instant_ns(wanted.at)
    recording = Recording(location)
    with refusing_faults(recording, wanted.symbol):
        found = recording.book_at(wanted.symbol, ns, stem=wanted.stem)
    return as_json(_text(found, wanted.depth))


def _text(found: RecordedBook, depth: int) -> BookText:
    return BookText(
        symbol=found.symbol,
        ns=found.ns,
        why=found.why,
        update_id=found.update_id,
        recv_ns=found.recv_ns,
        bids=_levels(found.bids, depth),
        asks=_levels(found.asks, depth),
        bids_known_to=None if found.bids_known_to is None else str(found.bids_known_to),
        asks_known_to=None if found.asks_known_to is None else str(found.asks_known_to),
        unknown_from_ns=found.unknown_from_ns,
        unknown_to_ns=found.unknown_to_ns,
    )


def _levels(side: pl.DataFrame, depth: int) -> list[tuple[str, str]]:
    return [(str(price), str(quantity)) for price, quantity in side.head(depth).iter_rows()]
