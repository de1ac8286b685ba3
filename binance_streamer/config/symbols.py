"""Symbols and process names as parts of file names, program names and endpoints."""

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
    """Percent-encoded so that it is one harmless path component; injective, the inverse is `decode_name`."""
    return quote(name, safe="").replace(".", "%2E").replace("~", "%7E")


def decode_name(encoded: str) -> str:
    """The name that `encode_name` encoded."""
    return unquote(encoded, errors="strict")
