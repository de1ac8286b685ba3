"""The undocumented depth speed that is refused, closed, muted or silent, and comes back: whole workers over hours.

The exchange is a model: it has one update every half second, with the same ids on all speeds.
"""

import json
from collections.abc import Callable
from random import Random

import pytest

from services.ingest.reports import Failed, Opened, Report
from tests.unit.ingest.running import Running, Start, book_ticker, frame, mark_price, ns

UNDOCUMENTED, SUBSTITUTE = "depth@0ms", "depth@100ms"
FAULTS = ("refused", "closed", "mute", "silent")
"""Of a URL: answered 400; opened and closed at once; opened and without any message. `silent`: only the stream is."""


class Exchange:
    """What it does to the streams of each fault."""

    def __init__(self, run: Running) -> None:
        self.faulty: dict[str, set[str]] = {fault: set() for fault in FAULTS}
        self.status = 400
        self._run = run
        run.answer = self._answer
        run.meanwhile = self._close

    def run(self, stop_s: float) -> None:
        self._run.until(stop_s, self._messages)

    def asked(self, connection: int) -> list[str]:
        """The streams in the URL of a connection, without their symbol."""
        url = next(url for number, _, url in self._run.line.asked if number == connection)
        return [name.removeprefix("btcusdt@") for name in url.partition("streams=")[2].split("/")]

    def streams(self) -> list[set[str]]:
        """The depth speeds that each open connection of /public asks for."""
        public = [number for number, route in self._run.open.items() if route == "public"]
        return [{name for name in self.asked(number) if name.startswith("depth")} for number in sorted(public)]

    def _has(self, fault: str, connection: int) -> bool:
        return bool(self.faulty[fault] & set(self.asked(connection)))

    def _answer(self, connection: int) -> Report:
        if self._has("refused", connection):
            return Failed(connection, "http: refused", 0.0, self.status)
        return Opened(connection, ns(self._run.now_s))

    def _close(self) -> None:
        for connection in [one for one in self._run.open if self._has("closed", one)]:
            self._run.lose(connection)

    def _messages(self, connection: int) -> list[bytes]:
        if self._has("mute", connection) or self._has("closed", connection):
            return []
        return [self._message(name) for name in self.asked(connection) if name not in self.faulty["silent"]]

    def _message(self, name: str) -> bytes:
        now_s = self._run.now_s
        if name == "bookTicker":
            return book_ticker(now_s)
        if name == "markPrice@1s":
            return mark_price(now_s)
        update = round(now_s * 2) * 10
        event = f'"E":{ns(now_s) // 10**6},"T":1,"s":"BTCUSDT","U":{update - 3},"u":{update},"pu":{update - 10}'
        return frame(name, f'{{"e":"depthUpdate",{event},"b":[],"a":[]}}')


def seconds(run: Running, stream: str) -> list[float]:
    """When a row of the stream was recorded."""
    return [at_s for at_s, _ in run.rows[f"btcusdt@{stream}"]]


def assert_whole(run: Running, stream: str) -> None:
    """From its first row to its last each id is a row or in a listed gap, and none is both, or twice."""
    name = f"btcusdt@{stream}"
    ids = [json.loads(event)["u"] for _, event in run.rows[name]]
    assert len(set(ids)) == len(ids), f"{stream}: a row twice"
    listed = [(gap["from_id"], gap["to_id"]) for gap in run.listed if gap["stream"] == name]
    missing = {one for low, high in listed for one in range(low + 10, high + 1, 10)}
    assert not missing & set(ids), f"{stream}: a row in a gap"
    assert missing | set(ids) == set(range(min(ids), max(ids) + 1, 10)) if ids else not missing


@pytest.fixture(params=[1, 2])
def run(request: pytest.FixtureRequest, start: Start) -> Running:
    return start("bookTicker", UNDOCUMENTED, "markPrice@1s", connections=request.param, reconnect_delay_max=8)


@pytest.mark.parametrize("fault", ["refused", "closed"])
def test_where_its_url_is_refused_or_closed_at_once_the_substitute_is_recorded_within_seconds(
    run: Running, fault: str
) -> None:
    exchange = Exchange(run)
    exchange.faulty[fault] = {UNDOCUMENTED}
    exchange.run(50)
    assert seconds(run, SUBSTITUTE)[0] < 15
    assert min(seconds(run, "bookTicker")) < 15
    assert_whole(run, SUBSTITUTE)
    assert run.listed == []


