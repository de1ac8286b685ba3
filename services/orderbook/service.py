"""The loop around the books: messages off the bus, requests for snapshots, questions, and the clock."""

import math
import time
from collections.abc import Mapping
from random import Random
from typing import Any, NamedTuple

import zmq

from binance_streamer.config.schema import Config
from binance_streamer.exchange.depth import read_quote, read_snapshot, read_update
from binance_streamer.exchange.messages import ExchangeError
from binance_streamer.transport.sockets import bus_sub
from binance_streamer.wire.frames import WireError, encode_topic
from services.orderbook import messages
from services.orderbook.inbox import Inbox
from services.orderbook.keeper import SPEEDS, Keeper, Now
from services.orderbook.publisher import Publisher
from services.orderbook.queries import QueryServer
from services.orderbook.silence import WorkerStatuses
from services.orderbook.snapshot_scheduler import AUDIT, DueSnapshot, SnapshotScheduler
from services.runtime.bound_paths import BoundPaths
from services.runtime.clock import monotonic_s, wall_ns
from services.runtime.delivery.producer import Producer
from services.runtime.memory import settle
from services.runtime.process import Shell
from services.runtime.status import StatusPublisher

_TICK_S = 0.1
_LOOK_S = 1.0
"""Between two looks at what each book waits for."""
_COLLECT_S = 0.005
_MOST_MESSAGES = 1000
"""Of the bus at a time."""
_SNAPSHOT, _QUOTE, _STATUS = -1, -2, -3
_TOTALS = ("updates", "resyncs", "buffered", "audits_passed", "audits_failed", "audits_skipped", "tops_compared")


class Sockets(NamedTuple):
    """To the bus, and of those who ask."""

    pub: "zmq.Socket[bytes]"
    router: "zmq.Socket[bytes]"


