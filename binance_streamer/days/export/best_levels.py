"""The best levels of an order book whenever one of them changes, from the book's messages.

A book is a dictionary of levels and its prices in order, a list for each side, in integers of 10^-8. An update changes
few prices near the best one; the best levels are compared with those before, so that most updates give nothing.
"""

from bisect import bisect_left, insort
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import chain, zip_longest

from binance_streamer.days.checks.levels import LEVELS_OF_SNAPSHOT, level_rows, shown
from binance_streamer.days.export.book_messages import CLEAR, SNAPSHOT, BookFeed
from binance_streamer.days.export.values import pieces

_PIECE_ROWS = 4096
_shown = lru_cache(maxsize=65_536)(shown)
_NO_LEVEL = (None, None)


def best_levels(book: BookFeed, depth: int) -> Iterator[tuple[int, int, str]]:
    """Yield exchange time, receive time (ns) and the cells of the best levels, whenever one of them has changed.

    Cells are ask price, ask quantity, bid price, bid quantity of the best level, then of the next one; a level that is
    not there, or that is not known, has empty ones. While the book is not known nothing comes.
    """
    before: object = None
    sides: tuple[_Side, _Side] | None = None
    for messages in book:
        kind = messages["kind"][0].as_py()
        if kind == CLEAR:
            sides = None
            continue
        for table in pieces(messages, _PIECE_ROWS):
            times = (table[name].to_pylist() for name in ("exchange_ns", "local_ns"))
            for exchange_ns, local_ns, asks, bids in zip(
                *times, level_rows(table["asks"]), level_rows(table["bids"]), strict=True
            ):
                if kind == SNAPSHOT or sides is None:
                    sides = _Side(1, len(asks[0])), _Side(-1, len(bids[0]))
                for side, levels in zip(sides, (asks, bids), strict=True):
                    side.apply(*levels)
                if kind == SNAPSHOT:
                    for side in sides:
                        side.know()
                best = [side.best(depth) for side in sides]
                if best != before:
                    before = best
                    yield exchange_ns, local_ns, _cells(best, depth)


def _cells(best: Sequence[Sequence[tuple[int, int]]], depth: int) -> str:
    asks, bids = best
    pairs = zip_longest(asks, bids, fillvalue=_NO_LEVEL)
    found = ["" if value is None else _shown(value) for value in chain.from_iterable(chain.from_iterable(pairs))]
    return ",".join([*found, *[""] * (4 * depth - len(found))])


class _Side:
    """One side of a book; `sign` is -1 for bids, whose best price is the highest, 1 for asks.

    Levels beyond those of a full snapshot are only known where they changed since, so they are not shown.
    """

    def __init__(self, sign: int, count: int) -> None:
        self._sign = sign
        self._is_cut = count >= LEVELS_OF_SNAPSHOT
        self._quantities: dict[int, int] = {}
        self._keys: list[int] = []
        self._known_to: int | None = None

    def know(self) -> None:
        """Remember the last level of the snapshot, beyond which there may be others."""
        self._known_to = self._keys[-1] if self._is_cut and self._keys else None

    def apply(self, prices: Sequence[int], quantities: Sequence[int]) -> None:
        """Set levels; quantity 0 removes one, which need not be there."""
        held, keys = self._quantities, self._keys
        for price, quantity in zip(prices, quantities, strict=True):
            key = self._sign * price
            if quantity:
                if key not in held:
                    insort(keys, key)
                held[key] = quantity
            elif held.pop(key, None) is not None:
                del keys[bisect_left(keys, key)]

    def best(self, depth: int) -> list[tuple[int, int]]:
        """Return price and quantity of the best levels that are known, best first."""
        keys = self._keys[:depth]
        if self._known_to is not None and keys and keys[-1] > self._known_to:
            keys = [key for key in keys if key <= self._known_to]
        return [(self._sign * key, self._quantities[key]) for key in keys]
