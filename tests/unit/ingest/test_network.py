"""What becomes of connections and streams together, over hours: the reader and the dialler are the test."""

import itertools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from binance_streamer import config as configuration
from binance_streamer.config import streams_of
from services.ingest import network
from services.ingest.dialler import Target
from services.ingest.network import Network
from services.ingest.recorder import Recorder
from services.ingest.reports import Delivered, Ended, Failed, Opened, Report
from services.runtime.events import singles
from tests.support.configs import write_config

START_NS = 1_790_526_539_000_000_000
ACK = b'{"result":null,"id":1}'


def ns(now_s: float) -> int:
    return START_NS + round(now_s * 1e9)


def frame(stream: str, event: str) -> bytes:
    return f'{{"stream":"btcusdt@{stream}","data":{event}}}'.encode()


def book_ticker(now_s: float) -> bytes:
    return frame("bookTicker", f'{{"e":"bookTicker","u":{round(now_s * 10)},"s":"BTCUSDT","E":{ns(now_s) // 10**6}}}')


def force_order(now_s: float) -> bytes:
    return frame("forceOrder", f'{{"e":"forceOrder","E":{ns(now_s) // 10**6},"o":{{"s":"BTCUSDT"}}}}')


def mark_price(now_s: float) -> bytes:
    return frame("markPrice@1s", f'{{"e":"markPriceUpdate","E":{ns(now_s) // 10**6},"s":"BTCUSDT","p":"1"}}')


class Line:
    """The network's dialler and reader, and the exchange behind them."""

    queued_bytes = 0
    is_exhausted = False

    def __init__(self) -> None:
        self.asked: list[tuple[int, str, str]] = []
        self.closed: list[tuple[int, str]] = []

    def ask(self, number: int, route: str, target: Target) -> None:
        self.asked.append((number, route, target.url))

    def ended(self, number: int) -> None:
        pass

    def tick(self, now_s: float) -> None:
        pass

    def close(self, number: int, reason: str, detail: str) -> None:
        self.closed.append((number, reason))


class Running:
    """A network whose clock is the test's; connections that are dialled open at once, unless told otherwise."""

    def __init__(
        self, directory: Path, monkeypatch: pytest.MonkeyPatch, streams: tuple[str, ...], settings: Mapping[str, Any]
    ) -> None:
        path = write_config(directory, {"BTCUSDT": streams}, {"stale_timeout": 60, **settings})
        config = configuration.load(path)
        numbers = itertools.count(1)
        self.line = Line()
        monkeypatch.setattr(network, "Dialler", lambda *_: self.line)
        self.recorder = Recorder(
            "BTCUSDT",
            streams_of(config.symbol("BTCUSDT")),
            last_rows={},
            new_gap_id=lambda: f"g{next(numbers)}",
        )
        self.network = Network(config, "BTCUSDT", self.recorder, self.line)  # type: ignore[arg-type]
        self.now_s = 0.0
        self.open: dict[int, str] = {}
        self.dialled: dict[int, float] = {}
        self.waiting: dict[int, str] = {}
        self.is_reachable = True
        self.answer: Callable[[int], Report] = lambda number: Opened(number, ns(self.now_s))
        self.meanwhile: Callable[[], None] = lambda: None
        self.gaps: list[tuple[str, float, float]] = []

    def take(self, report: Report) -> None:
        self.network.take(report, self.now_s)
        self._collect()

    def deliver(self, connection: int, *messages: bytes) -> None:
        self.take(Delivered(connection, ns(self.now_s), list(messages), 9))

    def lose(self, connection: int) -> None:
        del self.open[connection]
        self.take(Ended(connection, ns(self.now_s), "disconnected", "end of stream"))

    def until(self, stop_s: float, each: Callable[[int], list[bytes]] = lambda _: []) -> None:
        """Every half second, `each` open connection delivers these."""
        while self.now_s < stop_s:
            self.now_s += 0.5
            self.network.tick(self.now_s)
            self.meanwhile()
            self._answer()
            for connection in list(self.open):
                if messages := each(connection):
                    self.deliver(connection, *messages)
            self._collect()

    def _answer(self) -> None:
        for number, reason in self.line.closed:
            del self.open[number]
            self.take(Ended(number, ns(self.now_s), reason, ""))
        self.line.closed.clear()
        for number, route, _ in self.line.asked[len(self.dialled) :]:
            self.dialled[number] = self.now_s
            self.waiting[number] = route
        while self.waiting and self.is_reachable:
            number, route = self.waiting.popitem()
            report = self.answer(number)
            self.take(report)
            if isinstance(report, Opened):
                self.open[number] = route

    def _collect(self) -> None:
        for draft in singles(self.recorder.collect(1)):
            if draft.stream_type == "gap":
                from_s, to_s = (round((draft.data[key] - START_NS) / 1e9, 3) for key in ("from_ns", "to_ns"))
                self.gaps.append((draft.data["reason"], from_s, to_s))


