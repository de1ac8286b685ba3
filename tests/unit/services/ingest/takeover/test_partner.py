"""A worker that records sees by a lock whether another one could go on."""

from pathlib import Path

from services.ingest.takeover.partner import WarmSign, is_relieved


def test_a_worker_is_relieved_while_another_one_is_warm(tmp_path: Path) -> None:
    path = tmp_path / "journal" / "warm"
    sign = WarmSign(path)
    assert not is_relieved(path)
    sign.show(is_warm=True)
    sign.show(is_warm=True)
    assert is_relieved(path)
    sign.show(is_warm=False)
    assert not is_relieved(path)


def test_a_folder_that_takes_no_lock_relieves_nobody(tmp_path: Path) -> None:
    (tmp_path / "journal").write_text("a file")
    path = tmp_path / "journal" / "warm"
    WarmSign(path).show(is_warm=True)
    assert not is_relieved(path)
