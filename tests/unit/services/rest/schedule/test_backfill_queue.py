"""Which missing rows are asked for next, with which requests, and that an hour of them brings no ban."""

from random import Random
from typing import Any

import pytest

from binance_streamer.exchange.streams import Stream, stream_of
from binance_streamer.wire.frames import WireError, encode_frame
from services.ingest.streams.backfill import BackfillRange, BackfillRequests
from services.rest.answers import AnswerError, RestAnswer, RestRequest, has_rows, refusal, repair_request
from services.rest.market.clock_offset import SAMPLES, Sample
from services.rest.messages import read_request, repair_draft
from services.rest.schedule.backfill_queue import BackfillQueue, BackfillRequest
from services.rest.schedule.pacing import Pace
from services.rest.schedule.scheduler import Queues, Scheduler
from services.rest.schedule.snapshot_queue import SnapshotQueue
from services.runtime.gaps.open_gaps import OpenGap
from simulator.rest.weights import RequestWeight, request_weight
from tests.support.chance import Chance

NOW_MS = 1_790_000_000_000
HOUR_MS = 3_600_000
MINUTE_MS = 60_000
TRADES = stream_of("BTCUSDT", "aggTrade")
BARS = stream_of("BTCUSDT", "kline_1m")


def a_wish(stream: Stream = TRADES, from_id: int = 10, to_id: int = 20, age_ms: int = 0) -> BackfillRequest:
    return BackfillRequest(stream, "g", from_id, to_id, (NOW_MS - age_ms) * 1_000_000)


def an_answer(body: bytes, status: int = 200) -> RestAnswer:
    return RestAnswer(status, {}, body, 1, 2)


def a_desk(*periodic: str, spacing_s: float = 2.0) -> Scheduler:
    desk = Scheduler(
        Pace(limit=2400, share=0.5, spacing_s=spacing_s),
        Queues(SnapshotQueue(periodic, interval_s=3600, retry_s=5), BackfillQueue(retry_s=5)),
        delays_s=(5.0, 60.0),
        intervals_s=(1e9, 1e9),
        rng=Chance(1.0),
    )
    desk.snapshots.start(dict.fromkeys(periodic, 0), NOW_MS)
    for _ in range(SAMPLES):
        desk.took_time(Sample(NOW_MS, NOW_MS * 10**6, NOW_MS * 10**6), 0.0)
    desk.took_exchange_info(2400, 0.0)
    return desk


def leaving(desk: Scheduler, now_s: float) -> RestRequest:
    request = desk.next(now_s, NOW_MS)
    assert request
    return request


@pytest.mark.parametrize(
    ("wish", "path", "weight"),
    [
        (a_wish(), "/fapi/v1/aggTrades?symbol=BTCUSDT&fromId=11&limit=10", 20),
        (a_wish(to_id=5000), "/fapi/v1/aggTrades?symbol=BTCUSDT&fromId=11&limit=1000", 20),
        (
            a_wish()._replace(since_ms=NOW_MS),
            "/fapi/v1/aggTrades?symbol=BTCUSDT&startTime=1790000000000&limit=1000",
            20,
        ),
        (
            a_wish(BARS, 60_000, 180_000),
            "/fapi/v1/klines?symbol=BTCUSDT&interval=1m&startTime=120000&endTime=180000&limit=2",
            1,
        ),
        (
            a_wish(BARS, 0, 6_000_000),
            "/fapi/v1/klines?symbol=BTCUSDT&interval=1m&startTime=60000&endTime=6000000&limit=100",
            2,
        ),
        (
            a_wish(stream_of("牛来USDT", "kline_1m"), 0, 60_000_000),
            "/fapi/v1/klines?symbol=%E7%89%9B%E6%9D%A5USDT&interval=1m&startTime=60000&endTime=60000000&limit=499",
            2,
        ),
    ],
)
def test_a_page_is_asked_for_with_the_weight_that_the_exchange_counts(
    wish: BackfillRequest, path: str, weight: int
) -> None:
    request = repair_request(wish)
    assert (request.path, request.weight) == (path, weight)
    limit = int(path.rpartition("=")[2])
    assert request_weight(path.partition("?")[0], limit) == weight


