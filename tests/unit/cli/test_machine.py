"""What `doctor` says of this machine."""

import resource
from collections import namedtuple
from pathlib import Path

import pytest

from binance_streamer import config as configuration
from binance_streamer.checks import Check, line_of, read_checks
from binance_streamer.cli import doctor
from binance_streamer.config import Config
from tests.support.configs import write_config

Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return configuration.load(write_config(tmp_path, {"BTCUSDT": ["aggTrade"], "ETHUSDT": ["kline_1m"]}, {}))


def test_too_few_open_files_fail(config: Config) -> None:
    few = doctor.descriptors(config, lambda _: (64, 205))
    assert (few.state, few.found) == ("fail", "at most 205, 206 needed")
    assert "ulimit" in few.advice
    assert doctor.descriptors(config, lambda _: (64, 206)).state == "ok"
    assert doctor.descriptors(config, lambda _: (64, resource.RLIM_INFINITY)).state == "ok"


def test_a_disk_without_room_fails(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    def states(free: int) -> dict[str, str]:
        monkeypatch.setattr("shutil.disk_usage", lambda _: Usage(2**40, 0, free))
        return {check.what: check.state for check in doctor.disks(config)}

    assert states(2**40) == {"data": "ok", "journals": "ok", "logs": "ok", "disks": "ok"}
    assert states(2**30 - 1)["data"] == "fail"
    assert states(128 * 2**20 - 1)["journals"] == "fail"
    assert states(60 * 2**20 - 1)["logs"] == "fail"


def test_a_folder_that_cannot_be_written_fails(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)
    assert {check.state for check in doctor.disks(config) if check.what != "disks"} == {"fail"}


def test_checks_travel_as_lines_and_other_lines_are_passed_over() -> None:
    check = Check("龙虾", "warn", "a\nb", "do")
    assert read_checks(f"noise\n{line_of(check)}\n{{}}\n") == [check]
