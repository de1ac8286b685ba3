"""What becomes of each message: a row, a repeat, or a raw row with its reason."""

import itertools
import json
from typing import Any

import pytest

from binance_streamer.exchange.streams import stream_of
from binance_streamer.wire.requests import SnapshotRequest
from services.ingest.connections.events import JOURNAL, Delivered, Lost
from services.ingest.streams.stream_set import StreamSet
from services.runtime.gaps.last_rows import LastRow, LastRows
from services.runtime.gaps.open_gaps import OpenGap
from services.runtime.gaps.stream_states import fold
from tests.support.drafts import singles

SUFFIXES = ("aggTrade", "depth@0ms", "markPrice@1s")
AGG_TRADE = b'{"e":"aggTrade","E":1790526539033,"a":7,"s":"BTCUSDT","p":"84551.10","nq":"0.030"}'
SUFFIX_OF = {
    "aggTrade": "aggTrade",
    "trade": "trade",
    "bookTicker": "bookTicker",
    "markPriceUpdate": "markPrice@1s",
    "kline": "kline_1m",
    "depthUpdate": "depth5@100ms",
}
STAMP_NS = 1_790_526_539_033_000_000


def recorder(last_rows: dict[str, LastRow] | None = None) -> StreamSet:
    numbers = itertools.count(1)
    return StreamSet(
        "BTCUSDT",
        [stream_of("BTCUSDT", suffix) for suffix in SUFFIXES],
        last_rows=last_rows or {},
        new_gap_id=lambda: f"g{next(numbers)}",
    )


def frame(name: str, event: bytes) -> bytes:
    return b'{"stream":"' + name.encode() + b'","data":' + event + b"}"


def depth(previous: int, last: int, event_time_ms: int = 1_790_526_539_000) -> bytes:
    event = f'{{"e":"depthUpdate","E":{event_time_ms},"s":"BTCUSDT","U":1,"u":{last},"pu":{previous},"b":[],"a":[]}}'
    return frame("btcusdt@depth@0ms", event.encode())


def deliver(
    subject: StreamSet, *messages: bytes, connection: int = 1, stamp_ns: int = STAMP_NS
) -> list[dict[str, Any]]:
    """The data of what is to be journalled, with its stream type."""
    subject.deliver(Delivered(connection, range(stamp_ns, stamp_ns + len(messages)), list(messages), 0), 100.0)
    return [{"type": draft.stream_type, **draft.data} for draft in singles(subject.collect(1))]


def bar(open_time_ms: int) -> bytes:
    times = f'"t":{open_time_ms},"T":{open_time_ms + 59_999}'
    event = f'{{"e":"kline","E":{open_time_ms + 60_000},"s":"BTCUSDT","k":{{{times},"i":"1m","x":true}}}}'
    return frame("btcusdt@kline_1m", event.encode())


def test_a_closed_bar_of_next_year_is_raw_and_keeps_none_of_this_one_out() -> None:
    """REST has none of the bars up to it; once it says so, they would be missing no more."""
    subject = StreamSet("BTCUSDT", [stream_of("BTCUSDT", "kline_1m")], last_rows={}, new_gap_id=lambda: "g")
    minute_ms = STAMP_NS // 60_000_000_000 * 60_000
    first, odd = deliver(subject, bar(minute_ms - 120_000), bar(minute_ms + 365 * 86_400_000))
    assert (first["type"], odd["type"]) == ("kline", "raw")
    assert odd["reason"].startswith("expected a bar that has begun")
    (second,) = deliver(subject, bar(minute_ms - 60_000), stamp_ns=STAMP_NS + 10)
    assert second["type"] == "kline"


def test_an_event_is_a_row_with_its_own_bytes_and_stamp() -> None:
    rows = deliver(recorder(), frame("btcusdt@aggTrade", AGG_TRADE))
    assert rows == [
        {
            "type": "aggtrade",
            "symbol": "BTCUSDT",
            "stream": "btcusdt@aggTrade",
            "recv_ns": STAMP_NS,
            "source": "ws",
            "connection": 1,
            "event": AGG_TRADE,
        }
    ]


