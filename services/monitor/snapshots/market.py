"""Mark price, funding, and the exchange's own figures of the last 24 hours, of a symbol whose streams have them.

In: the newest frames of a symbol's streams. Out: text as the exchange sent it, but for the change, which miniTicker
leaves to the reader. Main thread only.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from services.monitor.snapshots.page import MarketFigures
from services.monitor.snapshots.prices import cells_of
from services.monitor.snapshots.traffic import StreamTraffic


def market_of(streams: Iterable[StreamTraffic]) -> MarketFigures:
    """Return what the streams of one symbol say; None of what is not recorded, or was not heard yet."""
    newest = {one.stream.stream_type: one for one in streams if one.newest is not None}
    mark = cells_of(newest["markprice"]) if "markprice" in newest else {}
    day = next((cells_of(newest[name]) for name in ("ticker", "miniticker") if name in newest), {})
    next_funding_ms = mark.get("next_funding_time")
    return MarketFigures(
        mark_price=_text(mark, "mark_price"),
        funding_rate=_text(mark, "funding_rate"),
        next_funding_ms=next_funding_ms if isinstance(next_funding_ms, int) and next_funding_ms > 0 else None,
        change_percent=_text(day, "price_change_percent") or _change(_text(day, "open"), _text(day, "close")),
        quote_volume=_text(day, "quote_volume"),
    )


def _text(cells: Mapping[str, Any], column: str) -> str | None:
    value = cells.get(column)
    return value if isinstance(value, str) and value else None


def _change(first: str | None, last: str | None) -> str | None:
    """Return the change from one price to another in percent, with three decimals; None where one is no price."""
    if first is None or last is None:
        return None
    try:
        return f"{(Decimal(last) / Decimal(first) - 1) * 100:.3f}"
    except (InvalidOperation, ZeroDivisionError):
        return None
