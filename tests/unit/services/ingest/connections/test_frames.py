"""Each rule of RFC 6455 that the parser keeps, one literal frame at a time."""

import time
import tracemalloc

import pytest

from services.ingest.connections.frames import Close, Event, FrameDeadline, FrameError, FrameParser, Ping, Pong

LIMIT_BYTES = 4 * 1024 * 1024


def parser(max_message_bytes: int = LIMIT_BYTES) -> FrameParser:
    return FrameParser(max_message_bytes=max_message_bytes)


def refusal(data: bytes, max_message_bytes: int = LIMIT_BYTES) -> FrameError:
    subject = parser(max_message_bytes)
    assert subject.feed(data) == []
    assert subject.error is not None
    with pytest.raises(FrameError) as raised:
        subject.feed(b"")
    assert raised.value is subject.error
    return subject.error


@pytest.mark.parametrize(
    ("data", "events"),
    [
        (b"\x81\x00", [b""]),
        (b"\x81\x02{}", [b"{}"]),
        (b"\x82\x02\x00\xff", [b"\x00\xff"]),
        (b"\x81\x7e\x00\x7e" + b"x" * 126, [b"x" * 126]),
        (b"\x81\x7f" + (65536).to_bytes(8, "big") + b"y" * 65536, [b"y" * 65536]),
        (b"\x89\x02hi", [Ping(b"hi")]),
        (b"\x89\x00", [Ping(b"")]),
        (b"\x8a\x02ho", [Pong(b"ho")]),
        (b"\x88\x00", [Close(1005, "")]),
        (b"\x88\x02\x03\xe9", [Close(1001, "")]),
        (b"\x88\x05\x03\xe8bye", [Close(1000, "bye")]),
        (b"\x01\x01a\x00\x01b\x80\x01c", [b"abc"]),
        (b"\x02\x00\x80\x00", [b""]),
        (b"\x01\x01a\x89\x01p\x00\x01b\x8a\x00\x80\x01c\x81\x01d", [Ping(b"p"), Pong(b""), b"abc", b"d"]),
        (b"\x81\x02\xff\xfe", [b"\xff\xfe"]),  # not UTF-8: not looked at
    ],
)
def test_a_frame_becomes_its_event_however_it_is_cut(data: bytes, events: list[Event]) -> None:
    assert parser().feed(data) == events
    step = max(1, len(data) // 300)
    bytewise = parser()
    assert [event for at in range(0, len(data), step) for event in bytewise.feed(data[at : at + step])] == events
    assert not bytewise.is_mid_message
    for cut in {*range(1, len(data), step), len(data) - 1}:
        halves = parser()
        assert halves.feed(data[:cut]) + halves.feed(data[cut:]) == events


@pytest.mark.parametrize(
    ("data", "close_code"),
    [
        (b"\x81\x80\x00\x00\x00\x00", 1002),  # masked
        (b"\x81\xfe", 1002),  # masked, before its length is known
        (b"\xc1\x00", 1002),  # RSV1: deflate was never offered
        (b"\xa1\x00", 1002),
        (b"\x91\x00", 1002),
        (b"\x83\x00", 1002),  # unknown opcodes
        (b"\x87\x00", 1002),
        (b"\x8b\x00", 1002),
        (b"\x8f\x00", 1002),
        (b"\x09\x00", 1002),  # fragmented ping
        (b"\x08\x00", 1002),  # fragmented close
        (b"\x89\x7e\x00\x7e", 1002),  # ping of 126 bytes
        (b"\x80\x00", 1002),  # continuation of nothing
        (b"\x00\x00", 1002),
        (b"\x01\x00\x81\x00", 1002),  # text inside a fragmented message
        (b"\x01\x00\x81\x02ab", 1002),
        (b"\x01\x00\x02\x00", 1002),
        (b"\x81\x7e\x00\x7d", 1002),  # 125 in 16 bits
        (b"\x81\x7e\x00\x00", 1002),
        (b"\x81\x7f" + (65535).to_bytes(8, "big"), 1002),  # 65535 in 64 bits
        (b"\x81\x7f" + (1 << 63).to_bytes(8, "big"), 1002),  # the highest bit
        (b"\x88\x01\x03", 1002),  # half a close code
        (b"\x88\x04\x03\xe8\xff\xfe", 1007),  # reason is not UTF-8
    ],
)
def test_a_broken_frame_is_refused_by_its_header(data: bytes, close_code: int) -> None:
    assert refusal(data).close_code == close_code


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535])
def test_a_close_code_that_never_stands_in_a_frame_is_refused(code: int) -> None:
    assert refusal(b"\x88\x02" + code.to_bytes(2, "big")).close_code == 1002


@pytest.mark.parametrize("code", [1000, 1001, 1002, 1003, 1007, 1011, 1012, 1014, 3000, 4999])
def test_a_close_code_in_use_is_taken(code: int) -> None:
    assert parser().feed(b"\x88\x02" + code.to_bytes(2, "big")) == [Close(code, "")]


