"""Carries what happens between the connections of a symbol and its streams, which know nothing of each other.

    reader ──▶ Coordinator ──▶ StreamSet   messages; `Lost` and `HandedOver` where a connection has ended
                   │    ▲─────────┘        hand-over proven, first message, announced end, late
                   ▼    └──── HeardTable   stale and stalled
                Network                    dial, retire, replace

A connection that is open and does not deliver a stream any more counts as ended for that stream: it is `stalled` where
others go on with the stream, `late` where it brings copies too late to be told (services/ingest/streams/deduplicator).
"""

import logging

import msgspec

from binance_streamer.config.schema import Config
from binance_streamer.exchange.stream_types import ROUTES
from binance_streamer.exchange.streams import Stream, stream_of
from binance_streamer.wire.status_parts import ConnectionStatus
from binance_streamer.wire.statuses import IngestStatus
from services.ingest.connections import pool
from services.ingest.connections.dialler import DialTarget, target_of
from services.ingest.connections.events import Delivered, Ended, Failed, HandedOver, Opened, ReaderEvent
from services.ingest.connections.network import Network
from services.ingest.connections.reader import Reader
from services.ingest.streams.gaps import STALL
from services.ingest.streams.heard import LATE, LIVE, STALLED, HeardTable, StaleStream, StreamFault
from services.ingest.streams.outages import Outages
from services.ingest.streams.stream_set import StreamSet
from services.runtime.clock import wall_ns

_log = logging.getLogger(__name__)

_SILENT_BEFORE_FALLBACK = 2
_UNDOCUMENTED = "depth@0ms"  # not in the exchange's list any more, used by everybody (docs/exchange.md §9.15)
_FALLBACK = "depth@100ms"


