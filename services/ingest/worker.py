"""The recording thread of a worker: it reads the sockets, has what came judged, and journals it.

One turn of the loop: read until `performance.collect` has passed since the last turn that had messages, take events of
up to 256 KiB from the reader, hand them to the coordinator, journal the drafts that come of them with one write, take
messages of the bus, and do what time makes due (every 0.2 s while something arrives or connections change, else once a
second). A turn costs about as much as ten messages do; one that comes alone is not held up.
"""

import logging
import math
from random import Random
from typing import Any

import msgspec
import zmq

from binance_streamer.exchange.messages import UNREADABLE, ExchangeError
from binance_streamer.transport import sockets
from binance_streamer.wire.frames import WireError, decode_frame
from binance_streamer.wire.requests import BackfillRequest, SnapshotRequest, request_data
from binance_streamer.wire.status_parts import StreamStatus
from binance_streamer.wire.statuses import IngestStatus
from services.ingest.connections.events import Delivered, ReaderEvent
from services.ingest.connections.reader import ENOUGH_BYTES
from services.ingest.intake import Intake
from services.ingest.streams.backfill import BackfillRequests, GapOffer, read_offer, read_page
from services.ingest.streams.stream import NOT_RECORDED, StreamRecorder
from services.ingest.symbols import topics_of
from services.ingest.takeover.moves import SymbolMoves
from services.ingest.takeover.noted_outages import NotedOutages, noted_outages_path
from services.ingest.takeover.partner import is_relieved, warm_lock_path
from services.ingest.takeover.unlisted import UnlistedLosses, unlisted_path
from services.runtime.clock import monotonic_s, wall_ns
from services.runtime.delivery.producer import Draft, Producer
from services.runtime.process import Shell, keep_freed, settle
from services.runtime.status import StatusPublisher

_log = logging.getLogger(__name__)

_TICK_S = 0.2
_HOLDING_TICK_S = 0.02
_DRAIN_S = 5.0
_MOST_BUS_MESSAGES = 100


