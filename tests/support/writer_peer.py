"""A producer at the level of the wire, written without the project's own journal and delivery."""

import time
from typing import Any

import msgpack
import zmq

from binance_streamer.config.schema import Config
from binance_streamer.transport.sockets import acks_sub, intake_push

_BATCH_FRAMES = 50


def aggregate(number: int, symbol: str = "BTCUSDT") -> bytes:
    """An aggTrade event; `number` is its id and decides everything else."""
    time_ms = 1_790_526_539_000 + number
    return (
        f'{{"e":"aggTrade","E":{time_ms + 150},"a":{number},"s":"{symbol}","p":"84551.{number % 100:02d}",'
        f'"q":"0.030","nq":"0.030","f":{number * 2},"l":{number * 2 + 1},"T":{time_ms},"m":true,"st":1}}'
    ).encode()


def depth(number: int, symbol: str = "BTCUSDT") -> bytes:
    """A depth event; its ids are (10 * (number - 1), 10 * number]."""
    time_ms = 1_790_526_539_000 + number
    return (
        f'{{"e":"depthUpdate","E":{time_ms},"T":{time_ms},"s":"{symbol}","U":{number * 10 - 5},"u":{number * 10},'
        f'"pu":{number * 10 - 10},"b":[["1000.00","139.{number % 1000:03d}"]],"a":[]}}'
    ).encode()


class PeerJournal:
    """Every frame that a producer ever made, for ever: numbers them, and cuts batches of them."""

    def __init__(self, name: str, epoch: int) -> None:
        self.name = name
        self.epoch = epoch
        self.journal: list[tuple[int, int, bytes]] = []
        self.cursor = 0
        self._next: dict[int, int] = {}
        self._seqs: dict[tuple[int, str, str, str], int] = {}

    def emit(self, stream_type: str, symbol: str, stream: str, event: bytes | None, **fields: Any) -> int:
        """Journal a message; returns its sequence number."""
        key = (self.epoch, stream_type, symbol, stream)
        seq = self._seqs[key] = self._seqs.get(key, 0) + 1
        data = {
            "symbol": symbol, "stream": stream, "recv_ns": 1_790_526_539_100_000_000 + len(self.journal),
            "producer": self.name, "epoch": self.epoch, "seq": seq, "source": "ws", "connection": 1, "event": event,
            **fields,
        }  # fmt: skip
        if event is None:
            del data["event"]
        self.emit_frame(msgpack.packb((stream_type, data)))
        return seq

    def emit_frame(self, frame: bytes) -> None:
        """Journal bytes as they are."""
        number = self._next.get(self.epoch, 0)
        self._next[self.epoch] = number + 1
        self.journal.append((self.epoch, number, frame))

    def emit_both(self, numbers: range, symbol: str = "BTCUSDT") -> None:
        """An aggTrade and a depth update for each number."""
        lower = symbol.lower()
        for number in numbers:
            self.emit("aggtrade", symbol, f"{lower}@aggTrade", aggregate(number, symbol))
            self.emit("depth", symbol, f"{lower}@depth@0ms", depth(number, symbol))

    def _batch(self, start: int, end: int) -> list[bytes]:
        epoch, first, _ = self.journal[start]
        after = self.journal[start - 1][:2] if start else None
        frames = b"".join(frame for _, _, frame in self.journal[start:end])
        return [self.name.encode(), msgpack.packb((epoch, first, after)), frames]

    def _batch_end(self) -> int:
        """The place behind the batch that begins at the cursor: positions without a hole, of one epoch."""
        epoch, first, _ = self.journal[self.cursor]
        end = self.cursor
        while end < len(self.journal) and end - self.cursor < _BATCH_FRAMES and self.journal[end][0] == epoch:
            if self.journal[end][1] != first + end - self.cursor:
                break
            end += 1
        return end

    def _index(self, position: list[int] | None) -> int:
        """The place in the journal behind what a position says."""
        if position is None:
            return 0
        epoch, number = position
        places = [place for place, entry in enumerate(self.journal) if entry[0] == epoch and entry[1] < number]
        if places:
            return places[-1] + 1
        return next((place for place, entry in enumerate(self.journal) if entry[0] == epoch), 0)


class Peer(PeerJournal):
    """A producer with sockets: pushes, and winds back as the writer says."""

    def __init__(self, context: "zmq.Context[zmq.Socket[bytes]]", config: Config, name: str, epoch: int) -> None:
        super().__init__(name, epoch)
        self.acks: list[list[Any]] = []
        self._durable = 0
        self._asked_s = time.monotonic()
        self._push = intake_push(context, config.endpoints.writer_intake)
        self._sub = acks_sub(context, config.endpoints.writer_acks, name)

    def pump(self, duration_s: float) -> None:
        """Push and hear for so long."""
        end_s = time.monotonic() + duration_s
        while (left_s := end_s - time.monotonic()) > 0:
            self._hear()
            self._send()
            self._ask()
            self._sub.poll(min(20, int(left_s * 1000)))

    def pumped(self, duration_s: float) -> "Peer":
        """Itself, after pumping."""
        self.pump(duration_s)
        return self

    def deliver(self, deadline_s: float = 60) -> None:
        """Pump until all is durable."""
        end_s = time.monotonic() + deadline_s
        while self._durable < len(self.journal):
            assert time.monotonic() < end_s, f"{self._durable} of {len(self.journal)} durable; {self.acks[-3:]}"
            self.pump(0.05)

    def send(self, epoch: int, first: int, after: tuple[int, int] | None, frames: bytes) -> None:
        """Any batch, past the journal."""
        self._push.send_multipart([self.name.encode(), msgpack.packb((epoch, first, after)), frames])

    def close(self) -> None:
        """Close the sockets."""
        self._push.close()
        self._sub.close()

    def _send(self) -> None:
        while self.cursor < len(self.journal):
            end = self._batch_end()
            try:
                self._push.send_multipart(self._batch(self.cursor, end), zmq.DONTWAIT)
            except zmq.Again:
                return
            self.cursor = end

    def _hear(self) -> None:
        while True:
            try:
                topic, packed = self._sub.recv_multipart(zmq.DONTWAIT)
            except zmq.Again:
                return
            if topic.decode() != self.name:
                continue
            ack = msgpack.unpackb(packed)
            self.acks.append(ack)
            _, durable, received, reason = ack
            self._durable = self._index(durable)
            if reason in ("hello", "misfit") or self._index(received) > self.cursor:
                self.cursor = self._index(received)

    def _ask(self) -> None:
        """Everything was pushed and not all is durable: a known frame makes the writer answer."""
        if self.cursor < len(self.journal) or self._durable >= len(self.journal):
            return
        if time.monotonic() - self._asked_s > 1:
            self._asked_s = time.monotonic()
            try:
                self._push.send_multipart(self._batch(self._durable, self._durable + 1), zmq.DONTWAIT)
            except zmq.Again:
                return
            end_s = time.monotonic() + 1
            while time.monotonic() < end_s:
                if self._sub.poll(50):
                    self._hear()
                    last = self.acks[-1]
                    if last[3] == "known":
                        self.cursor = self._index(last[2])
                        return
