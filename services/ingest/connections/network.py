"""All connections of a worker: dialled, replaced and closed, route by route.

It is told what the reader reports of connections, and knows no stream: which connections are to be replaced, or prove
nothing any more, others tell it. What an end means for the streams it returns as a value, `Lost` or `HandedOver`.
"""

import itertools
import logging
import math
from collections import Counter
from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet
from random import Random

from binance_streamer.config.schema import Config
from binance_streamer.wire.status_parts import ConnectionStatus
from binance_streamer.wire.statuses import IngestStatus
from services.ingest.connections import pool
from services.ingest.connections.dialler import Dialler, DialTarget, Need
from services.ingest.connections.events import JOURNAL, Ended, Failed, HandedOver, Lost
from services.ingest.connections.pool import ConnectionState, Dial, Retire, RouteConnections
from services.ingest.connections.reader import Reader
from services.ingest.streams.gaps import DISCONNECTED, RESTART, STALL
from services.runtime.retry import STAND_DOWN_S, Backoff

_log = logging.getLogger(__name__)

_REFUSED_S = {**STAND_DOWN_S, 403: 0.0, 451: 0.0}
"""Least time for which the address stays away, in seconds, where no Retry-After says so: bans last from 2 minutes to
3 days, and grow with attempts; a firewall's 403 lasts, and 451 is for good (docs/exchange.md §4)."""
_REFUSED_MAX_S = 1800.0


