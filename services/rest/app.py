"""The only process that asks the exchange's REST interface, because its request weight is one for the whole address."""

import math
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import zmq

from binance_streamer.config.schema import Config, has_book
from binance_streamer.transport.sockets import bus_pub, bus_sub
from binance_streamer.wire.frames import WireError
from services.rest import state
from services.rest.answers import (
    AnswerError,
    RestAnswer,
    RestRequest,
    has_rows,
    read_clock_sample,
    read_snapshot,
    refusal,
    shown,
)
from services.rest.client import Client, RequestThread
from services.rest.market.clock_offset import ClockReading, StepWatch
from services.rest.market.exchange_info import ExchangeInfoError
from services.rest.market.listing import ListingRecorder
from services.rest.messages import SnapshotRequest, offset_draft, read_request, repair_draft, snapshot_draft, step_draft
from services.rest.schedule.backfill_queue import BackfillQueue, BackfillRequest
from services.rest.schedule.pacing import Pace
from services.rest.schedule.scheduler import Queues, Scheduler
from services.rest.schedule.snapshot_queue import SnapshotQueue
from services.runtime.clock import both_ns, monotonic_s, wall_ns
from services.runtime.delivery.producer import Producer, StoppedWhileWaitingError
from services.runtime.process import Shell, arguments_of, run_service
from services.runtime.status import StatusPublisher

NAME = "rest"
STATE_FILE = "rest.json"
LISTING_FILE = "rest-exchange-info.json"

DEFAULT_WEIGHT_LIMIT = 2400
"""Until exchangeInfo says it (live 2026-08-21)."""
_DRAIN_TIMEOUT_S = 5.0
_MOST_REQUESTS_A_ROUND = 1000
"""A flood of requests must not keep the loop from its other duties."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the REST process until SIGTERM; returns the exit code."""
    parser = arguments_of(
        "services.rest",
        "Asks the exchange for depth snapshots and for what it lists, never more than the exchange allows.",
        "python -m services.rest -c config/streamer.yaml",
    )
    return run_service(NAME, parser.parse_args(arguments).config, ask)


def ask(shell: Shell) -> None:
    """Ask until told to stop, then push what is recorded."""
    pub = bus_pub(shell.context, shell.config.endpoints.bus_publish)
    try:
        producer = Producer(shell, NAME, pub)
    except StoppedWhileWaitingError:
        return
    process = _RestProcess(shell, producer, pub)
    try:
        process.run()
        producer.drain(_DRAIN_TIMEOUT_S)
    finally:
        producer.close()


