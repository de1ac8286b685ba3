"""Answers questions at the endpoint `orderbook_query`: the whole book of a symbol, or its best levels."""

from collections.abc import Mapping

import zmq

from binance_streamer.wire.books import QueryError, decode_query, encode_refusal, encode_view
from binance_streamer.wire.frames import WireError
from services.orderbook import messages
from services.orderbook.keeper import Keeper, Now

_MOST_QUESTIONS = 20
"""Answered in one round: a whole book takes some milliseconds, and the queue of updates must not run full meanwhile."""


class QueryServer:
    """Reads questions from the ROUTER socket and answers them; `counts` go into the status message."""

    def __init__(
        self, router: "zmq.Socket[bytes]", keepers: Mapping[str, Keeper], *, producer: str, epoch: int
    ) -> None:
        self.counts = {"questions": 0, "refused_questions": 0}
        self._router = router
        self._keepers = keepers
        self._producer, self._epoch = producer, epoch

    def answer_waiting(self, now: Now) -> None:
        """Answer the questions that wait, up to `_MOST_QUESTIONS`. Nothing waits for a program that does not read."""
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
            except zmq.ZMQError:  # the program is gone, or does not read its answers
                self.counts["refused_questions"] += 1

    def _view(self, envelope: list[bytes], packed: bytes, now: Now) -> bytes:
        if envelope[1:] not in ([], [b""]):  # a DEALER sends the identity alone, a REQ an empty part behind it
            raise QueryError("bad_query", f"expected a message of one part, got {len(envelope)}")
        try:
            query = decode_query(packed)
        except WireError as error:
            raise QueryError("bad_query", str(error)) from error
        keeper = self._keepers.get(query.symbol)
        if keeper is None:
            raise messages.unknown_symbol(query, list(self._keepers))
        return encode_view(messages.view(keeper, query.depth, now.ns, producer=self._producer, epoch=self._epoch))
