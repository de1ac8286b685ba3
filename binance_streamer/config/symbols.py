"""Symbols and process names as parts of file names, program names and endpoints.

In: names as the exchange or a user spells them. Out: a reason against them, or names that are safe as a path component.
"""

import unicodedata
from urllib.parse import quote, unquote

MAX_SYMBOL_BYTES = 64
"""Three times as many when percent-encoded, which leaves room in a file name of 255 bytes."""

_FORBIDDEN = frozenset("/\\.%\"',:")


def symbol_fault(symbol: str) -> str | None:
    """Return the reason why this text cannot be a symbol, or None.

    The exchange lists symbols outside ASCII (币安人生USDT), so any letter is taken; what could leave a directory,
    split a topic or write a log line of its own is not.
    """
    try:
        size = len(symbol.encode())
    except UnicodeEncodeError:
        return "is not valid Unicode"
    if not 0 < size <= MAX_SYMBOL_BYTES:
        return f"must have 1 to {MAX_SYMBOL_BYTES} bytes"
    for character in symbol:
        if character in _FORBIDDEN or unicodedata.category(character)[0] in "CZ":
            return f"must not contain {character!r}"
    if symbol != unicodedata.normalize("NFC", symbol):
        return "must be in Unicode's composed form (NFC)"
    return None


def encode_name(name: str) -> str:
    """Return the name percent-encoded, so that it is one harmless path component; `decode_name` is the inverse.

    No two names have the same encoding: otherwise two symbols would share a journal. Dots are encoded because `.` and
    `..` are folders.
    """
    return quote(name, safe="").replace(".", "%2E").replace("~", "%7E")


def decode_name(encoded: str) -> str:
    """Return the name that `encode_name` encoded; `UnicodeDecodeError` where it is no encoded UTF-8."""
    return unquote(encoded, errors="strict")