def test_who_waits_for_a_snapshot_comes_first_then_missing_rows_then_periodic_ones_and_audits_at_last() -> None:
    desk = a_desk("A")
    desk.snapshots.ask("C", "audit", 0, 10.0)
    desk.repairs.ask(a_wish(), 10.0)
    desk.snapshots.ask("B", "sequence", 1, 10.0)
    order = []
    now_s = 10.0
    while (request := desk.next(now_s, NOW_MS)) is not None:
        order.append(request.wanted.symbol if request.wanted else request.kind)
        if request.wanted:
            desk.snapshots.recorded(request.wanted, 9, now_s, NOW_MS)
        else:
            desk.repairs.served(a_wish())
        now_s += 2.0
    assert order == ["B", "repair", "A", "C"]


def test_who_waits_for_a_snapshot_that_is_asked_for_as_an_audit_too_does_not_wait_for_audits() -> None:
    for reasons in (("audit", "sequence"), ("sequence", "audit")):
        desk = a_desk()
        for reason in reasons:
            desk.snapshots.ask("A", reason, 1, 0.0)
        wanted = leaving(desk, 0.0).wanted
        assert wanted is not None
        assert wanted.reason == "sequence"


def test_streams_take_turns() -> None:
    queue = BackfillQueue(retry_s=5)
    other = a_wish(stream_of("ETHUSDT", "aggTrade"))
    for wish in (a_wish(), other, a_wish()):
        queue.ask(wish, 0.0)
    assert queue.next(1.0) == a_wish()
    queue.served(a_wish())
    queue.ask(a_wish(from_id=15), 1.0)
    assert queue.next(1.0) == other
    queue.failed(other, 1.0)
    assert queue.next(1.0) == a_wish(from_id=15)


def test_a_stream_that_fails_is_left_alone_for_longer_and_longer() -> None:
    queue = BackfillQueue(retry_s=5)
    asked_at = []
    for second in range(300):
        if second % 5 == 0:
            queue.ask(a_wish(), float(second))
        if wish := queue.next(float(second)):
            asked_at.append(second)
            queue.failed(wish, float(second))
    assert asked_at == [0, 5, 15, 35, 75, 135, 195, 255]
    queue.ask(a_wish(), 300.0)
    queue.served(a_wish())
    queue.ask(a_wish(from_id=15), 300.0)
    assert queue.next(300.0) == a_wish(from_id=15), "an answer ends that"


def test_a_wish_that_nobody_repeats_is_dropped() -> None:
    queue = BackfillQueue(retry_s=5)
    queue.ask(a_wish(), 0.0)
    assert queue.next(59.9) == a_wish()
    assert queue.next(60.0) is None
    assert len(queue) == 0


def test_a_wish_that_came_while_its_answer_was_on_its_way_is_not_asked_twice() -> None:
    queue = BackfillQueue(retry_s=5)
    queue.ask(a_wish(), 0.0)
    queue.ask(a_wish(), 5.0)
    queue.served(a_wish())
    assert queue.next(5.0) is None
    queue.ask(a_wish(from_id=15), 5.0)
    queue.served(a_wish())
    assert queue.next(5.0) == a_wish(from_id=15), "an older answer"


def test_what_is_too_old_by_id_is_looked_up_by_time_at_each_edge_once() -> None:
    queue = BackfillQueue(retry_s=5)
    wish = a_wish(age_ms=60 * HOUR_MS)
    queue.ask(wish, 0.0)
    tried = []
    while queue.looks_up(wish, NOW_MS):
        found = queue.next(0.0)
        assert found is not None
        wish = found
        tried.append((NOW_MS - (wish.since_ms or 0)) / HOUR_MS)
    assert tried == [pytest.approx(48 - 1 / 6), pytest.approx(24 - 1 / 6)]


@pytest.mark.parametrize(("stream", "age_h", "edges"), [(TRADES, 23, 0), (TRADES, 30, 1), (BARS, 100, 0)])
def test_only_old_trades_are_looked_up(stream: Stream, age_h: int, edges: int) -> None:
    queue = BackfillQueue(retry_s=5)
    wish = a_wish(stream, 0, 60_000, age_h * HOUR_MS)
    queue.ask(wish, 0.0)
    count = 0
    while queue.looks_up(wish, NOW_MS):
        wish = queue.next(0.0) or wish
        count += 1
    assert count == edges


