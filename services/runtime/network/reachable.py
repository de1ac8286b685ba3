"""Finds the dead addresses of a host, for `doctor`."""

import socket
from urllib.parse import urlsplit

from binance_streamer.wire.check_lines import Check
from services.runtime.network.proxies import ProxyError, proxy_of
from services.runtime.network.reach import addresses_of, faults_of

_PORTS = {"ws": 80, "http": 80, "wss": 443, "https": 443}
_ADVICE = (
    "each new connection tries such an address first or beside the others: mend the route to it (often IPv6), "
    "or have the name lead elsewhere"
)


def check_addresses(url: str, *, timeout_s: float) -> list[Check]:
    """Connect once to each address of the URL's host, or of the proxy before it.

    No check where there is no address to try: the attempt to connect says why.
    """
    try:
        proxy = proxy_of(url)
        parts = urlsplit(url)
        host, port = (proxy.host, proxy.port) if proxy else (parts.hostname or "", parts.port or _PORTS[parts.scheme])
        found = faults_of(addresses_of(host, port), timeout_s=timeout_s)
    except (ProxyError, socket.gaierror, ValueError, KeyError):
        return []
    what = f"addresses of {'proxy ' if proxy else ''}{host}"
    dead = [f"{address}: {fault}" for address, fault in found.items() if fault]
    answering = len(found) - len(dead)
    if not dead:
        return [Check(what, "ok", f"{answering} of {len(found)} answer")]
    return [
        Check(what, "warn" if answering else "fail", f"{answering} of {len(found)} answer; {'; '.join(dead)}", _ADVICE)
    ]
