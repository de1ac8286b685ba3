"""The names under which the monitor answers: a page of somebody else's must not read it through the user's browser.

By DNS rebinding a page from a stranger's name lets that name point to 127.0.0.1 afterwards, and then reads our answers
as its own. Its requests carry the stranger's name in `Host`, so that it is enough to answer no name but ours.
"""

import ipaddress
from collections.abc import Collection

from binance_streamer.config.endpoints import host_and_port
from binance_streamer.config.schema import MonitorConfig

_WILDCARDS = ("*", "0.0.0.0", "::")  # noqa: S104 (compared with, not bound)


class AllowedHosts:
    """Loopback names, the host of `monitor.address`, and `monitor.hosts`.

    Where the address is a wildcard, every IP address too: a rebound request comes with a name, never with an
    address. Names are compared in lower case, since DNS makes no difference.
    """

    def __init__(self, config: MonitorConfig) -> None:
        host = host_and_port(config.address)[0].lower()
        self._takes_addresses = host in _WILDCARDS
        self._names: Collection[str] = {"localhost", host, *(name.lower() for name in config.hosts)}

    def allows(self, header: str) -> bool:
        """Return True if a request with this `Host` header (`name`, `name:port` or `[::1]:port`) is answered.

        The port is not compared: a proxy or a container may map it to another one. An empty or senseless header is
        not answered.
        """
        name = (
            header.lower().rpartition("]")[0].lstrip("[")
            if header.startswith("[")
            else header.partition(":")[0].lower()
        )
        if name in self._names:
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        return address.is_loopback or self._takes_addresses
