"""The order of requests, and what answers do to it."""

from collections import Counter
from pathlib import Path

import pytest

from binance_streamer.exchange.streams import stream_of
from binance_streamer.wire.requests import SnapshotRequest
from services.rest.answers import RestAnswer
from services.rest.schedule.backfill_queue import MissingRows
from services.rest.schedule.task import AnyRequest
from tests.support.rest_scene import NOW_MS, SNAPSHOT, TIME, RestScene, a_list, an_answer

DEPTH_OF = "/fapi/v1/depth?symbol={}&limit=1000"


@pytest.fixture
def scene(tmp_path: Path) -> RestScene:
    return RestScene(tmp_path)


@pytest.fixture
def running(tmp_path: Path) -> RestScene:
    """Neither its clock nor its list is due in the next ten minutes."""
    running = RestScene(tmp_path, intervals_s=(600.0, 600.0))
    running.begin()
    return running


def test_first_the_time_then_the_list_then_snapshots(scene: RestScene) -> None:
    scene.snapshots.try_add(SnapshotRequest("BTCUSDT", 1, "sequence"), 0.0)
    scene.measure_clock(0.0)
    scene.list_symbols(0.0)
    assert scene.path(0.0) == DEPTH_OF.format("BTCUSDT")


def test_time_and_list_are_asked_again_every_interval(scene: RestScene) -> None:
    scene.begin()
    assert scene.take_next(59.9) is None
    scene.measure_clock(60.0)
    for now_s in range(120, 600, 60):
        scene.measure_clock(now_s)
    assert scene.take_next(599.9) is None
    scene.measure_clock(600.0)
    scene.list_symbols(600.0)
    assert scene.take_next(601.0) is None


def test_a_time_that_does_not_come_stops_neither_list_nor_snapshots(scene: RestScene) -> None:
    scene.answer(scene.leaving(0.0), an_answer(500), 0.0)
    scene.list_symbols(0.0)
    assert scene.take_next(4.9) is None
    assert scene.path(5.0) == "/fapi/v1/time"


def test_a_list_that_does_not_come_does_not_stop_snapshots(scene: RestScene) -> None:
    scene.measure_clock(600.0)
    scene.snapshots.try_add(SnapshotRequest("A", 1, "sequence"), 600.0)
    scene.answer(scene.leaving(600.0), an_answer(500), 600.0)
    assert scene.path(600.0) == DEPTH_OF.format("A")


def test_a_list_that_has_lost_much_is_not_believed_when_it_comes_again_within_the_minute(tmp_path: Path) -> None:
    scene = RestScene(tmp_path, intervals_s=(600.0, 1e9))
    scene.measure_clock(0.0)
    scene.list_symbols(0.0, a_list({"symbol": "A", "status": "TRADING"}, {"symbol": "B", "status": "TRADING"}))
    less = a_list({"symbol": "A", "status": "TRADING"})
    assert scene.answer(scene.leaving(600.0), an_answer(200, less), 600.0) == "trouble"
    assert "believed when it comes a second time" in scene.scheduler.fault
    assert scene.take_next(659.9) is None
    scene.list_symbols(660.0, less)
    assert (scene.scheduler.condition, scene.scheduler.fault) == ("answered", "")


def test_the_weight_limit_that_the_exchange_names_is_used(scene: RestScene) -> None:
    scene.measure_clock(0.0)
    scene.list_symbols(0.0, a_list(limit=6000))
    assert scene.pace.budget == 3000


def test_the_used_weight_in_every_answer_counts_in_bad_ones_too(running: RestScene) -> None:
    running.answer(running.leaving(600.0), an_answer(500, X_MBX_USED_WEIGHT_1M="700"), 600.5)
    assert running.pace.used(601.0) == 700


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
def test_nothing_leaves_after_a_bad_answer_before_its_time(
    running: RestScene, answer: RestAnswer, condition: str, until_s: float
) -> None:
    running.snapshots.try_add(SnapshotRequest("BTCUSDT", 1, "sequence"), 99.0)
    assert running.answer(running.leaving(99.0), answer, 100.0) in ("banned", "forbidden")
    assert running.scheduler.condition == condition
    assert running.scheduler.fault.startswith("/fapi/v1/depth?symbol=BTCUSDT&limit=1000: status ")
    assert running.take_next(until_s - 0.1) is None
    assert running.wait_s(until_s - 1.0) == 1.0
    assert running.path(until_s) == DEPTH_OF.format("BTCUSDT")


