"""A lake in a bucket of a real S3 server: days are sealed into it, read from it, proven in it and removed from it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from binance_streamer.cli.errors import Exit
from binance_streamer.cli.recordings.exporting import export_days
from binance_streamer.cli.recordings.verifying import verify_places
from binance_streamer.client.tap import Tap
from binance_streamer.config.schema import RetentionConfig, StorageConfig
from binance_streamer.days import Recording
from binance_streamer.days.certificate import day_bounds_ns, decoded
from binance_streamer.days.lake import Lake
from binance_streamer.days.sources import certificate_path
from services.archiver.due import Times
from services.archiver.keeping import Result, Retention
from tests.support.moto import LAKE, Fault, S3Server
from tests.support.processes import service
from tests.support.sealing import seal_days, skip_without_leases, trade, write
from tests.support.waiting import eventually

from .test_archiver import DAY, TOPICS, config_of, told

pytest.importorskip("moto", reason="./run --group s3 pytest installs an S3 server")

CERTIFICATE = certificate_path("牛来USDT", DAY)
OLD_DAY = "20261022"
"""No young day, so that a look finds it at the start, and else every six hours."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    with S3Server() as running:
        for name, value in running.environment.items():
            monkeypatch.setenv(name, value)
        yield running


@contextmanager
def archiver(place: Path, **storage: Any) -> Iterator[Tap]:
    """A running archiver with its lake in the bucket, and what it says on the bus."""
    config = config_of(place, LAKE, **storage)
    with (
        service("bus", config, output=place / "bus.out"),
        service("archiver", config, output=place / "archiver.out"),
        Tap(f"ipc://{place}/run/bus.subscribe", TOPICS) as tap,
    ):
        yield tap


def read_ids() -> list[int]:
    """The ids of the sealed trades, as who reads the bucket has them."""
    found: list[int] = Recording(LAKE).scan("trade", "牛来USDT").collect()["id"].to_list()
    return found


def test_days_are_sealed_into_a_bucket_and_read_from_it(server: S3Server, tmp_path: Path) -> None:
    skip_without_leases(tmp_path)
    path = write(tmp_path / "data", map(trade, range(1, 100)), symbol="牛来USDT", day=DAY)
    with archiver(tmp_path, keep_csv=False) as tap:
        eventually(lambda: CERTIFICATE in server.objects(), 120, what="the day is sealed")
        eventually(lambda: not path.exists(), 120, what="its daily file is removed")
        assert read_ids() == list(range(1, 100))
        told(tap, lambda message: message.topic.stream_type == "status")  # from here on the tap hears all
        write(tmp_path / "data", [trade(100)], symbol="牛来USDT", day=DAY)
        message = told(tap, lambda message: message.topic.stream_type == "day" and message.data["reopened"])
        assert (message.data["rows"], message.data["path"]) == (100, f"{LAKE}/{CERTIFICATE}")
        eventually(lambda: not path.exists(), 120, what="the late row is removed")
    assert read_ids() == list(range(1, 101))
    assert DeltaTable(f"{LAKE}/trade").version() == 1
    names = [name for name in server.objects() if "_delta_log" not in name]
    assert len(names) == 2  # the sealed file and its certificate: what was before is gone, and nothing half uploaded
    assert verify_places([LAKE], [], archive=None, as_json=True) == Exit.OK
    assert export_days("csv", [DAY, LAKE], [], symbols=[], to=tmp_path / "exported") == Exit.OK
    (exported,) = (tmp_path / "exported").iterdir()
    assert exported.read_text(encoding="utf-8").splitlines()[1:] == list(map(trade, range(1, 101)))


