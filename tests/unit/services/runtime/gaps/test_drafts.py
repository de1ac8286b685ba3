"""What a producer lists of its own losses."""

import pytest

from binance_streamer.exchange.messages import Reading
from services.runtime.gaps.drafts import Draft, Gap, Losses, gap_draft
from services.runtime.journal.segments import LastRow


@pytest.mark.parametrize(("stream_type", "state"), [("aggtrade", "open"), ("depth", "unrepairable")])
def test_only_what_rest_has_is_open(stream_type: str, state: str) -> None:
    losses = Losses(7)
    losses.lost("x", "journal full", LastRow(stream_type, "BTCUSDT", 10, 1, 1000))
    behind = Draft(stream_type, "BTCUSDT", "", {"stream": "x", "recv_ns": 2000}, Reading(20, 21, 2))
    gap = losses.closed_by(behind)
    assert gap is not None
    assert (gap.data["state"], gap.data["from_id"], gap.data["to_id"]) == (state, 10, 20)


@pytest.mark.parametrize(
    ("last_id", "expected"),
    [(10, (10, 20, "open")), (20, None), (30, (None, None, "unrepairable")), (None, (None, None, "unrepairable"))],
)
def test_the_ids_of_a_loss_are_both_there_and_grow_or_there_are_none(
    last_id: int | None, expected: tuple[int | None, int | None, str] | None
) -> None:
    losses = Losses(7)
    losses.lost("x", "journal full", LastRow("aggtrade", "BTCUSDT", last_id, 1, 1000))
    gap = losses.closed_by(Draft("aggtrade", "BTCUSDT", "", {"stream": "x", "recv_ns": 2000}, Reading(20, 21, 2)))
    assert (gap and (gap.data["from_id"], gap.data["to_id"], gap.data["state"])) == expected


def test_a_clock_that_was_set_back_turns_no_gap_around() -> None:
    gap = gap_draft(Gap("1-1", "BTCUSDT", "x", "open", 1, 2, 3000, 2000, "restart"), 2500)
    assert (gap.data["from_ns"], gap.data["to_ns"]) == (2000, 3000)
