"""Rows are the same whatever files they are in: plain, compressed, half written, sealed, or some of each."""

import os
import random
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from binance_streamer.days import Recording
from binance_streamer.days.day_files import whole_bytes
from binance_streamer.days.reading.rows_of_days import polars_schema
from binance_streamer.days.rows import NotSealable
from tests.support import synthetic_day
from tests.support.s3 import BUCKET, Bucket, served
from tests.support.sealing import DAY, DAY_MS, begun, compress, sealed, trade, write

COUNT = 400
LINES = [trade(number, price=f"{84000 + number % 7}.{number % 100:02d}") for number in range(1, COUNT + 1)]
START_NS = DAY_MS * 10**6
IDS = list(range(1, COUNT + 1))


def rows(place: Path | str, *, first: int = 1, last: int = COUNT) -> list[dict[str, Any]]:
    """The trades received from number `first` to number `last`."""
    between = (START_NS + first * 10**6, START_NS + last * 10**6 + 1)
    return Recording(place).scan("trade", "BTCUSDT", *between).collect().to_dicts()


@pytest.fixture
def expected(tmp_path: Path) -> list[dict[str, Any]]:
    """The rows of one plain file in order."""
    write(tmp_path / "expected", LINES)
    return rows(tmp_path / "expected")


def test_values_have_the_types_of_the_lake(expected: list[dict[str, Any]], tmp_path: Path) -> None:
    frame = Recording(tmp_path / "expected").scan("trade", "BTCUSDT").collect()
    assert frame.schema == polars_schema("trade")
    assert frame["id"].to_list() == IDS
    assert [str(row["price"]) for row in expected[:2]] == ["84001.01000000", "84002.02000000"]
    assert Recording(tmp_path / "expected").scan("raw", "BTCUSDT").collect().schema == polars_schema("raw")


def test_rows_are_the_same_in_every_form(expected: list[dict[str, Any]], tmp_path: Path) -> None:
    shuffled = random.Random(1).sample(LINES, len(LINES))
    plain = write(tmp_path / "plain", shuffled)
    assert rows(tmp_path / "plain") == expected
    sealed(begun(tmp_path / "sealed"), plain)
    assert rows(tmp_path / "sealed") == expected
    compress(plain, lines=37)
    assert rows(tmp_path / "plain") == expected
    for place in ("plain", "sealed"):
        assert rows(tmp_path / place, first=50, last=60) == expected[49:60]


def test_a_day_in_both_formats_and_sealed_before_it_was_over_has_each_row_once(
    expected: list[dict[str, Any]], tmp_path: Path
) -> None:
    storage = "storage: {output_directory: data, journal_directory: journal, lake: lake}\n"
    modes = "mode: production\nmodes: {production: {symbols: [{symbol: BTCUSDT}]}}\n"
    (tmp_path / "streamer.yaml").write_text(storage + modes)
    early = write(tmp_path / "data", LINES[:200])
    sealed(begun(tmp_path / "lake"), early)
    compress(early, lines=50)
    write(tmp_path / "data", LINES[150:])
    assert rows(tmp_path) == expected
    assert rows(tmp_path, first=190, last=210) == expected[189:210]


def test_days_follow_each_other(tmp_path: Path) -> None:
    """A late row stands in the file of its own day, whenever it was received."""
    next_day = [line.replace(f"{START_NS // 10**6 + number}000000", f"{START_NS // 10**6 + number + 86_400_000}000000")
                for number, line in enumerate(LINES, 1)]  # fmt: skip
    sealed(begun(tmp_path), write(tmp_path / "data", LINES[:10]))
    write(tmp_path / "data", next_day[10:20], day="20261123")
    ids = Recording(tmp_path / "data").scan("trade", "BTCUSDT").collect()["id"].to_list()
    assert ids == IDS[:20]
    later = Recording(tmp_path / "data").scan("trade", "BTCUSDT", "2026-11-23").collect()["id"].to_list()
    assert later == IDS[10:20]


def test_a_file_that_grows_has_its_whole_lines_and_frames(tmp_path: Path) -> None:
    path = write(tmp_path, LINES[:20])
    content = path.read_bytes()
    for length in range(len(content.splitlines(keepends=True)[0]), len(content) + 1, 11):
        path.write_bytes(content[:length])
        assert len(Recording(tmp_path).scan("trade", "BTCUSDT").collect()) == content[:length].count(b"\n") - 1
    path.write_bytes(content)
    frames = compress(path, lines=7)
    content = frames.read_bytes()
    assert whole_bytes(frames) == len(content)
    frames.write_bytes(content[:-1])
    assert Recording(tmp_path).scan("trade", "BTCUSDT").collect()["id"].to_list() == IDS[:13]


