"""The next process knows what may be missing and is not listed, or that it does not know."""

from pathlib import Path

from services.ingest.takeover.unlisted import UnlistedLosses

QUIET, PRICE = "btcusdt@forceOrder", "btcusdt@markPrice@1s"


def test_the_next_process_reads_what_was_noted_last(tmp_path: Path) -> None:
    path = tmp_path / "journal" / "unlisted"
    losses = UnlistedLosses(path)
    losses.note({QUIET, PRICE})
    losses.note({QUIET})
    assert UnlistedLosses(path).take_over() == frozenset({QUIET})


def test_nothing_unlisted_is_something_that_is_known(tmp_path: Path) -> None:
    UnlistedLosses(tmp_path / "unlisted").note(frozenset())
    assert UnlistedLosses(tmp_path / "unlisted").take_over() == frozenset()


def test_what_was_taken_over_once_is_not_known_any_more(tmp_path: Path) -> None:
    path = tmp_path / "unlisted"
    UnlistedLosses(path).note({QUIET})
    UnlistedLosses(path).take_over()
    assert UnlistedLosses(path).take_over() is None


def test_a_file_that_cannot_be_read_says_nothing(tmp_path: Path) -> None:
    path = tmp_path / "unlisted"
    path.write_bytes(b'["btcusdt@force')
    assert UnlistedLosses(path).take_over() is None


def test_a_disk_that_takes_no_file_leaves_none_that_is_old(tmp_path: Path) -> None:
    path = tmp_path / "unlisted"
    losses = UnlistedLosses(path)
    losses.note(frozenset())
    in_the_way = tmp_path / "unlisted.new"
    in_the_way.mkdir()
    losses.note({QUIET})
    assert UnlistedLosses(path).take_over() is None
    in_the_way.rmdir()
    losses.note({QUIET})
    assert UnlistedLosses(path).take_over() == frozenset({QUIET})
