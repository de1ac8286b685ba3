"""A book's messages across a hole, a snapshot that comes late, updates that come twice, and without any snapshot."""

from pathlib import Path

import polars as pl
import pytest

from binance_streamer.days import Recording
from binance_streamer.days.export.book_messages import CLEAR, SNAPSHOT, UPDATE, BookFeed
from binance_streamer.days.reading.book_times import chained
from tests.support.exports import export_day, received_at
from tests.support.recorded_days import START_MS, DayWriter, recv_ns


def runs_of(messages: BookFeed) -> list[tuple[int, int]]:
    """Return (kind, count) of the messages, those of one kind that follow one another together."""
    found: list[tuple[int, int]] = []
    for table in messages:
        kind = table["kind"][0].as_py()
        if found and found[-1][0] == kind:
            found[-1] = kind, found[-1][1] + len(table)
        else:
            found.append((kind, len(table)))
    return found


def test_a_hole_clears_the_book_and_the_next_snapshot_begins_it_anew(tmp_path: Path) -> None:
    """Updates 90 and 91 are missing; the snapshot behind 95 has what 92 to 95 changed. Nobody needs the third."""
    messages = BookFeed(export_day(tmp_path))
    assert runs_of(messages) == [(SNAPSHOT, 1), (UPDATE, 90), (CLEAR, 1), (SNAPSHOT, 1), (UPDATE, 84)]
    assert (messages.skipped, messages.holes, messages.snapshots) == (4, 1, 2)


def test_times_of_a_book_never_go_back(tmp_path: Path) -> None:
    """The snapshot is received a minute late, and so the updates behind it count from then."""
    writer = DayWriter()
    late = recv_ns(START_MS + 60_000)
    writer.lines["snapshot"][0] = received_at(writer.lines["snapshot"][0], late)
    tables = list(BookFeed(export_day(tmp_path, writer)))
    stamps = [stamp for table in tables for stamp in table["local_ns"].to_pylist()]
    assert stamps == sorted(stamps)
    assert stamps[:61] == [late] * 61
    assert stamps[61] == recv_ns(START_MS + 60_300)


def test_an_update_that_came_twice_counts_once(tmp_path: Path) -> None:
    writer = DayWriter()
    again = received_at(writer.lines["depth"][20], recv_ns(START_MS + 90_000))
    writer.lines["depth"].insert(40, again)
    messages = BookFeed(export_day(tmp_path, writer))
    assert runs_of(messages)[:2] == [(SNAPSHOT, 1), (UPDATE, 90)]


def test_updates_that_no_snapshot_leads_to_are_left_out(tmp_path: Path) -> None:
    writer = DayWriter()
    del writer.lines["snapshot"][:2]
    messages = BookFeed(export_day(tmp_path, writer))
    assert runs_of(messages) == [(SNAPSHOT, 1), (UPDATE, 9)]
    assert messages.skipped == 178 - 9


def test_a_day_without_snapshots_has_no_book(tmp_path: Path) -> None:
    writer = DayWriter()
    del writer.lines["snapshot"]
    assert list(BookFeed(export_day(tmp_path, writer))) == []


@pytest.mark.parametrize("lost", [(), (30,), (0, 60, 61, 94, 96, 120)])
def test_exports_and_reading_know_the_book_behind_the_same_updates(tmp_path: Path, lost: tuple[int, ...]) -> None:
    """Of an update that the snapshot has, the export has the snapshot instead (docs/decisions/0066)."""
    writer = DayWriter()
    writer.lines["depth"] = [line for place, line in enumerate(writer.lines["depth"]) if place not in lost]
    day = export_day(tmp_path, writer)
    exported = {
        ns // 10**6
        for table in BookFeed(day)
        if table["kind"][0].as_py() == UPDATE
        for ns in table["exchange_ns"].to_pylist()
    }
    recording = Recording(tmp_path / "data")
    updates = recording.scan("depth", "BTCUSDT").collect()
    rows = chained(updates, recording.scan("snapshot", "BTCUSDT").collect())
    known = rows.filter(pl.col("base_id").is_not_null(), pl.col("final_update_id") != pl.col("base_id"))
    times = set(known["transact_time"].dt.epoch("ms").to_list())
    in_snapshot = rows.filter(pl.col("final_update_id") == pl.col("base_id"))["transact_time"].dt.epoch("ms")
    assert exported - times <= set(in_snapshot.to_list())
    assert times <= exported
    assert len(times) >= 9
