"""What is served over HTTP, by the real server."""

import json
import socket
import time
from collections.abc import Iterator

import pytest
import requests

from binance_streamer.config.schema import MonitorConfig
from services.monitor.http import connections
from services.monitor.http.api import RecordingApi
from services.monitor.http.connections import MAX_CONNECTIONS
from services.monitor.http.hosts import AllowedHosts
from services.monitor.http.reader_process import ReaderProcess
from services.monitor.http.server import Server, listening_socket
from services.monitor.http.web import MAX_CLIENTS, Board, application
from tests.support.monitor_scene import NOW_MS, NOW_S, collector
from tests.support.waiting import eventually


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


class Site:
    """A server of a board."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.board = Board(self.clock)
        listener = listening_socket("127.0.0.1", 0)
        self.port: int = listener.getsockname()[1]
        self.server = Server(
            application(
                self.board,
                AllowedHosts(MonitorConfig(hosts=("recorder.example",))),
                RecordingApi(ReaderProcess(["/nowhere", ""])),
            ),
            listener,
        )

    def get(self, path: str) -> requests.Response:
        return requests.get(f"http://127.0.0.1:{self.port}{path}", timeout=20)

    def connection(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def listener(self) -> socket.socket:
        """A client of /events that has had its answer's first line."""
        connection = self.connection()
        connection.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"200" in connection.recv(15)
        return connection


@pytest.fixture
def site() -> Iterator[Site]:
    found = Site()
    yield found
    found.server.close()


def test_health_is_200_with_the_states_of_all_streams(site: Site) -> None:
    site.board.put(collector().end_second(NOW_S, NOW_MS))
    answer = site.get("/healthz")
    assert answer.status_code == 200
    assert answer.json() == {
        "healthy": True,
        "time_ms": NOW_MS,
        "mode": "production",
        "problems": [],
        "symbols": {"BTCUSDT": "TRADING"},
        "streams": {"BTCUSDT": {"aggTrade": "live", "depth@0ms": "live"}},
    }


def test_health_is_503_with_what_is_not(site: Site) -> None:
    site.board.put(collector(writer={"state": "disk full"}).end_second(NOW_S, NOW_MS))
    answer = site.get("/healthz")
    assert answer.status_code == 503
    assert [(problem["what"], problem["why"]) for problem in answer.json()["problems"]] == [
        ("writer", "disk full: journals keep what arrives")
    ]


def test_health_is_503_before_anything_was_heard_and_when_nobody_looks_any_more(site: Site) -> None:
    assert site.get("/healthz").status_code == 503
    site.board.put(collector().end_second(NOW_S, NOW_MS))
    assert site.get("/healthz").status_code == 200
    site.clock.now_s = 11.0
    answer = site.get("/healthz")
    assert answer.status_code == 503
    assert answer.json()["problems"][0]["why"] == "has not looked at the bus for 11 s"


def test_events_send_every_new_snapshot(site: Site) -> None:
    seen = collector()
    site.board.put(seen.end_second(NOW_S, NOW_MS))
    with requests.get(f"http://127.0.0.1:{site.port}/events", stream=True, timeout=20) as answer:
        assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        lines = answer.iter_lines()
        snapshots = (json.loads(line.removeprefix(b"data: ")) for line in lines if line.startswith(b"data: "))
        assert next(snapshots)["time_ms"] == NOW_MS
        site.board.put(seen.end_second(NOW_S + 1, NOW_MS + 1000))
        assert next(snapshots)["time_ms"] == NOW_MS + 1000


def test_clients_of_events_are_bounded_and_those_that_left_make_room(site: Site) -> None:
    site.board.put(collector().end_second(NOW_S, NOW_MS))
    clients = [site.listener() for _ in range(MAX_CLIENTS)]
    assert site.get("/events").status_code == 503
    assert site.get("/healthz").status_code == 200
    clients[0].close()

    def is_let_in() -> bool:
        with site.connection() as connection:
            connection.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            return b"200" in connection.recv(15)

    eventually(is_let_in, what="a new client is let in")
    for client in clients:
        client.close()


