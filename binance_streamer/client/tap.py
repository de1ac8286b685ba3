"""Live messages off the bus, for whoever wants to look: a tap takes nothing from anybody and slows nobody.

A tap that falls behind loses messages; the hole shows in `seq`, which counts without one per producer, epoch and topic.
"""

import math
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from binance_streamer.config.endpoints import host_and_port
from binance_streamer.transport.curve import Context, keys_of
from binance_streamer.transport.sockets import bus_sub
from binance_streamer.wire.frames import Topic, WireError, decode_frame, decode_topic

if TYPE_CHECKING:
    from binance_streamer.client.history import History
    from binance_streamer.days.reading.instants import Instant

_CONNECT_S = 1.0


class Tapped(NamedTuple):
    """One message. `data["event"]`, where there is one, is the exchange's JSON as bytes: `json.loads` reads it."""

    topic: Topic
    stream_type: str
    data: dict[str, Any]


class HistoryError(Exception):
    """The history that is asked for cannot be given; the text says why, and what to do."""


class Tap:
    """Iterate over it for ever: `for topic, stream_type, data in Tap(endpoint, ["depth.BTCUSDT."])`.

    `topics` are prefixes; the last dot of `depth.BTCUSDT.` keeps BTCUSDT_260925 out. Without any, everything comes.
    A message that breaks the wire contract is dropped and counted in `refused`. `curve_directory` names the keys for a
    bus that asks for them (docs/security.md); `KeyFileError` where they cannot be used.

    With `history_from`, an instant as `days.Recording` takes them, the recorded messages received from then on come
    first, and live ones behind them: each topic in the order of `seq`, each message once, and what is lost live comes
    from the files, too. `recording` is the place of these files, by default that of the configuration. It needs the
    extra `days`; `HistoryError` where a topic has none, the start has not come yet, or a file cannot be read.
    """

    def __init__(
        self,
        endpoint: str,
        topics: Sequence[str] = (),
        *,
        curve_directory: str = "",
        history_from: "Instant | None" = None,
        recording: str | Path | None = None,
    ) -> None:
        self.refused = 0
        wanted = [*topics] or [""]
        self._history: History | None = None
        self._context = Context(keys_of(curve_directory))
        if history_from is None:
            self._sub = bus_sub(self._context, endpoint, *(topic.encode() for topic in wanted))
            return
        from binance_streamer.client import history  # noqa: PLC0415 (an extra may be missing)

        # before the files are looked at: what is missed until the bus knows of it is behind what they have
        self._sub = bus_sub(self._context, endpoint, *(topic.encode() for topic in {*wanted, history.WRITER_STATUS}))
        try:
            self._history = history.History(wanted, history_from, recording, self._receive)
        except BaseException:
            self.close()
            raise

    def receive(self, timeout_s: float) -> Tapped | None:
        """Return the next message; None when none has come within `timeout_s` seconds."""
        if self._history is not None:
            found = self._history.receive(timeout_s)
            return found and Tapped(*found)
        live = self._receive(timeout_s)
        return live and live[0]

    def _receive(self, timeout_s: float) -> tuple[Tapped, int] | None:
        """Return the next live message and the bytes of its frame."""
        while self._sub.poll(math.ceil(timeout_s * 1000)):
            parts = self._sub.recv_multipart()
            try:
                return _tapped(parts), len(parts[-1])
            except WireError:
                self.refused += 1
        return None

    def __iter__(self) -> Iterator[Tapped]:
        while True:
            message = self.receive(1)
            if message is not None:
                yield message

    def close(self) -> None:
        """Leave the bus, and free what waits unread."""
        if self._history is not None:
            self._history.close()
        self._context.destroy(linger=0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()


def is_listening(endpoint: str) -> bool:
    """Return True if a process listens at this endpoint now, whatever it is; asked by the operating system's means.

    A ZeroMQ socket itself connects to nobody without a word, and goes on trying. A host that does not answer within
    `_CONNECT_S` seconds counts as nobody.
    """
    try:
        if endpoint.startswith("tcp://"):
            socket.create_connection(host_and_port(endpoint.removeprefix("tcp://")), _CONNECT_S).close()
            return True
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_CONNECT_S)
            connection.connect(endpoint.removeprefix("ipc://"))
    except OSError:
        return False
    return True


def _tapped(parts: list[bytes]) -> Tapped:
    if len(parts) != 2:
        raise WireError(f"message: expected [topic, frame], got {len(parts)} parts")
    return Tapped(decode_topic(parts[0]), *decode_frame(parts[1]))
