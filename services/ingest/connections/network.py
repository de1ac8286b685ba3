"""All connections of a worker: what happened to them, what is to become of them, and which streams they deliver."""

import itertools
import logging
import math
from collections import Counter
from collections.abc import Iterator
from random import Random
from typing import Any

from binance_streamer.config.schema import Config
from binance_streamer.exchange.stream_types import ROUTES
from binance_streamer.exchange.streams import Stream, stream_of
from services.ingest.connections import pool as connections
from services.ingest.connections.dialler import Dialler, DialTarget, Need, target_of
from services.ingest.connections.events import Delivered, Ended, Failed, Opened, ReaderEvent
from services.ingest.connections.pool import ConnectionState, Dial, Retire, RouteConnections
from services.ingest.connections.reader import Reader
from services.ingest.streams.gaps import DISCONNECTED, STALL
from services.ingest.streams.silence import LIVE, Liveness
from services.ingest.streams.stalls import Heard, StalledStream, Stalls
from services.ingest.streams.stream_set import Late, StreamSet
from services.runtime.retry import STAND_DOWN_S, Backoff

_log = logging.getLogger(__name__)

_REFUSED_S = {**STAND_DOWN_S, 403: 0.0, 451: 0.0}
"""How long the address stays away at least, where no Retry-After says so: bans last from 2 minutes to 3 days, and grow
with attempts; a firewall's 403 lasts, and 451 is for good (docs/exchange.md §4)."""
_REFUSED_MAX_S = 1800.0
_SILENT_BEFORE_FALLBACK = 2
_UNDOCUMENTED = "depth@0ms"  # not in the exchange's list any more, used by everybody (docs/exchange.md §9.15)
_FALLBACK = "depth@100ms"


