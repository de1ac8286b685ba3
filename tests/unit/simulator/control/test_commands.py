"""Every command does what docs/simulator.md says, seen by real clients and by the tape."""

import json
import re
import socket
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import requests
import websocket

import simulator
from tests.support.simulated_exchange import DEADLINE_S, SimulatedExchange, Start, TapeLine, read, read_all, read_until
from tests.support.waiting import eventually

AGG, DEPTH, TRADE = "btcusdt@aggTrade", "btcusdt@depth@0ms", "btcusdt@trade"

UPGRADE = f"""GET /market/ws/{AGG} HTTP/1.1\r
Upgrade: websocket\r
Connection: Upgrade\r
Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r
Sec-WebSocket-Version: 13\r
\r
"""


@pytest.fixture
def exchange(start: Start) -> SimulatedExchange:
    return start("--symbols", "BTCUSDT", "--rate", "200")


def _ids(frames: list[str]) -> list[int]:
    return [json.loads(frame)["data"]["a"] for frame in frames]


def _events(frames: list[str]) -> list[dict[str, Any]]:
    return [json.loads(frame)["data"] for frame in frames]


def _after(exchange: SimulatedExchange, client: websocket.WebSocket, command: str, count: int = 30) -> list[str]:
    """Frames around a command: some before it and `count` behind it."""
    before = read(client, 5)
    exchange.command(command)
    return before + read(client, count)


def _all_lines(
    exchange: SimulatedExchange, clients: list[websocket.WebSocket], frames: list[list[str]]
) -> list[TapeLine]:
    """Pauses, reads what is left, ends the simulator; its tape."""
    exchange.command("pause")
    for client, received in zip(clients, frames, strict=True):
        received.extend(read_all(client))
    exchange.finish()
    return exchange.lines()


def test_drop(exchange: SimulatedExchange) -> None:
    client = exchange.market(AGG)
    frames = _after(exchange, client, f"drop 3 {AGG}")
    lines = _all_lines(exchange, [client], [frames])
    assert [line.copies for line in lines].count(0) == 3
    assert frames == [line.frame for line in lines if line.copies]
    ids = _ids([line.frame for line in lines])
    assert ids == list(range(ids[0], ids[0] + len(ids)))
    assert [later - before for before, later in pairwise(_ids(frames))].count(4) == 1


def test_only_diff_depth_has_a_chain_to_hide_in(exchange: SimulatedExchange) -> None:
    exchange.market(AGG)
    assert exchange.ask(f"hide 1 {AGG}") == "nack only diff depth streams have a chain to fit"


def test_drop_on_one_of_two_connections(exchange: SimulatedExchange) -> None:
    clients = [exchange.market(AGG), exchange.market(AGG)]
    frames = [read(client, 3) for client in clients]
    assert exchange.command(f"subscribers {AGG}") == "2"
    exchange.command(f"drop 4 {AGG} on 2")
    for client, received in zip(clients, frames, strict=True):
        received.extend(read(client, 40))
    lines = _all_lines(exchange, clients, frames)
    assert frames[0] == [line.frame for line in lines]
    missing = set(_ids(frames[0])) - set(_ids(frames[1]))
    assert len([agg_id for agg_id in missing if agg_id > min(_ids(frames[1]))]) == 4
    assert [line.copies for line in lines].count(1) == len(missing)


def test_double(exchange: SimulatedExchange) -> None:
    client = exchange.market(AGG)
    frames = _after(exchange, client, f"double 2 {AGG}")
    lines = _all_lines(exchange, [client], [frames])
    assert [line.copies for line in lines].count(2) == 2
    assert [before == later for before, later in pairwise(frames)].count(True) == 2
    assert sum(line.copies for line in lines) == len(frames)


def test_reorder(exchange: SimulatedExchange) -> None:
    client = exchange.market(AGG)
    frames = _after(exchange, client, f"reorder 4 {AGG}")
    lines = _all_lines(exchange, [client], [frames])
    assert [later - before for before, later in pairwise(_ids(frames))].count(-1) == 2
    assert frames == [line.frame for line in lines]
    ids = _ids(frames)
    assert sorted(ids) == list(range(min(ids), max(ids) + 1))


