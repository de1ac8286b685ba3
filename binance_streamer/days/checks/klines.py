"""Check `klines`: closed bars against the aggTrades of their trade ids, as a class.

A bar names its first and last trade. Aggregates that lie within are summed, and those at its ends, whose trades may be
in two bars, make bounds. Where trade ids are in no aggregate (insurance fund, ADL, NA: docs/exchange.md §2.9, §6) the
bar may have more than the aggregates.

| the bar | counts as |
|---|---|
| has the prices and volumes of its aggregates | equal |
| lies within what aggregates at its ends leave open, or has more where trade ids are in no aggregate | explained |
| neither | a finding |
| names no trades (from REST), or aggTrades are missing there | not compared |
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from binance_streamer.days.checks.finding import Finding, FindingList
from binance_streamer.days.checks.levels import shown, unscaled
from binance_streamer.days.checks.order import flat, integers
from binance_streamer.days.checks.ranges import RangeSet

_QUOTE_SCALE = 10**8
"""Price times quantity is in units of 10^-16, quote volumes in those of 10^-8."""


class ClosedBar(NamedTuple):
    """A closed bar, numbers in units of 10^-8; it has the trades `first` to `last`."""

    open_ms: int
    recv_ns: int
    first: int
    last: int
    open: int
    high: int
    low: int
    close: int
    volume: int
    quote: int
    buy_volume: int
    buy_quote: int


class BarCounts(NamedTuple):
    """Closed bars by the outcome of their comparison."""

    equal: int
    explained: int
    different: int
    not_compared: int


class _TradeSum(NamedTuple):
    """One aggregate: its first and last trade, price and quantity in units of 10^-8, and the side that took."""

    first: int
    last: int
    price: int
    quantity: int
    buyer_takes: bool


@dataclass(slots=True)
class _Sums:
    """Sums of the aggregates of one bar; `edge` are those that reach over one of its ends."""

    inside: list[int] = field(default_factory=lambda: [0, 0, 0, 0])
    edge: list[int] = field(default_factory=lambda: [0, 0, 0, 0])
    prices: list[int] = field(default_factory=list)
    trades: RangeSet = field(default_factory=RangeSet)
    high: int = 0
    low: int = 1 << 120
    open: int | None = None
    close: int | None = None
    edge_prices: set[int] = field(default_factory=set)


class KlineComparison:
    """Compares the closed bars of one kline stream with aggTrades, which come in the order of their ids."""

    def __init__(self, stream: str, file: str, bars: Iterable[ClosedBar]) -> None:
        self._found = FindingList("klines", stream, file)
        listed = list(bars)
        with_trades = (bar for bar in listed if 0 <= bar.first <= bar.last)
        self._bars = sorted(with_trades, key=lambda bar: bar.first)
        self._firsts = [bar.first for bar in self._bars]
        self._sums = [_Sums() for _ in self._bars]
        self._counts = dict.fromkeys(BarCounts._fields, 0)
        self._counts["not_compared"] = len(listed) - len(self._bars)
        self._missing = RangeSet()
        """Trade ids that no aggregate can be expected to have: before the first, in holes of aggregate ids."""
        self._last: tuple[int, int] | None = None

    def take(self, table: Any) -> None:
        """Take the next aggTrades, in the order of their ids."""
        names = ("agg_trade_id", "first_trade_id", "last_trade_id", "is_buyer_maker")
        ids = (flat(table[name]).to_pylist() for name in names)
        numbers = (unscaled(table[name]) for name in ("price", "quantity"))
        for number, first, last, is_buyer_maker, price, quantity in zip(*ids, *numbers, strict=True):
            if self._last is None or number != self._last[0] + 1:
                self._missing.add(self._last[1] if self._last else -1, first - 1)
            self._last = number, last
            place = bisect_right(self._firsts, first) - 1
            if place >= 0 and first <= self._bars[place].last:
                self._add(place, _TradeSum(first, last, price, quantity, not is_buyer_maker))
            if place + 1 < len(self._bars) and last >= self._bars[place + 1].first:
                self._add(place + 1, _TradeSum(first, last, price, quantity, not is_buyer_maker))

    def finish(self) -> tuple[list[Finding], BarCounts]:
        """Compare all bars; call it once, behind the last aggregate."""
        end = self._last[1] if self._last else -1
        for bar, sums in zip(self._bars, self._sums, strict=True):
            if bar.last > end or len(self._missing.within(bar.first - 1, bar.last)):
                self._counts["not_compared"] += 1
                continue
            self._compare(bar, sums)
        return self._found.all(), BarCounts(**self._counts)

    def _add(self, place: int, aggregate: _TradeSum) -> None:
        """Add an aggregate to a bar that has some of its trades, or all."""
        bar, sums = self._bars[place], self._sums[place]
        first, last, price, quantity, buyer_takes = aggregate
        is_inside = bar.first <= first and last <= bar.last
        target = sums.inside if is_inside else sums.edge
        quote = price * quantity
        target[0] += quantity
        target[1] += quote
        if buyer_takes:
            target[2] += quantity
            target[3] += quote
        sums.trades.add(max(first, bar.first) - 1, min(last, bar.last))
        sums.high, sums.low = max(sums.high, price), min(sums.low, price)
        sums.open = price if sums.open is None else sums.open
        sums.close = price
        if not is_inside:
            sums.edge_prices.add(price)

    def _compare(self, bar: ClosedBar, sums: _Sums) -> None:
        is_whole = list(sums.trades) == [(bar.first - 1, bar.last)]
        wrong = list(_differences(bar, sums, is_whole=is_whole))
        has_bounds = any(sums.edge) or not is_whole
        if wrong:
            self._counts["different"] += 1
            self._found.add(
                f"the bar of {bar.open_ms} differs from its aggTrades: {'; '.join(wrong)}",
                id=bar.open_ms,
                recv_ns=bar.recv_ns,
            )
        else:
            self._counts["explained" if has_bounds else "equal"] += 1


def _differences(bar: ClosedBar, sums: _Sums, *, is_whole: bool) -> Iterable[str]:
    """Yield the values of a bar that its aggregates cannot explain."""
    values = (bar.volume, bar.quote * _QUOTE_SCALE, bar.buy_volume, bar.buy_quote * _QUOTE_SCALE)
    names = ("volume", "quote_volume", "taker_buy_volume", "taker_buy_quote_volume")
    scales = (1, _QUOTE_SCALE, 1, _QUOTE_SCALE)
    for value, inside, edge, name, scale in zip(values, sums.inside, sums.edge, names, scales, strict=True):
        # a quote volume may have been cut to its digits, by less than one unit of its last one
        if value + scale - 1 < inside or (is_whole and value > inside + edge + scale - 1):
            yield f"{name} {shown(value // scale)}, the aggregates have {shown(inside // scale)}"
    if not is_whole:
        return  # a trade without an aggregate may have set any of the prices
    inner = sums.edge_prices
    for value, summed, name in ((bar.high, sums.high, "high"), (bar.low, sums.low, "low")):
        if value != summed and summed not in inner:
            yield f"{name} {shown(value)}, the aggregates have {shown(summed)}"
    for value, price, name in ((bar.open, sums.open, "open"), (bar.close, sums.close, "close")):
        if price is not None and value != price:
            yield f"{name} {shown(value)}, the aggregates have {shown(price)}"


def bars_of(tables: Iterable[Any]) -> list[ClosedBar]:
    """Return the closed bars in tables of a kline stream; of those of one opening time the last received counts."""
    names = ("open", "high", "low", "close", "volume", "quote_volume", "taker_buy_volume", "taker_buy_quote_volume")
    newest: dict[int, ClosedBar] = {}
    for table in tables:
        closed = table.filter(flat(table["is_closed"]))
        times = integers(closed["open_time"]).to_pylist()
        ids: Sequence[list[Any]] = [
            flat(closed[name]).to_pylist() for name in ("recv_ns", "first_trade_id", "last_trade_id")
        ]
        numbers = (unscaled(closed[name]) for name in names)
        for open_ms, recv_ns, first, last, *rest in zip(times, *ids, *numbers, strict=True):
            known = newest.get(open_ms)
            if known is None or recv_ns >= known.recv_ns:
                absent = first is None or last is None
                newest[open_ms] = ClosedBar(open_ms, recv_ns, *((-1, -1) if absent else (first, last)), *rest)
    return list(newest.values())
