"""A small recorded day of own making, as CSV files, in which every check of `verify` has something to compare.

Three minutes of BTCUSDT on 2026-11-22, with a hole in the aggTrades that a gap row lists, an outage of bookTicker, and
a hole in depth behind which a new snapshot builds the book anew. Written by hand and by decimals, without code of ours.
"""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

SYMBOL, DAY = "BTCUSDT", "20261122"
START_MS = 1_795_305_600_000
"""2026-11-22 00:00 UTC."""
EPOCH = 1_795_300_000_000_000_001
COLUMNS = {
    "aggtrade": "agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker,event_time,"
    "normal_quantity",
    "kline_1m": "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,"
    "taker_buy_quote_volume,ignore,is_closed,first_trade_id,last_trade_id,event_time",
    "depth": "first_update_id,final_update_id,prev_final_update_id,transact_time,event_time,bids,asks",
    "bookticker": "update_id,best_bid_price,best_bid_qty,best_ask_price,best_ask_qty,transaction_time,event_time",
    "snapshot": "last_update_id,transact_time,event_time,bids,asks,requested_ns",
    "markprice": "event_time,mark_price,mark_price_average,index_price,estimated_settle_price,funding_rate,"
    "next_funding_time",
    "gap": "gap_id,state,stream,from_id,to_id,from_ns,to_ns,reason,repaired_by,first_from_id,first_to_id,missing",
    "orderbook": "stream,synchronised,state,last_update_id,transact_time,event_time,best_bid,best_ask,spread,"
    "bid_levels,ask_levels,updates,resyncs,bids,asks",
}
TAIL = "recv_ns,epoch,seq,source,extra"
HOLE = range(1101, 1104)
"""Ids of aggTrades that are missing, and listed."""


def recv_ns(time_ms: int) -> int:
    """Every message is received 5 ms behind its time."""
    return (time_ms + 5) * 1_000_000


