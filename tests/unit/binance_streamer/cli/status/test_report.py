"""What `status` says of a recording, from status messages and gap files."""

from pathlib import Path
from typing import Any

import pytest

from binance_streamer.cli.commands.status import duration
from binance_streamer.cli.recordings.gap_files import GapSummary, day_text, gaps_of
from binance_streamer.cli.status.report import Report, report_of
from binance_streamer.cli.supervisor.control import Process
from binance_streamer.config import schema as configuration
from binance_streamer.config.schema import Config
from binance_streamer.health.observer import Observer

S = 10**9
NOW_NS = 1_790_000_000 * S
GAP_HEADER = "gap_id,state,stream,from_id,to_id,from_ns,to_ns,reason,repaired_by,recv_ns,epoch,seq,source,extra\n"


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
    return {"messages": 10, "rate": 2.5, "last_recv_ns": NOW_NS - 2 * S, "state": "live", "patience_s": 60.0, **fields}


def a_report(config: Config, *statuses: dict[str, Any], gaps: dict[str, dict[str, GapSummary]] | None = None) -> Report:
    observer = Observer(config)
    for data in statuses:
        observer.take(data, 0.0)
    return report_of(
        config,
        observer.told,
        observer.health(0.5, NOW_NS // 10**6),
        supervisord_pid=1,
        processes=[Process("ingest-%E9%BE%99%E8%99%BEUSDT", "RUNNING", 7, "pid 7, uptime 0:01:40", 100.0)],
        gaps=gaps or {},
        ownerless_journals=[],
        now_ns=NOW_NS,
    )


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
    gaps = {
        "BTCUSDT": {"btcusdt@depth@100ms": GapSummary(2, 1, 0)},
        "龙虾USDT": {"龙虾usdt@trade": GapSummary(1, 0, 7)},
    }
    report = a_report(config, *all_statuses(), gaps=gaps)
    assert report.recording
    assert [(one.symbol, one.stream, one.state, one.messages, one.last_message_s) for one in report.streams] == [
        ("BTCUSDT", "aggTrade", "live", 10, 2.0),
        ("BTCUSDT", "depth@0ms", "live", 3, 2.0),
        ("龙虾USDT", "trade", "live", 10, 2.0),
    ]
    assert [one.gaps_today.listed for one in report.streams] == [0, 2, 1]
    assert report.gaps_today == GapSummary(3, 1, 7)
    assert (report.backlog_bytes, report.backlog_s) == (111, 4.0)
    assert report.disk is not None
    assert (report.disk.free_bytes, report.disk.days_left) == (864 * 10**9, 1.0)
    assert report.clock is not None
    assert (report.clock.offset_ms, report.clock.error_ms) == (-3.0, 2.0)
    assert [(one.name, one.says) for one in report.processes] == [
        ("ingest-%E9%BE%99%E8%99%BEUSDT", "1 of 1 connections")
    ]


def test_a_worker_that_says_nothing_is_not_recording(config: Config) -> None:
    report = a_report(config, *all_statuses()[:-1])
    assert not report.recording
    assert (report.streams[2].state, report.streams[2].why) == ("unknown", "its worker says nothing")
    assert [(one.what, one.severity) for one in report.problems if one.condition == "process"] == [
        ("ingest-龙虾USDT", "failure")
    ]
    assert report.processes[0].says is None


def test_a_gap_is_what_its_last_row_says(tmp_path: Path) -> None:
    folder = tmp_path / "%E9%BE%99%E8%99%BEUSDT"
    folder.mkdir()
    (folder / "gap_%E9%BE%99%E8%99%BEUSDT_20260921.csv").write_text(
        GAP_HEADER
        + "1,open,s@trade,5,9,1,2,sequence,,1,1,1,local,\n"
        + "2,open,s@trade,20,21,1,2,sequence,,1,1,2,local,\n"
        + '1,repaired,s@trade,5,9,1,2,"late, very",1,1,1,3,local,\n'
        + "3,unrepairable,s@depth,,,1,2,restart,,1,1,4,local,\n"
        + "4,open,s@tra"
    )
    assert gaps_of(tmp_path, "龙虾USDT", "20260921") == {"s@trade": GapSummary(2, 1, 1), "s@depth": GapSummary(1, 0, 0)}
    assert gaps_of(tmp_path, "龙虾USDT", "20260922") == {}
    assert day_text(1_790_000_000) == "20260921"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (42, "42 s"), (3599, "0:59:59"), (90_000, "1 d 1:00"), (99.9, "100 s")],
)
def test_durations_are_short(seconds: float, text: str) -> None:
    assert duration(seconds) == text
