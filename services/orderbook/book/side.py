"""One side of a book: every level by its price, and the best of them in order.

Quantities are found by the price's own text, so that an update is one `dict.update`, and only prices that are new to
the side are parsed: they are the last ones of the dict. Only prices near the best one are kept in order, as integers. A
level that goes leaves its price with a quantity of zero, because levels near the market come back within moments; such
prices are passed over, and dropped when they are many. When the ordered ones run out they are taken from the whole side
again.
"""

from bisect import insort
from decimal import Decimal
from itertools import islice

from binance_streamer.exchange.depth import Level
from binance_streamer.exchange.messages import ExchangeError

_MOST_NEAR = 1024
"""Prices kept in order; beyond it those without a level are dropped, and the worse half if that is not enough."""
_LEAST_REFILL = 512
"""Prices in order after a refill, which costs a pass over the whole side: about a millisecond for 5,000 levels."""
_LEAST_GONE = 256
"""Prices without a level are dropped when they are a quarter of the others and this more."""
_MOST_DIGITS = 40
_ZEROS = frozenset({"0", *(f"0.{'0' * places}" for places in range(19))})


class Side:
    """Bids (`sign` 1) or asks (`sign` -1)."""

    def __init__(self, sign: int) -> None:
        self.sign = sign
        self._quantities: dict[str, str] = {}  # zero: a level that has gone
        self._most = _LEAST_GONE  # prices there; beyond it those without a level are dropped
        self._places = 0  # decimals of every price here
        self._near: list[int] = []  # keys of the best prices, the best one last; some have no level
        self._prices: dict[int, str] = {}  # of the keys in `_near`
        self._floor: int | None = None  # the key of every price above it is in `_near`; None: of all prices
        self._edge: str | None = None
        self._edge_key: int | None = None
        self._ask_key: int | None = None  # half way from the best price to the edge, when it was set

    def __len__(self) -> int:
        return len(self._quantities) - sum(map(_ZEROS.__contains__, self._quantities.values()))

    def copy(self) -> "Side":
        """One that goes its own way from here on."""
        other = Side(self.sign)
        other.__dict__.update(self.__dict__)
        other._quantities, other._near, other._prices = dict(self._quantities), list(self._near), dict(self._prices)
        return other

    def load(self, levels: list[Level], edge: str | None = None) -> None:
        """Forget everything, and begin with these levels; those worse than `edge` are not known."""
        self._places = max((_places_of(price) for price, _ in levels), default=0)
        self._quantities = {self._spelt(price): quantity for price, quantity in levels}
        self._order_best(_LEAST_REFILL)
        self.trust(edge)

    def apply(self, changes: list[Level]) -> None:
        """Set quantities, zero removes.

        `ExchangeError` at a price that is none; the changes of known prices are made.
        """
        quantities = self._quantities
        known = len(quantities)
        quantities.update(changes)
        if len(quantities) != known:
            self._enter(changes, len(quantities) - known)

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
            if quantities[price] not in _ZEROS:
                return near[-1]
            del quantities[price], prices[near.pop()]
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
        there = [level for level in self._quantities.items() if level[1] not in _ZEROS]
        return sorted(there, key=lambda level: self.key_of(level[0]), reverse=True)

    def quantity(self, price: str) -> str | None:
        """The quantity at a price, however it is spelt; None where there is no level."""
        quantity = self._quantities.get(self._spelt(price))
        return None if quantity in _ZEROS else quantity

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

    def known(self, best: list[Level]) -> list[Level]:
        """As many of the best levels as none is missing among: those that are not worse than the edge."""
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
            assert _digits_of(quantity) > 0 or quantity in _ZEROS, f"{price} has the quantity {quantity}"
            assert _digits_of(price) >= 0
        keys = sorted(self.key_of(price) for price in self._quantities)
        assert len(set(keys)) == len(keys), "two levels of one price"
        assert self._near == [key for key in keys if self._floor is None or key > self._floor]
        assert self._near == sorted(self._prices)
        assert [self.key_of(self._prices[key]) for key in self._near] == self._near
        there = [price for price, quantity in self._quantities.items() if _digits_of(quantity)]
        assert len(there) == len(self)
        best = max(there, key=self.key_of, default=None)
        assert self.is_best_known == (self._edge is None or (best is not None and self.trusts(best)))

    def _enter(self, changes: list[Level], number: int) -> None:
        """The last `number` prices were not known by this text: new levels, unless their spelling is new."""
        quantities, places, floor = self._quantities, self._places, self._floor
        found = []
        is_respelt = False
        new = list(islice(reversed(quantities), number))
        for price in new:
            whole, point, fraction = price.partition(".")
            digits = whole + fraction
            is_odd = not whole or (point and not fraction) or whole[0] == "0" != whole or len(price) > _MOST_DIGITS
            if is_odd or not _are_digits(digits):
                self._forget(new)
                raise ExchangeError(f"expected a price, got {price!r:.60}")
            if len(fraction) != places:
                is_respelt = True
            elif quantities[price] in _ZEROS:
                del quantities[price]
            else:
                found.append((self.sign * int(digits), price))
        if is_respelt:
            self._forget(new)
            self._apply_respelt(changes)
            return
        for key, price in found:
            if floor is None or key > floor:
                insort(self._near, key)
                self._prices[key] = price
        if len(quantities) > self._most:
            self._drop_gone()
            self._near = [key for key in self._near if self._prices[key] in self._quantities]
            self._prices = {key: self._prices[key] for key in self._near}
        elif len(self._near) > _MOST_NEAR:
            self._shed()

    def _forget(self, prices: list[str]) -> None:
        for price in prices:
            self._quantities.pop(price, None)

    def _apply_respelt(self, changes: list[Level]) -> None:
        """Decimals of some are not as many as this side's: the tick has changed."""
        places = max((_places_of(price) for price, quantity in changes if quantity not in _ZEROS), default=0)
        if places > self._places:
            self._widen(places)
        respelt = [(self._spelt(price), quantity) for price, quantity in changes]
        self.apply([level for level in respelt if _places_of(level[0]) == self._places])  # the others remove nothing

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
        self._quantities = {_padded(price, places): quantity for price, quantity in self._quantities.items()}
        self._order_best(_LEAST_REFILL)
        self.trust(self._edge)

    def _nearest(self, number: int) -> list[Level]:
        """As many of the best levels as are in order."""
        found: list[Level] = []
        for key in reversed(self._near):
            price = self._prices[key]
            quantity = self._quantities[price]
            if quantity not in _ZEROS:
                found.append((price, quantity))
                if len(found) == number:
                    break
        return found

    def _order_best(self, number: int) -> None:
        """Take the best levels of the whole side into order; prices without a level go."""
        self._drop_gone()
        prices = {self.key_of(price): price for price in self._quantities}
        keys = sorted(prices)
        self._near, self._floor = keys[-number:], keys[-number - 1] if len(keys) > number else None
        self._prices = {key: prices[key] for key in self._near}

    def _drop_gone(self) -> None:
        """Forget the prices without a level."""
        self._quantities = {price: quantity for price, quantity in self._quantities.items() if quantity not in _ZEROS}
        self._most = len(self._quantities) * 5 // 4 + _LEAST_GONE

    def _shed(self) -> None:
        """Keep fewer prices in order: those that have a level, and of them the better half if that is not enough."""
        gone = [key for key in self._near if self._quantities[self._prices[key]] in _ZEROS]
        self._forget([self._prices.pop(key) for key in gone])
        self._near = sorted(self._prices)
        half = _MOST_NEAR // 2
        if len(self._near) > half:
            self._floor = self._near[-half - 1]
            self._near = self._near[-half:]
            self._prices = {key: self._prices[key] for key in self._near}


def _are_digits(text: str) -> bool:
    return text.isascii() and text.isdecimal()


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
