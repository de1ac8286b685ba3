"""Lock files of services, as others see them."""

import fcntl
from pathlib import Path

from binance_streamer.deploy.lock_files import is_held


def test_a_lock_is_held_while_its_file_is_locked(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert is_held(path) is False
    with path.open("w") as held:
        assert is_held(path) is False
        fcntl.flock(held, fcntl.LOCK_EX)
        assert is_held(path) is True
    assert is_held(path) is False


def test_of_a_file_that_cannot_be_opened_nothing_is_known(tmp_path: Path) -> None:
    (tmp_path / "folder").write_text("a file in its place")
    assert is_held(tmp_path / "folder" / "lock") is None
