"""Gaps are what all their rows together say, in whatever order these come."""

from typing import Any

import pytest

from binance_streamer.health.gaps import (
    GapRow,
    GapTotals,
    fold,
    folded,
    gap_row,
    rows_of_lines,
    stem_of_gap,
    summary_of,
    totals_of,
)

S = 10**9
HEADER = "gap_id,state,stream,from_id,to_id,from_ns,to_ns,reason,repaired_by,recv_ns,epoch,seq,source,extra"


def row(**changes: Any) -> GapRow:
    values: dict[str, Any] = {
        "gap_id": "1", "symbol": "BTCUSDT", "stream": "btcusdt@aggTrade", "state": "open", "from_id": 10, "to_id": 13,
        "from_ns": 5 * S, "to_ns": 7 * S, "reason": "sequence",
    }  # fmt: skip
    found = gap_row({**values, **changes})
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("stream", "from_id", "to_id", "missing"),
    [
        ("btcusdt@aggTrade", 10, 13, 3),
        ("btcusdt@trade", 10, 11, 1),
        ("btcusdt@kline_5m", 300_000, 1_200_000, 3),
        ("btcusdt@depth@0ms", 10, 99, None),
        ("btcusdt@aggTrade", None, 13, None),
        ("gap.BTCUSDT.", 10, 13, None),
    ],
)
def test_messages_are_counted_where_ids_count_them(
    stream: str, from_id: int | None, to_id: int | None, missing: int | None
) -> None:
    gap = fold(None, row(stream=stream, from_id=from_id, to_id=to_id))
    assert (gap.first_messages, gap.missing_messages) == (missing, missing)


def test_the_order_of_the_rows_of_a_gap_changes_nothing() -> None:
    first, smaller, last = row(), row(from_id=12, from_ns=6 * S), row(state="unrepairable", from_id=12, from_ns=6 * S)
    (one,), (other,) = folded([first, smaller, last]), folded([last, smaller, first])
    assert (one.first_messages, one.missing_messages) == (other.first_messages, other.missing_messages) == (3, 1)
    assert (one.newest.state, other.newest.state) == ("unrepairable", "unrepairable")
    assert one.first.from_ns == other.first.from_ns == 5 * S


def test_a_repaired_gap_misses_nothing_and_keeps_its_first_size() -> None:
    (gap,) = folded([row(), row(from_id=12), row(state="repaired", from_id=12)])
    assert (gap.first_messages, gap.missing_messages) == (3, 0)


def test_the_last_row_of_a_gap_alone_says_its_first_size() -> None:
    last = row(state="unrepairable", from_id=12, first_from_id=10, first_to_id=13)
    for rows in ([last], [row(), last], [last, row()]):
        (gap,) = folded(rows)
        assert (gap.first.from_id, gap.first.to_id, gap.first_messages, gap.missing_messages) == (10, 13, 3, 1)


def test_totals_say_how_much_is_lost_for_good_and_how_much_repaired() -> None:
    gaps = folded(
        [
            row(gap_id="1", state="unrepairable"),
            row(gap_id="2", state="unrepairable", from_ns=6 * S, to_ns=9 * S, stream="btcusdt@depth@0ms"),
            row(gap_id="3", state="repaired"),
            row(gap_id="4", from_id=20, to_id=25),
        ]
    )
    assert totals_of(gaps) == GapTotals(
        listed=4, open=1, repaired=1, unrepairable=2, missing_messages=8, unrepairable_messages=3, unrepairable_s=4.0
    )


def test_a_state_that_nobody_knows_counts_as_open() -> None:
    assert totals_of(folded([row(state="mended")])) == GapTotals(listed=1, open=1, missing_messages=3)


def test_a_gap_whose_end_comes_before_its_beginning_takes_no_time() -> None:
    assert totals_of(folded([row(state="unrepairable", from_ns=9 * S, to_ns=7 * S)])).unrepairable_s == 0.0
    assert totals_of(folded([row(state="unrepairable", to_ns=None)])).unrepairable_s == 0.0


def test_the_same_id_at_another_symbol_is_another_gap() -> None:
    found = summary_of(folded([row(), row(symbol="ETHUSDT", stream="ethusdt@trade")]))
    assert found.total.listed == 2
    assert {symbol: totals.listed for symbol, totals in found.by_symbol.items()} == {"BTCUSDT": 1, "ETHUSDT": 1}
    assert set(found.by_stream) == {("BTCUSDT", "btcusdt@aggTrade"), ("ETHUSDT", "ethusdt@trade")}


def test_rows_of_a_file_are_gaps_and_half_a_row_is_none() -> None:
    lines = [
        HEADER,
        "1-1,open,btcusdt@aggTrade,10,13,5,,sequence,,5,1,1,local,",
        '1-2,repaired,btcusdt@aggTrade,10,13,5,7,"late, very",rest,5,1,2,local,',
        "1-3,open,btc",
    ]
    found = rows_of_lines("BTCUSDT", lines)
    assert [(one.gap_id, one.state, one.from_id, one.to_ns, one.reason) for one in found] == [
        ("1-1", "open", 10, None, "sequence"),
        ("1-2", "repaired", 10, 7, "late, very"),
    ]


def test_the_stem_of_a_gap() -> None:
    names = ("btcusdt@depth@100ms", "btcusdt@depth@0ms", "btcusdt@kline_1m", "gap.BTCUSDT.", "depth_snapshot")
    stems = [stem_of_gap(row(stream=name)) for name in names]
    assert stems == ["depth_100ms", "depth", "kline_1m", "gap", "snapshot"]
