"""Recorded files on a real disk: rows go behind our own bytes or nowhere."""

import os
from pathlib import Path

import pytest

from services.writer.store.errors import BlockedError, FileDamagedError
from services.writer.store.files import DataFile, DataFiles, check_root, make_durable, probe
from services.writer.store.ledger import FileRecord

PATH = "BTCUSDT/depth_BTCUSDT_20260927.csv"


def begun(root: Path) -> tuple[DataFiles, DataFile]:
    files = DataFiles(root)
    file = files.know(FileRecord(PATH, 0, 1, 1))
    files.append(file, b"a,b\n1,2\n")
    return files, file


def test_rows_are_appended_and_the_length_is_known(tmp_path: Path) -> None:
    files, file = begun(tmp_path)
    files.append(file, b"3,4\n")
    assert (tmp_path / PATH).read_bytes() == b"a,b\n1,2\n3,4\n"
    assert (file.length, files.size(PATH)) == (12, 12)
    files.close()


@pytest.mark.parametrize("harm", ["longer", "shorter", "gone", "another"])
def test_nothing_is_written_behind_the_bytes_of_somebody_else(tmp_path: Path, harm: str) -> None:
    files, file = begun(tmp_path)
    path = tmp_path / PATH
    if harm == "longer":
        path.write_bytes(path.read_bytes() + b"x\n")
    elif harm == "shorter":
        os.truncate(path, 5)
    else:
        path.unlink()
        if harm == "another":
            path.write_bytes(b"a,b\n1,2\n")
    before = path.read_bytes() if path.exists() else None
    with pytest.raises(FileDamagedError) as caught:
        files.append(file, b"3,4\n")
    assert caught.value.path == PATH
    assert (path.read_bytes() if path.exists() else None) == before
    files.close()


def test_a_file_that_is_known_and_not_there_is_not_begun_anew(tmp_path: Path) -> None:
    (tmp_path / "BTCUSDT").mkdir()
    files = DataFiles(tmp_path)
    with pytest.raises(FileDamagedError):
        files.append(files.know(FileRecord(PATH, 8, 1, 1)), b"3,4\n")
    assert not (tmp_path / PATH).exists()
    files.close()


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "BTCUSDT").mkdir()
    (tmp_path / "other").write_bytes(b"")
    (tmp_path / PATH).symlink_to(tmp_path / "other")
    files = DataFiles(tmp_path)
    with pytest.raises(BlockedError):
        files.append(files.know(FileRecord(PATH, 0, 1, 1)), b"3,4\n")
    assert (tmp_path / "other").read_bytes() == b""
    files.close()


@pytest.mark.parametrize(
    ("content", "length", "last"),
    [(b"", 0, b""), (b"a,b", 0, b""), (b"a,b\n", 4, b""), (b"a,b\n1,2\n", 8, b"1,2\n"), (b"a,b\n1,2\n3", 8, b"1,2\n")],
)
def test_whole_rows_end_before_a_torn_one(tmp_path: Path, content: bytes, length: int, last: bytes) -> None:
    (tmp_path / "x.csv").write_bytes(content)
    assert DataFiles(tmp_path).whole_rows("x.csv") == (length, last)


def test_a_sync_covers_what_was_written_and_closes_what_its_owner_deleted(tmp_path: Path) -> None:
    files, file = begun(tmp_path)
    work = files.begin_sync()
    assert (work.files, set(work.directories)) == ((file,), {tmp_path, tmp_path / "BTCUSDT"})
    make_durable(tmp_path, work)
    (tmp_path / PATH).unlink()
    files.end_sync(work)
    assert file.descriptor == -1
    assert files.begin_sync().files == ()


def test_a_root_that_cannot_be_made_or_written_is_a_condition(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(BlockedError):
        check_root(tmp_path / "file" / "data")
    with pytest.raises(BlockedError):
        probe(tmp_path / "gone", 10)
    probe(tmp_path, 10)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
