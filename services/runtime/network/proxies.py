"""The proxy that the environment names for a URL, one rule for websockets and REST (docs/proxies.md)."""

import base64
import ipaddress
import os
import socket
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit

from binance_streamer.config.endpoints import is_loopback

_MOST_HEAD_BYTES = 64 * 1024
_SCHEMES = {"ws": "http", "wss": "https", "http": "http", "https": "https"}


class ProxyError(Exception):
    """The proxy cannot be used, or refuses; says what works instead."""


class Proxy(NamedTuple):
    """An HTTP proxy that takes CONNECT."""

    variable: str
    host: str
    port: int
    username: str
    password: str
    url: str
    """As it is in the environment, with its credentials: never to be shown."""

    def __str__(self) -> str:
        return f"{self.host}:{self.port} ({self.variable})"


def proxy_of(url: str, environment: Mapping[str, str] = os.environ) -> Proxy | None:
    """The proxy for this URL, None where it is reached directly; no proxy reaches this machine's own loopback.

    `https_proxy` is for wss and https, `http_proxy` for ws and http, `all_proxy` where that is not set. ProxyError for
    a proxy of a kind that is not supported: to go around it would be the opposite of what was asked for.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    if is_loopback(host) or _goes_around(host, parts.port, environment):
        return None
    for name in (f"{_SCHEMES[parts.scheme]}_proxy", "all_proxy"):
        for variable in (name, name.upper()):
            if value := environment.get(variable, "").strip():
                return _read(variable, value, host)
    return None


def open_tunnel(sock: socket.socket, proxy: Proxy, *, host: str, port: int) -> None:
    """Have the proxy connect to this host, so that what follows on the socket is with that host."""
    target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
    if proxy.username:
        credentials = base64.b64encode(f"{proxy.username}:{proxy.password}".encode()).decode()
        lines.append(f"Proxy-Authorization: Basic {credentials}")
    sock.sendall("\r\n".join([*lines, "", ""]).encode())
    status = _status(sock, proxy)
    if status == 407:
        raise ProxyError(f"proxy {proxy}: status 407: it wants a name and password that it knows, in {proxy.variable}")
    if not 200 <= status < 300:
        raise ProxyError(f"proxy {proxy}: status {status} for CONNECT {target}: it must permit that port")


def _status(sock: socket.socket, proxy: Proxy) -> int:
    head = b""
    while not head.endswith(b"\r\n\r\n"):  # byte by byte: what comes behind it is the tunnel's
        byte = sock.recv(1)
        if not byte or len(head) > _MOST_HEAD_BYTES:
            raise ProxyError(f"proxy {proxy}: no answer to CONNECT: is it an HTTP proxy?")
        head += byte
    version, _, rest = head.partition(b" ")
    if not version.startswith(b"HTTP/1.") or not rest[:3].isdigit():
        raise ProxyError(f"proxy {proxy}: expected an HTTP answer, got {head[:60]!r}")
    return int(rest[:3])


def _read(variable: str, value: str, host: str) -> Proxy:
    parts = urlsplit(value if "://" in value else f"http://{value}")
    if parts.scheme != "http":
        raise ProxyError(_refusal(variable, parts.scheme, host))
    port = _port(parts)
    if not parts.hostname or port is None:
        raise ProxyError(f"{variable}: expected http://HOST:PORT or http://NAME:PASSWORD@HOST:PORT")
    username, password = unquote(parts.username or ""), unquote(parts.password or "")
    return Proxy(variable, parts.hostname, port, username, password, parts.geturl())


def _port(parts: SplitResult) -> int | None:
    try:
        return parts.port or 80
    except ValueError:
        return None


def _refusal(variable: str, scheme: str, host: str) -> str:
    kind = "a SOCKS proxy" if scheme.startswith("socks") else f"a proxy of the kind {scheme[:20]}"
    return (
        f"{variable} names {kind}, which is not supported: set https_proxy=http://HOST:PORT of an HTTP proxy that "
        f"takes CONNECT, or no_proxy={host} to connect directly (docs/proxies.md)"
    )


def _goes_around(host: str, port: int | None, environment: Mapping[str, str]) -> bool:
    value = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
    entries = [entry.strip().lower() for entry in value.split(",")]
    return any(entry == "*" or _covers(entry, host, port) for entry in entries if entry)


def _covers(entry: str, host: str, port: int | None) -> bool:
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(entry.strip("[]"), strict=False)
    except ValueError:
        pass  # one of them is a name
    name, _, its_port = entry.partition(":")
    if its_port and its_port != str(port):
        return False
    name = name.lstrip("*").lstrip(".")
    return bool(name) and (host == name or host.endswith(f".{name}"))
