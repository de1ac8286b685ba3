"""Ends the connections whose subscriptions keep a thread in libzmq.

An XPUB takes in what a connection has sent until nothing is left (`xpub_t::xread_activated`). A topic of 480 bytes
takes it 50 µs and its connection a tenth of that to bring the next one: the call never returns, and the thread that is
in it forwards nothing and ends nobody. So another thread looks from outside, and ends the connections with unread
bytes.
"""

import logging
import threading
import time
from collections.abc import Callable

from services.runtime.network.connections import hang_up, peers_at

_LOOK_S = 0.02
_HELD_S = 1.0
"""Before further subscribers are let in: one that comes back at once would begin again. Less than HANDSHAKE_IVL, so
that an honest one gets in with its first try."""
_log = logging.getLogger(__name__)
_MOST_CPU_S = 0.05
"""Of the thread, since it last had no subscription left to read: 5000 ordinary topics take it 15 ms. CPU time and not
time: a busy machine is no flood."""


class FloodGuard:
    """Watches the thread that reads subscriptions at an endpoint.

    Of the connections with unread bytes those are ended that have at least half of what the one with most has. An
    honest subscriber that begins in that moment may be among them, and comes back.
    """

    def __init__(self, endpoint: str, *, hold: Callable[[float], None]) -> None:
        self.cut = 0
        self._endpoint = endpoint
        self._hold = hold  # so many seconds, no further connection is let in
        self._clock: int | None = None  # of the CPU time of the thread that reads
        self._idle_cpu_s = 0.0
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="floods", daemon=True)
        self._thread.start()

    def note_idle(self) -> None:
        """Take note that the calling thread has read all subscriptions that there are."""
        if self._clock is None:
            self._clock = time.pthread_getcpuclockid(threading.get_ident())
        self._idle_cpu_s = time.thread_time()

    def close(self) -> None:
        """End the watch; the watched thread may have ended before."""
        self._closing.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._closing.wait(_LOOK_S):
            try:
                if self._clock is not None and time.clock_gettime(self._clock) - self._idle_cpu_s > _MOST_CPU_S:
                    self._cut_flooding()
            except OSError:  # the watched thread has ended, and its clock with it
                return

    def _cut_flooding(self) -> None:
        peers = [peer for peer in peers_at(self._endpoint) if peer.unread_bytes]
        if not peers:
            return
        self._hold(_HELD_S)
        most_bytes = max(peer.unread_bytes for peer in peers)
        for peer in peers:
            if peer.unread_bytes * 2 >= most_bytes:
                hang_up(peer.connection)
                self._count_cut(peer.origin)

    def _count_cut(self, origin: str) -> None:
        if not self.cut:
            _log.warning("cut off a flood of subscriptions from=%s; further ones are counted in status", origin)
        self.cut += 1
