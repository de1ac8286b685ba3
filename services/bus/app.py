"""The bus: one address to publish to, one to subscribe to, and libzmq's own loop between them."""

import contextlib
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import zmq

from binance_streamer.sockets import bus_pub, bus_xpub, bus_xsub, steering_pair
from services.runtime.bound import BoundPaths
from services.runtime.clock import monotonic_s
from services.runtime.lock import endpoint_lock_path, wait_for_lock
from services.runtime.process import Shell, arguments_of, run_service
from services.runtime.status import StatusPublisher

_CONTROL = "inproc://bus.control"
_ANSWER_TIMEOUT_MS = 5000  # the proxy looks at its control socket in every round


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the bus until SIGTERM; returns the exit code."""
    parser = arguments_of(
        "services.bus",
        "Forwards what every process publishes to whoever subscribes.",
        "python -m services.bus -c config/streamer.yaml",
    )
    return run_service("bus", parser.parse_args(arguments).config, forward)


def forward(shell: Shell) -> None:
    """Forward until asked to stop."""
    with contextlib.ExitStack() as held:
        for endpoint in (shell.config.endpoints.bus_publish, shell.config.endpoints.bus_subscribe):
            path = endpoint_lock_path(endpoint)
            lock = path and wait_for_lock(path, f"the endpoint {endpoint}", shell.stop)
            if path and lock is None:
                return
            if lock:
                held.callback(lock.release)
        with _proxy(shell) as proxy:
            _tell_until_stopped(shell, proxy)


class _Proxy:
    """`zmq_proxy_steerable` in a thread of its own; what it forwards never meets the interpreter."""

    def __init__(self, shell: Shell) -> None:
        endpoints = shell.config.endpoints
        context = shell.context
        self._publishers = bus_xsub(context, endpoints.bus_publish)
        self._subscribers = bus_xpub(context, endpoints.bus_subscribe)
        self._steered, self._control = steering_pair(context, _CONTROL)
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        zmq.proxy_steerable(self._publishers, self._subscribers, control=self._steered)

    def statistics(self) -> dict[str, int]:
        """Messages and bytes in and out since the start; RuntimeError when the proxy is gone."""
        self._control.send(b"STATISTICS")
        if not self._control.poll(_ANSWER_TIMEOUT_MS):
            raise RuntimeError("the proxy does not answer")
        counts = [int.from_bytes(part, "little") for part in self._control.recv_multipart()]
        # zmq_proxy_steerable(3): received and sent by the frontend (publishers), then by the backend (subscribers)
        return {"messages_in": counts[0], "bytes_in": counts[1], "messages_out": counts[6], "bytes_out": counts[7]}

    def close(self) -> None:
        self._control.send(b"TERMINATE")
        self._thread.join()
        for socket in (self._publishers, self._subscribers, self._steered, self._control):
            socket.close(linger=0)


@contextlib.contextmanager
def _proxy(shell: Shell) -> Iterator[_Proxy]:
    proxy = _Proxy(shell)
    try:
        yield proxy
    finally:
        proxy.close()


def _tell_until_stopped(shell: Shell, proxy: _Proxy) -> None:
    pub = bus_pub(shell.context, shell.config.endpoints.bus_publish)
    status = StatusPublisher(shell, pub)
    bound = BoundPaths(shell, (shell.config.endpoints.bus_publish, shell.config.endpoints.bus_subscribe))
    shell.log.info("forwarding from=%s to=%s", shell.config.endpoints.bus_publish, shell.config.endpoints.bus_subscribe)
    try:
        while not shell.stop.wait(status.wait_s(monotonic_s())):
            fields: dict[str, Any] = {"state": "forwarding", **proxy.statistics()}
            status.publish(fields)
            bound.end_if_lost()
    finally:
        pub.close(linger=0)
