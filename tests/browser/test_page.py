"""The page in a real browser, against a stand-in for the monitor."""

import copy
import re
from itertools import count
from typing import Any

import pytest

from tests.browser.fake import FakeMonitor
from tests.browser.snapshots import a_problem, a_process, a_snapshot, a_symbol, some_gaps, without_writer
from tests.support.browser import Browser
from tests.support.waiting import eventually

HOSTILE = "<img src=x onerror=\"document.title='owned'\"><b>BTC</b>'\"&"

DASH = "\N{EN DASH}"


def shows(browser: Browser, selector: str, text: str) -> None:
    eventually(lambda: text in browser.text(selector), what=f"{selector} shows {text!r}")


def opened(browser: Browser, fake: FakeMonitor, snapshot: Any) -> None:
    fake.send(snapshot)
    browser.open(fake.url)
    eventually(lambda: browser.text("#link-word") == "live", what="the page has a snapshot")


def test_a_page_says_in_words_that_everything_is_recorded(browser: Browser, fake: FakeMonitor) -> None:
    opened(browser, fake, a_snapshot(second=400))
    assert browser.text("#verdict") == "Recording"
    assert browser.text("#summary") == "Everything that is configured: 3 symbols, 9 streams."
    assert browser.text("#mode") == "production"
    assert browser.text("#time") == "11:13:20 UTC"
    assert browser.title() == f"Recording {DASH} binance-streamer"
    assert browser.text("#disk") == "68 days left"
    assert browser.text("#disk-note") == "412 GB of 512 GB free, 6.1 GB a day"
    assert browser.text("#weight-note") == "of 2,400 a minute"
    assert browser.text("#recorded") == "12.3M"
    assert browser.text("#recorded-note") == "1.2 GB since 10:06:40 UTC"
    assert browser.text("#offset") == "+1.4 ms"
    assert browser.text("#offset-note") == "± 0.8 ms; the exchange's clock is ahead"
    assert browser.text("#processes-up") == "8 of 8 up"
    assert browser.count("#problems") == 0
    row = browser.text("tbody .symbol").split()
    figures = ["67401.00000000", "0.0100", "%", "\N{MINUS SIGN}1.25", "%", "12.3B"]
    assert row[:8] == ["BTCUSDT", "67400.00", *figures]
    assert row[8:] == ["0.10", "94", "0.1", "s", "13", "ms", "0", "valid"]


def test_the_disk_says_what_retention_removes_next(browser: Browser, fake: FakeMonitor) -> None:
    snapshot = a_snapshot(second=400)
    first = {"format": "csv", "day": "20261115", "bytes": 2_500_000_000, "at_ns": 1_795_132_800_000_000_000}
    later = {"format": "parquet", "day": "20251018", "bytes": 400_000_000, "at_ns": 1_795_219_200_000_000_000}
    snapshot["stored"] = {
        "removals": [{**first, "why": "age"}, {**later, "why": "size"}],
    }
    opened(browser, fake, snapshot)
    assert browser.text("#disk-note") == (
        "412 GB of 512 GB free, 6.1 GB a day; csv of 2026-11-15 (2.5 GB) goes 2026-11-20 00:00 UTC by age"
    )
    fake.send(a_snapshot(second=401) | {"stored": {"removals": []}})
    eventually(lambda: browser.text("#disk-note") == "412 GB of 512 GB free, 6.1 GB a day", what="nothing is to go")


def test_numbers_change_in_place(browser: Browser, fake: FakeMonitor) -> None:
    seconds = count(100)
    opened(browser, fake, lambda: a_snapshot(second=next(seconds)))
    browser.evaluate("window.nodes = [...document.querySelectorAll('main *')]")
    height = browser.evaluate("document.body.offsetHeight")
    price = browser.text(".price")
    curve = browser.evaluate("document.querySelector('.stream .spark .line').getAttribute('d')")
    eventually(lambda: float(browser.text(".price")) >= float(price) + 3)
    assert browser.evaluate("document.querySelector('.stream .spark .line').getAttribute('d')") != curve
    assert browser.evaluate("window.nodes.every((node) => node.isConnected)")
    assert browser.evaluate("document.querySelectorAll('main *').length === window.nodes.length")
    assert browser.evaluate("document.body.offsetHeight") == height


