"""Whoever reaches our sockets and says the worst there is: nobody ends, nothing leaves its place, the rest goes on."""

import csv
import io
import json
import logging
import random
import socket
import unicodedata
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import msgpack
import pytest
import zmq

from binance_streamer.client.tap import Tap
from binance_streamer.config.schema import Config, load
from binance_streamer.transport import sockets
from services.runtime import logs
from tests.support.configs import write_config
from tests.support.processes import Program, Simulator, resident_bytes, service
from tests.support.recorded import recorded_rows
from tests.support.waiting import eventually
from tests.support.writer_peer import Peer, aggregate
from tests.support.zmtp import FloodingSubscriber

Socket = zmq.Socket[bytes]

NAMES = ["../../../escape", "/tmp/escape", "..", ".", ".hidden", "", "a/b", "a\\b", "A\nB", "\x1b[2J", "A\u202eB",
         "\x00", "x" * 300, "%2e%2e%2f", "é" * 100, "\ud800", "BTCUSDT", "CON", "币安人生USDT", "~root"]  # fmt: skip
TYPES = [
    "aggtrade",
    "depth",
    "gap",
    "raw",
    "exchange_info",
    "status",
    "../x",
    "a/b",
    "\n",
    "x" * 300,
    "kline",
    "orderbook",
]
EVENTS: list[Any] = [b"", b"{}", b"[" * 100_000, b'{"a":1e999999}', b"\xff\xfe", b'{"e":"aggTrade","\\n\\u001b[2J":1}',
                     7, b'{"T":99999999999999999999999}', None, b'"\\ud800"', b"x" * 300_000]  # fmt: skip
NUMBERS = [0, 1, -1, 2**63, 2**64 - 1, 1_790_526_539_100_000_000, "1", None, 1.5]


@pytest.fixture
def held() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def context(held: ExitStack) -> "zmq.Context[Socket]":
    made: zmq.Context[Socket] = zmq.Context()
    held.callback(made.destroy, 0)
    return made


def pack(value: object) -> bytes:
    packed: bytes = msgpack.packb(value, unicode_errors="surrogatepass")
    return packed


def hostile_frame(dice: random.Random, producer: str, epoch: int) -> bytes:
    """A frame of which something is wrong, or everything."""
    data = {
        "symbol": dice.choice(NAMES), "stream": f"{dice.choice(NAMES)}@{dice.choice(TYPES)}{dice.choice(NAMES)}",
        "recv_ns": dice.choice(NUMBERS), "producer": dice.choice([producer, *NAMES]),
        "epoch": dice.choice([epoch, *NUMBERS]), "seq": dice.choice(NUMBERS), "source": dice.choice(NAMES),
        "event": dice.choice(EVENTS), "reason": dice.choice(NAMES), "gap_id": dice.choice(NAMES),
    }  # fmt: skip
    for key in dice.sample(sorted(data), dice.randrange(3)):
        del data[key]
    frame = pack((dice.choice(TYPES), data))
    kind = dice.randrange(10)
    if kind == 0:
        return dice.randbytes(dice.randrange(1, 300))
    if kind == 1:
        return frame[: dice.randrange(1, len(frame))]
    if kind == 2:
        return b"\x91" * 1500 + b"\x00"
    return b"\xdd\xff\xff\xff\xff" if kind == 3 else frame


def hostile_message(dice: random.Random) -> list[bytes]:
    """A message to the intake; every second one is a proper batch of hostile frames."""
    producer = dice.choice(NAMES)
    epoch = dice.choice([1, 2, 2**63, 2**64 - 1])
    header = pack((epoch, dice.choice([0, 0, 0, 5, 2**63]), None))
    frames = b"".join(hostile_frame(dice, producer, epoch) for _ in range(dice.randrange(1, 5)))
    if dice.random() < 0.5:
        return [producer.encode(errors="surrogatepass"), header, frames]
    return [dice.choice([b"", b"\xff", header, frames, dice.randbytes(40)]) for _ in range(dice.randrange(1, 6))]


