"""The hot path of events says the same as the plain one: ids, frames, rows and what the journal's heads tell."""

import itertools
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from binance_streamer.exchange.messages import LARGEST_ID, UNREADABLE, ExchangeError
from binance_streamer.exchange.readers import EventReader, ids_reader
from binance_streamer.exchange.streams import Stream, stream_of
from binance_streamer.wire import frames as wire
from services.ingest.connections.events import Delivered, Lost
from services.ingest.streams.chain import IdChain
from services.ingest.streams.stream_set import StreamSet
from services.runtime.delivery.events import EventFrames, EventRun
from services.runtime.gaps.last_rows import LastRow, behind_row
from tests.support.drafts import singles
from tests.support.examples import examples

NOW_NS = 1_790_526_539_000_000_000
NOW_MS = NOW_NS // 1_000_000
STREAMS = [stream_of("BTCUSDT", suffix) for suffix in ("depth@0ms", "aggTrade", "trade", "bookTicker", "markPrice@1s")]
EVENTS = {
    "depth": b'{"e":"depthUpdate","E":%d,"s":"BTCUSDT","U":1,"u":%d,"pu":%d,"b":[["1.2","3"]],"a":[]}',
    "aggtrade": b'{"e":"aggTrade","E":%d,"a":%d,"s":"BTCUSDT","p":"1.5","x":%d}',
    "trade": b'{"e":"trade","E":%d,"t":%d,"s":"BTCUSDT","x":%d}',
    "bookticker": b'{"e":"bookTicker","E":%d,"u":%d,"s":"BTCUSDT","x":%d}',
    "markprice": b'{"e":"markPriceUpdate","E":%d,"x":%d,"y":%d,"s":"BTCUSDT"}',
}
small = st.integers(0, 6)
few = st.integers(0, 3)
edges = st.sampled_from([0, 1, 2**31, LARGEST_ID, LARGEST_ID + 1, 2**62, 2**64])
text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)


@given(st.sampled_from(STREAMS), st.tuples(edges, edges, edges), st.data())
def test_a_link_is_what_the_reader_reads_or_is_refused(
    one: Stream, numbers: tuple[int, int, int], data: st.DataObject
) -> None:
    event = EVENTS[one.stream_type] % numbers
    cut = data.draw(st.integers(0, len(event)))
    spoilt = data.draw(st.sampled_from([event, event[:cut], event[:cut] + b"x" + event[cut + 1 :], event + b" "]))
    read_link = ids_reader(one)
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


def new_streams(*, hot: bool) -> StreamSet:
    numbers = itertools.count(1)
    subject = StreamSet("BTCUSDT", STREAMS, last_rows={}, new_gap_id=lambda: f"g{next(numbers)}")
    if not hot:
        for recorder in subject.recorders.values():
            vars(recorder)["take_all"] = lambda _, __, begin, ___: begin
    return subject


Action = tuple[str, Stream, int]
actions = st.tuples(
    st.sampled_from(["next"] * 12 + ["again", "back", "hole", "empty", "future", "cut", "unreadable", "spaced"]),
    st.sampled_from([STREAMS[0]] * 4 + STREAMS),
    few,
)
reads = st.tuples(st.sampled_from([1, 1, 1, 2]), st.lists(actions, min_size=1, max_size=12))


@settings(max_examples=examples(500), deadline=None)
@given(st.lists(st.tuples(st.lists(reads, min_size=1, max_size=3), st.sampled_from([0, 0, 0, 1, 2])), max_size=8))
def test_runs_are_what_is_recorded_one_by_one(bunches: list[tuple[list[tuple[int, list[Action]]], int]]) -> None:
    hot, plain = new_streams(hot=True), new_streams(hot=False)
    ids = dict.fromkeys(STREAMS, 10)
    sent: dict[int, bytes] = {}
    for number, (reads_before_collect, ended) in enumerate(bunches):
        for part, (connection, some) in enumerate(reads_before_collect):
            frames = [frame_of(ids, *action) for action in some]
            first_ns = NOW_NS + number * 1000 + part * 100
            sent |= dict(enumerate(frames, first_ns))
            delivered = Delivered(connection, range(first_ns, first_ns + len(frames)), frames, 0)
            for subject in (hot, plain):
                subject.deliver(delivered, float(number))
        rows = list(singles(hot.collect(NOW_NS)))
        assert rows == plain.collect(NOW_NS)
        for row in rows:
            if row.stream_type != "gap":
                frame = sent[row.data["recv_ns"]]
                is_cut_off = not frame.endswith(b"}")
                assert row.data["event"] == frame if is_cut_off else row.data["event"] in frame
        assert state_of(hot) == state_of(plain)
        for subject in (hot, plain) if ended else ():
            subject.lose(Lost(ended, "public", "disconnected", {}), float(number))
            subject.expire(number + 0.3)


def frame_of(ids: dict[Stream, int], action: str, one: Stream, step: int) -> bytes:
    """A message, and the stream's last id behind it."""
    previous = ids[one] - step if action == "back" else ids[one] + (action == "hole")
    last = previous if action == "empty" else previous + 1
    late_ms = 2 * 86_400_000 if action == "future" else step
    if action == "again":
        previous, last = ids[one] - 1, ids[one]
    event = EVENTS[one.stream_type] % (NOW_MS + late_ms, last, previous)
    message = b'{"stream":"%b","data":%b}' % (one.name.encode(), event)
    if action in ("cut", "unreadable"):
        return message[:-2] if action == "cut" else message[:-2] + b"x}"
    ids[one] = max(last, ids[one])
    return message.replace(b'"data":', b'"data": ') if action == "spaced" else message


def state_of(subject: StreamSet) -> object:
    """All that the streams know, behind what it has collected."""
    counts = {
        name: (one.messages, one.rows, one.repeats, one.gaps, one.last, one.raw)
        for name, one in subject.recorders.items()
    }
    heard = [(one.heard.by_connection, one.heard.row_s) for one in subject.recorders.values()]
    trackers = [recorder.tracker for recorder in subject.recorders.values()]
    told = (subject.anchors, subject.first_arrivals, subject.lag_ms, subject.refused)
    return counts, heard, [known_to(tracker) for tracker in trackers], told


def known_to(tracker: object) -> dict[str, object]:
    known = vars(tracker) | {"_gaps": None}
    if type(tracker) is IdChain:
        return known | {"_recount": vars(known["_recount"]) | {"_newest_row": None}}
    return known | {"copies": vars(known["copies"])}


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
    if before is not None and before.last_id is not None:
        previous = before.last_id  # else it is no run
    read = ids_reader(STREAMS[0])
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
        expected = behind_row(expected, "depth", "BTCUSDT", reading, recv_ns=number)
    assert behind_row(before, "depth", "BTCUSDT", run.reading, recv_ns=run.stamps_ns[-1]) == expected


def test_all_but_bars_and_liquidations_are_read_by_the_bunch() -> None:
    suffixes = ("kline_1m", "forceOrder", "depth5@100ms", "ticker")
    streams = [*STREAMS, *(stream_of("BTCUSDT", suffix) for suffix in suffixes)]
    kinds = {stream.stream_type for stream in streams if ids_reader(stream) is not None}
    assert kinds == {"depth", "aggtrade", "trade", "bookticker", "markprice", "partialdepth", "ticker"}
