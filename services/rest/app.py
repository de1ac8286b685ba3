"""The REST process: one loop that sends a request at a time, takes what comes off the bus, and says how it is.

Nothing in the loop waits for the exchange: a thread of its own does (`client.RequestThread`).
"""

import itertools
import math
import random
from collections.abc import Sequence
from pathlib import Path

import msgspec
import zmq

from binance_streamer.config.schema import Config, has_book, series_of
from binance_streamer.transport.sockets import bus_sub
from binance_streamer.wire.statuses import RestStatus
from services.rest.answers import shown
from services.rest.client import Client, RequestThread
from services.rest.inbox import RequestInbox
from services.rest.market.clock_offset import ClockReading, OffsetMeter, StepWatch
from services.rest.market.group_members import GroupMembers
from services.rest.market.listing import ListingRecorder
from services.rest.market.series_task import SeriesTasks
from services.rest.messages import step_draft
from services.rest.oddities import Oddities
from services.rest.schedule.backfill_queue import BackfillQueue
from services.rest.schedule.pacing import Pace
from services.rest.schedule.scheduler import Scheduler
from services.rest.schedule.snapshot_queue import SnapshotQueue
from services.rest.schedule.task import AnyRequest, Moment
from services.rest.state import RestState, StateFile
from services.rest.tasks import CLOCK_GROUP, Parts, tasks_in_order
from services.runtime.clock import both_ns, monotonic_s, wall_ns
from services.runtime.delivery.producer import Producer, producing
from services.runtime.process import Shell, arguments_of, run_service
from services.runtime.status import StatusPublisher

NAME = "rest"
STATE_FILE = "rest.json"
LISTING_FILE = "rest-exchange-info.json"

