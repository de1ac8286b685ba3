"""Opens connections in threads of their own, as many as the machine's budget of attempts allows."""

import json
import logging
import threading
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from binance_streamer.config import Config
from binance_streamer.exchange import Stream
from services.ingest.budget import ConnectBudget
from services.ingest.dial import DialError, dial
from services.ingest.reader import Reader
from services.ingest.reports import Failed
from services.runtime.clock import wall_ns

_log = logging.getLogger(__name__)

_LONGEST_URL = 4000  # 8,004 characters were a limit once; beyond this the streams are subscribed by message
_STREAMS_IN_REQUEST = 40  # requests over 4,096 bytes got no answer at all
_BUDGET_WINDOW_S = 300.0
_BUDGET_RETRY_S = 1.0


class Target(NamedTuple):
    """Where to connect, and what to send first."""

    url: str
    requests: tuple[str, ...] = ()


def target_of(websocket_url: str, route: str, streams: Sequence[Stream]) -> Target:
    """The combined form of these streams; names outside ASCII are percent-encoded in a URL, plain in a request."""
    base = f"{websocket_url.rstrip('/')}/{route}/stream"
    url = f"{base}?streams={'/'.join(quote(stream.name, safe='@') for stream in streams)}"
    if len(url) <= _LONGEST_URL:
        return Target(url)
    names = [stream.name for stream in streams]
    chunks = [names[at : at + _STREAMS_IN_REQUEST] for at in range(0, len(names), _STREAMS_IN_REQUEST)]
    return Target(
        base,
        tuple(
            json.dumps({"method": "SUBSCRIBE", "params": chunk, "id": number}, ensure_ascii=False)
            for number, chunk in enumerate(chunks, 1)
        ),
    )


class Dialler:
    """Dials in the order asked. The socket goes straight to the reader, who tells of it; so does a failure."""

    def __init__(self, config: Config, budget: ConnectBudget, reader: Reader) -> None:
        self._network = config.network
        self._budget = budget
        self._reader = reader
        self._waiting: deque[tuple[int, Target]] = deque()
        self._not_before_s = 0.0
        self.is_exhausted = False
        """Whether the budget is what connections wait for."""

    def ask(self, number: int, target: Target) -> None:
        """Connect as soon as the budget allows."""
        self._waiting.append((number, target))

    def tick(self, now_s: float) -> None:
        """Begin what may begin now."""
        while self._waiting and now_s >= self._not_before_s:
            wait_s = self._take_token()
            if wait_s > 0:
                self._not_before_s = now_s + wait_s
                self._tell(exhausted=wait_s > _BUDGET_RETRY_S)
                return
            self._tell(exhausted=False)
            number, target = self._waiting.popleft()
            threading.Thread(target=self._dial, args=(number, target), name=f"dial-{number}", daemon=True).start()

    def _take_token(self) -> float:
        try:
            return self._budget.take(wall_ns())
        except OSError as error:
            _log.warning("connection budget not readable, not connecting: %s", error)
            return _BUDGET_RETRY_S

    def _tell(self, *, exhausted: bool) -> None:
        if exhausted and not self.is_exhausted:
            _log.warning(
                "connection attempts used up limit=%d waiting=%d", self._network.connect_attempts, len(self._waiting)
            )
        self.is_exhausted = exhausted

    def _dial(self, number: int, target: Target) -> None:
        network = self._network
        try:
            connection = dial(target.url, connect_timeout_s=network.connect_timeout, ca_file=network.ca_file or None)
        except DialError as error:
            self._reader.failed(Failed(number, str(error), error.retry_after_s or 0.0))
        else:
            self._reader.add(number, connection, target.requests)


def budget_of(config: Config) -> ConnectBudget:
    """The budget that all processes of this machine share."""
    directory = Path(config.endpoints.run_directory)
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    return ConnectBudget(
        directory / "connect.attempts", limit=config.network.connect_attempts, window_s=_BUDGET_WINDOW_S
    )
