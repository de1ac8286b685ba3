"""The recorder on a real directory: what it takes, flushes and commits, and how it goes on after its end."""

from pathlib import Path

import pytest

from tests.support.writer_folder import WriterFolder


@pytest.fixture
def folder(tmp_path: Path) -> WriterFolder:
    return WriterFolder(tmp_path)


def test_raw_rows_are_counted_on_after_a_full_disk(folder: WriterFolder) -> None:
    peer = folder.recording(1)
    peer.emit("trade", "BTCUSDT", "btcusdt@trade", b"{}")
    peer.deliver()
    folder.kill()
    folder.start()
    peer.emit("trade", "BTCUSDT", "btcusdt@trade", b"{}")
    peer.deliver()
    assert folder.counts.raw == {"btcusdt@trade": {"the key t (id) is missing": 2}}
