"""Recorded market data: a line per message, `<recv_ns> <frame>`, frames and REST answers byte for byte."""

import gzip
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast
from urllib.parse import parse_qs

_STREAM = b'{"stream":"'
_REST = b'{"rest":"'
_BODY = b'","body":'
KLINE_KEYS = ("t", "o", "h", "l", "c", "v", "T", "q", "n", "V", "Q", "B")
"""Of a bar, in the order of the array that REST answers."""
_SYMBOL = re.compile(rb'"s":"([^"]+)"')


class CapturedMessage(NamedTuple):
    """`name` is the stream, or the path and query of a REST answer, which begins with a slash."""

    recv_ns: int
    name: str
    payload: bytes


class CaptureError(Exception):
    """A line that is no record; the text names file and line."""


def records(path: Path) -> Iterator[CapturedMessage]:
    """Yield the records of a file in their order; files that end with .gz are unpacked while they are read."""
    with _opened(path) as file:
        for number, line in enumerate(file, 1):
            recv_ns, _, frame = line.rstrip(b"\n").partition(b" ")
            if frame.startswith(_STREAM):
                yield CapturedMessage(
                    int(recv_ns), frame[len(_STREAM) : frame.index(b'"', len(_STREAM))].decode(), frame
                )
            elif frame.startswith(_REST):
                end = frame.index(_BODY)
                yield CapturedMessage(int(recv_ns), frame[len(_REST) : end].decode(), frame[end + len(_BODY) : -1])
            else:
                raise CaptureError(f"{path}: line {number} is neither a stream frame nor a REST answer: {frame[:80]!r}")


def _opened(path: Path) -> BinaryIO:
    return cast("BinaryIO", gzip.open(path, "rb")) if path.suffix == ".gz" else path.open("rb")


class CaptureContents:
    """Streams and symbols of a capture, from one pass over it."""

    def __init__(self, path: Path) -> None:
        self.streams: dict[str, str] = {}  # name: symbol
        self.skipped: Counter[str] = Counter()  # all-market streams, which are not replayed
        self.snapshots: dict[str, bytes] = {}  # symbol: the first depth answer
        self.exchange_info: bytes | None = None
        self.repairs: list[tuple[str, str, bytes]] = []  # symbol, suffix of the stream, what only REST had
        for record in records(path):
            self._note(record)

    def _note(self, record: CapturedMessage) -> None:
        if record.name.startswith("!"):
            self.skipped[record.name] += 1
        elif record.name.startswith("/fapi/v1/exchangeInfo"):
            self.exchange_info = self.exchange_info or record.payload
        elif record.name.startswith("/"):
            symbol = snapshot_symbol(record)
            repair = _repair(record)
            if repair:
                self.repairs.append(repair)
            elif symbol:
                self.snapshots.setdefault(symbol, record.payload)
        elif record.name not in self.streams:
            found = _SYMBOL.search(record.payload)
            self.streams[record.name] = found[1].decode() if found else record.name.partition("@")[0]

    @property
    def symbols(self) -> list[str]:
        """All symbols, those of streams first."""
        return list(dict.fromkeys((*self.streams.values(), *self.snapshots)))


def snapshot_symbol(record: CapturedMessage) -> str | None:
    """The symbol that a recorded depth answer is of; None for every other record."""
    path, _, query = record.name.partition("?")
    return parse_qs(query).get("symbol", [None])[0] if path == "/fapi/v1/depth" else None


def _repair(record: CapturedMessage) -> tuple[str, str, bytes] | None:
    """Return symbol, suffix and combined form of an aggTrade or kline that only REST had; None for other records."""
    path, _, query = record.name.partition("?")
    asked = {name: values[0] for name, values in parse_qs(query).items()}
    if path == "/fapi/v1/aggTrades":
        return asked["symbol"], "aggTrade", b'{"data":%b}' % record.payload
    if path == "/fapi/v1/klines":
        bar = dict(zip(KLINE_KEYS, json.loads(record.payload), strict=False))
        return asked["symbol"], f"kline_{asked['interval']}", json.dumps({"data": {"k": bar}}).encode()
    return None
