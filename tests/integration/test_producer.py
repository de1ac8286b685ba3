"""A producer in front of a writer made of two sockets: what it appends arrives, what it cannot keep becomes a gap."""

import logging
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import zmq

from binance_streamer.config import schema as configuration
from binance_streamer.exchange.messages import Reading
from binance_streamer.exchange.readers import ids_reader
from binance_streamer.exchange.streams import stream_of
from binance_streamer.transport import sockets
from binance_streamer.wire.frames import Ack, Batch, Position, decode_batch, decode_frame, encode_ack, split_frames
from binance_streamer.wire.status_parts import JournalStatus
from services.runtime.clock import monotonic_s
from services.runtime.delivery.events import EventRun
from services.runtime.delivery.producer import Producer
from services.runtime.gaps.drafts import Draft
from services.runtime.process import Shell, Stop, StopRequestedError
from tests.support.configs import write_config
from tests.support.drafts import singles
from tests.support.waiting import eventually

NAME = "ingest-BTCUSDT"
TRADES = stream_of("BTCUSDT", "trade")
read_link = ids_reader(TRADES) or pytest.fail("trades have ids")
Context = zmq.Context[zmq.Socket[bytes]]


class FakeWriter:
    """PULL and XPUB as the writer binds them; it says what it is told to say."""

    def __init__(self, context: Context, endpoints: configuration.EndpointsConfig) -> None:
        self.pull = sockets.intake_pull(context, endpoints.writer_intake)
        self.acks = sockets.acks_xpub(context, endpoints.writer_acks)
        self.batches: list[Batch] = []

    def frames(self, producer: Producer, count: int) -> list[tuple[str, dict[str, Any]]]:
        """Serve the producer until so many frames have come."""

        def has_all() -> bool:
            producer.serve(monotonic_s())
            while self.pull.poll(0):
                self.batches.append(decode_batch(self.pull.recv_multipart()))
            return sum(len(split_frames(batch.frames)) for batch in self.batches) >= count

        eventually(has_all)
        return [decode_frame(frame) for batch in self.batches for frame in split_frames(batch.frames)]

    def hello(self) -> bytes:
        """The next subscription."""
        assert self.acks.poll(60_000)
        return self.acks.recv()

    def say(self, ack: Ack, topic: bytes = NAME.encode()) -> None:
        self.acks.send_multipart([topic, encode_ack(ack)])

    def close(self) -> None:
        self.pull.close()
        self.acks.close()


@pytest.fixture
def shell(place: Path) -> Iterator[Shell]:
    path = write_config(
        place, {"BTCUSDT": ["trade"]}, {}, performance={"max_frame_bytes": 2000, "journal_max_bytes": 16 * 2**20}
    )
    config = configuration.load(path)
    Path(config.endpoints.run_directory).mkdir(mode=0o700)
    context: Context = zmq.Context()
    stop = Stop()
    yield Shell(NAME, config, path, stop, context, 7, logging.getLogger("test"))
    stop.close()
    context.destroy(linger=0)


def trade(number: int, *, padding: int = 0) -> Draft:
    data = {
        "symbol": "BTCUSDT",
        "stream": "btcusdt@trade",
        "recv_ns": 1000 + number,
        "source": "ws",
        "connection": 1,
        "event": b"x" * padding,
    }
    return Draft("trade", "BTCUSDT", "", data, Reading(number - 1, number, 5000))


def served(producer: Producer) -> JournalStatus:
    producer.serve(monotonic_s())
    return producer.status()


def test_what_is_appended_arrives_once_in_order_and_live(shell: Shell) -> None:
    endpoints = shell.config.endpoints
    bus = sockets.bus_intake(shell.context, endpoints.bus_publish, b"")
    with (
        closing(bus),
        closing(sockets.bus_pub(shell.context, endpoints.bus_publish)) as pub,
        closing(FakeWriter(shell.context, endpoints)) as writer,
        closing(Producer(shell, NAME, pub)) as producer,
    ):

        def is_live() -> bool:
            producer.publish_live(trade(0))
            return bus.poll(50) != 0

        eventually(is_live)
        producer.append([trade(1), trade(2)])
        found = writer.frames(producer, 2)
        assert [(kind, data["seq"], data["epoch"], data["producer"]) for kind, data in found] == [
            ("trade", found[0][1]["seq"], 7, NAME),
            ("trade", found[0][1]["seq"] + 1, 7, NAME),
        ]
        assert writer.batches[0].first == 0
        assert writer.batches[0].after is None


def test_a_frame_over_the_limit_is_refused_and_listed_in_its_place(shell: Shell) -> None:
    with (
        closing(sockets.bus_pub(shell.context, shell.config.endpoints.bus_publish)) as pub,
        closing(FakeWriter(shell.context, shell.config.endpoints)) as writer,
        closing(Producer(shell, NAME, pub)) as producer,
    ):
        producer.append([trade(1)])
        producer.append([trade(2, padding=3000)])
        producer.append([trade(3)])
        found = writer.frames(producer, 3)
        assert [kind for kind, _ in found] == ["trade", "gap", "trade"]
        gap = found[1][1]
        assert (gap["from_id"], gap["to_id"], gap["from_ns"], gap["to_ns"]) == (1, 2, 1001, 1002)
        assert gap["reason"] == "oversize"
        assert producer.status().refused_frames == 1


