"""The HTTP client against a server of a few lines that misbehaves."""

import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme

from binance_streamer.config.schema import NetworkConfig
from services.rest import client as client_module
from services.rest.answers import RestAnswer
from services.rest.client import Client, RequestThread
from tests.support.addresses import dead_address, resolve, silent_address

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-MBX-USED-WEIGHT-1M: 21\r\n\r\n{}"


class Server:
    """Answers each request with the next of its bytes, over connections that it keeps open."""

    def __init__(self, *answers: bytes, context: ssl.SSLContext | None = None, endless: bytes = b"") -> None:
        self.connections = 0
        self.requests: list[bytes] = []
        self._answers = list(answers)
        self._context = context
        self._endless = endless
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    @property
    def port(self) -> int:
        port: int = self._listener.getsockname()[1]
        return port

    def close(self) -> None:
        self._closing.set()
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        while not self._closing.is_set():
            if select.select([self._listener], [], [], 0.05)[0]:
                connection, _ = self._listener.accept()
                self.connections += 1
                connection.settimeout(0.05)
                try:
                    with self._secured(connection) as secured:
                        self._converse(secured)
                except OSError:
                    connection.close()

    def _secured(self, connection: socket.socket) -> socket.socket:
        if self._context is None:
            return connection
        connection.settimeout(5)
        secured = self._context.wrap_socket(connection, server_side=True)
        secured.settimeout(0.05)
        return secured

    def _converse(self, connection: socket.socket) -> None:
        while not self._closing.is_set() and self._answers:
            try:
                request = connection.recv(65536)
            except TimeoutError:
                continue
            if not request:
                return
            self.requests.append(request)
            connection.sendall(self._answers.pop(0))
            while self._endless and not self._closing.wait(0.01):
                connection.sendall(self._endless)


@pytest.fixture
def start() -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def begin(*answers: bytes, context: ssl.SSLContext | None = None, endless: bytes = b"") -> Server:
        servers.append(Server(*answers, context=context, endless=endless))
        return servers[-1]

    yield begin
    for server in servers:
        server.close()


def asked(
    server: Server, *paths: str, scheme: str = "http", host: str = "127.0.0.1", ca_file: str = ""
) -> list[RestAnswer]:
    network = NetworkConfig(rest_url=f"{scheme}://{host}:{server.port}", request_timeout=0.5, ca_file=ca_file)
    client = Client(network, iter(range(1, 1000)).__next__)
    found = [client.get(path) for path in paths]
    client.close()
    return found


def test_an_answer_has_its_status_headers_body_and_stamps(start: Callable[..., Server]) -> None:
    (answer,) = asked(start(OK), "/fapi/v1/time")
    assert (answer.status, answer.body, answer.fault) == (200, b"{}", "")
    assert answer.headers["x-mbx-used-weight-1m"] == "21"
    assert (answer.requested_ns, answer.recv_ns) == (1, 2)


def test_one_connection_serves_many_requests(start: Callable[..., Server]) -> None:
    server = start(OK, OK, OK)
    assert [answer.status for answer in asked(server, "/a", "/b", "/c")] == [200, 200, 200]
    assert server.connections == 1


def test_the_percent_encoding_of_a_path_is_kept(start: Callable[..., Server]) -> None:
    server = start(OK)
    asked(server, "/fapi/v1/depth?symbol=%E5%B8%81USDT&limit=1000")
    assert server.requests[0].startswith(b"GET /fapi/v1/depth?symbol=%E5%B8%81USDT&limit=1000 HTTP/1.1\r\n")


def test_no_redirect_is_followed(start: Callable[..., Server]) -> None:
    elsewhere = start(OK)
    location = b"Location: http://127.0.0.1:%d/\r\n" % elsewhere.port
    (answer,) = asked(start(b"HTTP/1.1 302 Found\r\n" + location + b"Content-Length: 0\r\n\r\n"), "/")
    assert answer.status == 302
    assert elsewhere.connections == 0


