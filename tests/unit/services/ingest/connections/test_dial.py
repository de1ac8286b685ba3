import base64
import contextlib
import fcntl
import hashlib
import select
import socket
import ssl
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
import trustme
import websocket

from services.ingest.connections.dial import DialError, WebSocketConnection, dial
from services.ingest.connections.frames import FrameParser
from services.runtime.network.reach import Reach
from tests.support.addresses import dead_address, resolve, silent_address

LONG_S = 60.0
HELLO = b"\x81\x05hello"

Behaviour = Callable[[socket.socket], None]


class Server:
    """Accepts on loopback, one thread a connection; ends when left."""

    def __init__(self, behaviour: Behaviour, tls: ssl.SSLContext | None = None) -> None:
        self._behaviour = behaviour
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self.port: int = self._listener.getsockname()[1]
        self.accepted = 0

    def __enter__(self) -> "Server":
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(LONG_S)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                self.accepted += 1
                self._threads.append(threading.Thread(target=self._serve, args=(sock,), daemon=True))
                self._threads[-1].start()

    def _serve(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError), sock:
            sock.settimeout(LONG_S)
            if self._tls is None:
                self._behaviour(sock)
                return
            with self._tls.wrap_socket(sock, server_side=True) as encrypted:
                self._behaviour(encrypted)


def request(sock: socket.socket) -> bytes:
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        if not (byte := sock.recv(1)):
            raise ConnectionError
        head += byte
    return head


def accepting(sock: socket.socket) -> bytes:
    head = request(sock)
    key = head.split(b"Sec-WebSocket-Key: ")[1].split(b"\r\n")[0]
    accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
    upgrade = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    return upgrade + b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"


def until_end(sock: socket.socket) -> bytes:
    received = b""
    while data := sock.recv(65536):
        received += data
    return received


def saying(data: bytes) -> Behaviour:
    """Shakes hands and says `data` in one segment, then waits for the end."""

    def behaviour(sock: socket.socket) -> None:
        sock.sendall(accepting(sock) + data)
        until_end(sock)

    return behaviour


def answering(answer: bytes) -> Behaviour:
    def behaviour(sock: socket.socket) -> None:
        request(sock)
        sock.sendall(answer)

    return behaviour


