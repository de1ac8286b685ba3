"""The loop of the order book service: messages off the bus go to the books, requests, tops and rows go out.

One round takes what has come (`_receive`), then asks for the snapshots that are needed and publishes the books that
were touched (`_request_and_publish`). Each second books and streams are looked at (`_check`). Everything runs in one
thread, so that a book never changes while it is read; it sleeps until a message comes or something is due.
"""

import math
import time
from collections.abc import Mapping
from random import Random
from typing import NamedTuple

import msgspec
import zmq

from binance_streamer.exchange.depth import read_quote, read_snapshot, read_update
from binance_streamer.exchange.messages import ExchangeError
from binance_streamer.transport.sockets import bus_sub
from binance_streamer.wire.frames import WireError
from binance_streamer.wire.requests import AUDIT, SnapshotRequest, request_data
from binance_streamer.wire.statuses import OrderbookStatus
from services.orderbook import messages
from services.orderbook.inbox import Inbox
from services.orderbook.keeper import SPEEDS, Keeper, Now
from services.orderbook.kept_symbols import KeptSymbols
from services.orderbook.publisher import Publisher
from services.orderbook.queries import QueryServer
from services.orderbook.silence import WorkerStatuses
from services.orderbook.snapshot_scheduler import SnapshotScheduler
from services.runtime.bound_paths import BoundPaths
from services.runtime.clock import monotonic_s, wall_ns
from services.runtime.delivery.producer import Producer
from services.runtime.gaps.drafts import Draft
from services.runtime.process import Shell, settle
from services.runtime.status import StatusPublisher

_REQUESTS_S = 0.1
"""Between two looks at the requests for snapshots, where there are any."""
_COLLECT_S = 0.005
"""A round that follows another one closely waits so long for more messages: it costs as much as several of them."""
_MOST_MESSAGES = 1000
"""Taken off the bus in one round, so that questions and the producer have their turn."""
_SNAPSHOT, _QUOTE, _STATUS = -1, -2, -3
"""Kinds of messages beside the updates, whose kind is the place of their speed in `SPEEDS`."""
_TOTALS = ("updates", "resyncs", "buffered", "audits_passed", "audits_failed", "audits_skipped", "tops_compared")


class Sockets(NamedTuple):
    """The PUB socket to the bus, and the ROUTER socket for questions."""

    pub: "zmq.Socket[bytes]"
    router: "zmq.Socket[bytes]"


