"""Rows and gaps together are what the exchange sent, whatever connections do; without a fault there is no gap."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from binance_streamer.exchange.streams import Stream, stream_of
from services.ingest.connections.events import Delivered, Lost
from services.ingest.streams.stream_set import StreamSet
from services.runtime.gaps.drafts import Draft
from services.runtime.gaps.last_rows import LastRows
from services.runtime.gaps.stream_states import fold
from tests.support.drafts import singles
from tests.support.examples import examples

AGG_TRADE = stream_of("BTCUSDT", "aggTrade")
DEPTH = stream_of("BTCUSDT", "depth@0ms")
MARK_PRICE = stream_of("BTCUSDT", "markPrice@1s")
BOOK_TICKER = stream_of("BTCUSDT", "bookTicker")


class Message(NamedTuple):
    number: int
    previous_id: int
    last_id: int
    frame: bytes
    event: bytes


def event_of(stream: Stream, previous_id: int, last_id: int, event_time_ms: int) -> bytes:
    ids = {
        "aggtrade": f'"e":"aggTrade","a":{last_id}',
        "depth": f'"e":"depthUpdate","u":{last_id},"pu":{previous_id},"n":{last_id}',
        "markprice": f'"e":"markPriceUpdate","p":"{last_id}"',
        "bookticker": f'"e":"bookTicker","u":{last_id}',
    }[stream.stream_type]
    return f'{{{ids},"E":{event_time_ms},"s":"BTCUSDT"}}'.encode()


@dataclass
class Line:
    number: int
    inbox: deque[Message] = field(default_factory=deque)
    since_s: float | None = None


class Exchange:
    """Produces one stream's messages, and delivers them over connections that a test opens and closes."""

    def __init__(self, stream: Stream, rng: Random) -> None:
        self.stream = stream
        self.rng = rng
        self.sent: list[Message] = []
        self.lines: dict[int, Line] = {}
        self.now_s = 100.0
        self.now_ns = 1_790_000_000_000_000_000
        self.event_time_ms = 1_790_000_000_000
        self.last_id = 1000
        self.delivered: set[int] = set()
        self.drafts: list[Draft] = []
        self.gap_count = 0
        self.last_rows: LastRows = {}
        self.opened = 0
        self.streams = self.new_streams()

    def new_streams(self) -> StreamSet:
        return StreamSet("BTCUSDT", [self.stream], last_rows=self.last_rows, new_gap_id=self.new_gap_id)

    def new_gap_id(self) -> str:
        self.gap_count += 1
        return str(self.gap_count)

    def open(self) -> None:
        self.opened += 1
        self.lines[self.opened] = Line(self.opened)

    def produce(self, *, lost_on: Callable[[Line], bool] = lambda _: False) -> None:
        previous_id = self.last_id
        self.last_id += self.rng.choice((1, 7)) if self.stream.stream_type in ("depth", "bookticker") else 1
        self.event_time_ms += self.rng.choice((0, 1, 100))
        event = event_of(self.stream, previous_id, self.last_id, self.event_time_ms)
        frame = b'{"stream":"' + self.stream.name.encode() + b'","data":' + event + b"}"
        message = Message(len(self.sent), previous_id, self.last_id, frame, event)
        self.sent.append(message)
        for line in self.lines.values():
            if not lost_on(line):
                line.inbox.append(message)

    def deliver(self, line: Line, count: int) -> None:
        messages = [line.inbox.popleft() for _ in range(min(count, len(line.inbox)))]
        if not messages:
            return
        self.now_s += 0.001
        self.now_ns += 1_000_000
        if line.since_s is None:
            line.since_s = self.now_s
        self.delivered.update(message.number for message in messages)
        frames = [message.frame for message in messages]
        stamps_ns = range(self.now_ns, self.now_ns + len(frames))
        self.streams.deliver(Delivered(line.number, stamps_ns, frames, 0), self.now_s)
        self.collect()

    def tick(self, seconds: float) -> None:
        self.now_s += seconds
        self.now_ns += round(seconds * 1e9)
        self.streams.expire(self.now_s)
        self.collect()

    def close(self, line: Line) -> None:
        """The connection breaks: what is in its inbox is lost."""
        del self.lines[line.number]
        others = {other.number: other.since_s for other in self.lines.values() if other.since_s is not None}
        self.streams.lose(Lost(line.number, self.stream.route, "disconnected", others), self.now_s)
        self.collect()

    def kill(self) -> None:
        """SIGKILL and restart: the new run knows what the journal has."""
        self.lines.clear()
        self.streams = self.new_streams()

    def finish(self) -> None:
        for line in list(self.lines.values()):
            self.deliver(line, len(line.inbox))
        self.tick(1)

    def collect(self) -> None:
        for draft in singles(self.streams.collect(self.now_ns)):
            self.drafts.append(draft)
            fold(self.last_rows, draft)

    def rows(self) -> list[Message]:
        by_event = {message.event: message for message in self.sent}
        return [by_event[draft.data["event"]] for draft in self.drafts if draft.stream_type != "gap"]

    def gaps(self) -> list[dict[str, object]]:
        last = {draft.data["gap_id"]: draft.data for draft in self.drafts if draft.stream_type == "gap"}
        return [gap for gap in last.values() if gap["state"] != "repaired"]