def test_what_is_not_recorded_is_said_with_its_reason(browser: Browser, fake: FakeMonitor) -> None:
    opened(browser, fake, a_snapshot(second=400))
    fake.send(without_writer(a_snapshot(second=401)))
    shows(browser, "#verdict", "Not everything is recorded")
    assert browser.text("#problems li").split("\n") == [
        "writer", "no status for 12 s: is it running? `binance-streamer status`", "for 12 s"
    ]  # fmt: skip
    assert browser.title() == f"▲ Not everything is recorded {DASH} binance-streamer"
    assert browser.evaluate("document.querySelector('#announcement').textContent").startswith(
        "Not everything is recorded. writer: no status for 12 s"
    )
    box = "document.querySelector('.picture.wide .box-writer')"
    assert browser.evaluate(f"{box}.dataset.tone") == "bad"
    assert "down" in browser.evaluate(f"{box}.textContent")
    assert "144 MB, 41 s" in browser.text(".picture.wide .box-journal")
    assert "down: writer" in browser.evaluate("document.querySelector('.picture.wide').getAttribute('aria-label')")
    assert browser.text("#processes-up") == "7 of 8 up"
    fake.send(a_snapshot(second=402))
    shows(browser, "#verdict", "Recording")
    assert browser.count("#problems") == 0
    assert browser.evaluate(f"{box}.dataset.tone") == "good"


def test_a_warning_costs_nothing_and_is_shown_all_the_same(browser: Browser, fake: FakeMonitor) -> None:
    snapshot = a_snapshot(second=400)
    snapshot["problems"] = [a_problem("clock", "620 ms behind the exchange's", snapshot["time_ms"], "warning")]
    opened(browser, fake, snapshot)
    assert browser.text("#verdict") == "Recording"
    assert browser.text("#summary").endswith("1 warning that cost nothing so far:")
    assert browser.text("#problems li").split("\n") == ["clock", "620 ms behind the exchange's", "for 0 s"]
    assert browser.count("#problems [data-tone=wait]") == 1


def test_a_stream_that_is_not_recorded_says_why(browser: Browser, fake: FakeMonitor) -> None:
    snapshot = a_snapshot(second=400)
    snapshot["symbols"][1]["streams"][1].update(state="quiet", why="silent for 70 s, its connection may be dead")
    snapshot["symbols"][2]["streams"][2].update(state="quiet")
    opened(browser, fake, snapshot)
    assert browser.text(".stream .why:not([hidden])") == "silent for 70 s, its connection may be dead"
    assert browser.count(".stream .why") == 1
    assert browser.count("tbody[data-tone=bad] .symbol") == 1
    tones = "[...document.querySelectorAll('.stream .state')].map((one) => one.dataset.tone).join(' ')"
    assert browser.evaluate(tones) == "good good good good bad good good good good"


def test_what_comes_off_the_wire_is_text_and_nothing_else(browser: Browser, fake: FakeMonitor) -> None:
    snapshot = a_snapshot([HOSTILE, "BTCUSDT"], 400)
    snapshot.update(mode=HOSTILE, healthy=False, problems=[a_problem(HOSTILE, HOSTILE)])
    snapshot["symbols"][0].update(status=HOSTILE, price=HOSTILE, spread=HOSTILE)
    snapshot["symbols"][0]["market"] = dict.fromkeys(snapshot["symbols"][0]["market"], HOSTILE)
    snapshot["symbols"][0]["book"].update(state=HOSTILE, bids=[[HOSTILE, HOSTILE]])
    snapshot["symbols"][0]["streams"][0].update(stream=HOSTILE, state=HOSTILE)
    snapshot["processes"][0].update(state=HOSTILE, detail=HOSTILE)
    snapshot["data_directory"] = HOSTILE
    snapshot["newest_gaps"] = [{"symbol": HOSTILE, "stream": HOSTILE, "from_ms": 0, "to_ms": 1, "reason": HOSTILE,
                                "state": HOSTILE, "first_messages": 1, "missing_messages": 1}]  # fmt: skip
    opened(browser, fake, snapshot)
    assert browser.text(".fold") == HOSTILE
    assert browser.text("#mode") == HOSTILE
    assert browser.text("#problems strong") == HOSTILE
    assert browser.text("#gaps td:nth-child(3)") == HOSTILE
    assert browser.count("img") == 0
    assert browser.count("b") == 3  # of the legends
    assert "owned" not in browser.title()


