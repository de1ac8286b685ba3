"""Gap rows against rows, where one may differ from the other: new counts, power cuts, parts, restarts."""

from typing import Any

import pyarrow as pa

from binance_streamer.days.checks.facts import StreamPass
from binance_streamer.days.checks.finding import Finding
from binance_streamer.days.checks.gaps import compare_runs, newest_gaps
from binance_streamer.days.checks.numbering import RunFacts
from binance_streamer.days.schema import table_schema
from binance_streamer.health.gaps import GapRow

SECOND_NS = 10**9


def trades(*rows: tuple[int, int], epoch: int = 1) -> pa.Table:
    """Rows of (id, receive stamp in s), sorted by id."""
    listed: list[dict[str, Any]] = [
        {"id": number, "recv_ns": at * SECOND_NS, "epoch": epoch, "seq": place, "source": "ws"}
        for place, (number, at) in enumerate(sorted(rows, key=lambda row: row[1]), start=1)
    ]
    return pa.Table.from_pylist(sorted(listed, key=lambda row: row["id"]), schema=table_schema("trade"))


def gap(from_id: int | None, to_id: int | None, from_s: int, to_s: int, **values: Any) -> GapRow:
    fields: dict[str, Any] = {"gap_id": "g", "symbol": "BTCUSDT", "stream": "btcusdt@trade", "reason": "sequence"}
    fields |= {"state": "unrepairable", "from_ns": from_s * SECOND_NS, "to_ns": to_s * SECOND_NS}
    return GapRow(from_id=from_id, to_id=to_id, **{**fields, **values})


def findings(table: pa.Table, *gaps: GapRow, stem: str = "trade") -> list[tuple[str, int | None]]:
    watched = StreamPass(stem, "f", gaps)
    watched.take(table)
    return [(finding.check, finding.id) for finding in watched.findings()]


def test_ids_that_went_back_are_two_counts() -> None:
    table = trades((101, 1), (102, 2), (103, 3), (1, 10), (2, 11), (3, 12))
    went_back = gap(103, 0, 3, 10, reason="ids went back")
    assert findings(table, went_back) == []
    assert findings(table) == [("gaps", 100)]


def test_a_hole_within_a_count_is_kept() -> None:
    watched = StreamPass("trade", "f", [gap(103, 0, 3, 10, reason="ids went back")])
    watched.take(trades((101, 1), (103, 3), (1, 10), (3, 12)))
    assert [(hole.from_id, hole.to_id) for hole in watched.facts().holes] == [(101, 102), (1, 2)]


def test_after_a_power_cut_a_restart_may_begin_before_the_last_row() -> None:
    table = trades((1, 1), (2, 2), (3, 3), (7, 9))
    assert findings(table, gap(1, 6, 1, 9, reason="restart")) == []
    assert findings(table, gap(1, 6, 1, 9, reason="disconnected")) == [("gaps", 2)]


def test_parts_of_a_repaired_gap_that_are_listed_by_themselves_are_no_fault() -> None:
    table = trades((1, 1), (2, 5), (3, 5), (6, 9))
    repaired = gap(1, 3, 1, 9, state="repaired", first_from_id=1, first_to_id=5)
    assert findings(table, repaired, gap(3, 5, 1, 9, gap_id="h")) == []
    assert findings(table, repaired) == [("gaps", 5), ("gaps", 5)]


def test_a_hole_in_a_time_that_is_listed_without_ids_is_listed() -> None:
    table = trades((1, 1), (5, 9))
    assert findings(table, gap(None, None, 1, 9, reason="file damaged")) == []
    assert findings(table, gap(None, None, 1, 8, reason="file damaged")) == [("gaps", 4)]


def marks(*rows: tuple[int, int]) -> pa.Table:
    """Mark prices of (epoch, receive stamp in s)."""
    listed = [{"recv_ns": at * SECOND_NS, "epoch": epoch, "seq": at, "source": "ws"} for epoch, at in rows]
    return pa.Table.from_pylist(listed, schema=table_schema("markprice"))


def test_a_restart_of_a_stream_without_ids_has_a_gap_row() -> None:
    table = marks((1, 1), (1, 2), (2, 5), (2, 6))
    outage = gap(None, None, 2, 5, stream="btcusdt@markPrice@1s", reason="restart")
    assert findings(table, outage, stem="markprice") == []
    assert findings(table, stem="markprice") == [("gaps", None)]


def test_the_newest_row_of_a_gap_counts() -> None:
    common = {"gap_id": "a", "stream": "btcusdt@aggTrade", "from_ns": 1, "to_ns": 9, "to_id": 5}
    rows = [{**common, "state": "open", "from_id": 1}, {**common, "state": "repaired", "from_id": 3}]
    (newest,) = newest_gaps("BTCUSDT", [pa.Table.from_pylist(rows, schema=table_schema("gap"))])
    assert (newest.state, newest.from_id) == ("repaired", 3)


def test_findings_of_one_kind_are_bounded() -> None:
    table = trades(*((2 * number, number) for number in range(1, 500)))
    watched = StreamPass("trade", "f", [])
    watched.take(table)
    found: list[Finding] = watched.findings()
    assert len(found) == 101
    assert found[-1].text == "and 398 more of this kind"


def test_a_restart_without_a_gap_is_a_fault_but_for_a_takeover() -> None:
    runs = [RunFacts(1, 3, 10, 20), RunFacts(2, 3, 30, 40)]
    (found,) = compare_runs("bookticker", "f", runs, [])
    assert "epoch 1 to 2" in found.text
    assert compare_runs("bookticker", "f", runs, [], frozenset({2})) == []
    assert len(compare_runs("bookticker", "f", runs, [], frozenset({1}))) == 1
