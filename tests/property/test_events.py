"""The hot path of events says the same as the plain one: ids, frames, rows and what the journal's heads tell."""

import itertools
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from binance_streamer import wire
from binance_streamer.exchange import (
    LARGEST_ID,
    UNREADABLE,
    EventReader,
    ExchangeError,
    Stream,
    link_reader,
    stream_of,
)
from services.ingest.recorder import Recorder
from services.ingest.reports import Delivered
from services.runtime.events import EventFrames, EventRun, singles
from services.runtime.segments import LastRow, following_row

NOW_NS = 1_790_526_539_000_000_000
NOW_MS = NOW_NS // 1_000_000
STREAMS = [stream_of("BTCUSDT", suffix) for suffix in ("depth@0ms", "aggTrade", "trade", "bookTicker", "markPrice@1s")]
LINKED = STREAMS[:3]
EVENTS = {
    "depth": b'{"e":"depthUpdate","E":%d,"s":"BTCUSDT","U":1,"u":%d,"pu":%d,"b":[["1.2","3"]],"a":[]}',
    "aggtrade": b'{"e":"aggTrade","E":%d,"a":%d,"s":"BTCUSDT","p":"1.5","x":%d}',
    "trade": b'{"e":"trade","E":%d,"t":%d,"s":"BTCUSDT","x":%d}',
    "bookticker": b'{"e":"bookTicker","E":%d,"u":%d,"s":"BTCUSDT","x":%d}',
    "markprice": b'{"e":"markPriceUpdate","E":%d,"x":%d,"y":%d,"s":"BTCUSDT"}',
}
small = st.integers(0, 6)
few = st.integers(0, 3)
messages = st.tuples(st.sampled_from(STREAMS), st.sampled_from([1, 2]), few, few, st.sampled_from([-1, 0, 0, 0, 1, 2]))
edges = st.sampled_from([0, 1, 2**31, LARGEST_ID, LARGEST_ID + 1, 2**62, 2**64])
text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)


@given(st.sampled_from(LINKED), st.tuples(edges, edges, edges), st.data())
def test_a_link_is_what_the_reader_reads_or_is_refused(
    one: Stream, numbers: tuple[int, int, int], data: st.DataObject
) -> None:
    event = EVENTS[one.stream_type] % numbers
    cut = data.draw(st.integers(0, len(event)))
    spoilt = data.draw(st.sampled_from([event, event[:cut], event[:cut] + b"x" + event[cut + 1 :], event + b" "]))
    read_link = link_reader(one)
    assert read_link is not None
    try:
        reading = EventReader(one).read(spoilt)
    except ExchangeError:
        reading = None
    try:
        link = read_link(spoilt)
    except UNREADABLE:
        assert reading is None or max(number or 0 for number in reading) > LARGEST_ID
        return
    assert (link.previous_id, link.last_id, link.event_time_ms) == reading


@given(
    text.filter(lambda symbol: "." not in symbol),
    st.integers(0, 2**64 - 1),
    st.integers(0, 2**40),
    st.lists(st.tuples(st.integers(0, 2**64 - 1), st.binary(max_size=300)), min_size=1, max_size=4),
)
def test_a_frame_by_template_decodes_like_any_other(
    symbol: str, epoch: int, connection: int, received: Sequence[tuple[int, bytes]]
) -> None:
    stream = STREAMS[0]._replace(symbol=symbol)
    frames = EventFrames(("depth", symbol, stream.name), connection, producer="ingest-X", epoch=epoch)
    stamps_ns, events = zip(*received, strict=True)
    for seq, (frame, (recv_ns, event)) in enumerate(
        zip(frames.encode(7, stamps_ns, events), received, strict=True), start=7
    ):
        plain = {
            "symbol": symbol,
            "stream": stream.name,
            "recv_ns": recv_ns,
            "source": "ws",
            "connection": connection,
            "event": event,
            "producer": "ingest-X",
            "epoch": epoch,
            "seq": seq,
        }
        assert wire.decode_frame(frame) == ("depth", plain)
        assert wire.split_frames(frame) == [frame]


