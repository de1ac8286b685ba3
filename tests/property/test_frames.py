"""Frames written by another library come out as they went in, and garbage can do no harm."""

import socket
import threading
from itertools import pairwise

import websocket
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.frames import Close as TheirClose
from websockets.frames import CloseCode, Frame, Opcode

from services.ingest.connections.frames import Close, Event, FrameError, FrameParser, Ping, Pong
from tests.support.examples import examples

LIMIT_BYTES = 200_000

sizes = st.one_of(st.integers(0, 200), st.sampled_from([125, 126, 127, 1600, 65535, 65536, 65537]))
payloads = st.builds(lambda size, seed: (bytes([seed]) + b"depth" * (size // 5 + 1))[:size], sizes, st.integers(0, 255))
controls = st.one_of(
    st.builds(Ping, st.binary(max_size=125)),
    st.builds(Pong, st.binary(max_size=125)),
)


@st.composite
def messages(draw: st.DrawFn) -> tuple[bytes, list[Event]]:
    """One message on the wire, in fragments (empty ones too) with controls between, and the events it stands for."""
    payload = draw(payloads)
    cuts = sorted(draw(st.lists(st.integers(0, len(payload)), max_size=4)))
    opcode = draw(st.sampled_from([Opcode.TEXT, Opcode.BINARY]))
    wire, events = b"", list[Event]()
    bounds = [0, *cuts, len(payload)]
    for number, (start, stop) in enumerate(pairwise(bounds)):
        if number and (control := draw(st.none() | controls)):
            wire += written(control)
            events.append(control)
        frame = Frame(opcode if number == 0 else Opcode.CONT, payload[start:stop], fin=number == len(cuts))
        wire += frame.serialize(mask=False)
    return wire, [*events, payload]


def written(event: Ping | Pong | Close) -> bytes:
    if isinstance(event, Close):
        payload = b"" if event.code == 1005 else TheirClose(event.code, event.reason).serialize()
        return Frame(Opcode.CLOSE, payload).serialize(mask=False)
    opcode = Opcode.PING if isinstance(event, Ping) else Opcode.PONG
    return Frame(opcode, event.payload).serialize(mask=False)


closes = st.builds(
    Close,
    st.sampled_from([int(code) for code in CloseCode if code not in (1006, 1015)]) | st.integers(3000, 4999),
    st.text(max_size=30),
).map(lambda close: Close(1005, "") if close.code == 1005 else close)


@st.composite
def conversations(draw: st.DrawFn) -> tuple[bytes, list[Event]]:
    wire, events = b"", list[Event]()
    parts = draw(st.lists(messages() | controls.map(lambda event: (written(event), [event])), max_size=8))
    for some_wire, some_events in parts:
        wire += some_wire
        events += some_events
    if close := draw(st.none() | closes):
        return wire + written(close), [*events, close]
    return wire, events


def segments(data: bytes, cuts: list[int]) -> list[bytes]:
    bounds = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[start:stop] for start, stop in pairwise(bounds)]


def parsed(pieces: list[bytes]) -> tuple[list[Event], FrameError | None, FrameParser]:
    parser = FrameParser(max_message_bytes=LIMIT_BYTES)
    events: list[Event] = []
    for piece in pieces:
        events += parser.feed(piece)
        if parser.error is not None:
            break
    return events, parser.error, parser


@given(conversations(), st.lists(st.integers(0, 1 << 20), max_size=12))
@settings(deadline=None, max_examples=examples(200))
def test_what_another_library_wrote_is_read_in_order_however_it_is_cut(
    conversation: tuple[bytes, list[Event]], cuts: list[int]
) -> None:
    wire, expected = conversation
    events, error, parser = parsed(segments(wire, cuts))
    assert error is None
    assert events == expected
    assert not parser.is_mid_message


@given(conversations())
@settings(deadline=None, max_examples=examples(50))
def test_websocket_client_reads_the_same_bytes_alike(conversation: tuple[bytes, list[Event]]) -> None:
    wire, expected = conversation
    assert library_events(wire, len(expected)) == parsed([wire])[0] == expected


def library_events(wire: bytes, count: int) -> list[Event]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        sender = threading.Thread(target=theirs.sendall, args=(wire,))
        sender.start()
        client = websocket.WebSocket(skip_utf8_validation=True)
        client.sock = ours
        events = [library_event(*client.recv_data(control_frame=True)) for _ in range(count)]
        sender.join(60)
    return events


def library_event(opcode: int, data: bytes) -> Event:
    if opcode == 0x9:
        return Ping(data)
    if opcode == 0xA:
        return Pong(data)
    if opcode == 0x8:
        return Close(int.from_bytes(data[:2], "big"), data[2:].decode()) if data else Close(1005, "")
    return data


# Bytes that begin like frames, so that the depths are reached and not only the first refusal.
frame_like = st.lists(
    st.one_of(
        st.builds(
            lambda first, second, rest: bytes([first, second]) + rest,
            st.sampled_from([0x00, 0x01, 0x02, 0x80, 0x81, 0x82, 0x88, 0x89, 0x8A, 0xC1, 0x09]),
            st.sampled_from([0, 1, 2, 5, 125, 126, 127, 0x80, 0xFE]),
            st.binary(max_size=12),
        ),
        conversations().map(lambda conversation: conversation[0]),
        st.binary(max_size=40),
    ),
    max_size=6,
).map(b"".join)


@given(frame_like, st.lists(st.integers(0, 1 << 20), max_size=12))
@settings(deadline=None, max_examples=examples(500))
def test_garbage_raises_nothing_else_and_reads_the_same_however_it_is_cut(data: bytes, cuts: list[int]) -> None:
    whole, whole_error, whole_parser = parsed([data])
    events, error, parser = parsed(segments(data, cuts))
    assert events == whole
    assert str(error) == str(whole_error)
    assert parser.message_number == whole_parser.message_number
    assert sum(len(event) for event in events if isinstance(event, bytes)) <= len(data)