def push_all(push: Socket, messages: list[list[bytes]]) -> None:
    for message in messages:
        assert push.poll(60_000, zmq.POLLOUT), "the writer takes nothing any more"
        push.send_multipart(message)


def everything_below(place: Path) -> set[str]:
    return {str(path.relative_to(place)) for path in place.rglob("*")}


def check_logs(place: Path) -> None:
    """Every line is one JSON object in printable ASCII, and none of ours has died."""
    lines = [line for path in place.rglob("*.log") for line in path.read_bytes().split(b"\n") if line]
    assert lines
    for line in lines:
        assert line.decode("ascii").isprintable()
        assert json.loads(line)["level"] != "critical"
        assert "traceback" not in json.loads(line)


def check_cells(path: Path) -> None:
    """A row a line, and control characters nowhere but in an event, which is recorded byte for byte."""
    text = path.read_bytes().decode()
    csv.field_size_limit(1 << 30)
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert text.endswith("\n")
    assert text.count("\n") == len(rows) + 1
    for row in rows:
        assert None not in row
        for column, cell in row.items():
            assert column == "event" or not any(unicodedata.category(letter) == "Cc" for letter in cell), (path, row)


@pytest.mark.timeout(180)
def test_floods_of_subscriptions_keep_the_writer_from_nothing(
    place: Path, held: ExitStack, context: "zmq.Context[Socket]"
) -> None:
    config = load(write_config(place, {"BTCUSDT": ["aggTrade"]}, {}))
    writer = held.enter_context(service("writer", place / "streamer.yaml", output=place / "writer.out"))
    honest = held.enter_context(closing(Peer(context, config, "ingest-BTCUSDT", 11)))
    honest.emit("aggtrade", "BTCUSDT", "btcusdt@aggTrade", aggregate(1))
    honest.deliver()
    before_bytes = resident_bytes(writer.pid)
    floods = [held.enter_context(FloodingSubscriber(config.endpoints.writer_acks, 480)) for _ in range(4)]
    number = 1
    while min(flood.times_cut for flood in floods) < 2:
        number += 1
        honest.emit("aggtrade", "BTCUSDT", "btcusdt@aggTrade", aggregate(number))
        honest.deliver()
    late = held.enter_context(closing(Peer(context, config, "ingest-ETHUSDT", 12)))
    late.emit("aggtrade", "ETHUSDT", "ethusdt@aggTrade", aggregate(1, "ETHUSDT"))
    late.deliver()
    assert resident_bytes(writer.pid) - before_bytes < 150 * 2**20
    assert [row["agg_trade_id"] for row in recorded_rows(place / "data", "BTCUSDT", "aggtrade")] == [
        str(one) for one in range(1, number + 1)
    ]
    assert writer.exit_code is None


def test_no_name_that_a_stranger_pushes_becomes_a_path_or_a_line(
    place: Path, held: ExitStack, context: "zmq.Context[Socket]"
) -> None:
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    dice = random.Random(seed)
    config = load(write_config(place, {"BTCUSDT": ["aggTrade"]}, {}))
    writer = held.enter_context(service("writer", place / "streamer.yaml", output=place / "writer.out"))
    honest = held.enter_context(closing(Peer(context, config, "ingest-BTCUSDT", 11)))
    push = held.enter_context(closing(sockets.intake_push(context, config.endpoints.writer_intake)))
    honest.emit("aggtrade", "BTCUSDT", "btcusdt@aggTrade", aggregate(1))
    honest.deliver()
    before, outside = everything_below(place), everything_below(place.parent / "escape")
    for number in range(2, 302, 10):
        push_all(push, [hostile_message(dice) for _ in range(20)])
        for one in range(number, number + 10):
            honest.emit("aggtrade", "BTCUSDT", "btcusdt@aggTrade", aggregate(one))
        honest.pump(0.02)
    honest.deliver()
    ids = [int(row["agg_trade_id"]) for row in recorded_rows(place / "data", "BTCUSDT", "aggtrade")]
    assert ids == list(range(1, 302))
    assert writer.stop() == 0
    new = sorted(everything_below(place) - before)
    assert new, "nothing hostile was recorded: the test proves nothing"
    for path in new:
        parts = path.split("/")
        assert parts[0] == "data"
        assert len(parts) <= 3
        assert all(part.isascii() and part.isprintable() and not part.startswith("~") for part in parts)
        assert path.startswith("data/.writer.") or not any(part.startswith(".") for part in parts), path
    assert everything_below(place.parent / "escape") == outside
    for file in (place / "data").rglob("*.csv"):
        check_cells(file)
    check_logs(place)


