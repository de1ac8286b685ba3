import pytest

from binance_streamer.cli.commands.status import duration, gaps_text
from binance_streamer.health.gaps import GapTotals


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (42, "42 s"), (3599, "0:59:59"), (90_000, "1 d 1:00"), (99.9, "100 s")],
)
def test_durations_are_short(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_gaps_are_told_by_what_became_of_them() -> None:
    assert gaps_text(GapTotals()) == "0"
    assert gaps_text(GapTotals(listed=6, lost=1, open=2, repaired=3)) == "6 (1 lost, 2 open, 3 repaired)"
