"""The compiled kernel, where there is one: the writer's inner loop, which makes rows of many messages at a time.

It is built when the project is installed on a machine with a C compiler (hatch_build.py). Everything works without it,
with the same result and for more CPU: Python is the reference. `BINANCE_STREAMER_PURE=1` leaves it unused.
"""

import os
from typing import TYPE_CHECKING

from binance_streamer.wire.statuses import COMPILED

if TYPE_CHECKING:
    from services.writer.kernel._kernel import Template

__all__ = ["NOT_BUILT", "PURE_VARIABLE", "state", "template_class"]

PURE_VARIABLE = "BINANCE_STREAMER_PURE"
"""The environment variable that leaves the kernel unused, where it is neither empty nor 0."""
NOT_BUILT = "not built"
_INTERFACE = 1
"""The way in which its functions are called here; one that was built of other sources is not taken."""


def _load() -> "tuple[type[Template] | None, str]":
    if os.environ.get(PURE_VARIABLE, "0") not in ("", "0"):
        return None, f"not used, because {PURE_VARIABLE} is set"
    try:
        from services.writer.kernel import _kernel  # noqa: PLC0415 (it may be missing)
    except ImportError:
        return None, NOT_BUILT
    if _kernel.INTERFACE != _INTERFACE:
        return None, "not used: it was built of other sources"
    return _kernel.Template, COMPILED


template_class, state = _load()
"""The kernel's class of templates, None where Python does everything; and in words which it is, and why."""
