"""Commands that need no process running, with their exit codes."""

import errno
import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from binance_streamer.cli.journals import ownerless_journals
from binance_streamer.cli.status.screen import PlainLines
from binance_streamer.config import schema as configuration
from tests.support.configs import write_config
from tests.support.data import REPOSITORY
from tests.support.processes import alive
from tests.support.waiting import eventually


def run(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "binance_streamer", *(str(argument) for argument in arguments)]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60, cwd=REPOSITORY)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return write_config(tmp_path, {"BTCUSDT": ["aggTrade", "depth@0ms"], "龙虾USDT": ["kline_1m"]}, {})


def test_symbols_lists_what_is_configured(config: Path) -> None:
    shown = run("symbols", "-c", config)
    assert shown.stdout == "BTCUSDT  aggTrade depth@0ms + depth snapshots\n龙虾USDT   kline_1m + depth snapshots\n"
    assert shown.returncode == 0


def test_the_effective_configuration_is_a_configuration(config: Path, tmp_path: Path) -> None:
    shown = run("config", "-c", config)
    assert shown.returncode == 0
    assert shown.stdout.startswith(f"# valid: {config}\n")
    again = tmp_path / "again.yaml"
    again.write_text(shown.stdout, encoding="utf-8")
    assert configuration.load(again) == configuration.load(config)
    assert yaml.safe_load(shown.stdout)["storage"]["output_directory"] == str(tmp_path / "data")


@pytest.mark.parametrize("command", ["up", "symbols", "config", "tap", "start", "stop", "status"])
def test_a_bad_configuration_ends_with_78_and_names_the_key(command: str, config: Path) -> None:
    config.write_text(config.read_text() + "colour: red\n")
    refused = run(command, "-c", config)
    assert (refused.returncode, refused.stdout) == (78, "")
    assert str(config) in refused.stderr
    assert "colour" in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize("command", ["stop", "restart", "status"])
def test_without_a_supervisord_there_is_nothing_to_control(command: str, config: Path) -> None:
    refused = run(command, "-c", config)
    assert refused.returncode == 69
    assert "no supervisord answers" in refused.stderr
    assert f"`./run binance-streamer start -c {config}` starts it" in refused.stderr
    assert f"nothing runs for {config}" in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("demo", "--symbols", "none"), "Invalid value for '--symbols'"),
        (("demo", "--speed", "2"), "means nothing without --capture"),
        (("demo", "--capture", __file__, "--rate", "9"), "means nothing with --capture"),
        (("demo", "--capture", __file__, "--speed", "fast"), "expected a number of at least 0, or max, got 'fast'"),
        (("doctor", "--offline", "--seconds", "3"), "means nothing with --offline"),
        (("latency", "--duration", "3"), "means nothing without --live"),
        (("latency", "--live", "data"), "no files"),
    ],
)
def test_an_option_that_would_be_ignored_is_a_usage_error(arguments: tuple[str, ...], said: str) -> None:
    refused = run(*arguments)
    assert refused.returncode == 2
    assert said in " ".join(refused.stderr.split())


def test_a_run_directory_with_too_long_a_path_is_said(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 100)
    folder.mkdir()
    refused = run("up", "-c", write_config(folder, {"BTCUSDT": ["aggTrade"]}, {}))
    assert refused.returncode == 78
    assert "too long for a unix socket" in refused.stderr


def test_journals_of_removed_symbols_are_known(config: Path) -> None:
    loaded = configuration.load(config)
    for name in ("ingest-BTCUSDT", "ingest-%E9%BE%99%E8%99%BEUSDT", "ingest-OLDUSDT", "orderbook-BTCUSDT", "rest"):
        directory = Path(loaded.storage.journal_directory) / name
        directory.mkdir(parents=True)
        (directory / "000000000001.journal").touch()
    assert ownerless_journals(loaded) == ["ingest-OLDUSDT"]


def test_a_command_that_is_tied_to_its_parent_ends_with_it() -> None:
    tie = REPOSITORY / "binance_streamer" / "cli" / "supervisor" / "die_with_parent.py"
    script = (
        "import subprocess, sys\n"
        f"child = subprocess.Popen([sys.executable, {str(tie)!r}, 'sleep', '600'])\n"
        "print(child.pid, flush=True)\n"
        "child.wait()\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        eventually(
            lambda: b"sleep" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0],
            20,
            what="the command",
        )
        os.kill(parent.pid, signal.SIGKILL)
    eventually(lambda: not alive(pid), 20, what="the child ends")


def test_an_output_without_room_is_told_in_a_line(config: Path) -> None:
    command = [sys.executable, "-m", "binance_streamer", "config", "-c", str(config)]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, check=False, stdout=full, stderr=subprocess.PIPE, text=True, cwd=REPOSITORY)
    assert done.returncode != 0
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr


def test_lines_that_find_no_room_end_no_recording(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.StringIO):
        def write(self, _: str) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(sys, "stdout", Full())
    PlainLines().say("recording")