@pytest.mark.parametrize("status", [500, 503, 408, 404, 302, 202, 0])
def test_nobody_gets_a_snapshot_for_a_while_after_one_did_not_come(running: RestScene, status: int) -> None:
    for symbol in ("A", "B"):
        running.snapshots.try_add(SnapshotRequest(symbol, 1, "sequence"), 99.0)
    assert running.answer(running.leaving(99.0), an_answer(status), 100.0) == "trouble"
    assert (running.scheduler.condition, running.scheduler.silent_s(100.0)) == ("trouble", 5.0)
    assert running.take_next(104.9) is None
    assert running.path(105.0) == DEPTH_OF.format("B")


def test_a_good_status_with_another_body_is_trouble(running: RestScene) -> None:
    running.snapshots.try_add(SnapshotRequest("A", 1, "sequence"), 99.0)
    assert running.answer(running.leaving(99.0), an_answer(200, b"<html>"), 100.0) == "trouble"
    assert running.scheduler.fault.startswith(DEPTH_OF.format("A") + ": expected a depth snapshot")
    assert running.recorded.live == []
    assert [draft.stream_type for draft in running.recorded.appended] == ["clock", "exchange_info"]


def test_trouble_that_lasts_is_asked_about_less_and_less_and_forgotten_after_an_answer(running: RestScene) -> None:
    waits_s = []
    now_s = 0.0
    for symbol in "ABCDEF":
        running.snapshots.try_add(SnapshotRequest(symbol, 1, "sequence"), now_s)
        running.answer(running.leaving(now_s), an_answer(500), now_s)
        waits_s.append(running.scheduler.silent_s(now_s))
        now_s += waits_s[-1]
    assert waits_s == [5, 10, 20, 40, 60, 60]
    running.snapshots.try_add(SnapshotRequest("G", 1, "sequence"), now_s)
    running.good(running.leaving(now_s), SNAPSHOT, now_s)
    assert (running.scheduler.condition, running.scheduler.fault) == ("answered", "")
    running.answer(running.leaving(now_s + 2), an_answer(500), now_s + 2)
    assert running.scheduler.silent_s(now_s + 2) == 5


def test_the_trouble_of_one_group_outlasts_answers_to_others_until_nobody_asks_for_it(tmp_path: Path) -> None:
    scene = RestScene(tmp_path, intervals_s=(600.0, 1.0))
    scene.begin()
    scene.snapshots.try_add(SnapshotRequest("A", 1, "sequence"), 0.0)
    scene.answer(scene.leaving(0.0), an_answer(500), 0.0)
    conditions = []
    for now_s in (1.0, 64.9, 65.9):
        scene.measure_clock(now_s)
        conditions.append(scene.scheduler.condition)
    assert conditions == ["trouble", "trouble", "answered"]


def test_a_refused_symbol_does_not_stop_the_others(running: RestScene) -> None:
    running.snapshots.try_add(SnapshotRequest("A", 1, "sequence"), 0.0)
    running.snapshots.try_add(SnapshotRequest("B", 1, "sequence"), 0.0)
    request = running.leaving(10.0)
    assert running.answer(request, an_answer(400, b'{"code":-1122}'), 10.0) == "refused"
    assert running.scheduler.condition == "answered"
    assert running.path(12.0) == DEPTH_OF.format("B")


def test_a_list_that_is_refused_is_trouble(scene: RestScene) -> None:
    scene.measure_clock(0.0)
    assert scene.answer(scene.leaving(0.0), an_answer(400), 0.0) == "refused"
    assert (scene.scheduler.condition, scene.scheduler.fault) == (
        "trouble",
        "/fapi/v1/exchangeInfo: status 400 b''",
    )


