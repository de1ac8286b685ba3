"""Opens a websocket: websocket-client does the handshake, everything before and behind it is done here.

The socket does not block afterwards: the reader polls it.
"""

import contextlib
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from http.cookies import CookieError
from typing import Any, Literal
from urllib.parse import urlsplit

import websocket
from websocket import ABNF

from binance_streamer.config.endpoints import is_loopback
from services.runtime.clock import monotonic_s
from services.runtime.network.proxies import ProxyError, open_tunnel, proxy_of
from services.runtime.network.reach import Reach
from services.runtime.retry import retry_after_s

# A peer that is gone is noticed after 10 s of silence and 4 probes of 5 s, or 20 s after something we sent.
# SO_RCVBUF is left alone: setting it would switch off the kernel's autotuning.
_SOCKET_OPTIONS = [
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 10),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 4),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 20_000),
]
_WOULD_BLOCK = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)

DialErrorKind = Literal["unexpected", "url", "dns", "refused", "timeout", "tls", "proxy", "http"]

# The first that fits: an SSLError is an OSError, and one for a certificate a ValueError too.
_KINDS: tuple[tuple[tuple[type[Exception], ...], DialErrorKind], ...] = (
    ((socket.gaierror,), "dns"),
    ((ProxyError,), "proxy"),
    ((TimeoutError, websocket.WebSocketTimeoutException), "timeout"),
    ((ssl.SSLError,), "tls"),
    ((OSError, websocket.WebSocketConnectionClosedException), "refused"),
    ((ValueError,), "url"),
    ((websocket.WebSocketException, CookieError), "http"),
)


_OWN_SHARE = 0.95
"""Share of `connect_timeout_s` for the attempt's own time-outs: if it ends by those, its error names the addresses that
did not answer."""
_ADDRESS_FAULTS = ("timeout", "tls", "refused")
"""Kinds of failure that may be an address's own, so that another address of the host is to be tried first next time."""


class DialError(Exception):
    """The attempt has failed. Kind `url` is a mistake in the configuration; all others may be tried again.

    refused: nothing listens, the host is not reached, or the peer hung up. http: an answer that is no websocket
    handshake; `http_status` where it has one, `retry_after_s` where it says how long to stay away.
    """

    def __init__(
        self, kind: DialErrorKind, what: str, *, http_status: int | None = None, retry_after_s: float | None = None
    ) -> None:
        super().__init__(f"{kind}: {what[:200]}")  # some of it is the peer's text
        self.kind = kind
        self.http_status = http_status
        self.retry_after_s = retry_after_s


