"""Today's gaps: each once, by the newest word about it, whether it came by file or by bus."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from binance_streamer.exchange.streams import stream_of
from services.monitor.view.gap_files import GapFiles
from services.monitor.view.gaps import MAX_COUNTED, MAX_GAPS, GapCount, ListedGap, TodaysGaps, gap_of, gaps_of_rows

DAY_NS = 86_400 * 10**9
DAY = 20_783  # 2026-11-26
NOW_NS = DAY * DAY_NS + 12 * 3600 * 10**9
HEADER = "gap_id,state,stream,from_id,to_id,from_ns,to_ns,reason,repaired_by,recv_ns,epoch,seq,source,extra"


def message(**changes: Any) -> dict[str, Any]:
    return {
        "gap_id": "1-1",
        "symbol": "BTCUSDT",
        "stream": "btcusdt@aggTrade",
        "state": "open",
        "from_id": 10,
        "to_id": 13,
        "from_ns": NOW_NS - 5 * 10**9,
        "to_ns": NOW_NS,
        "reason": "sequence",
        "repaired_by": None,
        **changes,
    }


def gap(**changes: Any) -> ListedGap:
    found = gap_of(message(**changes))
    assert found is not None
    return found


def gaps() -> TodaysGaps:
    return TodaysGaps({"BTCUSDT": [stream_of("BTCUSDT", "aggTrade"), stream_of("BTCUSDT", "depth@0ms")]}, NOW_NS)


def test_a_gap_is_counted_once_and_its_repair_takes_what_it_missed() -> None:
    known = gaps()
    assert known.take(gap())
    assert not known.take(gap())
    assert known.counts() == {("BTCUSDT", "btcusdt@aggTrade"): GapCount(1, 3)}
    assert not known.take(gap(state="repaired", repaired_by="rest"))
    assert known.counts() == {("BTCUSDT", "btcusdt@aggTrade"): GapCount(1, 0)}
    assert not known.take(gap())  # a file that is behind the bus
    assert [part.state for part in known.newest()] == ["repaired"]
    assert known.seen == {("BTCUSDT", "btcusdt@aggTrade"): 1}


@pytest.mark.parametrize(
    ("stream", "from_id", "to_id", "missed"),
    [
        ("btcusdt@aggTrade", 10, 13, 3),
        ("btcusdt@trade", 10, 11, 1),
        ("btcusdt@kline_5m", 300_000, 1_200_000, 3),
        ("btcusdt@depth@0ms", 10, 99, None),
        ("btcusdt@aggTrade", None, 13, None),
        ("gap.BTCUSDT.", 10, 13, None),
    ],
)
def test_what_is_missing_is_known_where_ids_count_messages(
    stream: str, from_id: int | None, to_id: int | None, missed: int | None
) -> None:
    assert gap(stream=stream, from_id=from_id, to_id=to_id).missed == missed


def test_strangers_and_other_days_leave_nothing_behind() -> None:
    known = gaps()
    assert not known.take(gap(symbol="EVILUSDT"))
    assert not known.take(gap(from_ns=NOW_NS - 2 * DAY_NS, to_ns=NOW_NS - DAY_NS))
    assert gap_of({"gap_id": "1-1", "symbol": "BTCUSDT"}) is None
    assert gap_of(message(from_ns="soon")) is None
    assert (known.counts(), known.seen, known.newest()) == ({}, {}, ())


def test_what_was_recorded_before_the_monitor_ran_is_of_today_and_not_new() -> None:
    known = gaps()
    known.take(gap(to_ns=NOW_NS - 1))
    assert len(known.newest()) == 1
    assert known.seen == {}


def test_streams_that_are_not_configured_share_one_name() -> None:
    known = gaps()
    for number in range(50):
        known.take(gap(gap_id=str(number), stream=f"btcusdt@made_up_{number}"))
    assert list(known.seen) == [("BTCUSDT", "other")]


def test_a_day_has_a_bounded_number_of_gaps() -> None:
    known = gaps()
    for number in range(MAX_GAPS + 5):
        known.take(gap(gap_id=str(number)))
    assert known.counts()["BTCUSDT", "btcusdt@aggTrade"].gaps == MAX_GAPS
    assert known.seen["BTCUSDT", "btcusdt@aggTrade"] == MAX_GAPS + 5
    assert len(known.newest()) == 200


def test_midnight_begins_a_new_day() -> None:
    known = gaps()
    known.take(gap())
    known.roll(NOW_NS + 11 * 3600 * 10**9)
    assert len(known.newest()) == 1
    known.roll(NOW_NS + 12 * 3600 * 10**9)
    assert known.newest() == ()
    assert known.since_ns == (DAY + 1) * DAY_NS
    assert known.take(gap(from_ns=NOW_NS + 12 * 3600 * 10**9))


def test_a_gap_over_midnight_is_one_of_yesterday_and_new() -> None:
    known = gaps()
    midnight_ns = (DAY + 1) * DAY_NS
    known.roll(midnight_ns)
    assert not known.take(gap(from_ns=midnight_ns - 1, to_ns=midnight_ns + 1))
    assert not known.take(gap(from_ns=midnight_ns - 1, to_ns=midnight_ns + 1, state="repaired"))
    assert known.seen == {("BTCUSDT", "btcusdt@aggTrade"): 1}
    assert (known.counts(), known.newest()) == ({}, ())


def test_a_clock_that_is_set_back_over_midnight_counts_no_gap_again() -> None:
    known = gaps()
    known.take(gap())
    known.roll(NOW_NS + DAY_NS)
    known.roll(NOW_NS)
    assert known.take(gap())  # from the file
    assert known.seen == {("BTCUSDT", "btcusdt@aggTrade"): 1}


@pytest.mark.parametrize("many", [MAX_GAPS + 5, MAX_COUNTED + 5])
def test_gaps_are_counted_once_however_often_their_file_is_read(many: int) -> None:
    known = gaps()
    first = gap()
    rows = [first._replace(gap_id=str(number), to_ns=NOW_NS + number) for number in range(many)]
    for _ in range(3):
        for one in rows:
            known.take(one)
    assert known.seen == {("BTCUSDT", "btcusdt@aggTrade"): many}


def row(gap_id: str = "1-1", state: str = "open") -> str:
    return f"{gap_id},{state},btcusdt@aggTrade,10,13,{NOW_NS},,sequence,,{NOW_NS},1,1,local,"


def test_rows_of_a_file_are_gaps_and_half_a_row_is_none() -> None:
    found = gaps_of_rows("BTCUSDT", [HEADER, row(), row("1-2", "unrepairable"), "1-3,open,btc"])
    assert [(one.gap_id, one.state, one.missed, one.to_ns) for one in found] == [
        ("1-1", "open", 3, None),
        ("1-2", "unrepairable", 3, None),
    ]


def test_files_are_read_again_when_they_have_grown(tmp_path: Path) -> None:
    path = tmp_path / "BTCUSDT" / "gap_BTCUSDT_20261126.csv"
    path.parent.mkdir()
    files = GapFiles(tmp_path, ["BTCUSDT", "ETHUSDT"], DAY)
    assert files.read() == (DAY, [], "")
    path.write_text(f"{HEADER}\n{row()}\n1-2,open,half a r")
    assert [one.gap_id for one in files.read().gaps] == ["1-1"]
    assert files.read().gaps == []
    path.write_text(f"{HEADER}\n{row()}\n{row('1-2')}\n")
    assert [one.gap_id for one in files.read().gaps] == ["1-1", "1-2"]


@pytest.fixture
def short_cells() -> Iterator[None]:
    """The csv module's own limit, which readers of recordings have raised for the whole process."""
    before = csv.field_size_limit(131_072)
    yield
    csv.field_size_limit(before)