class Service:
    """The books of some symbols; `symbols` says of each whether its bookTicker is on the bus."""

    def __init__(self, shell: Shell, producer: Producer, sockets: Sockets, symbols: Mapping[str, bool]) -> None:
        config = shell.config
        self._shell = shell
        self._producer = producer
        self._status = StatusPublisher(shell, sockets.pub)
        rng = Random()  # noqa: S311 (jitter)
        retry_s = config.network.snapshot_retry
        self._keepers = {
            symbol: Keeper(symbol, retry_s=retry_s, rng=rng, with_quotes=with_quotes)
            for symbol, with_quotes in symbols.items()
        }
        self._routes = _routes(self._keepers)
        self._sub = bus_sub(shell.context, config.endpoints.bus_subscribe, *_topics(config, self._keepers))
        self._inbox = Inbox()
        self._workers = WorkerStatuses()
        self._desk = SnapshotScheduler(retry_s=retry_s, rng=rng, activity=lambda symbol: self._keepers[symbol].activity)
        self._touched: set[Keeper] = set(self._keepers.values())
        self._router = sockets.router
        self._bound = BoundPaths(shell, (config.endpoints.orderbook_query,))
        self._answerer = QueryServer(sockets.router, self._keepers, producer=producer.name, epoch=shell.epoch)
        now_s = monotonic_s()
        self._publisher = Publisher(producer, config.orderbook, self._keepers.values(), now_s)
        self._audit_interval_s = config.orderbook.audit_interval
        self._audit_s = {
            symbol: now_s + self._audit_interval_s * (n + 1) / len(symbols) for n, symbol in enumerate(symbols)
        }
        self._counts = {"refused": 0, "requests": 0}
        self._next_tick_s = self._next_look_s = now_s

    def run(self) -> None:
        """Until asked to stop."""
        settle()
        poller = zmq.Poller()
        for readable in (self._shell.stop, self._sub, self._router):
            poller.register(readable, zmq.POLLIN)
        self._producer.register(poller)
        self._shell.log.info("keeping books=%d", len(self._keepers))
        while not self._shell.stop.requested:
            ready = dict(poller.poll(self._timeout_ms()))
            now = Now(monotonic_s(), wall_ns())
            if self._sub in ready:
                self._hear(now)
            if self._router in ready:
                self._answerer.answer(now)
            if now.s >= self._next_tick_s:
                self._tick(now)
            self._follow_up(now)
            self._producer.serve(now.s)
            if self._status.due(now.s):
                self._status.publish(self._fields())
                self._bound.end_if_lost()
            if self._sub in ready:
                self._collect(now)
        self._sub.close()

    def _timeout_ms(self) -> int:
        now_s = monotonic_s()
        due_s = min(self._next_tick_s, self._publisher.due_s())
        wait_s = min(due_s - now_s, self._producer.poll_timeout_s(now_s), self._status.wait_s(now_s))
        return max(0, math.ceil(wait_s * 1000))

    def _collect(self, began: Now) -> None:
        """Let messages come together: a round costs as much as several of them. One that comes alone is not held up."""
        ahead_s = began.s + _COLLECT_S - monotonic_s()
        if ahead_s > 0:
            time.sleep(ahead_s)

    def _hear(self, now: Now) -> None:
        """Take what the bus has."""
        receive = self._sub.recv_multipart
        route_of = self._routes.get
        for _ in range(_MOST_MESSAGES):
            try:
                parts = receive(zmq.DONTWAIT)
            except zmq.Again:
                return
            route = route_of(parts[0])
            if route is None:
                continue  # a longer name that begins alike
            try:
                self._take(*route, parts, now)
            except (WireError, ExchangeError) as error:
                self._refuse(error)

    def _take(self, keeper: Keeper, kind: int, parts: list[bytes], now: Now) -> None:
        if kind == _STATUS:
            self._workers.heard(keeper.symbol, parts[-1], now.s)
            return
        data, missed = self._inbox.read(parts)
        if data.symbol != keeper.symbol:
            raise WireError(f"topic of {keeper.symbol}: expected its symbol, got {data.symbol!r:.40}")
        self._touched.add(keeper)
        if kind >= 0:
            keeper.missed += missed
            if keeper.follows(kind, data.stream, now):
                keeper.take_update(read_update(data.event), data.recv_ns, now)
                if missed:
                    self._audit_s[keeper.symbol] = now.s  # if the chain still fits, something else is strange
        elif kind == _QUOTE:
            keeper.take_quote(read_quote(data.event), now)
        else:
            snapshot = read_snapshot(data.event)
            self._settle(keeper, snapshot.last_update_id, now)
            keeper.take_snapshot(snapshot, now)

    def _settle(self, keeper: Keeper, last_update_id: int, now: Now) -> None:
        """What was asked for is there; a book that it does not help wishes again. For a right book it is an audit."""
        least = keeper.sequence.comparable_from
        is_audit = least is not None and last_update_id >= least
        if is_audit:
            self._audit_s[keeper.symbol] = now.s + self._audit_interval_s
        wanted = self._desk.wants(keeper.symbol)
        if wanted and last_update_id >= wanted.last_update_id and (is_audit or wanted.reason != AUDIT):
            self._desk.settle(keeper.symbol)

    def _refuse(self, error: Exception) -> None:
        self._counts["refused"] += 1
        if self._counts["refused"] == 1:
            self._shell.log.warning("refused, further ones are counted in status: %.200s", error)

    def _follow_up(self, now: Now) -> None:
        """Ask for what is missing, and tell of what changed."""
        for keeper in self._touched:
            self._revise_wish(keeper)
            self._publisher.changed(keeper, now)
        self._touched.clear()
        self._publisher.held_back(now)
        for wanted in self._desk.due(now.s) if len(self._desk) else ():
            self._counts["requests"] += 1
            sequence = self._keepers[wanted.symbol].sequence
            sequence.expect_snapshot()
            least = max(wanted.last_update_id, sequence.comparable_from or 0)
            self._producer.publish_live(messages.request_draft(wanted._replace(last_update_id=least), now.ns))

    def _revise_wish(self, keeper: Keeper) -> None:
        sequence = keeper.sequence
        wish, keeper.wish = keeper.wish, None
        if wish is not None and sequence.needs_snapshot_for(wish.reason):
            self._desk.want(DueSnapshot(keeper.symbol, *wish))
            return
        wanted = self._desk.wants(keeper.symbol)
        if wanted is None:
            return
        if not (keeper.is_valid if wanted.reason == AUDIT else sequence.needs_snapshot_for(wanted.reason)):
            self._desk.settle(keeper.symbol)

    def _tick(self, now: Now) -> None:
        self._next_tick_s = now.s + _TICK_S
        self._publisher.summarise(now)
        if now.s < self._next_look_s:
            return
        self._next_look_s = now.s + _LOOK_S
        for keeper in self._keepers.values():
            keeper.tick(now)
            self._touched.add(keeper)
            if keeper.is_valid or keeper.is_doubted:
                self._look_at(keeper, now)

    def _look_at(self, keeper: Keeper, now: Now) -> None:
        """At a book that is right, unless its stream has stopped."""
        why = self._workers.fault(keeper.symbol, keeper.stream, keeper.heard_s, now.s)
        if why:
            keeper.doubt(why, now)
        elif keeper.is_doubted:
            keeper.sequence.end_doubt()
        elif self._audit_interval_s and now.s >= self._audit_s[keeper.symbol]:
            self._audit_s[keeper.symbol] = now.s + self._audit_interval_s
            if self._desk.wants(keeper.symbol) is None:
                self._desk.want(DueSnapshot(keeper.symbol, keeper.book.update_id, AUDIT))

    def _fields(self) -> dict[str, Any]:
        books = {symbol: messages.status_of(keeper) for symbol, keeper in self._keepers.items()}
        valid = sum(book["valid"] for book in books.values())
        return {
            "state": "synced" if valid == len(books) else "syncing",
            "books": books,
            "valid": valid,
            **{key: sum(book[key] for book in books.values()) for key in _TOTALS},
            "wanted_snapshots": len(self._desk),
            **self._counts,
            **self._answerer.counts,
            "missed": self._inbox.missed,
            "restarts": self._inbox.restarts,
            "journal": self._producer.status(),
        }


def _topics(config: Config, keepers: Mapping[str, Keeper]) -> set[bytes]:
    """What to subscribe to: everything of a kind, unless these are a share of all symbols."""
    topics = _routes(keepers)
    if len(keepers) <= len(config.symbols) / 2:
        return {topic.rpartition(b".")[0] + b"." for topic in topics}
    kinds = {topic.partition(b".")[0] + b"." for topic in topics}
    return {b"status.ingest-" if kind == b"status." else kind for kind in kinds}


def _routes(keepers: Mapping[str, Keeper]) -> dict[bytes, tuple[Keeper, int]]:
    """What belongs to which book, by topic: an update, by its speed, or what else it is."""
    found: dict[bytes, tuple[Keeper, int]] = {}
    for symbol, keeper in keepers.items():
        for speed, variant in enumerate(SPEEDS):
            found[encode_topic("depth", symbol, variant)] = keeper, speed
        found[encode_topic("depth_snapshot", symbol)] = keeper, _SNAPSHOT
        if keeper.quotes is not None:
            found[encode_topic("bookticker", symbol)] = keeper, _QUOTE
        found[encode_topic("status", f"ingest-{symbol}")] = keeper, _STATUS
    return found
