"""The open gaps of a stream, brought up to date by gap messages and by rows."""

from typing import Any

from services.runtime.gaps.open_gaps import OpenGap, OpenGaps, with_gap, with_row

GAP = OpenGap("g1", 10, 20, 1, 2, "sequence")


def message(gap_id: str, from_id: int | None, to_id: int | None, state: str = "open") -> dict[str, Any]:
    return {"gap_id": gap_id, "state": state, "from_id": from_id, "to_id": to_id, "from_ns": 1, "to_ns": 2,
            "reason": "sequence"}  # fmt: skip


def bounds(gaps: OpenGaps) -> list[tuple[str, int, int]]:
    return [(gap.gap_id, gap.from_id, gap.to_id) for gap in gaps]


def test_a_message_opens_narrows_and_closes_a_gap() -> None:
    gaps = with_gap((), message("g1", 10, 20))
    assert gaps == (GAP,)
    gaps = with_gap(gaps, message("g1", 15, 20))
    assert bounds(gaps) == [("g1", 15, 20)]
    assert with_gap(gaps, message("g1", 15, 20, "repaired")) == ()
    assert with_gap(gaps, message("g1", 15, 20, "unrepairable")) == ()


def test_gaps_stand_in_the_order_of_their_ids() -> None:
    assert bounds(with_gap(with_gap((GAP,), message("g3", 40, 50)), message("g2", 25, 30))) == [
        ("g1", 10, 20),
        ("g2", 25, 30),
        ("g3", 40, 50),
    ]


def test_what_cannot_be_asked_for_by_id_is_none() -> None:
    for gap in (message("g1", None, 5), message("g1", 5, None), message("g1", 5, 5), message("g1", 9, 5)):
        assert with_gap((), gap) == ()


def test_a_gap_that_lies_over_another_takes_its_ids() -> None:
    assert bounds(with_gap((GAP,), message("g2", 15, 30))) == [("g1", 10, 15), ("g2", 15, 30)]
    assert bounds(with_gap((GAP,), message("g2", 0, 30))) == [("g2", 0, 30)]


def test_a_row_whose_gap_message_a_kill_has_cut_off_narrows_the_gap() -> None:
    assert with_row((GAP,), 20, 21) == with_row((GAP,), 9, 10) == (GAP,)
    assert bounds(with_row((GAP,), 10, 11)) == [("g1", 11, 20)]
    assert bounds(with_row((GAP,), 19, 20)) == [("g1", 10, 19)]
    assert bounds(with_row((GAP,), 14, 15)) == [("g1", 10, 14), ("g1~15", 15, 20)]


def test_a_gap_that_such_a_row_fills_is_kept_until_it_is_told() -> None:
    gaps = with_row((OpenGap("g1", 10, 11, 1, 2, ""),), 10, 11)
    assert bounds(gaps) == [("g1", 11, 11)]
    assert with_gap(gaps, message("g1", 10, 11, "repaired")) == ()


def test_the_gap_messages_behind_such_a_row_leave_nothing_of_the_name_it_gave() -> None:
    gaps = with_row((GAP,), 14, 15)
    gaps = with_gap(with_gap(gaps, message("g1", 10, 14)), message("g2", 15, 20))
    assert bounds(gaps) == [("g1", 10, 14), ("g2", 15, 20)]