def test_delay_makes_stragglers(exchange: SimulatedExchange) -> None:
    client = exchange.market(AGG)
    frames = _after(exchange, client, f"delay 2 {AGG} 0.5", 100)
    lines = _all_lines(exchange, [client], [frames])
    ids = _ids(frames)
    assert sorted(ids) == list(range(min(ids), max(ids) + 1)) != ids
    assert frames == [line.frame for line in lines if line.copies]


def test_stall_keeps_the_socket_open_and_loses_what_was_made(exchange: SimulatedExchange) -> None:
    client = exchange.market(AGG, "btcusdt@kline_1m")
    read(client, 5)
    exchange.command(f"stall {AGG} 1.5")
    eventually(lambda: _lost(exchange) > 20)
    delivered = exchange.stats()["streams"][AGG]["delivered"]
    frames = read_until(client, lambda _: exchange.stats()["streams"][AGG]["delivered"] > delivered + 5)
    assert any("@kline_1m" in frame for frame in frames)
    exchange.finish()
    copies = [str(line.copies) for line in exchange.lines(AGG)]
    assert re.search("10{20,}1", "".join(copies))


def _lost(exchange: SimulatedExchange) -> int:
    counts: dict[str, int] = exchange.stats()["streams"][AGG]
    return counts["produced"] - counts["delivered"]


def test_silent_until_off(exchange: SimulatedExchange) -> None:
    exchange.command(f"silent {AGG}")
    client = exchange.connect("/market/stream")
    client.send(json.dumps({"method": "SUBSCRIBE", "params": [AGG], "id": 1}))
    assert read_all(client, 1.0) == ['{"result":null,"id":1}']
    exchange.command(f"silent off {AGG}")
    assert "aggTrade" in read(client, 1)[0]


def _ending(client: websocket.WebSocket) -> object:
    """How a connection ends: a close code, or the name of what the socket says."""
    try:
        while True:
            opcode, data = client.recv_data()
            if opcode == websocket.ABNF.OPCODE_CLOSE:
                return int.from_bytes(data[:2], "big")
    except websocket.WebSocketConnectionClosedException:
        return "end of stream"
    except ConnectionResetError:
        return "reset"


@pytest.mark.parametrize(
    ("how", "ending"), [("fin", "end of stream"), ("rst", "reset"), ("1001", 1001), ("1008", 1008), ("4321", 4321)]
)
def test_close(exchange: SimulatedExchange, how: str, ending: object) -> None:
    hit, spared = exchange.market(AGG), exchange.public(TRADE)
    read(hit, 3)
    assert exchange.command(f"close {how} {AGG}") == "1 connections"
    assert _ending(hit) == ending
    read(spared, 20)
    eventually(lambda: exchange.stats()["connections"] == 1)
    assert exchange.command(f"close {how}") == "1 connections"
    assert _ending(spared) == ending


def test_close_the_second_connection_of_a_stream(exchange: SimulatedExchange) -> None:
    first, second = exchange.market(AGG), exchange.market(AGG)
    read(second, 1)
    assert exchange.command(f"close fin {AGG} on 2") == "1 connections"
    assert _ending(second) == "end of stream"
    read(first, 30)


def test_hang_stops_everything_for_a_while(exchange: SimulatedExchange) -> None:
    client = exchange.market(AGG)
    read(client, 5)
    begin_s = time.monotonic()
    exchange.command("hang 1")
    assert exchange.get("/fapi/v1/time").status_code == 200
    assert time.monotonic() - begin_s >= 1.0
    read(client, 10)
    exchange.finish()
    assert [line.copies for line in exchange.lines()].count(0) > 10


def test_refuse_closes_at_accept(exchange: SimulatedExchange) -> None:
    exchange.command("refuse 600")
    with pytest.raises((ConnectionError, websocket.WebSocketException)):
        exchange.market(AGG)
    with pytest.raises(requests.ConnectionError):
        exchange.get("/fapi/v1/time")
    assert exchange.stats()["attempts"] == 2
    exchange.command("refuse 0")
    read(exchange.market(AGG), 1)
    assert exchange.stats()["attempts_in_last_300_s"] == 3


