"""A timer that runs by the CPU time of one thread and wakes another: timer_create(2), for which Python has no call.

The thread that is woken waits for `SIGNAL` in `signal.sigwait`. As long as the watched thread does nothing, nobody is
woken.
"""

import ctypes
import os
import signal
import time

SIGNAL = signal.SIGRTMIN
"""Sent to one thread, which has to block it: its default action ends the process."""
_SIGEV_THREAD_ID = 4


class _SigEvent(ctypes.Structure):
    """The struct sigevent of 64-bit Linux, with the thread that is to be woken."""

    _fields_ = (
        ("value", ctypes.c_void_p),
        ("signal", ctypes.c_int),
        ("notify", ctypes.c_int),
        ("thread", ctypes.c_int),
        ("rest", ctypes.c_char * 44),
    )


class _TimerSpec(ctypes.Structure):
    """The struct itimerspec of 64-bit Linux."""

    _fields_ = tuple((name, ctypes.c_long) for name in ("interval_s", "interval_ns", "first_s", "first_ns"))


def _libc() -> ctypes.CDLL:
    """Return the library with the timers: libc, and librt where glibc is older than 2.34."""
    libc = ctypes.CDLL(None, use_errno=True)
    return libc if hasattr(libc, "timer_create") else ctypes.CDLL("librt.so.1", use_errno=True)


class CpuTimer:
    """Sends `SIGNAL` to a thread whenever the calling thread has used so much more CPU time, until it is closed."""

    def __init__(self, interval_s: float, *, wakes: int) -> None:
        """Start the timer; `wakes` is the native id of the thread to wake. OSError where the kernel has no such timer.

        The kernel looks at it with its own tick, so that it comes some milliseconds late.
        """
        self._libc = _libc()
        self._timer = ctypes.c_void_p()
        event = _SigEvent(signal=SIGNAL, notify=_SIGEV_THREAD_ID, thread=wakes)
        interval_ns = int(interval_s * 1e9)
        spec = _TimerSpec(0, interval_ns, 0, interval_ns)
        self._call("timer_create", time.CLOCK_THREAD_CPUTIME_ID, ctypes.byref(event), ctypes.byref(self._timer))
        self._call("timer_settime", self._timer, 0, ctypes.byref(spec), None)

    def close(self) -> None:
        """End the timer; a signal may be on its way still."""
        self._call("timer_delete", self._timer)

    def _call(self, name: str, *arguments: object) -> None:
        if getattr(self._libc, name)(*arguments):
            code = ctypes.get_errno()
            raise OSError(code, f"{name}: {os.strerror(code)}")