def run_of(first: int, count: int, *, padding: int = 0, connection: int = 1) -> EventRun:
    run = EventRun(TRADES, connection)
    for number in range(first, first + count):
        run.stamps_ns.append(1000 + number)
        run.events.append(b'{"e":"trade","E":5000,"s":"BTCUSDT","t":%d,"x":"%b"}' % (number, b"x" * padding))
    run.links += map(read_link, run.events)
    return run


def test_a_run_arrives_like_its_messages_one_by_one(shell: Shell) -> None:
    with (
        closing(sockets.bus_pub(shell.context, shell.config.endpoints.bus_publish)) as pub,
        closing(FakeWriter(shell.context, shell.config.endpoints)) as writer,
        closing(Producer(shell, NAME, pub)) as producer,
    ):
        producer.append([run_of(1, 3)])
        producer.append(list(singles([run_of(4, 3)])))
        producer.append([run_of(7, 1)])
        frames = writer.frames(producer, 7)
        for number, (kind, data) in enumerate(frames, start=1):
            assert (kind, data["seq"], data["recv_ns"]) == ("trade", number, 1000 + number)
            assert data["event"] == run_of(number, 1).events[0]
            assert data.keys() == frames[3][1].keys()


def test_of_a_run_only_the_message_over_the_limit_is_refused(shell: Shell) -> None:
    with (
        closing(sockets.bus_pub(shell.context, shell.config.endpoints.bus_publish)) as pub,
        closing(FakeWriter(shell.context, shell.config.endpoints)) as writer,
        closing(Producer(shell, NAME, pub)) as producer,
    ):
        run = run_of(1, 4)
        run.events[1] = run_of(2, 1, padding=3000).events[0]
        producer.append([run])
        producer.append([run_of(5, 1)])
        found = writer.frames(producer, 5)
        assert [data.get("event", b"")[36:41] for _, data in found] == [b'"t":1', b"", b'"t":3', b'"t":4', b'"t":5']
        assert (found[1][1]["from_id"], found[1][1]["reason"]) == (1, "oversize")
        assert producer.status().refused_frames == 1


def test_a_run_that_the_journal_does_not_take_becomes_a_gap_before_the_next(shell: Shell) -> None:
    with (
        closing(sockets.bus_pub(shell.context, shell.config.endpoints.bus_publish)) as pub,
        closing(FakeWriter(shell.context, shell.config.endpoints)) as writer,
        closing(Producer(shell, NAME, pub)) as producer,
    ):
        number = 1
        while producer.status().state == "recording":
            producer.append([run_of(number, 1000, padding=900)])
            number += 1000
        kept = producer.status().next_position
        assert kept == number - 1001
        producer.append([run_of(number, 2)])
        (own,) = producer.own_gaps
        (gap,) = [data for kind, data in writer.frames(producer, kept + 3) if kind == "gap"]
        assert gap == own.data
        assert (gap["from_id"], gap["to_id"], gap["reason"]) == (kept, number - 1, "journal full")
        producer.append([run_of(number + 2, 1)])
        assert producer.own_gaps == []


def test_a_writer_that_catches_up_waits_for_no_timer(shell: Shell) -> None:
    with (
        closing(sockets.bus_pub(shell.context, shell.config.endpoints.bus_publish)) as pub,
        closing(FakeWriter(shell.context, shell.config.endpoints)) as writer,
        closing(Producer(shell, NAME, pub)) as producer,
    ):
        poller = zmq.Poller()
        producer.register(poller)
        writer.hello()
        number = 4000
        producer.append([run_of(1, number, padding=900)])  # many times what is in flight
        now_s = monotonic_s() + 10
        producer.serve(now_s)
        assert producer.status().pushed_frames < number

        def has_room() -> bool:
            while writer.pull.poll(50):
                writer.pull.recv_multipart()
            return bool(poller.poll(50))

        while producer.status().pushed_frames < number:
            eventually(has_room)
            producer.serve(now_s)  # time stands still: no timer is due
        while writer.pull.poll(200):
            writer.pull.recv_multipart()
        producer.serve(now_s)
        assert not poller.poll(500), "nothing is left to wait for: the writer's room wakes nobody"


