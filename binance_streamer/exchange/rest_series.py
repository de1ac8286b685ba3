"""All series that are polled from REST, one record each: a new one is a record here (docs/adding-a-rest-series.md).

A series is asked for one symbol at a time, once every `interval_s`, of the symbols whose configuration names it under
`series`. Each answer is a row of a daily file. Sources: docs/exchange.md §4.
"""

from dataclasses import dataclass
from urllib.parse import quote

from binance_streamer.exchange.rows import RowForm, columns


@dataclass(frozen=True, slots=True, kw_only=True)
class RestSeries:
    """Everything that the recorder knows of one series. Immutable."""

    name: str
    """Our word: topic, file name, and `stream_type` of frames."""
    endpoint: str
    """The last part of its path at the exchange, which is also its name in a configuration."""
    weight: int
    """Of one request, for one symbol."""
    interval_s: float
    """Between two answers of one symbol."""
    row: RowForm

    def path(self, symbol: str) -> str:
        """Return path and query of the request for this symbol."""
        return f"/fapi/v1/{self.endpoint}?symbol={quote(symbol, safe='')}"


_ALL = (
    RestSeries(
        name="openinterest",
        endpoint="openInterest",
        weight=1,
        interval_s=60.0,
        row=RowForm(columns("open_interest=openInterest time=time"), day="time"),
    ),
)
REST_SERIES = {series.name: series for series in _ALL}
"""By our name."""


def rest_series(endpoint: str) -> RestSeries | None:
    """Return the series of this name at the exchange, `openInterest`; None where there is none."""
    return next((series for series in _ALL if series.endpoint == endpoint), None)


def endpoints() -> tuple[str, ...]:
    """Return the names by which a configuration names series, in the order of their records."""
    return tuple(series.endpoint for series in _ALL)