class Service:
    """The books of some symbols, which may come and go."""

    def __init__(self, shell: Shell, producer: Producer, sockets: Sockets, kept: KeptSymbols) -> None:
        config = shell.config
        self._shell = shell
        self._producer = producer
        self._status = StatusPublisher(shell, sockets.pub)
        self._rng = Random()  # noqa: S311 (jitter)
        self._retry_s = config.network.snapshot_retry
        self._kept = kept
        self._keepers: dict[str, Keeper] = {}
        self._routes: dict[bytes, tuple[Keeper, int]] = {}
        self._topics: set[bytes] = set()
        self._sub = bus_sub(shell.context, config.endpoints.bus_subscribe)
        self._inbox = Inbox()
        self._workers = WorkerStatuses()
        self._scheduler = SnapshotScheduler(
            retry_s=self._retry_s, rng=self._rng, activity=lambda symbol: self._keepers[symbol].activity
        )
        self._touched: set[Keeper] = set()
        self._router = sockets.router
        self._bound = BoundPaths(shell, (config.endpoints.orderbook_query,))
        self._queries = QueryServer(sockets.router, self._keepers, producer=producer.name, epoch=shell.epoch)
        self._publisher = Publisher(producer, config.orderbook)
        self._audit_interval_s = config.orderbook.audit_interval
        self._audit_s: dict[str, float] = {}
        self._counts = {"refused": 0, "requests": 0}
        now = Now(monotonic_s(), wall_ns())
        self._took_s = now.s
        self._follow(now)

    def run(self) -> None:
        """Keep the books until the process is asked to stop."""
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
                self._receive(now)
            if self._router in ready:
                self._queries.answer_waiting(now)
            is_second = self._status.due(now.s)
            if is_second:
                self._check(now)
            self._publisher.append_summaries(now)
            self._request_and_publish(now)
            self._producer.serve(now.s)
            if is_second:
                self._status.publish(self._status_now())
                self._bound.end_if_lost()
            if self._sub in ready:
                self._collect(now)
        self._sub.close()

    def _follow(self, now: Now) -> None:
        """Begin the books of symbols that are new, and end those of symbols that are kept no more."""
        kept = self._kept.by_name
        for symbol in self._keepers.keys() - kept.keys():
            self._end(self._keepers.pop(symbol), now)
        begun = [name for name in kept if name not in self._keepers]
        for number, symbol in enumerate(begun):
            with_quotes = kept[symbol].with_quotes
            self._keepers[symbol] = Keeper(symbol, retry_s=self._retry_s, rng=self._rng, with_quotes=with_quotes)
            self._audit_s[symbol] = now.s + self._audit_interval_s * (number + 1) / len(begun)
        keepers = [self._keepers[symbol] for symbol in begun]
        self._touched.update(keepers)
        self._publisher.begin(keepers, now.s)
        self._workers.topics = {symbol: one.status_topic for symbol, one in kept.items()}
        self._routes = _routes(self._kept, self._keepers)
        self._subscribe(self._kept.topics)

    def _end(self, keeper: Keeper, now: Now) -> None:
        keeper.doubt("its symbol is not recorded any more", now)
        self._publisher.end(keeper, now)
        self._scheduler.settle(keeper.symbol)
        self._touched.discard(keeper)
        del self._audit_s[keeper.symbol]

    def _subscribe(self, topics: set[bytes]) -> None:
        for topic in topics - self._topics:
            self._sub.subscribe(topic)
        for topic in self._topics - topics:
            self._sub.unsubscribe(topic)
        self._topics = topics

    def _timeout_ms(self) -> int:
        now_s = monotonic_s()
        wait_s = min(self._publisher.due_s() - now_s, self._producer.poll_timeout_s(now_s), self._status.wait_s(now_s))
        return max(0, math.ceil((min(wait_s, _REQUESTS_S) if len(self._scheduler) else wait_s) * 1000))

    def _collect(self, began: Now) -> None:
        """Let messages gather until the round is `_COLLECT_S` old; one that comes after a longer silence is alone."""
        is_close = began.s - self._took_s < 2 * _COLLECT_S
        self._took_s = began.s
        ahead_s = began.s + _COLLECT_S - monotonic_s()
        if is_close and ahead_s > 0:
            time.sleep(ahead_s)

    def _receive(self, now: Now) -> None:
        """Take the messages that the bus has, up to `_MOST_MESSAGES`."""
        receive = self._sub.recv_multipart
        route_of = self._routes.get
        for _ in range(_MOST_MESSAGES):
            try:
                parts = receive(zmq.DONTWAIT)
            except zmq.Again:
                return
            route = route_of(parts[0])
            if route is None:
                continue  # a subscription matches every topic that begins with it
            try:
                self._dispatch(*route, parts, now)
            except (WireError, ExchangeError) as error:
                self._refuse(error)

    def _dispatch(self, keeper: Keeper, kind: int, parts: list[bytes], now: Now) -> None:
        if kind == _STATUS:
            self._workers.take_status(parts[0], parts[-1], now.s)
            return
        data, missed = self._inbox.read(parts)
        if data.symbol != keeper.symbol:
            raise WireError(f"topic of {keeper.symbol}: expected its symbol, got {data.symbol!r:.40}")
        self._touched.add(keeper)
        if kind >= 0:
            keeper.missed += missed
            if keeper.try_follow(kind, data.stream, now):
                keeper.take_update(read_update(data.event), data.recv_ns, now)
                if missed:
                    self._audit_s[keeper.symbol] = now.s  # if the chain still fits, something else is strange
        elif kind == _QUOTE:
            keeper.take_quote(read_quote(data.event), now)
        else:
            snapshot = read_snapshot(data.event)
            self._settle_request(keeper, snapshot.last_update_id, now)
            keeper.take_snapshot(snapshot, now)

    def _settle_request(self, keeper: Keeper, last_update_id: int, now: Now) -> None:
        """Withdraw the request that this snapshot answers; a book that it does not help will ask again."""
        least = keeper.sequence.comparable_from
        is_audit = least is not None and last_update_id >= least
        if is_audit:
            self._audit_s[keeper.symbol] = now.s + self._audit_interval_s
        wanted = self._scheduler.requested(keeper.symbol)
        if wanted and last_update_id >= wanted.last_update_id and (is_audit or wanted.reason != AUDIT):
            self._scheduler.settle(keeper.symbol)

    def _refuse(self, error: Exception) -> None:
        self._counts["refused"] += 1
        if self._counts["refused"] == 1:
            self._shell.log.warning("refused, further ones are counted in status: %.200s", error)

    def _request_and_publish(self, now: Now) -> None:
        """Ask for the snapshots that are needed and due, and publish the books that were touched."""
        for keeper in self._touched:
            self._update_request(keeper)
            self._publisher.publish_changes(keeper, now)
        self._touched.clear()
        self._publisher.publish_delayed(now)
        for wanted in self._scheduler.take_due(now.s) if len(self._scheduler) else ():
            self._counts["requests"] += 1
            sequence = self._keepers[wanted.symbol].sequence
            sequence.expect_snapshot()
            least = max(wanted.last_update_id, sequence.comparable_from or 0)
            request = msgspec.structs.replace(wanted, last_update_id=least)
            self._producer.publish_live(Draft("request", wanted.symbol, "", request_data(request, now.ns)))

    def _update_request(self, keeper: Keeper) -> None:
        sequence = keeper.sequence
        need, keeper.snapshot_need = keeper.snapshot_need, None
        if need is not None and sequence.needs_snapshot_for(need.reason):
            self._scheduler.request(SnapshotRequest(keeper.symbol, *need))
            return
        wanted = self._scheduler.requested(keeper.symbol)
        if wanted is None:
            return
        if not (keeper.is_valid if wanted.reason == AUDIT else sequence.needs_snapshot_for(wanted.reason)):
            self._scheduler.settle(keeper.symbol)

    def _check(self, now: Now) -> None:
        """Look at which books are kept, and at each: requests that are due, its stream, its next audit."""
        if self._kept.refresh():
            self._follow(now)
        for keeper in self._keepers.values():
            keeper.tick(now)
            self._touched.add(keeper)
            if keeper.is_valid or keeper.sequence.is_doubted:
                self._check_stream(keeper, now)

    def _check_stream(self, keeper: Keeper, now: Now) -> None:
        """Doubt a book whose stream may have stopped; request the audit of another one when it is due."""
        why = self._workers.fault(keeper.symbol, keeper.stream, keeper.last_update_s, now.s)
        if why:
            keeper.doubt(why, now)
        elif keeper.sequence.is_doubted:
            keeper.sequence.end_doubt()
        elif self._audit_interval_s and now.s >= self._audit_s[keeper.symbol]:
            self._audit_s[keeper.symbol] = now.s + self._audit_interval_s
            if self._scheduler.requested(keeper.symbol) is None:
                self._scheduler.request(SnapshotRequest(keeper.symbol, keeper.book.update_id, AUDIT))

    def _status_now(self) -> OrderbookStatus:
        books = {symbol: messages.status_of(keeper) for symbol, keeper in self._keepers.items()}
        valid = sum(book.valid for book in books.values())
        totals = {key: sum(getattr(book, key) for book in books.values()) for key in _TOTALS}
        status = OrderbookStatus(
            state="valid" if valid == len(books) else "building",
            books=books,
            valid=valid,
            wanted_snapshots=len(self._scheduler),
            missed=self._inbox.missed,
            restarts=self._inbox.restarts,
            journal=self._producer.status(),
        )
        return msgspec.structs.replace(status, **totals, **self._counts, **self._queries.counts)


def _routes(kept: KeptSymbols, keepers: Mapping[str, Keeper]) -> dict[bytes, tuple[Keeper, int]]:
    """Return by topic the book that a message belongs to, and the kind of the message; a worker has many books."""
    found: dict[bytes, tuple[Keeper, int]] = {}
    for symbol, keeper in keepers.items():
        kinds = (*range(len(SPEEDS)), _SNAPSHOT, _QUOTE)
        found |= {topic: (keeper, kind) for topic, kind in zip(kept.topics_of(symbol), kinds, strict=False)}
        found[kept.by_name[symbol].status_topic] = keeper, _STATUS
    return found