def test_messages_of_one_recv_have_consecutive_stamps() -> None:
    rows = deliver(recorder(), depth(0, 1), b"garbage", depth(1, 2))
    assert [row["recv_ns"] - STAMP_NS for row in rows] == [0, 1, 2]


def test_another_spelling_is_the_same_event() -> None:
    message = b'{"data": ' + AGG_TRADE + b', "stream": "btcusdt@aggTrade"}'
    (row,) = deliver(recorder(), message)
    assert (row["type"], row["event"]) == ("aggtrade", AGG_TRADE)


@pytest.mark.parametrize(
    ("message", "event", "stream", "kind"),
    [
        (b"\x01 garbage", b"\x01 garbage", "", "not the combined form"),
        (b"[" * 200_000, b"[" * 200_000, "", "not the combined form"),
        (frame("x@y", b"{}"), frame("x@y", b"{}"), "", "unknown stream"),
        (frame("it's: x@y", b"{}"), frame("it's: x@y", b"{}"), "", "unknown stream"),
        (frame("btcusdt@aggTrade", b'{"e":'), b'{"e":', "btcusdt@aggTrade", "unreadable event"),
        (frame("btcusdt@aggTrade", b"\xff"), b"\xff", "btcusdt@aggTrade", "unreadable event"),
        (
            frame("btcusdt@aggTrade", AGG_TRADE.replace(b"BTCUSDT", b"ETHUSDT")),
            AGG_TRADE.replace(b"BTCUSDT", b"ETHUSDT"),
            "btcusdt@aggTrade",
            "unreadable event",
        ),
        (
            frame("btcusdt@aggTrade", AGG_TRADE.replace(b'"a":7', b'"a":9007199254740993')),
            AGG_TRADE.replace(b'"a":7', b'"a":9007199254740993'),
            "btcusdt@aggTrade",
            "unreadable event",
        ),
        (
            frame("btcusdt@aggTrade", AGG_TRADE.replace(b"1790526539033", b"4790526539033")),
            AGG_TRADE.replace(b"1790526539033", b"4790526539033"),
            "btcusdt@aggTrade",
            "unreadable event",
        ),
    ],
)
def test_what_is_no_event_is_recorded_raw(message: bytes, event: bytes, stream: str, kind: str) -> None:
    subject = recorder()
    deliver(subject, frame("btcusdt@aggTrade", AGG_TRADE.replace(b'"a":7', b'"a":6')))
    (row,) = deliver(subject, message)
    assert (row["type"], row["event"], row["stream"]) == ("raw", event, stream)
    assert 0 < len(row["reason"]) <= 200
    assert dict(subject.refused) == {kind: 1}
    (row,) = deliver(subject, frame("btcusdt@aggTrade", AGG_TRADE))
    assert row["type"] == "aggtrade", "what is behind it is not lost, and no gap"


def beside_the_quotes(message: bytes) -> bytes:
    """Digits where JSON allows none, and nobody sees them who only takes the quotes away."""
    return message.replace(b'"b":[]', b'"b":[["1"2,"3"]]').replace(b'"84551.10"', b'"84551.1"0')


@pytest.mark.parametrize("before", [[], [(0, 10)], [(0, 10), (20, 30)]], ids=["first", "next", "straggler"])
@pytest.mark.parametrize("ids", [(0, 10), (10, 20), (20, 30)])
@pytest.mark.parametrize("connection", [1, 2])
def test_no_row_of_a_stream_is_not_json_wherever_it_stands(
    before: list[tuple[int, int]], ids: tuple[int, int], connection: int
) -> None:
    subject = recorder()
    deliver(subject, *(depth(*some) for some in before))
    message = beside_the_quotes(depth(*ids))
    (row,) = deliver(subject, message, connection=connection)
    assert (row["type"], row["event"]) == ("raw", message.partition(b'"data":')[2][:-1])
    rows = deliver(subject, depth(30, 40), depth(*ids), depth(40, 50), connection=connection)
    subject.expire(1000.0)
    rows += [{"type": draft.stream_type, **draft.data} for draft in singles(subject.collect(1))]
    assert all(json.loads(row["event"]) for row in rows if row["type"] == "depth")
    assert {row["type"] for row in rows} <= {"gap", "depth"}
    last = depth(40, 50).partition(b'"data":')[2][:-1]
    assert last in [row["event"] for row in rows if row["type"] == "depth"], "what is behind it is not lost"


