"""An id names a message: whatever event times its copies and repeats carry, it is a row once; a new count is found.

The table in docs/exchange.md §7.4 is what is proven here.
"""

import itertools
from collections import Counter
from random import Random
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from binance_streamer.exchange.streams import Stream, stream_of
from services.ingest.connections.events import Delivered, Lost
from services.ingest.streams.stream_set import StreamSet
from services.runtime.gaps.drafts import Draft
from tests.support.drafts import singles
from tests.support.examples import examples

AGG_TRADE = stream_of("BTCUSDT", "aggTrade")
TRADE = stream_of("BTCUSDT", "trade")
DEPTH = stream_of("BTCUSDT", "depth@0ms")
BOOK_TICKER = stream_of("BTCUSDT", "bookTicker")
KLINE = stream_of("BTCUSDT", "kline_1m")
MARK_PRICE = stream_of("BTCUSDT", "markPrice@1s")
WITH_IDS = [AGG_TRADE, TRADE, DEPTH, BOOK_TICKER, KLINE]
BEGAN_MS = 1_790_000_040_000

EVENTS = {
    "aggtrade": '{{"e":"aggTrade","E":{at},"s":"BTCUSDT","a":{last},"p":"1","T":{happened}}}',
    "trade": '{{"e":"trade","E":{at},"T":{happened},"s":"BTCUSDT","t":{last},"p":"1"}}',
    "depth": '{{"e":"depthUpdate","E":{at},"T":{happened},"s":"BTCUSDT","u":{last},"pu":{previous},"b":[],"a":[]}}',
    "bookticker": '{{"e":"bookTicker","u":{last},"s":"BTCUSDT","b":"1","T":{happened},"E":{at}}}',
    "kline": '{{"e":"kline","E":{at},"s":"BTCUSDT","k":{{"t":{bar},"i":"1m","x":true}}}}',
    "markprice": '{{"e":"markPriceUpdate","E":{at},"s":"BTCUSDT","p":"1","T":1790553600000}}',
}


