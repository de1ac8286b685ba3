"""One owner at a time, whatever the disk says; who waits for a lock says why, and goes on once it is free."""

import contextlib
import errno
import os
import select
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq

from binance_streamer.config import schema as configuration
from binance_streamer.transport.sockets import bus_intake
from binance_streamer.wire.frames import decode_frame
from services.runtime.lock import FileLock, LockWait, wait_for_lock
from services.runtime.process import Shell, Stop, StopRequestedError
from tests.support.configs import write_config


def test_a_lock_has_one_holder_who_is_named(tmp_path: Path) -> None:
    first, second = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    assert first.try_acquire()
    assert not second.try_acquire()
    assert second.holder() == f"pid {os.getpid()}"
    first.release()
    assert second.try_acquire()
    second.release()


def test_a_full_disk_keeps_nobody_from_its_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(os, "pwrite", full)
    first, second = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    assert first.try_acquire()
    assert not second.try_acquire()
    assert second.holder() == "an unknown process"
    first.release()


@pytest.fixture
def shell(place: Path) -> Iterator[Shell]:
    path = write_config(place, {"BTCUSDT": ["aggTrade"]}, {})
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    (place / "run").mkdir(mode=0o700, exist_ok=True)
    made = Shell("writer", configuration.load(path), path, Stop(), context)
    yield made
    made.stop.close()
    context.destroy()


class Waiting:
    """`wait_for_lock` in a thread, and what it says on the bus meanwhile."""

    def __init__(self, shell: Shell, path: Path) -> None:
        self.lock: FileLock | None = None
        self._shell = shell
        self._path = path
        self._bus = bus_intake(shell.context, shell.config.endpoints.bus_publish, b"")
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        with contextlib.suppress(StopRequestedError):
            self.lock = wait_for_lock(self._shell, self._path, what="the data directory")

    def state(self) -> str:
        assert self._bus.poll(20_000), "a status comes"
        topic, frame = self._bus.recv_multipart()
        assert topic == b"status.writer."
        return str(decode_frame(frame)[1]["state"])

    def end(self) -> FileLock | None:
        self._thread.join(20)
        assert not self._thread.is_alive()
        self._bus.close()
        return self.lock


def test_a_lock_that_somebody_holds_is_told_and_taken_once_it_is_free(shell: Shell, place: Path) -> None:
    held = FileLock(place / "lock")
    assert held.try_acquire()
    waiting = Waiting(shell, place / "lock")
    assert waiting.state() == f"blocked: the data directory is held by {held.holder()}"
    assert waiting.state().startswith("blocked: ")
    held.release()
    lock = waiting.end()
    assert lock is not None
    lock.release()


def test_a_folder_that_takes_no_lock_is_told_and_tried_again(shell: Shell, place: Path) -> None:
    folder = place / "folder"
    folder.write_bytes(b"")  # root may write anywhere; a file in the place of a folder refuses everybody
    waiting = Waiting(shell, folder / "lock")
    assert waiting.state() == f"blocked: the data directory takes no lock: File exists: {folder / 'lock'}"
    folder.unlink()
    lock = waiting.end()
    assert lock is not None
    lock.release()


def test_asked_to_end_it_waits_no_longer(shell: Shell, place: Path) -> None:
    held = FileLock(place / "lock")
    assert held.try_acquire()
    waiting = Waiting(shell, place / "lock")
    shell.stop.request()
    assert waiting.end() is None
    held.release()


def test_a_lock_that_is_free_is_taken_without_a_word(shell: Shell, place: Path) -> None:
    wait_for_lock(shell, place / "lock", what="the data directory").release()


def test_a_lock_that_is_waited_for_is_ours_as_soon_as_it_is_free(tmp_path: Path) -> None:
    held, wanted = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    assert held.try_acquire()
    wait = LockWait(wanted)
    wait.start()
    poller = select.poll()
    poller.register(wait.fileno(), select.POLLIN)
    assert not poller.poll(100)
    assert not wait.is_over
    held.release()
    assert poller.poll(20_000)
    assert wait.is_over
    assert wanted.is_ours
    assert wanted.holder() == f"pid {os.getpid()}"
    wanted.release()


def test_a_lock_file_that_somebody_deleted_keeps_nobody_out(tmp_path: Path) -> None:
    held, wanted, third = (FileLock(tmp_path / "lock") for _ in range(3))
    assert held.try_acquire()
    wait = LockWait(wanted)
    wait.start()
    poller = select.poll()
    poller.register(wait.fileno(), select.POLLIN)
    assert not poller.poll(100)
    (tmp_path / "lock").unlink()
    held.release()
    assert poller.poll(20_000)
    assert not third.try_acquire()
    wanted.release()
