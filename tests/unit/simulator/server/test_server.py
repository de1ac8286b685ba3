"""The simulator as its clients see it: routing, forms, limits, REST, the tape."""

import asyncio
import json
import socket
import ssl
import threading
import time
from itertools import pairwise
from pathlib import Path
from urllib.parse import quote

import pytest
import requests
import trustme
import websocket
import websockets.asyncio.client

from tests.support.simulated_exchange import DEADLINE_S, SimulatedExchange, Start, read, read_all, read_until
from tests.support.tape import read_answers
from tests.support.waiting import eventually


@pytest.fixture
def exchange(start: Start) -> SimulatedExchange:
    return start("--symbols", "BTCUSDT,币安人生USDT", "--rate", "400")


def _closes_with(client: websocket.WebSocket) -> int:
    """The code of the close frame that ends a connection; 0 for a bare end."""
    while True:
        try:
            opcode, data = client.recv_data()
        except (websocket.WebSocketConnectionClosedException, ConnectionError):
            return 0
        if opcode == websocket.ABNF.OPCODE_CLOSE:
            return int.from_bytes(data[:2], "big")


def test_what_was_received_is_the_tape(exchange: SimulatedExchange) -> None:
    public, market = exchange.public("btcusdt@depth@0ms", "btcusdt@trade"), exchange.market("btcusdt@aggTrade")
    frames = [*read(public, 100), *read(market, 50)]
    exchange.command("pause")
    frames += [*read_all(public), *read_all(market)]
    exchange.finish()
    assert [line.frame for line in exchange.lines() if line.stream == "btcusdt@depth@0ms"] == [
        frame for frame in frames if '"stream":"btcusdt@depth@0ms"' in frame
    ]
    assert sorted(line.frame for line in exchange.lines() if line.copies == 1) == sorted(frames)
    for name, key in (("btcusdt@aggTrade", "a"), ("btcusdt@trade", "t")):
        ids = [line.data[key] for line in exchange.lines(name)]
        assert ids == list(range(ids[0], ids[0] + len(ids)))
    depth = [line.data for line in exchange.lines("btcusdt@depth@0ms")]
    assert all(event["pu"] == before["u"] for before, event in pairwise(depth))


def test_the_tape_is_ahead_of_what_anybody_receives(exchange: SimulatedExchange) -> None:
    """So a test may count on the tape what a recorder has already written, or what was sent before a command."""
    client = exchange.public("btcusdt@depth@0ms")
    for _ in range(100):
        frame = str(client.recv())
        assert frame.encode() in (exchange.tape / "tape.txt").read_bytes()
    exchange.command("garbage btcusdt@depth@0ms")
    assert [stream for stream, *_ in exchange.noise()] == ["btcusdt@depth@0ms"]
    exchange.command("shutdown-event")
    assert [stream for stream, *_ in exchange.noise()] == ["btcusdt@depth@0ms", "-"]
    body = exchange.get("/fapi/v1/time").content
    assert [answer.body for answer in read_answers(exchange.tape)] == [body]
    exchange.command("silent btcusdt@depth@0ms")
    for _ in range(20):
        exchange.command("resume")
        exchange.command("pause")
        lines = len(exchange.lines("btcusdt@depth@0ms"))
        assert lines == exchange.stats()["streams"]["btcusdt@depth@0ms"]["produced"]


def test_copies_are_byte_identical(exchange: SimulatedExchange) -> None:
    first, second = exchange.public("btcusdt@depth@0ms"), exchange.public("btcusdt@depth@0ms", "btcusdt@trade")
    one = set(read(first, 60))
    two = {frame for frame in read(second, 200) if "@depth@0ms" in frame}
    assert len(one & two) > 30
    exchange.finish()
    assert {line.copies for line in exchange.lines("btcusdt@depth@0ms")} >= {2}


def test_a_stream_without_a_listener_goes_on_and_stays_on_the_tape(exchange: SimulatedExchange) -> None:
    client = exchange.market("btcusdt@aggTrade")
    read(client, 20)
    client.close()
    eventually(lambda: exchange.stats()["streams"]["btcusdt@aggTrade"]["subscribers"] == 0)
    produced = exchange.stats()["streams"]["btcusdt@aggTrade"]["produced"]
    eventually(lambda: exchange.stats()["streams"]["btcusdt@aggTrade"]["produced"] > produced + 20)
    read(exchange.market("btcusdt@aggTrade"), 5)
    exchange.finish()
    lines = exchange.lines("btcusdt@aggTrade")
    assert [line.copies for line in lines].count(0) > 20
    ids = [line.data["a"] for line in lines]
    assert ids == list(range(ids[0], ids[0] + len(ids)))
    assert {line.stream for line in exchange.lines()} == {"btcusdt@aggTrade"}


