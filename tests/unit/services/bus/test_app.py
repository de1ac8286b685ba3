"""The bus between two slices of libzmq's loop."""

import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import zmq

from binance_streamer.config.schema import load
from binance_streamer.transport.curve import Context
from services.bus import app
from services.runtime.process import Shell, Stop
from tests.support.configs import write_config


@pytest.fixture
def shell(place: Path) -> Iterator[Shell]:
    (place / "run").mkdir(mode=0o700)
    path = write_config(place, {"BTCUSDT": ["aggTrade"]}, {})
    with closing(Stop()) as stop:
        context = Context()
        yield Shell("bus", load(path), path, stop, context)
        context.destroy(linger=0)


def test_a_proxy_that_is_busy_for_longer_than_a_look_is_waited_for(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A flood of subscriptions keeps it in one call; on a machine without a processor to spare for many seconds."""
    monkeypatch.setattr(app, "_LOOK_MS", 10)
    busy, original, looks = threading.Event(), zmq.proxy_steerable, []

    def proxy(*sockets: Any, **named: Any) -> None:
        busy.wait()
        original(*sockets, **named)

    monkeypatch.setattr(zmq, "proxy_steerable", proxy)
    with closing(app._Proxy(shell)) as running:
        poll = running._control.poll

        def look(timeout_ms: int) -> int:
            looks.append(timeout_ms)
            if len(looks) == 3:
                busy.set()
            return poll(timeout_ms)

        monkeypatch.setattr(running, "_control", _Control(running._control, look))
        running.end_slice()
        assert len(looks) >= 3
        assert running.counts["messages_in"] == 0


class _Control:
    """The control socket of a proxy, with a poll that a test sees."""

    def __init__(self, socket: "zmq.Socket[bytes]", poll: Any) -> None:
        self.poll = poll
        self.send, self.recv_multipart, self.close = socket.send, socket.recv_multipart, socket.close
