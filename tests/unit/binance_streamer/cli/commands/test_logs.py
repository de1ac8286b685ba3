"""What the processes wrote, in the order of its time."""

import json
from pathlib import Path

import msgspec
import pytest

from binance_streamer.cli.commands import logs
from binance_streamer.cli.commands.logs import LogFile, shown
from binance_streamer.cli.errors import CommandError
from binance_streamer.config import schema as configuration
from binance_streamer.config.schema import Config
from tests.support.configs import write_config


def a_line(second: int, process: str, message: str, **more: str) -> str:
    fields = {"time": f"2026-11-26T17:00:{second:02}.250+00:00", "level": "info", "process": process}
    return json.dumps({**fields, "message": message, **more}) + "\n"


@pytest.fixture
def config(tmp_path: Path) -> Config:
    folder = tmp_path / "log"
    folder.mkdir()
    (folder / "writer.log.1").write_text(a_line(1, "writer", "first") + a_line(3, "writer", "second"))
    (folder / "writer.log").write_text(a_line(5, "writer", "third"))
    (folder / "ingest-%E9%BE%99%E8%99%BEUSDT.log").write_text(a_line(4, "ingest-龙虾USDT", "lost\x1b[2J"))
    return configuration.load(write_config(tmp_path, {"龙虾USDT": ["aggTrade"]}, {}))


def printed(config: Config, capsys: pytest.CaptureFixture[str], process: str | None, count: int) -> list[str]:
    logs.show(config, process, count=count, follow=False, as_json=False)
    return capsys.readouterr().out.splitlines()


def test_all_processes_in_the_order_of_time(config: Config, capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(config, capsys, None, 3) == [
        "2026-11-26 17:00:03.250 writer info second",
        "2026-11-26 17:00:04.250 ingest-龙虾USDT info lost?[2J",
        "2026-11-26 17:00:05.250 writer info third",
    ]


@pytest.mark.parametrize("name", ["ingest-龙虾USDT", "ingest-%E9%BE%99%E8%99%BEUSDT"])
def test_one_process_as_typed_or_encoded(config: Config, capsys: pytest.CaptureFixture[str], name: str) -> None:
    assert printed(config, capsys, name, 9) == ["2026-11-26 17:00:04.250 ingest-龙虾USDT info lost?[2J"]


def test_a_process_that_never_ran_is_said(config: Config) -> None:
    with pytest.raises(CommandError, match=r"rest\.log is not there"):
        logs.show(config, "rest", count=1, follow=False, as_json=False)


@pytest.mark.parametrize(
    "template", ["{process}", "{process}/log.json", "[a]/{process}/{process}.log", "x-{process}.log"]
)
def test_a_log_is_found_wherever_its_name_stands(config: Config, tmp_path: Path, template: str) -> None:
    file = f"{tmp_path}/own/{template}"
    config = msgspec.structs.replace(config, logging=msgspec.structs.replace(config.logging, file=file))
    for name in ("writer", "ingest-龙虾USDT"):
        path = config.log_file(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(a_line(1, name, "first"))
        path.with_name(f"{path.name}.1").write_text(a_line(0, name, "before"))
    assert [log.path for log in logs.files(config, None)] == [
        config.log_file("ingest-龙虾USDT"),
        config.log_file("writer"),
    ]


def test_a_followed_log_loses_no_line_when_it_is_rotated(tmp_path: Path) -> None:
    path = tmp_path / "writer.log"
    path.write_text(a_line(1, "writer", "a"))
    log = LogFile(path, "writer")
    assert [line.time for line in log.tail(5)] == ["2026-11-26T17:00:01.250000+00:00"]
    assert log.new() == []
    with path.open("a") as file:
        file.write(a_line(2, "writer", "b") + '{"time": "2026')
    assert ["b" in line.text for line in log.new()] == [True]
    with path.open("a") as file:
        file.write('-11-26T17:00:03+00:00", "level": "info", "message": "c"}\n')
    path.rename(tmp_path / "writer.log.1")
    path.write_text(a_line(4, "writer", "d"))
    assert [json.loads(line.text)["message"] for line in log.new()] == ["c", "d"]


def test_a_traceback_and_a_line_that_is_no_log_line_are_shown(tmp_path: Path) -> None:
    path = tmp_path / "bus.log"
    path.write_text("Fatal Python error\n" + a_line(1, "bus", "ended by a bug", traceback="Traceback\n  boom"))
    lines = LogFile(path, "bus").tail(5)
    assert [shown(line) for line in lines] == [
        "bus: Fatal Python error",
        "2026-11-26 17:00:01.250 bus info ended by a bug\n    Traceback\n      boom",
    ]
