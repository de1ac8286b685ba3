"""The true order book of one symbol, in integers, and a list of which levels changed.

In: levels that the engine sets and removes. Out: the best levels, and the journal of changes from which every depth
stream makes its messages.
"""

from heapq import nlargest, nsmallest
from typing import Literal

Side = Literal[1, -1]
BID: Side = 1
ASK: Side = -1

_FAR_TICKS = 64  # beyond this the next level is looked up instead of walked to


class TrueBook:
    """Levels as {price: quantity}. A change is noted as +price for a bid and -price for an ask.

    Every change takes the next update id. Ids are sparse, as on the exchange, where other symbols use them up.
    """

    def __init__(self, tick: int, update_id: int) -> None:
        self.tick = tick
        self.update_id = update_id
        self.bids: dict[int, int] = {}
        self.asks: dict[int, int] = {}
        self.best_bid = 0
        self.best_ask = 1 << 62
        self.changed: list[int] = []
        self.ids: list[int] = []  # of the changes, side by side with `changed`

    def put(self, side: Side, price: int, quantity: int) -> None:
        """Set a level to a positive quantity; the caller keeps the sides apart."""
        if side > 0:
            self.bids[price] = quantity
            self.best_bid = max(self.best_bid, price)
        else:
            self.asks[price] = quantity
            self.best_ask = min(self.best_ask, price)
        self._journal(side * price)

    def remove(self, side: Side, price: int) -> None:
        """Remove a level that is there. The last level of a side stays."""
        levels = self.bids if side > 0 else self.asks
        if len(levels) == 1:
            return
        del levels[price]
        self._journal(side * price)
        if side > 0 and price == self.best_bid:
            self.best_bid = self._next_level(levels, price, -self.tick)
        elif side < 0 and price == self.best_ask:
            self.best_ask = self._next_level(levels, price, self.tick)

    def _journal(self, change: int) -> None:
        """Note a change under the next update id, which is 1 to 64 above the last one.

        The step comes from the id itself, multiplied by a large odd number, so that ids are sparse without a random
        choice.
        """
        self.update_id += 1 + (self.update_id * 2_654_435_761 >> 13 & 63)
        self.changed.append(change)
        self.ids.append(self.update_id)

    def _next_level(self, levels: dict[int, int], price: int, step: int) -> int:
        """Return the best price that is left: walked to, since it is near most of the time, else searched for."""
        for _ in range(_FAR_TICKS):
            price += step
            if price in levels:
                return price
        return max(levels) if step < 0 else min(levels)

    def top(self, count: int) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """Return up to `count` levels of both sides, best first, as (price, quantity).

        Few levels are picked by a heap; for a snapshot, which takes nearly all of them, sorting is faster.
        """
        bids, asks = self.bids, self.asks
        bid_prices = nlargest(count, bids) if count < 100 else sorted(bids, reverse=True)[:count]
        ask_prices = nsmallest(count, asks) if count < 100 else sorted(asks)[:count]
        return [(price, bids[price]) for price in bid_prices], [(price, asks[price]) for price in ask_prices]

    def check(self) -> None:
        """Assert every invariant of the book; for tests."""
        assert self.best_bid == max(self.bids)
        assert self.best_ask == min(self.asks)
        assert self.best_bid < self.best_ask
        assert all(quantity > 0 for quantity in (*self.bids.values(), *self.asks.values()))
        assert all(price > 0 and price % self.tick == 0 for price in (*self.bids, *self.asks))
