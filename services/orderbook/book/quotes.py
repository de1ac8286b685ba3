"""Compares the top of a book with bookTicker, wherever both have the same update id.

The two streams share their ids, but each has some that the other has not, and either may come first. So both are
remembered for a while, by id.
"""

from typing import NamedTuple

from binance_streamer.exchange.depth import BestQuote, Level
from services.orderbook.book.book import OrderBook
from services.orderbook.book.decimal_text import same_number

_MOST_WAITING = 256
"""Messages by which bookTicker may be ahead of depth or behind it; beyond that the two are not compared."""


class Top(NamedTuple):
    """Best bid and best ask, None where a side is empty."""

    bid: Level | None
    ask: Level | None


class TopDifference(NamedTuple):
    """The tops of the book and of bookTicker at one update id, which are not the same."""

    update_id: int
    ours: Top
    theirs: Top


class TopComparison:
    """Takes quotes and books as they come; `compared` counts the ids that both had."""

    def __init__(self) -> None:
        self.compared = 0
        self._quotes: dict[int, Top] = {}
        self._tops: dict[int, Top] = {}

    def take_quote(self, quote: BestQuote) -> TopDifference | None:
        """Take a bookTicker; return the difference from the book of the same id, None where there is none."""
        theirs = Top((quote.bid_price, quote.bid_quantity), (quote.ask_price, quote.ask_quantity))
        ours = self._tops.get(quote.update_id)
        if ours is None:
            _keep(self._quotes, quote.update_id, theirs)
            return None
        return self._compare(quote.update_id, ours, theirs)

    def take_book(self, book: OrderBook) -> TopDifference | None:
        """Take a valid book after an update; return the difference from the quote of the same id, None if none."""
        ours = Top(book.best_bid, book.best_ask)
        theirs = self._quotes.pop(book.update_id, None)
        if theirs is None:
            _keep(self._tops, book.update_id, ours)
            return None
        return self._compare(book.update_id, ours, theirs)

    def forget(self) -> None:
        """Forget quotes and tops, because the book begins anew: those before say nothing about it."""
        self._quotes.clear()
        self._tops.clear()

    def _compare(self, update_id: int, ours: Top, theirs: Top) -> TopDifference | None:
        self.compared += 1
        is_same = _same_level(ours.bid, theirs.bid) and _same_level(ours.ask, theirs.ask)
        return None if is_same else TopDifference(update_id, ours, theirs)


def _same_level(ours: Level | None, theirs: Level | None) -> bool:
    if ours is None or theirs is None:  # an empty side has no quantity in a quote
        level = ours or theirs
        return level is None or same_number(level[1], "0")
    return same_number(ours[0], theirs[0]) and same_number(ours[1], theirs[1])


def _keep(waiting: dict[int, Top], update_id: int, top: Top) -> None:
    waiting[update_id] = top
    if len(waiting) > _MOST_WAITING:
        del waiting[next(iter(waiting))]
