"""What `doctor` says of this machine."""

import os
import resource
import socket
import sys
from collections import namedtuple
from pathlib import Path
from typing import Any

import msgspec
import pytest

from binance_streamer.cli.commands import doctor
from binance_streamer.config import schema as configuration
from binance_streamer.config.schema import Config
from binance_streamer.wire.check_lines import Check, line_of, read_checks
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


def test_a_lake_is_tried(config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def states(place: str) -> list[str]:
        storage = msgspec.structs.replace(config.storage, lake=place)
        checks = [*doctor.disks(msgspec.structs.replace(config, storage=storage)), *doctor.lake(storage)]
        return [check.state for check in checks if check.what == "lake"]

    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "nothing")
    assert states("") == []
    assert states(str(tmp_path / "lake")) == ["ok"]
    assert states("s3://nowhere/lake") == ["fail"]
    monkeypatch.setattr("os.access", lambda *_: False)
    assert states(str(tmp_path / "lake")) == ["fail"]


def test_a_folder_that_is_closed_to_us_fails(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    data, real = Path(config.storage.output_directory), os.stat

    def closed(path: Any, *arguments: Any, **options: Any) -> os.stat_result:
        if str(path).startswith(str(data)):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, *arguments, **options)

    monkeypatch.setattr("os.stat", closed)
    monkeypatch.setattr("os.access", lambda path, _: path != data.parent)
    assert {check.what: check.state for check in doctor.disks(config)}["data"] == "fail"


@pytest.mark.parametrize(("soft", "state"), [(0, "warn"), (25, "ok"), (24, "warn"), (resource.RLIM_INFINITY, "ok")])
def test_a_priority_that_the_limit_permits_is_ok(
    config: Config, monkeypatch: pytest.MonkeyPatch, soft: int, state: str
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setattr("resource.getrlimit", lambda _: (soft, soft))
    performance = msgspec.structs.replace(config.performance, process_priority=-5)
    assert doctor.priority(msgspec.structs.replace(config, performance=performance)).state == state


def test_the_port_of_the_page_may_be_taken_by_another_program(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "state_of_monitor", lambda _: "")
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        address = f"127.0.0.1:{stranger.getsockname()[1]}"
        monitor = msgspec.structs.replace(config.monitor, enabled=True, address=address)
        enabled = msgspec.structs.replace(config, monitor=monitor)
        taken = doctor.page(enabled)
        assert (taken.state, taken.found) == ("fail", f"{address}: Address already in use")
        assert "monitor.address" in taken.advice
        monkeypatch.setattr(doctor, "state_of_monitor", lambda _: "serving")
        assert doctor.page(enabled) == Check("page", "ok", f"http://{address}/ is served", "")
    assert doctor.page(enabled).found == f"http://{address}/ is free"
    assert doctor.page(config).found == "switched off (monitor.enabled)"


def test_a_probe_that_does_not_end_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "stands_still.py").write_text("import os, signal\nos.close(1)\nos.close(2)\nsignal.pause()\n")
    command = [sys.executable, str(tmp_path / "stands_still.py")]
    monkeypatch.setattr(doctor, "module_command", lambda *_: command)
    monkeypatch.setattr(doctor, "_PROBE_S", 0.1)
    (check,) = doctor.probed("stands_still", tmp_path / "streamer.yaml")
    assert (check.what, check.state) == ("stands_still", "fail")


def test_checks_travel_as_lines_and_other_lines_are_passed_over() -> None:
    check = Check("龙虾", "warn", "a\nb", "do")
    assert read_checks(f"noise\n{line_of(check)}\n{{}}\n") == [check]
