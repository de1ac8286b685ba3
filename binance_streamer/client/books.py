"""Asks the order book service."""

import math
import time
from types import TracebackType
from typing import Self

import zmq

from binance_streamer.transport.curve import Context, keys_of
from binance_streamer.transport.sockets import query_dealer
from binance_streamer.wire.books import BookView, Query, decode_answer, encode_query


class NoAnswerError(Exception):
    """The service does not run, stands still, or is not reached."""


class BookClient:
    """`BookClient(endpoint).ask("BTCUSDT", 20)`: one question at a time.

    `curve_directory` names the keys for a service that asks for them (docs/security.md).
    """

    def __init__(self, endpoint: str, *, curve_directory: str = "") -> None:
        self._endpoint = endpoint
        self._context = Context(keys_of(curve_directory))
        self._dealer = query_dealer(self._context, endpoint)
        self._is_waiting = False

    def ask(self, symbol: str, depth: int | None, *, timeout_s: float = 3.0) -> BookView:
        """Return the book of a symbol, with `depth` levels of each side, best first; None: all of them.

        `NoAnswerError` where none comes in time, `QueryError` where the service refuses.
        """
        deadline_s = time.monotonic() + timeout_s
        if self._is_waiting:  # an answer that comes late, to an earlier question, must not be this one's
            self._dealer.close(linger=0)
            self._dealer = query_dealer(self._context, self._endpoint)
            self._is_waiting = False
        if not self._dealer.poll(math.ceil(timeout_s * 1000), zmq.POLLOUT):
            raise NoAnswerError(f"nobody answers at {self._endpoint}")
        self._is_waiting = True
        self._dealer.send(encode_query(Query(symbol, depth)))
        while (left_s := deadline_s - time.monotonic()) > 0:
            if self._dealer.poll(math.ceil(left_s * 1000)):
                answer = self._dealer.recv()
                self._is_waiting = False
                return decode_answer(answer)
        raise NoAnswerError(f"no answer from {self._endpoint} within {timeout_s:.0f} s")

    def close(self) -> None:
        """Close the socket; no question can be asked any more."""
        self._context.destroy(linger=0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()
