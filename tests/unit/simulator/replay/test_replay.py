"""A recording is replayed byte for byte, and REST answers fit what was played."""

import gzip
import json
import time
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from threading import Thread

import pytest
import requests
import websocket

from simulator.stream_names import Route, delivers
from tests.support.books import GoldenBook
from tests.support.data import captured, golden, market_data
from tests.support.simulated_exchange import SimulatedExchange, Start, read, read_all
from tests.support.waiting import eventually

SNAPSHOT = '{"lastUpdateId":102,"E":1000,"T":999,"bids":[["1.00","5"]],"asks":[["1.10","7"]]}'
DEPTH_TARGET = "/fapi/v1/depth?symbol=AUSDT&limit=1000"


def _depth(first: int, last: int, previous: int, bid: str) -> str:
    ids = f'"U":{first},"u":{last},"pu":{previous}'
    event = f'{{"e":"depthUpdate","E":1000,"T":999,"s":"AUSDT",{ids},"b":[["0.90","{bid}"]], "a":[]}}'
    return f'{{"stream":"ausdt@depth@0ms","data":{event}}}'


def _trade(agg_id: int) -> str:
    event = f'{{"e":"aggTrade","E":1150,"a":{agg_id},"s":"AUSDT","p":"1.00","q":"2","f":1,"l":1,"T":1000,"m":true}}'
    return f'{{"stream":"ausdt@aggTrade","data":{event}}}'


LINES = [
    (0, _depth(100, 101, 99, "1")),
    (0, _trade(7)),
    (10, f'{{"rest":"{DEPTH_TARGET}","body":{SNAPSHOT}}}'),
    (20, _depth(102, 103, 101, "2")),
    (20, '{"stream":"!ticker@arr","data":[]}'),
    (600, _depth(105, 106, 103, "0")),
    (610, _trade(8)),
]
FRAMES = [frame for _, frame in LINES if frame.startswith('{"stream":"a')]


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    path = tmp_path / "capture.gz"
    with gzip.open(path, "wt") as file:
        for offset_ms, frame in LINES:
            file.write(f"{1_700_000_000_000_000_000 + offset_ms * 1_000_000} {frame}\n")
    return path


def _routed(exchange: SimulatedExchange, names: Sequence[str]) -> list[websocket.WebSocket]:
    public = [name for name in names if delivers(Route.PUBLIC, name)]
    market = [name for name in names if delivers(Route.MARKET, name)]
    return [exchange.public(*public), *([exchange.market(*market)] if market else [])]


def test_a_replay_waits_for_every_stream_on_its_path(start: Start, capture: Path) -> None:
    exchange = start("--capture", str(capture), "--speed", "max")
    public = exchange.public("ausdt@depth@0ms", "ausdt@aggTrade")
    assert read_all(public) == []
    assert exchange.stats()["replay"] == "waiting"
    market = exchange.market("ausdt@aggTrade")
    assert [*read(public, 3), *read(market, 2)] == [FRAMES[0], FRAMES[2], FRAMES[3], FRAMES[1], FRAMES[4]]
    eventually(lambda: "replay finished 5 messages\n" in exchange.text())
    stats = exchange.stats()
    assert (stats["replay"], stats["replayed"], stats["skipped"]) == ("finished", 5, {"!ticker@arr": 1})
    exchange.finish()
    assert [line.frame for line in exchange.lines()] == FRAMES
    assert {line.copies for line in exchange.lines()} == {1}


def test_a_snapshot_waits_for_its_place_and_then_follows_the_book(start: Start, capture: Path) -> None:
    exchange = start("--capture", str(capture), "--speed", "max")
    bodies: list[str] = []
    early = Thread(target=lambda: bodies.append(exchange.get(DEPTH_TARGET).text))
    early.start()
    assert exchange.get("/fapi/v1/time").status_code == 200
    assert bodies == []
    _routed(exchange, ["ausdt@depth@0ms", "ausdt@aggTrade"])
    early.join()
    assert bodies == [SNAPSHOT]
    eventually(lambda: exchange.stats()["replay"] == "finished")
    assert exchange.get(DEPTH_TARGET).json() == {
        "lastUpdateId": 106, "E": 1000, "T": 999, "bids": [["1.00", "5"]], "asks": [["1.10", "7"]]
    }  # fmt: skip
    exchange.finish()
    assert f" 200 {DEPTH_TARGET} {SNAPSHOT}\n" in (exchange.tape / "rest.txt").read_text()


def test_the_first_answer_is_the_captures_own_however_late(start: Start, capture: Path) -> None:
    exchange = start("--capture", str(capture), "--speed", "max")
    _routed(exchange, ["ausdt@depth@0ms", "ausdt@aggTrade"])
    eventually(lambda: exchange.stats()["replay"] == "finished")
    assert exchange.get(DEPTH_TARGET).text == SNAPSHOT
    assert exchange.get(DEPTH_TARGET).json()["lastUpdateId"] == 106


