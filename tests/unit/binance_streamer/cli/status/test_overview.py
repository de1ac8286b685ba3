from typing import Any

from rich.console import Console

from binance_streamer.cli.status.overview import Overview, StreamRow
from binance_streamer.cli.status.screen import picture, size, summary

INGEST: dict[str, Any] = {
    "producer": "ingest-BTCUSDT",
    "streams": {
        "btcusdt@depth@0ms": {
            "messages": 120, "rate": 20.5, "last_id": 77, "gaps": 1, "latency_ms": -3.25, "state": "live",
        },
        "btcusdt@aggTrade": {
            "messages": 30, "rate": 0.0, "last_id": None, "gaps": 0, "latency_ms": None, "state": "waiting",
        },
    },
    "journal": {"unacknowledged_bytes": 2_500_000},
}  # fmt: skip
WRITER: dict[str, Any] = {"producer": "writer", "rows": 140, "state": "recording", "streams": {"BTCUSDT/depth": 100}}


def overview(*statuses: dict[str, Any]) -> Overview:
    found = Overview()
    for status in statuses:
        found.take(status)
    return found


def test_streams_are_listed_by_symbol_and_stream() -> None:
    assert overview(INGEST, WRITER).streams == [
        StreamRow("BTCUSDT", "aggTrade", 30, 0.0, None, 0, None, "waiting"),
        StreamRow("BTCUSDT", "depth@0ms", 120, 20.5, 77, 1, -3.25, "live"),
    ]


def test_the_newest_status_of_a_process_counts() -> None:
    found = overview(WRITER, {**WRITER, "rows": 150})
    assert found.rows == 150


def test_counts_do_not_shrink_when_a_process_is_started_again() -> None:
    found = overview({**WRITER, "epoch": 1}, {**INGEST, "epoch": 1}, {**WRITER, "epoch": 2, "rows": 5})
    assert (found.rows, found.messages, found.restarts) == (145, 150, 1)
    found.take({**WRITER, "epoch": 2, "rows": 25})
    found.take({**INGEST, "epoch": 7})
    assert (found.rows, found.messages, found.restarts) == (165, 300, 2)


def test_what_was_not_kept_is_counted_over_restarts() -> None:
    full = {"not_journalled": 7, "refused_frames": 1}
    found = overview(
        {**INGEST, "epoch": 1, "journal": full}, {**INGEST, "epoch": 2, "journal": {"not_journalled": 4}}, WRITER
    )
    assert [line.partition(",")[0] for line in found.losses] == ["ingest-BTCUSDT: 12 messages were not kept"]
    found.take({**WRITER, "gaps": 2})
    assert [line[:15] for line in found.losses] == ["ingest-BTCUSDT:", "writer: 2 holes"]


def test_where_everything_was_kept_nothing_is_lost() -> None:
    assert overview({**INGEST, "epoch": 1}, {**INGEST, "epoch": 2}, WRITER).losses == []


def test_the_summary_adds_up_all_streams() -> None:
    assert summary(overview(INGEST, WRITER)) == (
        "150 messages, 20/s, 140 rows, 1 gaps, latency -3.2 ms, backlog 2.5 MB, writer recording"
    )


def test_nothing_heard_is_no_recording() -> None:
    assert summary(overview()) == "0 messages, 0/s, 0 rows, 0 gaps, latency - ms, backlog 0 B, writer unknown"


def test_a_status_of_another_shape_counts_as_nothing() -> None:
    odd: dict[str, Any] = {"producer": "x", "streams": {"a": 3, "b": {"messages": "many"}}, "journal": 5, "rows": "?"}
    found = overview(odd)
    assert (found.messages, found.rows, found.backlog_bytes) == (0, 0, 0)


def test_the_table_shows_every_stream() -> None:
    console = Console(width=120, record=True)
    with console.capture() as captured:
        console.print(picture(overview(INGEST, WRITER)))
    lines = captured.get().splitlines()
    assert lines[0].split() == [
        "symbol",
        "stream",
        "messages",
        "rate/s",
        "last",
        "id",
        "gaps",
        "latency",
        "ms",
        "state",
    ]
    assert lines[1].split() == ["BTCUSDT", "aggTrade", "30", "0.0", "-", "0", "-", "waiting"]
    assert lines[2].split() == ["BTCUSDT", "depth@0ms", "120", "20.5", "77", "1", "-3.2", "live"]


def test_sizes_are_short() -> None:
    assert [size(number) for number in (0, 999, 1000, 1_234_567, 5_000_000_000)] == [
        "0 B",
        "999 B",
        "1.0 kB",
        "1.2 MB",
        "5.0 GB",
    ]


def test_why_workers_have_no_connection_is_told_once_for_all() -> None:
    overview = Overview()
    for symbol in ("BTCUSDT", "ETHUSDT"):
        overview.take({"producer": f"ingest-{symbol}", "failing": {"public": "dns: no host", "market": "dns: no host"}})
    assert overview.not_connected == ["not connected: dns: no host; `binance-streamer doctor` looks closer"]
    overview.take({"producer": "ingest-BTCUSDT", "failing": {}})
    overview.take({"producer": "ingest-ETHUSDT", "failing": {}})
    assert overview.not_connected == []
