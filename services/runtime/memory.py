"""Memory of a process through which many messages pass."""

import ctypes
import gc

_GARBAGE_THRESHOLD = 50_000
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of mallopt(3)
_LARGEST_FROM_HEAP_BYTES = 1024 * 1024
"""A batch, a buffer of rows, a read: what comes and goes a hundred times a second."""
_KEPT_BYTES = 2 * 1024 * 1024


def settle() -> None:
    """Keep what is loaded out of garbage collections, and collect seldom; called once, after the start.

    Messages make no cycles: looking for some after every 700 objects cost a tenth of the writer's time.
    """
    gc.freeze()
    gc.set_threshold(_GARBAGE_THRESHOLD)


def keep_freed() -> None:
    """Keep freed memory for the next batch; for a process through which bytes pass, and that holds little.

    glibc would give batches of 256 KB back to the kernel, and fetch the next ones from it again page by page.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _LARGEST_FROM_HEAP_BYTES)
        mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
