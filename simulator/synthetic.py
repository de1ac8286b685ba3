"""The seeded synthetic exchange: many symbols, one schedule, and the REST answers that agree with the streams.

All symbols advance in one loop, 100 events a turn; then what was made is written, one write a connection, and sockets
are read.
"""

import asyncio
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from simulator.all_market import AllMarketStreams
from simulator.clock import ExchangeClock
from simulator.market.bars import INTERVALS_MS
from simulator.market.contract import contract_of
from simulator.market.engine import Engine
from simulator.market.feed import Action, SymbolFeed
from simulator.market.rates import DEFAULT_MIX, SUFFIXES, stream_rates
from simulator.market.schedule import Schedule
from simulator.publisher import PublishedStream, StreamPublisher
from simulator.rest.exchange_info import exchange_info
from simulator.rest.trading_hours import Sessions
from simulator.stream_names import stream_name

_EVENTS_A_TURN = 100  # then what was made is written, and sockets are read
_LEAST_SLEEP_S = 0.002
_RANDOM_EVENTS = frozenset({"aggTrade", "bookTicker", "depth@0ms", "forceOrder"})


@dataclass(frozen=True, slots=True)
class SyntheticOptions:
    """Options of a seeded market; the same options make the same market."""

    symbols: Sequence[str]
    seed: int = 1
    rate: float = 200.0  # messages a second of the streams of `mix` over all symbols
    mix: Sequence[str] = DEFAULT_MIX
    stream_rates: Mapping[str, float] = field(default_factory=dict)
    streams: Sequence[str] = SUFFIXES  # those that there are at all; each one costs, also where nobody listens