@pytest.mark.parametrize(("retry_after", "header"), [("17", "17"), ("none", None), ("", None)])
def test_reject_answers_upgrades_with_a_status(
    exchange: SimulatedExchange, retry_after: str, header: str | None
) -> None:
    exchange.command(f"reject 429 600 {retry_after}")
    with pytest.raises(websocket.WebSocketBadStatusException) as caught:
        exchange.market(AGG)
    assert caught.value.status_code == 429
    assert (caught.value.resp_headers or {}).get("retry-after") == header
    assert exchange.get("/fapi/v1/time").status_code == 200
    exchange.command("reject 429 0")
    read(exchange.market(AGG), 1)


def test_forbid_keeps_those_out_who_name_a_stream_in_their_url(exchange: SimulatedExchange) -> None:
    exchange.command(f"forbid 400 {DEPTH}")
    with pytest.raises(websocket.WebSocketBadStatusException) as caught:
        exchange.public("btcusdt@bookTicker", DEPTH)
    assert caught.value.status_code == 400
    read(exchange.public("btcusdt@bookTicker"), 3)
    exchange.command(f"forbid fin {DEPTH}")
    with pytest.raises((ConnectionError, websocket.WebSocketConnectionClosedException)):
        read(exchange.public("btcusdt@bookTicker", DEPTH), 1)
    assert exchange.stats()["attempts"] == 3
    exchange.command(f"forbid off {DEPTH}")
    read(exchange.public(DEPTH), 3)


def test_forbid_by_a_close_code_lets_one_message_through(exchange: SimulatedExchange) -> None:
    exchange.command(f"forbid 1008 {DEPTH}")
    for _ in range(2):
        client = exchange.public(DEPTH)
        read(client, 1)
        assert _ending(client) == 1008
    read(exchange.market(AGG), 3)
    exchange.command(f"forbid off {DEPTH}")
    read(exchange.public(DEPTH), 3)


def test_handshake_stall_never_answers(exchange: SimulatedExchange) -> None:
    exchange.command("handshake-stall 600")
    with pytest.raises(websocket.WebSocketTimeoutException):
        exchange.connect(f"/market/ws/{AGG}", timeout_s=1.0)
    exchange.command("handshake-stall 0")
    read(exchange.market(AGG), 1)


def _next_noise(exchange: SimulatedExchange, command: str) -> tuple[list[str], list[TapeLine], tuple[str, int, str]]:
    client = exchange.market(AGG)
    frames = _after(exchange, client, command)
    lines = _all_lines(exchange, [client], [frames])
    [noise] = exchange.noise()
    market = [line.frame for line in lines if line.copies]
    assert [frame for frame in frames if frame in market] == market
    return [frame for frame in frames if frame not in market], lines, noise


def test_garbage_comes_in_addition(exchange: SimulatedExchange) -> None:
    [frame], lines, noise = _next_noise(exchange, f"garbage {AGG}")
    with pytest.raises(ValueError):  # noqa: PT011
        json.loads(frame)
    assert noise == (AGG, len(frame), frame)
    assert {line.copies for line in lines} == {1}


def test_truncated_replaces_a_message(exchange: SimulatedExchange) -> None:
    [frame], lines, noise = _next_noise(exchange, f"truncated {AGG}")
    [lost] = [line for line in lines if line.copies == 0]
    assert lost.frame.startswith(frame)
    assert 10 < len(frame) == noise[1] < len(lost.frame)


def test_huge(exchange: SimulatedExchange) -> None:
    [frame], _, noise = _next_noise(exchange, f"huge {AGG} 3000000")
    assert len(frame) == noise[1] > 3_000_000
    assert len(json.loads(frame)["data"]["pad"]) == 3_000_000


def test_nested(exchange: SimulatedExchange) -> None:
    [frame], _, _ = _next_noise(exchange, f"nested {AGG} 5000")
    assert frame == f'{{"stream":"{AGG}","data":{"[" * 5000}{"]" * 5000}}}'


def test_unknown_event(exchange: SimulatedExchange) -> None:
    [frame], _, _ = _next_noise(exchange, f"unknown-event {AGG}")
    assert json.loads(frame) == {"stream": AGG, "data": {"e": "unheardOf", "E": 1}}


