"""The HTTP API by the real server: who is let in, and that a request never outlives its client or its time."""

import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import requests

from binance_streamer.config.schema import MonitorConfig
from binance_streamer.days.sources import certificate_path
from services.monitor.http import api as api_module
from services.monitor.http import reader_process
from services.monitor.http.api import RecordingApi
from services.monitor.http.hosts import AllowedHosts
from services.monitor.http.reader_process import ReaderProcess
from services.monitor.http.server import Server, listening_socket
from services.monitor.http.web import Board, application
from tests.support.recorded_days import DayWriter
from tests.support.waiting import eventually

TOKEN = "0123456789abcdef0123456789abcdef"
GAPS = "/api/gaps?day=20261122"
CERTIFICATE = "/api/certificate?symbol=BTCUSDT&day=20261121"
LARGE_BYTES = 96 * 2**20


class Site:
    """A monitor's server over a small recorded day."""

    def __init__(self, data: Path, *, lake: str = "", token: str = "", is_open: bool = False) -> None:
        self.reader = ReaderProcess([str(data), lake])
        listener = listening_socket("127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self.port: int = listener.getsockname()[1]
        api = RecordingApi(self.reader, token=token, is_open=is_open)
        self.server = Server(application(Board(time.monotonic), AllowedHosts(MonitorConfig()), api), listener)

    def get(self, path: str, **headers: str) -> requests.Response:
        return requests.get(f"{self.url}{path}", headers=headers, timeout=180)

    def readers(self) -> list[psutil.Process]:
        """The processes that read for it, and have not ended."""
        return [one for one in psutil.Process().children() if _is_reader(one)]

    def close(self) -> None:
        self.server.close()
        assert not self.server.is_alive


def _is_reader(process: psutil.Process) -> bool:
    """Return True for a reader that runs; one that has ended has no command line. Browsers are children, too."""
    try:
        return "services.monitor.reader" in process.cmdline()
    except psutil.Error:
        return False


@pytest.fixture
def data(tmp_path: Path) -> Path:
    DayWriter().write(tmp_path)
    return tmp_path


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine may take long for a new process."""
    monkeypatch.setattr(api_module, "LASTS_S", 150.0)


@pytest.fixture
def site(data: Path) -> Iterator[Site]:
    found = Site(data)
    yield found
    found.close()


def test_modules_of_a_stranger_are_not_taken_for_ours(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stranger = tmp_path / "stranger" / "services"
    stranger.mkdir(parents=True)
    (stranger / "__init__.py").write_text("raise SystemExit('not ours')")
    monkeypatch.chdir(stranger.parent)
    monkeypatch.setenv("PYTHONPATH", str(stranger.parent))
    assert site.get(GAPS).status_code == 200


def test_an_answer_comes_as_json_from_a_process_that_is_kept_for_the_next_one(site: Site) -> None:
    answer = site.get(GAPS)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json()["total"] == 3
    (reader,) = site.readers()
    assert site.get("/api/days?from=20261122&to=20261122").json()["symbols"][0]["condition"] == ["open"]
    assert site.readers() == [reader]
    assert reader.nice() == min(19, psutil.Process().nice() + 10)


def test_a_refusal_is_json_that_says_what_there_is(site: Site) -> None:
    answer = site.get("/api/gaps?day=20261122&symbol=SOLUSDT")
    assert (answer.status_code, answer.json()["known"]) == (404, ["BTCUSDT"])
    assert site.get("/api/nothing").json()["known"][:2] == ["book", "certificate"]
    assert requests.post(f"{site.url}{GAPS}", timeout=180).status_code == 405


def test_a_reader_that_nobody_asks_ends(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader_process, "IDLE_S", 0.2)
    assert site.get(GAPS).status_code == 200
    eventually(lambda: not site.readers(), what="the idle reader ends")
    assert site.get(GAPS).status_code == 200


def test_a_reader_that_dies_is_said_and_replaced(site: Site) -> None:
    assert site.get(GAPS).status_code == 200
    for reader in site.readers():
        reader.kill()
    assert {site.get(GAPS).status_code for _ in range(2)} <= {200, 500}
    eventually(lambda: site.get(GAPS).status_code == 200, what="a new reader answers")


def stopped(site: Site) -> psutil.Process:
    """The reader, which now answers nothing, as if its disk hung."""
    assert site.get(GAPS).status_code == 200
    (reader,) = site.readers()
    reader.suspend()
    return reader


def test_a_question_has_a_time_limit_and_its_reader_is_killed(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = stopped(site)
    monkeypatch.setattr(api_module, "LASTS_S", 0.5)
    answer = site.get(GAPS)
    assert (answer.status_code, "ask for a shorter time" in answer.json()["error"]) == (504, True)
    eventually(lambda: reader not in site.readers(), what="the stuck reader is killed")


def test_a_client_that_leaves_takes_its_question_along(site: Site) -> None:
    reader = stopped(site)
    with socket.create_connection(("127.0.0.1", site.port)) as connection:
        connection.sendall(f"GET {GAPS} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        time.sleep(0.2)
    eventually(lambda: reader not in site.readers(), what="the reader of nobody is killed")
    assert site.get(GAPS).json()["total"] == 3


def test_one_question_at_a_time_and_few_wait(site: Site) -> None:
    stopped(site)
    waiting = [socket.create_connection(("127.0.0.1", site.port)) for _ in range(reader_process.MAX_WAITING)]
    for connection in waiting:
        connection.sendall(f"GET {GAPS} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    eventually(lambda: site.reader.waiting == reader_process.MAX_WAITING, what="all of them wait")
    answer = site.get(GAPS)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert len(site.readers()) == 1
    for connection in waiting:
        connection.close()
    eventually(lambda: site.get(GAPS).status_code == 200, what="it answers again")


def test_the_process_that_reads_is_not_the_monitor_s_own(site: Site, data: Path) -> None:
    """A certificate of any size is the reader's memory, and goes with it."""
    site.get(GAPS)
    (reader,) = site.readers()
    assert reader.pid != os.getpid()
    limits = Path(f"/proc/{reader.pid}/limits").read_text(encoding="ascii")
    assert next(line for line in limits.splitlines() if line.startswith("Max data size")).split()[3] == "1610612736"
    assert Path(f"/proc/{reader.pid}/oom_score_adj").read_text(encoding="ascii").strip() == "1000"


def test_pages_of_others_cannot_ask(site: Site) -> None:
    assert site.get(GAPS, **{"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert site.get(GAPS, **{"Sec-Fetch-Site": "same-origin"}).status_code == 200
    assert site.get(GAPS, Host="evil.example").status_code == 403
    assert site.readers() != []


def test_a_token_is_asked_for_where_there_is_one(data: Path) -> None:
    site = Site(data, token=TOKEN)
    try:
        for header in ({}, {"Authorization": "Bearer 1"}, {"Authorization": f"Basic {TOKEN}"}):
            answer = site.get(GAPS, **header)
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
            assert "monitor.token_file" in answer.json()["error"]
        assert site.readers() == []
        assert site.get(GAPS, Authorization=f"Bearer {TOKEN}").status_code == 200
    finally:
        site.close()


def test_beyond_loopback_nothing_is_read_without_a_token(data: Path) -> None:
    for token, status in (("", 403), (TOKEN, 200)):
        site = Site(data, token=token, is_open=True)
        try:
            answer = site.get(GAPS, Authorization=f"Bearer {TOKEN}")
            assert (answer.status_code, "error" in answer.json()) == (status, status != 200)
        finally:
            site.close()


def test_every_refusal_of_the_monitor_is_json(site: Site) -> None:
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}):
        assert list(json.loads(site.get(GAPS, **headers).text)) == ["error"]


@pytest.fixture
def large(tmp_path: Path) -> Iterator[Site]:
    """A site with a certificate of 96 MiB."""
    path = tmp_path / "lake" / certificate_path("BTCUSDT", "20261121")
    path.parent.mkdir(parents=True)
    path.write_bytes(b"x" * LARGE_BYTES)
    found = Site(tmp_path, lake=str(tmp_path / "lake"))
    yield found
    found.close()


def test_a_large_answer_is_never_the_monitor_s_memory(large: Site) -> None:
    own = psutil.Process()
    large.get(GAPS)
    before = own.memory_info().rss
    most = length = 0
    with requests.get(f"{large.url}{CERTIFICATE}", stream=True, timeout=180) as answer:
        for piece in answer.iter_content(2**20):
            length += len(piece)
            most = max(most, own.memory_info().rss)
    assert length == LARGE_BYTES
    assert most - before < LARGE_BYTES // 2


def test_a_client_that_does_not_read_is_cut_off_before_the_end(large: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    large.get(GAPS)
    monkeypatch.setattr(api_module, "LASTS_S", 3.0)
    with socket.create_connection(("127.0.0.1", large.port)) as connection:
        connection.sendall(f"GET {CERTIFICATE} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        eventually(lambda: not large.readers(), what="the reader is killed")
        received = b""
        connection.settimeout(60)
        while piece := connection.recv(2**20):
            received = received[-100:] + piece
    assert not received.endswith(b"0\r\n\r\n"), "the end of a whole answer"
