"""The order of requests, and what answers do to it."""

import json
from collections import Counter

import pytest

from binance_streamer.exchange.streams import stream_of
from services.rest.answers import AnswerError, RestAnswer, RestRequest, read_clock_sample, read_snapshot
from services.rest.market.clock_offset import SAMPLES, Sample
from services.rest.schedule.backfill_queue import BackfillQueue, BackfillRequest
from services.rest.schedule.pacing import Pace
from services.rest.schedule.scheduler import Queues, Scheduler
from services.rest.schedule.snapshot_queue import SnapshotQueue
from tests.support.chance import Chance

NOW_MS = 1_790_000_000_000


def an_answer(status: int, body: bytes = b"", fault: str = "", **headers: str) -> RestAnswer:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return RestAnswer(status, names, body, 1_000_000_000, 3_000_000_000, fault)


def a_desk() -> Scheduler:
    return Scheduler(
        Pace(limit=2400, share=0.5, spacing_s=2),
        Queues(SnapshotQueue([], interval_s=3600, retry_s=5), BackfillQueue(retry_s=5)),
        delays_s=(5.0, 60.0),
        intervals_s=(600.0, 60.0),
        rng=Chance(1.0),
    )


def took_time(desk: Scheduler, now_s: float) -> None:
    for _ in range(SAMPLES):
        desk.took_time(Sample(NOW_MS, NOW_MS * 10**6, NOW_MS * 10**6), now_s)


def a_running_desk() -> Scheduler:
    """Its clock is not due in the next ten minutes."""
    desk = a_desk()
    took_time(desk, 600.0)
    desk.took_exchange_info(2400, 0.0)
    return desk


def leaving(desk: Scheduler, now_s: float) -> RestRequest:
    request = desk.next(now_s, NOW_MS)
    assert request
    return request


def test_the_hours_of_markets_are_asked_for_where_they_matter() -> None:
    desk = a_running_desk()
    assert desk.next(1.0, NOW_MS) is None
    desk.took_exchange_info(2400, 1.0, follows_sessions=True)
    assert leaving(desk, 1.0).path == "/fapi/v1/tradingSchedule"
    desk.took_schedule(1.0)
    desk.took_exchange_info(2400, 300.0, follows_sessions=True)
    assert desk.next(600.0, NOW_MS) is None
    assert leaving(desk, 601.0).path == "/fapi/v1/tradingSchedule"
    desk.took_exchange_info(2400, 601.0)
    assert desk.next(650.0, NOW_MS) is None


@pytest.mark.parametrize("status", [400, 404])
def test_an_exchange_without_hours_of_markets_is_no_trouble(status: int) -> None:
    desk = a_running_desk()
    desk.took_exchange_info(2400, 1.0, follows_sessions=True)
    assert desk.judge(leaving(desk, 1.0), an_answer(status), 1.0, NOW_MS) == "refused"
    assert desk.condition == "answered"
    assert desk.next(600.0, NOW_MS) is None
    desk.took_exchange_info(2400, 600.0, follows_sessions=True)
    assert leaving(desk, 601.0).path == "/fapi/v1/tradingSchedule"


def test_first_the_time_then_the_list_then_snapshots() -> None:
    desk = a_desk()
    desk.snapshots.ask("BTCUSDT", "sequence", 1, 0.0)
    assert leaving(desk, 0.0).path == "/fapi/v1/time"
    took_time(desk, 0.0)
    assert leaving(desk, 0.0).path == "/fapi/v1/exchangeInfo"
    desk.took_exchange_info(2400, 0.0)
    assert leaving(desk, 0.0).path == "/fapi/v1/depth?symbol=BTCUSDT&limit=1000"


def test_time_and_list_are_asked_again_every_interval() -> None:
    desk = a_running_desk()
    assert desk.next(599.9, NOW_MS) is None
    assert leaving(desk, 600.0).kind == "exchange_info"
    desk.took_exchange_info(2400, 600.0)
    assert desk.next(659.9, NOW_MS) is None
    for _ in range(SAMPLES):
        assert leaving(desk, 660.0).kind == "time"
        desk.took_time(Sample(NOW_MS, 0, 0), 660.0)
    assert desk.next(719.9, NOW_MS) is None
    assert leaving(desk, 720.0).kind == "time"


def test_a_time_that_does_not_come_stops_neither_list_nor_snapshots() -> None:
    desk = a_desk()
    desk.failed(leaving(desk, 0.0), 0.0)
    assert leaving(desk, 0.0).kind == "exchange_info"
    assert leaving(desk, 60.0).kind == "time"


def test_the_weight_limit_that_the_exchange_names_is_used() -> None:
    desk = a_desk()
    desk.took_exchange_info(6000, 0.0)
    assert desk.pace.budget == 3000


def test_the_used_weight_in_every_answer_counts_in_bad_ones_too() -> None:
    desk = a_running_desk()
    desk.judge(leaving(desk, 600.0), an_answer(500, X_MBX_USED_WEIGHT_1M="700"), 600.5, NOW_MS)
    assert desk.pace.used(601.0) == 700