def test_a_full_journal_keeps_the_live_path_and_lists_what_it_could_not_keep(shell: Shell) -> None:
    with (
        closing(sockets.bus_pub(shell.context, shell.config.endpoints.bus_publish)) as pub,
        closing(FakeWriter(shell.context, shell.config.endpoints)) as writer,
        closing(Producer(shell, NAME, pub)) as producer,
    ):
        number = 0
        while producer.status().state == "recording":
            number += 1000
            producer.append([trade(n, padding=1500) for n in range(number - 999, number + 1)])
        kept = producer.status().next_position
        producer.append([trade(number + 1)])  # a small one still fits, and ends the hole
        found = writer.frames(producer, kept + 2)
        (gap,) = [data for kind, data in found if kind == "gap"]
        assert (gap["reason"], gap["from_id"], gap["to_id"]) == ("journal full", kept, number)
        assert producer.status().not_journalled == 1000
        while producer.status().state == "recording":
            producer.append([trade(number + 2, padding=1500)])
        writer.say(Ack("w", Position(7, kept), Position(7, kept), "commit"))
        eventually(lambda: served(producer).durable == Position(7, kept))
        producer.append([trade(number + 3, padding=1500)])
        assert producer.status().state == "recording", "acknowledged segments made room"


def test_what_cannot_be_asked_because_the_disk_has_spoilt_it_keeps_no_process_busy(shell: Shell) -> None:
    with (
        closing(sockets.bus_pub(shell.context, shell.config.endpoints.bus_publish)) as pub,
        closing(FakeWriter(shell.context, shell.config.endpoints)) as writer,
        closing(Producer(shell, NAME, pub)) as producer,
    ):
        producer.append([trade(number) for number in range(10)])
        writer.frames(producer, 10)  # out of memory, not yet durable
        (segment,) = shell.config.journal_of(NAME).glob("*.journal")
        segment.write_bytes(bytes(segment.stat().st_size))
        now_s = monotonic_s() + 60
        producer.serve(now_s)
        assert producer.poll_timeout_s(now_s) > 0


def test_acks_for_others_and_garbage_move_nothing(shell: Shell) -> None:
    with (
        closing(sockets.bus_pub(shell.context, shell.config.endpoints.bus_publish)) as pub,
        closing(FakeWriter(shell.context, shell.config.endpoints)) as writer,
        closing(Producer(shell, NAME, pub)) as producer,
    ):
        assert writer.hello() == b"\x01" + NAME.encode()
        producer.append([trade(1)])
        writer.frames(producer, 1)
        writer.say(Ack("w", Position(7, 1), Position(7, 1), "commit"), topic=NAME.encode() + b"_260925")
        writer.acks.send_multipart([NAME.encode(), b"\xc1garbage"])
        writer.say(Ack("w", Position(7, 99), Position(7, 99), "commit"))
        writer.say(Ack("w", Position(6, 1), Position(6, 1), "commit"))
        eventually(lambda: served(producer).unexpected_acks >= 1)
        assert producer.status().unacknowledged_bytes > 0


def test_drain_ends_once_the_writer_has_everything(shell: Shell) -> None:
    with (
        closing(sockets.bus_pub(shell.context, shell.config.endpoints.bus_publish)) as pub,
        closing(FakeWriter(shell.context, shell.config.endpoints)) as writer,
        closing(Producer(shell, NAME, pub)) as producer,
    ):
        producer.append([trade(1)])
        assert not producer.drain(0.5)
        writer.hello()
        writer.say(Ack("w", None, Position(7, 1), "known"))
        assert producer.drain(60)


def test_a_journal_is_forgotten_only_once_the_writer_has_made_it_durable(shell: Shell) -> None:
    with (
        closing(sockets.bus_pub(shell.context, shell.config.endpoints.bus_publish)) as pub,
        closing(FakeWriter(shell.context, shell.config.endpoints)) as writer,
        closing(Producer(shell, NAME, pub)) as producer,
    ):
        producer.append([trade(1), trade(2)])
        writer.hello()
        writer.say(Ack("w", Position(7, 1), Position(7, 2), "commit"))
        assert producer.drain(60)
        assert not producer.drain(0.5, until_durable=True)
        writer.say(Ack("w", Position(7, 2), Position(7, 2), "commit"))
        assert producer.drain(60, until_durable=True)
        producer.forget()
    assert not list(shell.config.journal_of(NAME).glob("*.journal"))
    with (
        closing(sockets.bus_pub(shell.context, shell.config.endpoints.bus_publish)) as pub,
        closing(Producer(shell, NAME, pub)) as producer,
    ):
        assert producer.status().journal_bytes == 0
        assert producer.last_rows == {}


def test_a_second_owner_waits_for_the_journal(shell: Shell) -> None:
    with (
        closing(sockets.bus_pub(shell.context, shell.config.endpoints.bus_publish)) as pub,
        closing(Producer(shell, NAME, pub)),
    ):
        shell.stop.request()
        with pytest.raises(StopRequestedError):
            Producer(shell, NAME, pub)


def test_an_unreachable_writer_costs_no_memory_and_no_time(shell: Shell) -> None:
    with (
        closing(sockets.bus_pub(shell.context, shell.config.endpoints.bus_publish)) as pub,
        closing(Producer(shell, NAME, pub)) as producer,
    ):
        for number in range(200):
            producer.append([trade(number + 1)])
            producer.serve(monotonic_s())
        assert producer.status().pushed_frames == 0
        with pytest.raises(zmq.Again):
            producer._outbox._push.send(b"x", zmq.DONTWAIT)
