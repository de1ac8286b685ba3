"""Lets requests open its connections by `Reach`: a dead address costs a quarter of a second, not the whole time-out."""

import socket
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError

from services.runtime.network.reach import Reach

_OPTIONS = [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]  # urllib3's default
_Pools = dict[str, type[HTTPConnectionPool]]


class ReachingAdapter(HTTPAdapter):
    """For `Session.mount`; connections to proxies are opened alike."""

    def __init__(self, reach: Reach) -> None:
        self._pools = _pools_of(reach)
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **named: Any) -> None:
        """As the library does, with our pools."""
        super().init_poolmanager(*arguments, **named)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, proxy: str, **named: Any) -> PoolManager:
        """As the library does, with our pools."""
        manager: PoolManager = super().proxy_manager_for(proxy, **named)
        manager.pool_classes_by_scheme = self._pools
        return manager


def _pools_of(reach: Reach) -> _Pools:
    class Plain(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            return _connected(self, reach)

    class Encrypted(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            return _connected(self, reach)

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class EncryptedPool(HTTPSConnectionPool):
        ConnectionCls = Encrypted

    return {"http": PlainPool, "https": EncryptedPool}


def _connected(connection: HTTPConnection, reach: Reach) -> socket.socket:
    timeout_s = connection.timeout
    assert timeout_s is not None
    try:
        sock = reach.connect(
            connection._dns_host.strip("[]"),  # the name, or the proxy's, as urllib3 looks it up
            connection.port,
            timeout_s=timeout_s,
            options=_OPTIONS,
        )
    except socket.gaierror as error:
        raise NameResolutionError(connection.host, connection, error) from error
    except TimeoutError as error:
        raise ConnectTimeoutError(connection, str(error)) from error
    except (OSError, UnicodeError) as error:
        raise NewConnectionError(connection, str(error)) from error
    sock.settimeout(timeout_s)
    return sock