class Coordinator:
    """Takes what the reader reports; has the streams record it and the network replace what delivers no more."""

    def __init__(self, config: Config, symbol: str, streams: StreamSet, reader: Reader, *, started_ns: int) -> None:
        self.is_cut_off = False
        """Set when a route loses its last connection; whoever acts on it takes it back."""
        self.heard = HeardTable(config.network.stale_timeout)
        self._websocket_url = config.network.websocket_url
        self._streams = streams
        self.outages = Outages(streams.recorders, started_ns)
        for recorder in streams.recorders.values():
            self.heard.add(recorder.stream, recorder.heard)
        self.network = Network(
            config,
            symbol,
            routes=[route for route in ROUTES if self._streams_of(route)],
            target_of=self._target_of,
            reader=reader,
        )
        self._faults: set[StreamFault] = set()
        self._silent_on: set[int] = set()  # connections on which the undocumented stream said nothing
        self._suspicious: list[str] = []

    def take(self, event: ReaderEvent, now_s: float) -> None:
        """Take what the reader reports, in its order."""
        match event:
            case Delivered(connection, _, messages, _):
                self._streams.deliver(event, now_s)
                self.network.count_messages(connection, len(messages))
                if self.network.is_silent(connection) and self._streams.has_heard(connection):
                    self.network.on_first_message(connection, now_s)
            case Opened(connection, opened_ns):
                route = self.network.route_of(connection)
                self._streams.list_gaps(self.outages.end(route, opened_ns))
                self.heard.open(connection, route, now_s)
                self.network.on_opened(connection, now_s)
            case Ended(connection):
                end = self.network.on_ended(event, now_s)
                if isinstance(end, HandedOver):
                    self._streams.hand_over(end, now_s)
                else:
                    self._streams.lose(end, now_s)
                    if not end.others and not self.network.open_on(end.route):
                        self.is_cut_off = True
                        self.outages.begin(end.route, event.recv_ns, end.reason)
                self.heard.close(connection)
            case Failed():
                self.network.on_failed(event, now_s)

    def tick(self, now_s: float, *, is_expected: bool) -> None:
        """Replace connections that are of no use any more, and let the network do what is due.

        `is_expected`: the symbol trades and its market is open, so that silence is a fault.
        """
        findings = self.heard.check(now_s, is_expected=is_expected)
        for name in findings.revived:
            _log.info("live again stream=%s", name)
        for stale in findings.stale:
            self._replace_stale(stale)
        self._look_at_suspicious(now_s, is_expected=is_expected)
        self._find_faults(findings.stalled, now_s)
        self._replace_announced()
        self.network.tick(now_s, lambda old, new: self._streams.has_taken_over(old, new, now_s))

    def take_over(self, streams: StreamSet, now_s: float) -> None:
        """Go on with these streams, which have what the connections brought, in place of those of a worker that waited.

        The journal that they were told of as of a connection ends here.
        """
        streams.first_arrivals.update(self._streams.first_arrivals)
        self._streams = streams
        self.outages = Outages(streams.recorders, wall_ns())
        for route in self.network.routes:
            streams.lose(self.network.lost_journal(route), now_s)
            if self.network.open_on(route):
                self.outages.end(route, wall_ns())

    def status(self, now_s: float) -> IngestStatus:
        """Return the part of the status message that speaks of connections."""
        status = self.network.status(now_s)
        connections = tuple(self._compared(one) for one in status.connections)
        return msgspec.structs.replace(status, connections=connections, suspicious=tuple(self._suspicious))

    def _compared(self, one: ConnectionStatus) -> ConnectionStatus:
        """Return the status of a connection with what is only seen beside the others."""
        kinds = [fault.kind for fault in self._faults if fault.connection == one.connection]
        return msgspec.structs.replace(
            one,
            first_arrivals=self._streams.first_arrivals[one.connection] / one.messages if one.messages else 0.0,
            lag_ms=self._streams.lag_ms.get(one.connection),
            state=min(kinds, default=one.state),  # late says more than stalled
        )

    def _streams_of(self, route: str) -> list[Stream]:
        return [one.stream for one in self._streams.recorders.values() if one.stream.route == route]

    def _target_of(self, route: str) -> DialTarget:
        return target_of(self._websocket_url, route, self._streams_of(route))

    def _replace_stale(self, stale: StaleStream) -> None:
        stream, silent_s = stale
        _log.warning("stale stream=%s silent_s=%.0f", stream.name, silent_s)
        connections = self.network.open_on(stream.route)
        if self._try_fall_back(stream, connections):
            self.network.replace_route(stream.route, pool.STALE)
        else:
            self.network.replace(pool.STALE, *connections)

    def _look_at_suspicious(self, now_s: float, *, is_expected: bool) -> None:
        suspicious = self.heard.suspicious(now_s, is_expected=is_expected)
        if suspicious != self._suspicious:
            _log.warning("silent while depth moves streams=%s", suspicious)
            self._suspicious = suspicious

    def _find_faults(self, stalled: set[StreamFault], now_s: float) -> None:
        faults = stalled | {late for late in self._streams.late() if self.network.has(late.connection)}
        begun, self._faults = sorted(faults - self._faults), faults
        self.network.doubt({fault.connection for fault in faults})
        for fault in begun:
            self._leave(fault, now_s)
        for fault in sorted(faults):
            self._replace_faulty(fault, now_s)

    def _leave(self, fault: StreamFault, now_s: float) -> None:
        """Have the stream count this connection as ended.

        Of one that has stalled so do streams that may be quiet: there nobody can see whether it still delivers them.
        """
        kind, name, connection = fault
        lag_ms = self._streams.lag_ms.get(connection)
        _log.warning("%s stream=%s connection=%d lag_ms=%s", kind, name, connection, lag_ms)
        names = [name]
        if kind == STALLED:
            route = self._streams.recorders[name].stream.route
            names += [one.name for one in self._streams_of(route) if not self.heard.patience_s(one.name)]
        self._streams.lose_streams(names, self.network.lost_for(connection, STALL), now_s)

    def _replace_faulty(self, fault: StreamFault, now_s: float) -> None:
        kind, name, connection = fault
        if self.network.is_to_be_replaced(connection):
            return
        if kind == LATE:
            self.network.replace(pool.LATE, connection)
        elif self.heard.claim_replacement(name, now_s):
            self.network.replace(pool.STALE, connection)

    def _replace_announced(self) -> None:
        for connection in self._streams.shutdowns:
            if self.network.has(connection):
                _log.info("the exchange will close connection=%d", connection)
                self.network.replace(pool.SHUTDOWN, connection)
        self._streams.shutdowns.clear()

    def _try_fall_back(self, stream: Stream, connections: list[int]) -> bool:
        """Record `depth@100ms` where `depth@0ms` never came on two connections that brought others; True if so now."""
        recorders = self._streams.recorders
        if not stream.name.endswith(f"@{_UNDOCUMENTED}") or recorders[stream.name].rows:
            return False
        others = [name for name in recorders if name != stream.name]
        if others and not any(self.heard.state(name) == LIVE for name in others):
            return False  # it is not this stream that the exchange does not deliver
        self._silent_on.update(connections)
        if len(self._silent_on) < _SILENT_BEFORE_FALLBACK:
            return False
        self._record_fallback(stream)
        return True

    def _record_fallback(self, stream: Stream) -> None:
        fallback = stream_of(stream.symbol, _FALLBACK)
        _log.error("never delivered stream=%s, recording %s instead", stream.name, fallback.name)
        self._streams.remove(stream)
        self.heard.remove(stream.name)
        if fallback.name not in self._streams.recorders:
            self._streams.add(fallback)
            self.heard.add(fallback, self._streams.recorders[fallback.name].heard)