class Network:
    """The connections of all routes of a worker.

    `target_of` gives where to connect for a route, and what to subscribe there.
    """

    def __init__(
        self,
        config: Config,
        worker: str,
        *,
        routes: Iterable[str],
        target_of: Callable[[str], DialTarget],
        reader: Reader,
    ) -> None:
        self._config = config
        self._worker = worker
        self._target_of = target_of
        self._reader = reader
        self._dialler = Dialler(config, worker, reader=reader, need_of=self._need_of)
        self._rng = Random()  # noqa: S311 (jitter)
        self._numbers = itertools.count(1)
        self._routes: dict[str, RouteConnections] = {}
        self._refusals: dict[str, Backoff] = {}
        for route in routes:
            self.add_route(route)
        self._known: dict[int, ConnectionState] = {}
        self._doubted: AbstractSet[int] = frozenset()
        self._failing: dict[str, str] = {}  # by route: what the last attempt failed with
        self._opened_count: Counter[str] = Counter()  # by route: connections since the start
        self._lost_count: Counter[str] = Counter()  # likewise: those that ended, planned or not

    def add_route(self, route: str) -> None:
        """Connect for this route, too; nothing changes where it has connections already."""
        if route not in self._routes:
            first_s = self._config.network.reconnect_delay
            self._routes[route] = self._route(route)
            self._refusals[route] = Backoff(first_s=first_s, ceiling_s=_REFUSED_MAX_S, rng=self._rng)

    def on_opened(self, connection: int, now_s: float) -> None:
        """Take note of an open connection, and close it where it is not wanted any more."""
        self._dialler.on_result(connection)
        known = self._known[connection]
        route = known.route
        _log.info("connected route=%s connection=%d", route, connection)
        self._failing.pop(route, None)
        self._opened_count[route] += 1
        known.opened_s = now_s
        if known not in self._routes[route].connections():
            self._reader.close(connection, DISCONNECTED, "not wanted any more")

    def on_ended(self, ended: Ended, now_s: float) -> Lost | HandedOver:
        """Take note that a connection has ended, and return what that means for its streams."""
        connection, _, reason, detail = ended
        known = self._known.pop(connection)
        route = known.route
        _log.info("disconnected route=%s connection=%d reason=%s detail=%.200s", route, connection, reason, detail)
        self._routes[route].on_ended(connection, now_s)
        if self._routes[route].is_trusted:
            self._refusals[route].reset()
        self._lost_count[route] += 1
        if self._goes_on(route, known.proven_by):
            return HandedOver(connection, route)
        return Lost(connection, route, reason, self._others(route, connection))

    def on_failed(self, failed: Failed, now_s: float) -> None:
        """Take note that an attempt failed; the next one waits, the longer the more often it is refused."""
        connection, detail, retry_after_s, http_status = failed
        self._dialler.on_result(connection)
        route = self._known.pop(connection).route
        if self._failing.get(route) != detail[:200]:
            self._failing[route] = detail[:200]
            _log.warning("not connected route=%s connection=%d %.200s", route, connection, detail)
        if http_status in _REFUSED_S and not retry_after_s:
            retry_after_s = max(_REFUSED_S[http_status], self._refusals[route].next_delay_s())
        self._routes[route].on_ended(connection, now_s, retry_after_s=retry_after_s)

    def count_messages(self, connection: int, count: int) -> None:
        """Count what came over a connection, acknowledgements and unreadable messages too."""
        self._known[connection].messages += count

    def is_silent(self, connection: int) -> bool:
        """Return True until the connection has delivered its first message."""
        return self._known[connection].delivering_s is None

    def on_first_message(self, connection: int, now_s: float) -> None:
        """Take note that a connection has delivered the first message of any stream: it can take over now."""
        self._known[connection].delivering_s = now_s
        _log.info("delivering route=%s connection=%d", self.route_of(connection), connection)

    @property
    def is_settled(self) -> bool:
        """Return True where all connections are open, and none is to be replaced."""
        return all(connections.is_settled for connections in self._routes.values())

    def tick(self, now_s: float, is_proven: Callable[[int, int], bool]) -> None:
        """Dial, retire and replace what is due.

        `is_proven(old, new)`: the new connection has all that the old one delivers.
        """
        for route, connections in self._routes.items():
            for decision in connections.tick(now_s, is_proven):
                if isinstance(decision, Dial):
                    self._dialler.request(decision.number, route, self._target_of(route))
                else:
                    self._retire(decision)
        self._dialler.tick(now_s)

    def replace(self, reason: str, *connections: int) -> None:
        """Have successors of these connections opened; then they are closed."""
        for one in connections:
            self._known[one].replace_reason = self._known[one].replace_reason or reason

    def replace_route(self, route: str, reason: str) -> None:
        """Have all connections of a route replaced, because what is subscribed there has changed."""
        for retired in self._routes[route].replace_all(reason):
            self._retire(retired)

    def doubt(self, connections: AbstractSet[int]) -> None:
        """Set the connections that are open and yet prove nothing, because they deliver some stream no more."""
        self._doubted = connections

    def has(self, connection: int) -> bool:
        """Return True until the end of a connection, or the failure to open it, has been reported."""
        return connection in self._known

    def route_of(self, connection: int) -> str:
        """Return the route of a connection; KeyError behind its end."""
        return self._known[connection].route

    def open_on(self, route: str) -> list[int]:
        """Return the open connections of a route that are not being closed."""
        return [one.number for one in self._routes[route].connections() if one.opened_s is not None]

    def is_to_be_replaced(self, connection: int) -> bool:
        """Return True where a successor of the connection is wanted already."""
        return self._known[connection].replace_reason is not None

    def lost_for(self, connection: int, reason: str) -> Lost:
        """Return the loss of a stream that this open connection has stopped delivering."""
        route = self.route_of(connection)
        return Lost(connection, route, reason, self._others(route, connection))

    def lost_journal(self, route: str) -> Lost:
        """Return the end of what a journal stands for as a connection (`takeover.release`), beside those of a route."""
        return Lost(JOURNAL, route, RESTART, self._others(route, JOURNAL))

    @property
    def routes(self) -> list[str]:
        """Return the routes that have connections."""
        return list(self._routes)

    def status(self, now_s: float) -> IngestStatus:
        """Return the network's part of the status message."""
        return IngestStatus(
            connections=tuple(
                _status_of(one, now_s) for connections in self._routes.values() for one in connections.connections()
            ),
            failing=dict(self._failing),
            opened=dict(self._opened_count),
            lost=dict(self._lost_count),
            attempts_exhausted=self._dialler.is_exhausted,
            queued_bytes=self._reader.queued_bytes,
        )

    def _route(self, route: str) -> RouteConnections:
        network = self._config.network
        return RouteConnections(
            f"{self._worker}/{route}",
            lifetime_s=network.connection_lifetime,
            silent_s=network.stale_timeout,
            new_connection=lambda ordinal: self._new_connection(route, ordinal),
            delays=[
                Backoff(first_s=network.reconnect_delay, ceiling_s=network.reconnect_delay_max, rng=self._rng)
                for _ in range(self._config.connections)
            ],
        )

    def _new_connection(self, route: str, ordinal: int) -> ConnectionState:
        connection = ConnectionState(next(self._numbers), ordinal, route)
        self._known[connection.number] = connection
        return connection

    def _need_of(self, route: str) -> Need:
        if self.open_on(route):
            return Need.ANOTHER
        return Need.FIRST if self._routes[route].is_trusted else Need.DOUBTFUL

    def _goes_on(self, route: str, connection: int | None) -> bool:
        """Return True where this one is still what it was when it was proven to have all that another one delivered."""
        return connection in self.open_on(route) and connection not in self._doubted

    def _others(self, route: str, connection: int) -> dict[int, float]:
        return {
            one.number: math.inf if one.number in self._doubted else one.delivering_s
            for one in self._routes[route].connections()
            if one.delivering_s is not None and one.number != connection
        }

    def _retire(self, retired: Retire) -> None:
        _log.info("retired connection=%d reason=%s proven_by=%s", retired.number, retired.reason, retired.proven_by)
        known = self._known.get(retired.number)
        if known is not None:
            known.proven_by = retired.proven_by
        reason = STALL if retired.reason in (pool.STALE, pool.LATE) else DISCONNECTED
        self._reader.close(retired.number, reason, retired.reason)


def _status_of(one: ConnectionState, now_s: float) -> ConnectionStatus:
    return ConnectionStatus(
        connection=one.number,
        route=one.route,
        ordinal=one.ordinal,
        state=one.state,
        age_s=one.lasted_s(now_s),
        messages=one.messages,
    )
