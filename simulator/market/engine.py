"""One symbol's market: takers hit the book, quotes move its top, the other levels churn. Seeded, and without I/O.

Every random choice comes from the generator that was passed in, in an order that does not depend on who listens: the
same seed makes the same market.
"""

import math
import random
from typing import NamedTuple

from simulator.market.bars import Bars
from simulator.market.book import ASK, BID, TrueBook
from simulator.market.contract import Contract

_DEPTH_TICKS = 300  # levels of a fresh book
_MOST_LEVELS = 900  # below the 1000 of a snapshot, so that a snapshot is the whole book
_PULL = 0.01  # prices lean back to the first price; this far away the lean is strongest


class Fill(NamedTuple):
    """One trade, with price and quantity in units of the contract's last digits.

    Quantity 0 is a record of the exchange without a price, type NA (docs/exchange.md §2.9).
    """

    trade_id: int
    price: int
    quantity: int
    kind: str


class MarketStep(NamedTuple):
    """An aggregate trade: the fills of one taker at one price."""

    agg_id: int
    price: int
    quantity: int
    normal_quantity: int
    first_id: int
    last_id: int
    time_ms: int
    buyer_is_maker: bool


class Engine:
    """The market of one contract: its book, its trades, its bars.

    `agg_id` and `trade_id` are the last ids that were used. Ids begin in the order of magnitude of the exchange's own,
    so that code which cannot hold them fails here.
    """

    def __init__(self, contract: Contract, rng: random.Random, now_ms: int) -> None:
        self.contract = contract
        self.rng = rng
        self.book = TrueBook(contract.tick, 11_671_659_683_000 + rng.getrandbits(20))
        self.agg_id = 3_466_782_000 + rng.getrandbits(16)
        self.trade_id = 8_123_344_000 + rng.getrandbits(16)
        self.last_price = contract.first_price
        self.bars = Bars(now_ms, contract.first_price)
        self._distances = [_distance(index) for index in range(256)]
        unit = 10**contract.quantity_digits
        self._lots = [max(1, int(unit * math.exp(rng.gauss(0.5, 1.5)))) for _ in range(256)]
        self._fill_book()

    def _fill_book(self) -> None:
        """Fill both sides from the first price outwards, with a fifth of the levels left empty."""
        tick, first = self.contract.tick, self.contract.first_price
        for distance in range(_DEPTH_TICKS):
            if distance and self.rng.random() < 0.2:
                continue
            self.book.put(BID, first - distance * tick, self.rng.choice(self._lots))
            self.book.put(ASK, first + (distance + 1) * tick, self.rng.choice(self._lots))

    def churn(self, count: int) -> None:
        """Set or remove `count` levels behind the best ones, mostly near them."""
        book, tick = self.book, self.contract.tick
        for _ in range(count):
            bits = self.rng.getrandbits(20)
            distance = self._distances[bits & 255] * tick
            side, price, levels = (
                (BID, book.best_bid - distance, book.bids)
                if bits >> 8 & 1
                else (ASK, book.best_ask + distance, book.asks)
            )
            if price in levels and bits >> 9 & 3 == 0:
                book.remove(side, price)
            else:
                book.put(side, price, self._lots[bits >> 11 & 255])
        if len(book.bids) > _MOST_LEVELS:
            book.remove(BID, min(book.bids))
        if len(book.asks) > _MOST_LEVELS:
            book.remove(ASK, max(book.asks))

    def quote(self) -> None:
        """Change the best bid or ask: close a wide spread, else a new quantity, seldom a cancelled level."""
        book, tick = self.book, self.contract.tick
        bits = self.rng.getrandbits(16)
        side, best = (BID, book.best_bid) if bits & 1 else (ASK, book.best_ask)
        quantity = self._lots[bits >> 8]
        if book.best_ask - book.best_bid > tick and bits & 6:
            book.put(side, best + side * tick, quantity)
        elif bits & 0x78 == 0:
            book.remove(side, best)
        else:
            book.put(side, best, quantity)

    def take(self, now_ms: int) -> tuple[MarketStep, list[Fill]]:
        """Return a taker's fills at the best price, and the aggregate that they make."""
        book, rng = self.book, self.rng
        first_price = self.contract.first_price
        lean = (first_price - self.last_price) / (first_price * _PULL)
        buyer_takes = rng.random() < 0.5 + max(-0.4, min(0.4, lean))
        side, price, levels = (ASK, book.best_ask, book.asks) if buyer_takes else (BID, book.best_bid, book.bids)
        available = levels[price]
        quantity = min(available, rng.choice(self._lots) // 4 + 1)
        if quantity < available:
            book.put(side, price, available - quantity)
        else:
            if len(levels) < 50:
                self._replenish(side, price)
            book.remove(side, price)
        fills = self._fills(price, quantity)
        self._record(fills, now_ms, buyer_takes=buyer_takes)
        self.agg_id += 1
        normal = sum(fill.quantity for fill in fills if fill.kind == "MARKET")
        batch = MarketStep(
            self.agg_id, price, quantity, normal, fills[0].trade_id, self.trade_id, now_ms, not buyer_takes
        )  # fmt: skip
        return batch, fills

    def not_a_market_trade(self) -> Fill:
        """Take a trade id for a record that no aggregate and no bar contains (docs/exchange.md §2.9)."""
        self.trade_id += 1
        return Fill(self.trade_id, 0, 0, "NA")

    def _replenish(self, side: int, price: int) -> None:
        """Put levels behind the best price of a side that runs empty, so that a taker always finds one."""
        book_side = BID if side > 0 else ASK
        for distance in range(1, 100):
            self.book.put(book_side, price - side * distance * self.contract.tick, self.rng.choice(self._lots))

    def _fills(self, price: int, quantity: int) -> list[Fill]:
        """Split a taker's quantity into one to three trades with consecutive ids; their quantities sum up to it.

        One time in 128 the last one is of type RPI, which counts in `q` and not in `nq`.
        """
        bits = self.rng.getrandbits(10)
        count = min(quantity, (1, 1, 1, 1, 1, 2, 2, 3)[bits & 7])
        share, rest = divmod(quantity, count)
        quantities = [share] * (count - 1) + [share + rest]
        kinds = ["MARKET"] * count
        if bits >> 3 == 0:
            kinds[-1] = "RPI"
        fills = [
            Fill(self.trade_id + 1 + index, price, filled, kind)
            for index, (filled, kind) in enumerate(zip(quantities, kinds, strict=True))
        ]
        self.trade_id += count
        return fills

    def _record(self, fills: list[Fill], now_ms: int, *, buyer_takes: bool) -> None:
        """Add fills to the open minute, after closing bars whose time is over, and keep the last price."""
        self.bars.roll(now_ms)
        for fill in fills:
            self.bars.minute.add(fill.price, fill.quantity, fill.trade_id, buyer_takes=buyer_takes)
        self.last_price = fills[0].price


def _distance(index: int) -> int:
    """Ticks behind the best price: exponential, and the last few far away, as on the exchange."""
    ticks = 1 + int(-60 * math.log(1 - index / 256))
    return ticks * 10 if index > 251 else ticks
