"""A random market that knows its true book at every update id, as the slow and obvious oracle of order books."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from decimal import Decimal
from random import Random
from typing import NamedTuple

from binance_streamer.exchange.depth import BestQuote, DepthSnapshot, DepthUpdate, Level
from tests.support.depth import quote, snapshot, update

Levels = dict[Decimal, Level]
Book = tuple[Levels, Levels]
SIDES = (0, 1)  # bids, asks
TICK = Decimal("0.1")
FIRST_ID = 5_000_000_000


class Taken(NamedTuple):
    """A snapshot as the exchange took it."""

    snapshot: DepthSnapshot
    at_ms: int


@dataclass
class Market:
    """Single changes with sparse ids; an update holds all since the one before, a snapshot may be taken between."""

    rng: Random
    snapshot_levels: int
    changes_tick: bool = False
    id: int = FIRST_ID
    now_ms: int = 1_000
    places: int = 1
    book: Book = field(default_factory=lambda: ({}, {}))
    truth: dict[int, Book] = field(default_factory=dict)
    """The book at the end of every update."""
    touched: dict[int, set[Decimal]] = field(default_factory=dict)
    """The prices in the update that ends at an id."""

    def __post_init__(self) -> None:
        for _ in range(60):
            self.change()
        self.sent_id = self.id
        self.truth[self.id] = deepcopy(self.book)
        self.changed: tuple[Levels, Levels] = ({}, {})

    def change(self) -> None:
        """One order more or less; the book is never crossed."""
        self.id += self.rng.choice((1, 2, 98, 400))
        side = self.rng.choice(SIDES)
        levels, others = self.book[side], self.book[1 - side]
        if self.rng.random() < len(levels) / 24:
            best = max(levels) if side == 0 else min(levels)
            self.set(side, self.rng.choice((best, *levels)), 0)
            return
        sign = 1 if side == 0 else -1
        worst = (min if side == 0 else max)(levels, default=Decimal(100))
        limit = (min(others) if side == 0 else max(others)) - sign * TICK if others else worst + sign * 10 * TICK
        price = limit - sign * TICK * self.rng.choice((0, 1, 2, *range(30)))
        if price > 0:
            self.set(side, price, self.rng.randint(1, 9999))

    def set(self, side: int, price: Decimal, thousandths: int) -> None:
        level = (f"{price:.{self.places}f}", f"{Decimal(thousandths) / 1000:.3f}")
        if thousandths:
            self.book[side][price] = level
        else:
            self.book[side].pop(price, None)
        if hasattr(self, "changed"):
            self.changed[side][price] = level

    def empty(self, side: int) -> None:
        """Every level of a side goes."""
        for price in list(self.book[side]):
            self.id += 1
            self.set(side, price, 0)

    def update(self) -> DepthUpdate:
        """Return an update with all changes since the last one."""
        if self.changes_tick and self.rng.random() < 0.1:
            self.places = self.rng.choice((1, 2, 3))
        for _ in range(self.rng.randint(1, 6)):
            self.change()
        return self.emit()

    def emit(self) -> DepthUpdate:
        """The update that ends at the market's id."""
        self.now_ms += self.rng.randint(1, 200)
        bids, asks = (list(levels.values()) for levels in self.changed)
        sent = update(f"{self.sent_id}>{self.id}", bids=bids, asks=asks, at_ms=self.now_ms)
        self.touched[self.id] = {price for levels in self.changed for price in levels}
        self.sent_id, self.changed = self.id, ({}, {})
        self.truth[self.id] = deepcopy(self.book)
        return sent

    def snapshot(self) -> Taken:
        """The best levels as they are now."""
        bids, asks = self.book
        best_bids = [bids[price] for price in sorted(bids, reverse=True)[: self.snapshot_levels]]
        best_asks = [asks[price] for price in sorted(asks)[: self.snapshot_levels]]
        return Taken(snapshot(self.id, bids=best_bids, asks=best_asks), self.now_ms)

    def quote(self) -> BestQuote | None:
        """bookTicker as it is now; none while a side is empty."""
        bids, asks = self.book
        if not bids or not asks:
            return None
        bid, ask = ("x".join(book[best(book)]) for book, best in ((bids, max_of), (asks, min_of)))
        return quote(self.id, bid=bid, ask=ask)

    def rebase(self) -> None:
        """Ids begin anew, far below; other orders."""
        self.id -= 2_000_000 * self.rng.randint(1, 100)
        self.book, self.changed = ({}, {}), ({}, {})
        for _ in range(12):
            self.change()
        self.sent_id, self.changed = self.id, ({}, {})


def max_of(levels: Levels) -> Decimal:
    return max(levels)


def min_of(levels: Levels) -> Decimal:
    return min(levels)


def is_within(side: int, price: Decimal, edge: str | None) -> bool:
    """Return True if a price is not worse than the edge; None: there is no edge."""
    return edge is None or (price >= Decimal(edge) if side == 0 else price <= Decimal(edge))


Range = Callable[[int, Decimal], bool]


def wrong_levels(ours: tuple[list[Level], list[Level]], true: Book, is_known: Range) -> list[tuple[int, Decimal]]:
    """Levels that the market does not have so, and levels within the known range that are missing."""
    wrong = []
    for side in SIDES:
        own = {Decimal(price): quantity for price, quantity in ours[side]}
        assert len(own) == len(ours[side]), "one price, two levels"
        for price in own.keys() | true[side].keys():
            theirs = true[side].get(price)
            if price in own:
                if theirs is None or theirs[1] != own[price]:
                    wrong.append((side, price))
            elif is_known(side, price):
                wrong.append((side, price))
    return wrong
