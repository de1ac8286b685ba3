"""`init`: a configuration of the user's own, and that commands find it."""

import os
import re
import subprocess
import sys
from pathlib import Path

from binance_streamer.config import schema as configuration
from binance_streamer.config.own_config import template
from tests.support.data import REPOSITORY


def run(folder: Path, *arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    """A command line of somebody who stands in this folder."""
    command = [sys.executable, "-m", "binance_streamer", *(str(argument) for argument in arguments)]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    return subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=60, cwd=folder, env=environment
    )  # fmt: skip


def test_a_new_configuration_has_the_defaults_and_all_its_places_in_its_folder(tmp_path: Path) -> None:
    assert run(tmp_path, "init").returncode == 0
    path = tmp_path / "recording" / "streamer.yaml"
    made = configuration.load(path)
    default = configuration.default_of(made, path)
    assert [symbol.symbol for symbol in made.symbols] == ["BTCUSDT", "ETHUSDT"]
    assert (made.network, made.performance, made.monitor, made.alerts) == (
        default.network,
        default.performance,
        default.monitor,
        default.alerts,
    )
    places = (
        made.storage.output_directory,
        made.storage.journal_directory,
        made.logging.file,
        made.endpoints.run_directory,
    )
    assert [str(Path(place).relative_to(tmp_path / "recording")) for place in places] == [
        "data",
        "journal",
        "log/{process}.log",
        "run",
    ]


def test_commands_take_it_where_no_file_is_named(tmp_path: Path) -> None:
    refused = run(tmp_path, "symbols")
    assert refused.returncode == 78
    assert "or make one: binance-streamer init" in refused.stderr
    assert run(tmp_path, "init").returncode == 0
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "streamer.yaml").write_text("mode: neither\n")
    assert run(tmp_path, "symbols").stdout.startswith("BTCUSDT  aggTrade depth@0ms kline_1m")
    assert "mode: expected" in run(tmp_path, "symbols", "-c", "config/streamer.yaml").stderr
    assert "mode: expected" in run(tmp_path, "-c", "config/streamer.yaml", "symbols").stderr


def test_supervisords_files_lie_beside_it(tmp_path: Path) -> None:
    assert run(tmp_path, "init").returncode == 0
    assert run(tmp_path, "apply").returncode == 0
    assert (tmp_path / "recording" / "supervisord.conf").is_file()
    assert [path.name for path in tmp_path.iterdir()] == ["recording"]


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    assert run(tmp_path, "init", "mine").stdout.splitlines()[1] == (
        "then: binance-streamer doctor -c mine/streamer.yaml    binance-streamer up -c mine/streamer.yaml"
    )
    (tmp_path / "mine" / "streamer.yaml").write_text("of the user\n")
    refused = run(tmp_path, "init", "mine")
    assert (refused.returncode, refused.stdout) == (78, "")
    assert "mine/streamer.yaml cannot be made (File exists): name another folder" in refused.stderr
    assert (tmp_path / "mine" / "streamer.yaml").read_text() == "of the user\n"


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    refused = run(tmp_path, "init", "file/mine")
    assert refused.returncode == 78
    assert "Traceback" not in refused.stderr
    assert "name another folder" in refused.stderr


def test_its_examples_are_valid(tmp_path: Path) -> None:
    head, mode, body = template().partition("mode: production\n")
    assert all(line.startswith("#") for line in head.splitlines())
    text = mode + re.sub(r"^( *)# ( *(?:- )?[a-z_]+:)", r"\1\2", body, flags=re.MULTILINE)
    config = configuration.parse(text, tmp_path / "streamer.yaml")
    assert (config.network.connections, config.network.weight_share) == (3, 0.25)
    assert config.monitor.address == "127.0.0.1:8788"
    assert [webhook.format for webhook in config.alerts.webhooks] == ["slack"]
    assert (config.logging.level, config.storage.fsync) == ("debug", False)
    assert [(symbol.symbol, len(symbol.streams)) for symbol in config.modes["production"].symbols] == [
        ("BTCUSDT", 3),
        ("ETHUSDT", 6),
    ]
    assert not config.modes["production"].symbols[1].enabled


def test_a_checkout_ignores_it() -> None:
    assert "/recording/" in (REPOSITORY / ".gitignore").read_text(encoding="utf-8").splitlines()
