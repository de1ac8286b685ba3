"""The page's recorded days, in a real browser against a stand-in for the monitor."""

import json
from typing import Any

import pytest

from tests.browser.fake import FakeMonitor
from tests.browser.recorded import HOSTILE, certificate, coverage, gaps
from tests.browser.snapshots import a_snapshot
from tests.support.browser import Browser
from tests.support.waiting import eventually


@pytest.fixture
def page(browser: Browser, fake: FakeMonitor) -> Browser:
    """The page of three recorded symbols, whose today is the 22nd of November 2026."""
    fake.api["days"] = lambda words, _: (200, coverage(words))
    fake.api["certificate"] = lambda words, _: (200, certificate(words))
    opened(browser, fake)
    return browser


def opened(browser: Browser, fake: FakeMonitor) -> None:
    today = "Date.now = () => 1795350000000;"
    added = browser.command("Page.addScriptToEvaluateOnNewDocument", source=today)["identifier"]
    fake.send(a_snapshot(second=400))
    browser.open(fake.url)
    browser.command("Page.removeScriptToEvaluateOnNewDocument", identifier=added)
    eventually(lambda: browser.text("#link-word") == "live", what="the page has a snapshot")


def cell(symbol: str, day: str) -> str:
    return f".grid-body .grid-cell[aria-label^='{symbol} {day}']"


def label(page: Browser, selector: str) -> str:
    return str(page.evaluate(f"document.querySelector({json.dumps(selector)})?.getAttribute('aria-label') ?? ''"))


def test_every_symbol_and_day_has_its_condition(page: Browser) -> None:
    eventually(lambda: page.count(cell("C1USDT", "2026-11-21")) == 1, what="the days are there")
    assert label(page, cell("C1USDT", "2026-11-21")).endswith(
        "2026-11-21: degraded: something is missing, 99.5 % of what is verified is clean"
    )
    assert label(page, cell("C1USDT", "2026-11-22")).endswith("2026-11-22: open: recorded, not sealed yet")
    assert page.text("#days-note").endswith("to 2026-11-22. Of the last day: 3 open.")
    assert page.text("#days-count") == "3 symbols"
    conditions = "new Set([...document.querySelectorAll('.grid-body .grid-cell')].map((one) => one.dataset.condition))"
    assert page.evaluate(f"[...{conditions}].sort().join()") == "available,degraded,open"


def test_a_click_shows_the_certificate(page: Browser) -> None:
    eventually(lambda: page.count(cell("C1USDT", "2026-11-21")) == 1)
    page.click(cell("C1USDT", "2026-11-21"))
    eventually(lambda: page.text("#certificate-title") == "C1USDT, 2026-11-21", what="the certificate is shown")
    assert page.text("#certificate-state") == "degraded"
    assert page.text("#certificate-why") == HOSTILE
    assert page.text("#certificate-facts").split("\n") == [
        "Verified by ids", "71.4 %", "Of that clean", "99.5 %", "Audits of the book", "140 passed, 0 failed",
        "Exchange's clock", "1.5 ms ± 0.4 ms", "Restarts", "1", "Sealed", "2026-11-22T00:10:00Z",
    ]  # fmt: skip
    assert page.count("#certificate-times li") == 21
    assert page.text("#certificate-times li") == "00:01:00 to 00:01:05, 5 s"
    assert page.text("#certificate-times li:last-child") == "and 10 more"
    row = [word.strip() for word in page.text("#certificate-streams tr").split("\t")]
    assert row == ["aggtrade", "degraded", "1,234,567", "2 gaps", "00:00:01 to 23:59:59", "proven by ids"]
    assert page.count("img") == 0
    page.click(cell("C1USDT", "2026-11-22"))
    eventually(lambda: "Not sealed yet" in page.text("#certificate-why"), what="an open day has no certificate")
    assert page.count("#certificate-facts") == 0


