"""The page of a real monitor that watches real processes, which record the simulator."""

import re
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests

from tests.support.addresses import free_port
from tests.support.browser import Browser
from tests.support.configs import write_config
from tests.support.processes import Program, Simulator, service
from tests.support.waiting import eventually

WRITER_BOX = "document.querySelector('.picture.wide .box-writer').dataset.tone"


class Recorder:
    """All processes of a recording of two symbols, without a supervisor: what is killed stays away."""

    def __init__(self, place: Path, processes: ExitStack) -> None:
        self._place = place
        self._processes = processes
        simulator = processes.enter_context(Simulator(place, "--symbols", "BTCUSDT,ETHUSDT", "--rate", "200"))
        address = f"127.0.0.1:{free_port()}"
        streams = ["aggTrade", "depth@0ms", "kline_1m"]
        self._config = write_config(
            place,
            {"BTCUSDT": streams, "ETHUSDT": streams},
            simulator.urls,
            monitor={"enabled": True, "address": address},
            orderbook={"enabled": False},
        )
        self.url = f"http://{address}/"
        for name in ("bus", "rest", "monitor"):
            self.start(name)
        for symbol in ("BTCUSDT", "ETHUSDT"):
            self.start("ingest", "--symbol", symbol)

    def start(self, name: str, *arguments: str) -> Program:
        output = self._place / f"{name}.out"
        return self._processes.enter_context(service(name, self._config, *arguments, output=output))

    def health(self) -> int:
        return requests.get(f"{self.url}healthz", timeout=60).status_code


@pytest.fixture
def recorder(place: Path) -> Iterator[Recorder]:
    with ExitStack() as processes:
        yield Recorder(place, processes)


def test_the_page_is_green_while_everything_is_recorded_and_red_without_the_writer(
    browser: Browser, recorder: Recorder
) -> None:
    writer = recorder.start("writer")
    eventually(lambda: _answers(recorder.url), 60, what="the monitor serves")
    browser.open(recorder.url)
    eventually(lambda: browser.text("#verdict") == "Recording", 90, what="the page is green")
    eventually(lambda: browser.evaluate(WRITER_BOX) == "good")
    eventually(lambda: browser.text("#processes-up") == "6 of 6 up")
    eventually(lambda: recorder.health() == 200)

    price = eventually(lambda: re.fullmatch(r"\d+\.\d+", browser.text(".price")), what="a price")[0]
    eventually(lambda: browser.text(".price") not in ("", price), what="the price changes")
    eventually(lambda: float(browser.text("#messages").replace(",", "")) > 10, what="messages are counted")
    eventually(lambda: re.fullmatch(r"-?[\d.]+ ms", browser.text("#latency")), what="a latency")

    writer.kill()
    eventually(lambda: browser.text("#verdict") == "Not everything is recorded", 90, what="the page is red")
    eventually(lambda: "writer" in browser.text("#problems"))
    eventually(lambda: browser.evaluate(WRITER_BOX) == "bad")
    eventually(lambda: recorder.health() == 503)

    recorder.start("writer")
    eventually(lambda: browser.text("#verdict") == "Recording", 90, what="the page is green again")
    eventually(lambda: browser.evaluate(WRITER_BOX) == "good")
    eventually(lambda: browser.count("#problems") == 0)
    eventually(lambda: recorder.health() == 200)
    assert {url[: len(recorder.url)] for url in browser.requests} == {recorder.url}


def test_the_day_that_is_being_recorded_can_be_looked_into(browser: Browser, recorder: Recorder) -> None:
    recorder.start("writer")
    eventually(lambda: _answers(recorder.url), 60, what="the monitor serves")
    browser.open(recorder.url)
    eventually(lambda: browser.text("#verdict") == "Recording", 90, what="the page is green")
    eventually(lambda: browser.text("#recorded") not in ("", "0", NONE), what="rows of today are counted")
    today = "document.querySelectorAll('.grid-body [data-condition=open]').length"
    eventually(lambda: _reloaded(browser, recorder.url) and browser.evaluate(today) == 2, 120, what="two open days")
    browser.click(".grid-body [data-condition=open]")
    eventually(lambda: browser.text("#instant-title").startswith("Book and tape of BTCUSDT"))
    eventually(lambda: _has_book_and_tape(browser), 240, what="a book and trades of a second that was recorded")
    assert float(browser.text("#instant-book .levels li").split()[0]) > 0
    assert len(browser.text("#tape tr").split()) == 4


NONE = "\N{EN DASH}"


def _reloaded(browser: Browser, url: str) -> bool:
    """Load the page again, and wait for its days: files of today may not have been there before."""
    browser.open(url)
    eventually(lambda: browser.text("#days-note") not in ("", NONE), what="the days are told")
    return True


def _has_book_and_tape(browser: Browser) -> bool:
    """Ask for the second that is some seconds ago; the snapshot of the book may not have come by then."""
    moment = f"{datetime.now(UTC) - timedelta(seconds=3):%H:%M:%S}"
    browser.write("#instant-time", moment)
    browser.evaluate("document.querySelector('#instant-time').dispatchEvent(new Event('change'))")
    answers = (f"Book of {moment}", f"The book of {moment}", "took more than")  # the last on a busy machine
    eventually(lambda: browser.text("#instant-note").startswith(answers), 120, what="an answer")
    return browser.text("#instant-note").startswith("Book of") and browser.count("#tape tr") > 0


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=60).ok
    except requests.ConnectionError:
        return False