def until(what: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + LONG_S
    while not what():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


def dialled(port: int, *, ca_file: str | None = None, connect_timeout_s: float = LONG_S) -> WebSocketConnection:
    url = f"ws://127.0.0.1:{port}/public/stream?streams=a" if ca_file is None else f"wss://localhost:{port}/"
    return dial(url, connect_timeout_s=connect_timeout_s, ca_file=ca_file)


def refusal(url: str, *, connect_timeout_s: float = LONG_S, ca_file: str | None = None) -> DialError:
    with pytest.raises(DialError) as raised:
        dial(url, connect_timeout_s=connect_timeout_s, ca_file=ca_file)
    return raised.value


def received(connection: WebSocketConnection, count: int, buffer_bytes: int = 262_144) -> bytes:
    """As a shell does: polls only after None, or after a buffer that was not filled."""
    buffer = memoryview(bytearray(buffer_bytes))
    data = b""
    while len(data) < count:
        size = connection.recv_into(buffer)
        assert size != 0
        data += buffer[: size or 0]
        if size != buffer_bytes and len(data) < count:
            assert select.select([connection], [], [], LONG_S)[0]
    return data


def waiting_bytes(connection: WebSocketConnection) -> int:
    count = fcntl.ioctl(connection, termios.FIONREAD, bytes(4))
    return int.from_bytes(count, sys.byteorder)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> str:
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    return str(tmp_path / "ca.pem")


def server_context(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


@pytest.fixture
def tls(authority: trustme.CA) -> ssl.SSLContext:
    return server_context(authority.issue_cert("localhost"))


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    until(lambda: all(thread.name != "dial" for thread in threading.enumerate()))


def test_a_frame_in_the_segment_of_the_handshake_is_not_lost() -> None:
    with Server(saying(HELLO)) as server, contextlib.closing(dialled(server.port)) as connection:
        assert received(connection, 7) == HELLO


def test_a_frame_in_the_tls_record_of_the_handshake_needs_no_poll(tls: ssl.SSLContext, ca_file: str) -> None:
    with Server(saying(HELLO), tls) as server, contextlib.closing(dialled(server.port, ca_file=ca_file)) as connection:
        buffer = memoryview(bytearray(100))
        assert connection.recv_into(buffer) == 7
        assert buffer[:7] == HELLO
        assert connection.recv_into(buffer) is None


@pytest.mark.parametrize("buffer_bytes", [1000, 16384, 262_144])
@pytest.mark.parametrize("is_tls", [False, True])
def test_bytes_arrive_whole_and_in_order_whatever_the_buffer(
    tls: ssl.SSLContext, ca_file: str, *, is_tls: bool, buffer_bytes: int
) -> None:
    data = b"".join(b"\x81\x08%08d" % number for number in range(50_000))
    with (
        Server(saying(data), tls if is_tls else None) as server,
        contextlib.closing(dialled(server.port, ca_file=ca_file if is_tls else None)) as connection,
    ):
        got = received(connection, len(data), buffer_bytes)
        assert got == data
        assert len(FrameParser(max_message_bytes=100).feed(got)) == 50_000


def test_one_call_takes_many_tls_records(tls: ssl.SSLContext, ca_file: str) -> None:
    with (
        Server(saying(bytes(100_000)), tls) as server,
        contextlib.closing(dialled(server.port, ca_file=ca_file)) as connection,
    ):
        until(lambda: waiting_bytes(connection) > 4 * 17_000)
        assert (connection.recv_into(memoryview(bytearray(262_144))) or 0) > 4 * 16_384


@pytest.mark.parametrize("is_tls", [False, True])
def test_the_end_of_the_stream_comes_after_its_last_byte_and_stays(
    tls: ssl.SSLContext, ca_file: str, *, is_tls: bool
) -> None:
    with (
        Server(lambda sock: sock.sendall(accepting(sock) + HELLO), tls if is_tls else None) as server,
        contextlib.closing(dialled(server.port, ca_file=ca_file if is_tls else None)) as connection,
    ):
        assert received(connection, 7) == HELLO
        buffer = memoryview(bytearray(100))
        until(lambda: connection.recv_into(buffer) == 0)
        assert connection.recv_into(buffer) == 0


def unmasked(frame: bytes) -> tuple[int, bytes]:
    size = frame[1] & 0x7F
    assert frame[1] & 0x80
    assert len(frame) == 6 + size
    return frame[0], bytes(byte ^ frame[2 + at % 4] for at, byte in enumerate(frame[6:]))


def test_pong_ping_and_close_leave_masked_and_in_order() -> None:
    heard: list[bytes] = []

    def hear(sock: socket.socket) -> None:
        sock.sendall(accepting(sock))
        heard.append(until_end(sock))

    with Server(hear) as server:
        with contextlib.closing(dialled(server.port)) as connection:
            assert connection.send_pong(b"1700000000000")
            assert connection.send_ping()
            assert connection.send_close(1000)
            assert connection.flush()
        until(lambda: bool(heard))
    frames = [heard[0][:19], heard[0][19:25], heard[0][25:]]
    assert [unmasked(frame) for frame in frames] == [
        (0x8A, b"1700000000000"),
        (0x89, b""),
        (0x88, b"\x03\xe8"),
    ]


@pytest.mark.parametrize("is_tls", [False, True])
def test_a_frame_that_the_socket_takes_in_part_is_finished_before_the_next(
    tls: ssl.SSLContext, ca_file: str, *, is_tls: bool
) -> None:
    reads = threading.Event()
    heard: list[bytes] = []

    def hear_late(sock: socket.socket) -> None:
        sock.sendall(accepting(sock))
        reads.wait(LONG_S)
        heard.append(until_end(sock))

    with Server(hear_late, tls if is_tls else None) as server:
        with contextlib.closing(dialled(server.port, ca_file=ca_file if is_tls else None)) as connection:
            taken = 0
            while connection.send_pong(b"%0125d" % taken):
                taken += 1
            assert not connection.flush()
            reads.set()
            until(connection.flush)
            assert connection.send_pong(b"%0125d" % taken)
            until(connection.flush)
        until(lambda: bool(heard))
    frames = [heard[0][at : at + 131] for at in range(0, len(heard[0]), 131)]
    assert [unmasked(frame) for frame in frames] == [(0x8A, b"%0125d" % number) for number in range(taken + 1)]


def test_the_request_offers_no_compression_and_names_path_and_host() -> None:
    heads: list[bytes] = []
    with Server(lambda sock: heads.append(request(sock))) as server:
        assert refusal(f"ws://127.0.0.1:{server.port}/public/stream?streams=%E5%B8%81usdt@trade").kind == "refused"
    lines = heads[0].split(b"\r\n")
    assert lines[0] == b"GET /public/stream?streams=%E5%B8%81usdt@trade HTTP/1.1"
    assert b"Host: 127.0.0.1:%d" % server.port in lines
    assert b"extensions" not in heads[0].lower()


def test_a_peer_that_is_gone_will_be_noticed() -> None:
    with Server(saying(b"")) as server, contextlib.closing(dialled(server.port)) as connection:
        sock = connection.sock
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
        options = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT, socket.TCP_USER_TIMEOUT)
        assert [sock.getsockopt(socket.IPPROTO_TCP, option) for option in options] == [10, 5, 4, 20_000]
        assert not sock.getblocking()


def test_a_verified_connection_has_tls_1_2_or_newer(tls: ssl.SSLContext, ca_file: str) -> None:
    with Server(saying(b""), tls) as server, contextlib.closing(dialled(server.port, ca_file=ca_file)) as connection:
        assert isinstance(connection.sock, ssl.SSLSocket)
        assert connection.sock.version() in ("TLSv1.2", "TLSv1.3")
        assert connection.sock.context.minimum_version == ssl.TLSVersion.TLSv1_2
        assert connection.sock.context.verify_mode == ssl.CERT_REQUIRED


def test_a_stranger_s_certificate_is_refused(ca_file: str) -> None:
    stranger = server_context(trustme.CA().issue_cert("localhost"))
    with Server(saying(b""), stranger) as server:
        assert refusal(f"wss://localhost:{server.port}/", ca_file=ca_file).kind == "tls"
        assert refusal(f"wss://localhost:{server.port}/").kind == "tls"


def test_another_host_s_certificate_is_refused(authority: trustme.CA, ca_file: str) -> None:
    with Server(saying(b""), server_context(authority.issue_cert("fstream.binance.com"))) as server:
        assert refusal(f"wss://localhost:{server.port}/", ca_file=ca_file).kind == "tls"


def test_an_expired_certificate_is_refused(authority: trustme.CA, ca_file: str) -> None:
    yesterday = datetime.now(UTC) - timedelta(days=1)
    with Server(saying(b""), server_context(authority.issue_cert("localhost", not_after=yesterday))) as server:
        assert refusal(f"wss://localhost:{server.port}/", ca_file=ca_file).kind == "tls"


def test_a_server_without_tls_and_a_missing_ca_file_are_tls_errors(tmp_path: Path, ca_file: str) -> None:
    with Server(lambda sock: sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as server:
        assert refusal(f"wss://localhost:{server.port}/", ca_file=ca_file).kind == "tls"
    assert refusal("wss://localhost:1/", ca_file=str(tmp_path / "none.pem")).kind == "tls"


def test_no_variable_makes_us_write_keys_or_trust_another_authority(
    tls: ssl.SSLContext, ca_file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))
    monkeypatch.setenv("WEBSOCKET_CLIENT_CA_BUNDLE", ca_file)
    with Server(saying(b""), tls) as server:
        assert refusal(f"wss://localhost:{server.port}/").kind == "tls"
        dialled(server.port, ca_file=ca_file).close()
    assert not (tmp_path / "keys").exists()


def test_ssl_cert_file_is_honoured(tls: ssl.SSLContext, ca_file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", ca_file)
    with Server(saying(b""), tls) as server:
        dial(f"wss://localhost:{server.port}/", connect_timeout_s=LONG_S).close()


@pytest.mark.parametrize(
    "url",
    [
        "ws://fstream.binance.com/public/stream",
        "ws://192.0.2.1/",
        "ws://localhost.example.com/",
        "https://127.0.0.1/",
        "127.0.0.1:80",
        "wss:///stream",
        "wss://127.0.0.1:99999/",
        "wss://[::1/",
        "wss://127.0.0.1/a b",
        "wss://127.0.0.1/a\r\nX-Injected:1",
        "wss://127.0.0.1/币安人生usdt@trade",
    ],
)
def test_an_unencrypted_or_broken_url_is_refused_before_anything_is_sent(url: str) -> None:
    assert refusal(url).kind == "url"


def test_plaintext_beyond_this_machine_must_be_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert refusal("ws://simulator:8080/").kind == "url"
    with pytest.raises(DialError) as raised:
        dial("ws://simulator:8080/", connect_timeout_s=LONG_S, allow_plaintext=True)
    assert raised.value.kind == "dns"


def test_a_port_where_nothing_listens_and_a_peer_that_hangs_up_are_refusals() -> None:
    with Server(lambda _: None) as server:
        assert refusal(f"ws://127.0.0.1:{server.port}/").kind == "refused"
    assert refusal(f"ws://127.0.0.1:{server.port}/").kind == "refused"


@pytest.mark.parametrize(
    ("answer", "http_status", "retry_after_s"),
    [
        (b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 17\r\nContent-Length: 2\r\n\r\n{}", 429, 17.0),
        (b"HTTP/1.1 418 I'm a teapot\r\nretry-after: 0\r\n\r\n", 418, 0.0),
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", 403, None),
        (b"HTTP/1.1 502\r\nRetry-After: soon\r\n\r\n", 502, None),
        (b"HTTP/1.1 503 x\r\nRetry-After: " + b"9" * 5000 + b"\r\n\r\n", 503, None),
        (b"HTTP/1.1 503 x\r\nRetry-After: 345600\r\n\r\n", 503, 4 * 86_400),
        (b"HTTP/1.1 503 x\r\nRetry-After: 999999999\r\n\r\n", 503, 4 * 86_400),
        (b"HTTP/1.1 503 x\r\nRetry-After: Sat, 21 Oct 2215 07:28:00 GMT\r\n\r\n", 503, 4 * 86_400),
        (b"HTTP/1.1 503 x\r\nRetry-After: Wed, 21 Oct 2015 07:28:00 GMT\r\n\r\n", 503, 0.0),
        (b"HTTP/1.1 200 OK\r\n\r\n", 200, None),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", None, None),
        (
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
            None,
            None,
        ),
        (b"HTTP/1.1 301 Moved\r\n\r\n", 301, None),
        (b"HTTP/1.1\r\n\r\n", None, None),
        (b"\r\n\r\n", None, None),
        (b"\xff\xfe\r\n\r\n", None, None),
        (b"HTTP/1.1 101 x\r\nno colon\r\n\r\n", None, None),
        (b"HTTP/1.1 500 x\r\nContent-Length: many\r\n\r\n", None, None),
        (b"HTTP/1.1 301 x\r\nSet-Cookie: a/b=1\r\n\r\n", None, None),
        (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", None, None),
    ],
)
def test_an_answer_that_is_no_handshake_says_its_status_and_when_to_retry(
    answer: bytes, http_status: int | None, retry_after_s: float | None
) -> None:
    with Server(answering(answer)) as server:
        error = refusal(f"ws://127.0.0.1:{server.port}/")
    assert error.kind == "http"
    if http_status is not None:
        assert error.http_status == http_status
    assert error.retry_after_s == retry_after_s


def test_a_date_to_retry_after_counts_from_now() -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True).encode()
    with Server(answering(b"HTTP/1.1 429 x\r\nRetry-After: " + date + b"\r\n\r\n")) as server:
        retry_after_s = refusal(f"ws://127.0.0.1:{server.port}/").retry_after_s
    assert retry_after_s is not None
    assert 3500 < retry_after_s <= 3600


def test_a_redirect_is_not_followed() -> None:
    with Server(saying(b"")) as elsewhere:
        answer = f"HTTP/1.1 302 Found\r\nLocation: ws://127.0.0.1:{elsewhere.port}/\r\n\r\n".encode()
        with Server(answering(answer)) as server:
            error = refusal(f"ws://127.0.0.1:{server.port}/")
        assert (error.kind, error.http_status) == ("http", 302)
        assert elsewhere.accepted == 0


def test_a_trickled_answer_ends_at_the_deadline_and_leaves_no_socket() -> None:
    hung_up = threading.Event()

    def trickle(sock: socket.socket) -> None:
        sock.sendall(b"HTTP/1.1 101 Switching Protocols\r\n")
        try:
            while True:
                sock.sendall(b"x")
                time.sleep(0.05)
        except OSError:
            hung_up.set()

    with Server(trickle) as server:
        assert refusal(f"ws://127.0.0.1:{server.port}/", connect_timeout_s=0.5).kind == "timeout"
        assert hung_up.wait(LONG_S)


@pytest.mark.parametrize("scheme", ["ws", "wss"])
def test_a_peer_that_accepts_and_says_nothing_ends_at_the_deadline(scheme: str, ca_file: str) -> None:
    def listen(sock: socket.socket) -> None:
        until_end(sock)

    with Server(listen) as server:
        url = f"{scheme}://localhost:{server.port}/"
        assert refusal(url, connect_timeout_s=0.5, ca_file=ca_file).kind == "timeout"


def test_a_name_server_that_does_not_answer_holds_the_caller_no_longer_than_the_deadline(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers = threading.Event()

    def unanswered(*_: object, **__: object) -> None:
        answers.wait(LONG_S)
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", unanswered)
    try:
        assert refusal("wss://fstream.example/", connect_timeout_s=0.2).kind == "timeout"
    finally:
        answers.set()


def test_no_proxy_stands_before_this_machine_s_own_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with Server(saying(b"")) as server:
        dialled(server.port).close()


def test_a_proxy_is_used_and_cannot_read_along(
    authority: trustme.CA, ca_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = server_context(authority.issue_cert("fstream.example"))
    heads: list[bytes] = []

    def tunnel(sock: socket.socket) -> None:
        heads.append(request(sock))
        sock.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        with context.wrap_socket(sock, server_side=True) as encrypted:
            saying(HELLO)(encrypted)

    with Server(tunnel) as proxy:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy.port}")
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        connection = dial("wss://fstream.example/", connect_timeout_s=LONG_S, ca_file=ca_file)
        with contextlib.closing(connection):
            assert received(connection, 7) == HELLO
    assert heads[0].startswith(b"CONNECT fstream.example:443 HTTP/1.1\r\n")


def test_a_proxy_that_refuses_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with Server(answering(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")) as proxy:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy.port}")
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        assert refusal("wss://fstream.example/").kind == "proxy"


def test_a_proxy_is_given_its_name_and_password(monkeypatch: pytest.MonkeyPatch) -> None:
    heads: list[bytes] = []

    def refuse(sock: socket.socket) -> None:
        heads.append(request(sock))
        sock.sendall(b"HTTP/1.1 403 Forbidden\r\n\r\n")

    with Server(refuse) as proxy:
        monkeypatch.setenv("https_proxy", f"http://us%40er:secret@127.0.0.1:{proxy.port}")
        monkeypatch.setenv("no_proxy", "")
        error = refusal("wss://fstream.example:8443/")
    assert heads[0] == (
        b"CONNECT fstream.example:8443 HTTP/1.1\r\nHost: fstream.example:8443\r\n"
        b"Proxy-Authorization: Basic dXNAZXI6c2VjcmV0\r\n\r\n"
    )
    assert error.kind == "proxy"
    assert "status 403" in str(error)
    assert "secret" not in str(error)


def test_a_socks_proxy_is_refused_by_name_and_not_gone_around(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("https_proxy", raising=False)
    monkeypatch.setenv("all_proxy", "socks5h://127.0.0.1:1080")
    monkeypatch.setenv("no_proxy", "")
    error = refusal("wss://fstream.example/")
    assert error.kind == "proxy"
    assert "all_proxy names a SOCKS proxy" in str(error)


def test_a_dead_first_address_does_not_keep_from_the_second(ca_file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with dead_address() as dead, Server(saying(HELLO)) as server:
        resolve(monkeypatch, dead, ("127.0.0.1", server.port))
        started_s = time.monotonic()
        with contextlib.closing(dial("ws://localhost/", connect_timeout_s=LONG_S)) as connection:
            assert received(connection, 7) == HELLO
        assert time.monotonic() - started_s < LONG_S / 4


def test_addresses_that_do_not_answer_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with dead_address() as dead:
        resolve(monkeypatch, dead)
        error = refusal("ws://localhost/", connect_timeout_s=2)
    assert error.kind == "timeout"
    assert str(error).startswith("timeout: localhost: 127.0.0.1: no answer within 1.")


@pytest.mark.parametrize("scheme", ["ws", "wss"])
def test_an_address_that_accepts_and_says_nothing_takes_the_time_of_one_attempt_only(
    scheme: str, authority: trustme.CA, ca_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tls = server_context(authority.issue_cert("localhost")) if scheme == "wss" else None
    reach = Reach()
    with silent_address() as silent, Server(saying(HELLO), tls=tls) as server:
        resolve(monkeypatch, silent, ("127.0.0.1", server.port))
        with pytest.raises(DialError) as raised:
            dial(f"{scheme}://localhost/", connect_timeout_s=0.5, ca_file=ca_file, reach=reach)
        assert raised.value.kind == "timeout"
        dial(f"{scheme}://localhost/", connect_timeout_s=LONG_S, ca_file=ca_file, reach=reach).close()


def test_an_error_of_the_library_that_nobody_expects_is_a_failed_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise IndexError("odd answer")

    monkeypatch.setattr(websocket.WebSocket, "connect", fail)
    with Server(lambda _: None) as server, pytest.raises(DialError, match="IndexError: odd answer"):
        dialled(server.port)