Start = Callable[..., Running]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Start:
    return lambda *streams, **settings: Running(tmp_path, monkeypatch, streams, settings)


def test_a_connection_that_goes_silent_beside_another_one_is_replaced_without_a_gap(start: Start) -> None:
    run = start("bookTicker", connections=2)
    run.until(300, lambda one: [book_ticker(run.now_s)] if one != 2 or run.now_s < 10 else [])
    assert list(run.dialled) == [1, 2, 3]
    assert 70 < run.dialled[3] < 72
    assert sorted(run.open) == [1, 3]
    assert run.gaps == []


def test_what_only_the_silent_one_was_there_for_is_a_gap_as_soon_as_there_is_a_row(start: Start) -> None:
    run = start("bookTicker", connections=2)
    run.until(20, lambda one: [book_ticker(run.now_s)] if one != 2 or run.now_s < 10 else [])
    run.is_reachable = False
    run.until(100, lambda one: [book_ticker(run.now_s)] if one != 2 else [])
    run.lose(1)
    run.until(103)
    run.is_reachable = True
    run.until(107, lambda one: [book_ticker(run.now_s)] if one != 2 else [])
    last_s = run.gaps[0][2]
    assert 103 < last_s < 106
    assert run.gaps == [("disconnected", 100.0, last_s)]
    run.until(200, lambda one: [book_ticker(run.now_s)])
    assert len(run.gaps) == 1


def test_a_silent_connection_does_not_answer_for_quiet_streams(start: Start) -> None:
    """The forced order of second 5 came over both; those that came while nobody listened may be missing."""
    run = start("markPrice@1s", "forceOrder", connections=2)
    orders = {5.0, 110.0}

    def exchange(_: int) -> list[bytes]:
        return [mark_price(run.now_s), *([force_order(run.now_s)] if run.now_s in orders else [])]

    run.until(20, lambda one: exchange(one) if one != 2 or run.now_s < 10 else [])
    run.is_reachable = False
    run.until(100, lambda one: exchange(one) if one != 2 else [])
    run.lose(1)
    run.until(103)
    run.is_reachable = True
    run.until(111, lambda one: exchange(one) if one != 2 else [])
    assert ("disconnected", 5.0, 110.0) in run.gaps


def test_where_no_replacement_helps_few_are_asked_for(start: Start) -> None:
    run = start("bookTicker", "markPrice@1s", connections=2)
    run.until(3600, lambda one: [book_ticker(run.now_s)] if run.open[one] == "public" and one == 1 else [])
    public = [number for number, route, _ in run.line.asked if route == "public"]
    assert 5 <= len(public) - 2 <= 8
    assert run.gaps == []
    assert 1 in run.open


def test_a_planned_replacement_of_a_quiet_route_is_no_gap(start: Start) -> None:
    run = start("forceOrder", connections=1, connection_lifetime=1000)
    orders = {1.0, 1500.0}
    run.until(1600, lambda _: [force_order(run.now_s)] if run.now_s in orders else [])
    assert list(run.open) == [2]
    assert run.gaps == []


def test_a_successor_that_ends_before_the_one_that_it_replaced_proves_nothing(start: Start) -> None:
    run = start("forceOrder", connections=1, connection_lifetime=1000)
    orders = {1.0, 1500.0}

    def lose_the_successor() -> None:
        if run.line.closed and 2 in run.open:
            run.lose(2)

    run.meanwhile = lose_the_successor
    run.until(1600, lambda _: [force_order(run.now_s)] if run.now_s in orders else [])
    assert list(run.open) == [3]
    assert run.gaps == [("disconnected", 1.0, 1500.0)]


@pytest.mark.parametrize(
    ("status", "shortest_s", "most_attempts"), [(403, 0, 60), (451, 0, 60), (429, 60, 60), (418, 120, 60)]
)
def test_an_address_that_is_refused_stays_away_for_longer_and_longer(
    start: Start, status: int, shortest_s: float, most_attempts: int
) -> None:
    run = start("forceOrder", connections=1, reconnect_delay=1, reconnect_delay_max=1)
    run.answer = lambda number: Failed(number, "http: refused", 0.0, status)
    run.until(4 * 3600)
    times_s = list(run.dialled.values())
    assert 5 < len(times_s) < most_attempts
    assert min(b - a for a, b in itertools.pairwise(times_s)) >= shortest_s


def test_an_acknowledgement_does_not_make_a_successor_one_that_delivers(start: Start) -> None:
    run = start("bookTicker", connections=1, connection_lifetime=1000)
    run.until(1040, lambda one: [book_ticker(run.now_s) if one == 1 else ACK])
    assert 1 in run.open
    states = [link["state"] for link in run.network.status(run.now_s)["connections"]]
    assert states == ["delivering", "open"]
