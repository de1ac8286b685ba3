"""Requests of other processes off the bus, where anybody may publish: put into the queues, or refused and counted."""

import logging

import zmq

from binance_streamer.wire.frames import WireError
from binance_streamer.wire.requests import SnapshotRequest
from services.rest.answers import RestAnswer
from services.rest.messages import backfill_draft, read_request
from services.rest.schedule.backfill_queue import MissingRows
from services.rest.tasks import Parts
from services.runtime.clock import monotonic_s, wall_ns

_log = logging.getLogger(__name__)

_MOST_REQUESTS_A_ROUND = 1000
"""A flood of requests must not keep the loop from its other duties."""


class RequestInbox:
    """Reads requests from a subscription of the bus; `requests` counts them, `refused_requests` those that fail."""

    def __init__(self, bus: "zmq.Socket[bytes]", parts: Parts) -> None:
        self.requests = 0
        self.refused_requests = 0
        self._bus = bus
        self._parts = parts

    def receive(self) -> None:
        """Take what has come, at most `_MOST_REQUESTS_A_ROUND` messages; never waits."""
        for _ in range(_MOST_REQUESTS_A_ROUND):
            try:
                parts = self._bus.recv_multipart(zmq.DONTWAIT)
            except zmq.Again:
                return
            self.requests += 1
            try:
                request = read_request(parts)
            except WireError as error:
                self._refuse(str(error))
                continue
            if isinstance(request, SnapshotRequest):
                self._take_snapshot_request(request)
            else:
                self._take_backfill_request(request)

    def _take_snapshot_request(self, request: SnapshotRequest) -> None:
        is_known = self._parts.listing.may_list(request.symbol)
        if not is_known or not self._parts.snapshots.try_add(request, monotonic_s()):
            self._refuse(f"{request.symbol} is not listed, or too many symbols wait")

    def _take_backfill_request(self, missing: MissingRows) -> None:
        symbol = missing.stream.symbol
        if not self._parts.listing.may_list(symbol):
            nothing = RestAnswer(0, {}, b"", wall_ns(), wall_ns())
            why = "the exchange does not list the symbol"
            self._parts.sink.publish_live(backfill_draft(missing, nothing, "", refusal=why))
        elif not self._parts.backfill.try_add(missing, monotonic_s()):
            self._refuse(f"{symbol}: too many streams wait")

    def _refuse(self, why: str) -> None:
        self.refused_requests += 1
        if self.refused_requests == 1:
            _log.warning("request refused, further ones are counted in status: %s", why)
