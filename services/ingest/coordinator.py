"""Carries what happens between the connections of a worker and its streams, which know nothing of each other.

    reader ──▶ Coordinator ──▶ StreamSet   messages; `Lost` and `HandedOver` where a connection has ended
                   │    ▲─────────┘        hand-over proven, first message, announced end, late
                   ▼    └──── HeardTable   stale and stalled
                Network                    dial, retire, replace

A connection that is open and does not deliver a stream any more counts as ended for that stream: it is `stalled` where
others go on with the stream, `late` where it brings copies too late to be told (services/ingest/streams/deduplicator).
"""

import logging
from collections.abc import Callable, Iterable, Sequence

import msgspec

from binance_streamer.config.schema import Config
from binance_streamer.exchange.stream_types import ROUTES
from binance_streamer.exchange.streams import Stream, path_of_route, stream_of
from binance_streamer.wire.status_parts import ConnectionStatus
from binance_streamer.wire.statuses import IngestStatus
from services.ingest.connections import pool
from services.ingest.connections.dialler import DialTarget, requests_of, subscribed, target_of
from services.ingest.connections.events import Delivered, Ended, Failed, HandedOver, Opened, ReaderEvent
from services.ingest.connections.network import Network
from services.ingest.connections.reader import Reader
from services.ingest.streams.all_market import AllMarket
from services.ingest.streams.gaps import STALL
from services.ingest.streams.heard import LATE, LIVE, STALLED, HeardTable, StaleStream, StreamFault
from services.ingest.streams.outages import Noted, Outages
from services.ingest.streams.stream_set import StreamSet
from services.runtime.clock import wall_ns

_log = logging.getLogger(__name__)

_SILENT_BEFORE_FALLBACK = 2
_VAIN = 6
"""In patiences: behind two subscriptions in vain, which are asked for after one patience and three."""
_SHARED_S = 3600.0
"""Between two replacements of connections that bring other symbols, because of silent ones."""
_UNDOCUMENTED = "depth@0ms"  # not in the exchange's list any more, used by everybody (docs/exchange.md §9.15)
_FALLBACK = "depth@100ms"