def test_what_has_no_place_in_the_columns_is_an_error_that_names_it(tmp_path: Path) -> None:
    write(tmp_path, [*LINES[:3], trade(4, price="1.123456789")])
    with pytest.raises(NotSealable, match=rf"trade_BTCUSDT_{DAY}.csv line 5 column price"):
        Recording(tmp_path).scan("trade", "BTCUSDT").collect()


def test_columns_conditions_and_limits_go_to_the_files(tmp_path: Path) -> None:
    write(tmp_path, LINES)
    frame = Recording(tmp_path).scan("trade", "BTCUSDT")
    assert frame.filter(pl.col("qty") > 0).select("id").head(5).collect()["id"].to_list() == IDS[:5]
    assert (
        frame.filter(pl.col("id") == 77).select("price").collect().item()
        == pl.Series(["84000.77"]).cast(pl.Decimal(38, 8)).item()
    )
    assert frame.select(pl.len()).collect().item() == COUNT
    assert frame.tail(1).collect()["id"].to_list() == [COUNT]


# --- a day as large as one of BTC, read over the network: what is read is counted


LARGE_ROWS, TRADES = 860_000, 400_000


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake with a day of depth updates, and of aggTrades."""
    root = tmp_path_factory.mktemp("large")
    tables = (synthetic_day.updates(first, 20_000, LARGE_ROWS, levels=8) for first in range(0, LARGE_ROWS, 20_000))
    synthetic_day.publish(begun(root), "depth", tables, LARGE_ROWS)
    trades = (synthetic_day.trades(first, 20_000, TRADES) for first in range(0, TRADES, 20_000))
    synthetic_day.publish(begun(root), "aggtrade", trades, TRADES)
    return root


@pytest.fixture
def bucket(large: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """The lake as an S3 bucket; variables are set for this process alone."""
    with served(large) as bucket:
        for name, value in bucket.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setitem(os.environ, "AWS_EC2_METADATA_DISABLED", "true")
        yield bucket


def share_of_day(bucket: Bucket, large: Path) -> float:
    """The share of the day's files of depth that was read since the last time, in percent."""
    return share_of(bucket, large, large.glob("depth/*/*/*.parquet"))


def share_of(bucket: Bucket, large: Path, files: Iterable[Path]) -> float:
    """The share of the bytes of these files that was read since the last time, in percent."""
    paths, read = list(files), bucket.take_read()
    taken = sum(read.get(str(path.relative_to(large)), 0) for path in paths)
    return 100 * taken / sum(path.stat().st_size for path in paths)


def test_a_minute_takes_less_than_two_hundredths_of_a_day(bucket: Bucket, large: Path) -> None:
    recording = Recording(f"s3://{BUCKET}")
    minute = recording.scan("depth", "BTCUSDT", "2026-11-22T13:00", "2026-11-22T13:01").collect()
    assert len(minute) == pytest.approx(LARGE_ROWS / 1440, abs=1)
    assert 0 < share_of_day(bucket, large) < 2


def test_a_minute_of_all_streams_takes_less_than_two_hundredths_of_the_day(bucket: Bucket, large: Path) -> None:
    """Of a small file of small rows alone the metadata are more: they count little beside depth."""
    recording = Recording(f"s3://{BUCKET}")
    for stem, count in (("depth", LARGE_ROWS), ("aggtrade", TRADES)):
        minute = recording.scan(stem, "BTCUSDT", "2026-11-22T13:00", "2026-11-22T13:01").collect()
        assert len(minute) == pytest.approx(count / 1440, abs=1)
    assert 0 < share_of(bucket, large, large.glob("*/*/*/*.parquet")) < 2


def test_a_condition_on_ids_takes_as_little(bucket: Bucket, large: Path) -> None:
    recording = Recording(f"s3://{BUCKET}")
    row = recording.scan("depth", "BTCUSDT").filter(pl.col("final_update_id") == 5_000_000).collect()
    assert row["prev_final_update_id"].to_list() == [4_999_990]
    assert 0 < share_of_day(bucket, large) < 2
    with recording.sql() as connection:
        found = connection.sql("select prev_final_update_id from depth where final_update_id = 5000000").fetchall()
    assert found == [(4_999_990,)]
    assert 0 < share_of_day(bucket, large) < 4  # twice the file's metadata


def test_columns_that_nobody_asks_for_are_not_read(bucket: Bucket, large: Path) -> None:
    rows = Recording(f"s3://{BUCKET}").scan("depth", "BTCUSDT").select("final_update_id").collect()
    assert len(rows) == LARGE_ROWS
    assert 0 < share_of_day(bucket, large) < 10
