"""Programs of ours import ours and speak UTF-8, wherever they are started."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from binance_streamer.cli import journals as audit
from binance_streamer.deploy.interpreter import module_command
from tests.support.configs import write_config
from tests.support.data import REPOSITORY

NO_UTF8 = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.fixture
def stranger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which the user stands, and which his environment names."""
    for name in ("services", "yaml"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('a stranger was imported')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return tmp_path


def test_a_program_that_we_start_imports_ours(stranger: Path) -> None:
    assert audit.unwritten(write_config(stranger, {"BTCUSDT": ["aggTrade"]}, {})) == []


def test_a_program_that_we_start_speaks_utf8(stranger: Path) -> None:
    (stranger / "spoken.py").write_text("import sys\nprint(sys.argv[1], open(0).encoding)\n")
    command = [*module_command("x", "币安人生")[:-3], str(stranger / "spoken.py"), "币安人生"]
    done = subprocess.run(command, check=False, capture_output=True, env={**os.environ, **NO_UTF8}, input=b"")
    assert done.stdout.decode() == "币安人生 utf-8\n"


@pytest.mark.parametrize("module", ["binance_streamer", "binance_streamer.main"])
def test_the_command_line_speaks_utf8(tmp_path: Path, module: str) -> None:
    config = write_config(tmp_path, {"币安人生USDT": ["aggTrade"]}, {})
    command = [sys.executable, "-m", module, "-c", str(config)]
    words = ["symbols"] if module == "binance_streamer" else ["--list-symbols"]
    done = subprocess.run([*command, *words], check=False, capture_output=True, env={**os.environ, **NO_UTF8})
    assert done.returncode == 0, done
    assert done.stdout.decode() == "币安人生USDT  aggTrade + depth snapshots\n"


def test_what_a_chosen_encoding_does_not_have_is_replaced() -> None:
    program = "from binance_streamer.deploy.interpreter import be_utf8\nbe_utf8()\nprint('\xb1 1 ms')"
    environment = {**os.environ, "PYTHONIOENCODING": "ascii:strict", "LC_ALL": "C.UTF-8", "PYTHONUTF8": "0"}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, check=False, capture_output=True, env=environment, cwd=REPOSITORY)
    assert (done.returncode, done.stdout) == (0, b"? 1 ms\n"), done