def test_shutdown_event_goes_to_all(exchange: SimulatedExchange) -> None:
    clients = [exchange.market(AGG), exchange.public(TRADE)]
    eventually(lambda: exchange.stats()["connections"] == 2)
    assert exchange.command("shutdown-event") == "2 connections"
    for client in clients:
        event = json.loads(read_until(client, lambda frame: "serverShutdown" in frame)[-1])
        assert set(event) == {"e", "E"}


@pytest.mark.parametrize(
    ("command", "check"),
    [
        ("missing-field {} a 1", lambda event: "a" not in event),
        ("huge-integer {}", lambda event: event["a"] == 2**70),
        ("wrong-symbol {}", lambda event: event["s"] == "WRONGUSDT"),
    ],
)
def test_broken_events_replace_a_message_and_are_noise(exchange: SimulatedExchange, command: str, check: Any) -> None:
    [frame], lines, _ = _next_noise(exchange, command.format(AGG))
    assert check(json.loads(frame)["data"])
    assert [line.copies for line in lines].count(0) == 1


@pytest.mark.parametrize(
    ("command", "check"),
    [
        ("unknown-field {} 1", lambda event, _: event.get("zz") == 1),
        ("missing-field {} nq 1", lambda event, _: "nq" not in event),
        ("old-event {}", lambda event, before: before["T"] - 86_400_000 <= event["T"] < before["T"] - 86_000_000),
    ],
)
def test_unusual_events_are_on_the_tape_as_sent(exchange: SimulatedExchange, command: str, check: Any) -> None:
    client = exchange.market(AGG)
    frames = _after(exchange, client, command.format(AGG))
    lines = _all_lines(exchange, [client], [frames])
    assert frames == [line.frame for line in lines]
    events = [line.data for line in lines]
    assert [check(event, events[0]) for event in events].count(True) == 1
    assert [event["a"] for event in events] == list(range(events[0]["a"], events[0]["a"] + len(events)))
    assert exchange.noise() == []


@pytest.mark.parametrize("step", [1_000_000_000, -5_000_000])
def test_ids_jump_and_snapshots_with_them(exchange: SimulatedExchange, step: int) -> None:
    client = exchange.public(DEPTH)
    before = json.loads(read(client, 10)[-1])["data"]
    exchange.command(f"idjump {DEPTH} {step}")
    frames = read(client, 40)
    events = [json.loads(frame)["data"] for frame in frames]
    breaks = [event for last, event in pairwise([before, *events]) if event["pu"] != last["u"]]
    assert len(breaks) == 1
    assert abs(breaks[0]["u"] - before["u"] - step) < 100_000
    snapshot = exchange.get("/fapi/v1/depth?symbol=BTCUSDT&limit=5").json()
    assert snapshot["lastUpdateId"] >= events[-1]["u"] - 1


def test_agg_trade_ids_jump(exchange: SimulatedExchange) -> None:
    client = exchange.market(AGG)
    frames = _after(exchange, client, f"idjump {AGG} 1000", 60)
    assert [later - before for before, later in pairwise(_ids(frames)) if later - before != 1] == [1001]


def test_stamped_copies_differ_in_their_event_time_alone(exchange: SimulatedExchange) -> None:
    exchange.command(f"stamp 100000 {AGG}")
    first, second = exchange.market(AGG), exchange.market(AGG)
    [late] = _events(read(second, 1))
    early = _events(read_until(first, lambda frame: json.loads(frame)["data"]["a"] == late["a"]))
    assert {**early[-1], "E": early[-1]["E"] + 1} == late


def test_an_unchained_update_names_another_one_before(exchange: SimulatedExchange) -> None:
    exchange.command(f"unchained 2 {DEPTH}")
    first, second, third = _events(read(exchange.public(DEPTH), 3))
    assert (second["pu"], third["pu"]) == (first["u"] - 1, second["u"])


def test_times_in_microseconds(exchange: SimulatedExchange) -> None:
    exchange.command(f"microseconds 2 {AGG}")
    events = _events(read(exchange.market(AGG), 3))
    assert [event["a"] for event in events] == list(range(events[0]["a"], events[0]["a"] + 3))
    assert [event["E"] > 10**15 and event["T"] > 10**15 for event in events] == [True, True, False]