def test_being_forbidden_is_asked_about_once_an_hour_at_last(tmp_path: Path) -> None:
    scene = RestScene(tmp_path, intervals_s=(1e9, 1e9))
    scene.begin()
    scene.snapshots.try_add(SnapshotRequest("BTCUSDT", 1, "sequence"), 0.0)
    waits_s = []
    for _ in range(8):
        now_s = max(0.0, scene.pace.stand_down_until_s)
        scene.answer(scene.leaving(now_s), an_answer(451), now_s)
        waits_s.append(scene.pace.stand_down_until_s - now_s)
    assert waits_s == [60, 120, 240, 480, 960, 1920, 3600, 3600]


class Hours:
    """Workers that repeat their requests every five seconds, and an exchange that never answers some of them."""

    def __init__(self, directory: Path, fails: str, symbols: list[str]) -> None:
        self.scene = RestScene(directory, periodic=["PERIODIC"], chance=0.5)
        self.scene.snapshots.taken_ms["PERIODIC"] = 0
        self.fails = fails
        self.symbols = symbols
        self.answered: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()

    def run(self, hours: int) -> None:
        for now_s in range(hours * 3600):
            self.scene.exchange_ms = NOW_MS + now_s * 1000
            if now_s % 5 == 0:
                self.ask(now_s)
            request = self.scene.take_next(now_s)
            if request is not None:
                self.take(request, now_s)

    def ask(self, now_s: float) -> None:
        for symbol in self.symbols:
            self.scene.snapshots.try_add(SnapshotRequest(symbol, 9, "sequence"), now_s)
            for suffix in ("aggTrade", "kline_1m"):
                missing = MissingRows(stream_of(symbol, suffix), "g", 0, 60_000, NOW_MS * 10**6)
                self.scene.backfill.try_add(missing, now_s)

    def take(self, request: AnyRequest, now_s: float) -> None:
        path, _, query = request.path.partition("?")
        subject = query.partition("&")[0].removeprefix("symbol=") if "depth" in path else path
        if self.fails in request.path:
            self.failed[subject] += 1
            self.scene.answer(request, an_answer(500), now_s)
            return
        self.answered[subject] += 1
        bodies = {"time": TIME, "exchangeInfo": a_list(), "depth": SNAPSHOT, "aggTrades": b'[{"a":1}]'}
        self.scene.good(request, bodies.get(path.rpartition("/")[2], b"[[60000]]"), now_s)


@pytest.mark.parametrize(
    ("fails", "starved"),
    [
        ("depth?symbol=S0USDT&", {"S0USDT"}),
        ("/depth", {"S0USDT", "S1USDT", "PERIODIC"}),
        ("/aggTrades", {"/fapi/v1/aggTrades"}),
        ("/exchangeInfo", {"/fapi/v1/exchangeInfo"}),
    ],
)
def test_what_always_fails_takes_no_turn_from_others(tmp_path: Path, fails: str, starved: set[str]) -> None:
    hours = Hours(tmp_path, fails, ["S0USDT", "S1USDT"])
    hours.run(6)
    least = {
        "/fapi/v1/time": 1600, "/fapi/v1/exchangeInfo": 36, "/fapi/v1/aggTrades": 1000, "/fapi/v1/klines": 1000,
        "S0USDT": 1000, "S1USDT": 1000, "PERIODIC": 6,
    }  # fmt: skip
    assert {what for what in least if hours.answered[what] < least[what]} == starved, hours.answered
    assert set(hours.failed) <= starved
    assert hours.failed.total() <= 6 * 120, "one a minute of each symbol"


def test_an_exchange_that_answers_nothing_is_asked_a_few_times_a_minute(tmp_path: Path) -> None:
    hours = Hours(tmp_path, "", [f"S{number}USDT" for number in range(50)])
    hours.run(1)
    assert 60 <= hours.failed.total() <= 6 * 90
