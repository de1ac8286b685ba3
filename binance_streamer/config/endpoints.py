"""ZeroMQ endpoints: their form, and from where they can be reached, this machine only or others too.

In: text of a configuration. Out: True or False, or its parts; only `host_and_port` raises. No name is looked up, so
that a check of a configuration does not depend on a network.
"""

import ipaddress
import re

_tcp = re.compile(r"tcp://(\[[0-9A-Fa-f:.]+\]|[^\s:/;\[\]\x00-\x1f\x7f]+):([1-9][0-9]{0,4})").fullmatch
_ipc = re.compile(r"ipc://(/|\{run\}/)[^\x00-\x1f\x7f]*[^/\x00-\x1f\x7f]").fullmatch

EXPECTED = "expected ipc://PATH or tcp://HOST:PORT, PATH absolute or below {run}"


def is_endpoint(text: str) -> bool:
    """Return True when this is an endpoint that we use; `{run}` may stand for the run directory.

    Abstract sockets (ipc://@name) are none: they have no file, and so no mode that keeps others out.
    """
    found = _tcp(text)
    return int(found[2]) < 1 << 16 if found else _ipc(text) is not None


def is_local(endpoint: str) -> bool:
    """Return True when no other machine can reach it.

    A host's name may lead anywhere and `*` is every address: neither is local, except the name `localhost`.
    """
    if endpoint.startswith(("ipc://", "inproc://")):
        return True
    found = _tcp(endpoint)
    return found is not None and is_loopback(found[1].strip("[]"))


def named_host(endpoint: str) -> str | None:
    """Return the host of a tcp endpoint where it is a name; None where it is an address, or `*`."""
    found = _tcp(endpoint)
    host = found[1].strip("[]") if found else "*"
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return None if host == "*" else host
    return None


def is_loopback(host: str) -> bool:
    """Return True when this host is this machine itself, as far as its name tells."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def host_and_port(address: str) -> tuple[str, int]:
    """Return the parts of `HOST:PORT`, an IPv6 host without its brackets; `ValueError` where it is something else."""
    found = _tcp(f"tcp://{address}")
    if not found or int(found[2]) >= 1 << 16:
        raise ValueError(f"expected HOST:PORT, got {address!r}")
    return found[1].strip("[]"), int(found[2])
