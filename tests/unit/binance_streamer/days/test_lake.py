"""The lake: one file a partition, published in one commit, whole after a kill at any moment."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from binance_streamer.days import parquet
from binance_streamer.days.lake import Lake, partition
from binance_streamer.days.parquet import ParquetFile, Place
from binance_streamer.stores import folder
from tests.support.sealing import DAY, begun, sealed, trade, write

PLACE = Place("trade", "BTCUSDT", DAY)


class KilledError(Exception):
    """Stands for a kill: nothing of ours runs any more."""


def there(lake: Lake) -> list[str]:
    """The sealed files of the partition that are there, whether the log names them or not."""
    return [str(path.relative_to(lake.uri)) for path in Path(lake.uri, partition(PLACE)).iterdir()]


def test_a_sealed_day_is_one_file_of_its_partition_and_of_the_log(tmp_path: Path) -> None:
    lake = begun(tmp_path / "lake")
    found = sealed(lake, write(tmp_path / "data", map(trade, (1, 2))))
    name = f"trade_BTCUSDT_20261122_{found.facts.digest[:12]}.parquet"
    assert found.path == f"trade/symbol=BTCUSDT/day=2026-11-22/{name}"
    assert lake.files(PLACE) == [found.path]
    rows = lake.read(*PLACE)
    assert rows is not None
    assert [row["id"] for batch in rows for row in batch.to_pylist()] == [1, 2]
    assert lake.read("trade", "BTCUSDT", "20261123") is None
    assert lake.read("depth", "BTCUSDT", DAY) is None


def test_symbols_outside_ascii_have_a_partition_of_their_name(tmp_path: Path) -> None:
    lake = begun(tmp_path / "lake")
    found = sealed(lake, write(tmp_path / "data", [trade(1)], symbol="牛来USDT"), symbol="牛来USDT")
    assert Path(found.path).parent.parent.name == "symbol=%E7%89%9B%E6%9D%A5USDT"
    assert Lake(tmp_path / "lake").files(Place("trade", "牛来USDT", DAY)) == [found.path]
    assert DeltaTable(str(tmp_path / "lake" / "trade")).partitions() == [{"symbol": "牛来USDT", "day": "2026-11-22"}]


def test_a_late_row_replaces_the_file_in_one_commit(tmp_path: Path) -> None:
    lake = begun(tmp_path / "lake")
    first = sealed(lake, write(tmp_path / "data", [trade(1)]))
    second = sealed(lake, write(tmp_path / "data", [trade(2)]))
    assert (lake.files(PLACE), there(lake)) == ([second.path], [second.path])
    assert first.path != second.path
    assert DeltaTable(str(tmp_path / "lake" / "trade")).version() == 1


def test_the_same_content_is_published_once(tmp_path: Path) -> None:
    lake = begun(tmp_path / "lake")
    path = write(tmp_path / "data", [trade(1)])
    assert sealed(lake, path).path == sealed(lake, path).path
    assert DeltaTable(str(tmp_path / "lake" / "trade")).version() == 0


def test_a_file_that_was_deleted_is_sealed_anew(tmp_path: Path) -> None:
    lake = begun(tmp_path / "lake")
    path = write(tmp_path / "data", [trade(1)])
    lake.local(sealed(lake, path).path).unlink()
    assert (lake.files(PLACE), lake.read(*PLACE)) == ([], None)
    assert [sealed(lake, path).path] == lake.files(PLACE)


def test_the_log_has_the_size_of_its_file_also_where_another_version_sealed_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = begun(tmp_path / "lake")
    path = write(tmp_path / "data", [trade(1)])
    first = sealed(lake, path)
    monkeypatch.setattr(parquet, "__version__", "0.1.0+of-a-longer-name")
    again = sealed(lake, path)
    assert (again.path, again.size) == (first.path, first.size)
    (actions,) = DeltaTable(str(tmp_path / "lake" / "trade")).get_add_actions(flatten=True).to_batches()
    (row,) = pa.record_batch(actions).to_pylist()
    assert row["size_bytes"] == lake.local(first.path).stat().st_size


@pytest.mark.parametrize("moment", ["written", "named", "committed"])
@pytest.mark.parametrize("is_first", [True, False])
def test_a_kill_while_publishing_leaves_the_old_file_or_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str, *, is_first: bool
) -> None:
    lake = begun(tmp_path / "lake")
    path = write(tmp_path / "data", [trade(1)])
    before = [] if is_first else [sealed(lake, path).path]
    write(tmp_path / "data", [trade(2)])
    with monkeypatch.context() as patch:
        kill_at(patch, moment)
        with pytest.raises(KilledError):
            sealed(lake, path)
    after_kill = Lake(tmp_path / "lake")
    by_log = after_kill.files(PLACE)
    assert (by_log == before) is (moment != "committed")
    assert all(after_kill.local(file).exists() for file in by_log)
    after = begun(tmp_path / "lake")
    found = sealed(after, path)
    assert (after.files(PLACE), there(after)) == ([found.path], [found.path])
    assert found.facts.rows == 2


def kill_at(patch: pytest.MonkeyPatch, moment: str) -> None:
    """Fail at a step of `publish`, and do nothing after it."""
    commit = Lake._commit

    def killed(*_: object, **__: object) -> None:
        raise KilledError

    def committed(self: Lake, *arguments: Any, **more: Any) -> None:
        commit(self, *arguments, **more)
        raise KilledError

    if moment == "written":
        patch.setattr(folder, "sync", killed)
    elif moment == "named":
        patch.setattr(Lake, "_commit", killed)
    else:
        patch.setattr(Lake, "_commit", committed)


def test_what_a_kill_left_half_written_is_gone_at_the_next_start(tmp_path: Path) -> None:
    lake = begun(tmp_path / "lake")
    with ParquetFile(lake.workplace() / "sealing.parquet", PLACE, 1):
        pass
    assert list(begun(tmp_path / "lake").workplace().iterdir()) == []


def test_certificates_lie_by_symbol_and_day(tmp_path: Path) -> None:
    lake = begun(tmp_path / "lake")
    lake.put_certificate("牛来USDT", DAY, b"{}")
    lake.put_certificate("牛来USDT", "20261121", b"{}")
    assert lake.days("牛来USDT") == ["20261121", DAY]
    assert lake.symbols() == ["牛来USDT"]
    assert lake.days("BTCUSDT") == []
    path = tmp_path / "lake/certificates/%E7%89%9B%E6%9D%A5USDT/%E7%89%9B%E6%9D%A5USDT_20261122.json"
    assert path.read_bytes() == b"{}"


def test_statistics_stand_in_the_log(tmp_path: Path) -> None:
    sealed(begun(tmp_path / "lake"), write(tmp_path / "data", map(trade, (3, 1))))
    (actions,) = DeltaTable(str(tmp_path / "lake" / "trade")).get_add_actions(flatten=True).to_batches()
    (row,) = pa.record_batch(actions).to_pylist()
    assert (row["num_records"], row["min.id"], row["max.id"], row["null_count.extra"]) == (2, 1, 3, 2)
    assert row["min.time"].isoformat() == "2026-11-22T00:00:00.001000+00:00"
    assert Decimal(row["size_bytes"]) > 0