@pytest.mark.parametrize(
    "target",
    [
        "/public/stream?streams=btcusdt@aggTrade",
        "/market/stream?streams=btcusdt@trade",
        "/market/ws/btcusdt@depth@0ms",
        "/stream?streams=btcusdt@kline_1m",
        "/ws/btcusdt@aggTrade",
        "/public/stream?streams=nonsense@trade",
        "/public/stream?streams=BTCUSDT@trade",
        "/public/stream?streams=btcusdt@depth@42ms",
    ],
)
def test_the_wrong_path_or_name_is_acknowledged_and_silent(exchange: SimulatedExchange, target: str) -> None:
    client = exchange.connect(target)
    client.send('{"method":"SUBSCRIBE","params":["btcusdt@nonsense"],"id":5}')
    assert read_all(client, 1.0) == ['{"result":null,"id":5}']


def test_legacy_paths_deliver_public_streams(exchange: SimulatedExchange) -> None:
    assert json.loads(read(exchange.connect("/ws/btcusdt@trade"), 1)[0])["e"] == "trade"
    combined = exchange.connect("/stream?streams=btcusdt@aggTrade/btcusdt@depth@0ms")
    assert {json.loads(frame)["stream"] for frame in read(combined, 30)} == {"btcusdt@depth@0ms"}


def test_raw_and_combined_forms_have_the_same_bytes(exchange: SimulatedExchange) -> None:
    raw, combined = exchange.connect("/public/ws/btcusdt@trade"), exchange.public("btcusdt@trade")
    inner = set(read(raw, 60))
    outer = read(combined, 60)
    cut = {frame.removeprefix('{"stream":"btcusdt@trade","data":')[:-1] for frame in outer}
    assert len(inner & cut) > 30


def test_subscribing_by_message(exchange: SimulatedExchange) -> None:
    client = exchange.connect("/market/stream")
    client.send('{"method":"SUBSCRIBE","params":["btcusdt@aggTrade","币安人生usdt@aggTrade"],"id":1}')
    frames = read(client, 100)
    assert frames[0] == '{"result":null,"id":1}'
    assert {json.loads(frame)["stream"] for frame in frames[1:]} == {"btcusdt@aggTrade", "币安人生usdt@aggTrade"}
    client.send('{"method":"UNSUBSCRIBE","params":["btcusdt@aggTrade"],"id":2}')
    read_until(client, lambda frame: frame == '{"result":null,"id":2}')
    assert {json.loads(frame)["stream"] for frame in read(client, 30)} == {"币安人生usdt@aggTrade"}
    client.send("{nonsense")
    assert json.loads(read_until(client, lambda frame: '"code":3' in frame)[-1])["msg"].startswith("Invalid JSON")


def test_percent_encoded_names_are_decoded(exchange: SimulatedExchange) -> None:
    client = exchange.public(quote("币安人生usdt@trade", safe=""))
    message = json.loads(read(client, 1)[0])
    assert (message["stream"], message["data"]["s"]) == ("币安人生usdt@trade", "币安人生USDT")
    assert exchange.get(f"/fapi/v1/depth?symbol={quote('币安人生USDT')}&limit=5").status_code == 200


def test_raw_bytes_beyond_ascii_in_the_url_fail_the_handshake(exchange: SimulatedExchange) -> None:
    with socket.create_connection(("127.0.0.1", exchange.port), DEADLINE_S) as sock:
        sock.sendall("GET /public/ws/币usdt@trade HTTP/1.1\r\nUpgrade: websocket\r\n\r\n".encode())
        assert sock.recv(1000).startswith(b"HTTP/1.1 400 ")


def test_an_unknown_path_is_404(exchange: SimulatedExchange) -> None:
    with pytest.raises(websocket.WebSocketBadStatusException) as caught:
        exchange.connect("/elsewhere/stream")
    assert caught.value.status_code == 404


def test_a_client_frame_without_mask_is_a_protocol_error(exchange: SimulatedExchange) -> None:
    client = exchange.connect("/public/stream")
    assert client.sock is not None
    client.sock.sendall(b"\x81\x02{}")
    assert _closes_with(client) == 1002


def test_more_than_ten_requests_in_a_second_disconnect(exchange: SimulatedExchange) -> None:
    client = exchange.connect("/public/stream")
    for number in range(10):
        client.send(json.dumps({"method": "LIST_SUBSCRIPTIONS", "id": number}))
    assert len(read(client, 10)) == 10
    client.send('{"method":"LIST_SUBSCRIPTIONS","id":11}')
    assert _closes_with(client) == 1008


