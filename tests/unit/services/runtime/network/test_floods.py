"""The watch over a thread that reads subscriptions."""

import threading
import time
from collections.abc import Callable
from contextlib import closing

import pytest

from services.runtime.network import floods
from services.runtime.network.connections import Connection, Peer
from services.runtime.network.floods import FloodGuard
from tests.support.waiting import eventually

FLOOD = Peer(Connection(-1, 0), "process 1", 60_000)
SMALL = Peer(Connection(-2, 0), "process 2", 100)


@pytest.fixture
def cut(monkeypatch: pytest.MonkeyPatch) -> list[Connection]:
    """The connections that were ended, of one that floods and one that has little unread."""
    ended: list[Connection] = []
    monkeypatch.setattr(floods, "peers_at", lambda _: [FLOOD, SMALL])
    monkeypatch.setattr(floods, "hang_up", ended.append)
    return ended


def spin(guard: FloodGuard, *, until: Callable[[], bool], is_in_one_call: bool) -> None:
    """Use CPU time in a thread of its own, which reads subscriptions; in one call of libzmq that never ends, or not."""

    def run() -> None:
        guard.note_end()
        while not until():
            if not is_in_one_call:
                guard.note_end()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()


def used(cpu_s: float) -> Callable[[], bool]:
    """True once the calling thread has used so much CPU time."""
    return lambda: time.thread_time() > cpu_s


def test_who_keeps_the_thread_from_an_end_is_cut_off_and_newcomers_wait(cut: list[Connection]) -> None:
    held: list[float] = []
    with closing(FloodGuard("ipc:///nowhere", hold=held.append)) as guard:
        spin(guard, until=lambda: bool(cut) or time.thread_time() > 20, is_in_one_call=True)
        eventually(lambda: guard.cut >= 1)
    assert set(cut) == {FLOOD.connection}
    assert held[0] == 1.0


def test_a_kernel_without_such_timers_leaves_the_rest_at_work(
    cut: list[Connection], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_: float, *, wakes: int) -> None:
        raise OSError(95, f"no timer for {wakes}")

    monkeypatch.setattr(floods, "CpuTimer", refused)
    with closing(FloodGuard("ipc:///nowhere", hold=lambda _: None)) as guard:
        spin(guard, until=used(0.2), is_in_one_call=False)
        assert guard.cut == 0
    assert cut == []


def test_a_busy_thread_that_comes_to_an_end_of_its_subscriptions_is_no_flood(cut: list[Connection]) -> None:
    with closing(FloodGuard("ipc:///nowhere", hold=lambda _: None)) as guard:
        spin(guard, until=used(0.4), is_in_one_call=False)
    assert cut == []


def test_a_thread_that_sleeps_wakes_nobody(cut: list[Connection]) -> None:
    looks: list[object] = []
    with closing(FloodGuard("ipc:///nowhere", hold=lambda _: None)) as guard:
        guard._cut_flooding = lambda: looks.append(None)  # type: ignore[method-assign]
        guard.note_end()
        time.sleep(0.5)
    assert looks == []
    assert cut == []


def test_a_guard_is_closed_though_the_watched_thread_has_ended_or_never_read() -> None:
    FloodGuard("ipc:///nowhere", hold=lambda _: None).close()
    guard = FloodGuard("ipc:///nowhere", hold=lambda _: None)
    watched = threading.Thread(target=guard.note_end)
    watched.start()
    watched.join()
    guard.close()
    assert guard.cut == 0
    assert not [thread for thread in threading.enumerate() if thread.name == "floods"]
