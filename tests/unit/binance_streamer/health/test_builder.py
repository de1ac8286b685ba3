"""The snapshot of a recording, from status messages and gaps."""

import re
from pathlib import Path
from typing import Any

import pytest

from binance_streamer.config import schema as configuration
from binance_streamer.config.schema import Config
from binance_streamer.health.builder import PLAIN_STATES
from binance_streamer.health.gaps import NO_GAPS, GapSummary, GapTotals
from binance_streamer.health.observer import Observer
from binance_streamer.health.snapshot import Snapshot
from tests.support.data import REPOSITORY

S = 10**9
NOW_NS = 1_790_000_000 * S


@pytest.fixture
def config(tmp_path: Path) -> Config:
    text = """
mode: development
modes:
  development:
    symbols: [{symbol: BTCUSDT, streams: [aggTrade, depth@0ms]}, {symbol: 龙虾USDT, streams: [trade]}]
orderbook: {enabled: false}
monitor: {enabled: false}
"""
    return configuration.parse(text, tmp_path / "streamer.yaml")


def a_status(producer: str, **fields: Any) -> dict[str, Any]:
    return {"producer": producer, "epoch": 1, "recv_ns": NOW_NS, "pid": 7, "up_s": 3600.0, **fields}


def a_stream(**fields: Any) -> dict[str, Any]:
    return {
        "messages": 10,
        "rows": 9,
        "rate": 2.5,
        "last_recv_ns": NOW_NS - 2 * S,
        "state": "live",
        "patience_s": 60.0,
        **fields,
    }


def a_snapshot(config: Config, *statuses: dict[str, Any], gaps: GapSummary = NO_GAPS) -> Snapshot:
    observer = Observer(config)
    for data in statuses:
        observer.take(data, 0.0)
    return observer.snapshot(gaps, 0.5, NOW_NS // 10**6)


def all_statuses() -> list[dict[str, Any]]:
    link = {"connection": 1, "state": "delivering"}
    return [
        a_status("bus"),
        a_status(
            "writer", state="recording", rows=5, bytes=36 * 10**9, disk_free_bytes=864 * 10**9, disk_total_bytes=10**12
        ),
        a_status("rest", state="answered", clock_offset_ms=-3.0, clock_error_ms=2.0),
        a_status(
            "ingest-BTCUSDT",
            streams={"btcusdt@aggTrade": a_stream(), "btcusdt@depth@100ms": a_stream(messages=3)},
            connections=[{**link, "route": "public"}, {**link, "route": "market"}],
            journal={"unacknowledged_bytes": 100, "unacknowledged_s": 1.5},
        ),
        a_status(
            "ingest-龙虾USDT",
            streams={"龙虾usdt@trade": a_stream()},
            connections=[{**link, "route": "public"}],
            journal={"unacknowledged_bytes": 11, "unacknowledged_s": 4.0},
        ),
    ]


def test_a_whole_recording(config: Config) -> None:
    depth, trades = (
        GapTotals(listed=2, repaired=1, open=1),
        GapTotals(listed=1, unrepairable=1, unrepairable_messages=7),
    )
    gaps = GapSummary(
        GapTotals(listed=3),
        {"BTCUSDT": depth},
        {("BTCUSDT", "btcusdt@depth@100ms"): depth, ("龙虾USDT", "龙虾usdt@trade"): trades},
    )
    found = a_snapshot(config, *all_statuses(), gaps=gaps)
    assert found.healthy
    streams = [(symbol.symbol, stream) for symbol in found.symbols for stream in symbol.streams]
    assert [(symbol, one.stream, one.state, one.messages, one.received, one.age_s) for symbol, one in streams] == [
        ("BTCUSDT", "aggTrade", "live", 9, 10, 2.0),
        ("BTCUSDT", "depth@100ms", "live", 9, 3, 2.0),
        ("龙虾USDT", "trade", "live", 9, 10, 2.0),
    ]
    assert [one.gaps for _, one in streams] == [GapTotals(), depth, trades]
    assert [symbol.gaps for symbol in found.symbols] == [depth, GapTotals()]
    assert found.gaps == GapTotals(listed=3)
    assert (found.backlog_bytes, found.backlog_s) == (111, 4.0)
    assert found.disk is not None
    assert (found.disk.free_bytes, found.disk.days_left) == (864 * 10**9, 1.0)
    assert (found.clock.offset_ms, found.clock.error_ms) == (-3.0, 2.0)
    assert [(one.name, one.kind, one.up, one.state, one.detail) for one in found.processes] == [
        ("bus", "bus", True, "running", ""),
        ("writer", "writer", True, "recording", "5 rows, 36.0 GB"),
        ("rest", "rest", True, "ok", "0 snapshots, 0 of 0 weight"),
        ("ingest-BTCUSDT", "ingest", True, "recording", "2 of 2 connections open"),
        ("ingest-龙虾USDT", "ingest", True, "recording", "1 of 1 connections open"),
    ]


def test_a_worker_that_is_not_heard_is_not_recording(config: Config) -> None:
    found = a_snapshot(config, *all_statuses()[:-1])
    assert not found.healthy
    (stream,) = found.symbols[1].streams
    assert (stream.state, stream.why) == ("unknown", "its worker is not heard")
    assert [(one.what, one.severity) for one in found.problems if one.condition == "process"] == [
        ("ingest-龙虾USDT", "failure")
    ]
    assert (found.processes[-1].up, found.processes[-1].state) == (False, "not heard yet")


@pytest.mark.parametrize(
    ("kernel", "words"),
    [("in use", "0 rows, 0 B, compiled"), ("not built", "0 rows, 0 B, in Python alone"), ("", "0 rows, 0 B")],
)
def test_the_writer_says_how_it_makes_rows(config: Config, kernel: str, words: str) -> None:
    found = a_snapshot(config, a_status("writer", state="recording", kernel=kernel))
    assert [one.detail for one in found.processes if one.name == "writer"] == [words]


def test_a_process_that_falls_silent_is_down_and_its_numbers_are_gone(config: Config) -> None:
    observer = Observer(config)
    observer.take(a_status("writer", state="recording", disk_free_bytes=1, disk_total_bytes=2), 0.0)
    found = observer.snapshot(NO_GAPS, 10.5, NOW_NS // 10**6)
    assert [(one.state, one.pid) for one in found.processes if one.name == "writer"] == [("down", None)]
    assert found.disk is None


def test_every_word_that_is_shown_stands_in_the_table_of_the_page() -> None:
    page = (REPOSITORY / "docs" / "monitoring.md").read_text(encoding="utf-8")
    states = re.findall(r"^\| `([a-z ]+)` \|", page.partition("## Words")[2].partition("\n## ")[0], flags=re.MULTILINE)
    source = (REPOSITORY / "binance_streamer" / "health" / "stream_states.py").read_text(encoding="utf-8")
    of_streams = re.findall(r"^\| `([a-z ]+)` \|", source, flags=re.MULTILINE)
    assert len(of_streams) == 11
    assert {*of_streams, *PLAIN_STATES.values()} <= set(states)
    assert len(states) == len(set(states))