def test_a_repeated_wish_is_not_looked_up_anew() -> None:
    queue = BackfillQueue(retry_s=5)
    wish = a_wish(age_ms=60 * HOUR_MS)
    queue.ask(wish, 0.0)
    queue.looks_up(wish, NOW_MS)
    queue.ask(wish, 5.0)
    found = queue.next(5.0)
    assert found is not None
    assert found.since_ms is not None


@pytest.mark.parametrize("status", [400, 404])
def test_a_refused_page_stops_nobody(status: int) -> None:
    desk = a_desk()
    desk.repairs.ask(a_wish(), 0.0)
    request = leaving(desk, 0.0)
    assert desk.judge(request, an_answer(b"", status), 0.0, NOW_MS) == "refused"
    desk.repairs.served(a_wish())
    desk.snapshots.ask("A", "sequence", 1, 0.0)
    assert leaving(desk, 2.0).kind == "depth"


@pytest.mark.parametrize("status", [403, 429])
def test_a_page_that_nobody_gets_now_is_asked_for_again_later(status: int) -> None:
    desk = a_desk()
    desk.repairs.ask(a_wish(), 0.0)
    desk.repairs.ask(a_wish(BARS), 0.0)
    desk.judge(leaving(desk, 0.0), an_answer(b"", status), 0.0, NOW_MS)
    assert desk.next(1.0, NOW_MS) is None, "it stands back"
    now_s = desk.pace.stand_down_until_s
    desk.repairs.ask(a_wish(), now_s)
    desk.repairs.ask(a_wish(BARS), now_s)
    repair = leaving(desk, now_s).repair
    assert repair is not None
    assert repair.stream == TRADES


@pytest.mark.parametrize("status", [500, 0])
def test_a_page_that_does_not_come_is_asked_for_again_behind_others(status: int) -> None:
    desk = a_desk()
    other = stream_of("ETHUSDT", "aggTrade")
    for stream in (TRADES, other, BARS):
        desk.repairs.ask(a_wish(stream), 0.0)
    desk.judge(leaving(desk, 0.0), an_answer(b"", status), 0.0, NOW_MS)
    bars = leaving(desk, 0.0)
    assert bars.repair == a_wish(BARS), "no trades of any symbol for now, but bars"
    desk.succeeded(bars, 0.0)
    desk.repairs.served(a_wish(BARS))
    assert desk.next(4.9, NOW_MS) is None
    assert leaving(desk, 5.0).repair == a_wish(other)


def test_the_words_of_a_refusal_are_the_exchanges() -> None:
    body = b'{"code":-1122,"msg":"Invalid symbol status."}'
    assert refusal(an_answer(body, 400)) == "-1122 Invalid symbol status."
    assert refusal(an_answer(b"<html>", 404)) == "status 404"


def test_rows_that_were_not_asked_for_are_no_answer() -> None:
    assert has_rows(an_answer(b'[{"a":11}]'), a_wish())
    assert has_rows(an_answer(b'[{"a":900}]'), a_wish())
    assert not has_rows(an_answer(b"[]"), a_wish())
    for body in (b'[{"a":10}]', b"{}", b"", b'[{"a":12},{"a":11}]', b'[{"p":1}]'):
        with pytest.raises(AnswerError):
            has_rows(an_answer(body), a_wish())


def a_frame(**changes: Any) -> bytes:
    data = {"symbol": "BTCUSDT", "stream": TRADES.name, "recv_ns": 1, "producer": "p", "epoch": 1, "seq": 1,
            "source": "local", "reason": "stall", "gap_id": "g", "from_id": 10, "to_id": 20, "from_ns": 5}  # fmt: skip
    return encode_frame("request", {**data, **changes})


def test_a_request_for_missing_rows_is_read() -> None:
    assert read_request([b"", a_frame()]) == BackfillRequest(TRADES, "g", 10, 20, 5)


