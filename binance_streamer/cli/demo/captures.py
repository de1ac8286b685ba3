"""The streams in a recording (`capture.gz`), known by their names alone.

In: a gzip file whose lines are a time, a space, and a stream frame or a REST answer. Out: streams by symbol, or
`CommandError`. Events are not decoded: the simulator replays them as they are.
"""

import gzip
import zlib
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from binance_streamer.cli.errors import CommandError, Exit
from binance_streamer.exchange.messages import ExchangeError
from binance_streamer.exchange.streams import stream_from_name, stream_of

_STREAM = b'{"stream":"'
_REST = b'{"rest":"'


class CapturedStreams(NamedTuple):
    """Streams per symbol as a configuration names them, and what is not replayed: name → messages."""

    symbols: dict[str, tuple[str, ...]]
    skipped: dict[str, int]


def contents(path: Path) -> CapturedStreams:
    """Read the file once, and return its streams; `CommandError` where it is no recording, or has none to replay."""
    counts: Counter[str] = Counter()
    try:
        with gzip.open(path, "rb") as file:
            for number, line in enumerate(file, 1):
                _, _, frame = line.partition(b" ")
                if frame.startswith(_STREAM):
                    counts[frame[len(_STREAM) : frame.index(b'"', len(_STREAM))].decode()] += 1
                elif not frame.startswith(_REST):
                    raise CommandError(
                        f"{path}: line {number} is neither a stream frame nor a REST answer", Exit.CONFIG
                    )
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise CommandError(f"{path}: cannot be read as a recording: {error}", Exit.CONFIG) from error
    return _sorted_out(path, counts)


def _sorted_out(path: Path, counts: Counter[str]) -> CapturedStreams:
    """Return the streams by symbol, and the names that are no stream of a symbol with their numbers of messages."""
    symbols: dict[str, list[str]] = {}
    skipped = {}
    for name, count in counts.items():
        try:
            symbol, suffix = _configured(name)
        except ExchangeError:
            skipped[name] = count
        else:
            symbols.setdefault(symbol, []).append(suffix)
    if not symbols:
        raise CommandError(f"{path}: holds no stream of a symbol", Exit.CONFIG)
    return CapturedStreams({symbol: tuple(suffixes) for symbol, suffixes in symbols.items()}, skipped)


def _configured(name: str) -> tuple[str, str]:
    """Return symbol and suffix of a full stream name: `btcusdt@depth` is BTCUSDT and `depth`."""
    symbol = stream_from_name(name).symbol
    for separator in ("@", "_"):  # btcusdt@depth, btcusdt_perpetual@continuousKline_1m
        _, found, suffix = name[len(symbol) :].partition(separator)
        if found and not _:
            assert stream_of(symbol, suffix).name == name
            return symbol, suffix
    raise ExchangeError(f"stream {name!r}: the symbol cannot be told from it")
