"""All ZeroMQ sockets are made here, with the options of docs/wire.md.

A bound socket has a ZAP domain even without security: otherwise libzmq takes a stranger's bytes (a port
scanner's, say) for messages. Sockets of a `curve.Context` with keys are encrypted; without keys nothing is bound where
other machines reach it, unless the context allows that. libzmq takes an ipc path away from a living process without a
word: whoever binds holds the lock of `services.runtime.lock` first.
"""

import os
from pathlib import Path
from socket import AF_INET, SOCK_STREAM, getaddrinfo

import zmq

from binance_streamer.config.endpoints import is_local, named_host
from binance_streamer.transport.curve import ZAP_DOMAIN, Context, KeyFileError
from binance_streamer.wire.frames import MAX_MESSAGE_BYTES

MAX_CONTROL_BYTES = 4 * 1024
MAX_SUBSCRIPTION_BYTES = 512
"""With its envelope; a handshake with keys needs as much. Short, because libzmq takes in the subscriptions of one
subscriber as long as they come faster than it works, and does nothing else: 4000 bytes each stop it for minutes."""
MAX_QUERY_BYTES = 64 * 1024
MAX_ANSWER_BYTES = 64 * 1024 * 1024
"""Of the whole book: 30 bytes a level, and no end to the levels that the exchange may list."""
MAX_IPC_PATH_BYTES = 107
"""sun_path of unix(7), less the final zero."""

_POLLIN, _POLLOUT = int(zmq.POLLIN), int(zmq.POLLOUT)  # enums take as long to be compared as the rest of the look
_PUBLISH_HWM = 10_000
_SUBSCRIPTIONS_BUFFER_BYTES = 64 * 1024
"""Of a subscriber's in the kernel: tcp would let a flood grow it to 6 MB, 40 times as much in libzmq."""
_ANY_NUMBER = 0
"""Of subscriptions on their way: libzmq drops those beyond SNDHWM (1000) without a word."""
# after 10 s of silence 4 probes 5 s apart; 20 s for what was sent and is not acknowledged
_KEEPALIVE = (
    (zmq.TCP_KEEPALIVE, 1),
    (zmq.TCP_KEEPALIVE_IDLE, 10),
    (zmq.TCP_KEEPALIVE_INTVL, 5),
    (zmq.TCP_KEEPALIVE_CNT, 4),
    (zmq.TCP_MAXRT, 20_000),
)


class EndpointError(OSError):
    """An endpoint that cannot be bound or connected; the text says what to do."""


def intake_push(context: "zmq.Context[zmq.Socket[bytes]]", endpoint: str) -> "zmq.Socket[bytes]":
    """A producer's PUSH to the writer: two batches in flight, never more, and none kept for a writer that is away."""
    push = context.socket(zmq.PUSH)
    push.setsockopt(zmq.IMMEDIATE, 1)
    push.setsockopt(zmq.SNDHWM, 2)
    return _connected(push, endpoint)


def intake_pull(context: "zmq.Context[zmq.Socket[bytes]]", endpoint: str) -> "zmq.Socket[bytes]":
    """Return the writer's PULL, bound, to which all producers push."""
    pull = context.socket(zmq.PULL)
    pull.setsockopt(zmq.RCVHWM, 2)
    return _bound(pull, endpoint, max_bytes=MAX_MESSAGE_BYTES)


def acks_xpub(context: "zmq.Context[zmq.Socket[bytes]]", endpoint: str) -> "zmq.Socket[bytes]":
    """The writer's XPUB of acknowledgements, bound; every subscription is reported, repeated ones too."""
    return _xpub(context, endpoint, most_waiting=1000)


def acks_sub(context: "zmq.Context[zmq.Socket[bytes]]", endpoint: str, producer: str) -> "zmq.Socket[bytes]":
    """A producer's SUB of its own acknowledgements; longer names that begin alike come too."""
    sub = context.socket(zmq.SUB)
    sub.setsockopt(zmq.MAXMSGSIZE, MAX_CONTROL_BYTES)
    sub.setsockopt(zmq.SUBSCRIBE, producer.encode())
    return _connected(sub, endpoint)


def bus_pub(context: "zmq.Context[zmq.Socket[bytes]]", endpoint: str) -> "zmq.Socket[bytes]":
    """A process's PUB to the bus; a bus that is away costs nothing (IMMEDIATE), a slow one loses live messages only."""
    pub = context.socket(zmq.PUB)
    pub.setsockopt(zmq.IMMEDIATE, 1)
    pub.setsockopt(zmq.SNDHWM, _PUBLISH_HWM)
    return _connected(pub, endpoint)