def test_a_closed_bar_comes_twice(start: Start) -> None:
    now_ms = 1_795_391_997_000  # three seconds before a minute
    exchange = start("--start-time-ms", str(now_ms), "--rate", "100")
    client = exchange.market("btcusdt@kline_1m")
    exchange.command("reclose 1 btcusdt@kline_1m")
    frames = read_until(client, lambda frame: json.loads(frame)["data"]["k"]["t"] > now_ms)
    closed = [event["k"] for event in _events(frames) if event["k"]["x"]]
    assert len(closed) == 2
    assert {**closed[0], "n": closed[0]["n"] + 1} == closed[1]


def test_only_streams_that_can_do_it_are_taken(exchange: SimulatedExchange) -> None:
    assert exchange.ask(f"unchained 1 {AGG}") == "nack only streams of depth can do that"
    assert exchange.ask(f"reclose 1 {AGG}") == "nack only streams of kline can do that"


def test_any_route_delivers_any_stream(exchange: SimulatedExchange) -> None:
    exchange.command("routes any")
    read(exchange.public(AGG), 3)
    exchange.command("routes strict")
    assert read_all(exchange.public(AGG), 1.0) == []


def test_an_unlisted_stream_has_its_connection_refused(exchange: SimulatedExchange) -> None:
    read(exchange.market(AGG, "btcusdt@nothing"), 3)
    exchange.command("unlisted 400")
    with pytest.raises(websocket.WebSocketBadStatusException) as caught:
        exchange.market(AGG, "btcusdt@nothing")
    assert caught.value.status_code == 400
    read(exchange.market(AGG), 3)
    exchange.command("unlisted off")
    read(exchange.market(AGG, "btcusdt@nothing"), 3)


def test_rest_rows_that_differ_from_the_streamed_ones(exchange: SimulatedExchange) -> None:
    [event] = _events(read(exchange.market(AGG), 1))
    exchange.command("rest differ p 1")
    target = f"/fapi/v1/aggTrades?symbol=BTCUSDT&fromId={event['a']}&limit=1"
    eventually(lambda: exchange.get("/fapi/v1/time").status_code == 200)
    wrong, right = (exchange.get(target).json()[0] for _ in range(2))
    assert right == {key: event[key] for key in ("a", "p", "q", "nq", "f", "l", "T", "m")}
    assert wrong["p"] != right["p"]
    assert {**wrong, "p": right["p"]} == right


def test_fragments(exchange: SimulatedExchange) -> None:
    client = exchange.market(AGG)
    frames = _after(exchange, client, f"fragment 3 {AGG}")
    eventually(lambda: exchange.stats()["pongs"] == 3)
    lines = _all_lines(exchange, [client], [frames])
    assert frames == [line.frame for line in lines]


def test_trickle_holds_a_connection_back_and_loses_nothing(exchange: SimulatedExchange) -> None:
    client, other = exchange.market(AGG), exchange.market("btcusdt@kline_1m")
    frames = read(client, 5)
    begin_s = time.monotonic()
    exchange.command(f"trickle {AGG} 200")
    frames += read(client, 30)
    assert time.monotonic() - begin_s > 0.5
    read(other, 2)
    lines = [line for line in _all_lines(exchange, [client], [frames]) if line.stream == AGG]
    assert frames == [line.frame for line in lines]


@pytest.mark.parametrize(("command", "first_bytes"), [("masked", b"\x81\xfe"), ("rsv", b"\xc1\x7e")])
def test_illegal_frames(exchange: SimulatedExchange, command: str, first_bytes: bytes) -> None:
    with socket.create_connection(("127.0.0.1", exchange.port), DEADLINE_S) as sock:
        key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        sock.sendall(
            f"GET /market/ws/{AGG} HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{key}\r\n".encode()
        )
        sock.recv(100)
        exchange.command(f"{command} {AGG}")
        seen = b""
        while first_bytes not in seen:
            part = sock.recv(65536)
            assert part
            seen += part
    exchange.finish()
    assert len(exchange.noise()) == 1
    assert 0 in [line.copies for line in exchange.lines()]