@pytest.mark.parametrize(
    "event",
    [
        AGG_TRADE,
        b'{"e":"trade","E":1,"T":1,"s":"BTCUSDT","t":1,"p":"84551.10","q":"0.003","X":"MARKET","m":true}',
        b'{"e":"bookTicker","u":1,"s":"BTCUSDT","b":"84551.10","B":"1","a":"2","A":"1","T":1,"E":1}',
        b'{"e":"markPriceUpdate","E":1,"s":"BTCUSDT","p":"84551.10","i":"1","P":"1","r":"","T":1}',
        b'{"e":"kline","E":1,"s":"BTCUSDT","k":{"t":60000,"i":"1m","x":false,"o":"84551.10"}}',
        b'{"e":"depthUpdate","E":1,"T":1,"s":"BTCUSDT","U":1,"u":2,"pu":1,"b":[["84551.10","1"]],"a":[]}',
    ],
)
@pytest.mark.parametrize("is_first", [True, False])
def test_no_row_of_any_stream_is_not_json(event: bytes, is_first: bool) -> None:
    stream = stream_of("BTCUSDT", SUFFIX_OF[json.loads(event)["e"]])
    subject = StreamSet("BTCUSDT", [stream], last_rows={}, new_gap_id=lambda: "g")
    if not is_first:
        assert [row["type"] for row in deliver(subject, frame(stream.name, event))] == [stream.stream_type]
    next_event = beside_the_quotes(event)
    (row,) = deliver(subject, frame(stream.name, next_event))
    assert (row["type"], row["event"]) == ("raw", next_event)


def test_the_kinds_of_refusal_are_few_whatever_comes() -> None:
    subject = recorder()
    for number in range(100):
        deliver(subject, frame(f"stream{number}", b"{}"), f"garbage {number}".encode())
    assert len(subject.refused) == 2


def test_an_announced_shutdown_is_noted_and_recorded() -> None:
    subject = recorder()
    (row,) = deliver(subject, b'{"e":"serverShutdown","E":1}', connection=4)
    assert (row["type"], row["reason"]) == ("raw", "serverShutdown")
    assert subject.shutdowns == {4}


def test_the_answer_to_a_subscription_is_not_recorded() -> None:
    assert deliver(recorder(), b'{"result":null,"id":1}') == []


def test_a_gap_is_told_before_the_row_that_shows_it_and_its_last_state_behind_what_changed_it() -> None:
    subject = recorder()
    rows = deliver(subject, depth(0, 10), depth(30, 40), depth(10, 20), depth(20, 25))
    told = [(row["gap_id"], row["from_id"], row["to_id"]) if row["type"] == "gap" else row["type"] for row in rows]
    assert told == ["depth", ("g1", 10, 30), "depth", "depth", "depth", ("g1", 25, 30)]


def test_the_first_depth_row_and_every_hole_want_a_snapshot() -> None:
    subject = recorder()
    deliver(subject, depth(5, 10), depth(10, 12), depth(30, 40))
    assert subject.anchors == [SnapshotRequest("BTCUSDT", 5, "connected"), SnapshotRequest("BTCUSDT", 30, "sequence")]


def test_a_hole_in_depth_that_our_own_journal_has_wants_a_snapshot() -> None:
    subject = recorder()
    subject.note_lost("btcusdt@aggTrade", 7, "journal full")
    subject.note_lost("btcusdt@depth@0ms", 40, "journal full")
    assert subject.anchors == [SnapshotRequest("BTCUSDT", 40, "journal full")]


def test_a_hole_that_is_closed_wants_none() -> None:
    subject = recorder()
    deliver(subject, depth(5, 10), depth(30, 40))
    subject.anchors.clear()
    deliver(subject, depth(10, 30))
    assert subject.anchors == []


