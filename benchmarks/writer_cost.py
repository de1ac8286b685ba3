"""CPU of the writer per row, csv against csv.zst: `./run python -m benchmarks.writer_cost`, rounds in alternation.

A recorder on a real directory takes the messages of a capture in batches of 256 KiB, as ingest pushes them, and commits
after every 16 MiB: rows, frames, writes, fdatasync and the ledger, without sockets. CPU is that of the whole process
(user + system), so that compression counts wherever it is done.
"""

import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import msgpack

from benchmarks.capture_rows import RUN, Captured, captured, frames
from binance_streamer.config.schema import load
from services.writer.recorder import Recorder
from services.writer.store.files import check_root, make_durable
from tests.support.configs import write_config

CAPTURE = "usdm-btceth-20240808"
BATCH_BYTES = 256 * 1024
COMMIT_BATCHES = 64
ROUNDS = 5


def batches(messages: Iterator[Captured]) -> tuple[int, list[list[bytes]]]:
    """The number of messages, and the multipart messages that a producer would push."""
    found: list[list[bytes]] = []
    waiting: list[bytes] = []
    first = count = 0
    for frame in frames(messages):
        count += 1
        waiting.append(frame)
        if sum(map(len, waiting)) >= BATCH_BYTES:
            found.append(_batch(first, waiting))
            first, waiting = count, []
    return count, [*found, _batch(first, waiting)]


def _batch(first: int, waiting: list[bytes]) -> list[bytes]:
    after = (RUN.epoch, first - 1) if first else None
    return [RUN.producer.encode(), msgpack.packb((RUN.epoch, first, after)), b"".join(waiting)]


def cost_s(parts: list[list[bytes]], file_format: str) -> tuple[float, int]:
    """CPU seconds to record these batches, and the bytes of the files."""
    with tempfile.TemporaryDirectory() as place:
        storage = {"output_directory": "data", "journal_directory": "journal", "file_format": file_format}
        config = load(write_config(Path(place), {"BTCUSDT": ["aggTrade"]}, {}, storage=storage))
        root = Path(config.storage.output_directory)
        check_root(root)
        recorder = Recorder(config, 1, time.time_ns())
        started_s = time.process_time()
        for number, batch in enumerate(parts, 1):
            recorder.take(batch, time.time_ns())
            if number % COMMIT_BATCHES == 0 or number == len(parts):
                commit = recorder.begin_commit(time.time_ns())
                if commit is not None:
                    make_durable(root, commit.work)
                    recorder.finish_commit(commit)
        used_s = time.process_time() - started_s
        recorder.close()
        return used_s, sum(path.stat().st_size for path in root.glob("*/*"))


def main() -> None:
    """The table: µs of CPU a row by stream type and format, and by how much more csv.zst is."""
    for stream_type in ("depth", "bookticker", "trade"):
        count, parts = batches(one for one in captured(CAPTURE) if one.stream.stream_type == stream_type)
        used: dict[str, list[float]] = {"csv": [], "csv.zst": []}
        sizes = {}
        for _ in range(ROUNDS):
            for file_format, all_s in used.items():
                spent_s, sizes[file_format] = cost_s(parts, file_format)
                all_s.append(spent_s)
        us = {name: statistics.median(all_s) / count * 1e6 for name, all_s in used.items()}
        more = us["csv.zst"] / us["csv"] - 1
        ratio = sizes["csv"] / sizes["csv.zst"]
        print(
            f"{stream_type:12} {count:8} rows  csv {us['csv']:5.2f} µs  csv.zst {us['csv.zst']:5.2f} µs  {more:+.0%}"
            f"  1/{ratio:.2f} of the size"
        )


if __name__ == "__main__":
    main()
