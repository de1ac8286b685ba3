"""Reads a catalog with nautilus_trader, in an environment of its own: `python nautilus_reader.py CATALOG INSTRUMENT`.

It prints JSON: trades and quotes as lists of texts and stamps, and best bid and ask behind each message of the book.
Nothing of this project is imported, since that library wants other versions of what we use.
"""

import json
import sys
from typing import Any

from nautilus_trader.model.book import OrderBook
from nautilus_trader.model.enums import BookType
from nautilus_trader.persistence.catalog import ParquetDataCatalog

_LAST = 128


def tops(deltas: Any, instrument: Any) -> list[tuple[int, str | None, str | None]]:
    """Time and best prices behind the last delta of each message."""
    book = OrderBook(instrument.id, BookType.L2_MBP)
    found = []
    for delta in deltas:
        book.apply_delta(delta)
        if delta.flags & _LAST:
            bid, ask = book.best_bid_price(), book.best_ask_price()
            found.append((delta.ts_event, None if bid is None else str(bid), None if ask is None else str(ask)))
    return found


def main() -> None:
    """Read the catalog and print what is in it."""
    catalog = ParquetDataCatalog(sys.argv[1])
    (instrument,) = catalog.instruments(instrument_ids=[sys.argv[2]])
    names = [sys.argv[2]]
    trades, quotes = catalog.trade_ticks(names), catalog.quote_ticks(names)
    found = {
        "instrument": [str(instrument.price_increment), str(instrument.size_increment), str(instrument.base_currency)],
        "trades": [
            (one.trade_id.value, str(one.price), str(one.size), one.aggressor_side.name, one.ts_event, one.ts_init)
            for one in trades
        ],
        "quotes": [
            (one.ts_event, str(one.bid_price), str(one.bid_size), str(one.ask_price), str(one.ask_size))
            for one in quotes
        ],
        "tops": tops(catalog.order_book_deltas(names), instrument),
    }
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
