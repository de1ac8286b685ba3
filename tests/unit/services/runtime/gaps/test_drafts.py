"""A gap as a message."""

from services.runtime.gaps.drafts import Gap, gap_draft


def test_a_clock_that_was_set_back_turns_no_gap_around() -> None:
    gap = gap_draft(Gap("1-1", "BTCUSDT", "x", "open", 1, 2, 3000, 2000, "restart"), 2500)
    assert (gap.data["from_ns"], gap.data["to_ns"]) == (2000, 3000)
