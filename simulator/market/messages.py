"""The exchange's messages of one symbol, in the wire format of autumn 2026 (docs/exchange.md §2).

In: integers in units of the last digit. Out: JSON text, with the keys, their order and their spaces as the exchange
sends them. Text is put together by hand, because a JSON library would choose spaces and number formats of its own.
"""

from collections.abc import Iterable

from simulator.market.bars import Bar
from simulator.market.contract import Contract, decimal_text
from simulator.market.engine import Fill, MarketStep

PUSH_DELAY_MS = 150  # both live samples of aggTrade have E - T = 150


class Decimals(dict[int, str]):
    """Units to text, remembered: formatting a number costs ten times its look-up."""

    def __init__(self, digits: int) -> None:
        super().__init__()
        self.digits = digits

    def __missing__(self, units: int) -> str:
        if len(self) > 200_000:
            self.clear()
        text = self[units] = decimal_text(units, self.digits)
        return text


class Messages:
    """Writes the messages of one contract; prices and quantities have its digits, times are ms of the exchange's clock.

    It holds no state but remembered texts of numbers: ids and times come from the caller.
    """

    def __init__(self, contract: Contract) -> None:
        self.contract = contract
        self.symbol = contract.symbol
        self.price = Decimals(contract.price_digits)
        self.quantity = Decimals(contract.quantity_digits)

    def levels(self, levels: Iterable[tuple[int, int]]) -> str:
        """Return `[price,quantity]` pairs joined by commas, without the brackets around them, in the given order."""
        price, quantity = self.price, self.quantity
        return ",".join([f'["{price[units]}","{quantity[amount]}"]' for units, amount in levels])

    def batch_core(self, batch: MarketStep) -> str:
        """The fields that stream and REST answer share, from `p` to `m`."""
        quantity = self.quantity
        return (
            f'"p":"{self.price[batch.price]}","q":"{quantity[batch.quantity]}","nq":"{quantity[batch.normal_quantity]}",'
            f'"f":{batch.first_id},"l":{batch.last_id},"T":{batch.time_ms},"m":{_bool(batch.buyer_is_maker)}'
        )

    def agg_trade(self, batch: MarketStep, core: str) -> str:
        """Return an aggTrade; `E` is 150 ms after `T` (docs/exchange.md §2.1). `core` comes from `batch_core`."""
        pushed_ms = batch.time_ms + PUSH_DELAY_MS
        return f'{{"e":"aggTrade","E":{pushed_ms},"a":{batch.agg_id},"s":"{self.symbol}",{core},"st":1}}'

    def trade(self, fill: Fill, now_ms: int, *, buyer_is_maker: bool) -> str:
        """Return a trade; a record of type NA has price and quantity 0, without digits (docs/exchange.md §2.9)."""
        price, quantity = ("0", "0") if fill.kind == "NA" else (self.price[fill.price], self.quantity[fill.quantity])
        return (
            f'{{"e":"trade","E":{now_ms},"T":{now_ms},"s":"{self.symbol}","t":{fill.trade_id},"p":"{price}",'
            f'"q":"{quantity}","X":"{fill.kind}","m":{_bool(buyer_is_maker)},"st":1}}'
        )

    def depth(self, now_ms: int, ids: tuple[int, int, int], bids: str, asks: str) -> str:
        """`ids` are U, u and pu; `bids` and `asks` come from `levels`."""
        return (
            f'{{"e":"depthUpdate","E":{now_ms},"T":{now_ms},"s":"{self.symbol}","ps":"{self.symbol}",'
            f'"U":{ids[0]},"u":{ids[1]},"pu":{ids[2]},"b":[{bids}],"a":[{asks}],"st":1}}'
        )

    def snapshot(self, now_ms: int, update_id: int, bids: str, asks: str) -> str:
        """Return the answer of /fapi/v1/depth; `bids` and `asks` come from `levels`. It names no symbol (§4)."""
        return f'{{"lastUpdateId":{update_id},"E":{now_ms},"T":{now_ms},"bids":[{bids}],"asks":[{asks}]}}'

    def book_ticker(self, now_ms: int, update_id: int, best: tuple[int, int, int, int]) -> str:
        """`best` is bid, its quantity, ask, its quantity."""
        price, quantity = self.price, self.quantity
        return (
            f'{{"e":"bookTicker","u":{update_id},"s":"{self.symbol}","ps":"{self.symbol}","b":"{price[best[0]]}",'
            f'"B":"{quantity[best[1]]}","a":"{price[best[2]]}","A":"{quantity[best[3]]}",'
            f'"T":{now_ms},"E":{now_ms},"st":1}}'
        )

    def kline(self, now_ms: int, interval: str, bar: Bar, *, is_closed: bool) -> str:
        """Spaces after the commas inside `k`, as the exchange sends it since 2026."""
        price = self.price
        return (
            f'{{"e":"kline","E":{now_ms},"s":"{self.symbol}","k":{{"t":{bar.open_time_ms}, "T":{bar.close_time_ms}, '
            f'"s":"{self.symbol}", "i":"{interval}", "f":{bar.first_id}, "L":{bar.last_id}, "o":"{price[bar.open]}", '
            f'"c":"{price[bar.close]}", "h":"{price[bar.high]}", "l":"{price[bar.low]}", '
            f'"v":"{self.volume(bar.volume)}", "n":{bar.trades}, "x":{_bool(is_closed)}, '
            f'"q":"{self.quote(bar.quote)}", "V":"{self.volume(bar.buy_volume)}", '
            f'"Q":"{self.quote(bar.buy_quote)}", "B":"0"}}}}'
        )

    def kline_row(self, bar: Bar) -> str:
        """Return one row of /fapi/v1/klines, an array of twelve values in the exchange's order."""
        price = self.price
        return (
            f'[{bar.open_time_ms},"{price[bar.open]}","{price[bar.high]}","{price[bar.low]}","{price[bar.close]}",'
            f'"{self.volume(bar.volume)}",{bar.close_time_ms},"{self.quote(bar.quote)}",{bar.trades},'
            f'"{self.volume(bar.buy_volume)}","{self.quote(bar.buy_quote)}","0"]'
        )

    def volume(self, units: int) -> str:
        """Return a sum of quantities as text; zero is `0`, without decimals."""
        return decimal_text(units, self.contract.quantity_digits) if units else "0"

    def quote(self, units: int) -> str:
        """Return a sum of price times quantity as text, with the digits of both; zero is `0`."""
        return decimal_text(units, self.contract.quote_digits) if units else "0"

    def mark_price(self, now_ms: int, units: int) -> str:
        """Return a markPrice with 8 digits; `T` is the next funding time, every 8 h (docs/exchange.md §2.7)."""
        mark = decimal_text(units * 10 ** (8 - self.contract.price_digits), 8)
        funding_ms = 8 * 3_600_000
        return (
            f'{{"e":"markPriceUpdate","E":{now_ms},"s":"{self.symbol}","p":"{mark}","ap":"{mark}","P":"{mark}",'
            f'"i":"{mark}","r":"0.00010000","T":{now_ms - now_ms % funding_ms + funding_ms},"st":1}}'
        )

    def force_order(self, now_ms: int, side: str, price: int, quantity: int) -> str:
        """`ps` and `st` inside `o`, as on the wire."""
        amount, at = self.quantity[quantity], self.price[price]
        return (
            f'{{"e":"forceOrder","E":{now_ms},"o":{{"s":"{self.symbol}","S":"{side}","o":"LIMIT","f":"IOC","q":"{amount}",'
            f'"p":"{at}","ap":"{at}","X":"FILLED","l":"{amount}","z":"{amount}","T":{now_ms - 4},'
            f'"ps":"{self.symbol}","st":1}}}}'
        )

    def mini_ticker(self, now_ms: int, day: Bar) -> str:
        """Return a miniTicker of the day's bar; `ps` and `st` are at the end."""
        return f'{{"e":"24hrMiniTicker","E":{now_ms},"s":"{self.symbol}",{self._day(day)},"ps":"{self.symbol}","st":1}}'

    def ticker(self, now_ms: int, day: Bar) -> str:
        """Return a ticker of the day's bar; the change is close minus open, the average is by volume."""
        change = decimal_text(abs(day.close - day.open), self.contract.price_digits)
        sign = "-" if day.close < day.open else ""
        percent = (day.close - day.open) * 100 / day.open
        average = self.price[day.quote // day.volume if day.volume else day.close]
        return (
            f'{{"e":"24hrTicker","E":{now_ms},"s":"{self.symbol}","ps":"{self.symbol}","p":"{sign}{change}","P":"{percent:.3f}",'
            f'"w":"{average}",{self._day(day)},"Q":"{self.quantity[1]}","O":{day.open_time_ms},"C":{now_ms},'
            f'"F":{day.first_id},"L":{day.last_id},"n":{day.trades},"st":1}}'
        )

    def _day(self, day: Bar) -> str:
        """Return the fields that both tickers share, from `c` to `q`."""
        price = self.price
        return (
            f'"c":"{price[day.close]}","o":"{price[day.open]}","h":"{price[day.high]}","l":"{price[day.low]}",'
            f'"v":"{self.volume(day.volume)}","q":"{self.quote(day.quote)}"'
        )


def _bool(value: bool) -> str:
    return "true" if value else "false"