def disturb(line: Line, rng: Random) -> None:
    """Doubles or swaps messages on their way."""
    if not line.inbox:
        return
    if rng.random() < 0.5:
        line.inbox.append(line.inbox[-1])
    elif len(line.inbox) > 1:
        line.inbox[-1], line.inbox[-2] = line.inbox[-2], line.inbox[-1]


def produce_disturbed(exchange: Exchange, losses: float, disturbances: float) -> None:
    exchange.produce(lost_on=lambda _: exchange.rng.random() < losses)
    for line in exchange.lines.values():
        if exchange.rng.random() < disturbances:
            disturb(line, exchange.rng)


def kill(exchange: Exchange) -> None:
    if exchange.stream in (MARK_PRICE, BOOK_TICKER):  # see Unlinked: where one lags, more than is listed may be lost
        for line in exchange.lines.values():
            exchange.deliver(line, len(line.inbox))
    exchange.kill()


def run_with_faults(exchange: Exchange, steps: int, *, losses: float, disturbances: float, kills: float) -> None:
    rng = exchange.rng
    exchange.open()
    for _ in range(steps):
        chance = rng.random()
        lines = list(exchange.lines.values())
        if chance < 0.45:
            produce_disturbed(exchange, losses, disturbances)
        elif chance < 0.85 and lines:
            exchange.deliver(rng.choice(lines), rng.randint(1, 5))
        elif chance < 0.90 and len(lines) < 3:
            exchange.open()
        elif chance < 0.94 and lines:
            exchange.close(rng.choice(lines))
        elif chance < 0.94 + kills:
            kill(exchange)
        else:
            exchange.tick(rng.choice((0.01, 0.3, 2)))
    if not exchange.lines:
        exchange.open()
    exchange.produce()
    exchange.finish()


def missing_ids(exchange: Exchange) -> set[int]:
    found: set[int] = set()
    for gap in exchange.gaps():
        assert isinstance(gap["from_id"], int)
        assert isinstance(gap["to_id"], int)
        assert gap["from_id"] < gap["to_id"], gap
        found.update(range(gap["from_id"] + 1, gap["to_id"] + 1))
    return found


