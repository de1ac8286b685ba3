"""Memory settings of a process through which many messages pass."""

import ctypes
import gc

_GARBAGE_THRESHOLD = 50_000
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_KEPT_BYTES = 2 * 1024 * 1024


def settle() -> None:
    """Keep what is loaded out of garbage collections, and freed memory in the process; called once, after the start.

    Messages make no cycles: looking for some after every 700 objects cost a tenth of the writer's time. glibc gives
    a freed buffer of 128 KiB back to the kernel; to get it again costs more than to fill it.
    """
    gc.freeze()
    gc.set_threshold(_GARBAGE_THRESHOLD)
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # other C libraries have none
    if mallopt is not None:
        mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
        mallopt(_M_MMAP_THRESHOLD, _KEPT_BYTES)
