"""Contracts: digits, tick and first price of a symbol; prices and quantities are integers in units of the last digit"""

import zlib
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Contract:
    """One symbol's contract; `market` names the hours that it follows."""

    symbol: str
    price_digits: int
    quantity_digits: int
    tick: int  # in units of the last price digit
    first_price: int  # in units of the last price digit, a multiple of tick
    market: str = "COIN"  # whose hours it follows: that of a TradFi contract has sessions

    @property
    def quote_digits(self) -> int:
        """Digits of price times quantity."""
        return self.price_digits + self.quantity_digits


_MOST_QUOTE_DIGITS = 8
"""Cheap contracts trade in whole units: on the wire no volume in quote has more digits."""
# Digits as on the wire in 2026; first prices of the same days.
_KNOWN = {
    "BTCUSDT": (2, 3, 10, 8_455_100),
    "ETHUSDT": (2, 3, 1, 269_017),
    "BNBUSDT": (3, 2, 10, 912_400),
    "SOLUSDT": (4, 0, 100, 1_961_500),
    "XRPUSDT": (4, 1, 1, 28_655),
    "DOGEUSDT": (5, 0, 1, 24_212),
}
_TRADFI = {
    "TSLAUSDT": ("EQUITY", (2, 2, 1, 43_120)),
    "XAUUSDT": ("COMMODITY", (2, 3, 1, 412_050)),
}


def contract_of(symbol: str) -> Contract:
    """Return a known contract, else one made up from the symbol's name, the same in every run.

    A checksum serves for that, because Python's own `hash` of a text differs from process to process.
    """
    if symbol in _KNOWN:
        return Contract(symbol, *_KNOWN[symbol])
    if symbol in _TRADFI:
        market, known = _TRADFI[symbol]
        return Contract(symbol, *known, market)
    name = zlib.crc32(symbol.encode())
    price_digits = 4 + name % 3
    quantity_digits = min(name // 3 % 4, _MOST_QUOTE_DIGITS - price_digits)
    return Contract(symbol, price_digits, quantity_digits, 1, 20_000 + name // 12 % 80_000)


def decimal_text(units: int, digits: int) -> str:
    """Return the exchange's fixed decimals: 8455110 with 2 digits is 84551.10, zero with 3 is 0.000."""
    if digits == 0:
        return str(units)
    whole, rest = divmod(units, 10**digits)
    return f"{whole}.{rest:0{digits}d}"
