"""Order books of a verifier: levels as integers in dictionaries, the best price on a heap.

It shares no code with the recorder's book (docs/decisions/0053). A recorder's book that errs would err here alike, and
this one needs neither the digits of the exchange nor speed at the top: a day is replayed once.
"""

import heapq
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any

from binance_streamer.days.checks.order import flat

LEVELS_OF_SNAPSHOT = 1000
"""REST gives so many levels of a side at most; others are unknown until they change (docs/exchange.md §5.2.8)."""

Level = tuple[int, int]
"""Price and quantity, in units of 10^-8."""


class LevelSide:
    """One side of a book. `sign` is -1 for bids, whose best price is the highest, 1 for asks.

    `known_to` is the price up to which every level is known, None where all are.
    """

    def __init__(self, sign: int, levels: Sequence[Level] = ()) -> None:
        self.sign = sign
        self.levels: dict[int, int] = dict(levels)
        self._heap = sorted(sign * price for price, _ in levels)
        self.known_to = levels[-1][0] if len(levels) >= LEVELS_OF_SNAPSHOT else None

    def apply(self, prices: Iterable[int], quantities: Iterable[int]) -> None:
        """Set levels; quantity 0 removes one, which need not be there."""
        levels, heap, sign = self.levels, self._heap, self.sign
        for price, quantity in zip(prices, quantities, strict=True):
            if not quantity:
                levels.pop(price, None)
            else:
                if price not in levels:
                    heapq.heappush(heap, sign * price)
                levels[price] = quantity
        if len(heap) > 4 * len(levels) + 4096:
            self._heap = sorted(sign * price for price in levels)

    def best(self) -> int | None:
        """Return the best price; None where there is none, or where a better one may be unknown."""
        heap, sign = self._heap, self.sign
        while heap and sign * heap[0] not in self.levels:
            heapq.heappop(heap)
        return sign * heap[0] if heap and self.knows(sign * heap[0]) else None

    def knows(self, price: int) -> bool:
        """Return True if the level at this price is known, also where it is known to be empty."""
        return self.known_to is None or self.sign * price <= self.sign * self.known_to

    def differences(self, snapshot: Sequence[Level], touched: frozenset[int]) -> list[tuple[int, int, int]]:
        """Return (price, quantity here, quantity there) of the levels that both know and that differ, best first.

        Prices in `touched` are left out: the snapshot lies within the update that changed them.
        """
        there = LevelSide(self.sign, snapshot)
        prices = sorted((self.levels.keys() | there.levels.keys()) - touched, key=lambda price: self.sign * price)
        return [
            (price, self.levels.get(price, 0), there.levels.get(price, 0))
            for price in prices
            if self.levels.get(price) != there.levels.get(price) and self.knows(price) and there.knows(price)
        ]

    def learn(self, snapshot: Sequence[Level]) -> None:
        """Take the levels of a snapshot that are beyond what was known."""
        there = LevelSide(self.sign, snapshot)
        if self.known_to is None:
            return
        if there.known_to is None or not self.knows(there.known_to):
            for price in [price for price in self.levels if there.knows(price) and not self.knows(price)]:
                del self.levels[price]
            new = [(price, quantity) for price, quantity in snapshot if not self.knows(price)]
            self.apply(*zip(*new, strict=True)) if new else None
            self.known_to = there.known_to


def unscaled(column: Any) -> list[int]:
    """Return decimals as integers in units of their last digit; the column has no nulls.

    Arrow has a decimal in 16 bytes, the low half first. Two halves are read as lists, which is ten times as quick as
    making a Decimal of each; the high one only counts where a value exceeds 64 bits.
    """
    array = flat(column)
    if not len(array):
        return []
    words = memoryview(array.buffers()[1]).cast("q")[2 * array.offset : 2 * (array.offset + len(array))]
    low, high = words[::2].tolist(), words[1::2].tolist()
    if any(high) and any(one != (value >> 63) for value, one in zip(low, high, strict=True)):
        return [(one << 64) | (value & 0xFFFFFFFFFFFFFFFF) for value, one in zip(low, high, strict=True)]
    return list(low)


def level_rows(column: Any) -> Iterator[tuple[list[int], list[int]]]:
    """Yield prices and quantities of each row of a column of levels; a null row has none."""
    array = flat(column)
    values = array.values
    offsets = array.offsets.to_pylist()
    start, end = offsets[0], offsets[-1]
    part = values.slice(start, end - start)
    prices, quantities = (unscaled(part.field(name)) for name in ("price", "quantity"))
    for low, high in pairwise(offsets):
        yield prices[low - start : high - start], quantities[low - start : high - start]


def shown(units: int) -> str:
    """Write a price or quantity in units of 10^-8 with a point, without trailing zeros."""
    text = f"{units:09d}"
    return f"{text[:-8]}.{text[-8:]}".rstrip("0").rstrip(".")