@pytest.mark.parametrize(
    "fault",
    [
        Fault("kill", "PUT", ".sealing/sealing.parquet"),
        Fault("cut", "PUT", ".sealing/sealing.parquet"),
        Fault("refuse", "POST", ".sealing/sealing.parquet?uploadId="),
        Fault("cut", "GET", ".sealing/sealing.parquet"),
        Fault("flip", "GET", ".sealing/sealing.parquet"),
        Fault("refuse", "PUT", f"_{OLD_DAY}_"),
        Fault("refuse", "PUT", "_delta_log"),
        Fault("cut", "PUT", f"_{OLD_DAY}.json"),
    ],
    ids=[
        "server killed in an upload",
        "connection cut in an upload",
        "upload not completed",
        "connection cut while read back",
        "read back otherwise",
        "not given its name",
        "no commit",
        "no certificate",
    ],
)
def test_a_day_whose_upload_fails_keeps_its_daily_file_and_is_sealed_later(
    server: S3Server, tmp_path: Path, fault: Fault
) -> None:
    skip_without_leases(tmp_path)
    path = write(tmp_path / "data", map(trade, range(1, 100)), symbol="牛来USDT", day=OLD_DAY)
    os.utime(path, (0, 0))  # quiet: the look at the start passes over what still grows, and the next one is in hours
    before = path.read_bytes()
    server.fail(fault)
    with archiver(tmp_path, keep_csv=False) as tap:
        told(tap, lambda message: message.data.get("fault", "") != "")
        assert path.read_bytes() == before
        if server.has_ended():
            server.restart()
        server.fail()
        eventually(lambda: not path.exists(), 240, what="the day is sealed, and its daily file removed")
    assert read_ids() == list(range(1, 100))
    certificate = decoded(Lake(LAKE).certificate("牛来USDT", OLD_DAY))
    assert (certificate.condition, certificate.streams["trade"].facts.rows) == ("degraded", 99)


@dataclass
class Sealed:
    """A data folder and its lake in a bucket, without an archiver."""

    data: Path
    lake: Lake

    def seal(self) -> None:
        seal_days(self.data, self.lake, times())

    def keep(self, **retention: str) -> Result:
        storage = StorageConfig(
            output_directory=str(self.data), lake=LAKE, keep_csv=False, retention=RetentionConfig(**retention)
        )
        return Retention(storage, self.lake, times(), lambda: None).keep()


def times() -> Times:
    return Times(now_ns=day_bounds_ns("20261123")[0], grace_ns=0, quiet_ns=-(10**18))  # the files are of today


@pytest.fixture
def sealed(server: S3Server, tmp_path: Path) -> Sealed:
    skip_without_leases(tmp_path)
    assert server.port
    found = Sealed(tmp_path / "data", Lake(LAKE, tmp_path / "workplace"))
    found.lake.begin()
    for number, day in enumerate(("20261121", "20261122")):
        write(found.data, map(trade, range(100 * number, 100 * number + 3)), symbol="牛来USDT", day=day)
    found.seal()
    return found


def test_retention_removes_daily_files_then_sealed_days_from_the_bucket(server: S3Server, sealed: Sealed) -> None:
    result = sealed.keep(csv="1d")
    assert (result.daily_files, result.sealed_files, result.unproven) == (1, 0, {})
    result = sealed.keep(parquet="1d")
    assert (result.daily_files, result.sealed_files) == (1, 1)
    assert list(result.stored.formats) == ["parquet"]
    assert [room.path for room in result.stored.disks] == [str(sealed.data)]
    assert read_ids() == [100, 101, 102]
    assert [name for name in server.objects() if name.endswith(".parquet") and "2026-11-21" in name] == []
    assert sealed.lake.days("牛来USDT") == ["20261121", "20261122"]
    assert sealed.lake.symbols() == ["牛来USDT"]


def test_a_copy_that_is_damaged_in_the_bucket_keeps_its_daily_file(server: S3Server, sealed: Sealed) -> None:
    (name,) = (one for one in server.objects() if one.endswith(".parquet") and "2026-11-22" in one)
    path = f"{LAKE.removeprefix('s3://')}/{name}"
    with server.system.open_input_stream(path) as file:
        content = file.read()
    with server.system.open_output_stream(path) as file:
        file.write(content[:500] + bytes([content[500] ^ 1]) + content[501:])
    result = sealed.keep()
    assert result.daily_files == 1
    assert list(result.unproven) == ["牛来USDT 20261122"]
    assert [path.name for path in sealed.data.glob("*/*.csv")] == ["trade_%E7%89%9B%E6%9D%A5USDT_20261122.csv"]
