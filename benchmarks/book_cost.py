"""CPU and memory of an order book on the recorded BTCUSDT depth stream, ours beside three other designs.

    ./run --with order-book==0.6.1 python benchmarks/book_cost.py   # needs the data: $MARKET_DATA or ../shared/data

Input: depth@0ms of BTCUSDT in usdm-btceth-20240808 behind its snapshot, 6,547 messages of 68 levels on average. Each
design decodes the exchange's JSON (with the same msgspec decoder, but for one), applies the levels, and looks at best
bid and best ask after every message; numbers stay exact in all of them. Designs take turns within each round of one
run, and the CPU is that of this process. Ours is what the service does with a message: sequence, book and all checks;
`awaiting` is the same while a snapshot to compare with is awaited, which is when updates are kept too.

- sorted: sortedcontainers.SortedDict of Decimal, the usual choice; sorted+json: the same behind `json.loads`, as it is
  usually written
- C: the `order-book` package (a C extension over sorted lists), Decimal; left out where it is not installed
- plain: dict of Decimal, the best price by max and min
"""

import argparse
import gc
import gzip
import importlib.util
import json
import os
import platform
import statistics
import time
import tracemalloc
from collections.abc import Callable, Iterable, MutableMapping
from decimal import Decimal
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from sortedcontainers import SortedDict  # type: ignore[import-untyped]

from binance_streamer.exchange.depth import DepthSnapshot, Level, read_snapshot, read_update
from services.orderbook.book.sequence import BookSequence
from services.runtime.process import settle

ROOT = Path(__file__).resolve().parents[1]
Levels = MutableMapping[Decimal, Decimal]
Book = tuple[Levels, Levels]
Decode = Callable[[bytes], tuple[list[Level], list[Level]]]
Best = Callable[[Book], tuple[Decimal, Decimal]]


def recorded() -> tuple[DepthSnapshot, list[bytes]]:
    """The snapshot, and the events behind it."""
    folder = Path(os.environ.get("MARKET_DATA", ROOT.parent / "shared" / "data")) / "usdm-btceth-20240808"
    events, snapshot = [], None
    with gzip.open(folder / "capture.gz", "rb") as file:
        for line in file:
            frame = line.rstrip(b"\n").partition(b" ")[2]
            if frame.startswith(b'{"stream":"btcusdt@depth@0ms"'):
                events.append(frame[frame.index(b'"data":') + 7 : -1])
            elif frame.startswith(b'{"rest":"/fapi/v1/depth?symbol=BTCUSDT'):
                snapshot = read_snapshot(frame[frame.index(b'"body":') + 7 : -1])
    assert snapshot is not None
    return snapshot, [event for event in events if read_update(event).final_update_id > snapshot.last_update_id]


def ours(snapshot: DepthSnapshot, events: list[bytes], *, is_awaiting: bool = False) -> BookSequence:
    sequence = BookSequence(retry_s=5.0, rng=Random(1))
    sequence.take_snapshot(snapshot, 0.0)
    for event in events:
        sequence.take_update(read_update(event), 0.0)
        if is_awaiting:
            sequence.expect_snapshot()
    return sequence


def sorted_book() -> Book:
    return SortedDict(), SortedDict()


def sorted_best(book: Book) -> tuple[Decimal, Decimal]:
    bids, asks = book
    return bids.peekitem(-1)[0], asks.peekitem(0)[0]  # type: ignore[attr-defined]


def c_book() -> Book:
    book: Any = importlib.import_module("order_book").OrderBook()
    return book.bids, book.asks


def c_best(book: Book) -> tuple[Decimal, Decimal]:
    bids, asks = book
    return bids.index(0)[0], asks.index(0)[0]  # type: ignore[attr-defined]


def plain_book() -> Book:
    return {}, {}


def plain_best(book: Book) -> tuple[Decimal, Decimal]:
    bids, asks = book
    return max(bids), min(asks)


def decoded(event: bytes) -> tuple[list[Level], list[Level]]:
    return read_update(event).levels()


def loaded(event: bytes) -> tuple[list[Level], list[Level]]:
    fields = json.loads(event)
    return fields["b"], fields["a"]


