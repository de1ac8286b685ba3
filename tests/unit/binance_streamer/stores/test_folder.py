"""Files in a folder: each gets its name in one step, and the workplace is empty at the next start."""

from pathlib import Path

import pytest

from binance_streamer.stores.folder import FolderStore

NAME = "trade/day=2026-11-22/one.parquet"


def begun(root: Path) -> FolderStore:
    store = FolderStore(root)
    store.begin()
    return store


def test_a_file_is_put_listed_read_and_deleted(tmp_path: Path) -> None:
    store = begun(tmp_path / "lake")
    written = store.workplace / "sealing.parquet"
    written.write_bytes(b"rows")
    store.put(written, NAME)
    assert not written.exists()
    assert store.local(NAME) == tmp_path / "lake" / NAME
    assert (store.read_bytes(NAME), store.size(NAME), store.exists(NAME)) == (b"rows", 4, True)
    with store.open(NAME) as file:
        assert file.read() == b"rows"
    assert (store.names(""), store.names("trade")) == ([".sealing", "trade"], ["day=2026-11-22"])
    store.delete(NAME)
    store.delete(NAME)
    assert (store.exists(NAME), store.names("nothing")) == (False, [])
    with pytest.raises(FileNotFoundError):
        store.read_bytes(NAME)


def test_what_was_left_half_written_is_gone_at_the_next_start_and_no_file_with_a_name(tmp_path: Path) -> None:
    store = begun(tmp_path / "lake")
    for name in ("sealing.parquet", "other"):
        (store.workplace / name).write_bytes(b"half")
    store.put(store.workplace / "other", NAME)
    again = begun(tmp_path / "lake")
    assert list(again.workplace.iterdir()) == []
    assert again.read_bytes(NAME) == b"half"
