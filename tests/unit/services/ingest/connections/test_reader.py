"""The reading thread over real sockets: it stamps, answers, bounds and reports, whatever the recorder does."""

import select
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from websockets.frames import Close, Frame, Opcode

from services.ingest.connections.dial import WebSocketConnection
from services.ingest.connections.events import Delivered, Ended, Failed, Opened, ReaderEvent, Stamper, joined
from services.ingest.connections.reader import ENOUGH_BYTES, Reader
from tests.support.waiting import eventually


def text(payload: bytes) -> bytes:
    return Frame(Opcode.TEXT, payload).serialize(mask=False)


@contextmanager
def reading(*, most_bytes: int = 1 << 20, frame_timeout_s: float = 10.0) -> Iterator[tuple[Reader, socket.socket]]:
    """A running reader with connection 1, and the exchange's end of it."""
    ours, theirs = socket.socketpair()
    reader = Reader(max_message_bytes=100_000, frame_timeout_s=frame_timeout_s, most_bytes=most_bytes)
    reader.start()
    try:
        reader.add(1, WebSocketConnection(ours))
        yield reader, theirs
    finally:
        reader.stop()
        theirs.close()


def reports_until(reader: Reader, last: type[ReaderEvent], found: list[ReaderEvent] | None = None) -> list[ReaderEvent]:
    found = [] if found is None else found

    def has_come() -> bool:
        found.extend(reader.take(1 << 30))
        return any(isinstance(report, last) for report in found)

    eventually(has_come, what=f"{last.__name__} in {found}")
    return found


def delivered_by(reports: list[ReaderEvent]) -> list[bytes]:
    return [message for report in reports if isinstance(report, Delivered) for message in report.messages]


def received(peer: socket.socket) -> bytes:
    peer.settimeout(20)
    return peer.recv(4096)


def test_messages_come_in_order_with_growing_stamps_behind_the_opening() -> None:
    with reading() as (reader, exchange):
        exchange.sendall(text(b"a") + text(b"b"))
        found = reports_until(reader, Delivered)
        exchange.sendall(text(b"c"))
        found += reports_until(reader, Delivered)
    assert isinstance(found[0], Opened)
    delivered = [report for report in found if isinstance(report, Delivered)]
    messages = [pair for report in delivered for pair in zip(report.stamps_ns, report.messages, strict=True)]
    assert [one for _, one in messages] == [b"a", b"b", b"c"]
    stamps = [found[0].recv_ns, *(stamp for stamp, _ in messages)]
    assert sorted(set(stamps)) == stamps


def test_a_ping_is_answered_though_nobody_takes_anything() -> None:
    with reading() as (_, exchange):
        exchange.sendall(text(b"a") + Frame(Opcode.PING, b"are you there").serialize(mask=False))
        answer = received(exchange)
    assert answer[0] == 0x80 | Opcode.PONG
    assert answer[1] == 0x80 | len(b"are you there")


def read_until(reader: Reader, last: type[ReaderEvent], found: list[ReaderEvent]) -> None:
    """As the recorder does it."""

    def has_come() -> bool:
        reader.read(time.monotonic() + 0.2)
        found.extend(reader.take(1 << 30))
        return any(isinstance(report, last) for report in found)

    eventually(has_come, every_s=0.0)


@contextmanager
def unstarted() -> Iterator[tuple[Reader, socket.socket]]:
    """A reader without its thread: the test is the recorder, and nobody stands in for it."""
    ours, theirs = socket.socketpair()
    reader = Reader(max_message_bytes=100_000, frame_timeout_s=10.0)
    reader.add(1, WebSocketConnection(ours))
    yield reader, theirs
    reader._close_all()
    theirs.close()


def test_a_recorder_that_reads_needs_no_thread_and_wakes_for_a_message() -> None:
    with unstarted() as (reader, exchange):
        found: list[ReaderEvent] = []
        read_until(reader, Opened, found)
        exchange.sendall(text(b"a"))
        assert reader.read(time.monotonic() + 600) == []
        assert delivered_by(reader.take(1 << 30)) == [b"a"]


