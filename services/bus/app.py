"""The bus: one address to publish to, one to subscribe at, and one thread that forwards between them.

Publishers are asked for what somebody subscribes to, in few prefixes (decision 0070). What subscribers send reaches
them in no other form (decision 0021), and a flood of it is ended (decision 0049). The thread sleeps until a message or
a subscription comes, or a status is due (decision 0091).
"""

import contextlib
import math
from collections.abc import Sequence
from typing import Any

import msgspec
import zmq

from binance_streamer.transport.sockets import bus_intake, bus_pub, bus_xpub
from binance_streamer.wire.statuses import BusStatus
from services.bus.wanted import Wanted
from services.runtime.bound_paths import BoundPaths
from services.runtime.clock import monotonic_s
from services.runtime.lock import held_endpoint
from services.runtime.network.subscriptions import Subscriptions
from services.runtime.process import Shell, arguments_of, run_service, settle
from services.runtime.status import StatusPublisher

_MOST_A_TURN = 1000
"""Messages forwarded between two looks at subscriptions and timers: some milliseconds of work."""
_FEW = 10
"""Messages behind which it looks whether another one has come: cheaper than the exception where none has."""
_IN = int(zmq.POLLIN)
_LAST, _MORE = int(zmq.DONTWAIT), int(zmq.DONTWAIT | zmq.SNDMORE)


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
    endpoints = shell.config.endpoints
    with contextlib.ExitStack() as held:
        for endpoint in (endpoints.bus_publish, endpoints.bus_subscribe):
            held.enter_context(held_endpoint(shell, endpoint))
        publishers = held.enter_context(bus_intake(shell.context, endpoints.bus_publish))
        subscribers = held.enter_context(bus_xpub(shell.context, endpoints.bus_subscribe))
        subscriptions = held.enter_context(contextlib.closing(Subscriptions(subscribers)))
        _Bus(shell, publishers, subscribers, subscriptions).run()


class _Bus:
    """Forwards messages, sees who subscribes to what, and asks publishers for that."""

    def __init__(
        self,
        shell: Shell,
        publishers: "zmq.Socket[bytes]",
        subscribers: "zmq.Socket[bytes]",
        subscriptions: Subscriptions,
    ) -> None:
        self._shell = shell
        self._publishers = publishers
        self._subscribers = subscribers
        self._subscriptions = subscriptions
        self._wanted = Wanted(publishers)
        self._messages = self._bytes = 0

    def run(self) -> None:
        """Forward until asked to stop, and publish a status each second."""
        settle()
        endpoints = self._shell.config.endpoints
        publishers, subscribers, stop = self._publishers, self._subscribers, self._shell.stop
        readable: list[tuple[Any, int]] = [(publishers, _IN), (subscribers, _IN), (stop.fileno(), _IN)]
        with bus_pub(self._shell.context, endpoints.bus_publish) as pub:
            status = StatusPublisher(self._shell, pub)
            bound = BoundPaths(self._shell, (endpoints.bus_publish, endpoints.bus_subscribe))
            self._shell.log.info("forwarding from=%s to=%s", endpoints.bus_publish, endpoints.bus_subscribe)
            while not stop.requested:
                ready = dict(zmq.zmq_poll(readable, math.ceil(status.wait_s(monotonic_s()) * 1000)))
                if publishers in ready:
                    self._forward()
                if subscribers in ready:
                    self._wanted.widen(self._subscriptions.take())
                else:
                    self._subscriptions.note_end()
                if status.due(monotonic_s()):
                    self._wanted.narrow(self._subscriptions.topics)
                    status.publish(self._status())
                    bound.end_if_lost()

    def _forward(self) -> None:
        """Forward the messages that have come, up to `_MOST_A_TURN`, without copying them."""
        receive = self._publishers.recv
        # without the wrapper of pyzmq, whose options are not used here: it takes longer than the sending
        send = super(zmq.Socket, self._subscribers).send
        publishers = [(self._publishers, _IN)]
        for count in range(_MOST_A_TURN):
            if 0 < count < _FEW and not zmq.zmq_poll(publishers, 0):
                return
            try:
                part = receive(_LAST, copy=False)
            except zmq.Again:
                return
            while part.more:
                self._bytes += len(part)
                send(part, _MORE, copy=False)
                part = receive(_LAST, copy=False)
            self._bytes += len(part)
            send(part, _LAST, copy=False)
            self._messages += 1

    def _status(self) -> BusStatus:
        counts = {"messages_in": self._messages, "bytes_in": self._bytes}
        counts |= {"messages_out": self._messages, "bytes_out": self._bytes, **self._subscriptions.status()}
        return msgspec.structs.replace(BusStatus(state="forwarding"), **counts)
