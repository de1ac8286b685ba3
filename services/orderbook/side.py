"""One side of a book: every level by its price, and the best of them in order.

Quantities are found by the price's own text, so that an update of a known level, which most are, is one look-up and
parses nothing. Only prices near the best one are kept in order, as integers. A level that goes leaves its price there,
because levels near the market come back within moments; prices without a level are passed over, and dropped when they
are many. When the ordered ones run out they are taken from the whole side again.
"""

from bisect import insort
from decimal import Decimal

from binance_streamer.depth import Level
from binance_streamer.exchange import ExchangeError

_MOST_NEAR = 1024
"""Prices kept in order; beyond it those without a level are dropped, and the worse half if that is not enough."""
_LEAST_REFILL = 512
"""Prices in order after a refill, which costs a pass over the whole side: about a millisecond for 5,000 levels."""
_ZEROS = frozenset({"0", *(f"0.{'0' * places}" for places in range(19))})


class Side:
    """Bids (`sign` 1) or asks (`sign` -1)."""

    def __init__(self, sign: int) -> None:
        self.sign = sign
        self._quantities: dict[str, str] = {}
        self._places = 0  # decimals of every price here
        self._near: list[int] = []  # keys of the best prices, the best one last; some have no level
        self._prices: dict[int, str] = {}  # of the keys in `_near`
        self._ordered: set[str] = set()  # the same prices
        self._floor: int | None = None  # the key of every level above it is in `_near`; None: of all levels
        self._edge: str | None = None
        self._edge_key: int | None = None
        self._ask_key: int | None = None  # half way from the best price to the edge, when it was set

    def __len__(self) -> int:
        return len(self._quantities)

    def load(self, levels: list[Level], edge: str | None = None) -> None:
        """Forget everything, and begin with these levels; those worse than `edge` are not known."""
        self._quantities, self._places = {}, 0
        self._order([], {}, None)
        self.apply(levels)
        self.trust(edge)

    def apply(self, changes: list[Level]) -> list[str | None]:
        """Set quantities, zero removes. Returns for each change the quantity before, None where there was no level.

        `ExchangeError` at a price that is none; the changes before it are made.
        """
        quantities, ordered, zeros = self._quantities, self._ordered, _ZEROS
        quantity_of = quantities.get
        before: list[str | None] = []
        note = before.append
        for price, quantity in changes:
            old = quantity_of(price)
            if quantity in zeros:
                if old is not None:
                    del quantities[price]
                else:
                    old = self._remove_unknown(price)
            elif old is not None or price in ordered:
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
        """The best price as `key_of` gives it, None where the side is empty."""
        near, prices, quantities = self._near, self._prices, self._quantities
        while near:
            price = prices[near[-1]]
            if price in quantities:
                return near[-1]
            del prices[near.pop()]
            self._ordered.remove(price)
        if self._floor is None:
            return None
        self._order_best(_LEAST_REFILL)
        return self._near[-1] if self._near else None

    def top(self, number: int) -> list[Level]:
        """The best levels, best first."""
        if number > _LEAST_REFILL:
            return self.levels()[:number]
        found = self._nearest(number)
        if len(found) < number and self._floor is not None:
            self._order_best(_LEAST_REFILL)
            found = self._nearest(number)
        return found

    def levels(self) -> list[Level]:
        """All levels, best first."""
        return sorted(self._quantities.items(), key=lambda level: self.key_of(level[0]), reverse=True)

    def quantity(self, price: str) -> str | None:
        """The quantity at a price, however it is spelt; None where there is no level."""
        return self._quantities.get(self._spelt(price))

    @property
    def edge(self) -> str | None:
        """The worst price up to which all levels are known; None: all are."""
        return self._edge

    def trust(self, edge: str | None) -> None:
        """All levels up to this price are known from now on."""
        if edge is not None and _places_of(edge) > self._places:
            self._widen(_places_of(edge))
        self._edge = edge
        self._edge_key = self._ask_key = None
        if edge is not None:
            self._edge_key = self.key_of(self._spelt(edge))
            best = self.best_key()
            self._ask_key = self._edge_key if best is None else (self._edge_key + best) // 2

    def trusts(self, price: str) -> bool:
        """Whether a price is not worse than the edge."""
        return self._edge is None or self.sign * Decimal(price) >= self.sign * Decimal(self._edge)

    def known_top(self, number: int) -> list[Level]:
        """As many of the best `number` levels as none is missing among: those that are not worse than the edge."""
        best = self.top(number)
        edge_key = self._edge_key
        if edge_key is None or not best or self.key_of(best[-1][0]) >= edge_key:
            return best
        return [level for level in best if self.key_of(level[0]) >= edge_key]

    @property
    def is_running_out(self) -> bool:
        """Whether the best price has gone half of the way to the edge."""
        if self._ask_key is None:
            return False
        best = self.best_key()
        return best is None or best < self._ask_key

    @property
    def is_best_known(self) -> bool:
        """Whether there can be no better level than the best one here."""
        if self._edge_key is None:
            return True
        best = self.best_key()
        return best is not None and best >= self._edge_key

    @property
    def places(self) -> int:
        """Decimals of the prices."""
        return self._places

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
        near = [key for key in self._near if self._prices[key] in self._quantities]
        assert near == [key for key in keys if self._floor is None or key > self._floor]
        assert self._near == sorted(self._prices)
        assert self._ordered == set(self._prices.values())
        assert [self.key_of(self._prices[key]) for key in self._near] == self._near
        best = max(self._quantities, key=self.key_of, default=None)
        assert self.is_best_known == (self._edge is None or (best is not None and self.trusts(best)))

    def _enter(self, price: str, quantity: str) -> str | None:
        """A price that is not known by this text: a new level, unless its spelling is new. Its quantity before."""
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
            self._ordered.add(price)
            if len(self._near) > _MOST_NEAR:
                self._shed()
        return None

    def _enter_respelt(self, price: str, quantity: str) -> str | None:
        """Its decimals are not as many as this side's: the tick has changed."""
        _digits_of(price)
        if _places_of(price) > self._places:
            self._widen(_places_of(price))
        spelt = self._spelt(price)
        before = self._quantities.get(spelt)
        if before is None and spelt not in self._ordered:
            return self._enter(spelt, quantity)
        self._quantities[spelt] = quantity
        return before

    def _remove_unknown(self, price: str) -> str | None:
        """A zero for a price that is not known by this text: nothing to remove, unless its spelling is new."""
        whole, _, fraction = price.partition(".")
        if not (whole + fraction).isdecimal():
            raise ExchangeError(f"expected a price, got {price!r:.60}")
        return self._quantities.pop(price if len(fraction) == self._places else self._spelt(price), None)

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
        """Spell every price with more decimals."""
        self._places = places
        respelt = {_padded(price, places): quantity for price, quantity in self._quantities.items()}
        self._quantities.clear()  # the same dict, because `apply` holds it
        self._quantities.update(respelt)
        self._order_best(_LEAST_REFILL)
        self.trust(self._edge)

    def _nearest(self, number: int) -> list[Level]:
        """As many of the best levels as are in order."""
        found: list[Level] = []
        for key in reversed(self._near):
            price = self._prices[key]
            quantity = self._quantities.get(price)
            if quantity is not None:
                found.append((price, quantity))
                if len(found) == number:
                    break
        return found

    def _order_best(self, number: int) -> None:
        """Take the best levels of the whole side into order."""
        prices = {self.key_of(price): price for price in self._quantities}
        keys = sorted(prices)
        best = keys[-number:]
        self._order(best, {key: prices[key] for key in best}, keys[-number - 1] if len(keys) > number else None)

    def _shed(self) -> None:
        keys = [key for key in self._near if self._prices[key] in self._quantities]
        floor = self._floor
        half = _MOST_NEAR // 2
        if len(keys) > half:
            floor = keys[-half - 1]
            keys = keys[-half:]
        self._order(keys, {key: self._prices[key] for key in keys}, floor)

    def _order(self, near: list[int], prices: dict[int, str], floor: int | None) -> None:
        self._near, self._prices, self._floor = near, prices, floor
        self._ordered.clear()  # the same set, because `apply` holds it
        self._ordered.update(prices.values())


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