def test_messages_are_gathered_until_their_time_has_come_and_keep_their_own_stamps() -> None:
    with unstarted() as (reader, exchange):
        read_until(reader, Opened, [])

        def send_the_second() -> None:
            eventually(lambda: reader.queued_bytes > 0, every_s=0.001)
            exchange.sendall(text(b"b"))

        sender = threading.Thread(target=send_the_second)
        sender.start()
        exchange.sendall(text(b"a"))
        not_before_s = time.monotonic() + 2.0
        reader.read(time.monotonic() + 600, not_before_s=not_before_s)
        assert time.monotonic() >= not_before_s
        sender.join()
        found = reader.take(1 << 30)
    assert delivered_by(found) == [b"a", b"b"]
    assert [type(report) for report in found] == [Delivered], "of one connection, in one"
    first_ns, second_ns = (stamp for report in found if isinstance(report, Delivered) for stamp in report.stamps_ns)
    assert 1 < second_ns - first_ns < 1_500_000_000, "stamped when they arrived"


def test_enough_for_a_journal_write_waits_no_longer() -> None:
    with unstarted() as (reader, exchange):
        read_until(reader, Opened, [])
        sender = threading.Thread(target=exchange.sendall, args=[text(b"a" * 60_000) * 8])
        sender.start()
        reader.read(time.monotonic() + 600, not_before_s=time.monotonic() + 600)
        assert reader.queued_bytes >= ENOUGH_BYTES
        found: list[bytes] = []

        def all_have_come() -> bool:
            found.extend(delivered_by(reader.take(1 << 30)))
            reader.read(time.monotonic() + 0.01)
            return len(found) == 8

        eventually(all_have_come, every_s=0.0)
        sender.join()


def test_a_descriptor_of_others_ends_the_waiting() -> None:
    with unstarted() as (reader, _):
        read_until(reader, Opened, [])
        ours, theirs = socket.socketpair()
        with ours, theirs:
            reader.watch(ours.fileno())
            theirs.sendall(b"x")
            assert reader.read(time.monotonic() + 600) == [ours.fileno()]


def test_what_the_thread_has_read_meanwhile_comes_before_what_the_recorder_reads() -> None:
    with reading() as (reader, exchange):
        found: list[ReaderEvent] = []
        for number in range(20):
            exchange.sendall(text(b"%d" % (2 * number)))
            eventually(lambda: reader.queued_bytes > 0)  # the recorder is away
            exchange.sendall(text(b"%d" % (2 * number + 1)))
            begun = len(delivered_by(found))
            while len(delivered_by(found)) < begun + 2:
                reader.read(time.monotonic() + 600)
                found += reader.take(1 << 30)
    assert delivered_by(found) == [b"%d" % number for number in range(40)]
    stamps = [stamp for report in found if isinstance(report, Delivered) for stamp in report.stamps_ns]
    assert stamps == sorted(set(stamps))


def test_beyond_its_bound_it_stops_reading_and_loses_nothing() -> None:
    sent = [b"%d" % number * 600 for number in range(10)]
    with reading(most_bytes=1000) as (reader, exchange):
        reports_until(reader, Opened)
        for payload in sent[:2]:
            exchange.sendall(text(payload))
            eventually(lambda: reader.queued_bytes > 0)
        eventually(lambda: reader.queued_bytes > 1000)
        full = reader.queued_bytes
        for payload in sent[2:]:
            exchange.sendall(text(payload))
        exchange.sendall(Frame(Opcode.PING, b"").serialize(mask=False))
        assert select.select([exchange], [], [], 0.5)[0] == [], "it has read on"
        assert reader.queued_bytes == full
        found: list[bytes] = []

        def has_everything() -> bool:
            for report in reader.take(1 << 30):
                found.extend(report.messages if isinstance(report, Delivered) else [])
            return len(found) == len(sent)

        eventually(has_everything)
        assert found == sent
        assert received(exchange)[0] == 0x80 | Opcode.PONG


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (b"", "disconnected"),
        (Close(1001, "").serialize(), "disconnected"),
        (b"\xc1\x00", "frame error"),
        (b"\x81\x7f" + (200_000).to_bytes(8, "big"), "oversize"),
    ],
    ids=["end", "close frame", "reserved bit", "oversize"],
)
def test_every_end_has_its_reason_and_what_came_before_is_delivered(sent: bytes, reason: str) -> None:
    with reading() as (reader, exchange):
        frame = Frame(Opcode.CLOSE, sent).serialize(mask=False) if reason == "disconnected" and sent else sent
        exchange.sendall(text(b"a") + frame)
        exchange.shutdown(socket.SHUT_WR)
        found = reports_until(reader, Ended)
    assert [type(report) for report in found] == [Opened, Delivered, Ended]
    ended = found[-1]
    assert isinstance(ended, Ended)
    assert ended.reason == reason


