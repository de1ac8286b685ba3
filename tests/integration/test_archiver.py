"""The archiver as a process: seals what is over, says so on the bus, and may be killed at any moment."""

import json
import os
import random
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from binance_streamer.client.tap import Tap, Tapped
from binance_streamer.days.lake import Lake
from binance_streamer.days.sources import sources
from tests.support.configs import write_config
from tests.support.processes import Program, service
from tests.support.sealing import certificate_file, trade, write
from tests.support.waiting import eventually

DAY = (datetime.now(UTC) - timedelta(days=2)).strftime("%Y%m%d")
"""Over, and so young that the archiver looks for late rows at every look."""
SYMBOLS = ("BTCUSDT", "ETHUSDT", "牛来USDT")
TOPICS = ["day.", "status.archiver."]
UNREACHED = {"websocket_url": "ws://127.0.0.1:9", "rest_url": "http://127.0.0.1:9"}


def recorded(data: Path, rows: int) -> None:
    for symbol in SYMBOLS:
        for stem, numbers in (("trade", range(1, rows)), ("bookticker", ()), ("depth", ())):
            write(data, map(trade, numbers), symbol=symbol, stem=stem, day=DAY)


def config_of(place: Path, lake: Path | str, **storage: Any) -> Path:
    return write_config(
        place,
        {"BTCUSDT": ["aggTrade"]},
        UNREACHED,
        storage={"lake": str(lake), "commit_interval": 0.1, "flush_interval": 0.1, **storage},
        archiver={"grace": 0, "interval": 0.2},
    )


def archiver(place: Path, config: Path) -> Program:
    return service("archiver", config, output=place / "archiver.out")


def certificates(lake: Path) -> dict[str, Any]:
    """All certificates but for times and versions."""
    found = {path.name: json.loads(path.read_bytes()) for path in (lake / "certificates").rglob("*.json")}
    for one in found.values():
        del one["sealed_at"], one["versions"]
    return found


def all_certified(lake: Path) -> Callable[[], bool]:
    return lambda: len(list((lake / "certificates").rglob("*.json"))) == len(SYMBOLS)


