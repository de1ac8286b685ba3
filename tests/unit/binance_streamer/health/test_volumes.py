"""Bytes a day, what goes next, and how long the disk lasts: from sizes of files, with plain numbers."""

import shutil
from pathlib import Path
from typing import NamedTuple

import pytest

from binance_streamer.config.schema import RetentionConfig, StorageConfig
from binance_streamer.days.certificate import day_bounds_ns
from binance_streamer.health.storage import removal_text, volume_lines
from binance_streamer.health.volumes import (
    Sizes,
    daily_sizes,
    measured,
    sealed_sizes,
    volumes,
)
from binance_streamer.wire.status_parts import StoredFormat, Volumes

NOW_NS = day_bounds_ns("20261123")[0] + 3600 * 10**9
GB = 10**9


class Usage(NamedTuple):
    """Stands for what `shutil.disk_usage` returns."""

    total: int
    used: int
    free: int


@pytest.fixture(autouse=True)
def free_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every disk have 100 GB free of 200."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(200 * GB, 100 * GB, 100 * GB))


def storage(place: Path, *, keep_csv: bool = False, **retention: str) -> StorageConfig:
    return StorageConfig(
        output_directory=str(place),
        lake=str(place / "lake"),
        keep_csv=keep_csv,
        retention=RetentionConfig(**retention),
    )


def days_left(place: Path, sizes: Sizes, **settings: str) -> float | None:
    return volumes(storage(place, keep_csv=False, **settings), sizes, NOW_NS).disks[0].days_left


SIZES = {
    "csv": {"20261120": 10 * GB, "20261121": 20 * GB, "20261122": 30 * GB, "20261123": GB},
    "parquet": {"20261120": 2 * GB, "20261121": 4 * GB},
}


def test_a_rate_is_the_mean_of_the_last_whole_days(tmp_path: Path) -> None:
    found = volumes(storage(tmp_path), SIZES, NOW_NS)
    assert found.formats == {
        "csv": StoredFormat(bytes=61 * GB, days=4, bytes_per_day=20 * GB),
        "parquet": StoredFormat(bytes=6 * GB, days=2, bytes_per_day=3 * GB),
    }


def test_a_format_that_was_given_up_has_no_rate(tmp_path: Path) -> None:
    sizes = {"csv": {"20261101": GB}, "csv.zst": {"20261122": GB}}
    formats = volumes(storage(tmp_path), sizes, NOW_NS).formats
    assert (formats["csv"].bytes_per_day, formats["csv.zst"].bytes_per_day) == (0, GB)


def test_headroom_counts_what_retention_removes(tmp_path: Path) -> None:
    """23 GB a day of both; with CSV for a day and Parquet for 30 at most 60 and 96 GB, with `max_bytes` less."""
    kept = volumes(storage(tmp_path, keep_csv=True), SIZES, NOW_NS)
    assert kept.disks[0].days_left == pytest.approx(100 / 23, abs=0.02)
    assert kept.fills
    # CSV is at its most already: 3 GB a day of Parquet are left
    assert days_left(tmp_path, SIZES, csv="1d") == pytest.approx(100 / 3, abs=0.02)
    never = volumes(storage(tmp_path, csv="1d", parquet="30d"), SIZES, NOW_NS)
    assert (never.disks[0].days_left, never.fills) == (None, False)
    assert days_left(tmp_path, SIZES, csv="1d", max_bytes="150GB") is None
    assert days_left(tmp_path, SIZES, csv="1d", max_bytes="500GB") == pytest.approx(100 / 3, abs=0.02)


def test_without_a_whole_day_nothing_is_forecast(tmp_path: Path) -> None:
    found = volumes(storage(tmp_path), {"csv": {"20261123": GB}}, NOW_NS)
    assert (found.disks[0].days_left, found.fills, found.removals) == (None, None, ())


def test_what_goes_next_is_the_oldest_day_of_each_format(tmp_path: Path) -> None:
    found = volumes(storage(tmp_path, csv="7d", parquet="400d"), SIZES, NOW_NS).removals
    assert [removal_text(one) for one in found] == [
        "csv of 2026-11-20 (10.0 GB) goes on 2026-11-28 00:00 UTC by age",
        "parquet of 2026-11-20 (2.0 GB) goes on 2027-12-26 00:00 UTC by age",
    ]
    (by_size,) = volumes(storage(tmp_path, csv="7d", max_bytes="68GB"), SIZES, NOW_NS).removals
    assert (by_size.format, by_size.day, by_size.why) == ("csv", "20261120", "size")
    assert by_size.at_ns - NOW_NS < 86_400 * 10**9
    assert volumes(storage(tmp_path, keep_csv=True), SIZES, NOW_NS).removals == ()


def test_without_a_time_for_csv_it_is_parquet_that_goes_by_size(tmp_path: Path) -> None:
    sizes = {"csv": {"20261123": GB}, "parquet": {"20261121": 2 * GB, "20261122": 4 * GB}}
    found = volumes(storage(tmp_path, max_bytes="8GB"), sizes, NOW_NS).removals
    assert [(one.format, one.day, one.why) for one in found if one.format == "parquet"] == [
        ("parquet", "20261121", "size")
    ]


def test_files_are_measured_by_format_and_day(tmp_path: Path) -> None:
    for name, size in (("trade_A_20261121.csv", 5), ("depth_A_20261121.csv.zst", 7), ("raw_A_20261121.jsonl", 1)):
        (tmp_path / "A").mkdir(exist_ok=True)
        (tmp_path / "A" / name).write_bytes(b"x" * size)
    sealed = tmp_path / "lake/trade/symbol=A/day=2026-11-20/trade_A_20261120_0123456789ab.parquet"
    sealed.parent.mkdir(parents=True)
    sealed.write_bytes(b"x" * 9)
    (tmp_path / "lake/trade/symbol=A/day=2026-11-19").mkdir()  # of a day that was removed
    assert daily_sizes(tmp_path) == {"csv": {"20261121": 6}, "csv.zst": {"20261121": 7}}
    assert sealed_sizes(tmp_path / "lake") == {"20261120": 9}
    found = measured(storage(tmp_path), NOW_NS)
    assert {name: one.bytes for name, one in found.formats.items()} == {"csv": 6, "csv.zst": 7, "parquet": 9}
    assert daily_sizes(tmp_path / "nothing") == {}


def test_lines_for_people(tmp_path: Path) -> None:
    lines = volume_lines(volumes(storage(tmp_path, csv="1d"), SIZES, NOW_NS))
    assert lines[0] == "csv 61.0 GB of 4 days, 20.0 GB a day, parquet 6.0 GB of 2 days, 3.0 GB a day"
    assert lines[1] == "csv of 2026-11-20 (10.0 GB) goes on 2026-11-22 00:00 UTC by age"
    assert lines[2].endswith("100.0 GB free, 33.3 days of headroom")
    assert volume_lines(Volumes()) == ["nothing yet"]
