"""The books that recorded markets lead to: every level after every update, and the tops that bookTicker saw."""

import gzip
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import unquote

import pytest

from binance_streamer.exchange.depth import DepthSnapshot, DepthUpdate, read_quote, read_snapshot, read_update
from binance_streamer.exchange.streams import stream_from_name
from services.orderbook.book.book import OrderBook
from services.orderbook.book.quotes import TopComparison, TopDifference
from services.orderbook.book.sequence import BookSequence, SyncState
from services.orderbook.book.side import Side
from tests.support.books import GoldenBook
from tests.support.data import Captured, captured, golden, market_data

OWN = Path(__file__).parent / "own"


def levels_of(side: Side) -> Iterator[tuple[Decimal, Decimal]]:
    return ((Decimal(price), Decimal(quantity)) for price, quantity in side.levels())


class WatchedBook(OrderBook):
    """Digests what it has, after every update."""

    def load(self, snapshot: DepthSnapshot) -> None:
        super().load(snapshot)
        self.digests = GoldenBook(self.update_id, levels_of(self.bids), levels_of(self.asks))

    def apply(self, update: DepthUpdate) -> None:
        super().apply(update)
        changed = zip((self.bids, self.asks), update.levels(), strict=True)
        bids, asks = (
            [(Decimal(price), Decimal(side.quantity(price) or 0)) for price, _ in levels] for side, levels in changed
        )
        self.digests.update(update.final_update_id, bids, asks)
        assert self.best_bid is not None
        assert self.best_ask is not None
        assert Decimal(self.best_bid[0]) < Decimal(self.best_ask[0])


class Followed:
    """The book of one symbol, fed from a capture."""

    def __init__(self) -> None:
        self.sequence = BookSequence(retry_s=5.0, rng=Random(1))
        self.book = self.sequence.book = WatchedBook()
        self.tops = TopComparison()
        self.differences: list[TopDifference] = []
        self.quoted: list[int] = []
        self.synced_at: set[int] = set()

    def take(self, message: Captured) -> None:
        now_s = message.recv_ns / 1e9
        if "bookTicker" in message.name:
            quote = read_quote(message.event)
            self.quoted.append(quote.update_id)
            self.note(self.tops.take_quote(quote))
        elif "depth?" in message.name:
            self.sequence.take_snapshot(read_snapshot(message.event), now_s)
        else:
            self.sequence.take_update(read_update(message.event), now_s)
            if self.sequence.state is SyncState.VALID:
                self.synced_at.add(self.book.update_id)
                self.note(self.tops.take_book(self.book))

    def note(self, difference: TopDifference | None) -> None:
        if difference is not None:
            self.differences.append(difference)


def symbol_of(message: Captured) -> str | None:
    if message.name.startswith("/fapi/v1/depth?"):
        return unquote(message.name.partition("symbol=")[2].partition("&")[0])
    is_ours = "@depth" in message.name or "@bookTicker" in message.name
    return stream_from_name(message.name).symbol if is_ours else None


def follow(capture: Path) -> dict[str, Followed]:
    followed: dict[str, Followed] = {}
    for message in captured(capture):
        symbol = symbol_of(message)
        if symbol is not None:
            followed.setdefault(symbol, Followed()).take(message)
    return followed


def check_books(capture: Path, expected: dict[str, Any]) -> dict[str, int]:
    """Returns how many tops were compared, per symbol."""
    followed = follow(capture)
    assert expected
    for symbol, values in expected.items():
        found, book = followed[symbol], followed[symbol].book
        assert (found.sequence.is_valid, found.sequence.resyncs, found.sequence.repeats) == (True, 0, 0), symbol
        assert found.sequence.updates == values["updates_applied"], symbol
        assert book.counts == (values["bid_levels"], values["ask_levels"]), symbol
        assert book.digests.chain_digest == values["chain_digest"], symbol
        assert book.digests.final_book == values["final_book"], symbol
        assert GoldenBook(0, levels_of(book.bids), levels_of(book.asks)).final_book == values["final_book"], symbol
        book.check()
        assert found.differences == [], symbol
        assert found.tops.compared == sum(update_id in found.synced_at for update_id in found.quoted), symbol
    return {symbol: followed[symbol].tops.compared for symbol in expected}


def test_our_own_recording_leads_to_its_books(tmp_path: Path) -> None:
    capture = tmp_path / "own.gz"
    capture.write_bytes(gzip.compress((OWN / "messages.txt").read_bytes()))
    compared = check_books(capture, golden(OWN)["books"])
    assert compared == {"BTCUSDT": 0, "币安人生USDT": 0}


@pytest.mark.parametrize(
    ("folder", "tops"),
    [
        ("usdm-4sym-20210722", {"SUSHIUSDT": 12, "AKROUSDT": 7, "KEEPUSDT": 13, "CTKUSDT": 18}),
        ("usdm-btceth-20240808", {"BTCUSDT": 629, "ETHUSDT": 551}),
    ],
)
def test_recorded_markets_lead_to_their_books(folder: str, tops: dict[str, int]) -> None:
    path = market_data(folder)
    assert check_books(path / "capture.gz", golden(path)["books"]) == tops
