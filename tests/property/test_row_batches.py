"""Rows made in batches are those that are made one by one: lines, files, positions in the sequence, holes."""

import csv
import io
import time
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import msgpack
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from binance_streamer.config import schema as configuration
from binance_streamer.exchange.streams import stream_of
from binance_streamer.wire.frames import Batch, encode_batch, encode_frame, split_frames
from services.runtime.delivery.events import EventFrames
from services.writer.recorder import Recorder
from services.writer.rows import rows
from services.writer.rows.row_batches import RowBatch, row_batches
from services.writer.rows.rows import Row, RowMaker, Run
from tests.support.both_ways import both_ways_of_properties
from tests.support.configs import write_config
from tests.support.examples import examples

__all__ = ["both_ways_of_properties"]

RUN = Run("ingest-BTCUSDT", 7)
DAY_MS = 86_400_000
NOON_MS = 20_000 * DAY_MS + DAY_MS // 2
STREAMS = {
    suffix: stream_of("BTCUSDT", suffix)
    for suffix in ("depth@0ms", "aggTrade", "kline_1m", "depth@100ms", "markPrice@1s")
}
EVENTS = {
    "depth": b'{"e":"depthUpdate","E":%d,"T":%d,"s":"BTCUSDT","U":1,"u":2,"pu":0,"b":[%b],"a":[%b]}',
    "aggtrade": b'{"e":"aggTrade","E":%d,"a":7,"s":"BTCUSDT","p":"1","q":"2","f":1,"l":2,"T":%d,"m":true}',
    "markprice": b'{"e":"markPriceUpdate","E":%d,"s":"BTCUSDT","p":"1","i":"1","P":"1","r":"","T":%d}',
    "kline": b'{"e":"kline","E":%d,"s":"BTCUSDT","k":{"t":%d,"i":"1m"}}',
}
spoilt = st.sampled_from([b"", b" ", b"{", b"\xff", b'"'])
off_days_ms = st.sampled_from(
    [0, 0, 0, 1, DAY_MS // 2 - 1, DAY_MS // 2, -DAY_MS // 2, -DAY_MS // 2 - 1, 10**14, -NOON_MS]
)
numbers = st.sampled_from([b"0", b"1.50", b"0.000", b"84551.10", b"12345678901234567890"])
no_numbers = st.sampled_from([b"", b"1.2.3", b"007", b".5", b"1.", b"-1", b"1e5", b"."])
pairs = st.builds(lambda price, quantity: b'["%b","%b"]' % (price, quantity), numbers, numbers)
odd_pairs = st.builds(lambda price, quantity: b'["%b","%b"]' % (price, quantity), no_numbers | numbers, no_numbers) | (
    st.sampled_from(
        [b"[]", b'["1"]', b'["1","2","3"]', b'["1",2]', b'["1,2"]', b'"[1","2]"', b"[1,2]", b"12", b'["1","2"],[]']
    )
)
good_levels = st.lists(pairs, max_size=5).map(b",".join)
any_levels = st.lists(st.one_of(pairs, pairs, odd_pairs), max_size=5).map(b",".join)


class Message(NamedTuple):
    suffix: str
    connection: int = 1
    off_ms: int = 0
    tail: bytes = b""
    bids: bytes = b'["1.5","2"]'
    asks: bytes = b""


messages = st.lists(
    st.builds(Message, st.sampled_from(sorted(STREAMS)), st.sampled_from([1, 2]), off_days_ms, spoilt)
    | st.builds(Message, st.just("depth@0ms"), st.just(1), st.just(0), st.just(b""), any_levels, any_levels),
    min_size=1,
    max_size=12,
)


def frames_of(found: list[Message]) -> list[bytes]:
    frames = []
    seqs: dict[str, int] = {}
    for number, (suffix, connection, off_ms, tail, bids, asks) in enumerate(found):
        stream = STREAMS[suffix]
        seqs[suffix] = seqs.get(suffix, 0) + 1
        levels = (bids, asks) if stream.stream_type == "depth" else ()
        event = EVENTS[stream.stream_type] % (NOON_MS + off_ms, NOON_MS + off_ms, *levels) + tail
        topic = (stream.stream_type, stream.symbol, stream.name)
        encoder = EventFrames(topic, connection, producer=RUN.producer, epoch=RUN.epoch)
        frames += encoder.encode(seqs[suffix], (NOON_MS * 10**6 + number,), (event,))
    return frames


def taught() -> RowMaker:
    """A maker that has seen a message of each stream and connection."""
    maker = RowMaker()
    for suffix in STREAMS:
        for connection in (1, 2):
            maker.rows(RUN, 0, frames_of([Message(suffix, connection)]), now_ns=1)
    return maker


def by_stream(rows: list[Row]) -> list[Row]:
    """Those of the stream that comes first, then those of the next."""
    streams = list(dict.fromkeys(row.stream for row in rows))
    return sorted(rows, key=lambda row: streams.index(row.stream))


def check_row_batches(found: list[Message]) -> None:
    check_frames(frames_of(found))


def check_frames(frames: list[bytes]) -> None:
    maker, plain = taught(), taught()
    batch = maker.messages(RUN, b"".join(frames))
    assert batch is not None
    expected = by_stream(plain.rows(RUN, 0, frames, now_ns=1))
    lines: list[tuple[Any, bytes]] = []
    for row_batch in row_batches(maker, RUN, batch):
        if isinstance(row_batch, RowBatch):
            first, last = expected[len(lines)], expected[len(lines) + len(row_batch.lines) - 1]
            assert (row_batch.first, row_batch.last) == (first._replace(line=b""), last._replace(line=b""))
            lines += [(row_batch.target, line) for line in row_batch.lines]
        else:
            assert row_batch == expected[len(lines)]
            lines.append((row_batch.target, row_batch.line))
    assert lines == [(row.target, row.line) for row in expected]
    assert (maker.raw_counts, maker.new_keys) == (plain.raw_counts, plain.new_keys)


@settings(deadline=None)
@given(messages)
def test_row_batches_hold_the_rows_that_are_made_one_by_one(found: list[Message]) -> None:
    check_row_batches([message for message in found if message.suffix != "kline_1m"] or [Message("aggTrade")])


@settings(deadline=None)
@given(
    st.lists(st.tuples(good_levels, good_levels), max_size=30),
    st.none() | st.tuples(any_levels, any_levels),
    st.integers(0, 30),
)
def test_one_that_has_no_row_among_many_costs_no_other_one_its_row(
    found: list[tuple[bytes, bytes]], odd: tuple[bytes, bytes] | None, at: int
) -> None:
    found[at:at] = [odd] if odd else []
    check_row_batches([Message("depth@0ms", bids=bids, asks=asks) for bids, asks in found] or [Message("depth@0ms")])


def test_what_has_no_day_at_all_takes_no_other_message_along() -> None:
    stream = STREAMS["depth@0ms"]
    encoder = EventFrames((stream.stream_type, stream.symbol, stream.name), 1, producer=RUN.producer, epoch=RUN.epoch)
    events = [EVENTS["depth"] % (time_ms, time_ms, b"", b"") for time_ms in (0, 7)]
    check_frames(encoder.encode(1, (5, NOON_MS * 10**6), events))


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["depth@0ms", "depth@100ms"]), st.sampled_from([1, 2]), off_days_ms), min_size=1)
)
def test_every_message_goes_into_the_file_of_its_own_day(found: list[tuple[str, int, int]]) -> None:
    check_row_batches([Message(suffix, connection, off_ms) for suffix, connection, off_ms in found])


