"""Whether every word of the page can be read, on light and on dark screens."""

import pytest

from tests.browser.fake import FakeMonitor
from tests.browser.recorded import certificate, coverage, gaps
from tests.browser.snapshots import a_snapshot, some_gaps, without_writer
from tests.support.browser import Browser
from tests.support.waiting import eventually

# WCAG 2.2, 1.4.3: the relative luminances of text and ground, 4.5 : 1 or better. Drawings have a rectangle as ground.
WEAK = """(() => {
  const paint = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const over = (colours) => {
    paint.clearRect(0, 0, 1, 1);
    for (const colour of colours) { paint.fillStyle = colour; paint.fillRect(0, 0, 1, 1); }
    return [...paint.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const luminance = (colours) => over(colours).map((part) => part / 255)
    .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
    .reduce((sum, part, at) => sum + part * [0.2126, 0.7152, 0.0722][at], 0);
  const grounds = (one) => {
    const found = [];
    const box = one.closest?.(".box");
    if (box) found.push(getComputedStyle(box.querySelector("rect")).fill);
    for (let at = one; at; at = at.parentElement) found.unshift(getComputedStyle(at).backgroundColor);
    return found;
  };
  const weak = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let seen = 0;
  while (walker.nextNode()) {
    const one = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || !one.getClientRects().length) continue;
    seen += 1;
    const style = getComputedStyle(one);
    const ground = grounds(one);
    const ink = one.closest("svg") ? style.fill : style.color;
    const [light, dark] = [luminance([...ground, ink]), luminance(ground)].sort((a, b) => b - a);
    const ratio = (light + 0.05) / (dark + 0.05);
    if (ratio < 4.5) weak.push(`${walker.currentNode.textContent}: ${ink}, ${ratio.toFixed(2)}`);
  }
  return [seen, weak];
})()"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("healthy", [True, False])
def test_every_word_stands_out_from_its_ground(
    browser: Browser, fake: FakeMonitor, scheme: str, *, healthy: bool
) -> None:
    snapshot = a_snapshot(second=400)
    snapshot["processes"][1]["state"] = "starting"
    snapshot["symbols"][1].update(status="SETTLING", gaps=some_gaps(listed=3, open=3))
    fake.send(snapshot if healthy else without_writer(snapshot))
    fake.api["days"] = lambda words, _: (200, coverage(words))
    fake.api["certificate"] = lambda words, _: (200, certificate(words))
    fake.api["gaps"] = lambda words, _: (200, gaps(words))
    browser.prefer(scheme)
    browser.open(fake.url)
    eventually(lambda: browser.count(".stream") == 9)
    browser.click(".grid-body [data-condition=available]")
    eventually(lambda: browser.count("#certificate-streams tr") == 2 and browser.count(".lane") == 2)
    seen, weak = browser.evaluate(WEAK)
    assert seen > 150
    assert weak == []