def bus_sub(context: "zmq.Context[zmq.Socket[bytes]]", endpoint: str, *topics: bytes) -> "zmq.Socket[bytes]":
    """A SUB from the bus for these topic prefixes (b"" for everything)."""
    sub = context.socket(zmq.SUB)
    sub.setsockopt(zmq.RCVHWM, _PUBLISH_HWM)
    sub.setsockopt(zmq.SNDHWM, _ANY_NUMBER)
    sub.setsockopt(zmq.MAXMSGSIZE, MAX_MESSAGE_BYTES)
    for topic in topics:
        sub.setsockopt(zmq.SUBSCRIBE, topic)
    return _connected(sub, endpoint)


def bus_intake(context: "zmq.Context[zmq.Socket[bytes]]", endpoint: str, *topics: bytes) -> "zmq.Socket[bytes]":
    """The SUB that everybody publishes to, bound; what it subscribes to is all that publishers ever hear of."""
    sub = context.socket(zmq.SUB)
    sub.setsockopt(zmq.RCVHWM, _PUBLISH_HWM)
    sub.setsockopt(zmq.SNDHWM, _ANY_NUMBER)
    for topic in topics:
        sub.setsockopt(zmq.SUBSCRIBE, topic)
    return _bound(sub, endpoint, max_bytes=MAX_MESSAGE_BYTES)


def bus_xpub(context: "zmq.Context[zmq.Socket[bytes]]", endpoint: str) -> "zmq.Socket[bytes]":
    """The XPUB that everybody subscribes at, bound; a full subscriber loses messages, nobody waits for it."""
    xpub = _xpub(context, endpoint, most_waiting=_PUBLISH_HWM)
    xpub.setsockopt(zmq.XPUB_NODROP, 0)
    return xpub


def replay_xpub(context: "zmq.Context[zmq.Socket[bytes]]", endpoint: str) -> "zmq.Socket[bytes]":
    """An XPUB like that of the bus, bound, which loses nothing: a send waits for the slowest subscriber."""
    xpub = _xpub(context, endpoint, most_waiting=_PUBLISH_HWM)
    xpub.setsockopt(zmq.XPUB_NODROP, 1)
    return xpub


def _xpub(context: "zmq.Context[zmq.Socket[bytes]]", endpoint: str, *, most_waiting: int) -> "zmq.Socket[bytes]":
    """An XPUB for `runtime.network.subscriptions`: each subscription and its end is told, and one waits at a time."""
    xpub = context.socket(zmq.XPUB)
    xpub.setsockopt(zmq.XPUB_VERBOSER, 1)
    xpub.setsockopt(zmq.RCVHWM, 2)  # with keys libzmq counts one that never arrives: 1 would let nothing through
    xpub.setsockopt(zmq.RCVBUF, _SUBSCRIPTIONS_BUFFER_BYTES)
    xpub.setsockopt(zmq.SNDHWM, most_waiting)
    return _bound(xpub, endpoint, max_bytes=MAX_SUBSCRIPTION_BYTES)


def query_router(context: "zmq.Context[zmq.Socket[bytes]]", endpoint: str) -> "zmq.Socket[bytes]":
    """Where the order book service is asked, bound; who does not read its answers loses them."""
    router = context.socket(zmq.ROUTER)
    router.setsockopt(zmq.ROUTER_HANDOVER, 1)
    router.setsockopt(zmq.SNDHWM, 16)  # an answer may have half a megabyte
    router.setsockopt(zmq.RCVHWM, 100)
    return _bound(router, endpoint, max_bytes=MAX_QUERY_BYTES)


def query_dealer(context: "zmq.Context[zmq.Socket[bytes]]", endpoint: str) -> "zmq.Socket[bytes]":
    """Return the DEALER of a client that asks it; nothing is kept for a service that is away."""
    dealer = context.socket(zmq.DEALER)
    dealer.setsockopt(zmq.IMMEDIATE, 1)
    dealer.setsockopt(zmq.MAXMSGSIZE, MAX_ANSWER_BYTES)
    return _connected(dealer, endpoint)


def is_readable(socket: "zmq.Socket[bytes]") -> bool:
    """Return True when a message waits. It costs a fraction of a receive that raises `zmq.Again`."""
    return bool(int(socket.getsockopt(zmq.EVENTS)) & _POLLIN)


def is_writable(socket: "zmq.Socket[bytes]") -> bool:
    """Return True when the socket would take a message now."""
    return bool(int(socket.getsockopt(zmq.EVENTS)) & _POLLOUT)


def _connected(socket: "zmq.Socket[bytes]", endpoint: str) -> "zmq.Socket[bytes]":
    _set_common(socket, endpoint)
    socket.setsockopt(zmq.RECONNECT_IVL, 50)
    socket.setsockopt(zmq.RECONNECT_IVL_MAX, 200)
    try:
        _check_ipc_length(endpoint)
        if isinstance(socket.context, Context) and socket.context.keys:
            socket.context.keys.secure_connecting(socket)
        socket.connect(endpoint)
    except EndpointError:
        socket.close()
        raise
    except zmq.ZMQError as error:
        socket.close()
        raise EndpointError(f"cannot connect to {endpoint}: {error}; expected ipc://PATH or tcp://HOST:PORT") from error
    return socket


