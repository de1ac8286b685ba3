"""The pure parts: names, rates, pacing, numbers, klines over a clock that steps, heads of requests."""

import random
from pathlib import Path

import pytest

from simulator.control.arguments import ArgumentError, Arguments
from simulator.market.bars import Bars
from simulator.market.contract import contract_of, decimal_text
from simulator.market.rates import stream_rates
from simulator.market.schedule import Schedule
from simulator.replay.book import ReplayBook
from simulator.replay.capture import CaptureContents, CaptureError, records
from simulator.server.http import HttpResponse, parse_head
from simulator.stream_names import Route, delivers, family_of, stream_name
from simulator.tape import Tape

MINUTE = 60_000


def test_only_ascii_is_lower_cased() -> None:
    assert stream_name("BTCUSDT_260925", "depth@0ms") == "btcusdt_260925@depth@0ms"
    assert stream_name("币安人生USDT", "trade") == "币安人生usdt@trade"
    assert stream_name("İUSDT", "trade") == "İusdt@trade"


def test_families() -> None:
    names = ("depth@0ms", "depth5@100ms", "kline_1m", "markPrice@1s", "rpiDepth@500ms")
    assert [family_of(name) for name in names] == ["depth", "depth5", "kline", "markPrice", "rpiDepth"]


@pytest.mark.parametrize("suffix", ["depth", "depth@0ms", "depth20@500ms", "bookTicker", "trade", "rpiDepth@500ms"])
def test_public_streams_flow_on_public_and_legacy(suffix: str) -> None:
    assert [delivers(route, f"btcusdt@{suffix}") for route in Route] == [True, False, True]


@pytest.mark.parametrize("suffix", ["aggTrade", "kline_1m", "markPrice", "markPrice@1s", "forceOrder", "ticker"])
def test_market_streams_flow_on_market_only(suffix: str) -> None:
    assert [delivers(route, f"btcusdt@{suffix}") for route in Route] == [False, True, False]


def test_the_mix_makes_the_rate() -> None:
    rates = stream_rates(2500.0)
    assert rates["aggTrade"] + rates["depth@0ms"] + rates["kline_1m"] == pytest.approx(2500.0)
    assert rates["depth@100ms"] == 10.0
    wide = stream_rates(2500.0, ("aggTrade", "depth@0ms", "kline_1m", "bookTicker", "trade"))
    assert wide["aggTrade"] + wide["depth@0ms"] + wide["kline_1m"] + wide["bookTicker"] + wide[
        "trade"
    ] == pytest.approx(2500.0)


def test_an_override_is_for_a_stream_or_a_family() -> None:
    rates = stream_rates(100.0, overrides={"depth": 50.0, "kline_1m": 1.0})
    assert (rates["depth@0ms"], rates["depth"], rates["depth@500ms"], rates["depth5"]) == (50.0, 50.0, 50.0, 4.0)
    assert (rates["kline_1m"], rates["kline_3m"]) == (1.0, 4.0)
    assert stream_rates(100.0, overrides={"trade": 30.0})["aggTrade"] == 20.0


def test_a_random_rate_is_reached_on_average_and_in_bursts() -> None:
    times: list[float] = []
    schedule = Schedule(random.Random(1))
    schedule.add(100.0, times.append, 0.0, is_random=True)
    for step in range(20_001):
        schedule.run(step / 100, 10_000)
    assert 19_000 < len(times) < 21_000
    assert max(times.count(time) for time in set(times)) >= 6


def test_a_timer_keeps_its_distance() -> None:
    times: list[float] = []
    schedule = Schedule(random.Random(1))
    schedule.add(4.0, times.append, 0.0, is_random=False)
    for step in range(1001):
        schedule.run(step / 100, 10)
    assert len(times) == 40


def test_a_short_pause_is_caught_up_and_a_long_one_is_not() -> None:
    times: list[float] = []
    schedule = Schedule(random.Random(1))
    schedule.add(10.0, times.append, 0.0, is_random=False)
    schedule.run(0.9, 100)
    assert len(times) in (8, 9)
    schedule.run(100.0, 100)
    assert len(times) in (9, 10)
    assert schedule.skipped_s > 98


def test_fixed_decimals() -> None:
    texts = [decimal_text(8_455_110, 2), decimal_text(0, 3), decimal_text(5, 3), decimal_text(7, 0)]
    assert texts == ["84551.10", "0.000", "0.005", "7"]
    assert contract_of("牛来USDT") == contract_of("牛来USDT")
    assert contract_of("AUSDT").first_price >= 20_000


def test_bars_without_trades_are_closed_too() -> None:
    bars = Bars(10 * MINUTE, 500)
    bars.minute.add(510, 2, 7, buyer_takes=True)
    bars.roll(13 * MINUTE)
    closed = list(bars.series["1m"].closed)
    assert [bar.open_time_ms for bar in closed] == [10 * MINUTE, 11 * MINUTE, 12 * MINUTE]
    assert [(bar.trades, bar.first_id, bar.open, bar.close) for bar in closed] == [
        (1, 7, 510, 510), (0, -1, 510, 510), (0, -1, 510, 510)
    ]  # fmt: skip
    assert bars.series["3m"].closed[0].volume == 2


