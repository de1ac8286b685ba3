"""The producer of a recorded message, which its row does not name; `tests/property/test_history.py` has the rest."""

import pytest

from binance_streamer.days.recorded.following import producer_of
from binance_streamer.days.recorded.received import Recorded


@pytest.mark.parametrize(
    ("topic", "data", "producer"),
    [
        (("aggtrade", "BTCUSDT", ""), {"stream": "btcusdt@aggTrade"}, "ingest-BTCUSDT"),
        (("raw", "BTCUSDT", ""), {"stream": "btcusdt@depth@0ms"}, "ingest-BTCUSDT"),
        (("depth_snapshot", "BTCUSDT", ""), {"stream": "/fapi/v1/depth?symbol=BTCUSDT&limit=1000"}, "rest"),
        (("openinterest", "BTCUSDT", ""), {"stream": "/fapi/v1/openInterest?symbol=BTCUSDT"}, "rest"),
        (("clock", "EXCHANGE", ""), {"stream": "/fapi/v1/time"}, "rest"),
        (("orderbook", "BTCUSDT", "summary"), {"stream": "btcusdt@depth@0ms"}, "orderbook"),
        (("audit", "BTCUSDT", ""), {"stream": "btcusdt@depth@0ms"}, "orderbook"),
        (("gap", "BTCUSDT", ""), {"stream": "btcusdt@aggTrade", "gap_id": "writer-5-BTCUSDT-1"}, "writer"),
        (("gap", "BTCUSDT", ""), {"stream": "btcusdt@aggTrade", "gap_id": "77-1"}, "ingest-BTCUSDT"),
        (
            ("gap", "BTCUSDT", ""),
            {"stream": "/fapi/v1/depth?symbol=BTCUSDT&limit=1000", "gap_id": "7-journal-1"},
            "rest",
        ),
    ],
)
def test_each_kind_of_message_has_one_producer(
    topic: tuple[str, str, str], data: dict[str, str], producer: str
) -> None:
    assert producer_of(Recorded(1, topic, dict(data), 77, 1), "BTCUSDT") == producer
