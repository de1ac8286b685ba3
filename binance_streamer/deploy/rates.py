"""Measured rates and sizes of messages, by kind of symbol: what a plan is reckoned with.

| figures | from | date |
|---|---|---|
| BTCUSDT, ETHUSDT: depth, bookTicker, trade | 345 s (docs/operations.md, Disk), the mean of both | 2024-08-08 |
| BTCUSDT: aggTrade | 1.4 million a day (docs/exchange.md §8) | 2026-08 |
| SUSHIUSDT: depth, aggTrade, kline, for every other symbol | 31 s (docs/operations.md, Disk) | 2021-07-22 |
| markPrice, tickers, partial depth, rpiDepth, indices | the exchange's own interval (docs/exchange.md §2) | 2026-08 |

What was not measured of a small symbol is a tenth of a large one, as its aggTrades are. Busy days have several times as
much.
"""

from typing import NamedTuple

from binance_streamer.exchange.streams import Stream

LARGE = ("BTCUSDT", "ETHUSDT")
"""Symbols of the kind that was measured with the high rates; every other one counts as small."""
_TENTH = 0.1


class Rate(NamedTuple):
    """Messages a second of one stream, and bytes of a row in CSV."""

    messages_per_s: float
    row_bytes: float


_LARGE = {
    "depth": Rate(19.0, 1230),
    "bookticker": Rate(174.0, 122),
    "trade": Rate(51.0, 116),
    "aggtrade": Rate(16.0, 120),
    "kline": Rate(4.0, 178),
    "continuouskline": Rate(4.0, 178),
}
_SMALL = {
    "depth": Rate(8.5, 336),
    "aggtrade": Rate(1.7, 120),
    "kline": Rate(0.9, 178),
    "continuouskline": Rate(0.9, 178),
}
_AT_INTERVALS = {
    "markprice": Rate(1.0, 150),
    "ticker": Rate(0.5, 260),
    "miniticker": Rate(0.5, 150),
    "rpidepth": Rate(2.0, 600),
    "partialdepth": Rate(4.0, 700),
    "compositeindex": Rate(1.0, 900),
    "assetindex": Rate(1.0, 250),
    "forceorder": Rate(0.02, 150),
}
"""Types that are pushed at the same pace for every symbol; liquidations at most once a second, and mostly never."""
_MOST_PER_S = {"100ms": 10.0, "250ms": 4.0, "500ms": 2.0, "3s": 1 / 3}
"""By the speed in a stream's name: no more come, however much trades."""
COMPRESSED = {"depth": 0.27, "bookticker": 0.12, "trade": 0.1}
"""Part of the bytes that `csv.zst` leaves (docs/files.md, 2026-11-30); of others a fifth is assumed."""
COMPRESSED_OTHERWISE = 0.2


def rate_of(stream: Stream) -> Rate:
    """Return the rate that one stream is reckoned with."""
    name = stream.stream_type
    found = _AT_INTERVALS.get(name) or (_LARGE if stream.symbol in LARGE else _SMALL).get(name)
    if found is None:
        large = _LARGE.get(name, Rate(1.0, 500))
        found = large._replace(messages_per_s=large.messages_per_s * _TENTH)
    most = next((most for speed, most in _MOST_PER_S.items() if speed in stream.variant), None)
    return found if most is None else found._replace(messages_per_s=min(found.messages_per_s, most))
