"""A worker that waits for its journal, and is connected meanwhile.

| state | reads and judges | journals, publishes | next |
|---|---|---|---|
| waiting, not warm | yes, as far as it is connected | only its status | every stream comes: warm |
| waiting, warm | yes; the last seconds are remembered | only its status | the journal is ours: recording |
| recording | as every worker | as every worker | |

It takes messages in larger bunches than a worker that records: nobody waits for them, and stamps are the reader's.
"""

import logging
from collections.abc import Callable, Iterable, Set

import msgspec
import zmq

from binance_streamer.config.schema import streams_of
from binance_streamer.exchange.messages import UNREADABLE
from binance_streamer.exchange.stream_types import has_sequence_ids
from binance_streamer.exchange.streams import Stream
from binance_streamer.transport import sockets
from binance_streamer.wire.frames import WireError, decode_frame, encode_topic
from binance_streamer.wire.statuses import STANDBY, IngestStatus
from services.ingest.connections.events import Delivered
from services.ingest.connections.reader import ENOUGH_BYTES
from services.ingest.intake import Intake, gap_ids, intake_of
from services.ingest.symbols import WorkerSymbols
from services.ingest.takeover.claims import SymbolClaims, rows_to_judge
from services.ingest.takeover.noted_outages import NotedOutages, noted_outages_path
from services.ingest.takeover.partner import WARM_S, WarmSign, warm_lock_path
from services.ingest.takeover.recent import RecentArrivals, StandbyStreams
from services.ingest.takeover.release import JournalEnd, go_on, since_ns
from services.ingest.takeover.unlisted import UnlistedLosses, unlisted_path
from services.ingest.takeover.waiting import WorkerStreams
from services.runtime.clock import monotonic_s, wall_ns
from services.runtime.delivery.producer import Producer
from services.runtime.gaps.last_rows import newest_ns
from services.runtime.lock import FileLock, LockWait
from services.runtime.process import Shell, keep_freed, settle
from services.runtime.status import StatusPublisher

_log = logging.getLogger(__name__)

_TURN_MS = 100
_TICK_S = 0.2
_CLAIM_S, _CLAIM_TRY_S = 0.1, 0.005
"""The kernel takes the locks of a killed process one after the other."""