class WebSocketConnection:
    """An open websocket, for one thread that polls its `fileno`. All methods raise OSError when it is broken."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.sock = sock
        self._is_tls = isinstance(sock, ssl.SSLSocket)
        self._unsent = b""

    def fileno(self) -> int:
        return self.sock.fileno()

    def recv_into(self, buffer: memoryview) -> int | None:
        """Return the number of bytes received; None where it would block, 0 at the end of the stream.

        Decrypted bytes that wait in the TLS layer do not wake a poll: call it once before the first poll (the first
        frames may have come with the handshake), and again after it has filled the buffer.
        """
        received = 0
        try:
            while received < len(buffer):
                count = self.sock.recv_into(buffer[received:])
                received += count
                if count == 0 or not self._is_tls:  # TLS gives a record of at most 16 KiB a time
                    break
        except _WOULD_BLOCK:
            return received or None
        except OSError:
            if not received:  # else the next call meets the same end
                raise
        return received

    def send_pong(self, payload: bytes) -> bool:
        """Return True where the frame was taken; False, and nothing sent, while an earlier one waits for the socket."""
        return self._send(ABNF.OPCODE_PONG, payload)

    def send_ping(self) -> bool:
        return self._send(ABNF.OPCODE_PING, b"")

    def send_text(self, text: str) -> bool:
        return self._send(ABNF.OPCODE_TEXT, text.encode())

    def send_close(self, code: int) -> bool:
        return self._send(ABNF.OPCODE_CLOSE, struct.pack("!H", code))

    def flush(self) -> bool:
        """Send on what the socket did not take at once; return True where nothing is left of it."""
        while self._unsent:
            try:
                sent = self.sock.send(self._unsent)
            except _WOULD_BLOCK:
                return False
            self._unsent = self._unsent[sent:]
        return True

    def close(self) -> None:
        self.sock.close()

    def _send(self, opcode: int, payload: bytes) -> bool:
        if not self.flush():
            return False
        # A frame begun must be ended, and TLS wants a refused write repeated as it was: so what is left is kept.
        self._unsent = ABNF.create_frame(payload, opcode).format()
        self.flush()
        return True


def dial(
    url: str,
    *,
    connect_timeout_s: float,
    ca_file: str | None = None,
    allow_plaintext: bool = False,
    reach: Reach | None = None,
) -> WebSocketConnection:
    """Return an open connection or raise DialError, within `connect_timeout_s`, whatever name server and peer do.

    Certificates are verified always, against `ca_file` or else the system's (SSL_CERT_FILE). `reach` remembers
    addresses that came to nothing. Blocks: another thread must read the connections that are open meanwhile.
    """
    host = _checked_host(url, allow_plaintext=allow_plaintext)
    context = _tls_context(ca_file) if url.startswith("wss:") else None
    deadline_s = monotonic_s() + connect_timeout_s * _OWN_SHARE
    attempt = _Attempt(url, host, context, reach or Reach(), deadline_s)
    # The library's timeout is for each recv, and it reads its headers bytewise: only a thread that can be
    # abandoned bounds a trickled answer, or a name server that does not answer.
    outcome: Future[WebSocketConnection] = Future()
    threading.Thread(target=attempt.run, args=(outcome,), name="dial", daemon=True).start()
    try:
        return outcome.result(connect_timeout_s)
    except TimeoutError:
        if not outcome.cancel():  # it has ended this moment
            return outcome.result()
    attempt.abandon()
    raise DialError("timeout", f"{host}: no connection within {connect_timeout_s} s")


class _Attempt:
    """An attempt to connect, made by one thread, which another one may abandon."""

    def __init__(self, url: str, host: str, context: ssl.SSLContext | None, reach: Reach, deadline_s: float) -> None:
        self._url = url
        self._host = host
        self._context = context
        self._reach = reach
        self._deadline_s = deadline_s
        self._client = websocket.WebSocket(enable_multithread=False, skip_utf8_validation=True)
        self._sock: socket.socket | None = None
        self._peer: tuple[Any, ...] | None = None
        """The address that has accepted the connection."""

    def run(self, outcome: "Future[WebSocketConnection]") -> None:
        """Connect, and set the outcome unless it was cancelled."""
        failure = None
        try:
            self._connect()
        except (OSError, ValueError, CookieError, websocket.WebSocketException, ProxyError) as error:
            failure = _translated(error, self._host, self._client)
            self._close()
        except Exception as error:  # of the library, for an answer that it does not expect: this attempt has failed
            failure = DialError("unexpected", f"{self._host}: {type(error).__name__}: {error!s:.200}")
            self._close()
        if not outcome.set_running_or_notify_cancel():
            self._close()
        elif failure is not None:
            if failure.kind in _ADDRESS_FAULTS:
                self._doubt()
            outcome.set_exception(failure)
        else:
            assert self._sock is not None
            assert self._peer is not None
            self._reach.trust(self._peer)
            outcome.set_result(WebSocketConnection(self._sock))

    def abandon(self) -> None:
        """End an attempt that hangs, and its thread: shutting the socket down wakes whatever waits for it."""
        self._doubt()
        if self._sock is not None:  # while it is None, `reach` counts the time
            with contextlib.suppress(OSError):
                self._sock.shutdown(socket.SHUT_RDWR)

    def _connect(self) -> None:
        self._sock = self._reached()
        if self._context is not None:
            self._sock = self._context.wrap_socket(
                self._sock, server_hostname=self._host, do_handshake_on_connect=False
            )
            self._sock.do_handshake()
        connect: Callable[..., None] = self._client.connect
        connect(self._url, redirect_limit=0, socket=self._sock)

    def _reached(self) -> socket.socket:
        proxy = proxy_of(self._url)
        port = urlsplit(self._url).port or (443 if self._context else 80)
        host, first_port = (proxy.host, proxy.port) if proxy else (self._host, port)
        try:
            sock = self._reach.connect(host, first_port, timeout_s=self._left_s(), options=_SOCKET_OPTIONS)
        except OSError as error:
            if proxy is None:
                raise
            raise ProxyError(f"proxy {proxy}: {error}") from error
        self._sock, self._peer = sock, sock.getpeername()
        sock.settimeout(self._left_s())
        if proxy is not None:
            open_tunnel(sock, proxy, host=self._host, port=port)
        return sock

    def _left_s(self) -> float:
        return max(0.001, self._deadline_s - monotonic_s())

    def _doubt(self) -> None:
        if self._peer is not None:
            self._reach.doubt(self._peer)

    def _close(self) -> None:
        if self._sock is not None:
            self._sock.close()


def _checked_host(url: str, *, allow_plaintext: bool) -> str:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise DialError("url", f"{url!r}: {error}") from None
    if parts.scheme not in ("ws", "wss") or not host or not url.isascii() or not url.isprintable() or " " in url:
        raise DialError("url", f"{url!r}: expected wss://HOST/PATH, percent-encoded")
    if parts.scheme == "ws" and not allow_plaintext and not is_loopback(host):
        raise DialError("url", f"{url!r}: not encrypted, and {host} is not this machine: use wss://")
    return host


def _tls_context(ca_file: str | None) -> ssl.SSLContext:
    """Return what ssl.create_default_context gives, without its SSLKEYLOGFILE: no variable may make us write keys.

    With a context of ours the library looks at neither that nor WEBSOCKET_CLIENT_CA_BUNDLE (1.9.2, _http.py).
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # verifies certificate and host name
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        if ca_file is None:
            context.load_default_certs()
        else:
            context.load_verify_locations(cafile=ca_file)
    except OSError as error:
        raise DialError("tls", f"cannot load the certificates of {ca_file or 'the system'}: {error}") from error
    return context


def _translated(error: Exception, host: str, client: websocket.WebSocket) -> DialError:
    if isinstance(error, websocket.WebSocketBadStatusException):
        headers: dict[str, str] = error.resp_headers or {}
        return DialError(
            "http",
            f"{host}: status {error.status_code} {error.status_message!r}",
            http_status=error.status_code,
            retry_after_s=retry_after_s(headers.get("retry-after", ""), time.time()),
        )
    kind = next(kind for types, kind in _KINDS if isinstance(error, types))
    redirect = client.handshake_response  # the library's own word for a redirect is without its status
    return DialError(kind, f"{host}: {error}", http_status=redirect.status if redirect else None)