def test_the_clock_steps(exchange: SimulatedExchange) -> None:
    client = exchange.public(TRADE)
    before_ms = json.loads(read(client, 5)[-1])["data"]["T"]
    exchange.command("clock -3600000")
    after = read_until(client, lambda frame: json.loads(frame)["data"]["T"] < before_ms)
    assert 3_500_000 < before_ms - json.loads(after[-1])["data"]["T"] <= 3_600_000
    assert before_ms - exchange.get("/fapi/v1/time").json()["serverTime"] > 3_500_000
    read(client, 20)


DEPTH_TARGET = "/fapi/v1/depth?symbol=BTCUSDT&limit=1000"


@pytest.mark.parametrize(
    ("command", "status", "retry_after"),
    [
        ("rest 429 1 7", 429, "7"), ("rest 429 1 none", 429, None), ("rest 451 1", 451, None),
        ("rest 403 1", 403, None), ("rest 5xx 1", 503, None), ("rest 502 1", 502, None), ("rest 202 1", 202, None),
    ],
)  # fmt: skip
def test_rest_statuses(exchange: SimulatedExchange, command: str, status: int, retry_after: str | None) -> None:
    exchange.command(command)
    answer = exchange.get(DEPTH_TARGET)
    assert (answer.status_code, answer.headers.get("Retry-After")) == (status, retry_after)
    assert (answer.content == b"") == (status == 202)
    assert exchange.get(DEPTH_TARGET).status_code == 200


@pytest.mark.parametrize("where", ["retry-after", "text"])
def test_rest_418_until_it_is_lifted(exchange: SimulatedExchange, where: str) -> None:
    exchange.command(f"rest 418 600 {where}")
    answer = exchange.get(DEPTH_TARGET)
    assert answer.status_code == 418
    assert ("Retry-After" in answer.headers) == (where == "retry-after")
    until = re.search(r"banned until (\d+)", answer.json()["msg"])
    assert until is not None
    assert exchange.stats()["requests_during_ban"] == 1
    assert int(until[1]) == exchange.stats()["banned_until_ms"]
    exchange.command("rest ok")
    assert exchange.get(DEPTH_TARGET).status_code == 200


def test_rest_that_is_slow_or_never_answers(exchange: SimulatedExchange) -> None:
    exchange.command("rest timeout 1")
    with pytest.raises(requests.ReadTimeout):
        exchange.get(DEPTH_TARGET, timeout_s=1.0)
    exchange.command("rest slow 1 1")
    begin_s = time.monotonic()
    assert exchange.get(DEPTH_TARGET).status_code == 200
    assert time.monotonic() - begin_s >= 0.9


def test_rest_bodies_that_are_no_answer(exchange: SimulatedExchange) -> None:
    exchange.command("rest html 1")
    answer = exchange.get(DEPTH_TARGET)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/html")
    exchange.command("rest truncated 1")
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        exchange.get(DEPTH_TARGET)
    assert exchange.get(DEPTH_TARGET).json()["lastUpdateId"] > 0


def test_rest_stale_is_older_than_the_stream(exchange: SimulatedExchange) -> None:
    read(exchange.public(DEPTH), 20)
    events = [json.loads(frame)["data"] for frame in read(exchange.public(DEPTH), 3)]
    exchange.command("rest stale 1")
    assert exchange.get("/fapi/v1/time").status_code == 200
    assert exchange.get(DEPTH_TARGET).json()["lastUpdateId"] < events[0]["pu"]
    assert exchange.get(DEPTH_TARGET).json()["lastUpdateId"] > events[0]["u"]


def test_a_settling_symbol_is_quiet(start: Start) -> None:
    exchange = start("--symbols", "BTCUSDT,ETHUSDT", "--rate", "200")
    client = exchange.public(TRADE, "ethusdt@trade")
    exchange.command("symbol ETHUSDT SETTLING")
    frames = read(client, 100)[50:]
    assert {json.loads(frame)["stream"] for frame in frames} == {TRADE}
    assert exchange.get("/fapi/v1/depth?symbol=ETHUSDT").json()["code"] == -1122
    statuses = {item["symbol"]: item["status"] for item in exchange.get("/fapi/v1/exchangeInfo").json()["symbols"]}
    assert statuses == {"BTCUSDT": "TRADING", "ETHUSDT": "SETTLING"}
    exchange.command("symbol ETHUSDT TRADING")
    read_until(client, lambda frame: "ethusdt" in frame)