@pytest.mark.usefixtures("short_cells")
def test_a_file_that_cannot_be_read_hides_no_other_symbol_s(tmp_path: Path) -> None:
    texts = {"AUSDT": row(), "BUSDT": "x" * 200_000, "CUSDT": row("1-2")}
    for symbol, text in texts.items():
        path = tmp_path / symbol / f"gap_{symbol}_20261126.csv"
        path.parent.mkdir()
        path.write_text(f"{HEADER}\n{text}\n")
    (tmp_path / "DUSDT" / "gap_DUSDT_20261126.csv").mkdir(parents=True)
    found = GapFiles(tmp_path, ["DUSDT", *texts], DAY).read()
    assert [one.gap_id for one in found.gaps] == ["1-1", "1-2"]
    assert "gap_BUSDT" in found.fault


def test_of_a_large_file_the_end_is_read(tmp_path: Path) -> None:
    path = tmp_path / "BTCUSDT" / "gap_BTCUSDT_20261126.csv"
    path.parent.mkdir()
    path.write_text("\n".join([HEADER, *(row(str(number)) for number in range(60_000)), ""]))
    found = GapFiles(tmp_path, ["BTCUSDT"], DAY).read().gaps
    assert found[-1].gap_id == "59999"
    assert 10_000 < len(found) < 60_000
