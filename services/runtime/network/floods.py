"""Ends the connections whose subscriptions keep a thread in libzmq.

An XPUB takes in what a connection has sent until nothing is left (`xpub_t::xread_activated`). A topic of 480 bytes
takes it 50 µs and its connection a tenth of that to bring the next one: the call never returns, and the thread that is
in it forwards nothing and ends nobody. So another thread looks from outside, and ends the connections with unread
bytes. It is woken by the CPU time of the one that it watches, and sleeps while that does.
"""

import logging
import signal
import threading
from collections.abc import Callable

from services.runtime.network.connections import hang_up, peers_at
from services.runtime.network.cpu_timer import SIGNAL, CpuTimer

_LOOK_CPU_S = 0.01
_MOST_LOOKS = 4
"""In which the watched thread has not once come to the end of its subscriptions: 40 to 50 ms of its CPU time, in which
5000 ordinary topics take 15. CPU time and not time: a busy machine is no flood."""
_HELD_S = 1.0
"""Before further subscribers are let in: one that comes back at once would begin again. Less than HANDSHAKE_IVL, so
that an honest one gets in with its first try."""
_log = logging.getLogger(__name__)


class FloodGuard:
    """Watches the thread that reads subscriptions at an endpoint.

    Of the connections with unread bytes those are ended that have at least half of what the one with most has. An
    honest subscriber that begins in that moment may be among them, and comes back.
    """

    def __init__(self, endpoint: str, *, hold: Callable[[float], None]) -> None:
        self.cut = 0
        self._endpoint = endpoint
        self._hold = hold  # so many seconds, no further connection is let in
        self._timer: CpuTimer | None = None
        self._ends = 0  # of subscriptions: so often nothing was left to read
        self._is_closing = False
        self._thread = threading.Thread(target=self._run, name="floods", daemon=True)
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {SIGNAL})  # in the new thread too, from its begin on
        self._thread.start()
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)

    def note_end(self) -> None:
        """Take note that the calling thread, always the same, has read all subscriptions that there are."""
        self._ends += 1
        if self._ends == 1 and self._thread.native_id is not None:
            try:
                self._timer = CpuTimer(_LOOK_CPU_S, wakes=self._thread.native_id)
            except OSError as error:
                _log.warning("floods of subscriptions are not ended here, the kernel has no timer for it: %s", error)

    def close(self) -> None:
        """End the watch; the watched thread may have ended before."""
        self._is_closing = True
        if self._timer is not None:
            self._timer.close()
        if self._thread.is_alive() and self._thread.ident is not None:
            signal.pthread_kill(self._thread.ident, SIGNAL)
        self._thread.join()

    def _run(self) -> None:
        seen = looks = 0
        while True:
            signal.sigwait({SIGNAL})
            if self._is_closing:
                return
            looks = looks + 1 if self._ends == seen else 0
            seen = self._ends
            if looks >= _MOST_LOOKS:
                self._cut_flooding()

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
