"""Klines: sums of the trades, one series for each interval, all fed from the one-minute bar.

Prices and volumes are integers in units of their last digit, so that sums are exact. A bar of a longer interval is the
sum of its closed minutes and the open one: so a trade is added once, and not once for each interval.
"""

from collections import deque
from dataclasses import dataclass, field, replace

MINUTE_MS = 60_000
INTERVALS_MS = {
    "1m": MINUTE_MS,
    "3m": 3 * MINUTE_MS,
    "5m": 5 * MINUTE_MS,
    "15m": 15 * MINUTE_MS,
    "30m": 30 * MINUTE_MS,
    "1h": 60 * MINUTE_MS,
    "2h": 120 * MINUTE_MS,
    "4h": 240 * MINUTE_MS,
    "6h": 360 * MINUTE_MS,
    "8h": 480 * MINUTE_MS,
    "12h": 720 * MINUTE_MS,
    "1d": 1440 * MINUTE_MS,
}
_KEPT_BARS = 1500  # the most that one /fapi/v1/klines answer may hold


@dataclass(slots=True)
class Bar:
    """Prices, volumes and quote volumes in units of their last digit; ids are -1 while there is no trade."""

    open_time_ms: int
    interval_ms: int
    open: int
    high: int
    low: int
    close: int
    first_id: int = -1
    last_id: int = -1
    trades: int = 0
    volume: int = 0
    quote: int = 0
    buy_volume: int = 0
    buy_quote: int = 0

    @property
    def close_time_ms(self) -> int:
        """The last millisecond of the bar, as `k.T` has it."""
        return self.open_time_ms + self.interval_ms - 1

    def add(self, price: int, quantity: int, trade_id: int, *, buyer_takes: bool) -> None:
        """Add one trade to prices, volumes and counts."""
        if self.trades == 0:
            self.open = self.high = self.low = price
            self.first_id = trade_id
        elif price > self.high:
            self.high = price
        elif price < self.low:
            self.low = price
        self.close = price
        self.last_id = trade_id
        self.trades += 1
        self.volume += quantity
        self.quote += price * quantity
        if buyer_takes:
            self.buy_volume += quantity
            self.buy_quote += price * quantity

    def absorb(self, later: "Bar") -> None:
        """Add a bar that follows this one; a bar without trades changes nothing, not even the close."""
        if later.trades == 0:
            return
        if self.trades == 0:
            self.open, self.high, self.low, self.first_id = later.open, later.high, later.low, later.first_id
        self.high = max(self.high, later.high)
        self.low = min(self.low, later.low)
        self.close, self.last_id = later.close, later.last_id
        self.trades += later.trades
        self.volume += later.volume
        self.quote += later.quote
        self.buy_volume += later.buy_volume
        self.buy_quote += later.buy_quote


@dataclass(slots=True)
class KlineSeries:
    """The bars of one interval. `unsent` are those closed whose last message is still owed."""

    interval_ms: int
    partial: Bar
    closed: deque[Bar] = field(default_factory=lambda: deque(maxlen=_KEPT_BARS))
    unsent: deque[Bar] = field(default_factory=lambda: deque(maxlen=_KEPT_BARS))


class Bars:
    """Bars of all intervals of one symbol, all of them begun at `now_ms` cut down to the interval.

    `minute` is the open minute. `series` has, for each interval, the sum of its closed minutes (`partial`) and closed
    bars.
    """

    def __init__(self, now_ms: int, price: int) -> None:
        self.minute = _empty(now_ms, MINUTE_MS, price)
        self.series = {
            name: KlineSeries(interval_ms, _empty(now_ms, interval_ms, price))
            for name, interval_ms in INTERVALS_MS.items()
        }

    def roll(self, now_ms: int) -> None:
        """Close every bar whose time is over. A clock that went back leaves the open bar open."""
        while now_ms > self.minute.close_time_ms:
            self._close_minute()

    def _close_minute(self) -> None:
        """Add the open minute to every series, close the series that end with it, and open the next minute.

        A bar without trades is closed, too, with the last price: the exchange sends one for each interval.
        """
        minute = self.minute
        next_open_ms = minute.open_time_ms + MINUTE_MS
        for series in self.series.values():
            series.partial.absorb(minute)
            if next_open_ms > series.partial.close_time_ms:
                series.closed.append(series.partial)
                series.unsent.append(series.partial)
                series.partial = _empty(next_open_ms, series.interval_ms, minute.close)
        self.minute = _empty(next_open_ms, MINUTE_MS, minute.close)

    def current(self, interval: str) -> Bar:
        """Return the open bar of an interval as it is now."""
        if interval == "1m":
            return self.minute
        bar = replace(self.series[interval].partial)
        bar.absorb(self.minute)
        return bar


def _empty(now_ms: int, interval_ms: int, price: int) -> Bar:
    """Return a bar without trades for the interval around `now_ms`, its four prices equal to `price`."""
    return Bar(now_ms - now_ms % interval_ms, interval_ms, price, price, price, price)