class _RestProcess:
    def __init__(self, shell: Shell, producer: Producer, pub: "zmq.Socket[bytes]") -> None:
        config = shell.config
        run_directory = Path(config.endpoints.run_directory)
        self._shell = shell
        self._producer = producer
        self._status = StatusPublisher(shell, pub)
        self._bus = bus_sub(shell.context, config.endpoints.bus_subscribe, b"request.")
        self._worker = RequestThread(Client(config.network, wall_ns).get)
        self._desk = _desk(config)
        self._steps = StepWatch(ClockReading(*both_ns()))
        self._listing = ListingRecorder(
            run_directory / LISTING_FILE, [symbol.symbol for symbol in config.symbols], producer
        )
        self._state_path = run_directory / STATE_FILE
        self._save_fault = ""
        self._fault = ""
        self._request: RestRequest | None = None
        self._counts = {"snapshots": 0, "repair_pages": 0, "repair_refusals": 0, "requests": 0, "refused_requests": 0}
        self._restore()

    def run(self) -> None:
        """Until asked to stop: one request under way at a time, everything else never waits for it."""
        poller = zmq.Poller()
        for readable in (self._shell.stop, self._worker, self._bus):
            poller.register(readable, zmq.POLLIN)
        self._producer.register(poller)
        while not self._shell.stop.requested:
            self._submit()
            ready = dict(poller.poll(math.ceil(self._timeout_s() * 1000)))
            self._watch_clock()
            if self._worker.fileno() in ready:
                self._take_answer()
            if self._bus in ready:
                self._hear()
            now_s = monotonic_s()
            self._producer.serve(now_s)
            self._listing.tell(now_s)
            if self._status.due(now_s):
                self._status.publish(self._fields(now_s))

    def _timeout_s(self) -> float:
        now_s = monotonic_s()
        waits_s = [self._producer.poll_timeout_s(now_s), self._status.wait_s(now_s)]
        desk_s = None if self._worker.is_busy else self._desk.wait_s(now_s, self._exchange_ms())
        return min([*waits_s, desk_s] if desk_s is not None else waits_s)

    def _exchange_ms(self, at_ns: int | None = None) -> int:
        return int((wall_ns() if at_ns is None else at_ns) / 1e6 + (self._desk.clock.offset_ms or 0))

    def _watch_clock(self) -> None:
        """Before an answer is looked at: its stamps may lie on both sides of a step."""
        step = self._steps.look(ClockReading(*both_ns()))
        if step is None:
            return
        self._shell.log.warning("the local clock was set step_ms=%.3f", step.step_ms)
        is_asking = self._worker.is_busy and self._request is not None and self._request.kind == "time"
        self._desk.clock.stepped(step, is_asking=is_asking)
        self._producer.append([step_draft(step)])

    def _submit(self) -> None:
        if self._worker.is_busy:
            return
        self._request = self._desk.next(monotonic_s(), self._exchange_ms())
        if self._request is not None:
            self._save()  # before it leaves: a kill must not make us forget it
            self._worker.submit(self._request.path)

    def _take_answer(self) -> None:
        answer, request = self._worker.answer(), self._request
        assert request is not None
        now_s, before = monotonic_s(), self._desk.condition
        found = self._desk.judge(request, answer, now_s, self._exchange_ms())
        if found == "good":
            try:
                self._take_good(request, answer, now_s)
            except (AnswerError, ExchangeInfoError) as error:
                self._desk.failed(request, now_s)
                self._fault = f"{request.path}: {error}"
        elif found == "refused":
            self._shell.log.warning("refused path=%s: %s", request.path, shown(answer))
            if request.repair is not None:
                self._take_nothing(request.repair, request, answer, refusal(answer))
        else:
            self._fault = f"{request.path}: {shown(answer)}"
        if self._desk.condition == "answered":  # else what fails outlasts the good answers to other requests
            self._fault = ""
        self._save()
        self._log_change(before, request)

    def _take_good(self, request: RestRequest, answer: RestAnswer, now_s: float) -> None:
        if request.kind == "time":
            measured = self._desk.took_time(read_clock_sample(answer), now_s)
            if measured is not None:
                self._producer.append([offset_draft(measured)])
        elif request.kind == "exchange_info":
            weight_limit = self._listing.take(answer, now_s)
            self._desk.took_exchange_info(weight_limit, now_s, follows_sessions=self._listing.follows_sessions)
            self._desk.snapshots.set_idle(self._listing.idle)
            self._desk.snapshots.interval_s = _interval_s(self._shell.config, self._desk.pace)
        elif request.kind == "trading_schedule":
            self._listing.take_schedule(answer, now_s)
            self._desk.took_schedule(now_s)
        elif request.repair is not None:
            self._take_repair(request.repair, request, answer, now_s)
        else:
            self._take_snapshot(request, answer, now_s)

    def _take_repair(self, wish: BackfillRequest, request: RestRequest, answer: RestAnswer, now_s: float) -> None:
        is_page = has_rows(answer, wish)
        self._desk.succeeded(request, now_s)
        if not is_page:
            self._take_nothing(wish, request, answer, "")
            return
        self._desk.repairs.served(wish)
        self._counts["repair_pages"] += 1
        self._producer.publish_live(repair_draft(wish, answer, request.path, refusal=""))

    def _take_nothing(self, wish: BackfillRequest, request: RestRequest, answer: RestAnswer, why: str) -> None:
        if self._desk.repairs.looks_up(wish, self._exchange_ms()):
            return
        self._desk.repairs.served(wish)
        self._counts["repair_refusals"] += 1
        self._producer.publish_live(repair_draft(wish, answer, request.path, refusal=why))

    def _take_snapshot(self, request: RestRequest, answer: RestAnswer, now_s: float) -> None:
        assert request.wanted is not None
        snapshot = read_snapshot(answer)
        self._desk.succeeded(request, now_s)
        self._producer.append([snapshot_draft(request.wanted.symbol, answer, snapshot)])
        if self._producer.is_full:
            self._desk.snapshots.failed(request.wanted, now_s)  # seen on the bus, but in no file
            return
        self._counts["snapshots"] += 1
        # by when it was asked for: one that was under way at midnight is not the new day's
        taken_ms = min(self._exchange_ms(), self._exchange_ms(answer.requested_ns))
        self._desk.snapshots.recorded(request.wanted, snapshot.lastUpdateId, now_s, taken_ms)

    def _hear(self) -> None:
        for _ in range(_MOST_REQUESTS_A_ROUND):
            try:
                parts = self._bus.recv_multipart(zmq.DONTWAIT)
            except zmq.Again:
                return
            self._counts["requests"] += 1
            try:
                request = read_request(parts)
            except WireError as error:
                self._refuse_request(str(error))
                continue
            if isinstance(request, SnapshotRequest):
                self._take_request(request)
            else:
                self._take_wish(request)

    def _take_request(self, request: SnapshotRequest) -> None:
        if not self._listing.knows(request.symbol) or not self._desk.snapshots.ask(*request, monotonic_s()):
            self._refuse_request(f"{request.symbol} is not listed, or too many symbols wait")

    def _take_wish(self, wish: BackfillRequest) -> None:
        symbol = wish.stream.symbol
        if not self._listing.knows(symbol):
            now_ns = wall_ns()
            nothing = RestAnswer(0, {}, b"", now_ns, now_ns)
            self._producer.publish_live(
                repair_draft(wish, nothing, "", refusal="the exchange does not list the symbol")
            )
        elif not self._desk.repairs.ask(wish, monotonic_s()):
            self._refuse_request(f"{symbol}: too many streams wait")

    def _refuse_request(self, why: str) -> None:
        self._counts["refused_requests"] += 1
        if self._counts["refused_requests"] == 1:
            self._shell.log.warning("request refused, further ones are counted in status: %s", why)

    def _log_change(self, before: str, request: RestRequest) -> None:
        condition = self._desk.condition
        if condition == before:
            return
        if condition == "answered":
            self._shell.log.info("answered path=%s clock_offset_ms=%s", request.path, self._desk.clock.offset_ms)
        else:
            wait_s = self._desk.silent_s(monotonic_s())
            self._shell.log.warning("%s for_s=%.1f path=%s", condition, wait_s, self._fault)

    def _restore(self) -> None:
        now_s, pace = monotonic_s(), self._desk.pace
        taken_ms: dict[str, int] = {}
        try:
            loaded = state.load(self._state_path, wall_ns())
        except state.StateError as error:
            self._shell.log.warning("assuming a full minute's weight used: %s", error)
            pace.assume_used_up(now_s)
        else:
            if loaded is not None:
                saved, elapsed_s = loaded
                taken_ms = saved.taken_ms
                pace.restore(saved.pace, now_s, elapsed_s)
        self._desk.snapshots.start(taken_ms, self._exchange_ms())

    def _save(self) -> None:
        saved = state.RestState(self._desk.pace.saved(monotonic_s()), self._desk.snapshots.taken_ms)
        try:
            state.save(self._state_path, saved, wall_ns())
        except OSError as error:
            if not self._save_fault:
                self._shell.log.warning("a restart will not know what was sent: %s", error)
            self._save_fault = str(error)
        else:
            self._save_fault = ""

    def _fields(self, now_s: float) -> dict[str, Any]:
        desk, pace = self._desk, self._desk.pace
        return {
            **self._counts,
            "state": desk.condition,
            "fault": self._fault,
            "stand_down_s": desk.silent_s(now_s),
            "used_weight": pace.used(now_s),
            "weight_limit": pace.limit,
            "answers": dict(desk.answers),
            "waiting": len(desk.snapshots),
            "repairs_waiting": len(desk.repairs),
            "snapshot_interval_s": desk.snapshots.interval_s,
            **self._clock_fields(),
            "symbols": self._listing.statuses(),
            "off_session": self._listing.off_session(self._exchange_ms()),
            "save_fault": self._save_fault,
            "journal": self._producer.status(),
        }

    def _clock_fields(self) -> dict[str, Any]:
        measured, step = self._desk.clock.newest, self._steps.newest
        return {
            "clock_offset_ms": self._desk.clock.offset_ms,
            "clock_error_ms": measured and measured.best.error_ms,
            "clock_measured_ns": measured and measured.best.recv_ns,
            "clock_steps": self._steps.steps,
            "clock_step_ms": step and step.step_ms,
            "clock_step_ns": step and step.after_ns,
        }


def _desk(config: Config) -> Scheduler:
    network = config.network
    pace = Pace(limit=DEFAULT_WEIGHT_LIMIT, share=network.weight_share, spacing_s=network.snapshot_spacing)
    return Scheduler(
        pace,
        Queues(
            SnapshotQueue(_periodic(config), interval_s=_interval_s(config, pace), retry_s=network.snapshot_retry),
            BackfillQueue(retry_s=network.snapshot_retry),
        ),
        delays_s=(network.reconnect_delay, network.reconnect_delay_max),
        intervals_s=(network.exchange_info_interval, network.clock_interval),
        rng=random.Random(),  # noqa: S311 (jitter)
    )


def _periodic(config: Config) -> list[str]:
    """The symbols whose order book is recorded."""
    return [symbol.symbol for symbol in config.symbols if has_book(symbol)]


def _interval_s(config: Config, pace: Pace) -> float:
    """As configured, or as long as all symbols take one after the other."""
    return max(config.network.snapshot_interval, len(_periodic(config)) * pace.heavy_interval_s)
