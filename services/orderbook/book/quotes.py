"""Whether the top of a book is what bookTicker says: compared wherever both have the same update id."""

from decimal import Decimal, InvalidOperation
from typing import NamedTuple

from binance_streamer.exchange.depth import BestQuote, Level
from services.orderbook.book.book import OrderBook

_MOST_WAITING = 256
"""bookTicker is ahead of depth or behind it by less than so many messages."""


class Top(NamedTuple):
    """Best bid and ask, None where a side is empty."""

    bid: Level | None
    ask: Level | None


class TopDifference(NamedTuple):
    """What the book and bookTicker had at one update id."""

    update_id: int
    ours: Top
    theirs: Top


class TopComparison:
    """Told of quotes and of books as they come; `compared` counts the ids that both had."""

    def __init__(self) -> None:
        self.compared = 0
        self._quotes: dict[int, Top] = {}
        self._tops: dict[int, Top] = {}

    def quote(self, quote: BestQuote) -> TopDifference | None:
        """Take a bookTicker; what differs, if the book was there before."""
        theirs = Top((quote.bid_price, quote.bid_quantity), (quote.ask_price, quote.ask_quantity))
        ours = self._tops.get(quote.update_id)
        if ours is None:
            _keep(self._quotes, quote.update_id, theirs)
            return None
        return self._compare(quote.update_id, ours, theirs)

    def book(self, book: OrderBook) -> TopDifference | None:
        """Take a valid book after an update; what differs, if the quote was there before."""
        ours = Top(book.best_bid, book.best_ask)
        theirs = self._quotes.pop(book.update_id, None)
        if theirs is None:
            _keep(self._tops, book.update_id, ours)
            return None
        return self._compare(book.update_id, ours, theirs)

    def forget(self) -> None:
        """The book begins anew: nothing before is compared with what comes."""
        self._quotes.clear()
        self._tops.clear()

    def _compare(self, update_id: int, ours: Top, theirs: Top) -> TopDifference | None:
        self.compared += 1
        is_same = _same_level(ours.bid, theirs.bid) and _same_level(ours.ask, theirs.ask)
        return None if is_same else TopDifference(update_id, ours, theirs)


def same_number(one: str, other: str) -> bool:
    """Whether two texts are the same decimal number; what is no number is equal to nothing."""
    try:
        return one == other or Decimal(one) == Decimal(other)
    except InvalidOperation:
        return False


def _same_level(ours: Level | None, theirs: Level | None) -> bool:
    if ours is None or theirs is None:  # an empty side has no quantity in a quote
        level = ours or theirs
        return level is None or same_number(level[1], "0")
    return same_number(ours[0], theirs[0]) and same_number(ours[1], theirs[1])


def _keep(waiting: dict[int, Top], update_id: int, top: Top) -> None:
    waiting[update_id] = top
    if len(waiting) > _MOST_WAITING:
        del waiting[next(iter(waiting))]
