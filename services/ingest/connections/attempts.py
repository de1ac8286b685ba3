"""One budget of connection attempts for all processes of this host, with a share of it for each worker."""

import fcntl
import os
import re
from bisect import bisect_left
from collections import Counter
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

_SLOT_BYTES = 29  # 19 digits, enough for nanoseconds until the year 2286; a blank; 8 digits of the owner; a newline
_MOST_SLOTS = 10_000  # a file longer than this was not written by us
_SKEW_NS = 1_000_000_000  # `now_ns` is read before the lock is got: others may have stamped a little later
_ASK_AGAIN_S = 0.05  # the lock is held for less than a millisecond
_SHARED = 1 / 2
"""Of the limit, in equal shares: the default of 300 gives each of 50 symbols three attempts, one more than it has
routes."""
_NOBODY = 0
_line = re.compile(rb"([0-9]{19}) ([0-9a-f]{8})\n").fullmatch


class _Token(NamedTuple):
    stamp_ns: int
    owner: int


class ConnectBudget:
    """At most `limit` connection attempts in any `window_s`, over processes and restarts.

    Half of the limit is divided into `shares`: an owner has one attempt of its share whatever others do, and what goes
    beyond its share comes from the other half. The file has a line per attempt, a wall-clock stamp and the owner in
    fixed width, and a new attempt overwrites one that has left the window: one `pwrite` of 29 bytes, so that a kill at
    any point costs one line at most. What cannot be read counts as an attempt made now, by nobody: a damaged file may
    delay, it never lets a storm through.
    """

    def __init__(self, path: Path, *, limit: int, window_s: float, shares: int = 0) -> None:
        self.damaged_slots = 0
        """Unreadable lines met (and mended) so far."""
        self._path = path
        self._limit = limit
        self._window_ns = round(window_s * 1e9)
        self._share = int(limit * _SHARED) // shares if shares else 0
        self._common = limit - self._share * shares

    def take(self, now_ns: int, *, owner: str = "", reserve: int = 0) -> float:
        """Count an attempt and return 0.0 where it may be made now; else return the seconds after which to ask again.

        `reserve` attempts beyond the shares are left to those who ask without one; an owner without a name has no
        share. Never waits, not even for the lock: a process stopped while it holds it delays others' attempts, not
        their reading of sockets. OSError when the file cannot be opened or written: nothing was counted.
        """
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return self._take_locked(fd, _Token(now_ns, _code(owner)), reserve)
        except BlockingIOError:
            return _ASK_AGAIN_S
        finally:
            os.close(fd)

    def _take_locked(self, fd: int, wanted: _Token, reserve: int) -> float:
        attempts = self._mended_tokens(fd, wanted.stamp_ns)
        since_ns = wanted.stamp_ns - self._window_ns
        recent = sorted(attempt for attempt in attempts if attempt.stamp_ns > since_ns)

        def is_enough(gone: int) -> bool:
            return self._is_allowed(recent[gone:], wanted.owner, reserve)

        # The fewer of the oldest are left, the more is permitted: so many have to leave the window first.
        leave = bisect_left(range(len(recent)), True, key=is_enough)
        if leave:
            return (recent[leave - 1].stamp_ns - since_ns) / 1e9
        free = (slot for slot, attempt in enumerate(attempts) if attempt.stamp_ns <= since_ns)
        _write_slot(fd, next(free, len(attempts)), wanted)
        return 0.0

    def _is_allowed(self, recent: list[_Token], owner: int, reserve: int) -> bool:
        counts = Counter(attempt.owner for attempt in recent)
        if len(recent) >= self._limit:
            return False
        if owner != _NOBODY and counts[owner] < self._share:
            return True
        beyond = sum(count if one == _NOBODY else max(0, count - self._share) for one, count in counts.items())
        return beyond < max(1, self._common - reserve)

    def _mended_tokens(self, fd: int, now_ns: int) -> list[_Token]:
        """Return all attempts.

        One that is unreadable, or in the future by a clock set back, becomes `now_ns` for good.
        """
        content = os.pread(fd, _MOST_SLOTS * _SLOT_BYTES, 0)
        attempts = []
        for slot, at in enumerate(range(0, len(content), _SLOT_BYTES)):
            attempt = _token(content[at : at + _SLOT_BYTES])
            self.damaged_slots += attempt is None
            if attempt is None or attempt.stamp_ns > now_ns + _SKEW_NS:
                attempt = _Token(now_ns, attempt.owner if attempt else _NOBODY)
                _write_slot(fd, slot, attempt)
            attempts.append(attempt)
        return attempts


def _code(owner: str) -> int:
    return crc32(owner.encode()) if owner else _NOBODY


def _token(line: bytes) -> _Token | None:
    found = _line(line)
    return _Token(int(found[1]), int(found[2], 16)) if found else None


def _write_slot(fd: int, slot: int, attempt: _Token) -> None:
    os.pwrite(fd, b"%019d %08x\n" % attempt, slot * _SLOT_BYTES)
