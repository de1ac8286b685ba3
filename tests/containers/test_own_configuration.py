"""The configuration of `binance-streamer init` in containers, for real: what is written in it is what runs."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.containers.stack import PATIENCE_S, free_port
from tests.support.data import REPOSITORY
from tests.support.engine import Engine, container_engine
from tests.support.waiting import eventually

pytestmark = [pytest.mark.containers, pytest.mark.timeout(1800)]
PROJECT = f"bsown{os.getpid()}"
IMAGE = f"localhost/binance-streamer-own:{os.getpid()}"


def ours(folder: Path, *arguments: str) -> str:
    """A command of ours in this folder; what it printed."""
    command = [sys.executable, "-m", "binance_streamer", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=folder, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def engine() -> Iterator[Engine]:
    """An engine with the image of this checkout."""
    with container_engine() as engine:
        engine.build(IMAGE)
        yield engine
        engine.docker("rmi", "--force", IMAGE)


def test_symbols_of_ones_own_configuration_run_in_containers(engine: Engine, tmp_path: Path) -> None:
    ours(tmp_path, "init")
    own = tmp_path / "recording" / "streamer.yaml"
    text = own.read_text(encoding="utf-8").replace("symbol: BTCUSDT", "symbol: LTCUSDT")
    nowhere = "\nnetwork: {websocket_url: 'wss://nowhere.invalid', rest_url: 'https://nowhere.invalid'}\n"
    own.write_text(text + nowhere, encoding="utf-8")
    ours(tmp_path, "apply", "--compose")
    variables = {
        "STREAMER_IMAGE": IMAGE, "TAP_PORT": str(free_port()), "PAGE_PORT": str(free_port()), "HEALTH_INTERVAL": "5s",
    }  # fmt: skip

    def compose(*arguments: str) -> str:
        return engine.compose(PROJECT, variables, *arguments, file=own.parent / "docker-compose.yml")

    def health(service: str) -> str:
        (found,) = engine.inspect(compose("ps", "--quiet", service).strip())
        return str(found["State"]["Health"]["Status"])

    try:
        compose("up", "--detach", "--no-build")
        eventually(
            lambda: [health(name) for name in ("bus", "writer", "monitor")] == ["healthy"] * 3,
            PATIENCE_S,
            what="bus, writer and monitor are healthy",
            every_s=1,
        )
        symbols = compose("exec", "-T", "writer", "binance-streamer", "-c", "config/compose.yaml", "symbols")
        assert [line.split()[0] for line in symbols.splitlines()[:2]] == ["LTCUSDT", "ETHUSDT"]
        assert compose("ps", "--services").split().count("ingest-LTCUSDT") == 1
        assert "ingest-BTCUSDT" not in compose("ps", "--services")
        (worker,) = engine.inspect(compose("ps", "--quiet", "ingest-LTCUSDT").strip())
        assert worker["State"]["Status"] == "running"
    finally:
        compose("down", "--volumes", "--timeout", "20")
