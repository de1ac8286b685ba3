"""The snapshot that the page gets."""

import gc
import sys
from typing import Any

import msgspec

from binance_streamer.health.gaps import GapTotals
from binance_streamer.wire.frames import encode_frame
from services.monitor.alerts.alerts import Alerts
from services.monitor.snapshots.collector import Collector
from services.monitor.snapshots.page import PageSnapshot, as_json
from tests.support import monitor_scene as scene
from tests.support.monitor_scene import (
    NOW_MS,
    NOW_NS,
    NOW_S,
    collector,
    config,
    frame,
    market,
    statuses,
    stream_status,
)

STRANGE = {"symbol": "x", "stream": "status", "recv_ns": NOW_NS, "epoch": 1, "seq": 1, "source": "local"}


def page(seen: Collector, seconds: float = 0) -> PageSnapshot:
    return seen.end_second(NOW_S + seconds, NOW_MS + int(seconds * 1000)).page


def trade(price: str) -> tuple[bytes, bytes]:
    event = {"e": "aggTrade", "s": "BTCUSDT", "E": NOW_MS - 40, "a": 1, "p": price}
    return market("aggtrade", event, stream="btcusdt@aggTrade")


def book(**fields: Any) -> tuple[bytes, bytes]:
    values: dict[str, Any] = {
        "valid": True,
        "state": "valid",
        "bids": [["84551.10", "1.5"], *([["84551.00", "2"]] * 19)],
        "asks": [["84551.30", "0.5"], *([["84551.40", "2"]] * 19)],
    }
    return frame("orderbook", "BTCUSDT", **{**values, **fields})


def test_the_json_has_the_shape_that_the_page_is_written_for() -> None:
    seen = collector()
    seen.take(*trade("84551.20"), NOW_S)
    seen.take(*book(), NOW_S)
    decoded = msgspec.json.decode(as_json(page(seen)))
    assert set(decoded) >= {
        "time_ms", "mode", "healthy", "problems", "symbols", "processes", "series", "gaps", "newest_gaps",
        "data_directory", "disk", "clock", "weight", "recorded",
    }  # fmt: skip
    symbol = decoded["symbols"][0]
    assert set(symbol) >= {"symbol", "status", "price", "spread", "market", "book", "gaps", "streams"}
    assert set(symbol["market"]) == {
        "mark_price", "funding_rate", "next_funding_ms", "change_percent", "quote_volume",
    }  # fmt: skip
    assert set(decoded["recorded"]) == {"rows", "bytes", "since_ms"}
    assert set(symbol["streams"][0]) >= {
        "stream", "state", "rate", "messages", "age_s", "latency_ms", "gaps", "rates",
    }  # fmt: skip
    assert set(symbol["book"]) >= {
        "valid", "state", "since_ms", "resyncs", "audits_passed", "audits_failed", "bids", "asks",
    }  # fmt: skip
    assert set(decoded["processes"][0]) >= {
        "name", "kind", "up", "state", "pid", "uptime_s", "rss_bytes", "cpu_percent", "backlog_bytes", "backlog_s",
        "detail",
    }  # fmt: skip
    assert set(decoded["series"]) == {"t_ms", "messages_per_s", "latency_p50_ms", "latency_p99_ms"}


def test_all_is_well() -> None:
    found = page(collector())
    assert found.healthy
    assert found.problems == ()
    assert [(stream.stream, stream.state, stream.messages, stream.received, stream.age_s)
            for stream in found.symbols[0].streams] == [
        ("aggTrade", "live", 10, 20, 3.0), ("depth@0ms", "live", 10, 20, 3.0),
    ]  # fmt: skip
    assert found.disk is not None
    assert found.disk.days_left == 10.0
    assert (found.clock.offset_ms, found.clock.error_ms) == (-3.0, 0.5)
    assert (found.weight.used, found.weight.limit) == (21, 2400)