def test_a_trickle_is_ended() -> None:
    with reading(frame_timeout_s=0.3) as (reader, exchange):
        exchange.sendall(text(b"abc")[:3])
        ended = reports_until(reader, Ended)[-1]
    assert isinstance(ended, Ended)
    assert ended.reason == "stall"


def test_a_connection_is_closed_on_demand_behind_what_it_delivered() -> None:
    with reading() as (reader, exchange):
        exchange.sendall(text(b"a"))
        found = reports_until(reader, Delivered)
        reader.close(1, "stall", "stale")
        found += reports_until(reader, Ended)
        assert found[-1][2:] == ("stall", "stale")
        assert received(exchange)[0] == 0x80 | Opcode.CLOSE


def test_what_had_arrived_is_delivered_at_the_stop() -> None:
    with reading() as (reader, exchange):
        reports_until(reader, Opened)
        exchange.sendall(text(b"a"))
    found = reader.take(1 << 30)
    assert [type(report) for report in found] == [Delivered, Ended]


def test_a_connection_that_comes_after_the_stop_is_closed() -> None:
    with reading() as (reader, _):
        reports_until(reader, Opened)
    ours, theirs = socket.socketpair()
    with theirs:
        reader.add(2, WebSocketConnection(ours))
        assert received(theirs) == b""


def test_a_failure_is_reported_in_order() -> None:
    with reading() as (reader, _):
        reader.put_failure(Failed(7, "refused", 3.0))
        assert Failed(7, "refused", 3.0) in reports_until(reader, Failed)


def test_requests_are_sent_first() -> None:
    ours, theirs = socket.socketpair()
    with reading() as (reader, _), theirs:
        reader.add(2, WebSocketConnection(ours), ['{"method":"SUBSCRIBE"}'])
        assert received(theirs)[0] == 0x80 | Opcode.TEXT


def test_requests_over_an_open_connection_are_sent_at_the_pace_that_the_exchange_allows() -> None:
    """It takes ten control messages a second, and closes where there are more (docs/exchange.md §3)."""
    with reading() as (reader, exchange):
        reports_until(reader, Opened)
        started_s = time.monotonic()
        reader.send(1, [f"{number:02}" for number in range(12)])
        reader.send(7, ["of a connection that has ended"])
        found = b""
        while len(found) < 12 * len("hhmmmmNN"):  # header, mask, number
            found += received(exchange)
        assert time.monotonic() - started_s > 2  # five at once, and five in each of the next seconds


def test_stamps_grow_unless_the_clock_is_set_back_by_more_than_a_second() -> None:
    stamper = Stamper()
    assert stamper.stamps_of(1_000_000_000_000, 3) == range(1_000_000_000_000, 1_000_000_000_000 + 3)
    assert stamper.stamps_of(1_000_000_000_000, 1) == range(1_000_000_000_003, 1_000_000_000_003 + 1)
    assert stamper.stamps_of(999_500_000_000, 2) == range(1_000_000_000_004, 1_000_000_000_004 + 2)
    assert stamper.stamps_of(998_000_000_000, 1) == range(998_000_000_000, 998_000_000_000 + 1)
    assert stamper.stamps_of(1_000_000_000_000, 1) == range(1_000_000_000_000, 1_000_000_000_000 + 1)