@pytest.mark.parametrize("location", [b"https://[::1/x", b"https://ex\xff\xfe.com/"])
def test_where_a_redirect_leads_is_not_even_read(start: Callable[..., Server], location: bytes) -> None:
    head = b"HTTP/1.1 302 Found\r\nLocation: " + location + b"\r\nContent-Length: 2\r\n\r\n"
    (answer,) = asked(start(head + b"hi"), "/")
    assert (answer.status, answer.body) == (302, b"hi")


def test_the_body_of_a_redirect_that_trickles_is_cut_off(start: Callable[..., Server]) -> None:
    head = b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 1000000\r\n\r\n"
    assert asked(start(head, endless=b"x"), "/")[0].fault == "the answer takes too long"


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n",
        b"nonsense\r\n\r\n",
    ],
)
def test_an_answer_that_is_not_whole_is_a_fault(start: Callable[..., Server], answer: bytes) -> None:
    assert asked(start(answer), "/")[0].fault


def test_an_answer_that_never_ends_is_cut_off(start: Callable[..., Server], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "MAX_BODY_BYTES", 100_000)
    server = start(b"HTTP/1.1 200 OK\r\n\r\n", endless=b"x" * 50_000)
    assert asked(server, "/")[0].fault == "more than 100000 bytes"


def test_an_answer_that_trickles_is_cut_off(start: Callable[..., Server]) -> None:
    server = start(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", endless=b"x")
    assert asked(server, "/")[0].fault == "the answer takes too long"


def test_nobody_there_is_a_fault() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    client = Client(NetworkConfig(rest_url=f"http://127.0.0.1:{port}"), lambda: 1)
    assert "ConnectionError" in client.get("/").fault
    client.close()


def test_plain_http_beyond_this_machine_is_never_sent() -> None:
    client = Client(NetworkConfig(rest_url="http://192.0.2.1"), lambda: 1)
    assert client.get("/").fault == "refused: plain http beyond this machine"
    client.close()


def authority(path: Path, name: str) -> tuple[trustme.CA, str]:
    ca = trustme.CA()
    ca.cert_pem.write_to_path(path / name)
    return ca, str(path / name)


def server_context(ca: trustme.CA, *names: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(*names).configure_cert(context)
    return context


def test_a_certificate_of_a_trusted_authority_is_taken(start: Callable[..., Server], tmp_path: Path) -> None:
    ca, ca_file = authority(tmp_path, "ca.pem")
    server = start(OK, context=server_context(ca, "localhost"))
    assert asked(server, "/", scheme="https", host="localhost", ca_file=ca_file)[0].status == 200


def test_a_certificate_of_another_authority_is_refused(
    start: Callable[..., Server], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ca, _ = authority(tmp_path, "ca.pem")
    _, other_file = authority(tmp_path, "other.pem")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))  # no variable overrules the configuration
    server = start(OK, context=server_context(ca, "localhost"))
    assert "SSLError" in asked(server, "/", scheme="https", host="localhost", ca_file=other_file)[0].fault
    assert not server.requests


def test_a_certificate_of_another_host_is_refused(start: Callable[..., Server], tmp_path: Path) -> None:
    ca, ca_file = authority(tmp_path, "ca.pem")
    server = start(OK, context=server_context(ca, "example.org"))
    assert "SSLError" in asked(server, "/", scheme="https", host="localhost", ca_file=ca_file)[0].fault
    assert not server.requests


def test_no_variable_makes_us_write_the_keys_of_a_session(
    start: Callable[..., Server], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))
    ca, ca_file = authority(tmp_path, "ca.pem")
    server = start(OK, context=server_context(ca, "localhost"))
    assert asked(server, "/", scheme="https", host="localhost", ca_file=ca_file)[0].status == 200
    assert not (tmp_path / "keys").exists()


