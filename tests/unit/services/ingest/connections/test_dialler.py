"""Which connection is dialled next when the budget is short, and what attempts leave behind."""

import gc
from pathlib import Path

import pytest
import websocket

from binance_streamer.config import schema as configuration
from binance_streamer.exchange.streams import stream_of
from services.ingest import probe
from services.ingest.connections import dialler
from services.ingest.connections.dial import DialError
from services.ingest.connections.dialler import Dialler, DialTarget, Need, target_of
from services.ingest.connections.events import Failed, ReaderEvent
from services.ingest.connections.reader import Reader
from tests.support.waiting import eventually

LIMIT = 9  # a third of it is for routes without a connection
TEXT = f"""
mode: development
modes: {{development: {{symbols: [{{symbol: BTCUSDT}}]}}}}
network: {{connect_attempts: {LIMIT}}}
"""


class Dials:
    """A dialler whose attempts end at once, and what it dialled."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.urls: list[str] = []
        self.error: Exception = DialError("refused", "nobody")
        self.connected: set[str] = set()
        self.reader = Reader(max_message_bytes=1000, frame_timeout_s=1)
        self.numbers = iter(range(1000))
        self.doubtful: set[str] = set()
        config = configuration.parse(TEXT + f"endpoints: {{run_directory: {path}}}\n", path)
        self.dialler = Dialler(config, "BTCUSDT", reader=self.reader, need_of=self._need_of)
        monkeypatch.setattr(dialler, "dial", self._dial)

    def _dial(self, url: str, **_: object) -> None:
        self.urls.append(url)
        raise self.error

    def _need_of(self, route: str) -> Need:
        if route in self.connected:
            return Need.ANOTHER
        return Need.DOUBTFUL if route in self.doubtful else Need.FIRST

    def ask(self, route: str) -> int:
        number = next(self.numbers)
        self.dialler.request(number, route, DialTarget(route))
        return number

    def dialled(self, count: int) -> list[str]:
        self.dialler.tick(1.0)
        eventually(lambda: len(self.urls) >= count, what="dialled")
        return self.urls


@pytest.fixture
def dials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dials:
    return Dials(tmp_path, monkeypatch)


def test_further_connections_of_a_route_leave_a_third_of_the_budget_to_routes_without_one(dials: Dials) -> None:
    dials.connected.add("public")
    for _ in range(LIMIT):
        dials.ask("public")
    assert dials.dialled(6) == ["public"] * 6
    assert dials.dialler.is_exhausted
    for route in ("a", "b", "c", "d"):
        dials.ask(route)
    dials.dialled(LIMIT)
    assert list(dials.dialler._under_way.values())[6:] == ["a", "b", "c"]


def test_a_route_whose_connections_do_not_last_comes_after_one_that_was_well_and_leaves_it_the_reserve(
    dials: Dials,
) -> None:
    dials.doubtful.add("closed at once")
    for _ in range(LIMIT):
        dials.dialler.on_result(dials.ask("closed at once"))
    dials.ask("well")
    assert dials.dialled(6)[0] == "well"
    assert dials.dialler.is_exhausted
    assert dials.urls.count("closed at once") == 5
    dials.ask("well too")
    dials.dialled(7)
    assert list(dials.dialler._under_way.values())[6:] == ["well too"]


def test_the_first_connection_of_each_route_goes_before_the_second_of_any(dials: Dials) -> None:
    for route in ("public", "public", "market", "market"):
        dials.ask(route)
    dials.dialled(4)
    assert list(dials.dialler._under_way.values()) == ["public", "market", "public", "market"]


def test_a_route_whose_attempt_failed_is_without_a_connection_again(dials: Dials) -> None:
    first = dials.ask("public")
    dials.dialled(1)
    dials.dialler.on_result(first)
    dials.connected.add("market")
    dials.ask("market")
    dials.ask("public")
    dials.dialler.tick(1.0)
    assert list(dials.dialler._under_way.values()) == ["public", "market"]


def test_an_attempt_for_which_there_is_no_thread_has_failed_and_is_made_again(dials: Dials) -> None:
    dials.error = RuntimeError("can't start new thread")
    number = dials.ask("public")
    dials.dialled(1)
    found: list[ReaderEvent] = []

    def has_failed() -> bool:
        found.extend(dials.reader.take(1000))
        return bool(found)

    eventually(has_failed, what="the attempt's end")
    (failed,) = found
    assert isinstance(failed, Failed)
    assert (failed.connection, failed.retry_after_s) == (number, 0.0)


def test_attempts_leave_nothing_behind_where_garbage_is_seldom_collected(tmp_path: Path) -> None:
    config = configuration.parse(TEXT + f"endpoints: {{run_directory: {tmp_path}}}\n", tmp_path)
    reader = Reader(max_message_bytes=1000, frame_timeout_s=1)
    made = Dialler(config, "BTCUSDT", reader=reader, need_of=lambda _: Need.FIRST)

    def left_behind() -> int:
        return sum(isinstance(one, websocket.WebSocket) for one in gc.get_objects())

    reports: list[ReaderEvent] = []
    gc.collect()
    before = left_behind()
    gc.disable()
    try:
        for number in range(LIMIT):
            made.request(number, f"route {number}", DialTarget("wss://127.0.0.1:1/"))
            made.tick(float(number))
            while len(reports) <= number:
                reports.append(eventually(lambda: reader.take(1000), what="it failed")[0])
        eventually(lambda: left_behind() <= before + 2, 10, what="all but the last ones are gone")
    finally:
        gc.enable()


def test_a_probe_of_many_streams_sends_no_more_at_once_than_the_exchange_takes_in_a_second() -> None:
    streams = [stream_of(f"S{number:03d}USDT", "aggTrade") for number in range(900)]
    target = target_of("wss://localhost", "market", streams[: probe._MOST_STREAMS])
    assert len(target.requests) == 10