def test_price_and_spread_keep_the_exchange_s_digits() -> None:
    seen = collector()
    assert page(seen).symbols[0].price is None
    seen.take(*trade("84551.20"), NOW_S)
    seen.take(*book(), NOW_S)
    symbol = page(seen).symbols[0]
    assert (symbol.price, symbol.spread) == ("84551.20", "0.20")
    assert symbol.book is not None
    assert symbol.book.bids == (("84551.10", "1.5"), *([("84551.00", "2")] * 4))


def test_a_book_that_is_not_valid_has_no_spread_and_a_time_since_when() -> None:
    seen = collector()
    seen.take(*book(), NOW_S)
    page(seen)
    later = NOW_NS + 5 * 10**9
    seen.take(*book(valid=False, state="buffering", reason="sequence", recv_ns=later), NOW_S)
    found = page(seen).symbols[0]
    assert found.spread is None
    assert found.book is not None
    assert (found.book.valid, found.book.since_ms) == (False, NOW_MS + 5000)
    seen.take(*book(valid=False, state="buffering", recv_ns=later + 10**9), NOW_S)
    again = page(seen).symbols[0].book
    assert again is not None
    assert again.since_ms == NOW_MS + 5000


def service(at_s: float, **fields: Any) -> Collector:
    """A view that has heard a top, and then the status of the service that keeps the book."""
    seen = collector(scene.YAML.replace("orderbook: {enabled: false}", "orderbook: {enabled: true}"))
    seen.take(*book(), NOW_S)
    status = {"valid": True, "valid_since_ns": NOW_NS - 10**9, "state": "valid", "audits_passed": 3, **fields}
    seen.take(*frame("status", "orderbook", state="valid", books={"BTCUSDT": status}), at_s)
    return seen


def test_the_service_s_status_says_whether_a_book_is_valid_and_the_newest_message_its_levels() -> None:
    symbol = page(service(NOW_S)).symbols[0]
    assert symbol.book is not None
    assert (symbol.book.valid, symbol.book.since_ms, symbol.book.audits_passed) == (True, NOW_MS - 1000, 3)
    assert (symbol.book.bids[0], symbol.spread) == (("84551.10", "1.5"), "0.20")
    symbol = page(service(NOW_S, valid=False, state="buffering", reason="gap")).symbols[0]
    assert symbol.book is not None
    assert (symbol.book.valid, symbol.book.reason, symbol.book.bids, symbol.spread) == (False, "gap", (), None)


def test_the_book_of_a_service_that_is_not_heard_is_not_known() -> None:
    symbol = page(service(NOW_S), 11).symbols[0]
    assert (symbol.book, symbol.spread) == (None, None)


def test_the_book_of_a_share_is_not_known_once_nothing_of_it_comes() -> None:
    seen = collector()
    seen.take(*book(), NOW_S)
    assert page(seen, 29).symbols[0].book is not None
    seen.take(*frame("orderbook", "BTCUSDT", variant="summary", bids=[]), NOW_S + 25)
    found = page(seen, 54).symbols[0].book
    assert found is not None
    assert found.bids[0] == ("84551.10", "1.5")
    assert page(seen, 56).symbols[0].book is None


def test_the_spread_comes_from_book_tickers_where_there_is_no_book() -> None:
    seen = collector(scene.YAML.replace("depth@0ms", "bookTicker"))
    event = {"e": "bookTicker", "s": "BTCUSDT", "E": NOW_MS, "u": 1, "b": "0.001", "a": "0.0031"}
    seen.take(*market("bookticker", event, stream="btcusdt@bookTicker"), NOW_S)
    assert page(seen).symbols[0].spread == "0.0021"


def test_a_process_that_falls_silent_is_down() -> None:
    seen = collector()
    for name, fields in scene.statuses().items():
        if name != "writer":
            seen.take(*frame("status", name, **fields), NOW_S + 11)
    found = page(seen, 11)
    assert not found.healthy
    assert [problem.what for problem in found.problems] == ["writer"]
    assert {part.name: (part.up, part.state) for part in found.processes}["writer"] == (False, "down")
    assert found.disk is None