def test_the_worker_answers_in_its_own_time() -> None:
    may_answer = threading.Event()

    def slow(path: str) -> RestAnswer:
        may_answer.wait(30)
        return RestAnswer(200, {}, path.encode(), 1, 2)

    worker = RequestThread(slow)
    worker.submit("/a")
    assert worker.is_busy
    assert not select.select([worker], [], [], 0)[0]
    may_answer.set()
    assert select.select([worker], [], [], 30)[0]
    assert worker.answer().body == b"/a"
    assert not worker.is_busy


def test_the_end_of_the_thread_ends_whoever_waits_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = threading.Event()
    monkeypatch.setattr(threading, "excepthook", lambda _: ended.set())

    def broken(path: str) -> RestAnswer:
        raise ValueError(path)

    worker = RequestThread(broken)
    worker.submit("/a")
    assert select.select([worker], [], [], 30)[0]
    with pytest.raises(RuntimeError, match="the thread that asks the exchange has ended"):
        worker.answer()
    assert ended.wait(30)


def test_a_dead_first_address_costs_a_moment_and_not_the_time_out(
    start: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = start(OK)
    with dead_address() as dead:
        resolve(monkeypatch, dead, ("127.0.0.1", server.port))
        network = NetworkConfig(rest_url="http://localhost", connect_timeout=60, request_timeout=60)
        client = Client(network, time.time_ns)
        answer = client.get("/fapi/v1/time")
        client.close()
    assert answer.status == 200
    assert answer.recv_ns - answer.requested_ns < 15e9


def test_an_address_that_accepts_and_says_nothing_takes_the_time_of_one_request_only(
    start: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = start(OK)
    with silent_address() as silent:
        resolve(monkeypatch, silent, ("127.0.0.1", server.port))
        client = Client(NetworkConfig(rest_url="http://localhost", request_timeout=0.5), time.time_ns)
        answers = [client.get("/fapi/v1/time") for _ in range(2)]
        client.close()
    assert answers[0].fault.startswith("ReadTimeout")
    assert answers[1].status == 200


def test_a_proxy_is_asked_for_a_tunnel(start: Callable[..., Server], monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = start(b"HTTP/1.1 403 Forbidden\r\n\r\n")
    with dead_address() as dead:
        resolve(monkeypatch, dead, ("127.0.0.1", proxy.port))
        monkeypatch.setenv("https_proxy", "http://user:secret@proxy.example:3128")
        monkeypatch.setenv("no_proxy", "")
        client = Client(NetworkConfig(rest_url="https://fapi.example"), time.time_ns)
        answer = client.get("/fapi/v1/time")
        client.close()
    assert proxy.requests[0].startswith(b"CONNECT fapi.example:443 HTTP/1.")
    assert b"Proxy-Authorization: Basic dXNlcjpzZWNyZXQ=" in proxy.requests[0]
    assert "403" in answer.fault


def test_no_proxy_is_read_as_for_websockets(monkeypatch: pytest.MonkeyPatch, start: Callable[..., Server]) -> None:
    server = start(OK)
    resolve(monkeypatch, ("127.0.0.1", server.port))
    monkeypatch.setenv("https_proxy", "socks5://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "*.example")
    client = Client(NetworkConfig(rest_url="https://fapi.example", connect_timeout=1), time.time_ns)
    fault = client.get("/fapi/v1/time").fault
    client.close()
    assert "SOCKS" not in fault
    assert server.connections == 1  # where TLS fails: it is plain


def test_a_socks_proxy_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("https_proxy", raising=False)
    monkeypatch.setenv("all_proxy", "socks5h://127.0.0.1:1080")
    monkeypatch.setenv("no_proxy", "")
    client = Client(NetworkConfig(rest_url="https://fapi.example"), time.time_ns)
    assert "all_proxy names a SOCKS proxy" in client.get("/fapi/v1/time").fault
    client.close()