class Coordinator:
    """Takes what the reader reports; has the streams record it and the network replace what delivers no more."""

    def __init__(self, config: Config, worker: str, streams: StreamSet, reader: Reader, *, started_ns: int) -> None:
        self.is_cut_off = False
        """Set when a route loses its last connection; whoever acts on it takes it back."""
        self.heard = HeardTable(config.network.stale_timeout)
        self._websocket_url = config.network.websocket_url
        self._streams = streams
        self._reader = reader
        self.outages = Outages(streams.recorders, started_ns)
        for recorder in streams.recorders.values():
            self.heard.add(recorder.stream, recorder.heard, route=recorder.route)
        routes = {recorder.route for recorder in streams.recorders.values()}
        self.network = Network(
            config,
            worker,
            routes=sorted(routes, key=lambda route: (ROUTES.index(path_of_route(route)), len(route), route)),
            target_of=self._target_of,
            reader=reader,
        )
        self._all_market = AllMarket()
        self._follow_all_market()
        self._faults: set[StreamFault] = set()
        self._silent_on: dict[str, set[int]] = {}  # by undocumented stream: connections on which it said nothing
        self._changed: set[str] = set()  # routes to whose streams others were added, which an attempt may not name
        self._shared_until_s: dict[str, float] = {}  # by route: until when no silent symbol has it replaced again
        self._suspicious: list[str] = []

    def take(self, event: ReaderEvent, now_s: float) -> None:
        """Take what the reader reports, in its order."""
        match event:
            case Delivered(connection, _, messages, _):
                self._streams.deliver(self._all_market.apart(event), now_s)
                self.network.count_messages(connection, len(messages))
                if self.network.is_silent(connection) and self._streams.has_heard(connection):
                    self.network.on_first_message(connection, now_s)
            case Opened(connection, opened_ns):
                route = self.network.route_of(connection)
                self._streams.list_gaps(self.outages.end(route, opened_ns))
                self.heard.open(connection, route, now_s)
                self.network.on_opened(connection, now_s)
                if route in self._changed:
                    self._request("SUBSCRIBE", subscribed(self._streams_of(route)), [connection])
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

    def add(self, streams: Iterable[Stream], now_s: float) -> None:
        """Record these streams too: they are subscribed to on the connections that are open."""
        added: dict[str, list[Stream]] = {}
        for stream in streams:
            self._add(stream, now_s)
            added.setdefault(self._streams.recorders[stream.name].route, []).append(stream)
        self._changed.update(added)
        self._follow_all_market()
        for route, some in added.items():
            self._request("SUBSCRIBE", subscribed(some), self.network.open_on(route))

    def let_go(self, symbol: str, now_s: float) -> None:
        """Record the streams of this symbol no more; the connections go on with the others."""
        ended: dict[str, list[Stream]] = {}
        for recorder in [one for one in self._streams.recorders.values() if one.stream.symbol == symbol]:
            ended.setdefault(recorder.route, []).append(recorder.stream)
            self._streams.let_go(recorder.stream, now_s)
            self.heard.remove(recorder.stream.name)
            self.outages.forget(recorder.stream.name)
        self._follow_all_market()
        for route, some in ended.items():
            names = set(subscribed(some)).difference(subscribed(self._streams_of(route)))
            if names:
                self._request("UNSUBSCRIBE", sorted(names), self.network.open_on(route))

    def tick(self, now_s: float, *, is_expected: Callable[[str], bool]) -> None:
        """Replace connections that are of no use any more, and let the network do what is due.

        `is_expected` of a symbol: it trades and its market is open, so that silence is a fault.
        """
        findings = self.heard.check(now_s, is_expected=is_expected)
        for name in findings.revived:
            _log.info("live again stream=%s", name)
        for stale in findings.stale:
            self._replace_stale(stale, now_s)
        self._look_at_suspicious(now_s, is_expected=is_expected)
        self._find_faults(findings.stalled, now_s)
        self._replace_announced()
        self.network.tick(now_s, lambda old, new: self._streams.has_taken_over(old, new, now_s))

    def take_over(self, streams: StreamSet, now_s: float, *, noted: Noted, ended_ns: int) -> None:
        """Go on with these streams, which have what the connections brought, in place of those of a worker that waited.

        The journal that they were told of as of a connection ends here. `noted` is what the one that recorded has noted
        of outages, `ended_ns` when it has received for the last time.
        """
        streams.first_arrivals.update(self._streams.first_arrivals)
        self._streams = streams
        open_since_ns = self.outages.open_since_ns
        self.outages = Outages(streams.recorders, wall_ns())
        self.outages.resume(noted, ended_ns)
        for route in self.network.routes:
            streams.lose(self.network.lost_journal(route), now_s)
            if self.network.open_on(route):
                streams.list_gaps(self.outages.end(route, open_since_ns.get(route, wall_ns())))

    def status(self, now_s: float) -> IngestStatus:
        """Return the part of the status message that speaks of connections."""
        status = self.network.status(now_s)
        connections = tuple(self._compared(one) for one in status.connections)
        return msgspec.structs.replace(
            status, connections=connections, suspicious=tuple(self._suspicious), others=dict(self._all_market.others)
        )

    def _compared(self, one: ConnectionStatus) -> ConnectionStatus:
        """Return the status of a connection with what is only seen beside the others."""
        kinds = [fault.kind for fault in self._faults if fault.connection == one.connection]
        return msgspec.structs.replace(
            one,
            first_arrivals=self._streams.first_arrivals[one.connection] / one.messages if one.messages else 0.0,
            lag_ms=self._streams.lag_ms.get(one.connection),
            state=min(kinds, default=one.state),  # late says more than stalled
        )

    def _follow_all_market(self) -> None:
        self._all_market.follow(one.stream for one in self._streams.recorders.values())

    def _streams_of(self, route: str) -> list[Stream]:
        return [one.stream for one in self._streams.recorders.values() if one.route == route]

    def _add(self, stream: Stream, now_s: float) -> None:
        self._streams.add(stream)
        recorder = self._streams.recorders[stream.name]
        recorder.subscribed_s = now_s
        self.network.add_route(recorder.route)
        self.heard.add(stream, recorder.heard, route=recorder.route, now_s=now_s)
        if not self.network.open_on(recorder.route):
            self.outages.add(stream.name, wall_ns())

    def _request(self, method: str, names: Sequence[str], connections: Iterable[int]) -> None:
        """Send subscriptions over these connections; those that are in force already change nothing."""
        for connection in connections:
            self._reader.send(connection, requests_of(method, names))

    def _target_of(self, route: str) -> DialTarget:
        return target_of(self._websocket_url, route, self._streams_of(route))

    def _replace_stale(self, stale: StaleStream, now_s: float) -> None:
        """Replace the connections of a silent stream; where they bring other symbols, it is subscribed to again.

        A symbol of which nothing comes must not cost 200 streams their connections every few minutes: where that was in
        vain for a stream that is busy, they are replaced once.
        """
        stream, silent_s = stale
        _log.warning("stale stream=%s silent_s=%.0f", stream.name, silent_s)
        route, is_shared = self._streams.recorders[stream.name].route, self.heard.others_live(stream.name)
        connections = self.network.open_on(route)
        fallback = self._try_fall_back(stream, connections, now_s)
        if is_shared:
            recorded = self._streams.recorders[(fallback or stream).name]
            self._changed.add(recorded.route)
            self._request("SUBSCRIBE", [recorded.stream.subscribed], self.network.open_on(recorded.route))
            if fallback:
                self._request("UNSUBSCRIBE", [stream.name], connections)
            elif stream.type.is_busy and silent_s > _VAIN * self.heard.patience_s(stream.name):
                self._replace_shared(stream, route, now_s)
        elif fallback:
            self.network.replace_route(route, pool.STALE)
        else:
            self.network.replace(pool.STALE, *connections)

    def _replace_shared(self, stream: Stream, route: str, now_s: float) -> None:
        """Replace the connections that a stream has fallen silent on; those opened since then are no better."""
        older = [one for one in self.network.open_on(route) if self.heard.is_older_than_silence(one, stream.name)]
        if older and now_s >= self._shared_until_s.get(route, now_s):
            self._shared_until_s[route] = now_s + _SHARED_S
            self.network.replace(pool.STALE, *older)

    def _look_at_suspicious(self, now_s: float, *, is_expected: Callable[[str], bool]) -> None:
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
            route = self._streams.recorders[name].route
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

    def _try_fall_back(self, stream: Stream, connections: list[int], now_s: float) -> Stream | None:
        """Record `depth@100ms` where `depth@0ms` never came on two connections that brought others of its symbol.

        Return it if so now.
        """
        recorders = self._streams.recorders
        if not stream.name.endswith(f"@{_UNDOCUMENTED}") or recorders[stream.name].rows:
            return None
        others = [name for name, one in recorders.items() if name != stream.name and one.stream.symbol == stream.symbol]
        if others and not any(self.heard.state(name) == LIVE for name in others):
            return None  # it is not this stream that the exchange does not deliver
        silent_on = self._silent_on.setdefault(stream.name, set())
        silent_on.update(connections)
        if len(silent_on) < _SILENT_BEFORE_FALLBACK:
            return None
        fallback = stream_of(stream.symbol, _FALLBACK)
        _log.error("never delivered stream=%s, recording %s instead", stream.name, fallback.name)
        self._streams.remove(stream)
        self.heard.remove(stream.name)
        if fallback.name not in recorders:
            self._add(fallback, now_s)
        return fallback
