"""One side of a book: every level by its price, and the best of them in order.

Two structures hold the same levels:

- `_quantities`: the quantity of every level by the text of its price. An update is one `dict.update`, and only prices
  that are new to the side are parsed: a dict keeps its order, so that they are the last ones of it.
- `_near` and `_prices`: the best prices as integers (`key_of`) in ascending order, the best one last, and the text of
  each. Only these are sorted; most changes of a book are near its best price.

A level that goes keeps its price with a quantity of zero, because levels near the market come back within moments;
such prices are passed over, and dropped when they are many. When no ordered price is left, or too few for `top`, the
best ones are ordered anew from all.

Invariants, all of which `check` walks through:

1. Every price has `_places` decimals, so that equal prices are equal texts and integers compare like prices. A price
   with more decimals, because the exchange has changed its tick, widens all of them first.
2. No two prices are equal, and every quantity is a number of zero or more. `_ZEROS` has every spelling of zero.
3. `_near` has the key of every price above `_floor`, and no other; with `_floor` None, of every price. So the last key
   of `_near` that has a quantity is the best price of the whole side.
4. `_prices` has the text of every key in `_near`, and of no other.
5. Levels at the edge or better are all known. Worse ones are there as far as they have changed since the snapshot.
"""

from bisect import insort
from decimal import Decimal
from itertools import islice

from binance_streamer.exchange.depth import Level
from binance_streamer.exchange.messages import ExchangeError
from services.orderbook.book.decimal_text import digits_of, padded, places_of

_MOST_NEAR = 1024
"""Prices kept in order; beyond it those without a level are dropped, and the worse half if that is not enough."""
_LEAST_REFILL = 512
"""Prices in order after a refill, which costs a pass over the whole side: about a millisecond for 5,000 levels."""
_LEAST_GONE = 256
"""Prices without a level are dropped when all prices are a quarter more than the levels were, and this beside."""
_MOST_DIGITS = 40
"""Characters of a price: more are no price, and would cost time to parse."""
_ZEROS = frozenset({"0", *(f"0.{'0' * places}" for places in range(19))})
"""Spellings of zero, with up to 18 decimals: to look into a set is much faster than to parse a number."""