seeds = st.integers(0, 2**63)
thorough = settings(max_examples=examples(400), deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.mark.parametrize("stream", [AGG_TRADE, DEPTH], ids=lambda stream: stream.stream_type)
@given(seed=seeds)
@thorough
def test_rows_and_gaps_together_are_the_ids_that_the_exchange_sent(stream: Stream, seed: int) -> None:
    exchange = Exchange(stream, Random(seed))
    run_with_faults(exchange, 120, losses=0.1, disturbances=0.1, kills=0.01)

    rows = exchange.rows()
    numbers = [message.number for message in rows]
    assert len(set(numbers)) == len(numbers), "a row twice"
    covered = {number for message in rows for number in range(message.previous_id + 1, message.last_id + 1)}
    missing = missing_ids(exchange)
    assert not covered & missing, "a row in a gap"
    if rows:  # what a slower connection brings from before the very first row is recorded too, but nothing is promised
        first = rows[0].previous_id + 1
        assert {one for one in covered | missing if one >= first} == set(range(first, max(covered) + 1))


@given(seed=seeds)
@thorough
def test_what_a_connection_delivered_is_a_row(seed: int) -> None:
    exchange = Exchange(DEPTH, Random(seed))
    run_with_faults(exchange, 120, losses=0.1, disturbances=0.1, kills=0)
    assert {message.number for message in exchange.rows()} == exchange.delivered


def between_rows(exchange: Exchange, number: int, gap: dict[str, object]) -> bool:
    """Return True if the gap's bounds are rows before and behind the message, in order of their stamps.

    The row behind may have been received first: over a connection that was ahead of the one that ended.
    """
    of_stamp = {
        draft.data["recv_ns"]: message.number
        for draft, message in zip(
            [draft for draft in exchange.drafts if draft.stream_type != "gap"], exchange.rows(), strict=True
        )
    }
    from_ns, to_ns = gap["from_ns"], gap["to_ns"]
    assert isinstance(from_ns, int)
    assert isinstance(to_ns, int)
    assert from_ns <= to_ns
    low, high = sorted((of_stamp[from_ns], of_stamp[to_ns]))
    return low < number < high


@pytest.mark.parametrize("stream", [MARK_PRICE, BOOK_TICKER], ids=lambda stream: stream.stream_type)
@given(seed=seeds)
@thorough
def test_what_is_missing_of_a_stream_without_ids_lies_in_a_gap_of_time(stream: Stream, seed: int) -> None:
    """Losses on a single connection cannot be seen there; connections that break, and kills, must be."""
    exchange = Exchange(stream, Random(seed))
    run_with_faults(exchange, 120, losses=0, disturbances=0, kills=0.01)

    numbers = [message.number for message in exchange.rows()]
    assert len(set(numbers)) == len(numbers), "a row twice"
    gaps = exchange.gaps()
    first = numbers[0] if numbers else 0  # nothing is promised of what was sent before the very first row
    for number in set(range(first, max(numbers, default=0))) - set(numbers):
        assert any(between_rows(exchange, number, gap) for gap in gaps), f"message {number} is missing silently"


@pytest.mark.parametrize("stream", [AGG_TRADE, DEPTH, MARK_PRICE, BOOK_TICKER], ids=lambda stream: stream.stream_type)
@given(seed=seeds)
@thorough
def test_connections_that_hand_over_leave_no_gap(stream: Stream, seed: int) -> None:
    rng = Random(seed)
    exchange = Exchange(stream, rng)
    exchange.open()
    for _ in range(150):
        chance = rng.random()
        lines = list(exchange.lines.values())
        old, new = lines[0], lines[-1]
        if chance < 0.45:
            exchange.produce()
        elif chance < 0.85:
            exchange.deliver(rng.choice(lines), rng.randint(1, 5))
        elif len(lines) == 1 and old.since_s is not None:
            exchange.open()
        elif new is not old and new.since_s is not None:
            for line in lines:
                exchange.deliver(line, len(line.inbox))  # no connection lags by more than the grace
            exchange.tick(rng.choice((0.01, 0.3)))
            exchange.produce()
            exchange.deliver(rng.choice(lines), 1)
            is_over = exchange.now_s - new.since_s >= 1
            if is_over and exchange.streams.has_taken_over(old.number, new.number, exchange.now_s):
                exchange.close(old)
    exchange.finish()

    assert exchange.gaps() == []
    assert [draft for draft in exchange.drafts if draft.stream_type == "gap"] == []
    rows = [message.number for message in exchange.rows()]
    assert sorted(rows) == list(range(min(rows, default=0), max(rows, default=-1) + 1))
