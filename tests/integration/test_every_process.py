"""Each process once, as itself, over a simulated exchange: what the quick selection has of real processes."""

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import requests

from binance_streamer.client.books import BookClient, NoAnswerError
from binance_streamer.client.tap import Tap
from binance_streamer.config import schema as configuration
from binance_streamer.wire.books import BookView
from tests.support.addresses import free_port
from tests.support.configs import write_config
from tests.support.processes import Program, Simulator, service
from tests.support.recorded import recorded_rows
from tests.support.tape import ids_of, sent_events
from tests.support.waiting import eventually

ENDED = ("monitor", "orderbook", "rest", "ingest", "writer", "bus")
"""Producers before the writer, which takes what they have left; the reverse of their start."""


class Recorder:
    """All processes of a recorder of BTCUSDT."""

    def __init__(self, place: Path, running: contextlib.ExitStack) -> None:
        self.data = place / "data"
        self.simulator = running.enter_context(Simulator(place, "--symbols", "BTCUSDT", "--rate", "100"))
        address = f"127.0.0.1:{free_port()}"
        path = write_config(
            place,
            {"BTCUSDT": ["aggTrade", "depth@0ms"]},
            self.simulator.urls,
            monitor={"enabled": True, "address": address},
        )
        self.config = configuration.load(path)
        self.page = f"http://{address}"
        self.processes: Mapping[str, Program] = {
            name: running.enter_context(
                service(
                    name,
                    path,
                    *(("--symbol", "BTCUSDT") if name == "ingest" else ()),
                    output=place / f"{name}.out",
                )
            )
            for name in reversed(ENDED)
        }

    def trades(self) -> list[dict[str, str]]:
        return recorded_rows(self.data, "BTCUSDT", "aggtrade")

    def book(self) -> BookView | None:
        """The book once it is valid, which takes a snapshot that `rest` has fetched."""
        with BookClient(self.config.endpoints.orderbook_query) as client:
            try:
                found = client.ask("BTCUSDT", 5)
            except NoAnswerError:
                return None
        return found if found.valid else None

    def health(self) -> dict[str, Any] | None:
        """The body of /healthz once it says that everything is recorded."""
        try:
            answer = requests.get(f"{self.page}/healthz", timeout=60)
        except requests.ConnectionError:
            return None
        body: dict[str, Any] = answer.json()
        return body if answer.status_code == 200 else None


@pytest.fixture
def recorder(place: Path) -> Iterator[Recorder]:
    with contextlib.ExitStack() as running:
        yield Recorder(place, running)


def test_each_process_does_its_work_and_ends_when_asked(recorder: Recorder) -> None:
    eventually(lambda: len(recorder.trades()) > 20, 60, what="ingest and writer record trades")
    with Tap(recorder.config.endpoints.bus_subscribe, ["aggtrade.BTCUSDT."]) as tap:
        message = eventually(lambda: tap.receive(1.0), 60, what="the bus forwards a trade")
        assert json.loads(message.data["event"])["s"] == "BTCUSDT"
    book = eventually(recorder.book, 60, what="rest and orderbook have a valid book")
    assert (len(book.bids), len(book.asks)) == (5, 5)
    health = eventually(recorder.health, 60, what="the monitor says that everything is recorded")
    assert health["streams"] == {"BTCUSDT": {"aggTrade": "live", "depth@0ms": "live"}}

    recorder.simulator.command("pause")
    sent = ids_of(sent_events(recorder.simulator.tape)["btcusdt@aggTrade"], "a")
    eventually(lambda: len(recorder.trades()) >= len(sent), what="what was sent before the pause is recorded")
    for name in ENDED:
        assert recorder.processes[name].stop() == 0, name
    assert recorder.simulator.stop() == 0
    ids = [int(row["agg_trade_id"]) for row in recorder.trades()]
    assert ids == sent