def test_cpu_is_the_difference_of_two_statuses() -> None:
    seen = collector()
    fields = scene.statuses()["bus"]
    seen.take(*frame("status", "bus", **{**fields, "cpu_s": 36.5, "recv_ns": NOW_NS + 2 * 10**9}), NOW_S)
    bus = page(seen).processes[0]
    assert (bus.name, bus.cpu_percent, bus.uptime_s) == ("bus", 25.0, 3600.0)


def test_a_gap_on_the_bus_is_shown_and_counted() -> None:
    seen = collector()
    gap: dict[str, Any] = {
        "gap_id": "1-1", "stream": "btcusdt@aggTrade", "state": "open", "from_id": 10, "to_id": 13,
        "from_ns": NOW_NS - 10**9, "to_ns": NOW_NS, "reason": "sequence",
    }  # fmt: skip
    seen.take(*frame("gap", "BTCUSDT", **gap), NOW_S)
    found = page(seen)
    assert found.symbols[0].gaps == GapTotals(listed=1, open=1, missing_messages=3)
    assert [stream.gaps.listed for stream in found.symbols[0].streams] == [1, 0]
    assert found.newest_gaps[0].reason == "sequence"


def test_a_stream_that_is_replaced_is_shown_by_what_replaces_it() -> None:
    streams = {"btcusdt@aggTrade": stream_status(), "btcusdt@depth@100ms": stream_status()}
    found = page(collector(ingest={"streams": streams}))
    assert [stream.stream for stream in found.symbols[0].streams] == ["aggTrade", "depth@100ms"]
    assert found.healthy
    both = collector(scene.YAML.replace("depth@0ms", "depth@0ms, depth@100ms"), ingest={"streams": streams})
    assert [stream.stream for stream in page(both).symbols[0].streams] == ["aggTrade", "depth@100ms"]


def test_what_strangers_publish_is_not_shown() -> None:
    seen = collector()
    fields = scene.statuses()["ingest-BTCUSDT"]
    seen.take(*frame("status", "ingest-EVILUSDT", **fields), NOW_S)
    seen.take(*frame("gap", "EVILUSDT", gap_id="1", stream="x", state="open", from_ns=NOW_NS), NOW_S)
    seen.take(*frame("orderbook", "EVILUSDT"), NOW_S)
    seen.take(b"status.bus.", frame("status", "writer", **fields)[1], NOW_S)
    for stranger in ("", "a.b"):
        seen.take(b"status.bus.", encode_frame("status", {**STRANGE, "producer": stranger}), NOW_S)
    seen.take(b"status.bus.", b"\xc1", NOW_S)
    seen.take(b"\xff", b"", NOW_S)
    assert as_json(page(seen)) == as_json(page(collector()))


def test_a_monitor_holds_no_more_after_twenty_minutes_than_after_eleven() -> None:
    """All that it remembers is bounded, by the ten minutes of its chart at most. Python's blocks are counted."""
    subject = collector()
    alerts = Alerts(config().alerts)
    blocks = []
    for second in range(1200):
        now_s, now_ms = NOW_S + second, NOW_MS + 1000 * second
        for name, fields in statuses().items():
            told = {**fields, "up_s": 1000.0 + second, "recv_ns": now_ms * 1_000_000}
            subject.take(*frame("status", name, **told), now_s)
        trade = {
            "e": "aggTrade",
            "E": now_ms - 100,
            "s": "BTCUSDT",
            "a": 100_000 + second,
            "p": f"{second}.5",
            "q": "1",
        }
        for _ in range(second % 7):
            subject.take(*market("aggtrade", trade, stream="btcusdt@aggTrade"), now_s)
        snapshot = subject.end_second(now_s, now_ms)
        alerts.look(snapshot, now_s)
        as_json(snapshot.page)
        del snapshot
        if second in (659, 1199):
            gc.collect()
            blocks.append(sys.getallocatedblocks())
    assert blocks[1] - blocks[0] < 200