@pytest.mark.parametrize(
    ("answer", "condition", "until_s"),
    [
        (an_answer(429, Retry_After="30"), "standing down", 131),
        (an_answer(418), "standing down", 220),
        (an_answer(418, b"IP banned until %d" % (NOW_MS + 90_000)), "standing down", 191),
        (an_answer(403), "forbidden", 160),
        (an_answer(451), "forbidden", 160),
    ],
)
def test_nothing_leaves_after_a_bad_answer_before_its_time(answer: RestAnswer, condition: str, until_s: float) -> None:
    desk = a_running_desk()
    desk.snapshots.ask("BTCUSDT", "sequence", 1, 99.0)
    assert desk.judge(leaving(desk, 99.0), answer, 100.0, NOW_MS) != "good"
    assert desk.condition == condition
    assert desk.next(until_s - 0.1, NOW_MS) is None
    assert desk.wait_s(until_s - 1.0, NOW_MS) == 1.0
    assert leaving(desk, until_s).path == "/fapi/v1/depth?symbol=BTCUSDT&limit=1000"


@pytest.mark.parametrize("status", [500, 503, 408, 404, 302, 202, 0])
def test_nobody_gets_a_snapshot_for_a_while_after_one_did_not_come(status: int) -> None:
    desk = a_running_desk()
    for symbol in ("A", "B"):
        desk.snapshots.ask(symbol, "sequence", 1, 99.0)
    assert desk.judge(leaving(desk, 99.0), an_answer(status), 100.0, NOW_MS) == "trouble"
    assert (desk.condition, desk.silent_s(100.0)) == ("trouble", 5.0)
    assert desk.next(104.9, NOW_MS) is None
    assert leaving(desk, 105.0).path == "/fapi/v1/depth?symbol=B&limit=1000"


def test_trouble_that_lasts_is_asked_about_less_and_less_and_forgotten_after_an_answer() -> None:
    desk = a_running_desk()
    waits_s = []
    now_s = 0.0
    for symbol in "ABCDEF":
        desk.snapshots.ask(symbol, "sequence", 1, now_s)
        desk.judge(leaving(desk, now_s), an_answer(500), now_s, NOW_MS)
        waits_s.append(desk.silent_s(now_s))
        now_s += waits_s[-1]
    assert waits_s == [5, 10, 20, 40, 60, 60]
    desk.snapshots.ask("G", "sequence", 1, now_s)
    desk.succeeded(leaving(desk, now_s), now_s)
    assert desk.condition == "answered"
    desk.judge(leaving(desk, now_s + 2), an_answer(500), now_s + 2, NOW_MS)
    assert desk.silent_s(now_s + 2) == 5


def test_the_trouble_of_one_kind_of_request_outlasts_answers_to_others_until_nobody_asks_for_it() -> None:
    desk = a_running_desk()
    desk.snapshots.ask("A", "sequence", 1, 0.0)
    desk.judge(leaving(desk, 0.0), an_answer(500), 0.0, NOW_MS)
    conditions = []
    for now_s in (0.0, 64.9, 65.0):
        took_time(desk, now_s)
        conditions.append(desk.condition)
    assert conditions == ["trouble", "trouble", "answered"]


class Hours:
    """Workers that repeat their wishes every five seconds, and an exchange that never answers some, in virtual time."""

    def __init__(self, fails: str, symbols: list[str]) -> None:
        self.desk = Scheduler(
            Pace(limit=2400, share=0.5, spacing_s=2),
            Queues(SnapshotQueue(["PERIODIC"], interval_s=3600, retry_s=5), BackfillQueue(retry_s=5)),
            delays_s=(5.0, 60.0),
            intervals_s=(600.0, 60.0),
            rng=Chance(0.5),
        )
        self.desk.snapshots.start({"PERIODIC": 0}, NOW_MS)
        self.fails = fails
        self.symbols = symbols
        self.answered: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()

    def run(self, hours: int) -> None:
        for now_s in range(hours * 3600):
            if now_s % 5 == 0:
                self.ask(now_s)
            request = self.desk.next(now_s, NOW_MS + now_s * 1000)
            if request is not None:
                self.take(request, now_s)

    def ask(self, now_s: float) -> None:
        for symbol in self.symbols:
            self.desk.snapshots.ask(symbol, "sequence", 1 << 60, now_s)
            for suffix in ("aggTrade", "kline_1m"):
                wish = BackfillRequest(stream_of(symbol, suffix), "g", 0, 60_000, NOW_MS * 10**6)
                self.desk.repairs.ask(wish, now_s)

    def take(self, request: RestRequest, now_s: float) -> None:
        what = request.wanted.symbol if request.wanted else request.path.partition("?")[0]
        if self.fails in request.path:
            self.failed[what] += 1
            self.desk.judge(request, an_answer(500), now_s, 0)
            return
        self.answered[what] += 1
        if request.kind == "time":
            self.desk.took_time(Sample(NOW_MS, 0, 0), now_s)
        elif request.kind == "exchange_info":
            self.desk.took_exchange_info(None, now_s)
        else:
            self.desk.succeeded(request, now_s)
        if request.repair is not None:
            self.desk.repairs.served(request.repair)
        if request.wanted is not None:
            self.desk.snapshots.recorded(request.wanted, 1 << 60, now_s, NOW_MS + int(now_s * 1000))


