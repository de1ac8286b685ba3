"""Cells of daily files as CSV text: which ones stand in quotes, for whoever writes recorded rows.

A number stands as the exchange spelled it, a missing value is nothing, and an empty text is `""`.
"""

QUOTED_COLUMNS = frozenset({"bids", "asks", "differences", "extra", "event"})
"""Lists and JSON: in quotes whatever they hold. Bytes of a `raw` row that are base64 are a plain text instead."""
_QUOTE = b'"'


def quoted(cell: bytes) -> bytes:
    """Return a cell in quotes, with its own quotes doubled."""
    return _QUOTE + cell.replace(_QUOTE, b'""') + _QUOTE


def text_cell(text: bytes) -> bytes:
    """Return a text as a cell: in quotes where it is empty or has a comma or quote in it."""
    return quoted(text) if not text or b"," in text or _QUOTE in text else text