DEFAULT_WEIGHT_LIMIT = 2400
"""A minute, until exchangeInfo says it (live 2026-08-21)."""
_DRAIN_TIMEOUT_S = 5.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the REST process until SIGTERM; returns the exit code."""
    parser = arguments_of(
        "services.rest",
        "Asks the exchange for depth snapshots, missing rows and its list of symbols, never more than it allows.",
        "python -m services.rest -c config/streamer.yaml",
    )
    return run_service(NAME, parser.parse_args(arguments).config, serve)


def serve(shell: Shell) -> None:
    """Ask the exchange until SIGTERM, then push what is recorded to the writer."""
    with producing(shell) as (producer, pub):
        _RestProcess(shell, producer, pub).run()
        producer.drain(_DRAIN_TIMEOUT_S)


class _RestProcess:
    def __init__(self, shell: Shell, producer: Producer, pub: "zmq.Socket[bytes]") -> None:
        config, network = shell.config, shell.config.network
        self._shell = shell
        self._producer = producer
        self._status = StatusPublisher(shell, pub)
        self._thread = RequestThread(Client(network, wall_ns).get)
        self._request: AnyRequest | None = None
        """The newest request that left; while the thread is busy its answer is awaited."""
        self._steps = StepWatch(ClockReading(*both_ns()))
        self._members = GroupMembers(config)
        self._has_ended_others = False
        self._parts = _parts(config, producer, self._members)
        gap_numbers = itertools.count(1)
        self._series = SeriesTasks(
            self._parts, lambda: producer.rows, lambda: f"{shell.epoch}-rest-{next(gap_numbers)}"
        )
        self._follow_members()
        tasks = tasks_in_order(
            self._parts,
            list_interval_s=network.exchange_info_interval,
            list_retry_s=network.reconnect_delay_max,
            series=self._series.tasks,
        )
        delays_s = (network.reconnect_delay, network.reconnect_delay_max)
        rng = random.Random()  # noqa: S311 (jitter)
        self._scheduler = Scheduler(self._parts.pace, tasks, delays_s=delays_s, rng=rng)
        self._bus = bus_sub(shell.context, config.endpoints.bus_subscribe, b"request.")
        self._inbox = RequestInbox(self._bus, self._parts)
        self._state = StateFile(Path(config.endpoints.run_directory) / STATE_FILE)
        taken_ms = self._state.restore(self._parts.pace, monotonic_s())
        self._parts.snapshots.start(taken_ms, self._now().exchange_ms)

    def run(self) -> None:
        """Run until asked to stop: one request under way at a time, and nothing else waits for it."""
        poller = zmq.Poller()
        for readable in (self._shell.stop, self._thread, self._bus):
            poller.register(readable, zmq.POLLIN)
        self._producer.register(poller)
        while not self._shell.stop.requested:
            self._send_next()
            ready = dict(poller.poll(math.ceil(self._timeout_s() * 1000)))
            self._watch_clock()
            if self._thread.fileno() in ready:
                self._take_answer()
            if self._bus in ready:
                self._inbox.receive()
            now_s = monotonic_s()
            self._producer.serve(now_s)
            self._parts.listing.publish_due(now_s)
            if self._status.due(now_s):
                self._watch_series()
                self._status.publish(self._status_at(now_s))

    def _now(self) -> Moment:
        return Moment(monotonic_s(), self._parts.meter.exchange_ms(wall_ns()))

    def _timeout_s(self) -> float:
        now = self._now()
        waits_s = [self._producer.poll_timeout_s(now.s), self._status.wait_s(now.s)]
        request_s = None if self._thread.is_busy else self._scheduler.wait_s(now)
        return min([*waits_s, request_s] if request_s is not None else waits_s)

    def _watch_clock(self) -> None:
        """Look for a step of our clock, before an answer is taken whose stamps may lie on both sides of it."""
        step = self._steps.look(ClockReading(*both_ns()))
        if step is None:
            return
        self._shell.log.warning("the local clock was set step_ms=%.3f", step.step_ms)
        is_asking = self._thread.is_busy and self._request is not None and self._request.group == CLOCK_GROUP
        self._parts.meter.note_step(step, is_asking=is_asking)
        self._producer.append([step_draft(step)])

    def _watch_series(self) -> None:
        """List what polls have missed, and follow the members of groups; to be called once a second."""
        if self._members.config is not self._followed:
            self._follow_members()
            self._parts.snapshots.follow(_with_books(self._followed), self._now().exchange_ms)
        if self._members.are_known and not self._has_ended_others:  # the journal may be full
            self._has_ended_others = self._series.end_others(wall_ns())
        for task in self._series.tasks:
            task.list_overdue(self._now(), wall_ns())

    def _follow_members(self) -> None:
        self._followed = self._members.config
        self._series.follow([series for symbol in self._followed.symbols for series in series_of(symbol)])
        self._has_ended_others = False

    def _send_next(self) -> None:
        if self._thread.is_busy:
            return
        self._request = self._scheduler.take_next(self._now())
        if self._request is not None:
            self._save()  # before it leaves: a kill must not make us forget it
            self._thread.submit(self._request.path)

    def _take_answer(self) -> None:
        answer, request, before = self._thread.answer(), self._request, self._scheduler.condition
        assert request is not None
        if self._scheduler.take_answer(request, answer, self._now()) == "refused":
            self._shell.log.warning("refused path=%s: %s", request.path, shown(answer))
        self._save()
        self._log_change(before, request)

    def _log_change(self, before: str, request: AnyRequest) -> None:
        condition = self._scheduler.condition
        if condition == before:
            return
        if condition == "answered":
            self._shell.log.info("answered path=%s clock_offset_ms=%s", request.path, self._parts.meter.offset_ms)
        else:
            wait_s = self._scheduler.silent_s(monotonic_s())
            self._shell.log.warning("%s for_s=%.1f path=%s", condition, wait_s, self._scheduler.fault)

    def _save(self) -> None:
        self._state.save(RestState(self._parts.pace.saved(monotonic_s()), self._parts.snapshots.taken_ms))

    def _status_at(self, now_s: float) -> RestStatus:
        scheduler, parts = self._scheduler, self._parts
        measured, step = parts.meter.newest, self._steps.newest
        status = RestStatus(
            state=scheduler.condition,
            fault=scheduler.fault,
            stand_down_s=scheduler.silent_s(now_s),
            used_weight=parts.pace.used(now_s),
            weight_limit=parts.pace.limit,
            answers=dict(scheduler.answers),
            requests=self._inbox.requests,
            refused_requests=self._inbox.refused_requests,
            waiting=len(parts.snapshots),
            repairs_waiting=len(parts.backfill),
            snapshot_interval_s=parts.snapshots.interval_s,
            clock_offset_ms=parts.meter.offset_ms,
            clock_error_ms=measured and measured.best.error_ms,
            clock_measured_ns=measured and measured.best.recv_ns,
            clock_steps=self._steps.steps,
            clock_step_ms=step and step.step_ms,
            clock_step_ns=step and step.after_ns,
            symbols=parts.listing.statuses(),
            unlisted={symbol: tuple(names) for symbol, names in parts.listing.nearest_names().items()},
            off_session=tuple(parts.listing.off_session(self._now().exchange_ms)),
            hours_unknown=tuple(parts.listing.hours_unknown),
            not_understood=dict(parts.oddities.counts),
            refused_series=dict(parts.refused_series),
            save_fault=self._state.fault,
            journal=self._producer.status(),
        )
        return msgspec.structs.replace(status, **parts.counts)


def _with_books(config: Config) -> list[str]:
    """Return the symbols that get a snapshot every interval without a request: those that have an order book."""
    return [symbol.symbol for symbol in config.symbols if has_book(symbol)]


def _parts(config: Config, producer: Producer, members: GroupMembers) -> Parts:
    """Make what the tasks share."""
    network = config.network
    pace = Pace(limit=DEFAULT_WEIGHT_LIMIT, share=network.weight_share, spacing_s=network.snapshot_spacing)
    snapshots = SnapshotQueue(
        _with_books(members.config), interval_s=network.snapshot_interval, retry_s=network.snapshot_retry
    )
    snapshots.stretch(pace.heavy_interval_s)
    oddities = Oddities()
    path = Path(config.endpoints.run_directory) / LISTING_FILE
    return Parts(
        pace=pace,
        meter=OffsetMeter(network.clock_interval),
        listing=ListingRecorder(path, members.symbols, producer, oddities=oddities, members=members),
        snapshots=snapshots,
        backfill=BackfillQueue(retry_s=network.snapshot_retry),
        sink=producer,
        oddities=oddities,
        members=members,
    )