def test_a_client_without_pongs_is_disconnected_and_another_is_not(start: Start) -> None:
    exchange = start("--ping-interval-s", "0.2", "--pong-timeout-s", "0.8", "--rate", "5")
    deaf = socket.create_connection(("127.0.0.1", exchange.port), DEADLINE_S)
    key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    deaf.sendall(f"GET /public/ws HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{key}\r\n".encode())
    answering = exchange.connect("/market/stream?streams=btcusdt@markPrice@1s")
    reader = threading.Thread(target=read, args=(answering, 3))
    reader.start()
    seen = b""
    while part := deaf.recv(1000):
        seen += part
    deaf.close()
    assert b"\x88\x02\x03\xf0" in seen  # closed with 1008
    reader.join()
    assert exchange.stats()["pongs"] >= 3
    assert exchange.stats()["connections"] == 1


def test_a_connection_ends_with_its_lifetime(start: Start) -> None:
    exchange = start("--lifetime-s", "0.5")
    assert _closes_with(exchange.public("btcusdt@trade")) == 0


def test_a_client_that_never_reads_is_cut_off(start: Start) -> None:
    exchange = start("--rate", "20000", "--buffer-bytes", "100000")
    exchange.public("btcusdt@depth@0ms", "ethusdt@depth@0ms")
    eventually(lambda: exchange.stats()["slow_readers_cut_off"] == 1)


def test_websockets_of_another_library_read_the_same(exchange: SimulatedExchange) -> None:
    async def frames() -> list[str]:
        url = f"ws://127.0.0.1:{exchange.port}/public/stream?streams=btcusdt@depth@0ms"
        async with websockets.asyncio.client.connect(url) as client:
            return [str(await client.recv()) for _ in range(50)]

    received = asyncio.run(frames())
    exchange.finish()
    tape = [line.frame for line in exchange.lines()]
    assert received == tape[: len(received)]


