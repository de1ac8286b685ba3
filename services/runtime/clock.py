"""The one place that reads clocks: wall clock for stamps, monotonic clock for intervals."""

import mmap
import os
import struct
import time
from collections.abc import Callable
from pathlib import Path

TEST_OFFSET_VARIABLE = "BINANCE_STREAMER_TEST_CLOCK_OFFSET"
"""Test mode: names a file of eight bytes, a signed little-endian offset in ns that is added to the wall clock."""

monotonic_s = time.monotonic


def _shifted_clock(path: Path) -> Callable[[], int]:
    with path.open("rb") as file:
        offset = mmap.mmap(file.fileno(), 8, access=mmap.ACCESS_READ)
    read = struct.Struct("<q").unpack_from

    def shifted_wall_ns() -> int:
        return time.time_ns() + int(read(offset)[0])

    return shifted_wall_ns


wall_ns: Callable[[], int] = time.time_ns
if TEST_OFFSET_VARIABLE in os.environ:
    wall_ns = _shifted_clock(Path(os.environ[TEST_OFFSET_VARIABLE]))


def both_ns() -> tuple[int, int, int]:
    """The wall clock, the monotonic clock, and the time within which both were read: the best of three readings."""
    return min((_both_ns() for _ in range(3)), key=lambda reading: reading[2])


def _both_ns() -> tuple[int, int, int]:
    before_ns = time.monotonic_ns()
    now_ns = wall_ns()
    after_ns = time.monotonic_ns()
    return now_ns, (before_ns + after_ns) // 2, after_ns - before_ns


def new_epoch() -> int:
    """A unique name for one run of a producer; compared for equality only.

    The start in ns of the real clock, its last 22 bits (4 ms) random: processes that start at the same moment differ,
    and clocks that step back repeat no name. The process's number would not do, it is always the same in a container.
    """
    return time.time_ns() & ~0x3FFFFF | int.from_bytes(os.urandom(3), "little") & 0x3FFFFF