class Side:
    """The bids (`sign` 1) or the asks (`sign` -1) of a book. Prices and quantities are the exchange's texts."""

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
        self._halfway_key: int | None = None  # half way from the best price to the edge, when it was set

    def __len__(self) -> int:
        return len(self._quantities) - sum(map(_ZEROS.__contains__, self._quantities.values()))

    def copy(self) -> "Side":
        """Return a side with the same levels that changes independently of this one."""
        other = Side(self.sign)
        other.__dict__.update(self.__dict__)
        other._quantities, other._near, other._prices = dict(self._quantities), list(self._near), dict(self._prices)
        return other

    def load(self, levels: list[Level], edge: str | None = None) -> None:
        """Replace everything by these levels; levels worse than the price `edge` are not known, None: all are."""
        self._places = max((places_of(price) for price, _ in levels), default=0)
        self._quantities = {self._spelt(price): quantity for price, quantity in levels}
        self._order_best(_LEAST_REFILL)
        self.trust(edge)

    def apply(self, changes: list[Level]) -> None:
        """Set the quantity at each price; zero removes the level.

        `ExchangeError` at a new price that is no decimal number; the changes of known prices are then made already, so
        that the book must be loaded again.
        """
        quantities = self._quantities
        known = len(quantities)
        quantities.update(changes)
        if len(quantities) != known:
            self._enter(changes, len(quantities) - known)

    def best(self) -> Level | None:
        """Return the best level, None where the side is empty."""
        key = self.best_key()
        if key is None:
            return None
        price = self._prices[key]
        return price, self._quantities[price]

    def best_key(self) -> int | None:
        """Return the best price as `key_of` gives it, None where the side is empty."""
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
        """Return the best `number` levels, best first; fewer where the side has fewer."""
        if number > _LEAST_REFILL:
            return self.levels()[:number]
        found = self._nearest(number)
        if len(found) < number and self._floor is not None:
            self._order_best(_LEAST_REFILL)
            found = self._nearest(number)
        return found

    def levels(self) -> list[Level]:
        """Return all levels, best first; it sorts the whole side."""
        there = [level for level in self._quantities.items() if level[1] not in _ZEROS]
        return sorted(there, key=lambda level: self.key_of(level[0]), reverse=True)

    def quantity(self, price: str) -> str | None:
        """Return the quantity at a price, however many zeros the price ends with; None where there is no level."""
        quantity = self._quantities.get(self._spelt(price))
        return None if quantity in _ZEROS else quantity

    @property
    def edge(self) -> str | None:
        """The worst price up to which all levels are known; None: all are."""
        return self._edge

    def trust(self, edge: str | None) -> None:
        """Take all levels up to the price `edge` for known from now on; None: all levels."""
        if edge is not None and places_of(edge) > self._places:
            self._widen(places_of(edge))
        self._edge = edge
        self._edge_key = self._halfway_key = None
        if edge is not None:
            self._edge_key = self.key_of(self._spelt(edge))
            best = self.best_key()
            self._halfway_key = self._edge_key if best is None else (self._edge_key + best) // 2

    def trusts(self, price: str) -> bool:
        """Return True if a price is not worse than the edge, so that its level is known if it has one."""
        return self._edge is None or self.sign * Decimal(price) >= self.sign * Decimal(self._edge)

    def known(self, best: list[Level]) -> list[Level]:
        """Return those of the best levels, given best first, among which none is missing: up to the edge."""
        edge_key = self._edge_key
        if edge_key is None or not best or self.key_of(best[-1][0]) >= edge_key:
            return best
        return [level for level in best if self.key_of(level[0]) >= edge_key]

    @property
    def is_running_out(self) -> bool:
        """Return True if the best price has gone half of the way to the edge since that was set."""
        if self._halfway_key is None:
            return False
        best = self.best_key()
        return best is None or best < self._halfway_key

    @property
    def is_best_known(self) -> bool:
        """Return True if no better level than the best one here can be missing."""
        if self._edge_key is None:
            return True
        best = self.best_key()
        return best is not None and best >= self._edge_key

    @property
    def places(self) -> int:
        """The number of decimals of every price of this side."""
        return self._places

    def key_of(self, price: str) -> int:
        """Return the price of a level here in units of its last decimal, negative for asks: the better, the higher.

        It means something only beside other keys of this side, all of which have the same number of decimals.
        """
        return self.sign * int(price.replace(".", ""))

    def check(self) -> None:
        """Walk through every invariant of the module's docstring; for tests, it is slow."""
        for price, quantity in self._quantities.items():
            assert places_of(price) == self._places, f"{price} is spelt otherwise"
            assert digits_of(quantity) > 0 or quantity in _ZEROS, f"{price} has the quantity {quantity}"
            assert digits_of(price) >= 0
        keys = sorted(self.key_of(price) for price in self._quantities)
        assert len(set(keys)) == len(keys), "two levels of one price"
        assert self._near == [key for key in keys if self._floor is None or key > self._floor]
        assert self._near == sorted(self._prices)
        assert [self.key_of(self._prices[key]) for key in self._near] == self._near
        there = [price for price, quantity in self._quantities.items() if digits_of(quantity)]
        assert len(there) == len(self)
        best = max(there, key=self.key_of, default=None)
        assert self.is_best_known == (self._edge is None or (best is not None and self.trusts(best)))

    def _enter(self, changes: list[Level], number: int) -> None:
        """Enter the last `number` prices of `_quantities`: new levels, or known ones that are spelt otherwise."""
        quantities, places, floor = self._quantities, self._places, self._floor
        found = []
        is_respelt = False
        new = list(islice(reversed(quantities), number))
        for price in new:
            whole, point, fraction = price.partition(".")
            digits = whole + fraction
            is_odd = not whole or (point and not fraction) or whole[0] == "0" != whole or len(price) > _MOST_DIGITS
            if is_odd or not (digits.isascii() and digits.isdecimal()):
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
        """Apply changes some of whose prices have another number of decimals: the exchange has changed the tick."""
        places = max((places_of(price) for price, quantity in changes if quantity not in _ZEROS), default=0)
        if places > self._places:
            self._widen(places)
        respelt = [(self._spelt(price), quantity) for price, quantity in changes]
        self.apply([level for level in respelt if places_of(level[0]) == self._places])  # the others remove nothing

    def _spelt(self, price: str) -> str:
        """Return the price with this side's number of decimals, where it can be written so; else as it is."""
        places = places_of(price)
        if places < self._places:
            return padded(price, self._places)
        surplus = places - self._places
        if surplus and price.endswith("0" * surplus):
            return price[:-surplus].rstrip(".")
        return price

    def _widen(self, places: int) -> None:
        """Spell every price of this side with more decimals; keys and edge follow."""
        self._places = places
        self._quantities = {padded(price, places): quantity for price, quantity in self._quantities.items()}
        self._order_best(_LEAST_REFILL)
        self.trust(self._edge)

    def _nearest(self, number: int) -> list[Level]:
        """Return up to `number` of the best levels, as far as they are in order."""
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
        """Order the best `number` levels anew from the whole side, and drop the prices without a level."""
        self._drop_gone()
        prices = {self.key_of(price): price for price in self._quantities}
        keys = sorted(prices)
        self._near, self._floor = keys[-number:], keys[-number - 1] if len(keys) > number else None
        self._prices = {key: prices[key] for key in self._near}

    def _drop_gone(self) -> None:
        """Drop the prices without a level from `_quantities`; the caller brings `_near` in line."""
        self._quantities = {price: quantity for price, quantity in self._quantities.items() if quantity not in _ZEROS}
        self._most = len(self._quantities) * 5 // 4 + _LEAST_GONE

    def _shed(self) -> None:
        """Keep fewer prices in order: those with a level, and if these are still too many their better half."""
        gone = [key for key in self._near if self._quantities[self._prices[key]] in _ZEROS]
        self._forget([self._prices.pop(key) for key in gone])
        self._near = sorted(self._prices)
        half = _MOST_NEAR // 2
        if len(self._near) > half:
            self._floor = self._near[-half - 1]
            self._near = self._near[-half:]
            self._prices = {key: self._prices[key] for key in self._near}
