"""Rows made by the bunch are those that are made one by one: lines, files, positions in the sequence, holes."""

import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgpack
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from binance_streamer import config as configuration
from binance_streamer.exchange import stream_of
from binance_streamer.wire import Batch, encode_batch, encode_frame, split_frames
from services.runtime.events import EventFrames
from services.writer import rows
from services.writer.bunches import Bunch, bunches
from services.writer.recorder import Recorder
from services.writer.rows import Row, RowMaker, Run
from tests.support.configs import write_config

RUN = Run("ingest-BTCUSDT", 7)
DAY_MS = 86_400_000
NOON_MS = 20_000 * DAY_MS + DAY_MS // 2
STREAMS = {
    suffix: stream_of("BTCUSDT", suffix)
    for suffix in ("depth@0ms", "aggTrade", "kline_1m", "depth@100ms", "markPrice@1s")
}
EVENTS = {
    "depth": b'{"e":"depthUpdate","E":%d,"T":%d,"s":"BTCUSDT","U":1,"u":2,"pu":0,"b":[["1.5","2"]],"a":[]}',
    "aggtrade": b'{"e":"aggTrade","E":%d,"a":7,"s":"BTCUSDT","p":"1","q":"2","f":1,"l":2,"T":%d,"m":true}',
    "markprice": b'{"e":"markPriceUpdate","E":%d,"s":"BTCUSDT","p":"1","i":"1","P":"1","r":"","T":%d}',
    "kline": b'{"e":"kline","E":%d,"s":"BTCUSDT","k":{"t":%d,"i":"1m"}}',
}
spoilt = st.sampled_from([b"", b" ", b"{", b"\xff", b'"'])
messages = st.lists(
    st.tuples(
        st.sampled_from(sorted(STREAMS)),
        st.sampled_from([1, 2]),
        st.sampled_from([0, 0, 0, 1, DAY_MS // 2 - 1, DAY_MS // 2, -DAY_MS // 2, -DAY_MS // 2 - 1, 10**14, -NOON_MS]),
        spoilt,
    ),
    min_size=1,
    max_size=12,
)
Message = tuple[str, int, int, bytes]


def frames_of(found: list[Message]) -> list[bytes]:
    frames = []
    seqs: dict[str, int] = {}
    for number, (suffix, connection, off_ms, tail) in enumerate(found):
        stream = STREAMS[suffix]
        seqs[suffix] = seqs.get(suffix, 0) + 1
        event = EVENTS[stream.stream_type] % (NOON_MS + off_ms, NOON_MS + off_ms) + tail
        topic = (stream.stream_type, stream.symbol, stream.name)
        encoder = EventFrames(topic, connection, producer=RUN.producer, epoch=RUN.epoch)
        frames += encoder.encode(seqs[suffix], (NOON_MS * 10**6 + number,), (event,))
    return frames


def taught() -> RowMaker:
    """A maker that has seen a message of each stream and connection."""
    maker = RowMaker()
    for suffix in STREAMS:
        for connection in (1, 2):
            maker.rows(RUN, 0, frames_of([(suffix, connection, 0, b"")]), now_ns=1)
    return maker


@given(messages)
def test_bunches_hold_the_rows_that_are_made_one_by_one(found: list[Message]) -> None:
    frames = frames_of([message for message in found if message[0] != "kline_1m"] or [("aggTrade", 1, 0, b"")])
    maker, plain = taught(), taught()
    events = maker.events(RUN, b"".join(frames))
    assert events is not None
    expected = plain.rows(RUN, 0, frames, now_ns=1)
    lines: list[tuple[Any, bytes]] = []
    ends: list[Row] = []
    for bunch in bunches(maker, RUN, events):
        if isinstance(bunch, Bunch):
            first, last = len(lines), len(lines) + len(bunch.lines) - 1
            lines += [(bunch.target, line) for line in bunch.lines]
            ends += [bunch.first._replace(line=expected[first].line), bunch.last._replace(line=expected[last].line)]
            assert ends[-2:] == [expected[first], expected[last]]
        else:
            assert bunch == expected[len(lines)]
            lines.append((bunch.target, bunch.line))
    assert lines == [(row.target, row.line) for row in expected]
    assert (maker.raw_counts, maker.new_keys) == (plain.raw_counts, plain.new_keys)


@given(messages, st.integers(0, 400), st.binary(max_size=3), st.integers(0, 9))
def test_a_batch_that_is_spelt_otherwise_is_left_to_the_decoder(
    found: list[Message], at: int, by: bytes, cut: int
) -> None:
    maker = taught()
    blob = b"".join(frames_of(found))
    at %= len(blob)
    changed = (blob[:at] + by + blob[at + len(by) :])[: len(blob) - cut]
    events = maker.events(RUN, changed)
    if events is None:
        return
    frames = split_frames(changed)
    assert len(frames) == len(events)
    for frame, (route, seq, recv_ns, event) in zip(frames, events, strict=True):
        stream_type, data = msgpack.unpackb(frame)
        assert (stream_type, data["symbol"], data["stream"]) == (*route.topic[:2], route.stream)
        assert (data["seq"], data["recv_ns"], data["event"]) == (seq, recv_ns, event)
        assert (data["producer"], data["epoch"], data["source"]) == (*RUN, "ws")


def test_only_frames_of_the_same_run_are_taken_for_known() -> None:
    blob = b"".join(frames_of([("aggTrade", 1, 0, b"")]))
    assert taught().events(RUN, blob) is not None
    assert taught().events(RUN._replace(epoch=8), blob) is None
    assert taught().events(RUN._replace(producer="ingest-ETHUSDT"), blob) is None


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
    assert maker.events(RUN, frame) is None


def test_connections_and_runs_that_are_gone_leave_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "_MAX_REMEMBERED_HEADS", 100)
    maker = RowMaker()
    for number in range(1, 250):
        maker.rows(RUN, 0, frames_of([("aggTrade", number, 0, b"")]), now_ns=1)
        run = RUN._replace(epoch=number)
        encoder = EventFrames(("aggtrade", "BTCUSDT", "btcusdt@aggTrade"), 1, producer=run.producer, epoch=number)
        maker.rows(run, 0, encoder.encode(1, (1,), (EVENTS["aggtrade"] % (NOON_MS, NOON_MS),)), now_ns=1)
    assert sum(map(len, maker._heads.values())) <= 100


def contents(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*.csv")}


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(messages, st.lists(st.integers(0, 12), max_size=4), st.booleans())
def test_files_are_the_same_by_the_bunch_and_one_by_one(
    tmp_path_factory: Any, found: list[Message], cuts: list[int], begins_late: bool
) -> None:
    """Whatever the batches are, with positions that are missing and such that come twice."""
    frames = frames_of(found)
    ranges = list(pairwise(sorted({0, len(frames), *[cut for cut in cuts if cut < len(frames)]})))
    if begins_late and len(ranges) > 1:
        del ranges[1]  # lost: the next batch says that nothing is before it
    twice = [one for one in ranges for _ in range(2)]
    by_the_bunch, one_by_one = (
        recorded(tmp_path_factory.mktemp("data"), frames, twice, is_bunched=is_bunched) for is_bunched in (True, False)
    )
    assert by_the_bunch == one_by_one
    assert by_the_bunch


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(messages, st.lists(st.tuples(st.integers(1, 6), st.integers(1, 12)), max_size=4), st.booleans())
def test_of_a_batch_that_begins_with_what_is_known_the_rest_is_taken(
    tmp_path_factory: Any, found: list[Message], steps: list[tuple[int, int]], is_bunched: bool
) -> None:
    """Each batch goes so many frames beyond the one before it, and begins so many before its end."""
    if is_bunched:  # the first frame teaches the heads of all others
        found = [("aggTrade", 1, off_ms, b"") for _, _, off_ms, _ in found]
    frames = frames_of(found)
    ranges, stop = [], 0
    for further, overlap in [(1, 0), *steps, (len(frames), 3)]:
        start, stop = max(0, stop - overlap), min(len(frames), stop + further)
        ranges.append((start, stop))
    expected = recorded(tmp_path_factory.mktemp("data"), frames, [(0, len(frames))], is_bunched=False)
    assert recorded(tmp_path_factory.mktemp("data"), frames, ranges, is_bunched=is_bunched) == expected


def recorded(place: Path, frames: list[bytes], ranges: list[tuple[int, int]], *, is_bunched: bool) -> dict[str, bytes]:
    """The files, after these batches."""
    config = configuration.load(write_config(place, {"BTCUSDT": ["trade"]}, {}))
    root = Path(config.storage.output_directory)
    root.mkdir()
    recorder = Recorder(config, 1, 5)
    if not is_bunched:
        recorder._maker.events = lambda *_: None  # type: ignore[method-assign]
    for start, stop in ranges:
        batch = Batch(RUN.producer, RUN.epoch, start, None, b"".join(frames[start:stop]))
        recorder.take(encode_batch(batch), 9)
    recorder.flush(10)
    found = contents(root)
    recorder.close()
    return found


def test_runs_after_a_lost_ledger_are_taken_by_the_bunch_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
    recorder.flush(10)
    recorder.close()
    (root / ".writer.sqlite").unlink()
    recorder = Recorder(config, 2, time.time_ns())
    take(recorder, 7, 0, 4)
    take(recorder, 8, 0, 1)
    monkeypatch.setattr(recorder._maker, "rows", None)
    take(recorder, 8, 1, 3)
    recorder.flush(10)
    recorder.close()
    (lines,) = [text for path, text in contents(root).items() if "/aggtrade_" in path]
    assert lines.count(b"\n") == 1 + 4 + 4
