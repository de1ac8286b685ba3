"""Decimal numbers as the texts that the exchange writes: compared, padded and counted without becoming floats."""

from decimal import Decimal, InvalidOperation

from binance_streamer.exchange.messages import ExchangeError


def same_number(one: str, other: str) -> bool:
    """Return True if two texts are the same decimal number; a text that is no number equals only itself."""
    try:
        return one == other or Decimal(one) == Decimal(other)
    except InvalidOperation:
        return False


def places_of(number: str) -> int:
    """Return how many digits stand behind the point."""
    return len(number.partition(".")[2])


def padded(number: str, places: int) -> str:
    """Return the number with so many decimals, zeros added; it must not have more."""
    whole, _, fraction = number.partition(".")
    return f"{whole}.{fraction.ljust(places, '0')}"


def digits_of(number: str) -> int:
    """Return all digits of a decimal number as one integer, as if it had no point; `ExchangeError` if it is none."""
    whole, _, fraction = number.partition(".")
    digits = whole + fraction
    if not digits.isdecimal():
        raise ExchangeError(f"expected a decimal number, got {number!r:.60}")
    return int(digits)