def test_a_reconnection_wants_a_snapshot_even_without_a_hole() -> None:
    subject = recorder()
    deliver(subject, depth(5, 10))
    subject.anchors.clear()
    subject.lose(Lost(1, "public", "disconnected", {}), 101.0)
    deliver(subject, depth(10, 12), connection=2)
    assert subject.anchors == [SnapshotRequest("BTCUSDT", 10, "connected")]


def test_a_hand_over_wants_none() -> None:
    subject = recorder()
    deliver(subject, depth(5, 10))
    deliver(subject, depth(5, 10), connection=2)
    subject.anchors.clear()
    subject.lose(Lost(1, "public", "disconnected", {2: 100.0}), 101.0)
    deliver(subject, depth(10, 12), connection=2)
    assert subject.anchors == []


def test_an_event_a_day_ahead_of_our_clock_does_not_hide_that_ids_went_back() -> None:
    subject = recorder()
    deliver(subject, depth(100, 110, 1_790_526_539_000 + 40 * 86_400_000))
    later_ns = STAMP_NS + 2 * 86_400 * 1_000_000_000
    behind = [depth(number, number + 1, later_ns // 1_000_000) for number in range(5)]
    rows = deliver(subject, *behind, stamp_ns=later_ns)
    assert [row["type"] for row in rows] == ["gap", *["depth"] * 5]


@pytest.mark.parametrize("clock_is_behind_days", [0, 2, 3000])
def test_a_copy_is_a_copy_however_wrong_our_clock_is(clock_is_behind_days: int) -> None:
    subject = recorder()
    stamp_ns = STAMP_NS - clock_is_behind_days * 86_400 * 1_000_000_000
    rows = []
    for number in range(10):
        for connection in (1, 2):  # the second one is 3 ms slower
            stamp_ns += 3_000_000
            rows += deliver(subject, depth(number, number + 1), connection=connection, stamp_ns=stamp_ns)
    assert [row["type"] for row in rows] == ["depth"] * 10


@pytest.mark.parametrize("member", [b',"ts":1', b',"x":{"data":[]}', b', "e": "}" '])
def test_what_the_exchange_adds_behind_the_event_costs_no_row(member: bytes) -> None:
    subject = recorder()
    rows = deliver(subject, *(message[:-1] + member + b"}" for message in (depth(0, 1), depth(1, 2))))
    assert [(row["type"], row["event"]) for row in rows] == [
        ("depth", message.partition(b'"data":')[2][:-1]) for message in (depth(0, 1), depth(1, 2))
    ]


def test_of_a_gap_that_is_given_up_no_older_state_is_told_behind() -> None:
    subject = recorder()
    trade = frame("btcusdt@aggTrade", AGG_TRADE)
    numbered = {number: trade.replace(b'"a":7', b'"a":%d' % number) for number in (1, 5, 10)}
    deliver(subject, numbered[1])
    deliver(subject, numbered[10])  # 2 to 9 are missing
    went_back = [trade.replace(b'"a":7,', b'"a":%d,"T":1790526539999,' % number) for number in range(2, 7)]
    went_back = [message.replace(b"1790526539033", b"1790526539999") for message in went_back]
    rows = deliver(subject, numbered[5], *went_back)
    last_states = {row["gap_id"]: row["state"] for row in rows if row["type"] == "gap"}
    assert last_states == {"g1": "unrepairable", "g2": "unrepairable", "g3": "unrepairable"}


def test_repeats_are_counted() -> None:
    subject = recorder()
    deliver(subject, depth(0, 10), depth(0, 10), depth(10, 20))
    feed = subject.recorders["btcusdt@depth@0ms"]
    assert (feed.messages, feed.rows, feed.repeats) == (3, 2, 1)


def test_a_straggler_is_not_where_the_next_run_goes_on() -> None:
    subject = recorder()
    subject.deliver(Delivered(1, range(STAMP_NS, STAMP_NS + 3), [depth(0, 10), depth(30, 40), depth(10, 20)], 0), 100.0)
    rows: LastRows = {}
    for draft in singles(subject.collect(1)):
        fold(rows, draft)
    assert rows["btcusdt@depth@0ms"].last_id == 40


def test_first_arrivals_and_lag_are_known_per_connection() -> None:
    subject = recorder()
    deliver(subject, depth(0, 10), connection=1)
    deliver(subject, depth(0, 10), connection=2, stamp_ns=STAMP_NS + 3_000_000)
    assert (subject.first_arrivals[1], subject.first_arrivals[2], subject.lag_ms) == (1, 0, {2: 3.0})


def test_a_lost_connection_asks_for_a_snapshot_even_where_the_next_row_follows() -> None:
    subject = recorder()
    deliver(subject, depth(0, 10), connection=1)
    deliver(subject, depth(0, 10), connection=2)
    subject.anchors.clear()
    subject.lose(Lost(1, "public", "disconnected", {}), 101.0)
    deliver(subject, depth(10, 20), depth(20, 30), connection=2)
    assert subject.anchors == [SnapshotRequest("BTCUSDT", 10, "connected")]


def test_open_gaps_of_a_stream_that_is_recorded_no_more_are_ended() -> None:
    gaps = (OpenGap("g7", 10, 20, 1, 2, "sequence"), OpenGap("g8", 30, 30, 3, 4, "restart", 25, 30))
    subject = recorder({"btcusdt@kline_1m": LastRow("kline", "BTCUSDT", 100, 5000, 1, gaps)})
    told = [draft.data for draft in singles(subject.collect(1))]
    assert [(row["gap_id"], row["state"], row["from_id"], row["to_id"]) for row in told] == [
        ("g7", "unrepairable", 10, 20),
        ("g8", "repaired", 30, 30),
    ]
    assert [row.get("why") for row in told] == ["the stream is not recorded any more", None]


def test_a_loss_that_only_the_next_row_shows_is_unlisted_until_then() -> None:
    subject = recorder()
    price = b'{"e":"markPriceUpdate","E":%d,"s":"BTCUSDT","p":"1"}'
    assert subject.unlisted == frozenset()
    deliver(subject, frame("btcusdt@aggTrade", AGG_TRADE), frame("btcusdt@markPrice@1s", price % 1_790_526_539_000))
    subject.lose(Lost(1, subject.recorders["btcusdt@markPrice@1s"].stream.route, "disconnected", {}), 101.0)
    assert subject.unlisted == frozenset({"btcusdt@markPrice@1s"}), "ids show by themselves what is missing"
    rows = deliver(subject, frame("btcusdt@markPrice@1s", price % 1_790_526_545_000), connection=2)
    assert [row["type"] for row in rows] == ["gap", "markprice"]
    assert subject.unlisted == frozenset()


def test_behind_a_restart_every_stream_without_ids_may_have_lost_something() -> None:
    rows: LastRows = {}
    before = recorder()
    price = frame("btcusdt@markPrice@1s", b'{"e":"markPriceUpdate","E":1790526539000,"s":"BTCUSDT","p":"1"}')
    before.deliver(Delivered(1, [STAMP_NS, STAMP_NS], [frame("btcusdt@aggTrade", AGG_TRADE), price], 0), 100.0)
    for draft in singles(before.collect(1)):
        fold(rows, draft)
    assert recorder(rows).unlisted == frozenset({"btcusdt@markPrice@1s"})


@pytest.mark.parametrize("subscribed_s", [99.5, 50.0], ids=["just now", "a while ago"])
def test_an_old_connection_proves_nothing_of_a_stream_that_it_was_subscribed_to_on_the_way(subscribed_s: float) -> None:
    last_row = LastRow("markprice", "BTCUSDT", None, STAMP_NS // 10**6, STAMP_NS, ())
    subject = recorder({"btcusdt@markPrice@1s": last_row})
    known = subject.recorders["btcusdt@markPrice@1s"]
    known.tracker.recall([])
    assert known.is_covered(JOURNAL, {1: 10.0}, 100.0)
    known.subscribed_s = subscribed_s
    assert not known.is_covered(JOURNAL, {1: 10.0}, 100.0)
    assert known.is_covered(2, {1: 10.0}, 100.0) == (subscribed_s == 50.0)
