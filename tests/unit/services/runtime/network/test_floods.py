"""The watch over a thread that reads subscriptions."""

import threading

from services.runtime.network.floods import FloodGuard
from tests.support.waiting import eventually


def test_a_watched_thread_that_ends_ends_the_watch_and_nothing_else() -> None:
    guard = FloodGuard("ipc:///nowhere", hold=lambda _: None)
    watches = [thread for thread in threading.enumerate() if thread.name == "floods"]
    watched = threading.Thread(target=guard.note_idle)
    watched.start()
    watched.join()
    eventually(lambda: not any(watch.is_alive() for watch in watches))
    guard.close()
    assert guard.cut == 0
