"""A sealed file: its rows, encodings, row groups and metadata."""

from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from binance_streamer.days import parquet, rows
from binance_streamer.days.parquet import ParquetFile, Place, digest_of, metadata_of, read, stats_of
from binance_streamer.days.rows import batches
from tests.support.sealing import DAY, trade, write

PLACE = Place("trade", "BTCUSDT", DAY)


def written(folder: Path, count: int, *, name: str = "a.parquet") -> tuple[Path, parquet.FileFacts]:
    csv = folder / "data"
    source = csv / "BTCUSDT" / f"trade_BTCUSDT_{DAY}.csv"
    if not source.exists():
        write(csv, map(trade, range(1, count + 1)))
    file = ParquetFile(folder / name, PLACE, count)
    for batch in batches(source, "trade"):
        file.take(pa.Table.from_batches([batch]))
    return folder / name, file.finish()


def test_rows_come_back_as_they_were_written(tmp_path: Path) -> None:
    path, facts = written(tmp_path, 3)
    found = [row for batch in read(path) for row in batch.to_pylist()]
    assert [(row["id"], row["price"], row["extra"]) for row in found] == [
        (number, Decimal("84551.10"), None) for number in (1, 2, 3)
    ]
    assert digest_of(path, "trade") == (3, facts.digest)


def test_the_metadata_say_what_the_file_is(tmp_path: Path) -> None:
    path, facts = written(tmp_path, 3)
    assert metadata_of(path) == {
        "schema": "binance-streamer/trade/1",
        "symbol": "BTCUSDT",
        "stream": "trade",
        "day": DAY,
        "software": "0.1.0",
        "digest": facts.digest,
        "rows": "3",
    }


def test_a_minute_is_read_without_the_day(tmp_path: Path) -> None:
    path, _ = written(tmp_path, 20_000)
    metadata = pq.read_metadata(path)
    assert [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)] == [8192, 8192, 3616]
    times = metadata.row_group(1).column(metadata.schema.names.index("time"))
    assert times.statistics.min < times.statistics.max
    assert times.has_offset_index
    assert times.has_column_index
    assert metadata.row_group(0).sorting_columns[0] == pq.SortingColumn(0)
    found = pq.read_table(path, filters=[("id", "=", 9000)])
    assert found.column("seq").to_pylist() == [9000]


def test_integers_are_differences_and_all_else_has_a_dictionary(tmp_path: Path) -> None:
    path, _ = written(tmp_path, 3)
    group = pq.read_metadata(path).row_group(0)
    encodings = {group.column(at).path_in_schema: set(group.column(at).encodings) for at in range(group.num_columns)}
    assert "DELTA_BINARY_PACKED" in encodings["id"] & encodings["time"] & encodings["recv_ns"]
    assert "RLE_DICTIONARY" in encodings["price"] & encodings["source"] & encodings["order_type"]
    assert {group.column(at).compression for at in range(group.num_columns)} == {"ZSTD"}


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    one, _ = written(tmp_path, 10_000)
    two, _ = written(tmp_path, 10_000, name="b.parquet")
    assert one.read_bytes() == two.read_bytes()


def test_a_group_of_large_rows_is_written_before_it_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "_MOST_BYTES", 1)
    monkeypatch.setattr(rows, "CHUNK_BYTES", 400)
    path, _ = written(tmp_path, 10)
    assert pq.read_metadata(path).num_row_groups > 2
    assert digest_of(path, "trade")[0] == 10


def test_statistics_of_the_log_are_bounds_and_nulls(tmp_path: Path) -> None:
    _, facts = written(tmp_path, 3)
    assert (facts.rows, facts.least["id"], facts.most["id"], facts.nulls["extra"]) == (3, 1, 3, 3)
    assert '"time": "2026-11-22T00:00:00.003Z"' in stats_of(facts)


def test_a_file_without_rows_is_one(tmp_path: Path) -> None:
    path = tmp_path / "empty.parquet"
    facts = ParquetFile(path, PLACE, 0).finish()
    assert (facts.rows, facts.least) == (0, {})
    assert digest_of(path, "trade") == (0, facts.digest)
