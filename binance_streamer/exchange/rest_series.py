"""All series that are polled from REST, one record each: a new one is a record here (docs/adding-a-rest-series.md).

A configuration names a series among the streams of a symbol: `openInterest@60s`, `longShortRatio@5m`. There are three
kinds, told apart by the fields of the record:

| kind | fields | a row | a poll that was missed |
|---|---|---|---|
| sampled | neither of the two below | each answer | a gap: nobody has the value of then |
| with history | `history` | each element of a list, by its time | asked for again: later polls begin at the last row |
| on change | `steady` | an answer that says something new | nothing, unless the next answer has changed |

Weights, limits and how far back each goes: docs/exchange.md §4.1.
"""

import re
from typing import NamedTuple
from urllib.parse import parse_qsl, quote

from binance_streamer.exchange.messages import INTERVAL_MS, ExchangeError
from binance_streamer.exchange.rows import RowForm, columns
from binance_streamer.exchange.series_types import AnswerKind, RequestLimit, RestSeries, SeriesHistory

PERIODS = ("5m", "15m", "30m", "1h", "2h", "4h", "6h", "12h", "1d")
"""The lengths of buckets that the statistics of `/futures/data` have."""
_LONGEST_INTERVAL_S = 86_400.0
_HOUR_S = 3600.0
_DAY_MS = 86_400_000
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0}
_interval = re.compile(r"([1-9][0-9]{0,4})([smh])").fullmatch


DATA_LIMIT = RequestLimit("/futures/data", 1000, 300.0)
FUNDING_LIMIT = RequestLimit("funding", 500, 300.0)
"""Shared by fundingRate and fundingInfo."""
REQUEST_LIMITS = (DATA_LIMIT, FUNDING_LIMIT)


class Polled(NamedTuple):
    """One series of one symbol, as a configuration names it.

    The same series with another interval has the same name, file and topic: the interval is how we ask, and nothing
    that the exchange knows of. Another length of buckets is another series.
    """

    series: RestSeries
    symbol: str
    variant: str
    """The length of its buckets, `5m`; empty where it has none."""
    interval_s: float

    @property
    def name(self) -> str:
        """Path and query without times: the name of the stream in frames and gap rows."""
        return series_name(self.series.name, self.symbol, self.variant)


_RATIO = "long_short_ratio=longShortRatio long_account=longAccount short_account=shortAccount"
_MONTH = SeriesHistory(kept_ms=30 * _DAY_MS, most_rows=500, begins_ms=900_000)


def _statistics(name: str, word: str, endpoint: str, cells: str) -> RestSeries:
    """Return the record of one of the statistics of `/futures/data`, which differ in their columns only."""
    return RestSeries(
        name=name,
        word=word,
        path=f"/futures/data/{endpoint}",
        weight=0,
        limit=DATA_LIMIT,
        interval_s=300.0,
        answer=AnswerKind.LIST,
        time="timestamp",
        has_periods=True,
        history=_MONTH,
        row=RowForm(columns(f"{cells} time=timestamp"), day="timestamp"),
    )


