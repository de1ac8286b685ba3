"""Files of a nautilus_trader catalog: their columns, their numbers, and the instrument (`nautilus` writes them)."""

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from binance_streamer.days.export.values import units

VENUE = "BINANCE"
SCALE = 8
"""Decimals of ours; theirs have twice as many."""
NUMBER = pa.binary(16)
_STAMPS = [pa.field("ts_event", pa.uint64(), nullable=False), pa.field("ts_init", pa.uint64(), nullable=False)]
_QUOTES = ("USDT", "USDC", "BUSD", "FDUSD", "USD1", "BTC")
"""Currencies in which symbols end, and perpetual contracts are settled."""
_LIMITS = ("max_quantity", "min_quantity", "max_notional", "min_notional", "max_price", "min_price")


def _fields(**kinds: pa.DataType) -> pa.Schema:
    return pa.schema([*(pa.field(name, kind, nullable=False) for name, kind in kinds.items()), *_STAMPS])


SCHEMAS = {
    "order_book_delta": _fields(
        action=pa.uint8(),
        side=pa.uint8(),
        price=NUMBER,
        size=NUMBER,
        order_id=pa.uint64(),
        flags=pa.uint8(),
        sequence=pa.uint64(),
    ),
    "trade_tick": _fields(price=NUMBER, size=NUMBER, aggressor_side=pa.uint8(), trade_id=pa.string()),
    "quote_tick": _fields(bid_price=NUMBER, ask_price=NUMBER, bid_size=NUMBER, ask_size=NUMBER),
}
"""Columns of each kind of file, as nautilus_trader 1.221 writes and reads them (with 128-bit numbers)."""


class Steps:
    """The largest steps of which all prices, and all quantities, that were seen are multiples, in units of 10^-8."""

    def __init__(self) -> None:
        self.price = self.size = 0

    def price_of(self, column: Any) -> Any:
        """Return prices as numbers of theirs, and take them into account."""
        self.price = math.gcd(self.price, int(np.gcd.reduce(units(column))) if len(column) else 0)
        return numbers(column)

    def size_of(self, column: Any) -> Any:
        """Return quantities as numbers of theirs, and take them into account."""
        self.size = math.gcd(self.size, int(np.gcd.reduce(units(column))) if len(column) else 0)
        return numbers(column)

    @property
    def precisions(self) -> dict[str, str]:
        """The decimals that prices and quantities need, as the metadata of a file say them."""
        return {"price_precision": str(decimals_of(self.price)), "size_precision": str(decimals_of(self.size))}


def decimals_of(step: int) -> int:
    """Return how many decimals a multiple of so many 10^-8 needs."""
    return next((count for count in range(SCALE) if step % 10 ** (SCALE - count) == 0), SCALE)


def numbers(column: Any) -> Any:
    """Return decimals as integers of 10^-16 in 16 bytes, as they are in memory here, too."""
    wider = pc.cast(column, pa.decimal128(38, 2 * SCALE))
    return pa.Array.from_buffers(NUMBER, len(wider), [None, wider.buffers()[1]], offset=wider.offset)


def instrument_id(symbol: str) -> str:
    """Return the instrument's name there: `BTCUSDT-PERP.BINANCE`; a contract with a delivery date keeps its own."""
    return f"{symbol}.{VENUE}" if "_" in symbol else f"{symbol}-PERP.{VENUE}"


def instrument(symbol: str, steps: Steps, ns: int) -> pa.Table | None:
    """Return the instrument of a perpetual contract; None for others, whose delivery is not in the rows.

    Currencies are those that its name says; margins and fees are 0 and limits absent, since nothing recorded has them.
    """
    quote = next((one for one in _QUOTES if symbol.endswith(one) and symbol != one), None)
    if quote is None:
        return None
    price, size = decimals_of(steps.price), decimals_of(steps.size)
    texts = {
        "id": instrument_id(symbol),
        "raw_symbol": symbol,
        "base_currency": symbol.removesuffix(quote),
        "quote_currency": quote,
        "settlement_currency": quote,
        "price_increment": f"{10**-price:.{price}f}",
        "size_increment": f"{10**-size:.{size}f}",
        "multiplier": "1",
        **dict.fromkeys(("margin_init", "margin_maint", "maker_fee", "taker_fee"), "0"),
        **dict.fromkeys(_LIMITS),
    }
    columns: dict[str, Any] = {name: pa.array([value], pa.string()) for name, value in texts.items()}
    columns |= {"is_inverse": pa.array([False]), "info": pa.array([b"null"], pa.binary())}
    columns |= {"price_precision": pa.array([price], pa.uint8()), "size_precision": pa.array([size], pa.uint8())}
    columns |= {name: pa.array([ns], pa.uint64()) for name in ("ts_event", "ts_init")}
    return pa.table(columns).replace_schema_metadata({"class": "CryptoPerpetual"})
