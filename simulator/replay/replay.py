"""The replay of a capture: its frames byte for byte at their recorded distances, and REST answers that fit them.

A test of golden books needs the whole recording, so the replay waits until every stream has a subscriber, and for
clients that read slowly. Times in the messages stay those of the recording: `E` is years old.
"""

import asyncio
import json
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from simulator.clock import ExchangeClock
from simulator.market.contract import contract_of
from simulator.publisher import StreamPublisher
from simulator.replay.book import ReplayBook
from simulator.replay.capture import KLINE_KEYS, CaptureContents, CapturedMessage, records, snapshot_symbol
from simulator.rest.exchange_info import exchange_info
from simulator.rest.trading_hours import Sessions
from simulator.server.http import compact_json
from simulator.stream_names import family_of

_TURN = 64  # messages between two looks at the sockets
_HIGH_WATER_BYTES = 1 << 20
_MOST_PAST = 50_000
"""Messages of a stream that REST still has; a recorder asks for the newest ones."""
_BOOK_STREAMS = ("depth@0ms", "depth@100ms", "depth", "depth@500ms")  # the fastest one makes the book


class Replay:
    """`speed` 1 is as recorded, 0 as fast as the slowest client reads. Nothing is ever dropped."""

    def __init__(
        self,
        path: Path,
        speed: float,
        publisher: StreamPublisher,
        clock: ExchangeClock,
        backlog_bytes: Callable[[], int],
    ) -> None:
        self.is_paused = False
        self.phase: Literal["waiting", "running", "finished"] = "waiting"
        self.messages = 0
        self.contents = CaptureContents(path)
        self._path = path
        self._speed = speed
        self._publisher = publisher
        self._backlog_bytes = backlog_bytes
        self._first_ms = clock.now_ms()
        self._is_subscribed = asyncio.Event()
        self._books = {symbol: ReplayBook() for symbol in self.contents.symbols}
        self._reached = {symbol: asyncio.Event() for symbol in self.contents.snapshots}
        self._unasked = dict(self.contents.snapshots)
        self._book_of = _book_streams(self.contents.streams)
        self._past: dict[str, deque[bytes]] = {}  # aggTrade and kline messages so far, for REST
        self._repairs: dict[tuple[str, str], list[bytes]] = {}  # what the websocket of the recording did not bring
        for symbol, suffix, frame in self.contents.repairs:
            self._repairs.setdefault((symbol, suffix), []).append(frame)
        for name in self.contents.streams:
            publisher.add_stream(name)
        publisher.on_subscribe = self._look_for_subscribers

    def _look_for_subscribers(self) -> None:
        if all(self._publisher.streams[name].subscribers for name in self.contents.streams):
            self._is_subscribed.set()

    async def run(self) -> None:
        """Wait until every stream has a subscriber, play everything, and return."""
        await self._is_subscribed.wait()
        self.phase = "running"
        start_s, first_ns = time.monotonic(), None
        for number, record in enumerate(records(self._path)):
            first_ns = first_ns if first_ns is not None else record.recv_ns
            await self._breathe(start_s, record.recv_ns - first_ns, turn_is_over=number % _TURN == 0)
            self._play(record)
        self._publisher.flush()
        self.phase = "finished"
        for reached in self._reached.values():
            reached.set()

    async def _breathe(self, start_s: float, offset_ns: int, *, turn_is_over: bool) -> None:
        """Wait for a record's time, and for clients that read slowly; let sockets be read every 64 messages."""
        due_s = start_s + offset_ns / 1e9 / self._speed if self._speed else 0.0
        early_s = due_s - time.monotonic()
        if early_s <= 0 and not turn_is_over and not self.is_paused:
            return
        self._publisher.flush()
        await asyncio.sleep(max(early_s, 0.0))
        while self.is_paused or self._backlog_bytes() > _HIGH_WATER_BYTES:
            await asyncio.sleep(0.002)

    def _play(self, record: CapturedMessage) -> None:
        """Publish one frame, and bring what REST answers up to date with it."""
        name = record.name
        if name.startswith("!"):
            return
        if name.startswith("/"):
            self._pass_snapshot(record)
            return
        self.messages += 1
        self._publisher.publish(self._publisher.streams[name], record.payload)
        if name in self._book_of:
            self._follow_book(self._book_of[name], record.payload)
        elif family_of(name.partition("@")[2]) in ("aggTrade", "kline"):
            self._past.setdefault(name, deque(maxlen=_MOST_PAST)).append(record.payload)

    def _follow_book(self, symbol: str, frame: bytes) -> None:
        """Apply an update; behind a hole nobody knows the book, and REST has none before the next recorded snapshot."""
        book = self._books[symbol]
        book.apply(frame)
        if book.is_broken and symbol in self._reached and symbol not in self._unasked:
            self._reached[symbol].clear()

    def _pass_snapshot(self, record: CapturedMessage) -> None:
        """Begin a symbol's book with its first recorded snapshot, and anew with the first one behind a hole.

        Others agree with the updates anyway.
        """
        symbol = snapshot_symbol(record)
        if symbol and not self._reached[symbol].is_set():
            self._books[symbol].reset(record.payload)
            self._unasked[symbol] = record.payload
            self._reached[symbol].set()

    def state(self) -> dict[str, object]:
        """Return the part of `stats` that only a replay has."""
        return {"replay": self.phase, "replayed": self.messages, "skipped": dict(self.contents.skipped)}

    def status(self, symbol: str) -> str | None:
        """Return TRADING for every symbol of the capture."""
        return "TRADING" if symbol in self._books else None

    def exchange_info(self) -> bytes:
        """Return the recorded answer, or one made up where the capture has none."""
        if self.contents.exchange_info is not None:
            return self.contents.exchange_info
        contracts = {symbol: contract_of(symbol) for symbol in self._books}
        return exchange_info(contracts, dict.fromkeys(contracts, "TRADING"), self._first_ms, 2400)

    def trading_schedule(self) -> bytes:
        """Return a week without a break."""
        return Sessions().body(self._first_ms)

    async def depth(self, symbol: str, limit: int) -> bytes:
        """First the capture's own body, once the replay has come to it; then the book of the moment."""
        if symbol in self._reached:
            await self._reached[symbol].wait()
        own_body = self._unasked.pop(symbol, None)
        return self._books[symbol].body(limit) if own_body is None else own_body

    def stale_depth(self, symbol: str) -> bytes:
        """Return the recorded snapshot, which grows old while the replay goes on."""
        return self.contents.snapshots.get(symbol) or ReplayBook().body(0)

    def agg_trades(
        self, symbol: str, from_id: int | None, span_ms: tuple[int, int] | None, limit: int, _since_ms: int
    ) -> list[str]:
        """Of the messages played so far, however old: a recording's times are long past."""
        frames = self._frames(symbol, "aggTrade")
        trades = sorted((json.loads(frame)["data"] for frame in frames), key=lambda trade: int(trade["a"]))
        if from_id is None and span_ms is None:
            trades = trades[-limit:]
        first, last = span_ms or (0, 1 << 62)
        rows = [trade for trade in trades if trade["a"] >= (from_id or 0) and first <= trade["T"] <= last]
        keys = ("a", "p", "q", "nq", "f", "l", "T", "m")
        return [compact_json({key: row[key] for key in keys if key in row}) for row in rows[:limit]]

    def klines(self, symbol: str, interval: str, span_ms: tuple[int, int], limit: int) -> list[str] | None:
        """The last state of each bar played so far."""
        frames = self._frames(symbol, f"kline_{interval}")
        bars = {bar["t"]: bar for bar in (json.loads(frame)["data"]["k"] for frame in frames)}
        chosen = [bar for open_ms, bar in sorted(bars.items()) if span_ms[0] <= open_ms <= span_ms[1]]
        chosen = chosen[:limit] if span_ms[0] else chosen[-limit:]
        return [compact_json([bar[key] for key in KLINE_KEYS if key in bar]) for bar in chosen]

    def _frames(self, symbol: str, suffix: str) -> list[bytes]:
        """Return the messages of a stream so far, behind those that only REST had in the recording."""
        return [*self._repairs.get((symbol, suffix), []), *self._past.get(self._name(symbol, suffix), [])]

    def _name(self, symbol: str, suffix: str) -> str:
        names = (name for name, of in self.contents.streams.items() if of == symbol and name.endswith(f"@{suffix}"))
        return next(names, "")


def _book_streams(streams: dict[str, str]) -> dict[str, str]:
    """Return the one stream a symbol whose updates make its book, the fastest: {name: symbol}."""
    fastest: dict[str, str] = {}
    for suffix in reversed(_BOOK_STREAMS):
        fastest |= {symbol: name for name, symbol in streams.items() if name.partition("@")[2] == suffix}
    return {name: symbol for symbol, name in fastest.items()}