# Open interest, premium index and ticker change all the time: a minute is what most users of them look at, and costs
# a symbol 1 of 1,200 in each. Settled rates come every 1, 4 or 8 hours; five minutes behind is soon enough for a file,
# and leaves the shared limit to 250 symbols. Constituents change a few times a year, insurance funds once an hour.
_ALL = (
    RestSeries(
        name="openinterest",
        word="openInterest",
        path="/fapi/v1/openInterest",
        weight=1,
        interval_s=60.0,
        time="time",
        row=RowForm(columns("open_interest=openInterest time=time"), day="time"),
    ),
    RestSeries(
        name="premiumindex",
        word="premiumIndex",
        path="/fapi/v1/premiumIndex",
        weight=1,
        interval_s=60.0,
        time="time",
        row=RowForm(
            columns(
                "mark_price=markPrice index_price=indexPrice estimated_settle_price=estimatedSettlePrice "
                "funding_rate=lastFundingRate interest_rate=interestRate next_funding_time=nextFundingTime time=time"
            ),
            day="time",
            optional=frozenset({"interestRate"}),
        ),
    ),
    RestSeries(
        name="ticker24h",
        word="ticker24h",
        path="/fapi/v1/ticker/24hr",
        weight=1,
        interval_s=60.0,
        time="closeTime",
        row=RowForm(
            columns(
                "price_change=priceChange price_change_percent=priceChangePercent "
                "weighted_average_price=weightedAvgPrice last_price=lastPrice last_quantity=lastQty open=openPrice "
                "high=highPrice low=lowPrice volume=volume quote_volume=quoteVolume open_time=openTime "
                "close_time=closeTime first_trade_id=firstId last_trade_id=lastId count=count"
            ),
            day="closeTime",
        ),
    ),
    RestSeries(
        name="fundingrate",
        word="fundingRate",
        path="/fapi/v1/fundingRate",
        weight=1,  # or 0: sources disagree (docs/exchange.md §4.1), and the dearer reading costs little
        limit=FUNDING_LIMIT,
        interval_s=300.0,
        answer=AnswerKind.LIST,
        time="fundingTime",
        history=SeriesHistory(kept_ms=365 * _DAY_MS, most_rows=1000, begins_ms=_DAY_MS),
        row=RowForm(
            columns("funding_rate=fundingRate mark_price=markPrice funding_time=fundingTime rate_type=rateType"),
            day="fundingTime",
            texts=frozenset({"rateType"}),
            optional=frozenset({"markPrice", "rateType"}),
        ),
    ),
    RestSeries(
        name="fundinginfo",
        word="fundingInfo",
        path="/fapi/v1/fundingInfo",
        weight=1,  # as above
        limit=FUNDING_LIMIT,
        interval_s=300.0,
        answer=AnswerKind.LIST_OF_SYMBOLS,
        steady=("fundingIntervalHours", "adjustedFundingRateCap", "adjustedFundingRateFloor"),
        row=RowForm(
            columns(
                "funding_interval_hours=fundingIntervalHours adjusted_funding_rate_cap=adjustedFundingRateCap "
                "adjusted_funding_rate_floor=adjustedFundingRateFloor"
            ),
            day="",
        ),
    ),
    RestSeries(
        name="indexconstituents",
        word="indexConstituents",
        path="/fapi/v1/constituents",
        weight=2,
        interval_s=600.0,
        time="time",
        steady=("constituents[].exchange", "constituents[].symbol", "constituents[].weight"),
    ),
    RestSeries(
        name="insurancebalance",
        word="insuranceBalance",
        path="/fapi/v1/insuranceBalance",
        weight=1,
        interval_s=_HOUR_S,
    ),
    _statistics("longshortratio", "longShortRatio", "globalLongShortAccountRatio", _RATIO),
    _statistics("toplongshortaccountratio", "topLongShortAccountRatio", "topLongShortAccountRatio", _RATIO),
    _statistics("toplongshortpositionratio", "topLongShortPositionRatio", "topLongShortPositionRatio", _RATIO),
    _statistics(
        "takerlongshortratio",
        "takerLongShortRatio",
        "takerlongshortRatio",
        "buy_sell_ratio=buySellRatio buy_volume=buyVol sell_volume=sellVol",
    ),
    _statistics(
        "openinteresthist",
        "openInterestHist",
        "openInterestHist",
        "sum_open_interest=sumOpenInterest sum_open_interest_value=sumOpenInterestValue",
    ),
)
REST_SERIES = {series.name: series for series in _ALL}
"""By our name."""
_BY_WORD = {series.word: series for series in _ALL}
_BY_PATH = {series.path: series for series in _ALL}


def polled_of(symbol: str, name: str) -> Polled | None:
    """Return the series that a configuration names, `openInterest@60s`; None where the name is of no series.

    Buckets are asked for once in their length, and once an hour where they are longer: then the last one is an hour
    late at most. Raises `ExchangeError` for a series whose interval or period is not one that can be had.
    """
    word, _, rest = name.partition("@")
    series = _BY_WORD.get(word)
    if series is None:
        return None
    if series.has_periods:
        if rest not in PERIODS:
            raise ExchangeError(f"series {name!r}: expected {word}@PERIOD, a period of {', '.join(PERIODS)}")
        period_ms = INTERVAL_MS[rest]
        assert period_ms is not None
        return Polled(series, symbol, rest, min(period_ms / 1000, _HOUR_S))
    return Polled(series, symbol, "", _interval_s(name, rest) if rest else series.interval_s)


def _interval_s(name: str, text: str) -> float:
    found = _interval(text)
    seconds = int(found[1]) * _SECONDS[found[2]] if found else 0.0
    if not 0 < seconds <= _LONGEST_INTERVAL_S:
        raise ExchangeError(f"series {name!r}: expected an interval of up to a day behind the @, such as 60s, 5m or 1h")
    return seconds


def series_spellings() -> list[str]:
    """Return names of series as a configuration may have them, in the order of their records."""
    return [f"{one.word}@5m" if one.has_periods else one.word for one in _ALL]


def series_name(stream_type: str, symbol: str, variant: str) -> str:
    """Return path and query that name a series of a symbol, without times."""
    series = REST_SERIES[stream_type]
    period = f"&period={variant}" if series.has_periods else ""
    return f"{series.path}?symbol={quote(symbol, safe='')}{period}"


def series_from_name(name: str) -> tuple[RestSeries, str] | None:
    """Return the series and its variant of a name that `series_name` made; None of any other name."""
    path, _, query = name.partition("?")
    series = _BY_PATH.get(path)
    return None if series is None else (series, dict(parse_qsl(query)).get("period", ""))
