"""One side of a book: every level by its price, and the best of them in order.

Quantities are found by the price's own text, so that an update of a known level, which most are, is one look-up and
parses nothing. Only the levels near the best price are kept in order, by their price as an integer: depth updates that
come and go far away cost no sorting. When the ordered ones run out they are taken from the whole side again.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable

from binance_streamer.depth import Level
from binance_streamer.exchange import ExchangeError

_MOST_NEAR = 1024
"""Levels kept in order; beyond it the worse half goes back among the unordered ones."""
_LEAST_REFILL = 256
"""Levels in order after a refill, which costs a pass over the whole side: about a millisecond for 5,000 levels."""
_ZEROS = frozenset({"0", *(f"0.{'0' * places}" for places in range(19))})


class Side:
    """Bids (`sign` 1) or asks (`sign` -1)."""

    def __init__(self, sign: int) -> None:
        self.sign = sign
        self._quantities: dict[str, str] = {}
        self._places = 0  # decimals of every price here
        self._near: list[int] = []  # keys of the best levels, the best one last
        self._prices: dict[int, str] = {}  # of the keys in `_near`
        self._floor: int | None = None  # every key above it is in `_near`; None: all are

    def __len__(self) -> int:
        return len(self._quantities)

    def load(self, levels: Iterable[Level]) -> None:
        """Forget everything, and begin with these levels."""
        self._quantities, self._places = {}, 0
        self._near, self._prices, self._floor = [], {}, None
        self.apply(levels)

    def apply(self, changes: Iterable[Level]) -> list[str | None]:
        """Set quantities, zero removes. Returns for each change the quantity before, None where there was no level.

        `ExchangeError` at a price that is none; the changes before it are made.
        """
        quantities = self._quantities
        quantity_of = quantities.get
        before: list[str | None] = []
        note = before.append
        for price, quantity in changes:
            old = quantity_of(price)
            if quantity in _ZEROS:
                if old is not None:
                    del quantities[price]
                    self._leave(price)
                else:
                    old = self._remove_respelt(price)
            elif old is not None:
                quantities[price] = quantity
            else:
                old = self._enter(price, quantity)
            note(old)
        return before

    def best(self) -> Level | None:
        """The best level, None where the side is empty."""
        key = self.best_key()
        if key is None:
            return None
        price = self._prices[key]
        return price, self._quantities[price]

    def best_key(self) -> int | None:
        """The best price as an integer of the smallest unit of `places`, negative for asks."""
        if self._near:
            return self._near[-1]
        self._refill(1)
        return self._near[-1] if self._near else None

    @property
    def places(self) -> int:
        """Decimals of the prices."""
        return self._places

    def top(self, number: int) -> list[Level]:
        """The best levels, best first."""
        if number > _LEAST_REFILL:
            return self.levels()[:number]
        self._refill(number)
        return [(self._prices[key], self._quantities[self._prices[key]]) for key in self._near[: -number - 1 : -1]]

    def levels(self) -> list[Level]:
        """All levels, best first."""
        return sorted(self._quantities.items(), key=lambda level: self.key_of(level[0]), reverse=True)

    def quantity(self, price: str) -> str | None:
        """The quantity at a price, however it is spelt; None where there is no level."""
        return self._quantities.get(self._spelt(price))

    def key_of(self, price: str) -> int:
        """The price (of a level here) in units of its last decimal, negative for asks: the better, the higher."""
        return self.sign * int(price.replace(".", ""))

    def check(self) -> None:
        """Walk through every invariant."""
        for price, quantity in self._quantities.items():
            assert _places_of(price) == self._places, f"{price} is spelt otherwise"
            assert _digits_of(quantity) > 0, f"{price} has the quantity {quantity}"
            assert _digits_of(price) >= 0
        keys = sorted(self.key_of(price) for price in self._quantities)
        assert len(set(keys)) == len(keys), "two levels of one price"
        assert self._near == [key for key in keys if self._floor is None or key > self._floor]
        assert sorted(self._prices) == self._near
        assert [self.key_of(self._prices[key]) for key in self._near] == self._near

    def _enter(self, price: str, quantity: str) -> str | None:
        """A price that is not known by this text: a new level, unless its spelling is new."""
        whole, _, fraction = price.partition(".")
        if len(fraction) != self._places:
            return self._enter_respelt(price, quantity)
        digits = whole + fraction
        if not digits.isdecimal():
            raise ExchangeError(f"expected a price, got {price!r:.60}")
        self._quantities[price] = quantity
        key = self.sign * int(digits)
        if self._floor is None or key > self._floor:
            insort(self._near, key)
            self._prices[key] = price
            if len(self._near) > _MOST_NEAR:
                self._shed()
        return None

    def _leave(self, price: str) -> None:
        key = self.sign * int(price.replace(".", ""))
        if self._prices.pop(key, None) is not None:
            del self._near[bisect_left(self._near, key)]

    def _enter_respelt(self, price: str, quantity: str) -> str | None:
        """Its decimals are not as many as this side's: the tick has changed."""
        _digits_of(price)
        if _places_of(price) > self._places:
            self._widen(_places_of(price))
        spelt = self._spelt(price)
        before = self._quantities.get(spelt)
        if before is None:
            return self._enter(spelt, quantity)
        self._quantities[spelt] = quantity
        return before

    def _remove_respelt(self, price: str) -> str | None:
        spelt = self._spelt(price)
        before = self._quantities.pop(spelt, None)
        if before is not None:
            self._leave(spelt)
        return before

    def _spelt(self, price: str) -> str:
        """The price with this side's number of decimals, where it can be written so."""
        places = _places_of(price)
        if places < self._places:
            return _padded(price, self._places)
        surplus = places - self._places
        if surplus and price.endswith("0" * surplus):
            return price[:-surplus].rstrip(".")
        return price

    def _widen(self, places: int) -> None:
        self._places = places
        self._quantities = {_padded(price, places): quantity for price, quantity in self._quantities.items()}
        self._order_best(_LEAST_REFILL)

    def _refill(self, number: int) -> None:
        if len(self._near) < number and self._floor is not None:
            self._order_best(max(_LEAST_REFILL, 2 * number))

    def _order_best(self, number: int) -> None:
        prices = {self.key_of(price): price for price in self._quantities}
        keys = sorted(prices)
        self._floor = keys[-number - 1] if len(keys) > number else None
        self._near = keys[-number:]
        self._prices = {key: prices[key] for key in self._near}

    def _shed(self) -> None:
        half = len(self._near) // 2
        self._floor = self._near[half - 1]
        for key in self._near[:half]:
            del self._prices[key]
        del self._near[:half]


def _places_of(number: str) -> int:
    return len(number.partition(".")[2])


def _padded(price: str, places: int) -> str:
    whole, _, fraction = price.partition(".")
    return f"{whole}.{fraction.ljust(places, '0')}"


def _digits_of(number: str) -> int:
    """All digits as one integer: a decimal number without its point."""
    whole, _, fraction = number.partition(".")
    digits = whole + fraction
    if not digits.isdecimal():
        raise ExchangeError(f"expected a decimal number, got {number!r:.60}")
    return int(digits)