class DayWriter:
    """The lines of each file, which a test may change before they are written."""

    def __init__(self) -> None:
        self.lines: dict[str, list[str]] = {stem: [] for stem in COLUMNS}
        self._trades()
        self._book()
        for second in range(180):
            now = START_MS + 1000 * second
            self.add("markprice", f"{now},84551.1,,84559.2,84590.8,0.00000801,1795334400000", now)
        self._gaps()

    def add(self, stem: str, cells: str, time_ms: int, source: str = "ws") -> None:
        """Add a row with the next number."""
        number = len(self.lines[stem]) + 1
        self.lines[stem].append(f"{cells},{recv_ns(time_ms)},{EPOCH},{number},{source},")

    def write(self, data: Path) -> None:
        """Write all files into a data folder."""
        folder = data / SYMBOL
        folder.mkdir(parents=True, exist_ok=True)
        for stem, lines in self.lines.items():
            text = "".join(f"{line}\n" for line in [f"{COLUMNS[stem]},{TAIL}", *lines])
            (folder / f"{stem}_{SYMBOL}_{DAY}.csv").write_text(text, encoding="utf-8")

    def place_of(self, stem: str, is_wanted: Callable[[list[str]], bool]) -> int:
        """Return the place of the first line whose cells are wanted."""
        return next(place for place, line in enumerate(self.lines[stem]) if is_wanted(line.split(",")))

    def _trades(self) -> None:
        """Two aggregates of two trades a second, and the bar of each minute; trades of the hole are in no row."""
        minute: list[tuple[Decimal, Decimal, bool, int]] = []
        number = 0
        for half in range(360):
            agg_id, now = 1000 + half, START_MS + 500 * half
            price = Decimal("84000.0") + Decimal(half * 7 % 23) / 10
            quantity = Decimal(half % 9 + 1) / 1000
            is_maker = half % 3 == 0
            first = 50_000 + 2 * half
            minute.append((price, quantity, is_maker, first))
            if agg_id not in HOLE:
                maker = "true" if is_maker else "false"
                cells = f"{agg_id},{price},{quantity},{first},{first + 1},{now},{maker},{now + 150},{quantity}"
                self.add("aggtrade", cells, now)
            if half % 120 == 119:
                self._bar(START_MS + 60_000 * number, minute)
                minute, number = [], number + 1

    def _bar(self, open_ms: int, trades: list[tuple[Decimal, Decimal, bool, int]]) -> None:
        prices = [price for price, *_ in trades]
        volume = sum(quantity for _, quantity, *_ in trades)
        quote = sum(price * quantity for price, quantity, *_ in trades)
        buy = [(price, quantity) for price, quantity, is_maker, _ in trades if not is_maker]
        for is_closed, late_ms in (("false", 30_000), ("true", 60_200)):
            ends = f"{prices[0]},{max(prices)},{min(prices)},{prices[-1]}"
            cells = (
                f"{open_ms},{ends},{volume},{open_ms + 59_999},{quote},240,"
                f"{sum(quantity for _, quantity in buy)},{sum(price * quantity for price, quantity in buy)},0,"
                f"{is_closed},{trades[0][3]},{trades[-1][3] + 1},{open_ms + late_ms}"
            )
            self.add("kline_1m", cells, open_ms + late_ms)

    def _book(self) -> None:
        """A snapshot, 180 updates of one level a side, the top and every tenth time a summary behind each."""
        bids = {Decimal(84000 - level): Decimal(level + 1) for level in range(20)}
        asks = {Decimal(84010 + level): Decimal(level + 1) for level in range(20)}
        last = 7000
        self._snapshot(last, START_MS, bids, asks)
        for number in range(180):
            now = START_MS + 1000 * number + 300
            previous, last = last, last + 30
            bid, ask = Decimal(84000 - number % 7), Decimal(84010 + number % 5)
            bids[bid], asks[ask] = Decimal(number % 4), Decimal(number % 3 + 1)
            bids = {price: quantity for price, quantity in bids.items() if quantity}
            if number not in (90, 91):  # lost, and listed
                levels = f'"[[{bid},{number % 4}]]","[[{ask},{number % 3 + 1}]]"'
                self.add("depth", f"{previous + 10},{last},{previous},{now},{now + 1},{levels}", now)
            best_bid, best_ask = max(bids), min(asks)
            if not 60 <= number < 65:  # an outage of bookTicker, listed
                best = f"{best_bid},{bids[best_bid]},{best_ask},{asks[best_ask]}"
                self.add("bookticker", f"{last},{best},{now},{now + 1}", now + 1)
            if number in (95, 170):
                self._snapshot(last, now + 2, bids, asks)
            if number % 10 == 5 and number not in (95,):
                self._summary(last, now, bids, asks)

    def _snapshot(self, last: int, now: int, bids: dict[Decimal, Decimal], asks: dict[Decimal, Decimal]) -> None:
        levels = f'"{_levels(bids, is_bid=True)}","{_levels(asks, is_bid=False)}"'
        self.add("snapshot", f"{last},{now},{now + 1},{levels},{recv_ns(now)}", now, "rest")

    def _summary(self, last: int, now: int, bids: dict[Decimal, Decimal], asks: dict[Decimal, Decimal]) -> None:
        bid, ask = max(bids), min(asks)
        levels = f'"{_levels(bids, is_bid=True, most=5)}","{_levels(asks, is_bid=False, most=5)}"'
        cells = f"btcusdt@depth@0ms,true,synced,{last},{now},{now + 1},{bid},{ask},{ask - bid},20,20,{last},0,{levels}"
        self.add("orderbook", cells, now + 2, "local")

    def _gaps(self) -> None:
        trades = [START_MS + 500 * (agg_id - 1000) for agg_id in (1100, 1104)]
        self._gap("g-1", "btcusdt@aggTrade", (1100, 1103), (recv_ns(trades[0]), recv_ns(trades[1])))
        updates = [START_MS + 1000 * number + 300 for number in (89, 92)]
        ids = (7000 + 30 * 90, 7000 + 30 * 92)
        self._gap("g-2", "btcusdt@depth@0ms", ids, (recv_ns(updates[0]), recv_ns(updates[1])))
        tops = [START_MS + 1000 * number + 301 for number in (59, 65)]
        self._gap("g-3", "btcusdt@bookTicker", None, (recv_ns(tops[0]), recv_ns(tops[1])))

    def _gap(self, gap_id: str, stream: str, ids: tuple[int, int] | None, times: tuple[int, int]) -> None:
        bounds = f"{ids[0]},{ids[1]}" if ids else ","
        missing = str(ids[1] - ids[0]) if ids and "aggTrade" in stream else ""
        cells = f"{gap_id},unrepairable,{stream},{bounds},{times[0]},{times[1]},disconnected,,{bounds},{missing}"
        self.add("gap", cells, times[1] // 1_000_000, "local")


def _levels(side: dict[Decimal, Decimal], *, is_bid: bool, most: int | None = None) -> str:
    prices = sorted(side, reverse=is_bid)[:most]
    return "[" + ",".join(f"[{price},{side[price]}]" for price in prices) + "]"