def test_clients_that_do_not_read_or_never_ask_hold_nobody(site: Site) -> None:
    seen = collector()
    site.board.put(seen.end_second(NOW_S, NOW_MS))
    stuck = [site.connection() for _ in range(20)]
    for connection in stuck[:8]:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        connection.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
    for number in range(30):
        site.board.put(seen.end_second(NOW_S, NOW_MS + number))
        time.sleep(0.02)
    assert site.get("/healthz").status_code == 200
    assert site.get("/metrics").status_code == 200
    for connection in stuck:
        connection.close()


def test_200_connections_that_ask_nothing_keep_nobody_out(site: Site) -> None:
    site.board.put(collector().end_second(NOW_S, NOW_MS))
    page = site.listener()
    idle = [site.connection() for _ in range(200)]
    asked_once = requests.Session()
    for _ in range(3):
        assert site.get("/healthz").status_code == 200
        assert asked_once.get(f"http://127.0.0.1:{site.port}/healthz", timeout=20).status_code == 200
    assert b"data: " in _read_until(page, b"data: "), "a page that is open is not closed for them"
    closed = [connection for connection in idle if _is_closed(connection)]
    assert len(closed) >= len(idle) - MAX_CONNECTIONS
    for connection in (*idle, page):
        connection.close()
    asked_once.close()


@pytest.mark.parametrize("beginning", [b"", b"GET /healthz HT"])
def test_a_request_that_does_not_come_has_a_deadline(
    site: Site, monkeypatch: pytest.MonkeyPatch, beginning: bytes
) -> None:
    monkeypatch.setattr(connections, "REQUEST_S", 0.2)
    with site.connection() as connection, site.listener() as page:
        connection.sendall(beginning)
        eventually(lambda: _is_closed(connection), what="the connection is closed")
        site.board.put(collector().end_second(NOW_S, NOW_MS))
        assert b"data: " in _read_until(page, b"data: "), "an answer under way has no such deadline"


def _is_closed(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        while connection.recv(1 << 16):
            pass
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True
    return True


def _read_until(connection: socket.socket, wanted: bytes) -> bytes:
    found = b""
    while wanted not in found and (more := connection.recv(1 << 16)):
        found += more
    return found


def test_every_answer_keeps_other_sites_out(site: Site) -> None:
    for path in ("/", "/healthz", "/metrics", "/nothing"):
        headers = site.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "http" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert not [name for name in headers if name.lower().startswith("access-control")]


@pytest.mark.parametrize("path", ["/../app.py", "/%2e%2e/app.py", "/static/../../app.py", "//etc/passwd"])
def test_no_path_leads_out_of_the_page_s_folder(site: Site, path: str) -> None:
    with site.connection() as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        with connection.makefile("rb") as answer:
            assert b" 404 " in answer.readline()


def test_what_is_no_request_is_refused(site: Site) -> None:
    assert requests.post(f"http://127.0.0.1:{site.port}/healthz", timeout=20).status_code == 405
    with site.connection() as connection:
        connection.sendall(b"\x16\x03\x01 hello\r\n\r\n")
        assert b"400" in connection.recv(100)


def test_an_address_that_is_taken_is_said(site: Site) -> None:
    with pytest.raises(OSError, match="Address already in use"):
        listening_socket("127.0.0.1", site.port)


@pytest.mark.parametrize("path", ["/", "/events", "/metrics", "/healthz", "/js/app.js"])
def test_a_stranger_s_name_is_not_answered(site: Site, path: str) -> None:
    site.board.put(collector().end_second(NOW_S, NOW_MS))
    url = f"http://127.0.0.1:{site.port}{path}"
    answer = requests.get(url, headers={"Host": f"evil.example:{site.port}"}, timeout=20)
    assert (answer.status_code, answer.text) == (403, "this name is not answered: add it to monitor.hosts\n")


def test_a_configured_name_is_answered(site: Site) -> None:
    site.board.put(collector().end_second(NOW_S, NOW_MS))
    url = f"http://127.0.0.1:{site.port}/healthz"
    assert requests.get(url, headers={"Host": "recorder.example"}, timeout=20).status_code == 200
