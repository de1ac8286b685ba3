"""What a producer lists of its own losses."""

import pytest

from binance_streamer.exchange import Reading
from services.runtime.gaps import Draft, Losses
from services.runtime.segments import LastRow


@pytest.mark.parametrize(("stream_type", "state"), [("aggtrade", "open"), ("depth", "unrepairable")])
def test_only_what_rest_has_is_open(stream_type: str, state: str) -> None:
    losses = Losses(7)
    losses.lost("x", "journal full", LastRow(stream_type, "BTCUSDT", 10, 1, 1000))
    behind = Draft(stream_type, "BTCUSDT", "", {"stream": "x", "recv_ns": 2000}, Reading(20, 21, 2))
    gap = losses.closed_by(behind)
    assert gap is not None
    assert (gap.data["state"], gap.data["from_id"], gap.data["to_id"]) == (state, 10, 20)