def test_rest_history_is_what_was_played(start: Start, capture: Path) -> None:
    exchange = start("--capture", str(capture), "--speed", "max")
    _routed(exchange, ["ausdt@depth@0ms", "ausdt@aggTrade"])
    eventually(lambda: exchange.stats()["replay"] == "finished")
    rows = exchange.get("/fapi/v1/aggTrades?symbol=AUSDT&fromId=8").json()
    assert rows == [{"a": 8, "p": "1.00", "q": "2", "f": 1, "l": 1, "T": 1000, "m": True}]
    assert exchange.get("/fapi/v1/klines?symbol=AUSDT&interval=1m").json() == []
    assert [item["symbol"] for item in exchange.get("/fapi/v1/exchangeInfo").json()["symbols"]] == ["AUSDT"]
    assert exchange.get("/fapi/v1/depth?symbol=BUSDT").json()["code"] == -1121


def test_speed_scales_the_recorded_distances(start: Start, capture: Path) -> None:
    exchange = start("--capture", str(capture), "--speed", "0.5")
    begin_s = time.monotonic()
    public, _ = _routed(exchange, ["ausdt@depth@0ms", "ausdt@aggTrade"])
    read(public, 3)
    assert time.monotonic() - begin_s > 1.0


def test_a_replay_goes_on_without_its_listeners(start: Start, capture: Path) -> None:
    exchange = start("--capture", str(capture), "--speed", "0.5")
    public, _ = _routed(exchange, ["ausdt@depth@0ms", "ausdt@aggTrade"])
    read(public, 2)
    exchange.command("close rst *")
    eventually(lambda: exchange.stats()["replay"] == "finished")
    exchange.finish()
    assert [line.copies for line in exchange.lines()] == [1, 1, 1, 0, 0]


def test_what_needs_a_synthetic_market_is_refused(start: Start, capture: Path) -> None:
    exchange = start("--capture", str(capture))
    for command in ("idjump * 5", "rate 5", "symbol AUSDT SETTLING"):
        assert exchange.ask(command).startswith("nack ")


def test_a_slow_reader_slows_the_replay_and_loses_nothing(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "capture"
    frame = '{"stream":"ausdt@trade","data":{"s":"AUSDT","t":%d,"pad":"' + "x" * 10_000 + '"}}'
    path.write_text("".join(f"{number} {frame % number}\n" for number in range(3000)))
    exchange = start("--capture", str(path), "--speed", "max", "--buffer-bytes", "8000000")
    client = exchange.public("ausdt@trade")
    eventually(lambda: exchange.stats()["backlog_bytes"] > 1_000_000)
    assert exchange.stats()["replay"] == "running"
    ids = [json.loads(text)["data"]["t"] for text in read(client, 3000)]
    assert ids == list(range(3000))
    assert exchange.stats()["slow_readers_cut_off"] == 0


@pytest.mark.parametrize("folder", ["usdm-4sym-20210722", "usdm-2026-wire"])
def test_a_recording_is_replayed_byte_for_byte(start: Start, folder: str) -> None:
    path = market_data(folder)
    recorded = list(captured(path / "capture.gz"))
    frames = [line.frame.decode() for line in recorded if not line.name.startswith(("!", "/"))]
    names = list(dict.fromkeys(line.name for line in recorded if not line.name.startswith(("!", "/"))))
    exchange = start("--capture", str(path / "capture.gz"), "--speed", "max")
    clients = _routed(exchange, names)
    received = [frame for client in clients for frame in read_all(client, 1.0)]
    assert sorted(received) == sorted(frames)
    _check_snapshots(exchange, path, recorded_bodies={line.name: line.event for line in recorded})
    exchange.finish()
    assert [line.frame for line in exchange.lines()] == frames


def _check_snapshots(exchange: SimulatedExchange, path: Path, recorded_bodies: dict[str, bytes]) -> None:
    """The first answer is the recorded one, the second is the golden book."""
    for symbol, book in golden(path)["books"].items():
        target = f"/fapi/v1/depth?symbol={symbol}&limit=1000"
        assert exchange.get(target).content == recorded_bodies[target]
        levels = exchange.get(target).json()
        assert levels["bids"][0][1] == book["best_bid"][1]
        if book["bid_levels"] <= 1000 and book["ask_levels"] <= 1000:
            sides = [
                [(Decimal(price), Decimal(quantity)) for price, quantity in levels[side]] for side in ("bids", "asks")
            ]
            assert GoldenBook(levels["lastUpdateId"], *sides).final_book == book["final_book"]


def test_a_recorded_exchange_info_is_given_as_it_is(start: Start) -> None:
    path = market_data("usdm-4sym-20210722") / "capture.gz"
    own = next(line.event for line in captured(path) if line.name == "/fapi/v1/exchangeInfo")
    exchange = start("--capture", str(path))
    answer = requests.get(f"http://127.0.0.1:{exchange.port}/fapi/v1/exchangeInfo", timeout=30)
    assert answer.content == own