def test_two_hundred_symbols_are_folded_and_can_be_filtered(browser: Browser, fake: FakeMonitor) -> None:
    names = [f"C{number}USDT" for number in range(198)] + ["BTCUSDT", "BTCUSDT_260925"]
    snapshot = a_snapshot(names, 400)
    snapshot.update(healthy=False, problems=[a_problem("C7USDT depth@0ms", "silent for 70 s")])
    opened(browser, fake, snapshot)
    assert browser.count(".symbol") == 200
    assert browser.count(".stream") == 0
    assert browser.evaluate("document.querySelectorAll('.stream').length") == 0
    browser.write("#filter", "btc")
    eventually(lambda: browser.count(".symbol") == 2)
    assert browser.text("#symbol-count") == "2 of 200"
    browser.click(".symbols tbody:not([hidden]) .fold")
    eventually(lambda: browser.count(".stream") == 3)
    assert (
        browser.evaluate("document.querySelector('tbody:not([hidden]) .fold').getAttribute('aria-expanded')") == "true"
    )
    browser.write("#filter", "no such symbol")
    shows(browser, "#no-symbols", "No symbol fits.")
    browser.write("#filter", "usdt")
    browser.click("#troubled")
    eventually(lambda: browser.text(".symbols tbody:not([hidden]) .fold").startswith("C7USDT"))
    assert browser.count(".symbol") == 1
    ingest = browser.evaluate("document.querySelector('.picture.wide .box-ingest').textContent")
    assert "200 workers" in ingest
    assert "196 more" in ingest


def test_symbols_come_and_go_in_the_order_of_the_configuration(browser: Browser, fake: FakeMonitor) -> None:
    opened(browser, fake, a_snapshot(["BTCUSDT", "SOLUSDT"], 400))
    names = "[...document.querySelectorAll('.fold')].map((one) => one.textContent).join()"
    fake.send(a_snapshot(["BTCUSDT", "ETHUSDT", "SOLUSDT"], 401))
    eventually(lambda: browser.evaluate(names) == "BTCUSDT,ETHUSDT,SOLUSDT")
    fake.send(a_snapshot(["SOLUSDT", "ETHUSDT"], 402))
    eventually(lambda: browser.evaluate(names) == "SOLUSDT,ETHUSDT")


def test_what_is_not_known_is_a_dash_and_no_error(browser: Browser, fake: FakeMonitor) -> None:
    snapshot = a_snapshot(["BTCUSDT"], 0)
    snapshot["recorded"] = None
    snapshot["symbols"] = [{**a_symbol("BTCUSDT"), "market": None, "price": None, "spread": None, "book": None}]
    for stream in snapshot["symbols"][0]["streams"]:
        stream.update(state="waiting", rate=0, age_s=None, latency_ms=None, rates=[])
    snapshot["series"] = {"t_ms": [], "messages_per_s": [], "latency_p50_ms": [], "latency_p99_ms": []}
    unknown = {"pid": None, "uptime_s": None, "rss_bytes": None, "cpu_percent": None, "backlog_bytes": None,
               "backlog_s": None, "detail": None}  # fmt: skip
    snapshot["processes"] = [a_process("writer", "starting", **unknown)]
    snapshot["disk"] = dict.fromkeys(snapshot["disk"])
    snapshot["clock"] = {"offset_ms": None, "error_ms": None}
    snapshot["weight"] = {"used": None, "limit": None, "stand_down_s": None}
    opened(browser, fake, snapshot)
    assert browser.text(".symbol").split() == ["BTCUSDT", DASH, DASH, "0.0", DASH, DASH, "0", DASH]
    assert browser.text("#summary").endswith("0 of them live.")
    assert browser.text("#recorded-note") == "not known before the writer is heard"
    for field in ("#recorded", "#messages", "#latency", "#weight", "#offset"):
        assert browser.text(field) == DASH
    page = browser.evaluate("document.body.innerText")
    assert not [word for word in ("NaN", "undefined", "null", "Infinity") if word in page]