def test_a_message_of_the_limit_is_taken_and_one_byte_more_is_not() -> None:
    assert parser(5).feed(b"\x81\x0512345") == [b"12345"]
    assert refusal(b"\x81\x06", 5).close_code == 1009
    assert refusal(b"\x81\x06123456", 5).close_code == 1009
    assert parser(200).feed(b"\x81\x7e\x00\xc8" + b"x" * 200) == [b"x" * 200]
    assert refusal(b"\x81\x7e\x00\xc9", 200).close_code == 1009


def test_fragments_count_together_against_the_limit() -> None:
    assert parser(5).feed(b"\x01\x03123\x80\x0245") == [b"12345"]
    assert refusal(b"\x01\x03123\x80\x03", 5).close_code == 1009


def test_a_ping_may_be_longer_than_the_limit() -> None:
    assert parser(1).feed(b"\x89\x02hi") == [Ping(b"hi")]


def test_eight_declared_gibibytes_cost_no_memory() -> None:
    tracemalloc.start()
    try:
        assert refusal(b"\x81\x7f" + (8 << 30).to_bytes(8, "big")).close_code == 1009
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


def test_a_large_frame_in_small_pieces_costs_no_more_than_a_few_large_ones() -> None:
    payload = bytes(16 * 1024 * 1024)
    data = memoryview(b"\x82\x7f" + len(payload).to_bytes(8, "big") + payload)

    def cpu_s(piece_bytes: int) -> float:
        subject = parser(len(payload))
        began_s = time.process_time()
        events = [
            event for at in range(0, len(data), piece_bytes) for event in subject.feed(data[at : at + piece_bytes])
        ]
        took_s = time.process_time() - began_s
        assert events == [payload]
        return took_s

    # Copying all that is held for each piece makes it hundreds of times as much.
    assert min(cpu_s(4096) for _ in range(3)) < 20 * min(cpu_s(1024 * 1024) for _ in range(3))


def test_what_was_complete_before_an_error_is_returned_and_then_the_error_is_raised() -> None:
    subject = parser()
    assert subject.feed(b"\x81\x01a\x89\x01p\x81\x01b\x83\x00\x81\x01c") == [b"a", Ping(b"p"), b"b"]
    assert subject.error is not None
    for _ in range(2):
        with pytest.raises(FrameError):
            subject.feed(b"\x81\x01d")


def test_what_follows_a_close_is_discarded() -> None:
    subject = parser()
    assert subject.feed(b"\x01\x01a\x88\x02\x03\xe8\x83garbage") == [Close(1000, "")]
    assert subject.feed(b"\x81\x01a") == []
    assert subject.error is None
    assert not subject.is_mid_message


def test_the_receive_buffer_may_be_overwritten() -> None:
    subject = parser()
    buffer = bytearray(b"\x81\x02ab\x81\x02c")
    first = subject.feed(memoryview(buffer))
    buffer[:] = b"\xff" * len(buffer)
    assert first == [b"ab"]
    assert subject.feed(b"d") == [b"cd"]


def test_mid_message_is_known_for_frames_and_for_fragments() -> None:
    subject = parser()
    seen = []
    for data in (b"\x81", b"\x01a", b"\x01\x01a", b"\x80", b"\x01b", b"\x88"):
        subject.feed(data)
        seen.append((subject.is_mid_message, subject.message_number))
    assert seen == [(True, 0), (False, 1), (True, 1), (True, 1), (False, 2), (True, 2)]


def test_a_trickled_frame_expires_and_a_stream_of_cut_frames_does_not() -> None:
    subject, deadline = parser(), FrameDeadline(limit_s=5.0)
    subject.feed(b"\x81\x7d")
    assert [(subject.feed(b"x"), deadline.update(subject, now_s))[1] for now_s in (100.0, 103.0, 105.0, 105.5)] == [
        False,
        False,
        False,
        True,
    ]
    subject, deadline = parser(), FrameDeadline(limit_s=5.0)
    for now_s in range(0, 100, 3):  # never between two frames
        subject.feed(b"\x81\x01" if now_s == 0 else b"a\x81\x01")
        assert subject.is_mid_message
        assert not deadline.update(subject, float(now_s))


def test_pings_between_fragments_do_not_prolong_a_message() -> None:
    subject, deadline = parser(), FrameDeadline(limit_s=5.0)
    subject.feed(b"\x01\x01a")
    assert not deadline.update(subject, 0.0)
    assert subject.feed(b"\x89\x00\x00\x01b") == [Ping(b"")]
    assert not deadline.update(subject, 4.0)
    assert subject.feed(b"\x89\x00") == [Ping(b"")]
    assert deadline.update(subject, 6.0)


def test_a_deadline_starts_afresh_after_a_quiet_time() -> None:
    subject, deadline = parser(), FrameDeadline(limit_s=5.0)
    subject.feed(b"\x81")
    assert not deadline.update(subject, 0.0)
    subject.feed(b"\x00")
    assert not deadline.update(subject, 1.0)
    assert not deadline.update(subject, 1000.0)
    subject.feed(b"\x81")
    assert not deadline.update(subject, 1001.0)
