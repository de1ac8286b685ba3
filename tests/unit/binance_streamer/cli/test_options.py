"""Options before the command, and the shell's completion."""

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from binance_streamer.cli.app import main
from binance_streamer.config import schema as configuration
from binance_streamer.config.schema import LEVEL_VARIABLE
from services.runtime import logs
from tests.support.configs import write_config
from tests.support.data import REPOSITORY


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return write_config(tmp_path, {"BTCUSDT": ["aggTrade"]}, {})


@pytest.fixture
def root_logger() -> Iterator[logging.Logger]:
    """As it was before, when the test is over."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield root
    root.handlers, root.level = handlers, level


def ended(*arguments: str | Path) -> object:
    with pytest.raises(SystemExit) as end:
        main([str(argument) for argument in arguments])
    return end.value.code


@pytest.mark.parametrize("place", ["before", "behind", "both"])
def test_the_configuration_may_be_named_before_and_behind_the_command(
    config: Path, tmp_path: Path, place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "nothing.yaml"
    choices: dict[str, tuple[str | Path, ...]] = {
        "before": ("-c", config, "symbols"),
        "behind": ("symbols", "-c", config),
        "both": ("-c", other, "symbols", "--config", config),
    }
    assert ended(*choices[place]) == 0
    assert capsys.readouterr().out == "BTCUSDT  aggTrade + depth snapshots\n"


def test_a_configuration_that_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ended("-c", tmp_path / "nothing.yaml", "symbols") == 78
    assert "nothing.yaml: there is no such file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("value", "level"), [("debug", logging.DEBUG), ("nonsense", logging.INFO), (None, logging.INFO)]
)
def test_the_environment_stands_above_the_log_level(
    config: Path, value: str | None, level: int, monkeypatch: pytest.MonkeyPatch, root_logger: logging.Logger
) -> None:
    monkeypatch.delenv(LEVEL_VARIABLE, raising=False)
    if value is not None:
        monkeypatch.setenv(LEVEL_VARIABLE, value)
    logs.start(configuration.load(config), "writer", to_stderr=False).stop()
    assert root_logger.level == level


def test_the_shell_completes_programs(config: Path) -> None:
    environment = {
        **os.environ,
        "_BINANCE_STREAMER_COMPLETE": "complete_bash",
        "COMP_WORDS": f"binance-streamer -c {config} restart ingest-",
        "COMP_CWORD": "4",
    }
    command = [str(Path(sys.executable).with_name("binance-streamer"))]
    done = subprocess.run(command, check=False, env=environment, capture_output=True, text=True, cwd=REPOSITORY)
    assert done.stdout.split() == ["ingest-BTCUSDT"]


@pytest.mark.parametrize("is_made", [False, True])
def test_help_names_the_configuration_that_would_be_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], is_made: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    if is_made:
        (tmp_path / "recording").mkdir()
        write_config(tmp_path / "recording", {"BTCUSDT": ["aggTrade"]}, {})
    assert ended("status", "--help") == 0
    words = " ".join(capsys.readouterr().out.split())
    assert "Without it recording/streamer.yaml where init has made it, else config/streamer.yaml" in words
    assert "[default: config/streamer.yaml]" not in words


@pytest.mark.parametrize("words", [("book", "BTCUSDT"), ("status",), ("stop",)])
def test_where_nothing_runs_the_configuration_that_was_asked_is_named(
    config: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    assert ended(*words, "-c", config) in (1, 69)
    assert str(config) in capsys.readouterr().err
