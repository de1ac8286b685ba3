"""The bus: one address to publish to, one to subscribe at, and libzmq's own loop between them.

Publishers are asked for what somebody subscribes to, in few prefixes (decision 0070). What subscribers send reaches
them in no other form (decision 0021), and a flood of it is ended (decision 0049).
"""

import contextlib
import threading
from collections.abc import Sequence

import msgspec
import zmq

from binance_streamer.transport.sockets import bus_intake, bus_pub, bus_xpub, steering_pair
from binance_streamer.wire.statuses import BusStatus
from services.bus.wanted import Wanted
from services.runtime.bound_paths import BoundPaths
from services.runtime.clock import monotonic_s
from services.runtime.lock import held_endpoint
from services.runtime.network.subscriptions import Subscriptions
from services.runtime.process import Shell, arguments_of, run_service
from services.runtime.status import StatusPublisher

_CONTROL = "inproc://bus.control"
_ANSWER_S = 60.0
"""The longest that the proxy may take for one call of libzmq, and then looks at its control socket. Floods of
subscriptions cost it half a second of CPU time; with a twentieth of a core that is ten seconds."""
_LOOK_MS = 1000
_END_S = 10.0
"""Of the proxy, at the end of the process; supervisord waits longer for that."""
_SLICE_S = 0.05
"""New subscriptions wait for the end of a slice, at most so long. Beginning another one takes 40 µs."""
_NARROW_S = 1.0
"""A publisher is asked so much longer for what nobody wants any more: who comes and goes costs it nothing each time."""
_COUNTS = {"messages_in": 0, "bytes_in": 1, "messages_out": 6, "bytes_out": 7}
"""zmq_proxy_steerable(3): received and sent by the frontend (publishers), then by the backend (subscribers)."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the bus until SIGTERM; returns the exit code."""
    parser = arguments_of(
        "services.bus",
        "Forwards what every process publishes to whoever subscribes.",
        "python -m services.bus -c config/streamer.yaml",
    )
    return run_service("bus", parser.parse_args(arguments).config, forward)


def forward(shell: Shell) -> None:
    """Forward until asked to stop, as the only owner of the two endpoints."""
    with contextlib.ExitStack() as held:
        for endpoint in (shell.config.endpoints.bus_publish, shell.config.endpoints.bus_subscribe):
            held.enter_context(held_endpoint(shell, endpoint))
        with contextlib.closing(_Proxy(shell)) as proxy:
            _publish_status_until_stopped(shell, proxy)


class _Proxy:
    """`zmq_proxy_steerable` in a thread of its own; what it forwards never meets the interpreter.

    It runs in slices. libzmq cannot forward a subscription to a SUB, so all of them wait until a slice is over.
    """

    def __init__(self, shell: Shell) -> None:
        endpoints = shell.config.endpoints
        context = shell.context
        self._publishers = bus_intake(context, endpoints.bus_publish)
        self._subscribers = bus_xpub(context, endpoints.bus_subscribe)
        self.subscriptions = Subscriptions(self._subscribers)
        self._wanted = Wanted(self._publishers)
        self._steered, self._control = steering_pair(context, _CONTROL)
        self._counts = dict.fromkeys(_COUNTS, 0)
        self._is_closing = False
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        narrowed_s = monotonic_s()
        while not self._is_closing:
            zmq.proxy_steerable(self._publishers, self._subscribers, control=self._steered)
            if self.subscriptions.take():
                self._wanted.widen(self.subscriptions.topics)
            if monotonic_s() - narrowed_s > _NARROW_S:
                narrowed_s = monotonic_s()
                self._wanted.narrow(self.subscriptions.topics)

    @property
    def counts(self) -> dict[str, int]:
        """Messages and bytes, in and out, since the start."""
        return dict(self._counts)

    def end_slice(self) -> None:
        """Begin the next slice, and add this one to `counts`; RuntimeError when the proxy is gone."""
        self._command(b"PAUSE")  # so that nothing goes uncounted
        parts = self._command(b"STATISTICS")
        for name, part in _COUNTS.items():
            self._counts[name] += int.from_bytes(parts[part], "little")
        self._command(b"TERMINATE")

    def _command(self, word: bytes) -> list[bytes]:
        self._control.send(word)
        deadline_s = monotonic_s() + _ANSWER_S
        while not self._control.poll(_LOOK_MS):
            if not self._thread.is_alive() or monotonic_s() > deadline_s:
                raise RuntimeError("the proxy does not answer")
        return self._control.recv_multipart()

    def close(self) -> None:
        """End the thread and close the sockets, unless it does not end: what a thread uses must not be closed."""
        self._is_closing = True
        self._control.send(b"TERMINATE")
        self._thread.join(_END_S)
        if self._thread.is_alive():
            raise RuntimeError("the proxy does not end")
        self.subscriptions.close()
        for socket in (self._publishers, self._subscribers, self._steered, self._control):
            socket.close(linger=0)


def _publish_status_until_stopped(shell: Shell, proxy: _Proxy) -> None:
    pub = bus_pub(shell.context, shell.config.endpoints.bus_publish)
    status = StatusPublisher(shell, pub)
    bound = BoundPaths(shell, (shell.config.endpoints.bus_publish, shell.config.endpoints.bus_subscribe))
    shell.log.info("forwarding from=%s to=%s", shell.config.endpoints.bus_publish, shell.config.endpoints.bus_subscribe)
    try:
        while not shell.stop.wait(_SLICE_S):
            proxy.end_slice()
            if status.due(monotonic_s()):
                counts = {**proxy.counts, **proxy.subscriptions.status()}
                status.publish(msgspec.structs.replace(BusStatus(state="forwarding"), **counts))
                bound.end_if_lost()
    finally:
        pub.close(linger=0)