class IngestWorker:
    """Records its symbols: owns their reader, connections, streams, and the requests for what they miss."""

    def __init__(
        self, shell: Shell, producer: Producer, pub: "zmq.Socket[bytes]", *, intake: Intake, moves: SymbolMoves
    ) -> None:
        config = shell.config
        self._stop = shell.stop
        self._symbols = intake.symbols
        self._moves = moves
        self._producer = producer
        self._streams = moves.streams
        self._reader = intake.reader
        self._coordinator = intake.coordinator
        self._backfill = BackfillRequests(config.network.snapshot_retry, Random()) if config.network.repair else None  # noqa: S311
        self._status = StatusPublisher(shell, pub)
        self._counted: dict[str, tuple[int, float]] = {}
        self._refused_kinds: set[str] = set()
        self._bus_refused = 0
        self._took_over_ms = intake.took_over_ms
        self._warm_path = warm_lock_path(shell, producer.name)
        self._unlisted = UnlistedLosses(unlisted_path(shell, producer.name))
        self._outages = NotedOutages(noted_outages_path(shell, producer.name))
        self._note_losses()
        self._gives_way = False
        self._next_tick_s = 0.0
        self._took_s = 0.0
        self._collect_s = config.performance.collect
        self._epoch = shell.epoch
        self._late_rows = 0
        self._late_behind = 0
        """The position in the journal behind the last row that lies in a hole."""
        self._taken_over: set[str] = set()
        self._sub = sockets.bus_sub(
            shell.context,
            config.endpoints.bus_subscribe,
            *(topic for symbol in self._symbols.by_name for topic in topics_of(symbol)),
        )
        self._has_bus_messages = True
        self._reader.watch(shell.stop.fileno())
        self._reader.register(self._sub)
        producer.register(self._reader)

    def run(self) -> None:
        """Record until asked to stop; then journal what was received, and push it."""
        if not self._reader.is_alive():  # else it was warm
            settle()
            keep_freed()
            self._reader.start()
        try:
            while not self._stop.requested and not self._gives_way:
                readable = self._reader.read(self._due_s(), not_before_s=self._took_s + self._collect_s)
                now_s = monotonic_s()
                self._record(self._reader.take(ENOUGH_BYTES), now_s)
                if readable or self._has_bus_messages:
                    self._has_bus_messages = self._take_bus_messages(now_s)
                if now_s >= self._next_tick_s:
                    self._tick(now_s)
                if readable or self._producer.poll_timeout_s(now_s) <= 0:
                    self._producer.serve(now_s)
        finally:
            self._reader.stop()
            self._sub.close()
        while events := self._reader.take(ENOUGH_BYTES):
            self._record(events, monotonic_s())
        if not is_relieved(self._warm_path):  # else another worker has what is missing
            self._streams.expire(math.inf)
            self._streams.list_gaps(self._coordinator.outages.end(None, wall_ns()))
        self._append()
        self._note_losses()
        self._status.publish(self._status_at(monotonic_s()))  # what was lost in the last second is told, too
        if not self._gives_way and not self._producer.drain(_DRAIN_S):
            _log.warning("the writer is away: what it does not have yet is pushed at the next start")
        self._moves.release_all()

    def _note_losses(self) -> None:
        """Note beside the journal what no row of it shows yet, should another run have to go on."""
        self._unlisted.note(self._streams.unlisted)
        self._outages.note(self._coordinator.outages.noted)

    def _look_for_relief(self) -> None:
        """Give way to a worker that is warm, where this one has lost a route: that one has what comes meanwhile."""
        self._coordinator.is_cut_off = False
        if is_relieved(self._warm_path):
            _log.warning("a route has no connection any more, and another worker has: it goes on with the journal")
            self._gives_way = True

    def _due_s(self) -> float:
        now_s = monotonic_s()
        if self._has_bus_messages:
            return now_s
        return min(self._next_tick_s, now_s + self._producer.poll_timeout_s(now_s))

    def _record(self, events: list[ReaderEvent], now_s: float) -> None:
        if events:
            self._took_s = now_s
            self._tick_soon(now_s)
        for event in events:
            self._coordinator.take(event, now_s)
            if type(event) is not Delivered:
                self._note_losses()
        if self._coordinator.is_cut_off:
            self._look_for_relief()
        self._append()
        self._symbols.want_snapshots(self._streams.anchors, now_s)
        self._streams.anchors.clear()

    def _append(self) -> None:
        drafts = self._streams.collect(wall_ns())
        if drafts and not self._producer.append(drafts):
            self._streams.restore(self._producer.rows, "journal full")
            for gap in self._producer.own_gaps:
                self._streams.note_lost(gap.stream_name, gap.data["to_id"], gap.data["reason"])
        late_rows = sum([recorder.late_rows for recorder in self._streams.recorders.values()])
        if late_rows != self._late_rows:
            self._late_rows, self._late_behind = late_rows, self._producer.next_position

    def _tick(self, now_s: float) -> None:
        if self._streams.is_holding:
            self._streams.expire(now_s)
            self._append()
        is_expected = self._symbols.expected(now_s, wall_ns() // 1_000_000)
        if changed := self._moves.follow(self._sub, now_s, self._append, is_expected=is_expected):
            self._append()
            kept = {name for name, one in self._streams.recorders.items() if one.stream.symbol not in changed}
            self._counted = {name: counted for name, counted in self._counted.items() if name in kept}
        self._coordinator.tick(now_s, is_expected=is_expected)
        self._note_losses()
        for symbol in self._symbols.by_name.values():
            self._request(symbol.snapshots.take_due(now_s))
        self._ask_for_repairs(now_s)
        self._log_new_kinds()
        if self._status.due(now_s):
            self._status.publish(self._status_at(now_s))
        self._next_tick_s = now_s + (_HOLDING_TICK_S if self._streams.is_holding else self._status.wait_s(now_s))
        if not self._coordinator.network.is_settled:
            self._tick_soon(now_s)

    def _tick_soon(self, now_s: float) -> None:
        self._next_tick_s = min(self._next_tick_s, now_s + _TICK_S)

    def _take_bus_messages(self, now_s: float) -> bool:
        """Take what the bus has; return True where there may be more, of which nothing tells any more."""
        for _ in range(_MOST_BUS_MESSAGES):
            try:
                parts = self._sub.recv_multipart(zmq.DONTWAIT)
            except zmq.Again:
                return False
            self._tick_soon(now_s)
            try:
                stream_type, data = decode_frame(parts[-1])
                if stream_type == "symbol_status":
                    self._symbols.take_status(data, now_s)
                elif stream_type == "depth_snapshot":
                    self._symbols.take_snapshot(data)
                elif stream_type == "repair":
                    self._take_page(data, now_s)
                elif stream_type == "offered_gap":
                    self._take_offer(read_offer(data))
            except (WireError, ExchangeError, *UNREADABLE) as error:
                self._bus_refused += 1
                if self._bus_refused == 1:
                    _log.warning("bus message refused, further ones are counted in status: %.200s", error)
        return True

    def _take_page(self, data: dict[str, Any], now_s: float) -> None:
        recorder = self._streams.recorders.get(data["stream"])
        if recorder is None or self._backfill is None or self._producer.is_full:
            return
        page = read_page(recorder.stream, data)
        if not page.is_empty:
            self._streams.repair(page)
        elif self._backfill.count_refusal(page, now_s):
            for gap in self._streams.give_up(page):
                _log.warning("gap %s gap_id=%s stream=%s why=%.200s", gap.state, gap.gap_id, gap.stream, gap.why)
        self._append()

    def _take_offer(self, offer: GapOffer) -> None:
        """Take over a gap that the writer has listed, once: it is offered until a row of ours says so."""
        gap_id = offer.gap.gap_id
        is_known = gap_id in self._taken_over or self._producer.is_full
        if is_known or not offer.is_exact(self._epoch, self._late_behind):
            return
        recorder = self._streams.recorders.get(offer.stream)
        if recorder is not None and recorder.stream.symbol in self._streams.waiting:
            return
        gaps = recorder.take_over(offer) if recorder else [offer.refused(NOT_RECORDED)]
        self._streams.list_gaps(gaps)
        if gaps:
            self._append()
            if not self._producer.is_full:
                self._taken_over.add(gap_id)
                _log.warning("gap taken over gap_id=%s stream=%s reason=%s", gap_id, offer.stream, offer.gap.reason)

    def _ask_for_repairs(self, now_s: float) -> None:
        if self._backfill is None or self._producer.is_full:
            return
        for recorder in self._streams.recorders.values():
            self._request(self._backfill.take_due(recorder.stream, recorder.open_gaps, now_s))

    def _request(self, request: SnapshotRequest | BackfillRequest | None) -> None:
        """Ask the REST process for a snapshot, or for what is missing of a stream."""
        if request is not None:
            self._producer.publish_live(Draft("request", request.symbol, "", request_data(request, wall_ns())))

    def _log_new_kinds(self) -> None:
        for kind in self._streams.refused.keys() - self._refused_kinds:
            self._refused_kinds.add(kind)
            _log.warning("recorded raw kind=%s", kind)

    def _status_at(self, now_s: float) -> IngestStatus:
        return msgspec.structs.replace(
            self._coordinator.status(now_s),
            streams={name: self._stream_status(name, one, now_s) for name, one in self._streams.recorders.items()},
            not_trading=self._symbols.not_trading(now_s),
            off_session=self._symbols.off_session(wall_ns() // 1_000_000),
            raw=dict(self._streams.refused),
            bus_refused=self._bus_refused,
            snapshots_wanted=self._symbols.snapshots_wanted,
            journal=self._producer.status(),
            took_over_ms=self._took_over_ms,
            waiting=self._moves.waiting,
        )

    def _stream_status(self, name: str, recorder: StreamRecorder, now_s: float) -> StreamStatus:
        before, before_s = self._counted.get(name, (0, now_s))
        self._counted[name] = recorder.messages, now_s
        last = recorder.last
        event_time_ms = last.reading.event_time_ms if last else 0
        return StreamStatus(
            messages=recorder.messages,
            rate=(recorder.messages - before) / (now_s - before_s) if now_s > before_s else 0.0,
            rows=recorder.rows,
            last_id=recorder.tracker.newest,
            gaps=recorder.gaps,
            open_gaps=len(recorder.open_gaps),
            repaired=recorder.repaired,
            repeats=recorder.repeats,
            raw=recorder.raw,
            latency_ms=last.recv_ns / 1e6 - event_time_ms if last and event_time_ms else None,
            last_recv_ns=last.recv_ns if last else None,
            route=recorder.route,
            state=self._coordinator.heard.state(name),
            silent_s=self._coordinator.heard.silent_s(name, now_s),
            patience_s=self._coordinator.heard.patience_s(name),
        )
