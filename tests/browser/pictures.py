"""Makes the pictures of docs/images anew, of a recording of the simulator: `./run python -m tests.browser.pictures`.

It takes four minutes, so that the charts are full, and wants Chromium and a quiet machine.
"""

import signal
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.support.addresses import free_port
from tests.support.browser import Browser
from tests.support.configs import write_config
from tests.support.data import REPOSITORY
from tests.support.processes import Simulator, command_line
from tests.support.waiting import eventually

_SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
_STREAMS = ("aggTrade", "depth@0ms", "kline_1m")
_RECORDED_S = 240.0
_PATIENCE_S = 120.0


def _shoot(browser: Browser, url: str, folder: Path) -> None:
    browser.resize(1280, 1440)
    browser.prefer("light")
    browser.open(url)
    eventually(lambda: browser.text("#link-word") == "live", what="the page has a snapshot")
    end_s = time.monotonic() + _RECORDED_S
    eventually(lambda: browser.count("body") and time.monotonic() > end_s, _RECORDED_S * 2, every_s=1)
    browser.evaluate("scrollTo(0, 0)")
    browser.screenshot(folder / "monitor.png", whole=False)

    browser.resize(1280, 1000)
    eventually(lambda: browser.count(".grid-body .grid-cell") > 0, _PATIENCE_S, what="the days are there")
    browser.click(f".grid-body .grid-cell[aria-label^='BTCUSDT {datetime.now(UTC):%Y-%m-%d}']")
    field = "document.querySelector('#instant-time')"
    eventually(lambda: browser.evaluate(f"{field}.disabled") is False, _PATIENCE_S, what="the day is chosen")
    an_instant = datetime.now(UTC) - timedelta(seconds=60)
    browser.write("#instant-time", f"{an_instant:%H:%M:%S}")
    browser.evaluate(f"{field}.dispatchEvent(new Event('change'))")
    eventually(lambda: browser.count("#tape tr") > 0, _PATIENCE_S, what="the book and the tape are there")
    browser.evaluate("document.querySelector('#days').scrollIntoView({block: 'start'})")
    eventually(lambda: browser.count("#tape tr"), _PATIENCE_S, what="still there")
    browser.screenshot(folder / "days.png", whole=False)


def main() -> None:
    """Record, and write the pictures."""
    with tempfile.TemporaryDirectory(prefix="recording-") as folder:
        place = Path(folder)
        with Simulator(place, "--symbols", ",".join(_SYMBOLS), "--rate", "900") as simulator:
            address = f"127.0.0.1:{free_port()}"
            config = write_config(
                place,
                dict.fromkeys(_SYMBOLS, _STREAMS),
                simulator.urls,
                monitor={"enabled": True, "address": address},
                storage={"lake": "lake"},
            )
            with command_line("up", "-c", config, output=place / "up.out") as recorder:
                eventually(lambda: f"http://{address}" in recorder.text(), 60, what="the page is served")
                with Browser() as browser:
                    _shoot(browser, f"http://{address}/", REPOSITORY / "docs" / "images")
                recorder.send(signal.SIGINT)
                assert recorder.wait(120) == 0, recorder.text()


if __name__ == "__main__":
    main()
