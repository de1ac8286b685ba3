"""The metrics' text, and that nobody on the bus can make it grow."""

from collections.abc import Iterator

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from services.monitor.http.verdict import verdict_of
from services.monitor.metrics.metrics import registry_of
from services.monitor.snapshots.page import MonitorSnapshot
from tests.support import monitor_scene as scene
from tests.support.monitor_scene import NOW_MS, NOW_NS, NOW_S, collector, frame, market, stream_status

BTC = {"symbol": "BTCUSDT"}
TRADES = {**BTC, "stream": "aggTrade"}
WORKER = {"process": "ingest-BTCUSDT"}


class Scrape:
    """A scrape, parsed as Prometheus would."""

    def __init__(self, snapshot: MonitorSnapshot | None, age_s: float = 0) -> None:
        self.text = generate_latest(registry_of(snapshot, age_s)).decode()
        families = text_string_to_metric_families(self.text)
        self.samples = [sample for family in families for sample in family.samples]

    def value(self, name: str, **labels: str) -> float:
        """Of the one sample with these labels."""
        found = [one.value for one in self.samples if one.name == f"binance_streamer_{name}" and one.labels == labels]
        assert len(found) == 1, (name, labels, found)
        return float(found[0])

    def series(self) -> Iterator[tuple[str, tuple[tuple[str, str], ...]]]:
        """Names and labels of everything."""
        return ((one.name, tuple(sorted(one.labels.items()))) for one in self.samples)


@pytest.fixture(scope="module")
def scrape() -> Scrape:
    seen = collector()
    event = {"e": "aggTrade", "s": "BTCUSDT", "E": NOW_MS - 7, "a": 1, "p": "84551.20"}
    for _ in range(3):
        seen.take(*market("aggtrade", event, stream="btcusdt@aggTrade"), NOW_S)
    gap = ("1-1", "btcusdt@aggTrade", "open", 10, 13, NOW_NS, NOW_NS)
    keys = ("gap_id", "stream", "state", "from_id", "to_id", "from_ns", "to_ns")
    seen.take(*frame("gap", "BTCUSDT", **dict(zip(keys, gap, strict=True))), NOW_S)  # type: ignore[arg-type]
    seen.take(*frame("orderbook", "BTCUSDT", valid=True, state="valid", resyncs=2, audits_failed=1), NOW_S)
    return Scrape(seen.end_second(NOW_S, NOW_MS), 0.5)


@pytest.mark.parametrize(
    ("name", "labels", "value"),
    [
        ("healthy", {}, 1),
        ("snapshot_age_seconds", {}, 0.5),
        ("messages_total", TRADES, 10),
        ("received_messages_total", TRADES, 20),
        ("last_message_age_seconds", TRADES, 3),
        ("stream_recorded", TRADES, 1),
        ("message_rate", TRADES, 0.6),
        ("latency_seconds_bucket", {**TRADES, "le": "0.005"}, 0),
        ("latency_seconds_bucket", {**TRADES, "le": "0.01"}, 3),
        ("latency_seconds_bucket", {**TRADES, "le": "+Inf"}, 3),
        ("latency_seconds_count", TRADES, 3),
        ("latency_seconds_sum", TRADES, 0.021),
        ("gaps_total", TRADES, 1),
        ("gaps_total", {**BTC, "stream": "depth@0ms"}, 0),
        ("gaps_today", TRADES, 1),
        ("missed_messages_today", TRADES, 3),
        ("connections_opened_total", {**BTC, "route": "public"}, 3),
        ("connections_lost_total", {**BTC, "route": "public"}, 2),
        ("connections_lost_total", {**BTC, "route": "market"}, 0),
        ("first_arrival_ratio", {**BTC, "route": "public", "ordinal": "0"}, 0.75),
        ("journal_backlog_bytes", WORKER, 4096),
        ("journal_backlog_seconds", WORKER, 2.5),
        ("journal_backlog_messages", WORKER, 10),
        ("journal_fsync_seconds_sum", WORKER, 0.5),
        ("journal_fsync_seconds_count", WORKER, 10),
        ("writer_backlog_messages", {}, 40),
        ("writer_rows_total", {}, 500),
        ("writer_commit_seconds_sum", {"process": "writer"}, 1),
        ("rest_weight_used", {}, 21),
        ("rest_weight_limit", {}, 2400),
        ("rest_state", {"state": "answered"}, 1),
        ("rest_state", {"state": "standing down"}, 0),
        ("book_valid", BTC, 1),
        ("book_resyncs_total", BTC, 2),
        ("book_audits_failed_total", BTC, 1),
        ("process_up", {"process": "writer"}, 1),
        ("process_resident_memory_bytes", {"process": "rest"}, 30_000_000),
        ("process_cpu_seconds_total", {"process": "bus"}, 36),
        ("clock_offset_seconds", {}, -0.003),
        ("clock_error_seconds", {}, 0.0005),
        ("disk_free_bytes", {}, 864e9),
        ("disk_seconds_left", {}, 864_000),
        ("problems", {"condition": "backlog", "severity": "failure"}, 0),
    ],
)
def test_a_metric_has_its_value(scrape: Scrape, name: str, labels: dict[str, str], value: float) -> None:
    assert scrape.value(name, **labels) == pytest.approx(value)