def test_tls(start: Start, tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    certificate.private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    exchange = start("--tls-cert", str(tmp_path / "server.pem"))
    answer = requests.get(
        f"https://127.0.0.1:{exchange.port}/fapi/v1/time", verify=str(tmp_path / "ca.pem"), timeout=DEADLINE_S
    )
    assert answer.json()["serverTime"] > 0
    context = ssl.create_default_context(cafile=tmp_path / "ca.pem")
    client = websocket.create_connection(
        f"wss://127.0.0.1:{exchange.port}/public/ws/btcusdt@trade", sslopt={"context": context}, timeout=DEADLINE_S
    )
    assert json.loads(str(client.recv()))["e"] == "trade"
    client.shutdown()  # type: ignore[no-untyped-call]


def test_a_snapshot_fits_the_stream(exchange: SimulatedExchange) -> None:
    client = exchange.public("btcusdt@depth@0ms")
    events = [json.loads(frame)["data"] for frame in read(client, 10)]
    snapshot = exchange.get("/fapi/v1/depth?symbol=BTCUSDT&limit=1000").json()
    last = snapshot["lastUpdateId"]
    later = read_until(client, lambda frame: json.loads(frame)["data"]["u"] > last)
    events += [json.loads(frame)["data"] for frame in later]
    assert events[0]["u"] < last
    assert next(event for event in events if event["u"] > last)["pu"] <= last
    assert {key: type(value) for key, value in snapshot.items()} == {
        "lastUpdateId": int, "E": int, "T": int, "bids": list, "asks": list
    }  # fmt: skip


def test_rest_answers(exchange: SimulatedExchange) -> None:
    trades = [json.loads(frame)["data"] for frame in read(exchange.market("btcusdt@aggTrade"), 20)]
    first = trades[0]["a"]
    rows = exchange.get(f"/fapi/v1/aggTrades?symbol=BTCUSDT&fromId={first}&limit=20").json()
    keys = ("a", "p", "q", "nq", "f", "l", "T", "m")
    assert rows == [{key: trade[key] for key in keys} for trade in trades]
    kline = exchange.get("/fapi/v1/klines?symbol=BTCUSDT&interval=1m").json()[-1]
    assert (kline[0] % 60_000, kline[6] - kline[0], len(kline)) == (0, 59_999, 12)
    info = exchange.get("/fapi/v1/exchangeInfo").json()
    assert [(symbol["symbol"], symbol["status"]) for symbol in info["symbols"]] == [
        ("BTCUSDT", "TRADING"), ("币安人生USDT", "TRADING")
    ]  # fmt: skip
    assert info["rateLimits"][0]["limit"] == 2400
    now_ms = exchange.get("/fapi/v1/time").json()["serverTime"]
    assert now_ms - info["serverTime"] > 10 * 3_600_000


@pytest.mark.parametrize(
    ("target", "code"),
    [
        ("depth?symbol=BTCUSDT&limit=7", -4021), ("depth?symbol=btcusdt", -1121), ("depth", -1102),
        ("rpiDepth?symbol=BTCUSDT&limit=5", -4021), ("klines?symbol=BTCUSDT&interval=7m", -1120),
        ("aggTrades?symbol=BTCUSDT&limit=1001", -1130), ("aggTrades?symbol=BTCUSDT&fromId=x", -1130),
        ("nonsense", -5000),
    ],
)  # fmt: skip
def test_rest_errors(exchange: SimulatedExchange, target: str, code: int) -> None:
    answer = exchange.get(f"/fapi/v1/{target}")
    assert (answer.status_code, answer.json()["code"]) == (400, code)


def test_the_weight_is_counted_limited_and_then_banned(start: Start) -> None:
    # the exchange's clock stands at the first second of a minute, so that no minute ends meanwhile
    exchange = start("--weight-limit", "41", "--ban-after", "2", "--ban-s", "5", "--start-time-ms", "1795392000000")
    depth = "/fapi/v1/depth?symbol=BTCUSDT&limit=1000"
    answers = [exchange.get(depth) for _ in range(6)]
    assert [answer.status_code for answer in answers] == [200, 200, 429, 429, 418, 418]
    assert [answer.headers["X-MBX-USED-WEIGHT-1M"] for answer in answers[:2]] == ["20", "40"]
    assert answers[2].json()["code"] == -1003
    assert 50 <= int(answers[2].headers["Retry-After"]) <= 60
    assert answers[4].json()["msg"].startswith("Way too many requests; IP(127.0.0.1) banned until 17953920")
    assert int(answers[5].headers["Retry-After"]) >= 9
    assert exchange.stats()["requests_during_ban"] == 1
    assert exchange.stats()["rest"] == {"200": 2, "418": 2, "429": 2}
    exchange.command("rest ok")
    assert exchange.get("/fapi/v1/time").status_code == 200


def test_keep_alive_and_the_rest_tape(exchange: SimulatedExchange) -> None:
    with requests.Session() as session:
        for _ in range(3):
            body = session.get(
                f"http://127.0.0.1:{exchange.port}/fapi/v1/depth?symbol=BTCUSDT", timeout=DEADLINE_S
            ).content
    exchange.finish()
    lines = (exchange.tape / "rest.txt").read_bytes().splitlines()
    assert len(lines) == 3
    assert lines[2].split(b" ", 3)[1:] == [b"200", b"/fapi/v1/depth?symbol=BTCUSDT", body]


def test_the_exchange_clock_may_be_elsewhere(start: Start) -> None:
    midnight_ms = 1_795_392_000_000 + 86_400_000
    exchange = start("--start-time-ms", str(midnight_ms - 3000), "--rate", "2000")
    frames = read_until(
        exchange.market("btcusdt@kline_1m", "btcusdt@aggTrade"), lambda frame: '"x":true' in frame
    )  # fmt: skip
    bar = json.loads(frames[-1])["data"]["k"]
    assert (bar["T"], bar["x"]) == (midnight_ms - 1, True)
    late = [json.loads(frame)["data"] for frame in frames if "aggTrade" in frame]
    assert any(event["T"] < midnight_ms <= event["E"] for event in late)


def test_rates_are_what_was_asked_for(start: Start) -> None:
    exchange = start("--rate", "1000", "--symbols", "BTCUSDT,ETHUSDT")
    exchange.public("btcusdt@depth@0ms", "ethusdt@depth@0ms")
    exchange.market("btcusdt@aggTrade", "btcusdt@kline_1m", "ethusdt@aggTrade", "ethusdt@kline_1m")
    begin_s, begin = time.monotonic(), exchange.stats()["messages"]
    eventually(lambda: exchange.stats()["messages"] > begin + 3000)
    assert 2.0 < time.monotonic() - begin_s < 15.0
    exchange.command("rate 10")
    assert exchange.stats()["skipped_s"] == 0.0


@pytest.mark.parametrize("how", ["terminate", "quit"])
def test_it_ends_cleanly(start: Start, how: str) -> None:
    exchange = start()
    read(exchange.public("btcusdt@trade"), 3)
    if how == "quit":
        exchange.command("quit")
        assert exchange.wait() == 0
    exchange.finish()
    assert (exchange.tape / "tape.txt").read_bytes().endswith(b"}\n")