def test_days_are_sealed_and_told_on_the_bus_and_opened_again_by_a_late_row(tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    recorded(tmp_path / "data", 100)
    config = config_of(tmp_path, lake)
    endpoint = f"ipc://{tmp_path}/run/bus.subscribe"
    with service("bus", config, output=tmp_path / "bus.out"), archiver(tmp_path, config), Tap(endpoint, TOPICS) as tap:
        eventually(all_certified(lake), 60, what="all days are sealed")
        told(tap, lambda message: message.topic.stream_type == "status")  # from here on the tap hears all
        write(tmp_path / "data", [trade(100)], day=DAY)
        message = told(tap, lambda message: message.topic.stream_type == "day" and message.data["reopened"])
        assert (message.topic.symbol, message.data["day"], message.data["rows"]) == (
            "BTCUSDT",
            f"{DAY[:4]}-{DAY[4:6]}-{DAY[6:]}",
            100,
        )
        assert Path(message.data["path"]) == certificate_file(lake, day=DAY)
        state = told(tap, lambda message: message.topic.stream_type == "status" and message.data["sealed"] == 4)
        assert (state.data["state"], state.data["due"], state.data["pending"]) == ("waiting", 0, {})


def told(tap: Tap, is_wanted: Callable[[Tapped], bool]) -> Tapped:
    """The next message of this kind."""

    def found() -> Tapped | None:
        message = tap.receive(1)
        return message if message is not None and is_wanted(message) else None

    return eventually(found, 60)


def test_a_lake_that_cannot_be_written_is_said_on_the_bus(tmp_path: Path) -> None:
    recorded(tmp_path / "data", 2)
    (tmp_path / "lake").write_text("no folder", encoding="utf-8")
    config = config_of(tmp_path, tmp_path / "lake")
    endpoint = f"ipc://{tmp_path}/run/bus.subscribe"
    with service("bus", config, output=tmp_path / "bus.out"), archiver(tmp_path, config), Tap(endpoint, TOPICS) as tap:
        message = told(tap, lambda message: message.data.get("state", "").startswith("blocked: "))
        assert "the lake cannot be written" in message.data["state"]
        (tmp_path / "lake").unlink()
        eventually(all_certified(tmp_path / "lake"), 60, what="it goes on by itself")


def test_a_damaged_table_is_a_fault_and_keeps_no_other_day_from_being_sealed(tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    log = lake / "trade" / "_delta_log" / "00000000000000000000.json"
    log.parent.mkdir(parents=True)
    log.write_bytes(b"damaged")
    recorded(tmp_path / "data", 2)
    write(tmp_path / "data", [], symbol="SOLUSDT", stem="bookticker", day=DAY)
    config = config_of(tmp_path, lake)
    endpoint = f"ipc://{tmp_path}/run/bus.subscribe"
    with service("bus", config, output=tmp_path / "bus.out"), archiver(tmp_path, config), Tap(endpoint, TOPICS) as tap:
        eventually(certificate_file(lake, "SOLUSDT", DAY).exists, 60)
        message = told(tap, lambda message: message.data.get("fault", "") != "")
        assert " trade: " in message.data["fault"]
        assert not certificate_file(lake, day=DAY).exists()


def test_a_missing_library_is_said_on_the_bus_with_what_to_install(tmp_path: Path) -> None:
    recorded(tmp_path / "data", 2)
    config = config_of(tmp_path, tmp_path / "lake")
    absent = tmp_path / "absent"
    absent.mkdir()
    (absent / "pyarrow.py").write_text("raise ModuleNotFoundError('none', name='pyarrow')\n", encoding="utf-8")
    without = service(
        "archiver", config, output=tmp_path / "archiver.out", environment={**os.environ, "PYTHONPATH": str(absent)}
    )
    endpoint = f"ipc://{tmp_path}/run/bus.subscribe"
    with service("bus", config, output=tmp_path / "bus.out"), without, Tap(endpoint, TOPICS) as tap:
        message = told(tap, lambda message: message.data.get("state", "").startswith("blocked: "))
        assert message.data["state"].startswith("blocked: pyarrow is missing: pip install 'binance-streamer[days]'")


def killed_six_times(place: Path, config: Path, lake: Path, rng: random.Random, *, longest_s: float) -> None:
    """Start an archiver and kill it within so long of its first work, six times."""
    for _ in range(6):
        with archiver(place, config) as killed:
            eventually((lake / ".sealing").exists, 60)
            time.sleep(rng.uniform(0, longest_s))
            killed.kill()


@pytest.mark.parametrize("keep_csv", [True, False])
def test_an_archiver_that_is_killed_again_and_again_seals_the_same(tmp_path: Path, *, keep_csv: bool) -> None:
    lake, undisturbed = tmp_path / "lake", tmp_path / "undisturbed"
    recorded(tmp_path / "data", 20_000)
    config = config_of(tmp_path, undisturbed)
    with archiver(tmp_path, config):
        eventually(all_certified(undisturbed), 120, what="all days are sealed")
    config = config_of(tmp_path, lake, keep_csv=keep_csv)
    killed_six_times(tmp_path, config, lake, random.Random(1), longest_s=1)
    with archiver(tmp_path, config):
        eventually(all_certified(lake), 120, what="all days are sealed")
        eventually(lambda: keep_csv or not list(sources(tmp_path / "data")), 60, what="the daily files are removed")
    assert digests(certificates(lake)) == digests(certificates(undisturbed))
    assert {path.name: path.read_bytes() for path in lake.rglob("*.parquet")} == {
        path.name: path.read_bytes() for path in undisturbed.rglob("*.parquet")
    }
    if keep_csv:
        assert certificates(lake) == certificates(undisturbed)


def digests(found: dict[str, Any]) -> dict[str, Any]:
    return {
        name: {stem: (stream["digest"], stream["facts"], stream["sealed"]) for stem, stream in one["streams"].items()}
        for name, one in found.items()
    }


def test_retention_that_is_killed_again_and_again_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    """A day that ended a day ago is sealed, then removed, and its certificate stays."""
    lake = tmp_path / "lake"
    recorded(tmp_path / "data", 5000)
    config = config_of(tmp_path, lake, keep_csv=False, retention={"csv": "1h", "parquet": "1d"})
    killed_six_times(tmp_path, config, lake, random.Random(2), longest_s=1.5)
    with archiver(tmp_path, config):
        eventually(all_certified(lake), 120, what="all days are sealed")
        eventually(lambda: not list(lake.rglob("*.parquet")), 120, what="they are removed again")
        eventually(lambda: not (lake / ".removing").exists(), 60, what="the last removal is finished")
    assert list(sources(tmp_path / "data")) == []
    assert list(Lake(lake).stored()) == []
    for one in certificates(lake).values():
        for stream in one["streams"].values():
            assert [file["removed"] for file in stream["sealed"]] == [True]
            assert stream["facts"]["rows"] in (0, 4999)