def test_a_recorder_that_stands_still_for_long_makes_no_message_late() -> None:
    with reading(most_bytes=1000, frame_timeout_s=0.5) as (reader, exchange):
        reports_until(reader, Opened)
        half = text(b"b" * 600)
        exchange.sendall(text(b"a" * 1200) + half[:300])
        eventually(lambda: reader.queued_bytes > 1000)
        exchange.sendall(half[300:])
        time.sleep(1.5)  # nobody takes anything, so it does not read: longer than a message may take
        found: list[ReaderEvent] = []

        def has_everything() -> bool:
            found.extend(reader.take(1 << 30))
            return delivered_by(found) == [b"a" * 1200, b"b" * 600]

        eventually(has_everything)
        assert not [report for report in found if isinstance(report, Ended)]


def test_all_bytes_of_a_message_that_came_in_pieces_are_counted_as_queued() -> None:
    message = text(b"a" * 60_000)
    with reading() as (reader, exchange):
        reports_until(reader, Opened)
        for at in range(0, len(message), 1000):
            exchange.sendall(message[at : at + 1000])
            time.sleep(0.0005)
        eventually(lambda: reader.queued_bytes > 0)
        assert reader.queued_bytes == len(message)
        reports_until(reader, Delivered)
        assert reader.queued_bytes == 0


class Broken(WebSocketConnection):
    """Fails in a way that nobody expects, once."""

    has_failed = False

    def recv_into(self, buffer: memoryview) -> int | None:
        if self.has_failed:
            return None
        self.has_failed = True
        raise ValueError("no such thing")


def test_a_reader_that_has_ended_is_no_secret_behind_what_it_had_received() -> None:
    with reading() as (reader, exchange):
        reports_until(reader, Opened)
        exchange.sendall(text(b"a"))
        eventually(lambda: reader.queued_bytes > 0)
        ours, theirs = socket.socketpair()
        with theirs:
            reader.add(2, Broken(ours))
            found: list[ReaderEvent] = []
            with pytest.raises(RuntimeError, match="reader"):
                reports_until(reader, Failed, found)
            assert delivered_by(found) == [b"a"]


class Decrypted(WebSocketConnection):
    """Holds bytes that wake no poll, as the TLS layer does with the rest of a record."""

    def __init__(self, sock: socket.socket, held: bytes) -> None:
        super().__init__(sock)
        self.held = held

    def recv_into(self, buffer: memoryview) -> int | None:
        part, self.held = self.held[: len(buffer)], self.held[len(buffer) :]
        buffer[: len(part)] = part
        return len(part) or None


def test_what_waits_in_the_tls_layer_is_read_once_the_recorder_has_caught_up() -> None:
    sent = [b"%04d" % number * 250 for number in range(1500)]
    with reading(most_bytes=1 << 30) as (reader, _):
        reports_until(reader, Opened)
        ours, theirs = socket.socketpair()
        with theirs:
            reader.add(2, Decrypted(ours, b"".join(text(payload) for payload in sent)))
            found: list[ReaderEvent] = []

            def has_everything() -> bool:
                found.extend(reader.take(1 << 30))
                return delivered_by(found) == sent

            eventually(has_everything)


def test_what_one_connection_delivered_in_a_row_is_one_event() -> None:
    events: list[ReaderEvent] = [
        Opened(1, 5),
        Delivered(1, range(10, 12), [b"a", b"b"], 20),
        Delivered(1, range(20, 21), [b"c"], 7),
        Delivered(1, range(30, 31), [b"d"], 1),
        Delivered(2, range(31, 32), [b"e"], 3),
        Delivered(1, range(40, 41), [b"f"], 4),
        Ended(2, 50, "stall", ""),
        Delivered(1, range(60, 61), [b"g"], 5),
    ]
    before = [list(event.messages) for event in events if isinstance(event, Delivered)]
    assert joined(events) == [
        Opened(1, 5),
        Delivered(1, [10, 11, 20, 30], [b"a", b"b", b"c", b"d"], 28),
        Delivered(2, range(31, 32), [b"e"], 3),
        Delivered(1, range(40, 41), [b"f"], 4),
        Ended(2, 50, "stall", ""),
        Delivered(1, range(60, 61), [b"g"], 5),
    ]
    assert before == [list(event.messages) for event in events if isinstance(event, Delivered)]