@pytest.mark.parametrize("status", [429, 418])
def test_that_there_are_too_many_attempts_says_nothing_of_a_stream(run: Running, status: int) -> None:
    exchange = Exchange(run)
    exchange.status = status
    exchange.faulty["refused"] = {"bookTicker"}
    exchange.run(1500)
    assert all(SUBSTITUTE not in url for _, _, url in run.line.asked)


def test_where_its_silence_is_that_of_its_whole_connection_others_do_without_it(run: Running) -> None:
    exchange = Exchange(run)
    exchange.faulty["mute"] = {UNDOCUMENTED}
    exchange.run(900)
    assert seconds(run, SUBSTITUTE)[0] < 400
    assert_whole(run, SUBSTITUTE)


def test_where_only_it_is_silent_the_substitute_comes_beside_it_until_it_comes(run: Running) -> None:
    exchange = Exchange(run)
    exchange.faulty["silent"] = {UNDOCUMENTED}
    exchange.run(600)
    assert 60 < seconds(run, SUBSTITUTE)[0] < 63
    assert all(one == {UNDOCUMENTED, SUBSTITUTE} for one in exchange.streams())
    exchange.faulty["silent"] = set()
    exchange.run(700)
    assert 600 < seconds(run, UNDOCUMENTED)[0] < 602
    for connection in [number for number, route in run.open.items() if route == "public"]:
        run.lose(connection)
    exchange.run(800)
    assert all(one == {UNDOCUMENTED} for one in exchange.streams())
    assert {gap["reason"] for gap in run.listed} <= {"disconnected"}
    assert_whole(run, UNDOCUMENTED)
    assert_whole(run, SUBSTITUTE)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("others", [("markPrice@1s",), ("bookTicker", "markPrice@1s")])
@pytest.mark.parametrize(("begin_s", "end_s"), [(0, 100), (0, 650), (100, 500), (100, 900), (100, 1300)])
def test_a_fault_of_the_whole_route_condemns_nothing(
    start: Start, fault: str, others: tuple[str, ...], begin_s: float, end_s: float
) -> None:
    """Where connections are not kept at all, chance says which is tried first when they are again: a minute at most."""
    run = start(UNDOCUMENTED, *others, connections=2, reconnect_delay_max=8)
    exchange = Exchange(run)
    exchange.run(begin_s)
    exchange.faulty[fault] = {"bookTicker", UNDOCUMENTED, SUBSTITUTE}
    if fault in ("refused", "closed"):
        for connection in [number for number, route in run.open.items() if route == "public"]:
            run.lose(connection)
    exchange.run(end_s)
    assert all(at_s <= begin_s for at_s in seconds(run, UNDOCUMENTED))
    exchange.faulty[fault] = set()
    exchange.run(end_s + 100)
    again_s = next(at_s for at_s in seconds(run, UNDOCUMENTED) if at_s > end_s)
    assert again_s - end_s < (1 if fault in ("mute", "silent") else 75)
    assert all(UNDOCUMENTED in one for one in exchange.streams())
    assert_whole(run, UNDOCUMENTED)
    assert_whole(run, SUBSTITUTE)
    assert [gap["stream"] for gap in run.listed].count(f"btcusdt@{UNDOCUMENTED}") == (1 if begin_s else 0)


@pytest.mark.parametrize(("fault", "connections"), [("refused", 2), ("closed", 1), ("mute", 1), ("mute", 2)])
def test_it_is_asked_for_again_at_growing_intervals_and_costs_the_substitute_nothing(
    start: Start, fault: str, connections: int
) -> None:
    run = start("bookTicker", UNDOCUMENTED, "markPrice@1s", connections=connections, reconnect_delay_max=8)
    exchange = Exchange(run)
    exchange.faulty[fault] = {UNDOCUMENTED}
    exchange.run(2000)
    attempts = [number for number, _, url in run.line.asked if UNDOCUMENTED in url]
    assert 5 <= len(attempts) / connections <= 14
    assert run.listed == []
    assert_whole(run, SUBSTITUTE)
    exchange.faulty[fault] = set()
    exchange.run(4000)
    assert seconds(run, UNDOCUMENTED)[0] < 2000 + 1920
    assert run.listed == []
    assert_whole(run, UNDOCUMENTED)
    assert_whole(run, SUBSTITUTE)
    assert all(UNDOCUMENTED in one for one in exchange.streams())