def test_names_beyond_number_are_counted_and_cut_in_status(
    place: Path, held: ExitStack, context: "zmq.Context[Socket]"
) -> None:
    config = load(write_config(place, {"BTCUSDT": ["aggTrade"]}, {}, storage={"commit_interval": 1}))
    for name in ("bus", "writer"):
        held.enter_context(service(name, place / "streamer.yaml", output=place / f"{name}.out"))
    push = held.enter_context(closing(sockets.intake_push(context, config.endpoints.writer_intake)))
    tap = held.enter_context(Tap(config.endpoints.bus_subscribe, ["status.writer."]))
    batches = []
    for number in range(5200):
        producer = f"{number:05}{'x' * 100}"
        data = {"symbol": "BTCUSDT", "stream": "s", "recv_ns": 1, "producer": producer, "epoch": 1, "seq": 1,
                "source": "ws", "event": b'{"%d%b":1}' % (number, b"y" * 200)}  # fmt: skip
        batches.append([producer.encode(), pack((1, 0, None)), pack(("aggtrade", data))])
    push_all(push, batches)

    def cut() -> dict[str, int]:
        message = tap.receive(1)
        if message is None:
            return {}
        assert len(message.data["producers"]) <= 5000
        assert len(message.data["raw"]) <= 100
        found: dict[str, int] = message.data.get("cut", {})
        return found if found.get("producers") == 5200 else {}

    assert eventually(cut, 60, what="the status says how many producers there are") == {"producers": 5200}


def stranger_sends(dice: random.Random, config: Config, held: ExitStack, context: "zmq.Context[Socket]") -> None:
    """Something of everything to every socket that is bound."""
    endpoints = config.endpoints
    push = held.enter_context(closing(sockets.intake_push(context, endpoints.writer_intake)))
    pub = held.enter_context(closing(sockets.bus_pub(context, endpoints.bus_publish)))
    dealer = held.enter_context(closing(sockets.query_dealer(context, endpoints.orderbook_query)))
    assert dealer.poll(60_000, zmq.POLLOUT)
    subs = [
        held.enter_context(closing(sockets.bus_sub(context, endpoints.bus_subscribe))),
        held.enter_context(closing(sockets.acks_sub(context, endpoints.writer_acks, "x"))),
    ]
    push_all(push, [hostile_message(dice) for _ in range(200)])
    assert pub.poll(60_000, zmq.POLLOUT)
    for number in range(300):
        stream_type = ("depth_snapshot", "symbol_status", "request", "status")[number % 4]
        frame = hostile_frame(dice, "x", 1)
        pub.send_multipart([f"{stream_type}.BTCUSDT.".encode(), *[frame] * dice.randrange(4)])
        pub.send_multipart([b"depth.BTCUSDT.0ms", *[frame] * dice.randrange(4)])
        dealer.send_multipart([frame] * dice.randrange(1, 4))
        for sub in subs:
            sub.setsockopt(zmq.SUBSCRIBE, dice.randbytes(dice.randrange(1, 3000)))
    nested = {
        "symbol": "BTCUSDT", "stream": "x", "recv_ns": 1, "producer": "x", "epoch": 1, "seq": 1, "source": "rest",
        "event": b'{"x":' + b"[" * 200_000,
    }  # fmt: skip
    pub.send_multipart([b"depth_snapshot.BTCUSDT.", pack(("depth_snapshot", nested))])
    pub.send_multipart([b"depth.BTCUSDT.0ms", pack(("depth", nested))])
    for endpoint in (
        endpoints.writer_intake, endpoints.writer_acks, endpoints.bus_publish, endpoints.bus_subscribe,
        endpoints.orderbook_query,
    ):  # fmt: skip
        for _ in range(20):
            with socket.socket(socket.AF_UNIX) as raw:
                raw.connect(endpoint.removeprefix("ipc://"))
                raw.sendall(dice.randbytes(dice.randrange(1, 500)))