class SyntheticMarket:
    """All symbols of the synthetic exchange, advanced by one schedule."""

    def __init__(
        self, options: SyntheticOptions, publisher: StreamPublisher, clock: ExchangeClock, weight_limit: int
    ) -> None:
        self.is_paused = False
        self.sessions = Sessions()
        self._options = options
        self._publisher = publisher
        self._clock = clock
        self._weight_limit = weight_limit
        self._schedule = Schedule(random.Random(f"{options.seed} schedule"))  # noqa: S311
        streams = {symbol: self._streams_of(symbol) for symbol in options.symbols}
        self._all_market = AllMarketStreams(publisher, list(streams.values()))
        self._feeds = {symbol: self._feed(symbol, own) for symbol, own in streams.items()}
        self._first_ms = clock.now_ms()
        self._first_snapshots = {
            symbol: feed.snapshot(1000, self._first_ms).encode() for symbol, feed in self._feeds.items()
        }
        self.set_rate(options.rate)

    def _streams_of(self, symbol: str) -> dict[str, PublishedStream]:
        return {suffix: self._publisher.add_stream(stream_name(symbol, suffix)) for suffix in SUFFIXES}

    def _feed(self, symbol: str, streams: dict[str, PublishedStream]) -> SymbolFeed:
        now_ms = self._clock.now_ms()
        rng = random.Random(f"{self._options.seed} {symbol}")  # noqa: S311
        engine = Engine(contract_of(symbol), rng, now_ms)
        return SymbolFeed(engine, streams, self._all_market.publish)

    def set_rate(self, rate: float) -> None:
        """Share a new total rate over symbols and streams; what was due is due no more."""
        options = self._options
        all_rates = stream_rates(rate / len(options.symbols), options.mix, options.stream_rates)
        rates = {suffix: one if suffix in options.streams else 0.0 for suffix, one in all_rates.items()}
        now_s = time.monotonic()
        self._schedule.clear()
        for feed in self._feeds.values():
            for suffix, (events_a_second, action) in feed.actions(rates).items():
                self._schedule.add(
                    events_a_second, self._event(feed, action), now_s, is_random=suffix in _RANDOM_EVENTS
                )

    def _event(self, feed: SymbolFeed, action: Action) -> Callable[[float], None]:
        """Return an event of a symbol, which happens only while the symbol trades and its market is open."""
        market = feed.engine.contract.market

        def happen(now_s: float) -> None:
            now_ms = self._clock.now_ms()
            if feed.status == "TRADING" and self.sessions.is_open(market, now_ms):
                feed.push_due(now_s)
                action(now_ms, now_s)

        return happen

    async def run(self) -> None:
        """Make the market; ends only by being cancelled."""
        while True:
            now_s = time.monotonic()
            count = 0 if self.is_paused else self._schedule.run(now_s, _EVENTS_A_TURN)
            self._all_market.end_turn(now_s)
            self._publisher.flush()
            pause_s = 0.0 if count == _EVENTS_A_TURN else max(self._schedule.seconds_to_next(now_s), _LEAST_SLEEP_S)
            await asyncio.sleep(0.05 if self.is_paused else min(pause_s, 0.05))

    def feed_of(self, symbol: str) -> SymbolFeed | None:
        """Return a symbol's feed, None where there is no such symbol."""
        return self._feeds.get(symbol)

    def jump_ids(self, names: Sequence[str], step: int) -> None:
        """Let the ids of these streams jump, once for each id space: the book streams of a symbol share one."""
        for symbol, feed in self._feeds.items():
            suffixes = {name.partition("@")[2] for name in names if name.startswith(stream_name(symbol, ""))}
            for space in {feed.id_space(suffix) for suffix in suffixes}:
                if space:
                    feed.jump_ids(space, step)

    def state(self) -> dict[str, object]:
        """Return the part of `stats` that only this market has; `skipped_s` is time that the process lost."""
        return {"market": "paused" if self.is_paused else "running", "skipped_s": round(self._schedule.skipped_s, 3)}

    def status(self, symbol: str) -> str | None:
        """Return the symbol's status, None where there is no such symbol."""
        feed = self._feeds.get(symbol)
        return feed.status if feed else None

    def exchange_info(self) -> bytes:
        """Return the body of /fapi/v1/exchangeInfo."""
        contracts = {symbol: feed.engine.contract for symbol, feed in self._feeds.items()}
        statuses = {symbol: feed.status for symbol, feed in self._feeds.items()}
        return exchange_info(contracts, statuses, self._first_ms, self._weight_limit)

    def trading_schedule(self) -> bytes:
        """Return the body of /fapi/v1/tradingSchedule."""
        return self.sessions.body(self._clock.now_ms())

    async def depth(self, symbol: str, limit: int) -> bytes:
        """Return the true book of this moment."""
        return self._feeds[symbol].snapshot(limit, self._clock.now_ms()).encode()

    def stale_depth(self, symbol: str) -> bytes:
        """Return the book as it was at the start: older than any update that a client still has."""
        return self._first_snapshots[symbol]

    def agg_trades(
        self, symbol: str, from_id: int | None, span_ms: tuple[int, int] | None, limit: int, since_ms: int
    ) -> list[str]:
        """Return rows as REST writes them, the oldest first."""
        history = self._feeds[symbol].history
        if from_id is not None:
            return history.from_id(from_id, limit, since_ms)
        return history.between(*span_ms, limit, since_ms) if span_ms else history.newest(limit)

    def klines(self, symbol: str, interval: str, span_ms: tuple[int, int], limit: int) -> list[str] | None:
        """Return bars, the open one last; None for an unknown interval."""
        if interval not in INTERVALS_MS:
            return None
        feed = self._feeds[symbol]
        bars = feed.engine.bars
        bars.roll(self._clock.now_ms())
        chosen = [
            bar
            for bar in (*bars.series[interval].closed, bars.current(interval))
            if span_ms[0] <= bar.open_time_ms <= span_ms[1]
        ]
        # with a start the oldest are given, else the newest
        chosen = chosen[:limit] if span_ms[0] else chosen[-limit:]
        return [feed.messages.kline_row(bar) for bar in chosen]
