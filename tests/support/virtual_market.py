"""One symbol's market in virtual time: what the streams say beside what is true."""

import json
import random
from collections.abc import Callable
from typing import Any

from simulator.market.contract import contract_of
from simulator.market.engine import Engine
from simulator.market.feed import Action, SymbolFeed
from simulator.market.rates import SUFFIXES, stream_rates
from simulator.market.schedule import Schedule
from simulator.publisher import PublishedStream
from simulator.stream_names import stream_name

START_MS = 1_795_391_970_000  # 30 s before a full hour


class VirtualMarket:
    """Runs a feed at 60 messages a second; `on_message` sees every message when it is made."""

    def __init__(self, symbol: str = "BTCUSDT", *, seed: int = 1, unheard: bool = False) -> None:
        self.now_ms = START_MS
        self.messages: dict[str, list[dict[str, Any]]] = {suffix: [] for suffix in SUFFIXES}
        self.texts: list[bytes] = []
        self.on_message: Callable[[str, dict[str, Any]], None] = lambda suffix, event: None
        streams = {suffix: PublishedStream(stream_name(symbol, suffix)) for suffix in SUFFIXES}
        for suffix, stream in streams.items():
            stream.has_been_subscribed = not unheard or suffix == "aggTrade"
        self.engine = Engine(contract_of(symbol), random.Random(seed), START_MS)
        self.feed = SymbolFeed(self.engine, streams, self._publish)
        self.actions = self.feed.actions(stream_rates(60.0))
        self._schedule = Schedule(random.Random(seed))
        for suffix, (rate, action) in self.actions.items():
            self._schedule.add(rate, self._event(action), 0.0, is_random=suffix == "aggTrade")

    def _event(self, action: Action) -> Callable[[float], None]:
        def happen(now_s: float) -> None:
            self.feed.push_due(now_s)
            action(self.now_ms, now_s)

        return happen

    def _publish(self, stream: PublishedStream, combined: bytes) -> None:
        self.texts.append(combined)
        message = json.loads(combined)
        assert message["stream"] == stream.name
        suffix = stream.name.partition("@")[2]
        self.messages[suffix].append(message["data"])
        self.on_message(suffix, message["data"])

    def run(self, seconds: int) -> "VirtualMarket":
        """Steps of 5 ms, the exchange's clock and the schedule alike."""
        first_ms = self.now_ms
        while self.now_ms < first_ms + seconds * 1000:
            self.now_ms += 5
            self._schedule.run((self.now_ms - START_MS) / 1000, 1_000_000)
        return self
