"""A producer lists what its journal did not take."""

from typing import Any

import pytest

from binance_streamer.exchange.messages import Reading
from services.runtime.gaps.drafts import Draft, Gap, gap_draft
from services.runtime.gaps.last_rows import LastRow
from services.runtime.gaps.open_gaps import OpenGap
from services.runtime.gaps.stream_states import StreamStates, fold


def row(last_id: int, recv_ns: int, *, stream_type: str = "aggtrade", event_time_ms: int = 2) -> Draft:
    data = {"symbol": "BTCUSDT", "stream": "x", "recv_ns": recv_ns, "source": "ws", "event": b""}
    return Draft(stream_type, "BTCUSDT", "", data, Reading(last_id - 1, last_id, event_time_ms))


def states_at(last_id: int, *gaps: OpenGap, stream_type: str = "aggtrade") -> StreamStates:
    return StreamStates(7, {"x": LastRow(stream_type, "BTCUSDT", last_id, 1, 1000, gaps)})


def lose(states: StreamStates, *drafts: Draft) -> None:
    rows = dict(states.kept)
    for draft in (*states.gaps_before(drafts, 0), *drafts):
        fold(rows, draft)
    states.lose(drafts, rows)


def listed(states: StreamStates, *drafts: Draft) -> list[tuple[Any, ...]]:
    gaps = states.gaps_before(drafts, 5000)
    rows = dict(states.kept)
    for draft in (*gaps, *drafts):
        fold(rows, draft)
    states.keep(rows, gaps)
    keys = ("gap_id", "state", "from_id", "to_id", "from_ns", "to_ns", "reason")
    return [tuple(gap.data[key] for key in keys) for gap in gaps]


@pytest.mark.parametrize(("stream_type", "state"), [("aggtrade", "open"), ("depth", "unrepairable")])
def test_only_what_rest_has_is_open(stream_type: str, state: str) -> None:
    states = states_at(10, stream_type=stream_type)
    lose(states, row(11, 1100, stream_type=stream_type), row(12, 1200, stream_type=stream_type))
    assert states.unlisted == ["x"]
    behind = row(13, 1300, stream_type=stream_type)
    assert listed(states, behind) == [("7-journal-1", state, 10, 12, 1000, 1300, "journal full")]
    assert states.unlisted == []
    assert listed(states, row(14, 1400)) == []
    assert states.kept["x"].last_id == 14


def test_a_loss_grows_until_it_is_listed_and_keeps_its_name() -> None:
    states = states_at(10)
    lose(states, row(11, 1100))
    lose(states, row(12, 1200))
    assert states.rows["x"] == LastRow(
        "aggtrade", "BTCUSDT", 12, 1, 1000, (OpenGap("7-journal-1", 10, 12, 1000, 1200, "journal full"),)
    )
    assert states.kept["x"].last_id == 10
    assert listed(states, row(13, 1300)) == [("7-journal-1", "open", 10, 12, 1000, 1300, "journal full")]


def test_the_gap_rows_that_were_lost_lie_in_the_gap() -> None:
    states = states_at(10)
    inner = gap_draft(Gap("g", "BTCUSDT", "x", "open", 10, 19, 1000, 1100, "sequence"), 1100)
    lose(states, inner, row(20, 1100))
    assert [gap.gap_id for gap in states.rows["x"].open_gaps] == ["7-journal-1"]
    assert listed(states, row(21, 1200)) == [("7-journal-1", "open", 10, 20, 1000, 1200, "journal full")]


def test_a_straggler_that_was_lost_leaves_its_gap_open() -> None:
    open_gap = OpenGap("g", 4, 6, 1, 2, "sequence")
    states = states_at(10, open_gap)
    lose(states, row(5, 1100))
    assert states.rows["x"].open_gaps == (open_gap,)
    assert listed(states, row(11, 1200)) == []


def test_ids_that_began_anew_among_what_was_lost_are_told_by_bounds_that_fall() -> None:
    states = states_at(10)
    anew = gap_draft(Gap("g", "BTCUSDT", "x", "unrepairable", 10, 2, 1000, 1100, "ids went back"), 1100)
    lose(states, anew, row(3, 1100))
    assert listed(states, row(4, 1200)) == [("7-journal-1", "unrepairable", 10, 3, 1000, 1200, "journal full")]
    assert states.kept["x"].last_id == 4


def test_streams_without_ids_lose_a_time() -> None:
    states = StreamStates(7, {"x": LastRow("markprice", "BTCUSDT", None, 1, 1000)})
    draft = row(0, 1100, stream_type="markprice")._replace(reading=Reading(None, None, 2))
    lose(states, draft)
    behind = draft._replace(data={**draft.data, "recv_ns": 1300})
    assert listed(states, behind) == [("7-journal-1", "unrepairable", None, None, 1000, 1300, "journal full")]


def test_our_own_messages_are_told_by_symbol() -> None:
    states = StreamStates(7, {})
    snapshots = [
        Draft("depth_snapshot", symbol, "", {"symbol": symbol, "stream": "s", "recv_ns": stamp, "source": "rest"})
        for symbol, stamp in (("BTCUSDT", 1000), ("ETHUSDT", 1100))
    ]
    lose(states, *snapshots)
    assert listed(states, snapshots[1]) == [("7-journal-2", "unrepairable", None, None, 1100, 1100, "journal full")]
    assert listed(states, snapshots[0]) == [("7-journal-1", "unrepairable", None, None, 1000, 1000, "journal full")]


def test_what_rest_brought_and_the_journal_did_not_take_is_asked_for_again() -> None:
    open_gap = OpenGap("g", 4, 6, 1, 2, "sequence")
    states = states_at(10, open_gap)
    draft = row(5, 1100)._replace(reading=None)
    draft.data.update(source="rest", event=b'{"a":5}')
    lose(states, draft)
    assert states.rows["x"].open_gaps == (open_gap,)
    assert listed(states, row(11, 1200)) == []


def test_a_draft_that_is_too_large_is_a_gap_in_its_place() -> None:
    states = states_at(10)
    (gap,) = states.refuse(row(11, 1100), states.kept, 5000)
    assert [gap.data[key] for key in ("from_id", "to_id", "to_ns", "reason")] == [10, 11, 1100, "oversize"]
    assert states.gaps_before([row(12, 1200)], 5000) == []