def test_the_grid_is_used_by_keys_alone(page: Browser) -> None:
    eventually(lambda: page.count(cell("C1USDT", "2026-11-21")) == 1)
    page.evaluate("document.querySelector('#grid').focus()")
    for key in ("ArrowDown", "ArrowLeft", "ArrowLeft", "ArrowRight"):
        page.press(key)
    active = "document.querySelector('#' + document.querySelector('#grid').getAttribute('aria-activedescendant'))"
    assert page.evaluate(f"{active}.getAttribute('aria-label')").startswith("C1USDT 2026-11-21: degraded")
    page.press("Enter")
    eventually(lambda: page.text("#certificate-title") == "C1USDT, 2026-11-21")
    roles = "[...new Set([...document.querySelectorAll('#grid [role]')].map((one) => one.getAttribute('role')))].sort()"
    assert page.evaluate(f"{roles}.join()") == "columnheader,gridcell,row,rowgroup,rowheader"


def test_the_gaps_of_a_day_are_drawn_and_listed(page: Browser, fake: FakeMonitor) -> None:
    eventually(lambda: page.text("#timeline-note") == "No gap is listed.", what="the gaps of today")
    assert page.text("#timeline-title") == "Gaps of all symbols, 2026-11-22"
    fake.api["gaps"] = lambda words, _: (200, gaps(words))
    page.click("#day-all")
    eventually(lambda: page.count(".lane") == 4, what="a lane for each stream with gaps")
    page.click(cell("C1USDT", "2026-11-22"))
    eventually(lambda: page.text("#timeline-title") == "Gaps of C1USDT, 2026-11-22", what="of one symbol")
    assert page.text("#timeline-note") == "6 gaps."
    assert label(page, ".lane-marks") == "C1USDT aggtrade: 1 repaired, 1 open, 1 unrepairable"
    paths = "[...document.querySelectorAll('.lane path')].slice(0, 3).map((one) => one.getAttribute('d'))"
    assert page.evaluate(paths) == ["M83 10H167V14H83Z", "M167 5H2000V14H167Z", "M0 0H83V14H0Z"]
    row = [word.strip() for word in page.text("#day-gap-rows tr").split("\t")]
    assert row == ["00:00:00, 60 min", "C1USDT aggtrade", "disconnected (network)", "5", "unrepairable"]
    assert page.text("#day-gap-rows tr:nth-child(3) td").endswith("still open")
    assert page.count("img") == 0
    page.click("#day-all")
    eventually(lambda: page.text("#timeline-title") == "Gaps of all symbols, 2026-11-22")


def test_ten_thousand_gaps_are_few_elements(page: Browser, fake: FakeMonitor) -> None:
    fake.api["gaps"] = lambda words, _: (200, gaps(words, 833) | {"total": 20_000})
    page.click("#day-all")
    eventually(lambda: page.count(".lane") == 4, what="the gaps are drawn")
    assert page.text("#timeline-note") == (
        "the table has the first 200 of 20,000 gaps; those behind the first 9,996 are not drawn."
    )
    assert page.count("#day-gap-rows tr") == 200
    assert (
        page.evaluate(
            "Math.max(...[...document.querySelectorAll('.lane path')].map((one) => one.getAttribute('d').length))"
        )
        < 5000
    )


def test_earlier_days_are_asked_for(page: Browser, fake: FakeMonitor) -> None:
    eventually(lambda: page.count(cell("C1USDT", "2026-11-21")) == 1)
    assert page.evaluate("document.querySelector('#days-later').disabled") is True
    page.click("#days-earlier")
    eventually(lambda: page.count(cell("C1USDT", "2026-11-21")) == 0, what="earlier days are shown")
    page.click("#days-later")
    eventually(lambda: page.count(cell("C1USDT", "2026-11-21")) == 1)
    assert page.evaluate("document.querySelector('#days-later').disabled") is True
    asked = [question for question in fake.asked if question.startswith("/api/days")]
    assert asked[0] == asked[-1] != asked[1]


