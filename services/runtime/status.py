"""Publishes the status message of a process on the bus, once a second."""

import os
from itertools import islice
from typing import Any

import msgspec
import zmq

from binance_streamer.wire.frames import encode_frame, encode_topic
from binance_streamer.wire.statuses import Status, status_data
from services.runtime.clock import monotonic_s, wall_ns
from services.runtime.process import Shell, cpu_s, rss_bytes

INTERVAL_S = 1.0
_MAX_LABELS = 5000
"""Of one map. Names of streams and producers come off the wire, and the whole has to pass the bus (8 MiB)."""


def bounded(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields with at most so many entries in each map, the first ones; `cut` says how many there were."""
    cut = {key: len(value) for key, value in fields.items() if isinstance(value, dict) and len(value) > _MAX_LABELS}
    if not cut:
        return fields
    return {**fields, **{key: dict(islice(fields[key].items(), _MAX_LABELS)) for key in cut}, "cut": cut}


class StatusPublisher:
    """Publishes the status message of this process, once a second."""

    def __init__(self, shell: Shell, pub: "zmq.Socket[bytes]") -> None:
        self._shell = shell
        self._pub = pub
        self._topic = encode_topic("status", shell.name)
        self._started_ns = wall_ns()
        self._started_s = monotonic_s()
        self._seq = 0
        self._next_s = 0.0

    def due(self, now_s: float) -> bool:
        """Return True when a second has passed since the last status."""
        return now_s >= self._next_s

    def wait_s(self, now_s: float) -> float:
        """Return the seconds until the next status is due, 0 when it is due."""
        return max(0.0, self._next_s - now_s)

    def publish(self, status: Status) -> None:
        """Publish this status, with the fields that all processes share filled in."""
        self._next_s = monotonic_s() + INTERVAL_S
        self._seq += 1
        status = msgspec.structs.replace(
            status,
            producer=self._shell.name,
            epoch=self._shell.epoch,
            recv_ns=wall_ns(),
            seq=self._seq,
            pid=os.getpid(),
            started_ns=self._started_ns,
            up_s=round(monotonic_s() - self._started_s, 3),
            rss_bytes=rss_bytes(),
            cpu_s=cpu_s(),
        )
        frame = encode_frame("status", bounded(status_data(status)))
        self._pub.send_multipart([self._topic, frame], zmq.DONTWAIT)
