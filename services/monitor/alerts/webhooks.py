"""Posts notices, each webhook in a thread of its own: one that does not answer holds nobody.

In: notices, from the main thread, by a queue. Out: HTTP posts. Posts are at least `POST_INTERVAL_S` apart;
after a failure the pause doubles from 5 s to 300 s, and what comes meanwhile goes into one post.

A notice is lost where the process ends before it is posted, where too many wait, or where the webhook
refuses it for good. It is sent twice where a webhook took it and its answer was lost: twice is better than
never.
"""

import logging
import queue
import threading
from collections.abc import Callable, Sequence
from typing import NamedTuple

import requests

from binance_streamer.config.schema import WebhookConfig
from services.monitor.alerts.alerts import Notice
from services.monitor.alerts.posts import body_of, place_of
from services.runtime.retry import Backoff

POST_INTERVAL_S = 10.0
"""At least so long lies between two posts to one webhook; what comes meanwhile goes into the next one."""
_MOST_WAITING = 1000
"""Notices in the queue, and as many in the thread; a post shows fifty of them, so that more are of no use."""
_TIMEOUT_S = 10
"""For the connection, and for each silence of the answer."""
_FIRST_DELAY_S = 5.0
_LONGEST_DELAY_S = 300.0
_NOT_WORTH_REPEATING = range(400, 500)
_WORTH_REPEATING = (408, 425, 429)
"""Time-out, too early, too many requests: the same request may be taken later (RFC 9110, RFC 8470, RFC 6585)."""
_log = logging.getLogger(__name__)


class Delays(NamedTuple):
    """In seconds: between posts, and after the first failure; doubled up to the longest. A test gives shorter
    ones.
    """

    interval_s: float = POST_INTERVAL_S
    first_s: float = _FIRST_DELAY_S
    longest_s: float = _LONGEST_DELAY_S


DELAYS = Delays()


class Webhook:
    """One address. Notices wait while it does not answer; of too many the oldest are dropped, and counted.

    `posted` counts posts, not notices; `failed` counts tries; `dropped` counts notices. They go into the status
    message, and are read by another thread while they grow, which does no harm.
    """

    def __init__(
        self, config: WebhookConfig, recorder: str, now_ms: Callable[[], int], delays: Delays = DELAYS
    ) -> None:
        """Start the thread; `recorder` is the name of this machine, `now_ms` the wall clock."""
        logging.getLogger("urllib3").setLevel(logging.INFO)  # below that it logs paths, which hold secrets
        self.posted = self.failed = self.dropped = 0
        self._config = config
        self._recorder = recorder
        self._now_ms = now_ms
        self._delays = delays
        self._waiting: queue.Queue[Notice] = queue.Queue(_MOST_WAITING)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="webhook", daemon=True)
        self._thread.start()

    def tell(self, notices: Sequence[Notice]) -> None:
        """Have these posted that the webhook wants, by its conditions; never waits.

        Where the queue is full the oldest notice makes room: the newest says how things are now.
        """
        for notice in notices:
            if notice.problem.condition not in self._config.conditions:
                continue
            while True:
                try:
                    self._waiting.put_nowait(notice)
                    break
                except queue.Full:
                    self._drop_oldest()

    def close(self) -> None:
        """Post no more; one under way is not waited for. Notices that wait are lost."""
        self._closing.set()

    def _drop_oldest(self) -> None:
        """Take one notice out of the queue and count it; the thread may have emptied it meanwhile."""
        try:
            self._waiting.get_nowait()
            self.dropped += 1
        except queue.Empty:
            return

    def _run(self) -> None:
        """Collect and post until closed; runs in the thread of the webhook.

        Notices of a failed post stay in front and are posted again together with newer ones, in order.
        """
        pending: list[Notice] = []
        backoff = Backoff(first_s=self._delays.first_s, ceiling_s=self._delays.longest_s)
        while not self._closing.is_set():
            pending += self._collect(wait=not pending)
            surplus = len(pending) - _MOST_WAITING
            if surplus > 0:
                self.dropped += surplus
                pending = pending[surplus:]
            if not pending:
                continue
            if self._post(pending):
                pending = []
                backoff.reset()
                self._closing.wait(self._delays.interval_s)
            else:
                self._closing.wait(backoff.next_delay_s())

    def _collect(self, *, wait: bool) -> list[Notice]:
        """Return the notices that wait; with `wait` stay up to a second for the first one, to see `close` in time."""
        found = []
        try:
            if wait:
                found.append(self._waiting.get(timeout=1))
            while len(found) < _MOST_WAITING:  # a flood does not end while it is collected
                found.append(self._waiting.get_nowait())
        except queue.Empty:
            pass
        return found

    def _post(self, notices: Sequence[Notice]) -> bool:
        """Post once; return True where nothing is left to do: it was taken, or it was refused for good.

        A status of 4xx says that the request is wrong, and repeating it helps nothing, with three exceptions
        (`_WORTH_REPEATING`). Redirects are not followed: they would carry the alerts to an address that nobody
        configured.
        """
        body = body_of(self._config, notices, recorder=self._recorder, time_ms=self._now_ms())
        try:
            with requests.post(
                self._config.url,
                data=body,
                headers={"content-type": "application/json", "user-agent": "binance-streamer"},
                timeout=_TIMEOUT_S,
                allow_redirects=False,
                stream=True,  # nobody reads the answer, however long it is
            ) as answer:
                status = answer.status_code
        except (OSError, ValueError) as error:  # a plain OSError where the CA bundle is missing
            self._failed(type(error).__name__)  # its text holds the url
            return False
        if 200 <= status < 300:
            self.posted += 1
            return True
        self._failed(f"HTTP {status}")
        if status not in _NOT_WORTH_REPEATING or status in _WORTH_REPEATING:
            return False
        self.dropped += len(notices)
        return True

    def _failed(self, why: str) -> None:
        """Count a try that failed, and log it without the path of the address, which is a secret."""
        self.failed += 1
        _log.warning("alert not delivered to=%s: %s", place_of(self._config), why)