def follow(
    new: Callable[[], Book], best: Best, snapshot: DepthSnapshot, events: list[bytes], decode: Decode = decoded
) -> Book:
    book = new()
    for side, levels in zip(book, (snapshot.bids, snapshot.asks), strict=True):
        put(side, levels)
    for event in events:
        for side, levels in zip(book, decode(event), strict=True):
            put(side, levels)
        bid, ask = best(book)
        assert bid < ask
    return book


def put(side: Levels, levels: Iterable[Level]) -> None:
    for price_text, quantity_text in levels:
        price, quantity = Decimal(price_text), Decimal(quantity_text)
        if quantity:
            side[price] = quantity
        elif price in side:
            del side[price]


Design = Callable[[DepthSnapshot, list[bytes]], object]


def designs() -> dict[str, Design]:
    found: dict[str, Design] = {
        "ours": ours,
        "awaiting": partial(ours, is_awaiting=True),
        "sorted": lambda snapshot, events: follow(sorted_book, sorted_best, snapshot, events),
        "sorted+json": lambda snapshot, events: follow(sorted_book, sorted_best, snapshot, events, loaded),
        "plain": lambda snapshot, events: follow(plain_book, plain_best, snapshot, events),
    }
    if importlib.util.find_spec("order_book"):
        found["C"] = lambda snapshot, events: follow(c_book, c_best, snapshot, events)
    return found


def cpu_us(work: Callable[[], object], messages: int) -> float:
    before = time.process_time()
    work()
    return (time.process_time() - before) / messages * 1e6


def memory_bytes(work: Callable[[], object]) -> int:
    """Return the memory that is allocated while the result is held, in bytes."""
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    kept = work()
    gc.collect()
    used = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    del kept
    return used


def decode_only(_: DepthSnapshot, events: list[bytes]) -> None:
    for event in events:
        read_update(event).levels()


def grown(levels: int) -> tuple[DepthSnapshot, list[bytes]]:
    """A snapshot of 1000 levels a side, and updates that add the rest: every level has texts of its own."""
    half = levels // 2
    bids = [(f"{60000 - number / 10:.2f}", f"{number % 97}.{number:03}") for number in range(half)]
    asks = [(f"{60001 + number / 10:.2f}", f"{number % 97}.{number:03}") for number in range(half)]
    snapshot = DepthSnapshot(last_update_id=0, bids=bids[1:1001], asks=asks[1:1001])
    pieces = [(bids[first : first + 34], asks[first : first + 34]) for first in range(0, half, 34)]
    return snapshot, [event_of(number, *piece) for number, piece in enumerate(pieces)]


def event_of(number: int, bids: list[Level], asks: list[Level]) -> bytes:
    sides = [",".join(f'["{price}","{quantity or 1}"]' for price, quantity in levels) for levels in (bids, asks)]
    ids = f'"U":{number * 100 + 1},"u":{number * 100 + 100},"pu":{number * 100}'
    time_ms = number * 50
    head = f'"e":"depthUpdate","E":{time_ms},"T":{time_ms},"s":"BTCUSDT"'
    return f'{{{head},{ids},"b":[{sides[0]}],"a":[{sides[1]}]}}'.encode()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    snapshot, events = recorded()
    settle()
    for levels in (9_596, 10_000):
        source = (snapshot, events) if levels == 9_596 else grown(levels)
        sizes = {name: memory_bytes(lambda d=design, s=source: d(*s)) for name, design in designs().items()}  # type: ignore[misc]
        print(f"{levels} levels:", *(f"{name}={size / 1e6:.2f} MB" for name, size in sizes.items()))
    results: dict[str, list[float]] = {}
    for round_number in range(1, rounds + 1):
        work = {"decode": decode_only, **designs()}
        line = {name: cpu_us(lambda d=design: d(snapshot, events), len(events)) for name, design in work.items()}  # type: ignore[misc]
        for name, value in line.items():
            results.setdefault(name, []).append(value)
        print(f"round {round_number}:", *(f"{name}={value:.1f}" for name, value in line.items()), "µs a message")
    print("median:", *(f"{name}={statistics.median(values):.1f}" for name, values in results.items()), "µs a message")
    for other in ("sorted", "sorted+json"):
        ratios = [one / two for one, two in zip(results["ours"], results[other], strict=True)]
        print(f"ours over {other}: median {statistics.median(ratios):.3f}, worst {max(ratios):.3f} (goal: 0.25)")
    print(f"{len(events)} messages, {os.cpu_count()} cores, Python {platform.python_version()}")


if __name__ == "__main__":
    main()
