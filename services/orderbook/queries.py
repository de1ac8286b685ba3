"""Answers questions at `orderbook_query`."""

from collections.abc import Mapping

import zmq

from binance_streamer.wire.books import QueryError, decode_query, encode_refusal, encode_view
from binance_streamer.wire.frames import WireError
from services.orderbook import messages
from services.orderbook.keeper import Keeper, Now

_MOST_QUESTIONS = 20
"""At a time: a whole book takes milliseconds, and updates must not wait longer than their queue is long."""


class QueryServer:
    """The ROUTER; `counts` go into the status."""

    def __init__(
        self, router: "zmq.Socket[bytes]", keepers: Mapping[str, Keeper], *, producer: str, epoch: int
    ) -> None:
        self.counts = {"questions": 0, "refused_questions": 0}
        self._router = router
        self._keepers = keepers
        self._run = {"producer": producer, "epoch": epoch}

    def answer(self, now: Now) -> None:
        """Answer those who have asked."""
        for _ in range(_MOST_QUESTIONS):
            try:
                *envelope, packed = self._router.recv_multipart(zmq.DONTWAIT)
            except zmq.Again:
                return
            self.counts["questions"] += 1
            try:
                answer = self._view(envelope, packed, now)
            except QueryError as error:
                self.counts["refused_questions"] += 1
                answer = encode_refusal(error)
            try:
                self._router.send_multipart([*envelope[:2], answer], zmq.DONTWAIT)
            except zmq.ZMQError:  # gone, or does not read
                self.counts["refused_questions"] += 1

    def _view(self, envelope: list[bytes], packed: bytes, now: Now) -> bytes:
        if envelope[1:] not in ([], [b""]):  # of a DEALER, of a REQ
            raise QueryError("bad_query", f"expected a message of one part, got {len(envelope)}")
        try:
            query = decode_query(packed)
        except WireError as error:
            raise QueryError("bad_query", str(error)) from error
        keeper = self._keepers.get(query.symbol)
        if keeper is None:
            raise messages.unknown(query, list(self._keepers))
        return encode_view({**messages.view(keeper, query.depth, now.ns), **self._run})
