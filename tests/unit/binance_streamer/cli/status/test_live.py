from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from binance_streamer.cli.status.live import LiveStatus, StreamTotals
from binance_streamer.cli.status.screen import stream_table, summary
from binance_streamer.config import schema as configuration

YAML = """
mode: development
modes:
  development:
    symbols: [{symbol: BTCUSDT, streams: [aggTrade, depth@0ms]}]
orderbook: {enabled: false}
monitor: {enabled: false}
"""


def a_status(producer: str, **fields: Any) -> dict[str, Any]:
    return {"producer": producer, "epoch": 1, "recv_ns": 1, **fields}


INGEST = a_status(
    "ingest-BTCUSDT",
    streams={
        "btcusdt@depth@0ms": {
            "messages": 120, "rows": 110, "rate": 20.5, "last_id": 77, "gaps": 1, "latency_ms": -3.25, "state": "live",
        },
        "btcusdt@aggTrade": {
            "messages": 30, "rows": 30, "rate": 0.0, "last_id": None, "latency_ms": None, "state": "live",
        },
    },
    connections=[{"connection": 1, "route": route, "state": "delivering"} for route in ("public", "market")],
    journal={"unacknowledged_bytes": 2_500_000},
)  # fmt: skip
WRITER = a_status("writer", rows=140, state="recording")


@pytest.fixture
def live(tmp_path: Path) -> LiveStatus:
    path = tmp_path / "streamer.yaml"
    path.write_text(YAML)
    return LiveStatus(configuration.load(path), path)


def taken(live: LiveStatus, *statuses: dict[str, Any]) -> LiveStatus:
    for status in statuses:
        live.take(status)
    return live


def test_the_newest_status_of_a_process_counts(live: LiveStatus) -> None:
    assert taken(live, WRITER, {**WRITER, "rows": 150}).totals.rows == 150


def test_counts_do_not_shrink_when_a_process_is_started_again(live: LiveStatus) -> None:
    totals = taken(live, WRITER, INGEST, {**WRITER, "epoch": 2, "rows": 5}).totals
    assert (totals.rows, totals.messages, totals.restarts) == (145, 150, 1)
    taken(live, {**WRITER, "epoch": 2, "rows": 25}, {**INGEST, "epoch": 7})
    assert (totals.rows, totals.messages, totals.restarts) == (165, 300, 2)


def test_rows_and_gaps_of_a_stream_do_not_shrink_when_its_worker_is_started_again(live: LiveStatus) -> None:
    again = {"btcusdt@depth@0ms": {"messages": 9, "rows": 7, "gaps": 2, "state": "live"}}
    taken(live, INGEST, WRITER, {**INGEST, "epoch": 2, "streams": again})
    assert live.totals.stream("BTCUSDT", "depth@0ms") == StreamTotals(rows=117, gaps=3)
    assert live.totals.stream("BTCUSDT", "aggTrade") == StreamTotals(rows=30, gaps=0)
    assert [line.split()[:7] for line in drawn(live, 9)[1:3]] == [
        ["BTCUSDT", "aggTrade", "30", "0.0", "-", "0", "-"],
        ["BTCUSDT", "depth@0ms", "117", "0.0", "-", "3", "-"],
    ]
    assert ", 3 gaps, " in summary(live.snapshot(), live.totals)


def test_why_something_is_not_recorded_stands_below_the_table(live: LiveStatus) -> None:
    failing = {"market": "cannot resolve fstream.example: Name or service not known"}
    taken(live, WRITER, {**INGEST, "connections": [], "failing": failing})
    assert (
        "BTCUSDT aggTrade: no connection of /market: cannot resolve fstream.example: Name or service not known"
        in drawn(live, 9)
    )
    assert len(drawn(live, 2)) == 6  # the heading, two streams, the summary, one line for each of two routes


def test_what_was_not_kept_is_counted_over_restarts(live: LiveStatus) -> None:
    full = {"not_journalled": 7, "refused_frames": 1}
    totals = taken(
        live, {**INGEST, "journal": full}, {**INGEST, "epoch": 2, "journal": {"not_journalled": 4}}, WRITER
    ).totals
    assert [line.partition(",")[0] for line in totals.losses] == ["ingest-BTCUSDT: 12 messages were not kept"]
    taken(live, {**WRITER, "gaps": 2})
    assert [line[:15] for line in totals.losses] == ["ingest-BTCUSDT:", "writer: 2 holes"]


