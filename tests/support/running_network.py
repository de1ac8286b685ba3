"""A coordinator whose clock is the test's: the reader, the dialler and the exchange behind them are stubs."""

import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from binance_streamer.config import schema as configuration
from binance_streamer.config.schema import streams_of
from services.ingest.connections import network
from services.ingest.connections.dialler import DialTarget
from services.ingest.connections.events import Delivered, Ended, Opened, ReaderEvent
from services.ingest.coordinator import Coordinator
from services.ingest.streams.stream_set import StreamSet
from tests.support.configs import write_config
from tests.support.drafts import singles

START_NS = 1_790_526_539_000_000_000


def ns(now_s: float) -> int:
    return START_NS + round(now_s * 1e9)


def frame(stream: str, event: str) -> bytes:
    return f'{{"stream":"btcusdt@{stream}","data":{event}}}'.encode()


def book_ticker(now_s: float) -> bytes:
    return frame("bookTicker", f'{{"e":"bookTicker","u":{round(now_s * 10)},"s":"BTCUSDT","E":{ns(now_s) // 10**6}}}')


def force_order(now_s: float) -> bytes:
    return frame("forceOrder", f'{{"e":"forceOrder","E":{ns(now_s) // 10**6},"o":{{"s":"BTCUSDT"}}}}')


def mark_price(now_s: float) -> bytes:
    return frame("markPrice@1s", f'{{"e":"markPriceUpdate","E":{ns(now_s) // 10**6},"s":"BTCUSDT","p":"1"}}')


class Line:
    """The network's dialler and reader, and the exchange behind them."""

    queued_bytes = 0
    is_exhausted = False

    def __init__(self) -> None:
        self.asked: list[tuple[int, str, str]] = []
        self.closed: list[tuple[int, str]] = []
        self.sent: list[tuple[int, str, list[str]]] = []
        """Connection, method and streams of each request that was sent over an open connection."""

    def request(self, number: int, route: str, target: DialTarget) -> None:
        self.asked.append((number, route, target.url))

    def on_result(self, number: int) -> None:
        pass

    def tick(self, now_s: float) -> None:
        pass

    def send(self, number: int, requests: Sequence[str]) -> None:
        for text in requests:
            request = json.loads(text)
            self.sent.append((number, request["method"], request["params"]))

    def close(self, number: int, reason: str, detail: str) -> None:
        self.closed.append((number, reason))


class Running:
    """Streams and connections whose clock is the test's; what is dialled is open at once, unless told otherwise."""

    def __init__(
        self,
        directory: Path,
        monkeypatch: pytest.MonkeyPatch,
        streams: tuple[str, ...],
        settings: Mapping[str, Any],
        *,
        symbols: Sequence[str] = ("BTCUSDT",),
    ) -> None:
        path = write_config(directory, dict.fromkeys(symbols, streams), {"stale_timeout": 60, **settings})
        config = configuration.load(path)
        numbers = itertools.count(1)
        self.line = Line()
        monkeypatch.setattr(network, "Dialler", lambda *_, **__: self.line)
        self.streams = StreamSet(
            "BTCUSDT",
            [stream for symbol in symbols for stream in streams_of(config.symbol(symbol))],
            last_rows={},
            new_gap_id=lambda: f"g{next(numbers)}",
        )
        self.coordinator = Coordinator(config, "BTCUSDT", self.streams, self.line, started_ns=START_NS)  # type: ignore[arg-type]
        self.now_s = 0.0
        self.open: dict[int, str] = {}
        self.dialled: dict[int, float] = {}
        self.waiting: dict[int, str] = {}
        self.is_reachable = True
        self.answer: Callable[[int], ReaderEvent] = lambda number: Opened(number, ns(self.now_s))
        self.meanwhile: Callable[[], None] = lambda: None
        self.gaps: list[tuple[str, float, float]] = []
        self.rows: list[bytes] = []

    def take(self, report: ReaderEvent) -> None:
        self.coordinator.take(report, self.now_s)
        self._collect()

    def deliver(self, connection: int, *messages: bytes) -> None:
        self.take(Delivered(connection, range(ns(self.now_s), ns(self.now_s) + len(messages)), list(messages), 9))

    def lose(self, connection: int) -> None:
        del self.open[connection]
        self.take(Ended(connection, ns(self.now_s), "disconnected", "end of stream"))

    def until(self, stop_s: float, each: Callable[[int], list[bytes]] = lambda _: []) -> None:
        """Every half second, `each` open connection delivers these."""
        while self.now_s < stop_s:
            self.now_s += 0.5
            self.coordinator.tick(self.now_s, is_expected=lambda _: True)
            self.meanwhile()
            self._answer()
            for connection in list(self.open):
                if messages := each(connection):
                    self.deliver(connection, *messages)
            self._collect()

    def _answer(self) -> None:
        for number, reason in self.line.closed:
            if self.open.pop(number, None) is not None:  # one that is unknown is ignored
                self.take(Ended(number, ns(self.now_s), reason, ""))
        self.line.closed.clear()
        for number, route, _ in self.line.asked[len(self.dialled) :]:
            self.dialled[number] = self.now_s
            self.waiting[number] = route
        while self.waiting and self.is_reachable:
            number, route = self.waiting.popitem()
            report = self.answer(number)
            self.take(report)
            if isinstance(report, Opened):
                self.open[number] = route

    def _collect(self) -> None:
        for draft in singles(self.streams.collect(1)):
            if draft.stream_type == "raw":
                raise AssertionError(draft)
            if draft.stream_type != "gap":
                self.rows.append(draft.data["event"])
            else:
                from_s, to_s = (round((draft.data[key] - START_NS) / 1e9, 3) for key in ("from_ns", "to_ns"))
                self.gaps.append((draft.data["reason"], from_s, to_s))


Start = Callable[..., Running]