def test_todays_gaps_are_listed_with_the_newest_first(browser: Browser, fake: FakeMonitor) -> None:
    snapshot = a_snapshot(second=400)
    hour = 3_600_000
    snapshot["newest_gaps"] = [
        {"symbol": "BTCUSDT", "stream": "btcusdt@depth@0ms", "from_ms": 2 * hour, "to_ms": 2 * hour + 90_000,
         "reason": "stall", "state": "unrepairable", "first_messages": None, "missing_messages": None},
        {"symbol": "BTCUSDT", "stream": "btcusdt@trade", "from_ms": hour, "to_ms": hour + 2000, "reason": "restart",
         "state": "unrepairable", "first_messages": 488, "missing_messages": 12},
        {"symbol": "BTCUSDT", "stream": "btcusdt@aggTrade", "from_ms": hour, "to_ms": hour + 2000, "reason": "restart",
         "state": "repaired", "first_messages": 37, "missing_messages": 0},
    ]  # fmt: skip
    snapshot["gaps"] = some_gaps(
        listed=3, repaired=1, unrepairable=2, missing_messages=12, unrepairable_messages=12, unrepairable_s=92.0
    )
    opened(browser, fake, snapshot)
    rows = [browser.text(f"#gaps tr:nth-child({number})").split("\t") for number in (1, 2, 3)]
    assert [[cell.strip() for cell in row] for row in rows] == [
        ["02:00:00, 90 s", "btcusdt@depth@0ms", "stall", DASH, "unrepairable"],
        ["01:00:00, 2 s", "btcusdt@trade", "restart", "488, now 12", "unrepairable"],
        ["01:00:00, 2 s", "btcusdt@aggTrade", "restart", "37, now 0", "repaired"],
    ]
    assert browser.text("#gap-count") == "3"
    assert browser.text("#gap-note") == "2 unrepairable (12 messages, 92 s), 1 repaired, 0 open"
    tones = "[...document.querySelectorAll('#gaps .state')].map((one) => one.dataset.tone).join()"
    assert browser.evaluate(tones) == "bad,bad,good"


def test_a_lost_monitor_is_said_and_comes_back_by_itself(browser: Browser, fake: FakeMonitor) -> None:
    opened(browser, fake, a_snapshot(second=400))
    fake.refusing = True
    shows(browser, "#lost", "No connection to the monitor.")
    assert browser.text("#verdict") == "Unknown"
    assert browser.title() == f"No connection {DASH} binance-streamer"
    age = re.search(r" (\d+) s old", browser.text("#lost"))
    assert age
    shows(browser, "#lost", f" {int(age[1]) + 2} s old")
    eventually(lambda: fake.refused, what="the browser gives up, as it does after an answer that is no stream")
    fake.refusing = False
    eventually(lambda: browser.count("#lost") == 0, what="the page is connected again")
    assert browser.text("#verdict") == "Recording"
    browser.errors[:] = [error for error in browser.errors if "/events" not in error]  # the refused connections


def test_a_connection_that_says_nothing_counts_as_lost(browser: Browser, fake: FakeMonitor) -> None:
    opened(browser, fake, a_snapshot(second=400))
    fake.silent = True
    shows(browser, "#lost", "s old. It is tried again by itself.")
    assert browser.text("#link-word") == "lost"
    fake.silent = False
    eventually(lambda: browser.count("#lost") == 0)