@pytest.mark.parametrize("fault", ["refused", "closed", "silent"])
def test_one_that_came_and_comes_no_more_is_replaced_and_its_hole_is_listed_when_it_comes_back(
    run: Running, fault: str
) -> None:
    exchange = Exchange(run)
    exchange.run(100)
    exchange.faulty[fault] = {UNDOCUMENTED}
    if fault == "refused":
        for connection in [number for number, route in run.open.items() if route == "public"]:
            run.lose(connection)
    exchange.run(1000)
    assert seconds(run, SUBSTITUTE)[0] < 170
    exchange.faulty[fault] = set()
    exchange.run(2000)
    (gap,) = [gap for gap in run.listed if gap["stream"] == f"btcusdt@{UNDOCUMENTED}"]
    first = next(at_s for at_s in seconds(run, UNDOCUMENTED) if at_s > 1000)
    assert (gap["from_id"], gap["to_id"]) == (2000, round(first * 20) - 10)
    assert_whole(run, UNDOCUMENTED)
    assert_whole(run, SUBSTITUTE)


def test_a_connection_without_it_beside_one_with_it_is_not_taken_for_one_that_stalls(start: Start) -> None:
    run = start("bookTicker", UNDOCUMENTED, "markPrice@1s", connections=2, reconnect_delay_max=8)
    exchange = Exchange(run)
    exchange.faulty["refused"] = {UNDOCUMENTED}
    exchange.run(50)
    refuse = run.answer

    def let_one_in(connection: int) -> Report:
        report = refuse(connection)
        exchange.faulty["refused"] = {UNDOCUMENTED}
        return report

    exchange.faulty["refused"] = set()
    run.answer = let_one_in
    for _ in range(400):
        exchange.run(run.now_s + 1)
        assert "stalled" not in [link["state"] for link in run.network.status(run.now_s)["connections"]]
    assert sorted(UNDOCUMENTED in one for one in exchange.streams()) == [False, True]


def test_without_a_fault_nothing_else_is_ever_asked_for(start: Start) -> None:
    run = start("bookTicker", UNDOCUMENTED, "markPrice@1s", connections=2, connection_lifetime=200)
    exchange = Exchange(run)
    exchange.run(2000)
    assert len(run.line.asked) > 30
    assert all(SUBSTITUTE not in url for _, _, url in run.line.asked)
    assert all(UNDOCUMENTED in url for _, route, url in run.line.asked if route == "public")
    assert run.listed == []


def test_who_asks_for_both_speeds_gets_each_once(start: Start) -> None:
    run = start(UNDOCUMENTED, SUBSTITUTE, connections=2)
    exchange = Exchange(run)
    exchange.run(100)
    exchange.faulty["refused"] = {UNDOCUMENTED}
    for connection in list(run.open):
        run.lose(connection)
    exchange.run(200)
    assert exchange.streams() == [{SUBSTITUTE}, {SUBSTITUTE}]
    exchange.faulty["refused"] = set()
    exchange.run(1000)
    assert exchange.streams() == [{UNDOCUMENTED, SUBSTITUTE}] * 2
    assert_whole(run, UNDOCUMENTED)
    assert_whole(run, SUBSTITUTE)


def test_a_symbol_that_does_not_trade_has_nothing_to_be_blamed_for(run: Running) -> None:
    exchange = Exchange(run)
    exchange.faulty["closed"] = {"bookTicker"}
    run.network.liveness.is_trading = False
    exchange.run(1000)
    assert all(SUBSTITUTE not in url for _, _, url in run.line.asked)


@pytest.mark.parametrize("seed", range(8))
def test_over_faults_at_random_nothing_is_lost_unlisted_or_twice_and_it_comes_back(start: Start, seed: int) -> None:
    rng = Random(seed)
    run = start("bookTicker", UNDOCUMENTED, "markPrice@1s", connections=1 + seed % 2, reconnect_delay_max=8)
    exchange = Exchange(run)
    targets: list[Callable[[], set[str]]] = [
        lambda: {UNDOCUMENTED},
        lambda: {UNDOCUMENTED},
        lambda: {SUBSTITUTE},
        lambda: {"bookTicker", UNDOCUMENTED, SUBSTITUTE},
        set,
    ]
    for _ in range(15):
        exchange.faulty[rng.choice(FAULTS)] = rng.choice(targets)()
        for connection in [one for one in run.open if rng.random() < 0.3]:
            run.lose(connection)
        exchange.run(run.now_s + rng.choice((1, 10, 100, 200)))
    end_s = run.now_s
    for fault in FAULTS:
        exchange.faulty[fault] = set()
    exchange.run(end_s + 2000)
    assert seconds(run, UNDOCUMENTED)[-1] == run.now_s
    assert all(UNDOCUMENTED in one for one in exchange.streams())
    assert_whole(run, UNDOCUMENTED)
    assert_whole(run, SUBSTITUTE)
