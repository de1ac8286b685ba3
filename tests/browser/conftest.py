"""One Chromium for all tests; they are skipped where there is none."""

from collections.abc import Iterator

import pytest

from tests.browser.fake import FakeMonitor
from tests.support.browser import Browser, chromium


@pytest.fixture(scope="session")
def chrome() -> Iterator[Browser]:
    if chromium() is None:
        pytest.skip("Chromium is not installed (Debian: apt-get install chromium)")
    with Browser() as browser:
        yield browser


@pytest.fixture
def browser(chrome: Browser) -> Iterator[Browser]:
    """As a desktop with a light screen, on an empty page, with nothing to complain about before and after."""
    chrome.resize(1280, 900)
    chrome.prefer("light")
    chrome.open("about:blank")
    chrome.requests.clear()
    chrome.errors.clear()
    yield chrome
    assert chrome.errors == []


@pytest.fixture
def fake() -> Iterator[FakeMonitor]:
    with FakeMonitor() as running:
        yield running