@pytest.mark.parametrize(
    ("fails", "starved"),
    [
        ("depth?symbol=S0USDT&", {"S0USDT"}),
        ("/depth", {"S0USDT", "S1USDT", "PERIODIC"}),
        ("/aggTrades", {"/fapi/v1/aggTrades"}),
        ("/exchangeInfo", {"/fapi/v1/exchangeInfo"}),
    ],
)
def test_what_always_fails_takes_no_turn_from_others(fails: str, starved: set[str]) -> None:
    hours = Hours(fails, ["S0USDT", "S1USDT"])
    hours.run(6)
    least = {
        "/fapi/v1/time": 1600, "/fapi/v1/exchangeInfo": 36, "/fapi/v1/aggTrades": 1000, "/fapi/v1/klines": 1000,
        "S0USDT": 1000, "S1USDT": 1000, "PERIODIC": 6,
    }  # fmt: skip
    assert {what for what in least if hours.answered[what] < least[what]} == starved, hours.answered
    assert set(hours.failed) <= starved
    assert hours.failed.total() <= 6 * 120, "one a minute of each symbol"


def test_an_exchange_that_answers_nothing_is_asked_a_few_times_a_minute() -> None:
    hours = Hours("", [f"S{number}USDT" for number in range(50)])
    hours.run(1)
    assert 60 <= hours.failed.total() <= 6 * 90


def test_being_forbidden_is_asked_about_once_an_hour_at_last() -> None:
    desk = a_running_desk()
    desk.snapshots.ask("BTCUSDT", "sequence", 1, 0.0)
    waits_s = []
    for _ in range(8):
        now_s = max(0.0, desk.pace.stand_down_until_s)
        desk.judge(leaving(desk, now_s), an_answer(451), now_s, NOW_MS)
        waits_s.append(desk.pace.stand_down_until_s - now_s)
    assert waits_s == [60, 120, 240, 480, 960, 1920, 3600, 3600]


def test_a_refused_symbol_does_not_stop_the_others() -> None:
    desk = a_running_desk()
    desk.snapshots.ask("A", "sequence", 1, 0.0)
    desk.snapshots.ask("B", "sequence", 1, 0.0)
    request = leaving(desk, 10.0)
    assert desk.judge(request, an_answer(400, b'{"code":-1122}'), 10.0, NOW_MS) == "refused"
    assert leaving(desk, 12.0).path == "/fapi/v1/depth?symbol=B&limit=1000"


def test_a_list_that_does_not_come_does_not_stop_snapshots() -> None:
    desk = a_desk()
    took_time(desk, 600.0)
    desk.snapshots.ask("A", "sequence", 1, 0.0)
    desk.failed(leaving(desk, 0.0), 0.0)
    assert leaving(desk, 0.0).kind == "depth"
    assert leaving(desk, 60.0).kind == "exchange_info"


def test_the_time_stands_between_the_stamps_of_its_request() -> None:
    assert read_clock_sample(an_answer(200, b'{"serverTime":2500}')) == (2500, 1_000_000_000, 3_000_000_000)


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"serverTime":"1"}', b'{"serverTime":0}', b'{"serverTime":1e999}'])
def test_what_is_no_time_is_refused(body: bytes) -> None:
    with pytest.raises(AnswerError):
        read_clock_sample(an_answer(200, body))


def test_every_truncated_snapshot_is_refused() -> None:
    body = json.dumps({"lastUpdateId": 7, "E": 1, "T": 1, "bids": [["1.0", "2"]], "asks": [], "new": {}}).encode()
    assert read_snapshot(an_answer(200, body)).lastUpdateId == 7
    for size in range(len(body)):
        with pytest.raises(AnswerError):
            read_snapshot(an_answer(200, body[:size]))


@pytest.mark.parametrize("numbers", [(1 << 70, 1), (1, 10**30), (-(1 << 64), 1)])
def test_a_snapshot_whose_numbers_no_journal_takes_is_none(numbers: tuple[int, int]) -> None:
    body = b'{"lastUpdateId":%d,"E":%d,"bids":[],"asks":[]}' % numbers
    with pytest.raises(AnswerError, match="expected a depth snapshot"):
        read_snapshot(an_answer(200, body))


def test_a_fresh_listing_has_the_id_minus_one() -> None:
    assert read_snapshot(an_answer(200, b'{"lastUpdateId":-1,"bids":[],"asks":[]}')).lastUpdateId == -1
