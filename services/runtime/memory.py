"""Garbage collection of a process through which many messages pass."""

import gc

_GARBAGE_THRESHOLD = 50_000


def settle() -> None:
    """Keep what is loaded out of garbage collections, and collect seldom; called once, after the start.

    Messages make no cycles: looking for some after every 700 objects cost a tenth of the writer's time.
    """
    gc.freeze()
    gc.set_threshold(_GARBAGE_THRESHOLD)
