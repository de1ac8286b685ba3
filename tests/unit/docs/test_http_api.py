"""The examples of docs/http-api.md are run against a monitor's server, and answer what they should."""

import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from binance_streamer.config.schema import MonitorConfig
from binance_streamer.days.sources import certificate_path
from services.monitor.http import api
from services.monitor.http.api import RecordingApi
from services.monitor.http.hosts import AllowedHosts
from services.monitor.http.reader_process import ReaderProcess
from services.monitor.http.server import Server, listening_socket
from services.monitor.http.web import Board, application
from tests.support.data import REPOSITORY
from tests.support.recorded_days import DayWriter

PAGE = (REPOSITORY / "docs" / "http-api.md").read_text(encoding="utf-8")
ADDRESS = "http://127.0.0.1:8787"
COMMANDS = re.findall(r"^    (curl [^\n]+)$", PAGE, flags=re.MULTILINE)
PROGRAMS = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
TOLD = {
    "/api/days?from=20261120&to=20261122": '"condition":["","degraded","open"]',
    "/api/certificate?symbol=BTCUSDT&day=20261121": '"condition": "degraded"',
    "/api/gaps?day=20261122&symbol=BTCUSDT": '"total":3,',
    "/api/days": '"days":[',
    "/api/rows?symbol=BTCUSDT&stem=aggtrade&from=2026-11-22T00:01:00&limit=2": '{"agg_trade_id":1120,"price":"84001',
    "/api/book?symbol=BTCUSDT&at=2026-11-22T00:01:00&depth=2": '"bids":[["83999.00000000","1.00000000"],["83998.',
}
"""A text that the answer to each command has."""
PRINTED = (
    "           BTCUSDT\n20261120          \n20261121  degraded\n20261122      open\n",
    "         stem         state        reason  missing\n0    aggtrade  unrepairable  disconnected      3.0\n",
    "[100, 20] 84001.20000000\n",
    "            price    quantity\n0  83999.00000000  1.00000000\n",
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a server over a recorded day, and a sealed one before it; its token stands in the file `token`."""
    place = tmp_path_factory.mktemp("http-api")
    patch = pytest.MonkeyPatch()
    patch.setattr(api, "LASTS_S", 500.0)  # a busy machine loads libraries slowly
    DayWriter().write(place / "data")
    path = place / "lake" / certificate_path("BTCUSDT", "20261121")
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"condition": "degraded", "clean_percent": 99.5}), encoding="utf-8")
    listener = listening_socket("127.0.0.1", 0)
    reader = ReaderProcess([str(place / "data"), str(place / "lake")])
    server = Server(application(Board(time.monotonic), AllowedHosts(MonitorConfig()), RecordingApi(reader)), listener)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.close()
    patch.undo()


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_answers(command: str, server: str, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("of-no-use-on-loopback", encoding="ascii")
    words = re.sub(r"http://[\d.]+:8787", server, command).replace("curl ", "curl -sSi ", 1)
    found = subprocess.run(words, shell=True, capture_output=True, text=True, timeout=500, check=True, cwd=tmp_path)
    assert " 200 OK" in found.stdout.splitlines()[0]
    path = re.search(r"8787(/api/[^']*)'", command)
    assert path is not None
    assert TOLD[path[1]] in found.stdout


@pytest.mark.parametrize("number", range(len(PRINTED)))
def test_a_program_for_pandas_prints_what_it_should(
    number: int, server: str, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("pandas", reason="pandas is not installed: ./run --group readers pytest tests -k pandas")
    exec(
        compile(
            PROGRAMS[number].replace(ADDRESS, server).replace("timeout=60", "timeout=500"),
            f"docs/http-api.md, program {number}",
            "exec",
        ),
        {},
    )
    assert PRINTED[number] in capsys.readouterr().out


def test_every_example_is_run() -> None:
    assert len(COMMANDS) == len(TOLD)
    assert len(PROGRAMS) == len(PRINTED)