def test_two_hundred_symbols_and_sixty_days_are_few_elements(browser: Browser, fake: FakeMonitor) -> None:
    fake.api["days"] = lambda words, _: (200, coverage(words, 200))
    opened(browser, fake)
    eventually(lambda: browser.count(cell("C7USDT", "2026-11-21")) == 1, what="the days are there")
    assert browser.evaluate("document.querySelector('#grid').getAttribute('aria-rowcount')") == "201"
    assert browser.evaluate("document.querySelectorAll('.grid-head .grid-day').length") >= 55
    elements = "document.querySelectorAll('#grid *').length"
    most = browser.evaluate(elements)
    assert most < 1700
    browser.evaluate(
        "(() => { const grid = document.querySelector('#grid');"
        " for (let top = 0; top < 4400; top += 40) { grid.scrollTop = top; grid.dispatchEvent(new Event('scroll')); }"
        " })()"
    )
    eventually(lambda: browser.count(cell("C199USDT", "2026-11-21")) == 1, what="the last row is in sight")
    assert browser.evaluate(elements) <= most
    browser.write("#days-filter", "c19")
    eventually(lambda: browser.text("#days-count") == "11 symbols", what="the filter counts")
    browser.evaluate("document.querySelector('#grid').focus()")
    browser.press("End")
    browser.press("PageDown")
    assert browser.evaluate(elements) <= most


def test_a_phone_shows_as_many_days_as_fit(browser: Browser, fake: FakeMonitor) -> None:
    fake.api["days"] = lambda words, _: (200, coverage(words))
    fake.api["certificate"] = lambda words, _: (200, certificate(words))
    fake.api["gaps"] = lambda words, _: (200, gaps(words))
    for width in (320, 390):
        browser.resize(width, 800, mobile=True)
        opened(browser, fake)
        eventually(lambda: browser.count(cell("C1USDT", "2026-11-21")) == 1)
        browser.click(cell("C1USDT", "2026-11-21"))
        eventually(lambda: browser.text("#certificate-title") == "C1USDT, 2026-11-21")
        eventually(lambda: browser.count(".lane") == 2)
        assert browser.evaluate("document.documentElement.scrollWidth") == width
        assert browser.evaluate(
            "document.querySelector('#grid').scrollWidth <= document.querySelector('#grid').clientWidth"
        )


def test_a_refusal_is_shown_in_its_own_words(browser: Browser, fake: FakeMonitor) -> None:
    fake.api["days"] = lambda _words, _headers: (403, {"error": f"set monitor.token_file {HOSTILE}"})
    opened(browser, fake)
    eventually(lambda: browser.text("#days-note") == f"set monitor.token_file {HOSTILE}", what="the refusal is shown")
    assert browser.count("#token-form") == 0
    forget_refusals(browser)


def test_a_token_is_asked_for_and_kept_for_the_tab(browser: Browser, fake: FakeMonitor) -> None:
    def guarded(words: dict[str, str], headers: dict[str, str]) -> tuple[int, Any]:
        is_right = headers.get("authorization") == "Bearer 1234"
        return (200, coverage(words)) if is_right else (401, {"error": "expected a token"})

    fake.api["days"] = guarded
    opened(browser, fake)
    eventually(lambda: browser.count("#token-form") == 1, what="a token is asked for")
    browser.write("#token", "1234")
    browser.click("#token-form button")
    eventually(lambda: browser.count(cell("C1USDT", "2026-11-21")) == 1, what="the days are there")
    eventually(lambda: browser.count("#token-form") == 0, what="no token is asked for any more")
    opened(browser, fake)
    eventually(lambda: browser.count(cell("C1USDT", "2026-11-21")) == 1, what="they are there again")
    browser.evaluate("sessionStorage.clear()")
    forget_refusals(browser)


def forget_refusals(browser: Browser) -> None:
    """The browser's log has a line for each answer that is an error."""
    browser.errors[:] = [error for error in browser.errors if "/api/" not in error]
