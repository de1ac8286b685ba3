"""Turns one symbol's market into its streams: what each event changes, and which messages follow from it.

What makes the streams agree with one another: bookTicker and depth share the update ids of one book; each depth stream
has a place of its own in the list of changes, so that its `pu` repeats its own last `u`; aggregates are pushed 150 ms
after their trade, and a closed bar 0.2 s after its minute, as at the exchange (docs/exchange.md §2).
"""

from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from typing import Literal

from simulator.market.bars import Bar
from simulator.market.engine import Engine, MarketStep
from simulator.market.history import TradeHistory
from simulator.market.messages import PUSH_DELAY_MS, Messages
from simulator.market.rates import SUFFIXES
from simulator.publisher import PublishedStream
from simulator.stream_names import family_of

IdSpace = Literal["aggTrade", "trade", "book"]
Action = Callable[[int, float], None]  # exchange clock in ms, monotonic clock in s
_CLOSED_AFTER_MS = 200  # the last message of a bar comes 0.2 to 2 s after its minute


class UpdateIds:
    """A depth stream's place in the journal of changed levels, and the `u` that its next `pu` repeats."""

    def __init__(self, update_id: int, position: int) -> None:
        self.last_id = update_id
        self.position = position


class SymbolFeed:
    """All streams of one symbol.

    Every action advances the market alike whether or not somebody listens; only the text is saved where a stream never
    had a subscriber.
    """

    def __init__(
        self, engine: Engine, streams: Mapping[str, PublishedStream], publish: Callable[[PublishedStream, bytes], None]
    ) -> None:
        self.engine = engine
        self.messages = Messages(engine.contract)
        self.streams = streams
        self.status = "TRADING"
        self.history = TradeHistory()
        self._publish = publish
        self._chains: dict[str, UpdateIds] = {}
        self._waiting: deque[tuple[float, MarketStep]] = deque()  # aggregates are pushed 150 ms after their trade
        self._best = (0, 0, 0, 0)
        self._kline_trades: dict[str, int] = {}

    def actions(self, rates: Mapping[str, float]) -> dict[str, tuple[float, Action]]:
        """Return the events of this symbol: how many a second, and what happens.

        Trades come with the aggTrade event, and the book's first update with any of them.
        """
        quotes = max(rates["bookTicker"] - rates["aggTrade"], 0.0)
        actions: dict[str, tuple[float, Action]] = {
            "aggTrade": (rates["aggTrade"], self._trade),
            "bookTicker": (quotes, self._quote),
        }
        for suffix in SUFFIXES:
            if suffix not in ("aggTrade", "bookTicker", "trade"):
                actions[suffix] = (rates[suffix], self._action(suffix))
        actions = {suffix: (rate, action) for suffix, (rate, action) in actions.items() if rate > 0}
        self._chains = {
            suffix: self._chains.get(suffix) or UpdateIds(self.engine.book.update_id, len(self.engine.book.changed))
            for suffix in actions
            if "epth" in suffix
        }
        return actions

    def _action(self, suffix: str) -> Action:
        """Return what an event of this stream does; every suffix of `SUFFIXES` but trades and quotes has one."""
        family = family_of(suffix)
        if suffix == "depth@0ms":
            return self._churn
        if family in ("depth", "rpiDepth"):
            return partial(self._depth, suffix)
        if family.startswith("depth"):
            return partial(self._partial_depth, suffix, int(family.removeprefix("depth")))
        if family == "kline":
            return partial(self._kline, suffix.partition("_")[2])
        return partial(self._text, suffix, {
            "markPrice": self._mark_price_text, "miniTicker": self._mini_ticker_text,
            "ticker": self._ticker_text, "forceOrder": self._force_order_text,
        }[family])  # fmt: skip

    def push_due(self, now_s: float) -> None:
        """Send the aggregates whose time has come; to be called with every event of this symbol."""
        waiting = self._waiting
        while waiting and waiting[0][0] <= now_s:
            batch = waiting.popleft()[1]
            core = self.messages.batch_core(batch)
            self.history.add(batch.agg_id, core)
            stream = self.streams["aggTrade"]
            if stream.has_been_subscribed:
                self._send(stream, self.messages.agg_trade(batch, core))

    def _send(self, stream: PublishedStream, data: str) -> None:
        self._publish(stream, f"{stream.head}{data}}}".encode())

    def _trade(self, now_ms: int, now_s: float) -> None:
        engine, stream = self.engine, self.streams["trade"]
        off_book = [engine.not_a_market_trade()] if engine.rng.random() < 0.004 else []
        batch, fills = engine.take(now_ms)
        self._waiting.append((now_s + PUSH_DELAY_MS / 1000, batch))
        if stream.has_been_subscribed:
            for fill in (*off_book, *fills):
                self._send(stream, self.messages.trade(fill, now_ms, buyer_is_maker=batch.buyer_is_maker))
        self._book_ticker(now_ms)

    def _quote(self, now_ms: int, _now_s: float) -> None:
        self.engine.quote()
        self._book_ticker(now_ms)

    def _book_ticker(self, now_ms: int) -> None:
        book, stream = self.engine.book, self.streams["bookTicker"]
        best = (book.best_bid, book.bids[book.best_bid], book.best_ask, book.asks[book.best_ask])
        if best == self._best:
            return
        self._best = best
        if stream.has_been_subscribed:
            self._send(stream, self.messages.book_ticker(now_ms, book.update_id, best))

    def _churn(self, now_ms: int, now_s: float) -> None:
        bits = self.engine.rng.getrandbits(8)
        has_changed = self._chains["depth@0ms"].position < len(self.engine.book.changed)
        if bits & 24 or not has_changed:  # the others end with a trade or quote, whose id bookTicker has had
            self.engine.churn(70 if bits >= 252 else 2 + (bits & 7))  # 68 levels are usual in a busy real message
        self._depth("depth@0ms", now_ms, now_s)

    def _depth(self, suffix: str, now_ms: int, _now_s: float) -> None:
        """Sends the levels that changed since this stream's last message; nothing where none did."""
        chain, stream, book = self._chains[suffix], self.streams[suffix], self.engine.book
        if chain.position == len(book.changed):
            return
        ids = (book.ids[chain.position], book.ids[-1], chain.last_id)
        changed = set(book.changed[chain.position :]) if stream.has_been_subscribed else None
        self._move(chain)
        if changed is None:
            return
        bids, asks, levels = book.bids.get, book.asks.get, self.messages.levels
        bid_text = levels([(price, bids(price, 0)) for price in sorted([key for key in changed if key > 0])])
        ask_text = levels([(price, asks(price, 0)) for price in sorted([-key for key in changed if key < 0])])
        self._send(stream, self.messages.depth(now_ms, ids, bid_text, ask_text))

    def _move(self, chain: UpdateIds) -> None:
        """Puts a chain at the end of the journal, which is cut to what the slowest chain still needs."""
        book = self.engine.book
        chain.last_id, chain.position = book.ids[-1], len(book.ids)
        if chain.position > 8192:
            done = min(other.position for other in self._chains.values())
            del book.changed[:done], book.ids[:done]
            for other in self._chains.values():
                other.position -= done

    def _partial_depth(self, suffix: str, levels: int, now_ms: int, _now_s: float) -> None:
        chain, stream, book = self._chains[suffix], self.streams[suffix], self.engine.book
        if chain.position == len(book.changed):
            return
        ids = (book.ids[chain.position], book.ids[-1], chain.last_id)
        self._move(chain)
        if stream.has_been_subscribed:
            bids, asks = book.top(levels)
            text = self.messages.levels
            self._send(stream, self.messages.depth(now_ms, ids, text(bids), text(asks)))

    def _kline(self, interval: str, now_ms: int, _now_s: float) -> None:
        """The owed last message of a closed bar, else the open bar where trades changed it."""
        bars, stream = self.engine.bars, self.streams[f"kline_{interval}"]
        bars.roll(now_ms)
        unsent = bars.series[interval].unsent
        if not stream.has_been_subscribed:
            unsent.clear()
        elif unsent:
            closed_ms = unsent[0].close_time_ms
            if not closed_ms < now_ms < closed_ms + _CLOSED_AFTER_MS:  # a clock that was set back does not hold it up
                self._send(stream, self.messages.kline(now_ms, interval, unsent.popleft(), is_closed=True))
        elif self._kline_trades.get(interval) != self.engine.trade_id:
            self._kline_trades[interval] = self.engine.trade_id
            bar = bars.current(interval)
            if bar.trades:
                self._send(stream, self.messages.kline(now_ms, interval, bar, is_closed=False))

    def _text(self, suffix: str, text: Callable[[int], str], now_ms: int, _now_s: float) -> None:
        stream = self.streams[suffix]
        data = text(now_ms)
        if stream.has_been_subscribed:
            self._send(stream, data)

    def _mark_price_text(self, now_ms: int) -> str:
        return self.messages.mark_price(now_ms, self.engine.last_price)

    def _force_order_text(self, now_ms: int) -> str:
        rng, book = self.engine.rng, self.engine.book
        side, price = ("SELL", book.best_bid) if rng.random() < 0.5 else ("BUY", book.best_ask)
        return self.messages.force_order(now_ms, side, price, 1 + rng.getrandbits(12))

    def _mini_ticker_text(self, now_ms: int) -> str:
        return self.messages.mini_ticker(now_ms, self._day())

    def _ticker_text(self, now_ms: int) -> str:
        return self.messages.ticker(now_ms, self._day())

    def _day(self) -> Bar:
        """The UTC day so far; the exchange's window is the last 24 hours."""
        return self.engine.bars.current("1d")

    def snapshot(self, limit: int, now_ms: int) -> str:
        """Return the true book at this moment, as REST writes it."""
        bids, asks = self.engine.book.top(limit)
        text = self.messages
        return text.snapshot(now_ms, self.engine.book.update_id, text.levels(bids), text.levels(asks))

    @staticmethod
    def id_space(suffix: str) -> IdSpace | None:
        """Return the ids that a stream's messages carry; all book streams of a symbol share theirs."""
        family = family_of(suffix)
        if family in ("aggTrade", "trade"):
            return "aggTrade" if family == "aggTrade" else "trade"
        return "book" if family == "bookTicker" or "epth" in family else None

    def jump_ids(self, space: IdSpace, step: int) -> None:
        """Let the ids go on elsewhere: depth's next `pu` is not the last `u`, and snapshots follow."""
        engine = self.engine
        if space == "aggTrade":
            engine.agg_id += step
            self._waiting = deque((due, batch._replace(agg_id=batch.agg_id + step)) for due, batch in self._waiting)
            self.history = TradeHistory()
        elif space == "trade":
            engine.trade_id += step
        else:
            engine.book.update_id += step
            engine.book.ids = [update_id + step for update_id in engine.book.ids]
            for chain in self._chains.values():
                chain.last_id += step