@given(messages, st.integers(0, 400), st.binary(max_size=3), st.integers(0, 9))
def test_a_batch_that_is_spelt_otherwise_is_left_to_the_decoder(
    found: list[Message], at: int, by: bytes, cut: int
) -> None:
    maker = taught()
    blob = b"".join(frames_of(found))
    at %= len(blob)
    changed = (blob[:at] + by + blob[at + len(by) :])[: len(blob) - cut]
    batch = maker.messages(RUN, changed)
    if batch is None:
        return
    decoded = [msgpack.unpackb(frame) for frame in split_frames(changed)]
    assert sum(len(some.events) for some in batch) == len(decoded)
    for route, seqs, stamps_ns, events in batch:
        own = [data for stream_type, data in decoded if (stream_type, data["stream"]) == (route.topic[0], route.stream)]
        found_data = list(zip(seqs, stamps_ns, events, strict=True))
        assert [(data["seq"], data["recv_ns"], data["event"]) for data in own] == found_data
        for data in own:
            assert (data["symbol"], data["producer"], data["epoch"]) == (route.topic[1], *RUN)
            assert data["source"] == "ws"


def test_only_frames_of_the_same_run_are_taken_for_known() -> None:
    blob = b"".join(frames_of([Message("aggTrade")]))
    assert taught().messages(RUN, blob) is not None
    assert taught().messages(RUN._replace(epoch=8), blob) is None
    assert taught().messages(RUN._replace(producer="ingest-ETHUSDT"), blob) is None


def test_a_frame_in_another_spelling_teaches_nothing() -> None:
    data = {
        "symbol": "BTCUSDT",
        "stream": "btcusdt@aggTrade",
        "recv_ns": 1,
        "producer": RUN.producer,
        "epoch": RUN.epoch,
    }
    frame = encode_frame(
        "aggtrade", {**data, "seq": 1, "source": "ws", "event": EVENTS["aggtrade"] % (NOON_MS, NOON_MS)}
    )
    maker = RowMaker()
    maker.rows(RUN, 0, [frame], now_ns=1)
    assert maker.messages(RUN, frame) is None


def test_connections_and_runs_that_are_gone_leave_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "_MAX_REMEMBERED_HEADS", 100)
    maker = RowMaker()
    for number in range(1, 250):
        maker.rows(RUN, 0, frames_of([Message("aggTrade", number)]), now_ns=1)
        run = RUN._replace(epoch=number)
        encoder = EventFrames(("aggtrade", "BTCUSDT", "btcusdt@aggTrade"), 1, producer=run.producer, epoch=number)
        maker.rows(run, 0, encoder.encode(1, (1,), (EVENTS["aggtrade"] % (NOON_MS, NOON_MS),)), now_ns=1)
    assert sum(map(len, maker._heads.values())) <= 100


