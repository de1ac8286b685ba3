"""Requests off the bus, by a socket that holds what a test puts into it."""

from collections import deque
from pathlib import Path
from typing import Any, cast

import zmq

from binance_streamer.wire.frames import encode_frame
from services.rest.inbox import RequestInbox
from services.rest.tasks import Parts
from tests.support.rest_scene import RestScene


class Bus:
    def __init__(self) -> None:
        self.messages: deque[list[bytes]] = deque()

    def recv_multipart(self, flags: int) -> list[bytes]:
        assert flags == zmq.DONTWAIT
        if not self.messages:
            raise zmq.Again
        return self.messages.popleft()

    def put(self, **fields: object) -> None:
        data = {"symbol": "OTHERUSDT", "recv_ns": 1, "producer": "p", "epoch": 1, "seq": 1, "source": "local", **fields}
        self.messages.append([b"request.", encode_frame("request", data)])


def an_inbox(directory: Path) -> tuple[Bus, RestScene, RequestInbox]:
    """Its exchange lists OTHERUSDT alone."""
    scene, bus = RestScene(directory), Bus()
    scene.begin()
    parts = Parts(
        scene.pace, scene.meter, scene.listing, scene.snapshots, scene.backfill, scene.recorded, scene.oddities
    )
    return bus, scene, RequestInbox(cast("Any", bus), parts)


def test_requests_wait_in_their_queues(tmp_path: Path) -> None:
    bus, scene, inbox = an_inbox(tmp_path)
    bus.put(stream="depth_snapshot", reason="sequence", last_update_id=7)
    bus.put(stream="otherusdt@aggTrade", gap_id="g", from_id=10, to_id=20, from_ns=5)
    inbox.receive()
    assert (len(scene.snapshots), len(scene.backfill)) == (1, 1)
    assert (inbox.requests, inbox.refused_requests) == (2, 0)


def test_what_is_no_request_is_counted_and_costs_no_other(tmp_path: Path) -> None:
    bus, scene, inbox = an_inbox(tmp_path)
    bus.messages.extend([[b"request."], [b"request.", b"\xc1"]])
    bus.put(stream="depth_snapshot", reason="sequence", last_update_id=-1)
    bus.put(stream="depth_snapshot", reason="sequence", last_update_id=7)
    inbox.receive()
    assert (len(scene.snapshots), inbox.requests, inbox.refused_requests) == (1, 4, 3)


def test_a_snapshot_of_a_symbol_that_is_not_listed_is_refused_and_its_rows_are_answered(tmp_path: Path) -> None:
    bus, scene, inbox = an_inbox(tmp_path)
    bus.put(symbol="GONEUSDT", stream="depth_snapshot", reason="sequence", last_update_id=7)
    bus.put(symbol="GONEUSDT", stream="goneusdt@aggTrade", gap_id="g", from_id=10, to_id=20, from_ns=5)
    inbox.receive()
    (answer,) = scene.recorded.live
    assert (answer.data["gap_id"], answer.data["refusal"]) == ("g", "the exchange does not list the symbol")
    assert (len(scene.snapshots), len(scene.backfill), inbox.refused_requests) == (0, 0, 1)


def test_a_flood_leaves_the_loop_its_turn(tmp_path: Path) -> None:
    bus, _, inbox = an_inbox(tmp_path)
    for _ in range(1500):
        bus.put(stream="depth_snapshot", reason="sequence", last_update_id=7)
    inbox.receive()
    assert (inbox.requests, len(bus.messages)) == (1000, 500)
