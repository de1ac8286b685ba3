"""All parts of one simulator, put together: clock, tape, publisher, admission, market, REST."""

import asyncio
import time

from simulator.clock import ExchangeClock
from simulator.options import Options
from simulator.publisher import StreamPublisher
from simulator.replay.replay import Replay
from simulator.rest.rest import Rest
from simulator.rest.weights import RequestWeight
from simulator.server.admission import Admission
from simulator.server.connection import ClientConnection
from simulator.server.websocket import Counters, WebSocket
from simulator.synthetic import SyntheticMarket
from simulator.tape import Tape

_TEND_S = 0.1


class Exchange:
    """One simulated exchange; its parts are public, for commands and tests."""

    def __init__(self, options: Options) -> None:
        loop = asyncio.get_running_loop()
        self.options = options
        self.clock = ExchangeClock(offset_ms=options.clock_offset_ms, start_time_ms=options.start_time_ms)
        self.tape = Tape(options.tape)
        self.publisher = StreamPublisher(self.tape, loop.call_later)
        self.admission = Admission()
        self.admission.is_listed = self.publisher.streams.__contains__
        self.counters = Counters()
        self.clients: set[ClientConnection] = set()
        self.market = self._market()
        weight = RequestWeight(options.weight_limit, options.ban_after, int(options.ban_s * 1000))
        self.rest = Rest(self.market, self.clock, weight, self.tape)
        self.stopped = asyncio.Event()

    def _market(self) -> SyntheticMarket | Replay:
        options = self.options
        if options.capture is not None:
            return Replay(options.capture, options.speed, self.publisher, self.clock, self._most_backlog_bytes)
        return SyntheticMarket(options.synthetic, self.publisher, self.clock, options.weight_limit)

    def websockets(self) -> list[WebSocket]:
        """Return all open websocket connections."""
        return [client.websocket for client in self.clients if client.websocket and client.websocket.is_open]

    def _most_backlog_bytes(self) -> int:
        return max((websocket.backlog_bytes for websocket in self.websockets()), default=0)

    def new_client(self) -> ClientConnection:
        """Make the protocol object of a TCP connection that was just accepted."""
        return ClientConnection(self.admission, self._new_websocket, self.rest.answer, self.clients)

    def _new_websocket(self, transport: asyncio.Transport) -> WebSocket:
        return WebSocket(transport, self.publisher, self.options.limits, self.counters)

    async def keep_limits(self) -> None:
        """Send pings and keep limits; ends only by being cancelled."""
        while True:
            await asyncio.sleep(_TEND_S)
            if not self.admission.is_hung:
                for websocket in self.websockets():
                    websocket.keep_limits(time.monotonic())

    def hang(self, seconds: float) -> None:
        """Read and write nothing on any connection for so long; what the market makes meanwhile is lost."""
        self.admission.is_hung = self.publisher.is_hung = True
        for client in self.clients:
            client.transport.pause_reading()
        asyncio.get_running_loop().call_later(seconds, self._resume)

    def _resume(self) -> None:
        self.admission.is_hung = self.publisher.is_hung = False
        for client in self.clients:
            client.transport.resume_reading()

    def stats(self) -> dict[str, object]:
        """Return the answer of the command `stats`: counts since the start (docs/simulator.md)."""
        streams = [stream for stream in self.publisher.streams.values() if stream.has_been_subscribed]
        return {
            "connections": len(self.websockets()),
            "attempts": self.admission.attempts,
            "attempts_in_last_300_s": self.admission.attempts_in_last_300_s(),
            "messages": sum(stream.produced for stream in streams),
            "delivered": sum(stream.delivered for stream in streams),
            "streams": {
                stream.name: {
                    "produced": stream.produced,
                    "delivered": stream.delivered,
                    "subscribers": len(stream.subscribers),
                }
                for stream in streams
            },
            "rest": {str(status): count for status, count in sorted(self.rest.answers.items())},
            "used_weight": self.rest.weight.used,
            "banned_until_ms": self.rest.weight.banned_until_ms,
            "requests_during_ban": self.rest.weight.requests_during_ban,
            "pings": self.counters.pings,
            "pongs": self.counters.pongs,
            "slow_readers_cut_off": self.counters.slow_readers_cut_off,
            "backlog_bytes": self._most_backlog_bytes(),
            **self.market.state(),
        }
