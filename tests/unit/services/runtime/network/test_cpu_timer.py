"""A timer of CPU time, on real threads."""

import signal
import threading
import time

from services.runtime.network.cpu_timer import SIGNAL, CpuTimer


class _Waiting(threading.Thread):
    """Counts the signals that it gets until it is told to end."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0
        self.is_over = False

    def start(self) -> None:
        """Start with the signal blocked: it is waited for, and would end the process."""
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {SIGNAL})
        super().start()
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)

    def run(self) -> None:
        while not self.is_over:
            signal.sigwait({SIGNAL})
            self.count += not self.is_over

    def end(self) -> int:
        """End the thread, and return how many signals came."""
        assert self.ident is not None
        self.is_over = True
        signal.pthread_kill(self.ident, SIGNAL)
        self.join()
        return self.count


def signals_while(*, cpu_s: float, asleep_s: float) -> int:
    """The number of signals that a timer of 20 ms sends while its thread uses CPU time, and then sleeps."""
    waiting = _Waiting()
    waiting.start()
    assert waiting.native_id is not None
    timer = CpuTimer(0.02, wakes=waiting.native_id)
    until_s = time.thread_time() + cpu_s
    while time.thread_time() < until_s:
        pass
    time.sleep(asleep_s)
    timer.close()
    return waiting.end()


def test_it_counts_the_time_that_its_thread_works() -> None:
    assert 2 <= signals_while(cpu_s=0.4, asleep_s=0.0) <= 21


def test_it_does_not_count_the_time_that_its_thread_sleeps() -> None:
    assert signals_while(cpu_s=0.0, asleep_s=0.5) <= 1