class Message(NamedTuple):
    number: int
    previous_id: int
    last_id: int
    happened_ms: int

    def frame(self, stream: Stream, event_time_ms: int) -> bytes:
        """The message as a connection has it."""
        event = EVENTS[stream.stream_type].format(
            at=event_time_ms,
            last=self.last_id,
            previous=self.previous_id,
            happened=self.happened_ms,
            bar=60_000 * (self.number + BEGAN_MS // 60_000),
        )
        return f'{{"stream":"{stream.name}","data":{event}}}'.encode()


class Recording:
    """One stream of which connections bring the same messages, each with event times of its own."""

    def __init__(self, stream: Stream, rng: Random) -> None:
        self.stream = stream
        self.rng = rng
        numbers = itertools.count(1)
        self.recorder = StreamSet("BTCUSDT", [stream], last_rows={}, new_gap_id=lambda: str(next(numbers)))
        self.now_s = 100.0
        self.drafts: list[Draft] = []
        self.message_of: dict[int, int] = {}

    def bring(self, connection: int, messages: list[Message], off_ms: tuple[int, int]) -> None:
        """Deliver messages in one recv, each with an event time between so much before and behind what it had first."""
        self.now_s += 0.001
        first_ns = round(self.now_s * 1e9) + BEGAN_MS * 1_000_000
        frames = [one.frame(self.stream, one.happened_ms + 150 + self.rng.randint(*off_ms)) for one in messages]
        self.message_of.update((first_ns + at, one.number) for at, one in enumerate(messages))
        self.recorder.deliver(Delivered(connection, range(first_ns, first_ns + len(frames)), frames, 0), self.now_s)
        self.collect()

    def wait(self, seconds: float) -> None:
        """Let time go by."""
        self.now_s += seconds
        self.recorder.expire(self.now_s)
        self.collect()

    def collect(self) -> None:
        """Take what is to be journalled."""
        self.drafts += singles(self.recorder.collect(1))

    def rows(self) -> list[int]:
        """The numbers of the messages that were recorded, in their order."""
        return [self.message_of[one.data["recv_ns"]] for one in self.drafts if one.stream_type != "gap"]

    def has_gap_of(self, message: Message) -> bool:
        """Return True where a message is listed as missing, by its ids."""
        last = {one.data["gap_id"]: one.data for one in self.drafts if one.stream_type == "gap"}
        return any(
            gap["from_id"] <= message.previous_id and message.last_id <= gap["to_id"]
            for gap in last.values()
            if gap["state"] != "repaired"
        )

    def gaps(self) -> list[tuple[str, str]]:
        """Reason and state of each gap, as it was told last."""
        last = {one.data["gap_id"]: one.data for one in self.drafts if one.stream_type == "gap"}
        return [(gap["reason"], gap["state"]) for gap in last.values()]


def messages_from(rng: Random, stream: Stream, *, first: Message | None, count: int, last_id: int) -> list[Message]:
    found = []
    number, happened_ms = (first.number + 1, first.happened_ms) if first else (0, BEGAN_MS)
    for one in range(number, number + count):
        previous_id = last_id
        last_id += 1 + (rng.choice((0, 6)) if stream in (DEPTH, BOOK_TICKER) else 0)
        happened_ms += rng.choice((1, 2, 100))
        found.append(Message(one, previous_id, last_id, happened_ms))
    return found


def chunks(rng: Random, messages: list[Message]) -> list[list[Message]]:
    """The messages in their order, as one connection has them: a few a recv."""
    found = []
    at = 0
    while at < len(messages):
        step = rng.randint(1, 6)
        found.append(messages[at : at + step])
        at += step
    return found


def bring_by_turns(
    recording: Recording, queues: dict[int, list[list[Message]]], *, off_ms: tuple[int, int], repeats: float
) -> None:
    """Deliver all, in any order across connections, and repeats of any stretch that has been delivered in between."""
    rng = recording.rng
    brought: dict[int, list[Message]] = {connection: [] for connection in queues}
    while any(queues.values()):
        connection = rng.choice([one for one, queue in queues.items() if queue])
        chunk = queues[connection].pop(0)
        recording.bring(connection, chunk, off_ms)
        brought[connection] += chunk
        if rng.random() < repeats:
            repeat_some(recording, rng.choice(list(brought)), brought)
        if rng.random() < 0.1:
            recording.wait(rng.choice((0.01, 0.3, 0.6)))


def repeat_some(recording: Recording, connection: int, brought: dict[int, list[Message]]) -> None:
    rng = recording.rng
    some = brought[connection]
    if not some:
        return
    begin = rng.randrange(len(some))
    stretch = some[begin : begin + rng.choice((1, 1, 2, 5, 20, 200))]
    if rng.random() < 0.3:
        rng.shuffle(stretch)
    recording.bring(connection, stretch, rng.choice([(0, 0), (1, 1), (-100, 100), (500, 5000)]))


seeds = st.integers(0, 2**63)
thorough = settings(max_examples=examples(300), deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.mark.parametrize("stream", WITH_IDS, ids=lambda stream: stream.stream_type)
@given(seed=seeds, connections=st.integers(1, 3))
@thorough
def test_an_id_is_a_row_once_whatever_event_times_its_copies_have(stream: Stream, seed: int, connections: int) -> None:
    rng = Random(seed)
    recording = Recording(stream, rng)
    sent = messages_from(rng, stream, first=None, count=120, last_id=1000)
    queues = {number: chunks(rng, sent) for number in range(1, connections + 1)}
    off_ms = rng.choice([(0, 0), (0, 1), (-3, 3), (0, 400)])
    bring_by_turns(recording, queues, off_ms=off_ms, repeats=0.2)
    recording.wait(1)
    assert sorted(recording.rows()) == [one.number for one in sent]
    assert recording.gaps() == []


@pytest.mark.parametrize("stream", [AGG_TRADE, DEPTH], ids=lambda stream: stream.stream_type)
@given(seed=seeds, connections=st.integers(1, 3))
@thorough
def test_nor_is_it_another_one_where_a_connection_mixes_the_order(stream: Stream, seed: int, connections: int) -> None:
    """A message that comes too late to be waited for is a gap for a while, and none in the end."""
    rng = Random(seed)
    recording = Recording(stream, rng)
    sent = messages_from(rng, stream, first=None, count=120, last_id=1000)
    queues = {number: chunks(rng, sent[:1] + mixed(rng, sent[1:])) for number in range(1, connections + 1)}
    bring_by_turns(recording, queues, off_ms=rng.choice([(0, 0), (0, 1), (-3, 3), (0, 400)]), repeats=0.2)
    recording.wait(1)
    assert Counter(recording.rows()) == Counter(one.number for one in sent)
    assert {state for _, state in recording.gaps()} <= {"repaired"}


def mixed(rng: Random, messages: list[Message]) -> list[Message]:
    return [one for _, one in sorted((at + rng.choice((0, 0, 0, 3, 12)), one) for at, one in enumerate(messages))]


@given(seed=seeds, connections=st.integers(1, 3))
@thorough
def test_without_an_id_the_same_content_at_nearly_the_same_time_is_a_copy(seed: int, connections: int) -> None:
    rng = Random(seed)
    recording = Recording(MARK_PRICE, rng)
    sent = [Message(one, 0, 0, BEGAN_MS + 1000 * one) for one in range(60)]
    queues = {number: chunks(rng, sent) for number in range(1, connections + 1)}
    bring_by_turns(recording, queues, off_ms=rng.choice([(0, 0), (0, 1), (-40, 40)]), repeats=0)
    assert recording.rows() == [one.number for one in sent]
    assert recording.gaps() == []


@given(seed=seeds, connections=st.integers(1, 3))
@thorough
def test_without_an_id_the_same_content_sent_soon_again_is_a_row_each_time(seed: int, connections: int) -> None:
    """Several at one time, and others so soon that one may look like a copy of another."""
    rng = Random(seed)
    recording = Recording(MARK_PRICE, rng)
    times_ms = itertools.accumulate(rng.choices((0, 10, 40, 99, 100, 101, 199, 300), k=60), initial=BEGAN_MS)
    sent = [Message(number, 0, 0, at_ms) for number, at_ms in enumerate(times_ms)]
    queues = {number: chunks(rng, sent) for number in range(1, connections + 1)}
    bring_by_turns(recording, queues, off_ms=rng.choice([(0, 0), (0, 1), (-4, 4)]), repeats=0)
    assert len(recording.rows()) == len(sent)
    assert recording.gaps() == []


@pytest.mark.parametrize("stream", [AGG_TRADE, TRADE, DEPTH], ids=lambda stream: stream.stream_type)
@given(seed=seeds, connections=st.integers(1, 3), back=st.integers(300, 1_900_000))
@thorough
def test_ids_that_went_back_are_found_and_each_message_of_both_counts_is_a_row(
    stream: Stream, seed: int, connections: int, back: int
) -> None:
    """The twin: event times differ by connection here too, but the ids begin anew.

    One that begins so little below that its ids meet those that are still on their way cannot be told from them.
    """
    rng = Random(seed)
    recording = Recording(stream, rng)
    before = messages_from(rng, stream, first=None, count=40, last_id=2_000_000)
    behind = messages_from(rng, stream, first=before[-1], count=60, last_id=before[-1].last_id - back)
    behind = [one._replace(happened_ms=one.happened_ms + 1000) for one in behind]  # the exchange was away meanwhile
    queues = {number: chunks(rng, before) + chunks(rng, behind) for number in range(1, connections + 1)}
    bring_by_turns(recording, queues, off_ms=rng.choice([(0, 0), (0, 1), (-3, 3), (0, 400)]), repeats=0)
    recording.wait(1)
    assert Counter(recording.rows()) == Counter(one.number for one in before + behind)
    assert [reason for reason, state in recording.gaps() if state != "repaired"] == ["ids went back"]


@pytest.mark.parametrize("stream", [AGG_TRADE, TRADE, DEPTH], ids=lambda stream: stream.stream_type)
@given(seed=seeds, back=st.integers(300, 1_900_000), clock_back_ms=st.sampled_from([0, 500, 5_000, 3_600_000]))
@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_behind_ids_that_went_back_nothing_is_dropped_in_silence_whatever_the_clock_does(
    stream: Stream, seed: int, back: int, clock_back_ms: int
) -> None:
    """Connections end, and messages are missed; each message is a row, or lies in a gap."""
    rng = Random(seed)
    recording = Recording(stream, rng)
    before = messages_from(rng, stream, first=None, count=40, last_id=2_000_000)
    behind = messages_from(rng, stream, first=before[-1], count=20, last_id=before[-1].last_id - back)
    behind = [one._replace(happened_ms=one.happened_ms + 1000) for one in behind]
    later = messages_from(rng, stream, first=behind[-1], count=80, last_id=behind[-1].last_id)
    later = [one._replace(happened_ms=one.happened_ms - clock_back_ms) for one in later]
    connection = 1
    for chunk in chunks(rng, before + behind):
        recording.bring(connection, chunk, (0, 0))
    for chunk in [*chunks(rng, later[:-5]), later[-5:]]:
        recording.wait(rng.choice((0.01, 0.01, 0.3, 5, 40)) if chunk[-1] is not later[-1] else 60)
        if rng.random() < 0.2:
            recording.recorder.lose(Lost(connection, stream.route, "disconnected", {}), recording.now_s)
            connection += 1
        if rng.random() > 0.1 or chunk[-1] is later[-1]:
            recording.bring(connection, chunk, (0, 0))
    rows = recording.rows()
    assert len(set(rows)) == len(rows)
    assert [one for one in later if one.number not in rows and not recording.has_gap_of(one)] == []
    assert [one.number for one in later[-5:]] == rows[-5:]
