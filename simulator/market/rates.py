"""The share of each stream in the total message rate.

In: messages a second of a symbol, and the streams that make them. Out: messages a second of every stream.
"""

from collections.abc import Mapping, Sequence

from simulator.stream_names import family_of

# Relative rates of the streams that follow events.
_EVENTS = {"depth@0ms": 5.0, "aggTrade": 3.0, "trade": 4.5, "bookTicker": 7.0}
# The exchange's own cadence of the streams that follow a timer, in messages a second.
_TIMERS = {
    "depth": 4.0,
    "depth@100ms": 10.0,
    "depth@500ms": 2.0,
    "rpiDepth@500ms": 2.0,
    **{f"depth{levels}{speed}": rate for levels in (5, 10, 20) for speed, rate in
       (("", 4.0), ("@100ms", 10.0), ("@500ms", 2.0))},
    **{f"kline_{interval}": 4.0 for interval in
       ("1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d")},
    "markPrice": 1 / 3,
    "markPrice@1s": 1.0,
    "miniTicker": 2.0,
    "ticker": 2.0,
    "forceOrder": 0.2,
}  # fmt: skip
SUFFIXES = (*_EVENTS, *_TIMERS)
DEFAULT_MIX = ("aggTrade", "depth@0ms", "kline_1m")
_TIMER_SHARE = 0.1  # at low totals timers slow down to this share of a symbol's rate, each, but not below 1/s
TRADES_A_BATCH = 1.5  # engine.Engine._fills: (5*1 + 2*2 + 3) / 8


def stream_rates(
    per_symbol: float, mix: Sequence[str] = DEFAULT_MIX, overrides: Mapping[str, float] | None = None
) -> dict[str, float]:
    """Return messages a second of every stream of one symbol.

    The streams of `mix` together make `per_symbol`; the others keep their natural proportion to them.
    An override names a stream (`depth@0ms`) or a family (`depth`: every diff depth speed, `kline`: every interval).
    """
    rates = {suffix: min(rate, max(per_symbol * _TIMER_SHARE, 1.0)) for suffix, rate in _TIMERS.items()}
    timed = sum(rates.get(suffix, 0.0) for suffix in mix)
    weights = sum(_EVENTS.get(suffix, 0.0) for suffix in mix)
    unit = max(per_symbol - timed, 0.0) / weights if weights else per_symbol / sum(_EVENTS.values())
    rates |= {suffix: unit * weight for suffix, weight in _EVENTS.items()}
    for key, rate in (overrides or {}).items():
        for suffix in SUFFIXES:
            if key in (suffix, family_of(suffix)):
                rates[suffix] = rate
        if key == "trade":  # trades are the fills of the batches that aggTrade counts
            rates["aggTrade"] = rate / TRADES_A_BATCH
    return rates