def test_a_phone_needs_no_sideways_scrolling(browser: Browser, fake: FakeMonitor) -> None:
    snapshot = without_writer(a_snapshot(["BTCUSDT", "1000000MOGUSDT_260925", HOSTILE.replace(" ", "")], 400))
    snapshot["problems"].append(a_problem("x" * 300, "y" * 300))
    for width in (320, 390, 700, 900):
        browser.resize(width, 800, mobile=True)
        opened(browser, fake, copy.deepcopy(snapshot))
        if browser.text("#fold") == "Show streams":
            browser.click("#fold")
        eventually(lambda: browser.count(".stream") == 9)
        assert browser.evaluate("document.documentElement.scrollWidth") == width
        assert browser.evaluate("visualViewport.scale") == 1


def test_no_request_leaves_the_host(browser: Browser, fake: FakeMonitor) -> None:
    opened(browser, fake, a_snapshot(second=400))
    fake.send(without_writer(a_snapshot(second=401)))
    shows(browser, "#verdict", "Not everything is recorded")
    assert {url[: len(fake.url)] for url in browser.requests} == {fake.url}
    assert {url.removeprefix(fake.url) for url in browser.requests} >= {"", "js/app.js", "style.css", "events"}


def test_a_disk_that_nobody_tells_of_is_not_green(browser: Browser, fake: FakeMonitor) -> None:
    snapshot = without_writer(a_snapshot(second=400))
    snapshot["disk"] = None
    opened(browser, fake, snapshot)
    assert browser.text("#disk") == DASH
    assert browser.text("#disk-note") == "not known while the writer is not heard"
    assert browser.evaluate("document.querySelector('.picture.wide .box-files').dataset.tone") == "wait"
    assert browser.text("#summary").endswith("Journals keep what arrives until the writer takes it.")


def test_a_worker_that_is_down_as_well_keeps_nothing(browser: Browser, fake: FakeMonitor) -> None:
    snapshot = without_writer(a_snapshot(second=400))
    snapshot["processes"][1].update(up=False, state="down")
    opened(browser, fake, snapshot)
    assert "Journals" not in browser.text("#summary")


def test_a_phone_shows_every_process(browser: Browser, fake: FakeMonitor) -> None:
    browser.resize(390, 800, mobile=True)
    opened(browser, fake, a_snapshot([f"C{number}USDT" for number in range(20)], 400))
    inner = "document.querySelector('#processes').closest('.scroll')"
    assert browser.evaluate(f"{inner}.scrollHeight - {inner}.clientHeight") == 0


@pytest.mark.parametrize(("figures", "columns"), [(("mark_price", "quote_volume"), 13), (("mark_price",), 11), ((), 9)])
def test_the_table_has_columns_for_what_is_recorded_and_is_as_wide_as_the_card(
    browser: Browser, fake: FakeMonitor, figures: tuple[str, ...], columns: int
) -> None:
    snapshot = a_snapshot(second=400)
    for symbol in snapshot["symbols"]:
        symbol["market"] = {name: value if name in figures else None for name, value in symbol["market"].items()}
    opened(browser, fake, snapshot)
    eventually(lambda: browser.count("#symbol-table thead th") == columns, what="the columns of what is recorded")
    place = "document.querySelector('%s').getBoundingClientRect()"
    last, table = (f"({place})" % name for name in ("#symbol-table thead th:last-child", "#symbol-table"))
    assert browser.evaluate(f"Math.abs({last}.right - {table}.right) < 1")
    assert browser.evaluate("document.querySelector('.detail td').colSpan") == columns
    overlaps = (
        "[...document.querySelectorAll('#symbol-table thead th')].filter((one) => one.clientWidth < one.scrollWidth)"
        ".map((one) => one.textContent).join()"
    )
    assert browser.evaluate(overlaps) == ""
