"""Polling against the simulator's own endpoints, in virtual time: hours pass in a second."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from binance_streamer.exchange.rest_series import Polled, polled_of, series_spellings
from services.rest.answers import RestAnswer
from services.runtime.gaps.drafts import Draft
from services.runtime.gaps.last_rows import LastRows
from services.runtime.gaps.stream_states import fold
from simulator.control.rest_faults import RestFault
from simulator.rest.rest import Rest
from simulator.rest.series import PERIODS_MS, PUBLISHED_MS, bucket
from simulator.rest.weights import RequestWeight
from simulator.server.http import HttpRequest
from simulator.tape import Tape
from tests.support.rest_scene import NOW_MS, RestScene, an_answer

HOUR_S = 3600.0
STEP_S = 0.25
"""From a request to its answer."""


class Symbols:
    """In place of a market: the symbols that trade."""

    def __init__(self, symbols: Sequence[str]) -> None:
        self.symbols = symbols

    def status(self, symbol: str) -> str | None:
        return "TRADING" if symbol in self.symbols else None

    def exchange_info(self) -> bytes:
        listed = [{"symbol": symbol, "status": "TRADING"} for symbol in self.symbols]
        return json.dumps({"symbols": listed, "rateLimits": []}).encode()

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"{name} is not asked for here")


class Polling:
    """A REST process that polls the simulator, one request at a time; what it appends is remembered and folded."""

    def __init__(
        self,
        directory: Path,
        symbols: Sequence[str],
        names: Sequence[str],
        last_rows: LastRows | None = None,
        *,
        share: float = 0.5,
    ) -> None:
        polled = [found for symbol in symbols for name in names if (found := polled_of(symbol, name))]
        assert len(polled) == len(symbols) * len(names)
        self.now_s = 0.0
        self.weight = RequestWeight()
        self.rest = Rest(Symbols(symbols), self, self.weight, Tape(None))  # type: ignore[arg-type]
        self.scene = RestScene(directory, intervals_s=(1e9, 1e9), polled=polled, last_rows=last_rows, share=share)
        self.rows: LastRows = dict(last_rows or {})
        self.sent: list[tuple[float, str, int]] = []
        self.is_away = False
        self.scene.begin()
        self.scene.recorded.appended.clear()
        self._folded = 0

    def now_ms(self) -> int:
        return NOW_MS + int(self.now_s * 1000)

    def run(self, until_s: float) -> None:
        second = self.now_s
        while self.now_s < until_s:
            self.scene.exchange_ms = self.now_ms()
            if self.now_s - second >= 1:
                second = self.now_s
                for task in self.scene.series:
                    task.list_overdue(self.scene._now(self.now_s), self.now_ms() * 10**6)
            request = self.scene.take_next(self.now_s)
            if request is not None:
                self.sent.append((self.now_s, request.path, request.weight))
                answer = self._answer(request.path)
                self.now_s += STEP_S
                self.scene.exchange_ms = self.now_ms()
                self.scene.answer(request, answer, self.now_s)
            else:
                wait_s = self.scene.wait_s(self.now_s)
                self.now_s += min(20.0, max(STEP_S, wait_s if wait_s is not None else 20.0))
        for draft in self.drafts[self._folded :]:
            fold(self.rows, draft)
        self._folded = len(self.drafts)

    @property
    def drafts(self) -> list[Draft]:
        return self.scene.recorded.appended

    def of(self, stream_type: str, symbol: str = "A") -> list[dict[str, Any]]:
        found = [one for one in self.drafts if (one.stream_type, one.symbol) == (stream_type, symbol)]
        return [json.loads(one.data["event"]) for one in found]

    def gaps(self) -> list[tuple[str, str, str]]:
        """Stream, state and reason of the newest row of each gap."""
        newest = {one.data["gap_id"]: one.data for one in self.drafts if one.stream_type == "gap"}
        return [(str(one["stream"]), str(one["state"]), str(one["reason"])) for one in newest.values()]

    def most(self, window_s: float, *, path: str = "", is_weight: bool = False) -> int:
        """The most requests of a path, or their weight, in any window."""
        sent = [(at_s, weight if is_weight else 1) for at_s, one, weight in self.sent if one.startswith(path)]
        return max(sum(many for at_s, many in sent if from_s <= at_s < from_s + window_s) for from_s, _ in sent)

    def _answer(self, path: str) -> RestAnswer:
        if self.is_away:
            return an_answer(0, fault="no answer")
        try:
            self.rest.answer(HttpRequest("GET", path, {})).send(None)  # it waits for nothing: no loop is needed
        except StopIteration as done:
            found = done.value
        return RestAnswer(found.status, found.headers, found.body, self.now_ms() * 10**6, self.now_ms() * 10**6)


EVERY = [name for name in series_spellings() if "@" not in name] + [
    name for name in series_spellings() if "@5m" in name
]
RATIOS = {
    "longshortratio": "globalLongShortAccountRatio",
    "toplongshortaccountratio": "topLongShortAccountRatio",
    "toplongshortpositionratio": "topLongShortPositionRatio",
    "takerlongshortratio": "takerlongshortRatio",
    "openinteresthist": "openInterestHist",
}


def test_no_bucket_is_missing_after_an_hour_without_rest_a_429_and_a_418(tmp_path: Path) -> None:
    symbols = ["A", "B", "C"]
    polling = Polling(tmp_path, symbols, EVERY)
    polling.rest.series.unserved.add(("topLongShortAccountRatio", "B"))
    polling.run(0.5 * HOUR_S)
    polling.is_away = True
    polling.run(1.5 * HOUR_S)
    polling.is_away = False
    polling.run(2 * HOUR_S)
    polling.rest.faults.add(RestFault("status", 1, status=429, retry_after_s=30))
    polling.run(2.2 * HOUR_S)
    polling.weight.ban(600_000, polling.now_ms())
    polling.run(3 * HOUR_S)
    assert polling.rest.answers[429] == 1
    assert polling.rest.answers[418] == 1
    for stream_type, endpoint in RATIOS.items():
        for symbol in symbols:
            found = polling.of(stream_type, symbol)
            if (stream_type, symbol) == ("toplongshortaccountratio", "B"):
                assert not found
                continue
            first_ms, last_ms = found[0]["timestamp"], (polling.now_ms() - PUBLISHED_MS - 330_000) // 300_000 * 300_000
            assert first_ms <= NOW_MS
            truth = [bucket(f"/futures/data/{endpoint}", symbol, ms) for ms in range(first_ms, last_ms + 1, 300_000)]
            assert sorted(found, key=lambda one: one["timestamp"])[: len(truth)] == truth
            assert len(found) <= len(truth) + 2, "each bucket once"
    assert polling.scene.refused_series == {"B topLongShortAccountRatio@5m": "-1121 Invalid symbol."}
    assert polling.most(60, is_weight=True) <= 1200
    assert polling.most(300, path="/futures/data/") <= 500
    assert polling.most(300, path="/fapi/v1/funding") <= 250
    gaps = Counter((stream.partition("?")[0], state, reason) for stream, state, reason in polling.gaps())
    sampled = ("/fapi/v1/openInterest", "/fapi/v1/premiumIndex", "/fapi/v1/ticker/24hr")
    served = {f"/futures/data/{endpoint}": 3 for endpoint in RATIOS.values()} | {
        "/futures/data/topLongShortAccountRatio": 2
    }
    for path in sampled:
        assert gaps.pop((path, "unrepairable", "not answered")) == 6, "the hour, and the ban, of each symbol"
    for path, count in served.items():
        assert gaps.pop((path, "repaired", "not answered")) == 2 * count, "the hour, and the ban, of each symbol"
    assert not gaps


def test_more_symbols_than_the_limit_has_room_for_lose_no_bucket(tmp_path: Path) -> None:
    """With a tenth of the limit 130 symbols take six and a half minutes, and not five: windows overlap."""
    symbols = [f"S{number}USDT" for number in range(130)]
    polling = Polling(tmp_path, symbols, ["longShortRatio@5m"], share=0.1)
    polling.run(0.5 * HOUR_S)
    assert polling.most(300, path="/futures/data/") == 100
    for symbol in symbols:
        times = [one["timestamp"] for one in polling.of("longshortratio", symbol)]
        assert times == list(range(times[0], times[-1] + 1, 300_000))
        assert times[-1] >= polling.now_ms() - 1_000_000


def test_a_successor_goes_on_where_the_journal_ends(tmp_path: Path) -> None:
    names = ["longShortRatio@5m", "openInterest@60s", "fundingRate", "fundingInfo", "indexConstituents"]
    first = Polling(tmp_path / "1", ["A"], names)
    first.run(600)
    later = Polling(tmp_path / "2", ["A"], names, first.rows)
    later.now_s = 7200.0
    later.run(7800)
    times = [one["timestamp"] for one in [*first.of("longshortratio"), *later.of("longshortratio")]]
    assert times == list(range(times[0], times[-1] + 1, 300_000))
    assert later.of("fundinginfo") == [], "nothing has changed"
    assert later.of("indexconstituents") == []
    rates = [one["fundingTime"] for one in [*first.of("fundingrate"), *later.of("fundingrate")]]
    assert rates == sorted(set(rates))
    assert later.gaps() == [("/fapi/v1/openInterest?symbol=A", "unrepairable", "restart")]


def test_a_change_is_a_row_and_its_price_is_none(tmp_path: Path) -> None:
    polling = Polling(tmp_path, ["A", "B"], ["indexConstituents", "fundingInfo"])
    polling.run(HOUR_S)
    assert (len(polling.of("indexconstituents")), len(polling.of("fundinginfo"))) == (1, 1)
    polling.rest.series.constituents["A"] = ("binance", "coinbase")
    polling.rest.series.funding_hours["B"] = 4
    polling.run(2 * HOUR_S)
    assert [len(one["constituents"]) for one in polling.of("indexconstituents")] == [3, 2]
    assert [one["fundingIntervalHours"] for one in polling.of("fundinginfo", "B")] == [8, 4]
    assert len(polling.of("indexconstituents", "B")) == len(polling.of("fundinginfo")) == 1
    assert polling.gaps() == []
    assert polling.most(290, path="/fapi/v1/fundingInfo") == 1, "one request for all symbols"


@pytest.mark.parametrize("period", ["5m", "1h", "1d"])
def test_buckets_of_every_length_join(tmp_path: Path, period: str) -> None:
    polling = Polling(tmp_path, ["A"], [f"openInterestHist@{period}"])
    polling.run(3 * PERIODS_MS[period] / 1000 + 4000)
    times = [one["timestamp"] for one in polling.of("openinteresthist")]
    assert times == list(range(times[0], times[-1] + 1, PERIODS_MS[period]))
    assert len(times) >= 3
    assert polling.gaps() == []


def test_a_longer_outage_is_fetched_page_by_page(tmp_path: Path) -> None:
    polling = Polling(tmp_path, ["A"], ["longShortRatio@5m"])
    polling.run(600)
    later = Polling(tmp_path / "2", ["A"], ["longShortRatio@5m"], polling.rows)
    later.now_s = 10 * 86_400.0
    later.run(later.now_s + 60)
    times = [one["timestamp"] for one in [*polling.of("longshortratio"), *later.of("longshortratio")]]
    assert times == list(range(times[0], times[-1] + 1, 300_000))
    assert len(times) > 2880
    assert len(later.sent) == 6


def test_a_symbol_that_has_no_series_keeps_no_other_one_waiting(tmp_path: Path) -> None:
    scene = RestScene(tmp_path, intervals_s=(1e9, 1e9), polled=interest("A", "B", "C"))
    scene.begin()
    assert scene.answer(scene.leaving(1.0), an_answer(400, b'{"code":-1121,"msg":"Invalid symbol."}'), 1.0) == "refused"
    failing = scene.leaving(2.0)
    assert failing.path.endswith("symbol=B")
    assert scene.answer(failing, an_answer(200, b"[]"), 2.0) == "trouble"
    assert scene.take_next(2.0) is None, "the exchange is left alone after an answer that is none"
    assert scene.path(7.0).endswith("symbol=C")
    assert scene.refused_series == {"A openInterest": "-1121 Invalid symbol."}


def test_a_key_that_is_wanted_is_a_refusal(tmp_path: Path) -> None:
    scene = RestScene(tmp_path, intervals_s=(1e9, 1e9), polled=interest("A"))
    scene.begin()
    body = b'{"code":-2014,"msg":"API-key format invalid."}'
    assert scene.answer(scene.leaving(1.0), an_answer(401, body), 1.0) == "refused"
    assert scene.refused_series == {"A openInterest": "-2014 API-key format invalid."}
    request = scene.leaving(601.0)
    scene.good(request, b'{"openInterest":"10.5","symbol":"A","time":1790000000000}', 601.0)
    assert scene.refused_series == {}


def test_a_series_is_polled_symbol_by_symbol_at_its_own_times(tmp_path: Path) -> None:
    scene = RestScene(tmp_path, intervals_s=(1e9, 1e9), polled=interest("A", "B"))
    scene.begin()
    scene.recorded.appended.clear()
    body = b'{"openInterest":"10.5","symbol":"A","time":1790000000000}'
    paths = ["/fapi/v1/openInterest?symbol=A", "/fapi/v1/openInterest?symbol=B"]
    for now_s in (1.0, 61.5, 121.0):
        for path in paths:
            request = scene.leaving(now_s)
            assert (request.path, request.weight) == (path, 1)
            scene.good(request, body, now_s)
        assert scene.take_next(now_s) is None
    assert [(one.stream_type, one.symbol, one.data["event"]) for one in scene.recorded.appended[:2]] == [
        ("openinterest", "A", body),
        ("openinterest", "B", body),
    ]
    assert len(scene.recorded.appended) == 6


def test_a_member_of_a_group_that_comes_is_polled_and_one_that_goes_is_not(tmp_path: Path) -> None:
    scene = RestScene(tmp_path, intervals_s=(1e9, 1e9), polled=interest("A", "B"))
    scene.begin()
    for now_s in (1.0, 2.0):
        scene.good(scene.leaving(now_s), b'{"openInterest":"1","symbol":"A","time":1790000000000}', now_s)
    scene.polling.follow(interest("B", "C"))
    assert scene.path(3.0).endswith("symbol=C")
    scene.polling.follow(interest("B"))
    assert scene.take_next(60.0) is None, "B keeps its times"
    assert scene.path(62.5).endswith("symbol=B")


def test_an_open_gap_of_a_series_that_is_polled_no_more_ends(tmp_path: Path) -> None:
    polling = Polling(tmp_path / "1", ["A"], ["longShortRatio@5m"])
    polling.run(600)
    polling.is_away = True
    polling.run(3000)
    assert polling.gaps()[0][1:] == ("open", "not answered")
    scene = RestScene(tmp_path / "2", polled=interest("A"), last_rows=polling.rows)
    scene.recorded.is_full = True
    assert not scene.polling.end_others(NOW_MS * 10**6), "it is to be listed again"
    scene.recorded.appended.clear()
    scene.recorded.is_full = False
    assert scene.polling.end_others(NOW_MS * 10**6)
    (ended,) = scene.recorded.appended
    assert (ended.data["state"], ended.data["why"]) == ("unrepairable", "the series is polled no more")
    fold(polling.rows, ended)
    assert not polling.rows[ended.data["stream"]].open_gaps
    assert scene.polling.end_others(NOW_MS * 10**6)
    assert scene.recorded.appended == [ended], "it is listed once"


def interest(*symbols: str) -> list[Polled]:
    return [found for symbol in symbols if (found := polled_of(symbol, "openInterest@60s"))]
