"""A process ends in order where its sockets' paths are no longer its own."""

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq

from binance_streamer.config import schema as configuration
from services.runtime.bound_paths import BoundPaths
from services.runtime.process import Shell, Stop
from tests.support.configs import write_config


@pytest.fixture
def shell(place: Path) -> Iterator[Shell]:
    path = write_config(place, {"BTCUSDT": ["aggTrade"]}, {})
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    made = Shell("bus", configuration.load(path), path, Stop(), context)
    yield made
    made.stop.close()
    context.destroy()


def bind(path: Path) -> socket.socket:
    made = socket.socket(socket.AF_UNIX)
    made.bind(str(path))
    return made


def test_paths_that_are_there_end_nobody(shell: Shell, place: Path) -> None:
    with bind(place / "one"), bind(place / "two"):
        bound = BoundPaths(shell, (f"ipc://{place}/one", "tcp://127.0.0.1:5555", f"ipc://{place}/two"))
        bound.end_if_lost()
        assert not shell.stop.requested


@pytest.mark.parametrize("what", ["deleted", "replaced", "folder deleted"])
def test_a_path_that_is_lost_ends_the_process(shell: Shell, place: Path, what: str) -> None:
    folder = place / "run"
    folder.mkdir()
    with contextlib.ExitStack() as stack:
        stack.enter_context(bind(folder / "one"))
        bound = BoundPaths(shell, (f"ipc://{folder}/one",))
        (folder / "one").rename(place / "away")  # its number is not given to the next one
        if what == "replaced":
            stack.enter_context(bind(folder / "one"))
        if what == "folder deleted":
            folder.rmdir()
        bound.end_if_lost()
        assert shell.stop.requested