def test_a_contract_whose_market_has_no_session_is_quiet_and_trading(start: Start) -> None:
    exchange = start("--symbols", "BTCUSDT,TSLAUSDT", "--rate", "200")
    client = exchange.public(TRADE, "tslausdt@trade")
    read_until(client, lambda frame: "tslausdt" in frame)
    exchange.command("session EQUITY 3600")
    frames = read(client, 100)[50:]
    assert {json.loads(frame)["stream"] for frame in frames} == {TRADE}
    listed = {item["symbol"]: item for item in exchange.get("/fapi/v1/exchangeInfo").json()["symbols"]}
    assert [(listed[name]["contractType"], listed[name]["underlyingType"], listed[name]["status"])
            for name in ("BTCUSDT", "TSLAUSDT")] == [
        ("PERPETUAL", "COIN", "TRADING"), ("TRADIFI_PERPETUAL", "EQUITY", "TRADING"),
    ]  # fmt: skip
    markets = exchange.get("/fapi/v1/tradingSchedule").json()["marketSchedules"]
    closed = [one for one in markets["EQUITY"]["sessions"] if one["type"] == "NO_TRADING"]
    assert sum(one["endTime"] - one["startTime"] for one in closed) == 3_600_000
    assert {one["type"] for one in markets["COMMODITY"]["sessions"]} == {"REGULAR"}


def test_pause_and_resume(exchange: SimulatedExchange) -> None:
    client = exchange.market(AGG)
    read(client, 5)
    exchange.command("pause")
    read_all(client)
    assert read_all(client) == []
    exchange.command("resume")
    read(client, 5)


REFUSED = (
    "", "dance", "drop", "drop x *", "drop 0 *", "drop 1 nonsense@trade", "drop 1 *", f"drop 1 {AGG} on 3", "close",
    "close 999", "close fin nonsense", "stall *", "rest", "rest 42 1", "rest 429", "symbol X TRADING", "rate 0",
    "symbol BTCUSDT NONSENSE", "clock x", "pause now", "hang -1", f"trickle {AGG} 0", "rest 418 1 x",
    "reject 429 1 soon", "forbid 200 *", "forbid 999 *", "forbid never *", "forbid 400 nonsense", "forbid off",
    "rest differ zz 1", "routes all", "unlisted 200", f"stamp 1 {AGG} on 1",
    "rest 429 1 soon", "rest html 1 more", "session COIN 5", "session EQUITY",
)  # fmt: skip


def test_what_cannot_be_obeyed_is_refused_and_changes_nothing(exchange: SimulatedExchange) -> None:
    for command in REFUSED:
        answer = exchange.ask(command)
        assert answer.startswith("nack "), (command, answer)
    assert exchange.get(DEPTH_TARGET).status_code == 200
    read(exchange.market(AGG), 3)


def test_a_fault_of_a_connection_ends_with_it(exchange: SimulatedExchange) -> None:
    first = exchange.market(AGG)
    read(first, 1)
    exchange.command(f"silent {AGG} on 1")
    assert read_all(first, 1.0)[10:] == []
    first.close()
    read(exchange.market(AGG), 20)


def test_the_simulator_imports_nothing_of_what_it_tests() -> None:
    for path in Path(simulator.__path__[0]).rglob("*.py"):
        assert not re.search(
            r"^\s*(from|import) (binance_streamer|services|tests)\b", path.read_text(), re.MULTILINE
        ), path


def test_documented_and_known_commands_are_the_same(exchange: SimulatedExchange) -> None:
    known = set(exchange.ask("dance").partition("none of ")[2].split())
    page = Path(simulator.__path__[0]).parent / "docs" / "simulator.md"
    rows = re.findall(r"^\| `([^`.]+)`", page.read_text(encoding="utf-8"), re.MULTILINE)
    documented = {row.split()[0] for row in rows}
    assert known == documented