def new_recorder(*, hot: bool) -> Recorder:
    numbers = itertools.count(1)
    recorder = Recorder("BTCUSDT", STREAMS, last_rows={}, new_gap_id=lambda: f"g{next(numbers)}")
    if not hot:
        for feed in recorder.feeds.values():
            feed.follows = lambda *_: False
    return recorder


@given(st.lists(st.tuples(st.lists(messages, min_size=1, max_size=8), st.sampled_from([0, 0, 1])), max_size=8))
def test_runs_are_what_is_recorded_one_by_one(
    bunches: list[tuple[list[tuple[Stream, int, int, int, int]], int]],
) -> None:
    hot, plain = new_recorder(hot=True), new_recorder(hot=False)
    for number, (bunch, ended) in enumerate(bunches):
        for recorder in (hot, plain) if ended else ():
            recorder.ended(ended, "public", {}, reason="disconnected", now_s=float(number))
        for connection in (1, 2):
            frames = [frame_of(*message) for message in bunch if message[1] == connection]
            for part, some in enumerate((frames[:2], frames[2:])):  # two reads before one collect
                delivered = Delivered(connection, NOW_NS + number * 1000 + part * 100, some, 0)
                for recorder in (hot, plain):
                    recorder.deliver(delivered, float(number))
        assert list(singles(hot.collect(NOW_NS))) == plain.collect(NOW_NS)
        assert hot.anchors == plain.anchors
        assert (hot.first_arrivals, hot.lag_ms, hot.refused) == (plain.first_arrivals, plain.lag_ms, plain.refused)
        for name, feed in hot.feeds.items():
            other = plain.feeds[name]
            assert (feed.messages, feed.rows, feed.repeats, feed.gaps, feed.last, feed.heard_s, feed.recorded_s) == (
                other.messages, other.rows, other.repeats, other.gaps, other.last, other.heard_s, other.recorded_s
            )  # fmt: skip


def frame_of(one: Stream, _connection: int, previous: int, step: int, late_ms: int) -> bytes:
    event = EVENTS[one.stream_type] % (NOW_MS + late_ms * 86_400_000, previous + step, previous)
    return b'{"stream":"%b","data":%b}' % (one.name.encode(), event)


@given(
    st.none() | st.builds(LastRow, st.just("depth"), st.just("BTCUSDT"), st.none() | small, st.none() | small, small),
    st.integers(0, 6),
    st.lists(st.tuples(st.integers(1, 3), small), min_size=1, max_size=6),
)
def test_a_run_leads_to_where_its_rows_lead_one_by_one(
    before: LastRow | None, previous: int, steps: list[tuple[int, int]]
) -> None:
    if before is not None and before.last_id is None:
        before = LastRow("depth", "BTCUSDT", None, None, before.recv_ns)  # a stream has both from its first row on
    read = link_reader(STREAMS[0])
    assert read is not None
    run = EventRun(STREAMS[0], 1)
    expected = before
    for number, (step, event_time_ms) in enumerate(steps):
        event = EVENTS["depth"] % (event_time_ms, previous + step, previous)
        previous += step
        run.stamps_ns.append(number)
        run.events.append(event)
        run.links.append(read(event))
        reading = EventReader(STREAMS[0]).read(event)
        expected = following_row(expected, "depth", "BTCUSDT", reading, recv_ns=number)
    assert following_row(before, "depth", "BTCUSDT", run.reading, recv_ns=run.stamps_ns[-1]) == expected


def test_every_stream_whose_ids_link_is_read_by_link() -> None:
    kinds = {stream.stream_type for stream in STREAMS if link_reader(stream) is not None}
    assert kinds == {"depth", "aggtrade", "trade"}
