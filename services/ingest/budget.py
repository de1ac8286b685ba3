"""When a connection may be tried again: one budget for all processes of this host, and one delay for each."""

import fcntl
import os
from pathlib import Path
from random import Random

_SLOT_BYTES = 20  # 19 digits, enough for nanoseconds until the year 2286, and a newline
_MOST_SLOTS = 10_000  # a file longer than this was not written by us
_SKEW_NS = 1_000_000_000  # `now_ns` is read before the lock is got: others may have stamped a little later
_ASK_AGAIN_S = 0.05  # the lock is held for less than a millisecond


class ConnectBudget:
    """At most `limit` connection attempts in any `window_s`, over processes and restarts.

    The file has a line per attempt, each a wall-clock stamp of fixed width, and a new attempt overwrites one that
    has left the window: one `pwrite` of 20 bytes, so that a kill at any point costs one line at most.
    What cannot be read counts as an attempt made now: a damaged file may delay, it never lets a storm through.
    """

    def __init__(self, path: Path, *, limit: int, window_s: float) -> None:
        self.damaged_slots = 0
        """Unreadable lines met (and mended) so far."""
        self._path = path
        self._limit = limit
        self._window_ns = round(window_s * 1e9)

    def take(self, now_ns: int, *, reserve: int = 0) -> float:
        """0.0 when the attempt was counted and may be made now; else the seconds after which to ask again.

        `reserve` attempts are left to those who ask without one. Never waits, not even for the lock: a process stopped
        while it holds it delays others' attempts, not their reading of sockets. OSError when the file cannot be opened
        or written: nothing was counted.
        """
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return self._take_locked(fd, now_ns, max(1, self._limit - reserve))
        except BlockingIOError:
            return _ASK_AGAIN_S
        finally:
            os.close(fd)

    def _take_locked(self, fd: int, now_ns: int, limit: int) -> float:
        stamps = self._mended_stamps(fd, now_ns)
        recent = sorted(stamp for stamp in stamps if stamp > now_ns - self._window_ns)
        if len(recent) >= limit:
            return (recent[-limit] + self._window_ns - now_ns) / 1e9
        free = (slot for slot, stamp in enumerate(stamps) if stamp <= now_ns - self._window_ns)
        _write_slot(fd, next(free, len(stamps)), now_ns)
        return 0.0

    def _mended_stamps(self, fd: int, now_ns: int) -> list[int]:
        """All stamps; the unreadable, and those that a clock set back left in the future, become `now_ns` for good."""
        content = os.pread(fd, _MOST_SLOTS * _SLOT_BYTES, 0)
        stamps = [_stamp(content[at : at + _SLOT_BYTES]) for at in range(0, len(content), _SLOT_BYTES)]
        for slot, stamp in enumerate(stamps):
            if stamp is None or stamp > now_ns + _SKEW_NS:
                self.damaged_slots += stamp is None
                _write_slot(fd, slot, now_ns)
                stamps[slot] = now_ns
        return [stamp for stamp in stamps if stamp is not None]


def _stamp(line: bytes) -> int | None:
    digits = line[:-1]
    return int(digits) if len(line) == _SLOT_BYTES and line.endswith(b"\n") and digits.isdigit() else None


def _write_slot(fd: int, slot: int, stamp_ns: int) -> None:
    os.pwrite(fd, b"%019d\n" % stamp_ns, slot * _SLOT_BYTES)


class Backoff:
    """Growing delays with full jitter: each uniform between 0 and a bound that doubles from `first_s` to `ceiling_s`.

    Full jitter spreads the symbols that one cut took down at the same moment.
    """

    def __init__(self, *, first_s: float, ceiling_s: float, rng: Random) -> None:
        self._first_s = min(first_s, ceiling_s)
        self._ceiling_s = ceiling_s
        self._rng = rng
        self._bound_s = self._first_s

    def next_delay_s(self) -> float:
        delay_s = self._rng.uniform(0.0, self._bound_s)
        self._bound_s = min(self._ceiling_s, self._bound_s * 2)
        return delay_s

    def reset(self) -> None:
        """For the first market message delivered: a connection alone proves nothing, it may be refused again."""
        self._bound_s = self._first_s