def _bound(socket: "zmq.Socket[bytes]", endpoint: str, *, max_bytes: int) -> "zmq.Socket[bytes]":
    address = _by_address(endpoint)
    _set_common(socket, address)
    socket.setsockopt(zmq.ZAP_DOMAIN, ZAP_DOMAIN)
    if socket.type == zmq.XPUB:
        # a subscription behind another part is none: libzmq swallows it where it repeats one, and its reader then waits
        # for the rest of that message for ever (4.3.5, seen: one stranger stopped the bus)
        socket.setsockopt(zmq.ONLY_FIRST_SUBSCRIBE, 1)
    socket.setsockopt(zmq.MAXMSGSIZE, max_bytes)
    try:
        _check_ipc_length(endpoint)
        _make_ipc_directory(endpoint)
        _secure(socket, endpoint)
        socket.bind(address)
    except (EndpointError, KeyFileError):
        socket.close()
        raise
    except zmq.ZMQError as error:
        socket.close()
        raise EndpointError(f"cannot bind {endpoint}: {error}; is another instance running?") from error
    return socket


def _by_address(endpoint: str) -> str:
    """Return the address to bind: libzmq takes addresses and names of interfaces, no host name (as compose gives)."""
    host = named_host(endpoint)
    if host is None:
        return endpoint
    try:
        found = getaddrinfo(host, None, type=SOCK_STREAM)
    except OSError:
        return endpoint  # an interface, or libzmq says what is wrong
    address = min(found, key=lambda entry: entry[0] != AF_INET)[4][0]
    quoted = f"[{address}]" if ":" in str(address) else str(address)
    return endpoint.replace(f"tcp://{host}:", f"tcp://{quoted}:")


def _set_common(socket: "zmq.Socket[bytes]", endpoint: str) -> None:
    socket.setsockopt(zmq.LINGER, 0)
    if "[" in endpoint:  # without it libzmq knows no address like tcp://[::1]:5555
        socket.setsockopt(zmq.IPV6, 1)
    # a client that is refused is left standing by libzmq until this time is over (default 30 s), then it tries again
    socket.setsockopt(zmq.HANDSHAKE_IVL, 5000)
    # A peer that vanished without a FIN is noticed by TCP, within 30 s. Not by ZMTP heartbeats: where a receiver stands
    # still with a full queue and its peer ends, the next beat aborts the process (libzmq issues 3937, 4364 and 4767,
    # open; 4.3.5: a writer that waits for its disk, and a killed producer).
    for option, value in _KEEPALIVE:
        socket.setsockopt(option, value)


def _check_ipc_length(endpoint: str) -> None:
    path = endpoint.removeprefix("ipc://")
    if path != endpoint and len(path.encode()) > MAX_IPC_PATH_BYTES:
        raise EndpointError(
            f"endpoint {endpoint}: an ipc path has at most {MAX_IPC_PATH_BYTES} bytes; set a shorter run_directory"
        )


def _secure(socket: "zmq.Socket[bytes]", endpoint: str) -> None:
    context = socket.context
    if isinstance(context, Context):
        context.secure_binding(socket, _admission_router)
        if context.keys or context.allows_plain:
            return
    if not is_local(endpoint):
        raise EndpointError(
            f"{endpoint} is open to other machines: it needs endpoints.curve_directory, or endpoints.insecure: true"
        )


def _admission_router(context: Context) -> "zmq.Socket[bytes]":
    router = context.socket(zmq.ROUTER)
    router.setsockopt(zmq.LINGER, 0)
    router.bind("inproc://zeromq.zap.01")  # libzmq asks there who may connect (RFC 27)
    return router


def _make_ipc_directory(endpoint: str) -> None:
    """The directory of an ipc socket keeps others out: the socket's own mode comes from the umask."""
    path = endpoint.removeprefix("ipc://")
    if path == endpoint:
        return
    directory = Path(path).parent
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = directory.stat()
    except OSError as error:
        raise EndpointError(f"cannot make the directory of {endpoint}: {error}") from error
    # not narrowed by us: it may be somebody's home, or /tmp
    if status.st_uid != os.geteuid() or status.st_mode & 0o077:
        raise EndpointError(
            f"{directory} lets others reach {endpoint} (uid {status.st_uid}, mode {status.st_mode & 0o777:o}): "
            f"expected uid {os.geteuid()}, mode 700: use another run_directory, or chmod 700 {directory}"
        )