def test_every_process_outlives_a_stranger_on_every_socket(
    place: Path, held: ExitStack, context: "zmq.Context[Socket]"
) -> None:
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    simulator = held.enter_context(Simulator(place, "--symbols", "BTCUSDT", "--rate", "200"))
    path = write_config(place, {"BTCUSDT": ["aggTrade", "depth@0ms"]}, simulator.urls)
    config = load(path)
    programs: dict[str, Program] = {}
    names: tuple[tuple[str, tuple[str, ...]], ...] = (
        ("bus", ()), ("writer", ()), ("rest", ()), ("orderbook", ()), ("ingest", ("--symbol", "BTCUSDT")),
    )  # fmt: skip
    for name, more in names:
        programs[name] = held.enter_context(service(name, path, *more, output=place / f"{name}.out"))
    tap = held.enter_context(Tap(config.endpoints.bus_subscribe, ["status.", "aggtrade."]))
    status: dict[str, dict[str, Any]] = {}

    def newest(name: str) -> dict[str, Any]:
        while (message := tap.receive(0)) is not None:
            if message.stream_type == "status" and message.data["producer"] == message.topic.symbol:
                status[message.topic.symbol] = message.data
        return status.get(name, {})

    def rows() -> int:
        return len(recorded_rows(place / "data", "BTCUSDT", "aggtrade"))

    eventually(lambda: rows() > 100, 60, what="rows are recorded")
    eventually(lambda: newest("orderbook").get("valid"), 60, what="the book is valid")
    stranger_sends(random.Random(seed), config, held, context)
    eventually(lambda: newest("ingest-BTCUSDT").get("bus_refused", 0) > 0, what="ingest counts what it refused")
    eventually(lambda: newest("rest").get("refused_requests", 0) > 0, what="REST counts what it refused")
    eventually(lambda: newest("writer").get("refused", {}).get("not a batch", 0) > 0, what="the writer counts, too")
    eventually(lambda: newest("orderbook").get("refused", 0) > 0, what="the order books, too")
    eventually(lambda: newest("orderbook").get("refused_questions", 0) > 0, what="questions that are none are counted")
    eventually(lambda: newest("orderbook").get("valid"), 60, what="the book is valid again, or still")
    at_least = rows() + 200
    eventually(lambda: rows() >= at_least, 60, what="recording goes on")
    assert {name: program.exit_code for name, program in programs.items()} == dict.fromkeys(programs)
    for name in ("ingest", "orderbook", "rest", "writer", "bus"):
        assert programs[name].stop() == 0, name
    check_logs(place)


@pytest.mark.parametrize("bait", ["\n", "\r\n", "\x1b[2J", "\u202e", "\x85", "\u2028", "\x00", '"}\n{"level":"info"}'])
def test_a_stranger_s_words_are_no_log_line_of_their_own(place: Path, bait: str) -> None:
    config = load(write_config(place, {"BTCUSDT": ["aggTrade"]}, {}))
    thread = logs.start(config, "test", to_stderr=False)
    log = logging.getLogger("service")
    try:
        log.warning("disconnected route=public reason=closed detail=%.200s", f"1000 {bait} bye")
        try:
            raise ValueError(f"symbol {bait}")
        except ValueError:
            log.exception("refused symbol=%s", f"BTC{bait}USDT")
    finally:
        thread.stop()
    lines = config.log_file("test").read_bytes().split(b"\n")
    assert len(lines) == 3
    assert lines[2] == b""
    assert all(line.decode("ascii").isprintable() for line in lines)
    assert json.loads(lines[0])["message"] == f"disconnected route=public reason=closed detail=1000 {bait} bye"
