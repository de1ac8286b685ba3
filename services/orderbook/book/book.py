"""An order book: all levels of both sides, and up to where they are complete.

It is exact: prices and quantities are texts with the exchange's own digits, and never a float. It applies whatever it
is given; whether an update follows the one before is decided in `sequence`.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

from binance_streamer.exchange.depth import DepthSnapshot, DepthUpdate, Level
from services.orderbook.book.side import Side

SNAPSHOT_LEVELS = 1000
"""The most levels of a side in a REST snapshot (docs/exchange.md §4). A side with fewer is complete."""


class TrustedRange(NamedTuple):
    """The prices between which the book is complete; None: it is complete on that side.

    Beyond them lie levels that the snapshot left out. Those that have changed since are in the book, and right; the
    others are missing.
    """

    lowest_bid: str | None
    highest_ask: str | None


class OrderBook:
    """All known levels of both sides, as they were after the update `update_id`; -1 before the first snapshot."""

    def __init__(self) -> None:
        self.update_id = -1
        self.bids = Side(1)
        self.asks = Side(-1)

    def load(self, snapshot: DepthSnapshot) -> None:
        """Replace all levels by those of a snapshot; the trusted range is the snapshot's."""
        self.update_id = snapshot.last_update_id
        self.bids.load(snapshot.bids, edge(snapshot.bids))
        self.asks.load(snapshot.asks, edge(snapshot.asks))

    def copy(self) -> "OrderBook":
        """Return a book with the same levels that changes independently of this one."""
        other = OrderBook()
        other.update_id, other.bids, other.asks = self.update_id, self.bids.copy(), self.asks.copy()
        return other

    def apply(self, update: DepthUpdate) -> None:
        """Apply an update that follows the one before; the caller has made sure that it does.

        `ExchangeError` where it cannot be read. Some of its levels are applied then: load the book again.
        """
        bids, asks = update.levels()
        self.bids.apply(bids)
        self.asks.apply(asks)
        self.update_id = update.final_update_id

    @property
    def best_bid(self) -> Level | None:
        """The highest bid, None where there is none."""
        return self.bids.best()

    @property
    def best_ask(self) -> Level | None:
        """The lowest ask, None where there is none."""
        return self.asks.best()

    @property
    def is_crossed(self) -> bool:
        """Return True if the best bid is not below the best ask: impossible after a complete update of a right book."""
        bid, ask = self.bids.best_key(), self.asks.best_key()
        if bid is None or ask is None:
            return False
        surplus = self.bids.places - self.asks.places
        if surplus:
            bid, ask = bid * 10 ** max(0, -surplus), ask * 10 ** max(0, surplus)
        return bid + ask >= 0

    def top(self, number: int) -> tuple[list[Level], list[Level]]:
        """Return the best `number` bids and asks, best first; fewer where the side has fewer."""
        return self.bids.top(number), self.asks.top(number)

    def levels(self) -> tuple[list[Level], list[Level]]:
        """Return all bids and asks, best first."""
        return self.bids.levels(), self.asks.levels()

    @property
    def counts(self) -> tuple[int, int]:
        """The number of bids and of asks; each call counts all of them."""
        return len(self.bids), len(self.asks)

    @property
    def is_top_known(self) -> bool:
        """Return True if best bid and best ask lie in the trusted range: beyond it better ones may be missing."""
        return self.bids.is_best_known and self.asks.is_best_known

    @property
    def is_running_out(self) -> bool:
        """Return True if the price has gone half of the way from where the snapshot had it to where that ends."""
        return self.bids.is_running_out or self.asks.is_running_out

    @property
    def trusted_range(self) -> TrustedRange:
        """The prices between which no level is missing."""
        return TrustedRange(self.bids.edge, self.asks.edge)

    def trusted(self, bids: list[Level], asks: list[Level]) -> tuple[int, int]:
        """Return how many of these bids and asks, given best first, lie in the trusted range."""
        return len(self.bids.known(bids)), len(self.asks.known(asks))

    def known_top(self, number: int) -> tuple[list[Level], list[Level]]:
        """Return those of the best `number` bids and asks among which none is missing, best first."""
        return self.bids.known(self.bids.top(number)), self.asks.known(self.asks.top(number))

    def learn(self, bids: list[Level], asks: list[Level], trusted_range: TrustedRange) -> None:
        """Add levels that were missing beyond the trusted range, and widen it."""
        self.bids.apply(bids)
        self.asks.apply(asks)
        self.bids.trust(trusted_range.lowest_bid)
        self.asks.trust(trusted_range.highest_ask)

    def check(self) -> None:
        """Walk through every invariant of both sides and of the book; for tests, it is slow."""
        self.bids.check()
        self.asks.check()
        bids, asks = self.levels()
        assert self.best_bid == (bids[0] if bids else None)
        assert self.best_ask == (asks[0] if asks else None)
        assert self.is_crossed == bool(bids and asks and Decimal(bids[0][0]) >= Decimal(asks[0][0]))


def edge(levels: Sequence[Level]) -> str | None:
    """Return the worst price of a side of a snapshot; None where the side is complete."""
    return levels[-1][0] if len(levels) >= SNAPSHOT_LEVELS else None