def contents(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*.csv")}


def of_any_order(found: dict[str, bytes]) -> dict[str, list[dict[str, str]] | bytes]:
    """The same, but where rows of several streams share a file their order, and the numbers by it, do not count."""
    loose: dict[str, list[dict[str, str]] | bytes] = {}
    for path, content in found.items():
        loose[path] = content
        name = Path(path).name
        if name.startswith(("raw_", "gap_")):
            unlike = {"gap_id", "seq"} if name.startswith("gap_") else set()
            rows = csv.DictReader(io.StringIO(content.decode(), newline=""))
            loose[path] = sorted([{key: row[key] for key in row if key not in unlike} for row in rows], key=repr)
    return loose


@settings(max_examples=examples(20), suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(messages, st.lists(st.integers(0, 12), max_size=4), st.booleans())
def test_files_are_the_same_in_batches_and_one_by_one(
    tmp_path_factory: Any, found: list[Message], cuts: list[int], begins_late: bool
) -> None:
    """Whatever the batches are, with positions that are missing and such that come twice."""
    frames = frames_of(found)
    ranges = list(pairwise(sorted({0, len(frames), *[cut for cut in cuts if cut < len(frames)]})))
    if begins_late and len(ranges) > 1:
        del ranges[1]  # lost: the next batch says that nothing is before it
    twice = [one for one in ranges for _ in range(2)]
    in_batches, one_by_one = (
        recorded(tmp_path_factory.mktemp("data"), frames, twice, in_row_batches=in_row_batches)
        for in_row_batches in (True, False)
    )
    assert of_any_order(in_batches) == of_any_order(one_by_one)
    assert in_batches


@settings(max_examples=examples(20), suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(messages, st.lists(st.tuples(st.integers(1, 6), st.integers(1, 12)), max_size=4), st.booleans())
def test_of_a_batch_that_begins_with_what_is_known_the_rest_is_taken(
    tmp_path_factory: Any, found: list[Message], steps: list[tuple[int, int]], in_row_batches: bool
) -> None:
    """Each batch goes so many frames beyond the one before it, and begins so many before its end."""
    if in_row_batches:  # the first frame teaches the heads of all others
        found = [Message("aggTrade", off_ms=message.off_ms) for message in found]
    frames = frames_of(found)
    ranges, stop = [], 0
    for further, overlap in [(1, 0), *steps, (len(frames), 3)]:
        start, stop = max(0, stop - overlap), min(len(frames), stop + further)
        ranges.append((start, stop))
    expected = recorded(tmp_path_factory.mktemp("data"), frames, [(0, len(frames))], in_row_batches=False)
    assert recorded(tmp_path_factory.mktemp("data"), frames, ranges, in_row_batches=in_row_batches) == expected


def recorded(
    place: Path, frames: list[bytes], ranges: list[tuple[int, int]], *, in_row_batches: bool
) -> dict[str, bytes]:
    """The files, after these batches."""
    config = configuration.load(write_config(place, {"BTCUSDT": ["trade"]}, {}))
    root = Path(config.storage.output_directory)
    root.mkdir()
    recorder = Recorder(config, 1, 5)
    if not in_row_batches:
        recorder._maker.messages = lambda *_: None  # type: ignore[method-assign]
    for start, stop in ranges:
        batch = Batch(RUN.producer, RUN.epoch, start, None, b"".join(frames[start:stop]))
        recorder.take(encode_batch(batch), 9)
    recorder.flush()
    found = contents(root)
    recorder.close()
    return found


def test_runs_after_a_lost_ledger_are_taken_in_batches_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = configuration.load(write_config(tmp_path, {"BTCUSDT": ["trade"]}, {}))
    root = Path(config.storage.output_directory)
    root.mkdir()

    def take(recorder: Recorder, epoch: int, first: int, count: int) -> None:
        encoder = EventFrames(("aggtrade", "BTCUSDT", "btcusdt@aggTrade"), 1, producer=RUN.producer, epoch=epoch)
        events = tuple(EVENTS["aggtrade"] % (NOON_MS, NOON_MS) for _ in range(count))
        stamps = tuple(range(NOON_MS * 10**6, NOON_MS * 10**6 + count))
        frames = b"".join(encoder.encode(first + 1, stamps, events))
        recorder.take(encode_batch(Batch(RUN.producer, epoch, first, None, frames)), 9)

    recorder = Recorder(config, 1, time.time_ns())
    take(recorder, 7, 0, 3)
    recorder.flush()
    recorder.close()
    (root / ".writer.sqlite").unlink()
    recorder = Recorder(config, 2, time.time_ns())
    take(recorder, 7, 0, 4)
    take(recorder, 8, 0, 1)
    monkeypatch.setattr(recorder._maker, "rows", None)
    take(recorder, 8, 1, 3)
    recorder.flush()
    recorder.close()
    (lines,) = [text for path, text in contents(root).items() if "/aggtrade_" in path]
    assert lines.count(b"\n") == 1 + 4 + 4
