"""Recorded days: read them, sealed or still being written, as frames, bars and books; seal and verify them.

    from binance_streamer import days

    days.scan("depth", "BTCUSDT", "2026-11-22T13:00", "2026-11-22T13:05").collect()
    days.book_at("BTCUSDT", "2026-11-22T13:00:00.5").bids

`Recording` has all that there is to ask; the functions here ask the recording that the configuration names, or the one
given as `recording`: a `Recording`, or a place that makes one. docs/reading.md has examples.

It needs the extra `days` (polars, pyarrow, deltalake, duckdb). Nothing of the recorder imports it but the archiver and
the command `verify`, and these none of what reads, so that recording works without these libraries.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from binance_streamer.days.reading.books import RecordedBook
    from binance_streamer.days.reading.functions import (
        bars,
        book_at,
        book_times,
        books,
        contents,
        gaps,
        quotes,
        scan,
        sql,
        trades,
    )
    from binance_streamer.days.reading.gap_frames import GapError
    from binance_streamer.days.reading.recording import Recording

__all__ = [
    "GapError",
    "RecordedBook",
    "Recording",
    "bars",
    "book_at",
    "book_times",
    "books",
    "contents",
    "gaps",
    "quotes",
    "scan",
    "sql",
    "trades",
]

INSTALL = "pip install 'binance-streamer[days]' (in a checkout: ./run --extra days …)"
"""Tells whoever lacks a library of the extra `days` how to have it."""

_MODULES = {"GapError": "gap_frames", "RecordedBook": "books", "Recording": "recording"}
"""Modules of the names in `__all__` that are no functions."""


def __getattr__(name: str) -> Any:
    """Import what reads when it is asked for: sealing a day does without polars and DuckDB."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415 (of this function alone)

    return getattr(import_module(f"{__name__}.reading.{_MODULES.get(name, 'functions')}"), name)
