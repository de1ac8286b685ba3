"""One owner at a time, whatever the disk says."""

import errno
import os
from pathlib import Path

import pytest

from services.runtime.lock import FileLock


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
