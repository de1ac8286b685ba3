"""`raw`: the exchange's own messages, a line each, `<recv_ns> <json>`, as collectors write them.

A message of a websocket stands in the frame of a combined stream, `{"stream":"btcusdt@depth@0ms","data":{…}}`, a depth
snapshot is what REST answered. What REST brought for a gap (aggTrades, klines) was no message of a stream: it has no
line and is counted. Messages are made of rows, byte for byte but for spaces (docs/replay.md).
"""

import gzip
import itertools
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from binance_streamer.compression import zstd
from binance_streamer.days.export.days import ExportDay, Exported, ExportFolder
from binance_streamer.days.recorded.captures import stream_frame
from binance_streamer.days.recorded.received import received
from binance_streamer.days.rows import Span
from binance_streamer.exchange.rows import SNAPSHOT_TYPE
from binance_streamer.exchange.stream_types import STREAM_TYPES
from binance_streamer.health.sizes import amount


def export_gzip(day: ExportDay, folder: ExportFolder) -> Iterator[Exported]:
    """Write `btcusdt_20261122.gz`, named as the collector of hftbacktest names its files."""
    yield from _exported(day, folder, f"{day.name.lower()}_{day.day}.gz")


def export_zstd(day: ExportDay, folder: ExportFolder) -> Iterator[Exported]:
    """Write `btcusdt_20261122.zst`, the same lines in less room."""
    yield from _exported(day, folder, f"{day.name.lower()}_{day.day}.zst")


def _exported(day: ExportDay, folder: ExportFolder, name: str) -> Iterator[Exported]:
    from_rest = Counter[str]()
    lines = _lines(day, from_rest)
    first = next(lines, None)
    if first is None:
        return
    count = 0
    with folder.file(name) as path, _compressed(path, name) as file:
        for line in itertools.chain([first], lines):
            file.write(line)
            count += 1
    note = f"without {amount(from_rest.total(), 'row')} of REST" if from_rest else ""
    yield Exported(folder.path / name, count, note)


def _lines(day: ExportDay, from_rest: Counter[str]) -> Iterator[bytes]:
    """Yield the lines of a day's messages; those that REST brought in place of a stream are counted."""
    for message in received(day.places, Span(), day.room(), wanted=lambda _: True, progressed=day.progressed):
        stream_type = message.topic[0]
        line = message.data["event"] if stream_type == SNAPSHOT_TYPE else stream_frame(message)
        if line:
            yield b"%d %b\n" % (message.recv_ns, line)
        elif line is None and stream_type in STREAM_TYPES:
            from_rest[stream_type] += 1


def _compressed(path: Path, name: str) -> "gzip.GzipFile | zstd.ZstdFile":
    """Open a compressed file that is the same for the same lines."""
    if name.endswith(".zst"):
        return zstd.open(path, "wb")
    return gzip.GzipFile(path, "wb", compresslevel=6, mtime=0)