def test_where_everything_was_kept_nothing_is_lost(live: LiveStatus) -> None:
    assert taken(live, INGEST, {**INGEST, "epoch": 2}, WRITER).totals.losses == []


def test_the_summary_adds_up_all_streams(live: LiveStatus) -> None:
    taken(live, INGEST, WRITER)
    assert summary(live.snapshot(), live.totals) == (
        "150 messages, 20/s, 140 rows, 1 gaps, latency -3.2 ms, backlog 2.5 MB, writer recording"
    )


def test_nothing_heard_is_no_recording(live: LiveStatus) -> None:
    assert summary(live.snapshot(), live.totals) == (
        "0 messages, 0/s, 0 rows, 0 gaps, latency - ms, backlog 0 B, writer not heard yet"
    )


def test_a_status_of_another_shape_counts_as_nothing(live: LiveStatus) -> None:
    taken(live, a_status("ingest-BTCUSDT", streams={"a": 3}, journal=5), a_status("writer", rows="?"))
    assert (live.totals.messages, live.totals.rows, live.snapshot().backlog_bytes) == (0, 0, 0)


def test_the_table_shows_every_stream(live: LiveStatus) -> None:
    taken(live, INGEST, WRITER)
    console = Console(width=120, record=True)
    with console.capture() as captured:
        console.print(stream_table(live.snapshot(), live.totals))
    lines = captured.get().splitlines()
    assert lines[0].split() == ["symbol", "stream", "rows", "rate/s", "last", "id", "gaps", "latency", "ms", "state"]
    assert lines[1].split() == ["BTCUSDT", "aggTrade", "30", "0.0", "-", "0", "-", "live"]
    assert lines[2].split() == ["BTCUSDT", "depth@0ms", "110", "20.5", "77", "1", "-3.2", "live"]


def test_a_symbol_that_is_added_while_it_records_is_shown_and_counted(live: LiveStatus, tmp_path: Path) -> None:
    taken(live, INGEST)
    text = YAML.replace("depth@0ms]}]", "depth@0ms]}, {symbol: ETHUSDT, streams: [aggTrade]}]")
    (tmp_path / "streamer.yaml").write_text(text)
    streams = {"ethusdt@aggTrade": {"messages": 5, "rows": 5, "state": "live"}}
    taken(live, a_status("ingest-ETHUSDT", streams=streams))
    assert live.totals.messages == 155
    assert [symbol.symbol for symbol in live.snapshot().symbols] == ["BTCUSDT", "ETHUSDT"]


def drawn(live: LiveStatus, room: int) -> list[str]:
    console = Console(width=200, color_system=None)
    with console.capture() as capture:
        console.print(stream_table(live.snapshot(), live.totals, room))
    return capture.get().splitlines()


def test_more_streams_than_lines_leave_the_summary_visible(live: LiveStatus) -> None:
    taken(live, WRITER, INGEST)
    assert [line.split()[:2] for line in drawn(live, 2)[1:3]] == [["BTCUSDT", "aggTrade"], ["BTCUSDT", "depth@0ms"]]
    _, stream, summed, *_ = drawn(live, 1)
    assert stream.split() == ["…", "2", "more", "streams"]
    assert summed.startswith("150 messages")


def test_it_is_news_which_worker_records_which_could_go_on_and_that_it_does(live: LiveStatus) -> None:
    first = {**INGEST, "pid": 11}
    waiting = {**a_status("standby-BTCUSDT"), "pid": 12, "state": "standby", "is_warm": False}
    taken(live, first, waiting)
    assert live.take_news() == []
    taken(live, {**waiting, "is_warm": True}, {**waiting, "is_warm": True})
    assert live.take_news() == ["BTCUSDT: worker 11 records, and 12 could go on at once"]
    taken(live, {**INGEST, "pid": 12, "epoch": 2, "took_over_ms": 84.6}, {**INGEST, "pid": 12, "epoch": 2})
    assert live.take_news() == ["BTCUSDT: worker 12 goes on with the journal of 11, after 85 ms"]
    assert live.take_news() == []


def test_a_worker_that_is_started_again_and_had_not_waited_is_no_handover(live: LiveStatus) -> None:
    taken(live, {**INGEST, "pid": 11}, {**INGEST, "pid": 12, "epoch": 2})
    assert live.take_news() == []
