"""A stream's day is sealed: sorted, exact, compared, and made of whatever files the day has."""

from pathlib import Path

import pyarrow as pa
import pytest

from binance_streamer.days import seal as sealing
from binance_streamer.days.parquet import Place
from binance_streamer.days.rows import NotSealable
from binance_streamer.days.seal import Part, ReadBackError, seal
from tests.support.sealing import DAY, begun, parts, sealed, trade, write

PLACE = Place("trade", "BTCUSDT", DAY)


class Seen:
    """Keeps the ids that it is shown."""

    def __init__(self) -> None:
        self.ids: list[int] = []

    def take(self, rows: pa.Table) -> None:
        self.ids += rows.column("id").to_pylist()


def test_rows_are_sorted_and_shown_to_watchers_once(tmp_path: Path) -> None:
    seen = Seen()
    path = write(tmp_path, map(trade, (5, 1, 3, 2)))
    found = seal(parts([path]), PLACE, begun(tmp_path / "lake"), watchers=[seen])
    assert seen.ids == [1, 2, 3, 5]
    assert (found.facts.rows, found.read, found.repeated) == (4, 4, 0)
    assert found.size == (tmp_path / "lake" / found.path).stat().st_size


def test_rows_beyond_the_end_do_not_count(tmp_path: Path) -> None:
    path = write(tmp_path, [trade(1)])
    end = path.stat().st_size
    write(tmp_path, [trade(2)])
    assert seal([Part(path, end)], PLACE, begun(tmp_path / "lake")).facts.rows == 1


def test_two_files_of_a_day_are_one_and_their_common_rows_are_one_row(tmp_path: Path) -> None:
    plain = write(tmp_path, map(trade, (1, 2, 2)))
    other = write(tmp_path / "other", map(trade, (2, 3)))
    packed = plain.with_name(f"{plain.name}.zst")
    packed.write_bytes(pa.compress(other.read_bytes(), "zstd", asbytes=True))
    lake = begun(tmp_path / "lake")
    found = sealed(lake, plain, packed)
    rows = lake.read(*PLACE)
    assert rows is not None
    assert [row["id"] for batch in rows for row in batch.to_pylist()] == [1, 2, 2, 3]
    assert (found.read, found.repeated) == (5, 1)


def test_a_file_begun_anew_is_added_to_what_is_sealed(tmp_path: Path) -> None:
    lake = begun(tmp_path / "lake")
    path = write(tmp_path / "data", map(trade, (1, 2, 4)))
    first = sealed(lake, path)
    path.unlink()
    found = sealed(lake, lake.local(first.path), write(tmp_path / "data", map(trade, (3, 4))))
    assert (found.facts.rows, found.repeated) == (4, 1)
    other = begun(tmp_path / "other")
    undisturbed = sealed(other, write(tmp_path / "all", map(trade, (1, 2, 3, 4))))
    assert found.facts.digest == undisturbed.facts.digest
    assert lake.local(found.path).read_bytes() == other.local(undisturbed.path).read_bytes()


def test_the_digest_does_not_know_the_order_of_the_files(tmp_path: Path) -> None:
    lake = begun(tmp_path / "lake")
    one, two = write(tmp_path / "one", map(trade, (1, 4))), write(tmp_path / "two", map(trade, (3, 2)))
    assert sealed(lake, one, two).facts.digest == sealed(lake, two, one).facts.digest


def test_a_day_without_rows_is_sealed_as_one(tmp_path: Path) -> None:
    assert sealed(begun(tmp_path / "lake"), write(tmp_path, [])).facts.rows == 0


def test_what_cannot_be_sealed_changes_nothing_in_the_lake(tmp_path: Path) -> None:
    lake = begun(tmp_path / "lake")
    first = sealed(lake, write(tmp_path, [trade(1)]))
    path = write(tmp_path, [trade(2, price="1.123456789")])
    with pytest.raises(NotSealable) as caught:
        sealed(lake, path)
    assert (caught.value.line, caught.value.column) == (3, "price")
    assert lake.files(PLACE) == [first.path]


def test_a_file_that_is_read_back_otherwise_is_not_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealing, "digest_of", lambda *_: (1, "0"))
    lake = begun(tmp_path / "lake")
    with pytest.raises(ReadBackError, match="read back"):
        sealed(lake, write(tmp_path, [trade(1)]))
    assert lake.files(PLACE) == []
    assert not (tmp_path / "lake" / "trade").exists()


def test_a_seal_that_is_given_up_changes_nothing_in_the_lake(tmp_path: Path) -> None:
    class GivenUpError(Exception):
        """The process is asked to end."""

    def give_up() -> None:
        raise GivenUpError

    lake = begun(tmp_path / "lake")
    with pytest.raises(GivenUpError):
        seal(parts([write(tmp_path, [trade(1)])]), PLACE, lake, progressed=give_up)
    assert lake.files(PLACE) == []
