"""Book and tape of a recorded second, in a real browser against a stand-in for the monitor."""

from typing import Any

import pytest

from tests.browser.fake import FakeMonitor
from tests.browser.recorded import book, certificate, coverage, trades
from tests.browser.test_days import cell, forget_refusals, opened
from tests.support.browser import Browser
from tests.support.waiting import eventually


@pytest.fixture
def page(browser: Browser, fake: FakeMonitor) -> Browser:
    """The page with a sealed day that is chosen."""
    fake.api["days"] = lambda words, _: (200, coverage(words))
    fake.api["certificate"] = lambda words, _: (200, certificate(words))
    fake.api["book"] = lambda words, _: (200, book(words))
    fake.api["rows"] = lambda words, _: (200, trades(words))
    opened(browser, fake)
    eventually(lambda: browser.count(cell("C1USDT", "2026-11-21")) == 1, what="the days are there")
    assert browser.evaluate("document.querySelector('#scrubber').disabled") is True
    browser.click(cell("C1USDT", "2026-11-21"))
    eventually(lambda: browser.text("#instant-title") == "Book and tape of C1USDT, 2026-11-21")
    return browser


def type_time(page: Browser, text: str) -> None:
    page.write("#instant-time", text)
    page.evaluate("document.querySelector('#instant-time').dispatchEvent(new Event('change'))")


def questions(fake: FakeMonitor, path: str) -> list[str]:
    return [asked for asked in fake.asked if asked.startswith(f"/api/{path}?")]


def test_a_time_shows_book_and_tape(page: Browser, fake: FakeMonitor) -> None:
    assert questions(fake, "book") == questions(fake, "rows") == []
    type_time(page, "13:00:00")
    eventually(lambda: page.text("#instant-note") == "Book of 13:00:00 UTC: update 8800, received 00:00:00.")
    assert page.text("#instant-book .levels li").split() == ["84000.5", "1.25"]
    assert page.text("#instant-book .side:last-child li:last-child").split() == ["84010", "10"]
    assert page.count("#tape tr") == 20
    assert page.text("#tape tr").split() == ["12:59:59.005", "84000.1", "0.005", "buy"]
    assert questions(fake, "book") == ["/api/book?symbol=C1USDT&at=2026-11-21T13%3A00%3A00&depth=10"]
    near, far = questions(fake, "rows")
    assert "from=2026-11-21T12%3A59%3A50&to=2026-11-21T13%3A00%3A00" in near
    assert "from=2026-11-21T12%3A45%3A00&to=2026-11-21T13%3A00%3A00" in far
    position = page.evaluate("document.querySelector('#scrubber').value")
    assert position == str(13 * 3600)
    assert page.evaluate("document.querySelector('#scrubber').getAttribute('aria-valuetext')") == "13:00:00 UTC"


def test_slider_and_buttons_move_by_keys_and_steps(page: Browser, fake: FakeMonitor) -> None:
    page.evaluate("document.querySelector('#scrubber').focus()")
    page.press("ArrowRight")
    eventually(lambda: "12:00:01 UTC" in page.text("#instant-note") and page.count("#tape tr") == 20)
    page.click("[data-step='60']")
    page.click("[data-step='-1']")
    eventually(lambda: page.text("#instant-note").startswith("Book of 12:01:00 UTC"), what="the steps add up")
    assert page.evaluate("document.querySelector('#instant-time').value") == "12:01:00"
    type_time(page, "noon")
    assert page.text("#instant-note") == "A time is as 13:00:00, UTC."


def test_many_moves_are_few_questions_and_the_last_one_counts(page: Browser, fake: FakeMonitor) -> None:
    page.evaluate(
        "(() => { const slider = document.querySelector('#scrubber');"
        " for (let at = 0; at <= 50000; at += 100) { slider.value = at; slider.dispatchEvent(new Event('input')); }"
        " })()"
    )
    eventually(lambda: page.text("#instant-note").startswith("Book of 13:53:20 UTC"), what="the last position")
    assert len(questions(fake, "book")) == 1


def test_a_book_that_is_not_known_says_why(page: Browser) -> None:
    type_time(page, "23:30:00")
    note = "The book of 23:30:00 UTC is not known: updates missing, from 23:20:00 to 23:36:40."
    eventually(lambda: page.text("#instant-note") == note, what="it says why")
    assert page.text("#instant-book .levels li").strip() == ""
    assert page.count("#tape tr") == 20


@pytest.mark.parametrize(
    ("unknown", "when"),
    [({"unknown_to_ns": None}, ", from 23:20:00 on"), ({"unknown_from_ns": None}, ", until 23:36:40"),
     ({"unknown_from_ns": None, "unknown_to_ns": None}, "")],
)  # fmt: skip
def test_a_recording_that_has_none_before_or_behind_says_so(
    page: Browser, fake: FakeMonitor, unknown: dict[str, None], when: str
) -> None:
    fake.api["book"] = lambda words, _headers: (200, book(words) | {"why": "not recorded", **unknown})
    type_time(page, "23:30:00")
    note = f"The book of 23:30:00 UTC is not known: not recorded{when}."
    eventually(lambda: page.text("#instant-note") == note, what="it says since when")


def test_what_the_monitor_cannot_read_is_said_in_place_of_the_book(page: Browser, fake: FakeMonitor) -> None:
    why = "reading recorded rows needs polars: `pip install 'binance-streamer[days]'`"
    fake.api["book"] = lambda _words, _headers: (501, {"error": why})
    type_time(page, "13:00:00")
    eventually(lambda: page.text("#instant-note") == why, what="the refusal is shown")
    assert page.count("#instant-body") == 0
    forget_refusals(page)


def test_another_symbol_forgets_the_second_before(page: Browser, fake: FakeMonitor) -> None:
    type_time(page, "13:00:00")
    eventually(lambda: page.count("#tape tr") == 20)
    page.click(cell("C0USDT", "2026-11-20"))
    eventually(lambda: page.text("#instant-title") == "Book and tape of C0USDT, 2026-11-20")
    assert page.count("#instant-body") == 0
    page.click("#day-all")
    eventually(lambda: page.text("#instant-note") == "Choose a symbol and day in the grid.")
    assert page.evaluate("document.querySelector('#scrubber').disabled") is True


def test_a_phone_needs_no_sideways_scrolling(page: Browser) -> None:
    for width in (320, 390):
        page.resize(width, 800, mobile=True)
        type_time(page, "13:00:00")
        eventually(lambda: page.count("#tape tr") == 20)
        assert page.evaluate("document.documentElement.scrollWidth") == width


def quiet(words: dict[str, str]) -> Any:
    return 200, trades(words, each_s=400)


def test_few_trades_are_those_of_a_quarter_of_an_hour(page: Browser, fake: FakeMonitor) -> None:
    fake.api["rows"] = lambda words, _: quiet(words)
    type_time(page, "13:00:00")
    eventually(lambda: page.count("#tape tr") == 3, what="what there is")
    fake.api["rows"] = lambda _words, _headers: (200, "")
    type_time(page, "14:00:00")
    eventually(lambda: page.text("#instant-note").endswith("No trade within 15 minutes before."), what="it is said")
