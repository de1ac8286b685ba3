"""Runs a service with something broken in it: `python -m tests.support.sabotage FAULT SERVICE ARGUMENTS…`."""

import importlib
import sys
import threading
from typing import Any, NoReturn

from binance_streamer.wire.statuses import Status
from services.runtime import process
from services.runtime.status import StatusPublisher


def _raise(*_: Any) -> NoReturn:
    raise MemoryError("sabotage")


def _hang_at_end() -> None:
    """A thread that never ends and that the interpreter waits for, and an error in the main thread."""
    process.ENDING_S = 2
    threading.Thread(target=threading.Event().wait, name="forever").start()
    StatusPublisher.publish = _raise  # type: ignore[assignment,method-assign]


def _thread_dies() -> None:
    """A thread that dies once the service runs."""
    publish = StatusPublisher.publish
    began: list[bool] = []

    def publish_and_break(self: StatusPublisher, status: Status) -> None:
        if not began:
            began.append(True)
            threading.Thread(target=_raise, name="victim", daemon=True).start()
        publish(self, status)

    StatusPublisher.publish = publish_and_break  # type: ignore[method-assign]


FAULTS = {"hang-at-end": _hang_at_end, "thread-dies": _thread_dies}

if __name__ == "__main__":
    fault, name, *arguments = sys.argv[1:]
    FAULTS[fault]()
    sys.exit(importlib.import_module(f"services.{name}.app").main(arguments))
