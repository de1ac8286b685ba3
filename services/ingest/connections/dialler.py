"""Opens connections in threads of their own, as many as the machine's budget of attempts allows."""

import gc
import json
import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from enum import IntEnum
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from binance_streamer.config.schema import Config
from binance_streamer.exchange.streams import Stream, path_of_route
from services.ingest.connections.attempts import ConnectBudget
from services.ingest.connections.dial import DialError, dial
from services.ingest.connections.events import Failed
from services.ingest.connections.reader import Reader
from services.runtime.clock import wall_ns
from services.runtime.network.reach import Reach

_log = logging.getLogger(__name__)

_LONGEST_URL = 4000  # 8,004 characters were a limit once; beyond this the streams are subscribed by message
_STREAMS_IN_REQUEST = 40  # requests over 4,096 bytes got no answer at all
_BUDGET_WINDOW_S = 300.0
_BUDGET_RETRY_S = 1.0
_RESERVED = 1 / 3
"""Of the budget, for routes without any connection that were well before: neither a second connection to each of 100
routes, nor one that is closed as soon as it is open, may keep them from their first, which is what loses data."""


class Need(IntEnum):
    """A route's need of a connection, the most urgent first; `ConnectBudget` keeps a reserve for FIRST alone."""

    FIRST = 0
    """The route has no connection; its last one has lasted, or it has not tried yet."""
    DOUBTFUL = 1
    """The route has no connection, and its last one has not lasted: the next one may not help either."""
    ANOTHER = 2
    """The route has a connection, or one is being dialled: this one is for redundancy."""


class DialTarget(NamedTuple):
    """The URL to connect to, and the text messages (subscriptions) to send first."""

    url: str
    requests: tuple[str, ...] = ()


def requests_of(method: str, names: Sequence[str]) -> tuple[str, ...]:
    """Return the messages by which these streams are subscribed to (`SUBSCRIBE`), or no more (`UNSUBSCRIBE`)."""
    chunks = [names[at : at + _STREAMS_IN_REQUEST] for at in range(0, len(names), _STREAMS_IN_REQUEST)]
    return tuple(
        json.dumps({"method": method, "params": chunk, "id": number}, ensure_ascii=False)
        for number, chunk in enumerate(chunks, 1)
    )


def target_of(websocket_url: str, route: str, streams: Sequence[Stream]) -> DialTarget:
    """Return where to get these streams in the combined form.

    Names go into the URL while that stays short, percent-encoded outside ASCII; else into SUBSCRIBE requests, plain.
    """
    base = f"{websocket_url.rstrip('/')}/{path_of_route(route)}/stream"
    names = subscribed(streams)
    url = f"{base}?streams={'/'.join(quote(name, safe='@!') for name in names)}"
    if len(url) <= _LONGEST_URL:
        return DialTarget(url)
    return DialTarget(base, requests_of("SUBSCRIBE", names))


def subscribed(streams: Iterable[Stream]) -> list[str]:
    """Return the names to subscribe to, each once: streams of many symbols may come by one of all together."""
    return list(dict.fromkeys(stream.subscribed for stream in streams))


class _PendingDial(NamedTuple):
    number: int
    route: str
    target: DialTarget


class Dialler:
    """Dials in the order of need, and first come, first served where that is equal.

    An open socket goes straight to the reader, which queues `Opened`; a failure is queued as `Failed`. `need_of` gives
    the need of a route by its open connections alone, not by those that are being dialled.
    """

    def __init__(self, config: Config, worker: str, *, reader: Reader, need_of: Callable[[str], Need]) -> None:
        self._network = config.network
        self._worker = worker
        self._budget = budget_of(config)
        self._reader = reader
        self._need_of_open = need_of
        self._reach = Reach()
        self._waiting: list[_PendingDial] = []
        self._under_way: dict[int, str] = {}
        self._not_before_s = {True: 0.0, False: 0.0}  # by whether the reserve may be used
        self.is_exhausted = False
        """True while connections wait for the budget of attempts."""

    def request(self, number: int, route: str, target: DialTarget) -> None:
        """Queue an attempt; it begins at a `tick` when the budget allows."""
        self._waiting.append(_PendingDial(number, route, target))

    def on_result(self, number: int) -> None:
        """Take note that an attempt has led to a connection, or has failed."""
        self._under_way.pop(number, None)

    def tick(self, now_s: float) -> None:
        """Begin the attempts that the budget allows now, each in a thread of its own."""
        while self._waiting:
            first = min(self._waiting, key=self._need_of)
            may_use_reserve = self._need_of(first) == Need.FIRST
            if now_s < self._not_before_s[may_use_reserve]:
                return
            wait_s = self._take_token(0 if may_use_reserve else int(self._network.connect_attempts * _RESERVED))
            if wait_s > 0:
                self._not_before_s[may_use_reserve] = now_s + wait_s
                self._set_exhausted(now=wait_s > _BUDGET_RETRY_S)
                return
            self._set_exhausted(now=False)
            self._waiting.remove(first)
            self._under_way[first.number] = first.route
            # What is left of the attempts before is a cycle that holds certificates, 0.8 MB: an hour without a network
            # would be hundreds of them, since a worker's collections are rare (`process.settle`). Not in the threads
            # that dial: one that collects while the process ends can bring it down with SIGSEGV.
            gc.collect()
            threading.Thread(target=self._dial, args=first, name=f"dial-{first.number}", daemon=True).start()

    def _need_of(self, first: _PendingDial) -> Need:
        return Need.ANOTHER if first.route in self._under_way.values() else self._need_of_open(first.route)

    def _take_token(self, reserve: int) -> float:
        try:
            return self._budget.take(wall_ns(), owner=self._worker, reserve=reserve)
        except OSError as error:
            _log.warning("connection budget not readable, not connecting: %s", error)
            return _BUDGET_RETRY_S

    def _set_exhausted(self, *, now: bool) -> None:
        if now and not self.is_exhausted:
            _log.warning(
                "connection attempts used up limit=%d waiting=%d", self._network.connect_attempts, len(self._waiting)
            )
        self.is_exhausted = now

    def _dial(self, number: int, _: str, target: DialTarget) -> None:
        network = self._network
        try:
            connection = dial(
                target.url,
                connect_timeout_s=network.connect_timeout,
                ca_file=network.ca_file or None,
                reach=self._reach,
            )
        except DialError as error:
            self._reader.put_failure(Failed(number, str(error), error.retry_after_s or 0.0, error.http_status))
        except RuntimeError as error:  # no more threads: an attempt without an end would be waited for for ever
            self._reader.put_failure(Failed(number, str(error), 0.0))
        else:
            self._reader.add(number, connection, target.requests)


def budget_of(config: Config) -> ConnectBudget:
    """Return the budget that all processes of this machine share: a file in the run directory."""
    directory = Path(config.endpoints.run_directory)
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    return ConnectBudget(
        directory / "connect.attempts",
        limit=config.network.connect_attempts,
        window_s=_BUDGET_WINDOW_S,
        shares=len(config.workers),
    )