@pytest.mark.parametrize(
    "changes",
    [
        {"stream": "btcusdt@depth@0ms"},
        {"stream": "ethusdt@aggTrade"},
        {"stream": "btcusdt@kline_1M"},
        {"stream": "nonsense"},
        {"gap_id": 5},
        {"from_id": None},
        {"from_id": "1"},
        {"from_id": -2},
        {"to_id": 1 << 63},
        {"to_id": 10},
        {"from_ns": None},
        {"stream": "btcusdt@kline_1m", "to_id": 60_000},
    ],
)
def test_a_request_for_rows_that_cannot_be_had_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(WireError):
        read_request([b"", a_frame(**changes)])


def test_an_answer_is_passed_on_as_it_came() -> None:
    draft = repair_draft(a_wish(), an_answer(b'[{"a":11}]'), "/path", refusal="")
    assert draft[:3] == ("repair", "BTCUSDT", "")
    assert (draft.data["event"], draft.data["refusal"], draft.data["path"]) == (b'[{"a":11}]', "", "/path")
    refused = repair_draft(a_wish(), an_answer(b'{"code":-1}'), "/path", refusal="-1")
    assert (refused.data["event"], refused.data["refusal"]) == (b"[]", "-1")


class Hour:
    """An hour that all symbols have lost: their workers, the desk, and an exchange that counts, in virtual time."""

    def __init__(self, trades: dict[str, int]) -> None:
        self.desk = a_desk(*trades)
        self.weight = RequestWeight(limit=2400)
        self.missing: dict[Stream, OpenGap] = {}
        for symbol, count in trades.items():
            for suffix, to_id in (("aggTrade", count), ("kline_1m", 60 * MINUTE_MS)):
                stream = stream_of(symbol, suffix)
                self.missing[stream] = OpenGap(f"{stream.name}", 0, to_id, NOW_MS * 10**6, NOW_MS * 10**6, "restart")
        self.workers = {stream: BackfillRequests(5.0, Random(stream.name)) for stream in self.missing}
        self.now_s = 1000.0
        self.most_used = 0
        self.requests = 0

    def run(self) -> None:
        for symbol in {stream.symbol for stream in self.missing}:
            self.desk.snapshots.ask(symbol, "restart", 1, self.now_s)
        while self.missing:
            self.ask()
            now_ms = NOW_MS + int(self.now_s * 1000)
            request = self.desk.next(self.now_s, now_ms)
            if request is None:
                self.now_s += 0.1
                continue
            self.requests += 1
            assert self.weight.admit(request.weight, now_ms) == "ok"
            self.most_used = max(self.most_used, self.weight.used)
            self.now_s += 0.2
            headers = {"X-MBX-USED-WEIGHT-1M": str(self.weight.used)}
            assert self.desk.judge(request, RestAnswer(200, headers, b"", 1, 2), self.now_s, now_ms) == "good"
            self.take(request, now_ms)

    def ask(self) -> None:
        for stream, gap in self.missing.items():
            wish: BackfillRange | None = self.workers[stream].due(stream, [gap], self.now_s)
            if wish is not None:
                asked = BackfillRequest(stream, gap.gap_id, wish.from_id, wish.to_id, gap.from_ns)
                assert self.desk.repairs.ask(asked, self.now_s)

    def take(self, request: RestRequest, now_ms: int) -> None:
        self.desk.succeeded(request, self.now_s)
        if request.wanted:
            self.desk.snapshots.recorded(request.wanted, 9, self.now_s, now_ms)
            return
        assert request.repair is not None
        wish, limit = request.repair, int(request.path.rpartition("=")[2])
        self.desk.repairs.served(wish)
        reached = wish.from_id + limit * (1 if wish.stream.stream_type == "aggtrade" else MINUTE_MS)
        gap = self.missing.pop(wish.stream)
        if reached < gap.to_id:
            self.missing[wish.stream] = OpenGap(gap.gap_id, reached, gap.to_id, gap.from_ns, gap.to_ns, gap.reason)


def test_an_hour_that_50_symbols_have_lost_is_fetched_without_a_ban() -> None:
    """60,000 aggregates of the first symbol, and of the others as many less as their rank: 270,000."""
    hour = Hour({f"S{rank}USDT": 60_000 // rank for rank in range(1, 51)})
    hour.run()
    assert hour.missing == {}
    assert hour.most_used <= 1200
    assert hour.requests == 50 + 50 + sum(-(-(60_000 // rank) // 1000) for rank in range(1, 51))
    assert hour.now_s - 1000.0 < 20 * 60