class Network:
    """Feeds the recorder, and keeps every route connected."""

    def __init__(self, config: Config, symbol: str, recorder: StreamSet, reader: Reader) -> None:
        self.liveness = Liveness((feed.stream for feed in recorder.feeds.values()), config.network.stale_timeout)
        self._config = config
        self._symbol = symbol
        self._recorder = recorder
        self._reader = reader
        self._dialler = Dialler(config, symbol, reader=reader, need_of=self._need_of)
        self._rng = Random()  # noqa: S311 (jitter)
        self._numbers = itertools.count(1)
        self._routes = {
            route: self._connections(route)
            for route in ROUTES
            if any(feed.stream.route == route for feed in recorder.feeds.values())
        }
        self._refusals = {
            route: Backoff(first_s=config.network.reconnect_delay, ceiling_s=_REFUSED_MAX_S, rng=self._rng)
            for route in self._routes
        }
        self._route_of: dict[int, str] = {}
        self._messages: dict[int, int] = {}
        self._silent: set[int] = set()  # connections that have delivered no message of any stream yet
        self._proven_by: dict[int, int] = {}  # by connection that is being closed
        self._failing: dict[str, str] = {}  # by route: what the last attempt failed with
        self._silent_on: set[int] = set()  # connections on which the undocumented stream said nothing
        self._suspicious: list[str] = []
        self._stalls = Stalls()
        self._stalled: set[StalledStream] = set()
        self._late: set[Late] = set()
        self._opened_count: Counter[str] = Counter()  # by route: connections since the start
        self._lost_count: Counter[str] = Counter()  # likewise: those that ended, planned or not

    def take(self, report: ReaderEvent, now_s: float) -> None:
        """What the reader reports, in its order."""
        match report:
            case Delivered(connection, _, messages, _):
                self._recorder.deliver(report, now_s)
                self._messages[connection] += len(messages)
                if connection in self._silent and self._recorder.has_heard(connection):
                    self._silent.discard(connection)
                    route = self._route_of[connection]
                    if self._routes[route].delivered(connection, now_s):
                        _log.info("delivering route=%s connection=%d", route, connection)
            case Opened(connection, _):
                self._dialler.ended(connection)
                self._opened(connection, now_s)
            case Ended(connection, _, reason, detail):
                self._ended(connection, reason, detail, now_s)
            case Failed(connection, _, _, _):
                self._dialler.ended(connection)
                self._failed(report, now_s)

    def tick(self, now_s: float) -> None:
        """Dial, retire and replace, as time goes by."""
        self._listen(now_s)
        self._find_stalled(now_s)
        self._find_late(now_s)
        self._replace_announced()
        for route, links in self._routes.items():
            decisions = links.tick(now_s, lambda old, new: self._recorder.takes_over(old, new, now_s))
            for decision in decisions:
                if isinstance(decision, Dial):
                    self._route_of[decision.number] = route
                    self._messages[decision.number] = 0
                    self._silent.add(decision.number)
                    self._dialler.ask(decision.number, route, self._target(route))
                else:
                    self._retire(decision)
        self._dialler.tick(now_s)

    def status(self, now_s: float) -> dict[str, Any]:
        """For the process's status message."""
        return {
            "connections": [
                self._link_status(route, link, now_s) for route, links in self._routes.items() for link in links.links()
            ],
            "failing": dict(self._failing),
            "opened": dict(self._opened_count),
            "lost": dict(self._lost_count),
            "is_trading": self.liveness.is_trading,
            "is_off_session": self.liveness.is_off_session,
            "suspicious": self._suspicious,
            "attempts_exhausted": self._dialler.is_exhausted,
            "queued_bytes": self._reader.queued_bytes,
        }

    def _link_status(self, route: str, link: ConnectionState, now_s: float) -> dict[str, Any]:
        messages = self._messages.get(link.number, 0)
        first = self._recorder.first_arrivals[link.number]
        return {
            "connection": link.number,
            "route": route,
            "ordinal": link.ordinal,
            "state": self._state_of(link),
            "age_s": 0.0 if link.opened_s is None else now_s - link.opened_s,
            "messages": messages,
            "first_arrivals": first / messages if messages else 0.0,
            "lag_ms": self._recorder.lag_ms.get(link.number),
        }

    def _state_of(self, link: ConnectionState) -> str:
        if link.opened_s is None:
            return "dialling"
        if any(late.connection == link.number for late in self._late):
            return "late"
        if any(stall.connection == link.number for stall in self._stalled):
            return "stalled"
        return "open" if link.delivering_s is None else "delivering"

    def _connections(self, route: str) -> RouteConnections:
        network = self._config.network
        return RouteConnections(
            f"{self._symbol}/{route}",
            lifetime_s=network.connection_lifetime,
            silent_s=network.stale_timeout,
            new_number=lambda: next(self._numbers),
            delays=[
                Backoff(first_s=network.reconnect_delay, ceiling_s=network.reconnect_delay_max, rng=self._rng)
                for _ in range(self._config.connections)
            ],
        )

    def _target(self, route: str) -> DialTarget:
        return target_of(self._config.network.websocket_url, route, self._streams_of(route))

    def _streams_of(self, route: str) -> list[Stream]:
        return [feed.stream for feed in self._recorder.feeds.values() if feed.stream.route == route]

    def _need_of(self, route: str) -> Need:
        links = self._routes[route]
        if any(link.opened_s is not None for link in links.links()):
            return Need.ANOTHER
        return Need.FIRST if links.is_trusted else Need.DOUBTFUL

    def _goes_on(self, route: str, connection: int | None) -> bool:
        """Whether this one is still what it was when it was proven to have all that another one delivered."""
        is_open = any(link.number == connection and link.opened_s is not None for link in self._routes[route].links())
        return is_open and connection not in self._doubtful()

    def _doubtful(self) -> set[int]:
        """Connections that have stalled or are late."""
        return {stall.connection for stall in self._stalled} | {late.connection for late in self._late}

    def _others(self, route: str, connection: int) -> dict[int, float]:
        """Since when the other connections of the route have been delivering; of one that has stalled or is late not
        even a quiet stream may be expected.
        """
        doubtful = self._doubtful()
        return {
            link.number: math.inf if link.number in doubtful else link.delivering_s
            for link in self._routes[route].links()
            if link.delivering_s is not None and link.number != connection
        }

    def _retire(self, retired: Retire) -> None:
        _log.info("retired connection=%d reason=%s proven_by=%s", retired.number, retired.reason, retired.proven_by)
        if retired.proven_by is not None:
            self._proven_by[retired.number] = retired.proven_by
        reason = STALL if retired.reason in (connections.STALE, connections.LATE) else DISCONNECTED
        self._reader.close(retired.number, reason, retired.reason)

    def _opened(self, connection: int, now_s: float) -> None:
        route = self._route_of[connection]
        _log.info("connected route=%s connection=%d", route, connection)
        self._failing.pop(route, None)
        self._opened_count[route] += 1
        if not self._routes[route].opened(connection, now_s):
            self._reader.close(connection, DISCONNECTED, "not wanted any more")
        self.liveness.opened(route, now_s)

    def _ended(self, connection: int, reason: str, detail: str, now_s: float) -> None:
        route = self._route_of.pop(connection)
        _log.info("disconnected route=%s connection=%d reason=%s detail=%.200s", route, connection, reason, detail)
        links = self._routes[route]
        links.ended(connection, now_s)
        if links.is_trusted:
            self._refusals[route].reset()
        self._lost_count[route] += 1
        if self._goes_on(route, self._proven_by.pop(connection, None)):
            self._recorder.handed_over(connection, route, now_s)
        else:
            self._recorder.ended(connection, route, self._others(route, connection), reason=reason, now_s=now_s)
        self._messages.pop(connection)
        self._silent.discard(connection)
        if all(link.opened_s is None for link in links.links()):
            self.liveness.closed(route)

    def _failed(self, failed: Failed, now_s: float) -> None:
        connection, detail, retry_after_s, http_status = failed
        route = self._route_of.pop(connection)
        self._messages.pop(connection)
        self._silent.discard(connection)
        if self._failing.get(route) != detail[:200]:
            self._failing[route] = detail[:200]
            _log.warning("not connected route=%s connection=%d %.200s", route, connection, detail)
        if http_status in _REFUSED_S and not retry_after_s:
            retry_after_s = max(_REFUSED_S[http_status], self._refusals[route].next_delay_s())
        self._routes[route].ended(connection, now_s, retry_after_s=retry_after_s)

    def _listen(self, now_s: float) -> None:
        for name, feed in self._recorder.feeds.items():
            if feed.recorded_s > feed.told_s:
                feed.told_s = feed.recorded_s
                if self.liveness.heard(name, feed.recorded_s):
                    _log.info("live again stream=%s", name)
        for stream, silent_s in self.liveness.check(now_s):
            _log.warning("stale stream=%s silent_s=%.0f", stream.name, silent_s)
            links = self._routes[stream.route]
            numbers = [link.number for link in links.links() if link.opened_s is not None]
            if self._falls_back(stream, numbers):
                self._fall_back(stream)
                for retired in links.replace_all(connections.STALE):
                    self._retire(retired)
            else:
                links.replace(connections.STALE, *numbers)
        suspicious = self.liveness.suspicious(now_s)
        if suspicious != self._suspicious:
            _log.warning("silent while depth moves streams=%s", suspicious)
            self._suspicious = suspicious

    def _find_stalled(self, now_s: float) -> None:
        stalled = self._stalls.check(self._heard(), now_s)
        begun, self._stalled = stalled - self._stalled, stalled
        for name, connection in sorted(begun):
            _log.warning("stalled stream=%s connection=%d", name, connection)
            stream = self._recorder.feeds[name].stream
            doubtful = [name, *(one.name for one in self._streams_of(stream.route) if not self._patience_s(one))]
            others = self._others(stream.route, connection)
            self._recorder.stalled(connection, doubtful, others, reason=STALL, now_s=now_s)
        for name, connection in sorted(stalled):
            stream = self._recorder.feeds[name].stream
            links = self._routes[stream.route]
            is_asked = any(link.number == connection and link.replace_reason is not None for link in links.links())
            if not is_asked and self._stalls.may_ask(name, self._patience_s(stream), now_s):
                links.replace(connections.STALE, connection)

    def _find_late(self, now_s: float) -> None:
        """Have connections replaced of which not everything is taken any more; no other one may rely on them."""
        begun = {one for one in self._recorder.late() - self._late if one.connection in self._route_of}
        self._late = {one for one in self._late | begun if one.connection in self._route_of}
        for name, connection in sorted(begun):
            lag_s = self._recorder.lag_ms.get(connection, math.nan) / 1000
            _log.warning("late, nothing more is taken stream=%s connection=%d lag_s=%.1f", name, connection, lag_s)
            route = self._route_of[connection]
            self._recorder.stalled(connection, [name], self._others(route, connection), reason=STALL, now_s=now_s)
            self._routes[route].replace(connections.LATE, connection)

    def _heard(self) -> Iterator[Heard]:
        for route, links in self._routes.items():
            opened_s = {link.number: link.opened_s for link in links.links() if link.opened_s is not None}
            for stream in self._streams_of(route):
                feed = self._recorder.feeds[stream.name]
                heard_s = {number: max(at_s, feed.heard_s.get(number, at_s)) for number, at_s in opened_s.items()}
                yield Heard(stream.name, self._patience_s(stream), feed.recorded_s, heard_s)

    def _patience_s(self, stream: Stream) -> float:
        return self.liveness.patience_s(stream.name)

    def _replace_announced(self) -> None:
        for connection in self._recorder.shutdowns:
            route = self._route_of.get(connection)
            if route is not None:
                _log.info("the exchange will close route=%s connection=%d", route, connection)
                self._routes[route].replace(connections.SHUTDOWN, connection)
        self._recorder.shutdowns.clear()

    def _falls_back(self, stream: Stream, numbers: list[int]) -> bool:
        if not stream.name.endswith(f"@{_UNDOCUMENTED}") or self.liveness.has_been_heard(stream.name):
            return False
        others = [name for name in self._recorder.feeds if name != stream.name]
        if others and not any(self.liveness.state(name) == LIVE for name in others):
            return False  # it is not this stream that the exchange does not deliver
        self._silent_on.update(numbers)
        return len(self._silent_on) >= _SILENT_BEFORE_FALLBACK

    def _fall_back(self, stream: Stream) -> None:
        fallback = stream_of(stream.symbol, _FALLBACK)
        _log.error("never delivered stream=%s, recording %s instead", stream.name, fallback.name)
        self._recorder.remove(stream)
        self.liveness.remove(stream.name)
        if fallback.name not in self._recorder.feeds:
            self._recorder.add(fallback)
            self.liveness.add(fallback)
