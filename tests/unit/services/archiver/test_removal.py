"""Daily files are removed only when nobody has them open and all of their rows lie in the lake."""

from pathlib import Path

import pytest

from binance_streamer.days.lake import Lake
from services.archiver import removal
from services.archiver.due import certificate_of, days_of
from services.archiver.removal import remove_sealed, try_remove
from tests.support.sealing import DAY, LATER, begun, seal_days, skip_without_leases, trade, write


def rows_in(lake: Lake) -> int:
    return sum(batch.num_rows for batch in lake.read("trade", "BTCUSDT", DAY) or ())


@pytest.fixture(autouse=True)
def leases(tmp_path: Path) -> None:
    """Nothing is removed where the file system has no leases."""
    skip_without_leases(tmp_path)


def test_a_sealed_file_is_removed_and_stays_listed(tmp_path: Path) -> None:
    data, lake = tmp_path / "data", begun(tmp_path / "lake")
    path = write(data, map(trade, (1, 2)))
    seal_days(data, lake)
    assert remove_sealed(data, lake, "BTCUSDT", DAY) == 1
    assert not path.exists()
    certificate = certificate_of(lake, "BTCUSDT", DAY)
    assert certificate is not None
    assert [one.removed for one in certificate.streams["trade"].sources] == [True]
    assert days_of(data, lake, LATER).due == []
    assert remove_sealed(data, lake, "BTCUSDT", DAY) == 0


def test_a_file_that_somebody_has_open_stays(tmp_path: Path) -> None:
    data, lake = tmp_path / "data", begun(tmp_path / "lake")
    path = write(data, [trade(1)])
    seal_days(data, lake)
    with path.open("ab"):
        assert remove_sealed(data, lake, "BTCUSDT", DAY) == 0
    assert path.exists()
    days = days_of(data, lake, LATER)
    assert (days.due, [day.day for day in days.settled]) == ([], [DAY])
    assert remove_sealed(data, lake, "BTCUSDT", DAY) == 1


def test_a_file_that_has_grown_stays(tmp_path: Path) -> None:
    data, lake = tmp_path / "data", begun(tmp_path / "lake")
    write(data, [trade(1)])
    seal_days(data, lake)
    path = write(data, [trade(2)])
    assert remove_sealed(data, lake, "BTCUSDT", DAY) == 0
    assert path.exists()
    seal_days(data, lake)
    assert rows_in(lake) == 2


def test_a_late_row_is_added_to_what_was_removed(tmp_path: Path) -> None:
    data, lake = tmp_path / "data", begun(tmp_path / "lake")
    write(data, map(trade, (1, 3)))
    seal_days(data, lake)
    remove_sealed(data, lake, "BTCUSDT", DAY)
    write(data, [trade(2)])
    seal_days(data, lake)
    assert rows_in(lake) == 3
    assert remove_sealed(data, lake, "BTCUSDT", DAY) == 1


def test_a_pending_file_is_never_removed(tmp_path: Path) -> None:
    data, lake = tmp_path / "data", begun(tmp_path / "lake")
    path = write(data, [trade(1, price="1.123456789")])
    seal_days(data, lake)
    assert remove_sealed(data, lake, "BTCUSDT", DAY) == 0
    assert path.exists()


def test_a_kill_between_rename_and_removal_loses_and_doubles_no_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class KilledError(Exception):
        """Stands for a kill."""

    def kill(*_: object) -> bool:
        raise KilledError

    data, lake = tmp_path / "data", begun(tmp_path / "lake")
    write(data, map(trade, (1, 2)))
    seal_days(data, lake)
    with monkeypatch.context() as patch:
        patch.setattr(removal, "_is_unused", kill)
        with pytest.raises(KilledError):
            remove_sealed(data, lake, "BTCUSDT", DAY)
    write(data, [trade(3)])
    seal_days(data, lake)
    assert rows_in(lake) == 3
    assert remove_sealed(data, lake, "BTCUSDT", DAY) == 2
    assert list((data / "BTCUSDT").iterdir()) == []


def test_a_new_file_of_the_same_name_is_not_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "data", [trade(1)])
    size = path.stat().st_size

    def begun_anew(*_: object) -> bool:
        write(tmp_path / "data", [trade(2)])
        return False

    monkeypatch.setattr(removal, "_is_unused", begun_anew)
    assert not try_remove(path, size)
    assert "2,84551.10" in path.read_text(encoding="utf-8")
    assert "1,84551.10" in path.with_name(f"removing-{path.name}").read_text(encoding="utf-8")