class Standby:
    """Receives what another process records; `wait` returns when that one has ended."""

    def __init__(self, shell: Shell, worker: str, symbols: WorkerSymbols, lock: FileLock) -> None:
        self._shell = shell
        self._worker = worker
        self._symbols = symbols
        self.pub = sockets.bus_pub(shell.context, shell.config.endpoints.bus_publish)
        self._status = StatusPublisher(shell, self.pub)
        streams = symbols.streams
        self._recent = RecentArrivals(_without_ids(streams))
        self._streams = StandbyStreams(worker, streams, last_rows={}, new_gap_id=gap_ids(shell.epoch))
        self._streams.recent = self._recent
        self._intake = intake_of(shell, worker, symbols, self._streams)
        self._lock = LockWait(lock)
        self._warm_sign = WarmSign(warm_lock_path(shell, f"ingest-{worker}"))
        self._next_tick_s = 0.0
        topics = [encode_topic("symbol_status", symbol) for symbol in symbols.by_name]
        self._sub = sockets.bus_sub(shell.context, shell.config.endpoints.bus_subscribe, *topics)
        self._poller = zmq.Poller()
        for readable in (self._sub, shell.stop.fileno(), self._lock.fileno()):
            self._poller.register(readable, zmq.POLLIN)

    def wait(self) -> bool:
        """Receive until the journal is ours; False where the process is asked to end before."""
        settle()
        keep_freed()
        _log.info("standby: waiting for the journal, connected meanwhile")
        self._intake.reader.start()
        self._lock.start()
        while not self._shell.stop.requested and not self._lock.is_over:
            self._poller.poll(_TURN_MS)
            now_s = monotonic_s()
            self._take(now_s)
            if sockets.is_readable(self._sub):
                self._take_bus_messages(now_s)
            if now_s >= self._next_tick_s:
                self._tick(now_s)
        is_ours = self._lock.is_over
        self._warm_sign.show(is_warm=False)
        self._sub.close()
        if not is_ours:
            self._intake.reader.stop()
            self.pub.close(linger=0)
        return is_ours

    def take_over(self, shell: Shell, producer: Producer, claims: SymbolClaims) -> tuple[Intake, WorkerStreams]:
        """Return what receives the symbols from here on, with all that is to be recorded behind the journal's end.

        Symbols that another worker records meanwhile, or has recorded last, go on waiting.
        """
        now_s, now_ns = monotonic_s(), wall_ns()
        self._take(now_s)
        before, intake = self._streams, self._intake
        own = self._own(claims)
        kept = [one.stream for one in before.recorders.values() if one.stream.symbol in own]
        rows = rows_to_judge(self._symbols, claims, own, producer.last_rows)
        streams = WorkerStreams(self._worker, kept, last_rows=rows, new_gap_id=gap_ids(shell.epoch))
        recorded = producer.recorded_events(_without_ids(kept), since_ns(rows))
        unlisted = UnlistedLosses(unlisted_path(shell, producer.name)).take_over()
        others = {one.stream.symbol for one in before.recorders.values()} - own
        foreign = {name.encode() for name, one in before.recorders.items() if one.stream.symbol in others}
        recent = self._recent.of(lambda name: name not in foreign) if foreign else self._recent.all()
        streams.note_takeover(own, now_ns)
        go_on(streams, before, JournalEnd(rows, recorded, unlisted), recent, (now_ns, now_s))
        if others:
            streams.go_on_waiting(before, others, self._recent)
        noted = NotedOutages(noted_outages_path(shell, producer.name)).read()
        intake.coordinator.take_over(streams, now_s, noted=noted, ended_ns=newest_ns(rows.values()))
        intake.streams = streams
        count = sum(recorder.rows for recorder in streams.recorders.values())
        intake.took_over_ms = (monotonic_s() - self._lock.acquired_s) * 1000
        _log.info("goes on with the journal rows=%d after_ms=%.0f", count, intake.took_over_ms)
        return intake, streams

    def _own(self, claims: SymbolClaims) -> Set[str]:
        """Return the symbols that go on at once; the one before may be a moment from letting go of their claims."""
        deadline_s = monotonic_s() + _CLAIM_S
        symbols = self._symbols.by_name
        while not all(claims.try_take(symbol) for symbol in symbols) and monotonic_s() <= deadline_s:
            self._shell.stop.wait(_CLAIM_TRY_S)
        return set(claims.take_own(symbols))

    def _take(self, now_s: float) -> None:
        while events := self._intake.reader.take(ENOUGH_BYTES):
            for event in events:
                if isinstance(event, Delivered):
                    self._recent.add(event, now_s)
                self._intake.coordinator.take(event, now_s)
            self._drop_results()

    def _drop_results(self) -> None:
        """Forget what would be journalled and asked for: that is up to the one that records."""
        self._streams.collect(0)
        self._streams.anchors.clear()

    def _tick(self, now_s: float) -> None:
        self._next_tick_s = now_s + _TICK_S
        if self._streams.is_holding:
            self._streams.expire(now_s)
            self._drop_results()
        self._follow_members(now_s)
        self._intake.coordinator.tick(now_s, is_expected=self._expected(now_s))
        if self._status.due(now_s):
            self._status.publish(self._status_at(now_s))

    def _follow_members(self, now_s: float) -> None:
        """Receive the symbols that the group has now; what becomes of their streams is up to the one that records."""
        changes = self._symbols.look(now_s)
        if changes is None:
            return
        for symbol in changes.ended:
            self._sub.unsubscribe(encode_topic("symbol_status", symbol.symbol))
            self._intake.coordinator.let_go(symbol.symbol, now_s)
        for symbol in changes.begun:
            self._sub.subscribe(encode_topic("symbol_status", symbol.symbol))
            self._intake.coordinator.add(streams_of(symbol), now_s)
        self._recent.keep_last_of(_without_ids(self._symbols.streams))
        self._drop_results()

    def _expected(self, now_s: float) -> Callable[[str], bool]:
        return self._symbols.expected(now_s, wall_ns() // 1_000_000)

    def _take_bus_messages(self, now_s: float) -> None:
        while sockets.is_readable(self._sub):
            try:
                _, data = decode_frame(self._sub.recv_multipart(zmq.DONTWAIT)[-1])
                self._symbols.take_status(data, now_s)
            except (WireError, *UNREADABLE) as error:
                _log.warning("bus message refused: %.200s", error)

    def _status_at(self, now_s: float) -> IngestStatus:
        status = self._intake.coordinator.status(now_s)
        is_warm = self._is_warm(status, now_s)
        self._warm_sign.show(is_warm=is_warm)
        return msgspec.structs.replace(
            status,
            state=STANDBY,
            is_warm=is_warm,
            recent_bytes=self._recent.size_bytes,
            recent_dropped=self._recent.dropped,
        )

    def _is_warm(self, status: IngestStatus, now_s: float) -> bool:
        """Return True where every stream comes, or is one that may be silent and has a connection."""
        open_on = {one.route for one in status.connections if one.is_open and one.age_s >= WARM_S}
        heard, is_expected = self._intake.coordinator.heard, self._expected(now_s)
        return all(
            recorder.route in open_on and heard.comes(name, is_expected=is_expected)
            for name, recorder in self._streams.recorders.items()
        )


def _without_ids(streams: Iterable[Stream]) -> list[str]:
    return [stream.name for stream in streams if not has_sequence_ids(stream.stream_type)]
