"""The commands of the system before this one."""

import subprocess
import sys
from pathlib import Path

import pytest

from binance_streamer.main import translated
from tests.support.configs import write_config
from tests.support.data import REPOSITORY


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ([], ["up"]),
        (["--status"], ["status"]),
        (["--list-symbols"], ["symbols"]),
        (["-c", "x.yaml", "-v"], ["-c", "x.yaml", "-v", "up"]),
        (["--daemon", "start"], ["start"]),
        (["--daemon", "stop", "--config", "x.yaml"], ["-c", "x.yaml", "stop"]),
        (["--daemon", "restart"], ["restart"]),
        (["--daemon", "status", "--verbose"], ["-v", "status"]),
    ],
)
def test_old_options_are_commands(given: list[str], meant: list[str]) -> None:
    assert translated(given) == meant


@pytest.mark.parametrize("given", [["--daemon", "reload"], ["--status", "--list-symbols"], ["up"]])
def test_what_it_never_had_is_refused(given: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        translated(given)
    assert ended.value.code == 2
    assert "usage" in capsys.readouterr().err


@pytest.mark.parametrize("program", [["-m", "binance_streamer.main"], ["run.py"]])
def test_they_run(program: list[str], tmp_path: Path) -> None:
    config = write_config(tmp_path, {"BTCUSDT": ["aggTrade"]}, {})
    command = [sys.executable, *program, "-c", str(config), "--list-symbols"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60, cwd=REPOSITORY)
    assert (done.returncode, done.stdout) == (0, "BTCUSDT  aggTrade + depth snapshots\n")


def test_the_old_test_command_is_pytest() -> None:
    command = [
        sys.executable,
        "tests/run_all_tests.py",
        "-q",
        "tests/unit/binance_streamer/test_main.py",
        "-k",
        "refused",
    ]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120, cwd=REPOSITORY)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout
