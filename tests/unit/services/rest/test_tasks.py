"""What each task asks for, and what it makes of the answers."""

import json
from pathlib import Path
from random import Random

import pytest

from binance_streamer.config.schema import Config, EndpointsConfig, GroupConfig, MatchConfig, ModeConfig
from binance_streamer.exchange.streams import Stream, stream_of
from binance_streamer.wire.requests import SnapshotRequest
from services.ingest.streams.backfill import BackfillRequests
from services.rest.answers import RestAnswer
from services.rest.market.clock_offset import Step
from services.rest.market.group_members import GroupMembers
from services.rest.schedule.backfill_queue import MissingRows
from services.rest.schedule.task import AnyRequest, Moment
from services.rest.tasks import TurnoverTask
from services.runtime.gaps.open_gaps import OpenGap
from simulator.rest.weights import RequestWeight
from tests.support.rest_scene import NOW_MS, SNAPSHOT, TIME, RestScene, a_list, an_answer

TRADES = stream_of("BTCUSDT", "aggTrade")
BARS = stream_of("BTCUSDT", "kline_1m")
MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
SHARES = {"symbol": "TSLAUSDT", "status": "TRADING", "contractType": "TRADIFI_PERPETUAL", "underlyingType": "EQUITY"}
HOURS = b'{"marketSchedules":{"EQUITY":{"sessions":[{"startTime":1000,"endTime":2000,"type":"NO_TRADING"}]}}}'


def missing(stream: Stream = TRADES, from_id: int = 10, to_id: int = 20, age_ms: int = 0) -> MissingRows:
    return MissingRows(stream, "g", from_id, to_id, (NOW_MS - age_ms) * 1_000_000)


@pytest.fixture
def scene(tmp_path: Path) -> RestScene:
    """Its clock and its list are known."""
    scene = RestScene(tmp_path, intervals_s=(600.0, 1e9), configured=["TSLAUSDT"], periodic=["A"])
    scene.begin()
    scene.recorded.appended.clear()
    return scene


def shares(tmp_path: Path) -> RestScene:
    scene = RestScene(tmp_path, intervals_s=(600.0, 1e9), configured=["TSLAUSDT"])
    scene.measure_clock(0.0)
    scene.list_symbols(0.0, a_list(SHARES))
    return scene


def test_a_measurement_of_the_clock_is_recorded(tmp_path: Path) -> None:
    scene = RestScene(tmp_path)
    scene.measure_clock(0.0)
    (draft,) = scene.recorded.appended
    assert (draft.stream_type, draft.data["offset_ms"], draft.data["samples"]) == ("clock", 0.0, 5)


def test_the_sample_under_way_while_our_clock_was_set_is_of_no_use(tmp_path: Path) -> None:
    scene = RestScene(tmp_path)
    request = scene.leaving(0.0)
    scene.meter.note_step(Step(30_000.0, 0, 1), is_asking=True)
    scene.good(request, TIME, 0.0)
    assert scene.meter.offset_ms is None


def test_the_hours_of_markets_are_asked_for_where_they_matter(tmp_path: Path) -> None:
    scene = shares(tmp_path)
    scene.good(scene.leaving(1.0), HOURS, 1.0)
    assert [draft.data["stream"] for draft in scene.recorded.appended[1:]] == [
        "/fapi/v1/exchangeInfo",
        "/fapi/v1/tradingSchedule",
    ]
    scene.list_symbols(600.0, a_list(SHARES))
    assert scene.take_next(600.9) is None
    scene.good(scene.leaving(601.0), HOURS, 601.0)
    scene.list_symbols(1200.0, a_list({"symbol": "TSLAUSDT", "status": "TRADING"}))
    assert scene.take_next(1300.0) is None, "no configured contract follows hours any more"


def test_without_a_contract_that_follows_hours_nobody_asks_for_them(scene: RestScene) -> None:
    assert scene.take_next(1.0) is None


@pytest.mark.parametrize("status", [400, 404])
def test_an_exchange_without_hours_of_markets_is_no_trouble(tmp_path: Path, status: int) -> None:
    scene = shares(tmp_path)
    request = scene.leaving(1.0)
    assert request.path == "/fapi/v1/tradingSchedule"
    assert scene.answer(request, an_answer(status), 1.0) == "refused"
    assert scene.scheduler.condition == "answered"
    scene.list_symbols(600.0, a_list(SHARES))
    assert scene.take_next(600.9) is None
    assert scene.path(601.0) == "/fapi/v1/tradingSchedule"


def test_who_waits_for_a_snapshot_comes_first_then_missing_rows_then_periodic_ones_and_audits_at_last(
    scene: RestScene,
) -> None:
    scene.snapshots.taken_ms["A"] = 0
    scene.snapshots.try_add(SnapshotRequest("C", 0, "audit"), 10.0)
    scene.backfill.try_add(missing(), 10.0)
    scene.snapshots.try_add(SnapshotRequest("B", 1, "sequence"), 10.0)
    order = []
    now_s = 10.0
    while (request := scene.take_next(now_s)) is not None:
        order.append(request.path.partition("&")[0])
        scene.good(request, SNAPSHOT if "depth" in request.path else b'[{"a":11}]', now_s)
        now_s += 2.0
    assert order == [
        "/fapi/v1/depth?symbol=B",
        "/fapi/v1/aggTrades?symbol=BTCUSDT",
        "/fapi/v1/depth?symbol=A",
        "/fapi/v1/depth?symbol=C",
    ]


@pytest.mark.parametrize("reasons", [("audit", "sequence"), ("sequence", "audit")])
def test_who_waits_for_a_snapshot_that_is_asked_for_as_an_audit_too_does_not_wait_for_audits(
    scene: RestScene, reasons: tuple[str, str]
) -> None:
    for reason in reasons:
        scene.snapshots.try_add(SnapshotRequest("A", 1, reason), 0.0)
    assert scene.leaving(0.0).subject.reason == "sequence"


def test_a_snapshot_is_recorded_as_it_came(scene: RestScene) -> None:
    scene.snapshots.try_add(SnapshotRequest("B", 1, "sequence"), 0.0)
    scene.good(scene.leaving(0.0), SNAPSHOT, 0.0)
    (draft,) = scene.recorded.appended
    assert (draft.stream_type, draft.symbol, draft.data["event"]) == ("depth_snapshot", "B", SNAPSHOT)
    assert (scene.counts["snapshots"], len(scene.snapshots)) == (1, 0)


def test_a_snapshot_that_no_journal_takes_is_asked_for_again(scene: RestScene) -> None:
    scene.recorded.is_full = True
    scene.snapshots.try_add(SnapshotRequest("B", 1, "sequence"), 0.0)
    scene.good(scene.leaving(0.0), SNAPSHOT, 0.0)
    assert (scene.counts["snapshots"], len(scene.snapshots)) == (0, 1)
    assert scene.take_next(4.9) is None
    assert scene.path(5.0) == "/fapi/v1/depth?symbol=B&limit=1000"


def test_a_snapshot_that_was_under_way_at_midnight_is_not_the_new_days(scene: RestScene) -> None:
    scene.snapshots.taken_ms["A"] = 0
    request = scene.leaving(0.0)
    scene.exchange_ms = NOW_MS + 5000
    scene.good(request, SNAPSHOT, 5.0)
    assert scene.snapshots.taken_ms["A"] == NOW_MS, "it was asked for then"


def test_a_page_goes_to_the_worker_as_it_came(scene: RestScene) -> None:
    scene.backfill.try_add(missing(), 0.0)
    scene.good(scene.leaving(0.0), b'[{"a":11},{"a":12}]', 0.0)
    (draft,) = scene.recorded.live
    assert (draft.data["event"], draft.data["from_id"], draft.data["to_id"], draft.data["refusal"]) == (
        b'[{"a":11},{"a":12}]', 10, 20, "",
    )  # fmt: skip
    assert (scene.counts["repair_pages"], scene.recorded.appended, len(scene.backfill)) == (1, [], 0)


def test_a_row_that_is_not_understood_costs_no_other_and_is_kept_as_it_came_once(scene: RestScene) -> None:
    body = b'[{"a":11},{"p":"84000.10"},{"a":13}]'
    for now_s in (0.0, 2.0):
        scene.backfill.try_add(missing(), now_s)
        scene.good(scene.leaving(now_s), body, now_s)
    assert [draft.data["event"] for draft in scene.recorded.live] == [body, body]
    (kept,) = scene.recorded.appended
    assert (kept.stream_type, kept.symbol, kept.data["stream"]) == ("aggtrade", "BTCUSDT", "btcusdt@aggTrade")
    assert (kept.data["event"], kept.data["source"]) == (b'{"p":"84000.10"}', "rest")
    assert scene.oddities.counts == {"btcusdt@aggTrade": 1}


def test_a_page_that_begins_before_what_was_asked_for_is_taken_from_there(scene: RestScene) -> None:
    scene.backfill.try_add(missing(), 0.0)
    scene.good(scene.leaving(0.0), b'[{"a":9},{"a":10},{"a":11}]', 0.0)
    assert len(scene.recorded.live) == 1


def test_the_list_with_an_odd_entry_is_taken_and_the_entry_counted_once(tmp_path: Path) -> None:
    scene = RestScene(tmp_path, configured=["TSLAUSDT"], intervals_s=(600.0, 1e9))
    scene.measure_clock(0.0)
    body = json.dumps({"symbols": [7, SHARES], "rateLimits": []}).encode()
    scene.list_symbols(0.0, body)
    scene.good(scene.leaving(0.0), HOURS, 0.0)
    scene.list_symbols(600.0, body)
    assert scene.listing.statuses() == {"TSLAUSDT": "TRADING"}
    assert scene.oddities.counts == {"exchangeInfo symbols": 1}


@pytest.mark.parametrize(
    "schedule",
    [
        an_answer(200, b'{"marketSchedules":{}}'),
        an_answer(200, b'{"marketSchedules":{"EQUITY":null}}'),
        an_answer(200, b"<html>"),
        an_answer(404),
        an_answer(500),
    ],
)
def test_where_the_hours_of_a_contract_are_not_known_silence_is_no_fault(tmp_path: Path, schedule: RestAnswer) -> None:
    scene = shares(tmp_path)
    scene.answer(scene.leaving(1.0), schedule, 1.0)
    scene.listing.publish_due(2.0)
    told = scene.recorded.live[-1].data
    assert (told["symbol"], told["status"], told["off_session"]) == ("TSLAUSDT", "TRADING", [(0, 2**53 - 1)])
    assert scene.listing.hours_unknown == ["TSLAUSDT"]
    assert scene.listing.off_session(NOW_MS) == []


def test_hours_that_are_known_are_told(tmp_path: Path) -> None:
    scene = shares(tmp_path)
    scene.good(scene.leaving(1.0), HOURS, 1.0)
    scene.listing.publish_due(2.0)
    assert scene.recorded.live[-1].data["off_session"] == [(1000, 2000)]
    assert (scene.listing.hours_unknown, scene.listing.off_session(1500)) == ([], ["TSLAUSDT"])


def test_an_empty_page_says_that_there_is_nothing(scene: RestScene) -> None:
    scene.backfill.try_add(missing(), 0.0)
    scene.good(scene.leaving(0.0), b"[]", 0.0)
    (draft,) = scene.recorded.live
    assert (draft.data["event"], draft.data["refusal"]) == (b"[]", "")
    assert (scene.counts["repair_refusals"], len(scene.backfill)) == (1, 0)


def test_old_rows_that_are_not_there_by_id_are_looked_up_by_time_before_anybody_is_told(scene: RestScene) -> None:
    scene.backfill.try_add(missing(age_ms=60 * HOUR_MS), 0.0)
    scene.good(scene.leaving(0.0), b"[]", 0.0)
    edge_ms = NOW_MS - 48 * HOUR_MS + 600_000
    by_time = scene.leaving(2.0)
    assert by_time.path == f"/fapi/v1/aggTrades?symbol=BTCUSDT&startTime={edge_ms}&limit=1000"
    assert scene.recorded.live == []
    scene.good(by_time, b'[{"a":15}]', 2.0)
    assert [draft.data["event"] for draft in scene.recorded.live] == [b'[{"a":15}]']


@pytest.mark.parametrize("status", [400, 404])
def test_a_refused_page_is_told_in_the_exchanges_words_and_stops_nobody(scene: RestScene, status: int) -> None:
    scene.backfill.try_add(missing(), 0.0)
    body = b'{"code":-1121,"msg":"Invalid symbol."}'
    assert scene.answer(scene.leaving(0.0), an_answer(status, body), 0.0) == "refused"
    (draft,) = scene.recorded.live
    assert (draft.data["event"], draft.data["refusal"]) == (b"[]", "-1121 Invalid symbol.")
    scene.snapshots.try_add(SnapshotRequest("A", 1, "sequence"), 0.0)
    assert scene.path(2.0) == "/fapi/v1/depth?symbol=A&limit=1000"


@pytest.mark.parametrize("status", [403, 429])
def test_a_page_that_nobody_gets_now_is_asked_for_again_later(scene: RestScene, status: int) -> None:
    scene.backfill.try_add(missing(), 0.0)
    scene.backfill.try_add(missing(BARS, 0, 120_000), 0.0)
    scene.answer(scene.leaving(0.0), an_answer(status), 0.0)
    assert scene.take_next(1.0) is None, "it stands back"
    now_s = scene.pace.stand_down_until_s
    scene.backfill.try_add(missing(), now_s)
    scene.backfill.try_add(missing(BARS, 0, 120_000), now_s)
    assert scene.leaving(now_s).subject.stream == TRADES


@pytest.mark.parametrize("status", [500, 0])
def test_a_page_that_does_not_come_is_asked_for_again_behind_others(scene: RestScene, status: int) -> None:
    other = stream_of("ETHUSDT", "aggTrade")
    for stream, to_id in ((TRADES, 20), (other, 20), (BARS, 120_000)):
        scene.backfill.try_add(missing(stream, 0, to_id), 0.0)
    scene.answer(scene.leaving(0.0), an_answer(status), 0.0)
    bars = scene.leaving(0.0)
    assert bars.subject.stream == BARS, "no trades of any symbol for now, but bars"
    scene.good(bars, b"[[60000]]", 0.0)
    assert scene.take_next(4.9) is None
    assert scene.leaving(5.0).subject.stream == other


class Hour:
    """An hour that all symbols have lost: their workers, the tasks, and an exchange that counts, in virtual time."""

    def __init__(self, directory: Path, trades: dict[str, int]) -> None:
        self.scene = RestScene(directory, periodic=list(trades), intervals_s=(1e9, 1e9))
        self.scene.begin()
        self.weight = RequestWeight(limit=2400)
        self.missing: dict[Stream, OpenGap] = {}
        for symbol, count in trades.items():
            for suffix, to_id in (("aggTrade", count), ("kline_1m", HOUR_MS)):
                stream = stream_of(symbol, suffix)
                self.missing[stream] = OpenGap(f"{stream.name}", 0, to_id, NOW_MS * 10**6, NOW_MS * 10**6, "restart")
        self.workers = {stream: BackfillRequests(5.0, Random(stream.name)) for stream in self.missing}
        self.now_s = 1000.0
        self.most_used = 0
        self.requests = 0

    def run(self) -> None:
        for symbol in {stream.symbol for stream in self.missing}:
            self.scene.snapshots.try_add(SnapshotRequest(symbol, 1, "restart"), self.now_s)
        while self.missing:
            self.ask()
            self.scene.exchange_ms = NOW_MS + int(self.now_s * 1000)
            request = self.scene.take_next(self.now_s)
            if request is None:
                self.now_s += 0.1
                continue
            self.requests += 1
            assert self.weight.admit(request.weight, self.scene.exchange_ms) == "ok"
            self.most_used = max(self.most_used, self.weight.used)
            self.now_s += 0.2
            headers = {"X-MBX-USED-WEIGHT-1M": str(self.weight.used)}
            answer = RestAnswer(200, headers, self.body(request), 1, 2)
            assert self.scene.answer(request, answer, self.now_s) == "good"

    def ask(self) -> None:
        for stream, gap in self.missing.items():
            wanted = self.workers[stream].take_due(stream, [gap], self.now_s)
            if wanted is not None:
                asked = MissingRows(stream, gap.gap_id, wanted.from_id, wanted.to_id, gap.from_ns)
                assert self.scene.backfill.try_add(asked, self.now_s)

    def body(self, request: AnyRequest) -> bytes:
        """The rows that were asked for; the gap shrinks by them."""
        if "/depth?" in request.path:
            return SNAPSHOT
        asked, limit = request.subject, int(request.path.rpartition("=")[2])
        is_trades = asked.stream.stream_type == "aggtrade"
        reached = asked.from_id + limit * (1 if is_trades else MINUTE_MS)
        gap = self.missing.pop(asked.stream)
        if reached < gap.to_id:
            self.missing[asked.stream] = OpenGap(gap.gap_id, reached, gap.to_id, gap.from_ns, gap.to_ns, gap.reason)
        return json.dumps([{"a": reached}] if is_trades else [[reached]]).encode()


def test_an_hour_that_50_symbols_have_lost_is_fetched_without_a_ban(tmp_path: Path) -> None:
    """60,000 aggregates of the first symbol, and of the others as many less as their rank: 270,000."""
    hour = Hour(tmp_path, {f"S{rank}USDT": 60_000 // rank for rank in range(1, 51)})
    hour.run()
    assert hour.missing == {}
    assert hour.most_used <= 1200
    assert hour.requests == 50 + 50 + sum(-(-(60_000 // rank) // 1000) for rank in range(1, 51))


def turnover_task(tmp_path: Path, top: int | None) -> TurnoverTask:
    mode = ModeConfig(groups=(GroupConfig(name="most", match=MatchConfig(), top=top),))
    endpoints = EndpointsConfig(run_directory=str(tmp_path))
    return TurnoverTask(GroupMembers(Config(mode="production", modes={"production": mode}, endpoints=endpoints)))


def test_the_turnover_is_asked_for_once_a_day(tmp_path: Path) -> None:
    task = turnover_task(tmp_path, top=2)
    now = Moment(5.0, NOW_MS)
    assert task.next(now, {"turnover"}) is None
    request = task.next(now, ())
    assert request is not None
    assert (request.path, request.weight) == ("/fapi/v1/ticker/24hr", 40)
    task.good(request, an_answer(200, b'[{"symbol":"AUSDT","quoteVolume":"7.5"}]'), now)
    assert task.next(Moment(5.0 + 86_399, NOW_MS), ()) is None
    assert task.next(Moment(5.0 + 86_400, NOW_MS), ()) is not None


def test_nobody_asks_for_the_turnover_where_no_group_has_a_top(tmp_path: Path) -> None:
    assert turnover_task(tmp_path, top=None).next(Moment(5.0, NOW_MS), ()) is None