def test_a_clock_that_goes_back_leaves_the_bar_open() -> None:
    bars = Bars(10 * MINUTE, 500)
    bars.roll(5 * MINUTE)
    assert bars.minute.open_time_ms == 10 * MINUTE
    assert not bars.series["1m"].closed


def test_request_heads() -> None:
    request = parse_head(b"GET /fapi/v1/time?a=b HTTP/1.1\r\nHost: x\r\nUpgrade: WebSocket\r\n\r\n")
    assert request is not None
    assert (request.method, request.target, request.is_upgrade) == ("GET", "/fapi/v1/time?a=b", True)
    assert parse_head("GET /public/ws/币 HTTP/1.1\r\n\r\n".encode()) is None
    assert parse_head(b"hello\r\n\r\n") is None
    assert parse_head(b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\n\r\n") is None


def test_a_response_says_its_full_length_when_it_is_cut() -> None:
    text = HttpResponse(200, b"0123456789", {"X-A": "1"}, sent_bytes=4).encode()
    assert b"Content-Length: 10\r\n" in text
    assert text.endswith(b"X-A: 1\r\n\r\n0123")


def test_words_say_what_was_expected() -> None:
    words = Arguments("5 btcusdt@trade on 2")
    assert (words.connection, words.count("N"), words.text("STREAM")) == (2, 5, "btcusdt@trade")
    words.end()
    for line, what in (("x", "N expected, not x"), ("0", "N must be 1 or more"), ("", "N expected")):
        with pytest.raises(ArgumentError, match=f"^{what}$"):
            Arguments(line).count("N")
    with pytest.raises(ArgumentError, match="unexpected: a b"):
        Arguments("a b").end()


def test_the_book_of_a_replay_ignores_what_its_snapshot_contains() -> None:
    book = ReplayBook()
    book.reset(b'{"lastUpdateId":10,"E":5,"T":4,"bids":[["1.10","2"],["1.00","1"]],"asks":[["1.20","3"]]}')
    book.apply(b'{"stream":"x","data":{"pu":9,"u":10,"E":6,"T":6,"b":[["1.00","9"]],"a":[]}}')
    book.apply(b'{"stream":"x","data":{"pu":10,"u":12,"E":8,"T":7,"b":[["1.100","0.0"]],"a":[["1.15","4"]]}}')
    assert (
        book.body(1000) == b'{"lastUpdateId":12,"E":8,"T":7,"bids":[["1.00","1"]],"asks":[["1.15","4"],["1.20","3"]]}'
    )


def test_a_capture_is_read_byte_for_byte(tmp_path: Path) -> None:
    path = tmp_path / "capture"
    path.write_bytes(
        b'5 {"stream":"!ticker@arr","data":[]}\n'
        b'6 {"stream":"ausdt@trade","data":{"s":"AUSDT","t": 1}}\n'
        b'7 {"rest":"/fapi/v1/depth?symbol=AUSDT&limit=1000","body":{"lastUpdateId": 3}}\n'
    )
    found = list(records(path))
    assert [(record.recv_ns, record.name) for record in found] == [
        (5, "!ticker@arr"), (6, "ausdt@trade"), (7, "/fapi/v1/depth?symbol=AUSDT&limit=1000")
    ]  # fmt: skip
    assert found[1].payload == b'{"stream":"ausdt@trade","data":{"s":"AUSDT","t": 1}}'
    contents = CaptureContents(path)
    assert contents.streams == {"ausdt@trade": "AUSDT"}
    assert contents.skipped == {"!ticker@arr": 1}
    assert contents.snapshots == {"AUSDT": b'{"lastUpdateId": 3}'}


def test_a_line_that_is_no_record_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "capture"
    path.write_bytes(b'5 {"hello":1}\n')
    with pytest.raises(CaptureError, match="line 1"):
        list(records(path))


def test_tape_formats(tmp_path: Path) -> None:
    tape = Tape(tmp_path / "tape")
    tape.market(5, 2, b'{"stream":"x","data":{}}')
    tape.noise(6, "x", b"\xff" + b"y" * 300)
    tape.rest(7, 200, "/fapi/v1/time", b'{"serverTime":1}')
    tape.close()
    assert (tmp_path / "tape/tape.txt").read_bytes() == b'5 2 {"stream":"x","data":{}}\n'
    assert (tmp_path / "tape/noise.txt").read_text() == '6 x 301 "\\ufffd' + "y" * 199 + '"\n'
    assert (tmp_path / "tape/rest.txt").read_bytes() == b'7 200 /fapi/v1/time {"serverTime":1}\n'