def test_a_process_that_is_down_has_no_stale_numbers() -> None:
    seen = collector()
    for name, fields in scene.statuses().items():
        if name != "writer":
            seen.take(*frame("status", name, **fields), NOW_S + 11)
    found = Scrape(seen.end_second(NOW_S + 11, NOW_MS + 11_000))
    assert found.value("process_up", process="writer") == 0
    assert found.value("healthy") == 0
    assert found.value("problems", condition="process", severity="failure") == 1
    names = {name.removeprefix("binance_streamer_") for name, _ in found.series()}
    assert "writer_rows_total" not in names
    assert "disk_free_bytes" not in names


def test_a_book_that_was_not_valid_when_the_monitor_started_has_its_metric() -> None:
    seen = collector(scene.YAML.replace("orderbook: {enabled: false}", "orderbook: {enabled: true}"))
    seen.take(*frame("status", "orderbook", books={"BTCUSDT": {"valid": False, "state": "unreliable"}}), NOW_S)
    assert Scrape(seen.end_second(NOW_S, NOW_MS)).value("book_valid", **BTC) == 0


def test_before_anything_is_heard_there_are_no_series_but_the_age() -> None:
    assert list(Scrape(None, 3).series()) == [("binance_streamer_snapshot_age_seconds", ())]


def test_klines_of_two_contracts_are_two_streams() -> None:
    suffixes = ("perpetual@continuousKline_1m", "current_quarter@continuousKline_1m")
    names = ("btcusdt_perpetual@continuousKline_1m", "btcusdt_current_quarter@continuousKline_1m")
    streams = {
        names[0]: stream_status(rows=11, patience_s=300.0, silent_s=900.0, state="stale"),
        names[1]: stream_status(rows=22, patience_s=300.0),
    }
    seen = collector(scene.YAML.replace("aggTrade, depth@0ms", ", ".join(suffixes)), ingest={"streams": streams})
    for number, name in enumerate((*names, names[0])):
        gap_id = f"1-{number}"
        gap = frame("gap", "BTCUSDT", gap_id=gap_id, stream=name, state="open", from_ns=NOW_NS, to_ns=NOW_NS)
        seen.take(*gap, NOW_S)
    snapshot = seen.end_second(NOW_S, NOW_MS)
    assert [problem.what for problem in snapshot.page.problems] == [f"BTCUSDT {suffixes[0]}"]
    assert verdict_of(snapshot, 0).streams == {"BTCUSDT": {suffixes[0]: "stale", suffixes[1]: "live"}}
    scraped = Scrape(snapshot)
    for name, values in {"messages_total": (11, 22), "stream_recorded": (0, 1), "gaps_total": (2, 1)}.items():
        assert tuple(scraped.value(name, **BTC, stream=suffix) for suffix in suffixes) == values


def test_strangers_on_the_bus_never_become_labels() -> None:
    def scraped(seen: object) -> list[tuple[str, tuple[tuple[str, str], ...]]]:
        assert isinstance(seen, type(collector()))
        return list(Scrape(seen.end_second(NOW_S, NOW_MS)).series())

    seen = collector()
    fields = scene.statuses()["ingest-BTCUSDT"]
    for number in range(300):
        evil = f"EVIL{number}"
        seen.take(*frame("status", f"ingest-{evil}", **fields), NOW_S)
        seen.take(*frame("aggtrade", evil, event=b"{}"), NOW_S)
        seen.take(*frame("orderbook", evil, valid=True), NOW_S)
        gap = {"gap_id": evil, "stream": f"btcusdt@{evil}", "state": evil, "from_ns": NOW_NS, "reason": evil}
        seen.take(*frame("gap", "BTCUSDT", **gap), NOW_S)  # type: ignore[arg-type]
        seen.take(*frame("gap", evil, **gap), NOW_S)  # type: ignore[arg-type]
    strange = {
        **fields,
        "streams": {**fields["streams"], **{f"btcusdt@evil{number}": scene.stream_status() for number in range(300)}},
        "connections": [scene.link(number, f"evil{number}", ordinal=number) for number in range(300)]
        + [scene.link(number, "public", ordinal=number) for number in range(-5, 300)],
        "opened": {f"evil{number}": 1 for number in range(300)},
    }
    seen.take(*frame("status", "ingest-BTCUSDT", **strange), NOW_S)
    seen.take(*frame("status", "rest", **{**scene.statuses()["rest"], "state": "evil"}), NOW_S)
    text = str(scraped(seen)).lower()
    assert "evil" not in text
    more = set(scraped(seen)) - set(scraped(collector()))
    assert {dict(labels).get("stream") for _, labels in more} <= {"other", None}
    assert len(more) <= 1 + 3 * 2  # gaps in other streams, and three more connections of a route
