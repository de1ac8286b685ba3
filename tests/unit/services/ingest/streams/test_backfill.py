"""What REST is asked for, and what its answers do to holes."""

import itertools
import json
from random import Random
from typing import Any

import pytest

from binance_streamer.exchange.messages import ExchangeError
from binance_streamer.exchange.streams import Stream, stream_of
from binance_streamer.wire.frames import WireError
from services.ingest.streams.backfill import BackfillPage, BackfillRequests, GapOffer, read_offer, read_page
from services.ingest.streams.stream import StreamRecorder
from services.runtime.gaps.drafts import gap_draft
from services.runtime.gaps.last_rows import LastRow
from services.runtime.gaps.open_gaps import OpenGap, with_gap

TRADES = stream_of("BTCUSDT", "aggTrade")
BARS = stream_of("BTCUSDT", "kline_1m")
AN_ANSWER = {"symbol": "BTCUSDT", "stream": TRADES.name, "source": "rest", "recv_ns": 1, "requested_ns": 1,
             "from_id": 1, "to_id": 2, "refusal": ""}  # fmt: skip
MINUTE_MS = 60_000
NOW_NS = 1_790_000_000_000_000_000
OLD_NS = NOW_NS - 25 * 3_600_000_000_000


def a_gap(from_id: int, to_id: int, gap_id: str = "g", from_ns: int = NOW_NS) -> OpenGap:
    return OpenGap(gap_id, from_id, to_id, from_ns, from_ns, "sequence")


def a_feed(*gaps: OpenGap, stream: Stream = TRADES) -> StreamRecorder:
    numbers = itertools.count(1)
    last_id = gaps[-1].to_id + 1 if gaps else 0
    last_row = LastRow(stream.stream_type, "BTCUSDT", last_id, 1, NOW_NS, gaps)
    return StreamRecorder(stream, lambda: f"n{next(numbers)}", last_row)


def a_page(from_id: int, to_id: int, ids: list[int], *, refusal: str = "", stream: Stream = TRADES) -> BackfillPage:
    rows: list[Any] = [{"a": number} if stream is TRADES else [number, "1.0"] for number in ids]
    data = {"from_id": from_id, "to_id": to_id, "event": json.dumps(rows).encode(), "refusal": refusal,
            "recv_ns": NOW_NS, "requested_ns": NOW_NS - 1, "source": "rest", "symbol": "BTCUSDT",
            "stream": stream.name}  # fmt: skip
    return read_page(stream, data)


def told(feed: StreamRecorder, page: BackfillPage) -> tuple[list[bytes], list[tuple[Any, ...]]]:
    """Events that became rows, and what is told of gaps."""
    drafts, gaps = feed.repair(page)
    return [draft.data["event"] for draft in drafts], [
        (gap.gap_id, gap.state, gap.from_id, gap.to_id, gap.repaired_by or gap.why) for gap in gaps
    ]


def bounds(feed: StreamRecorder) -> list[tuple[str, int, int]]:
    return [(gap.gap_id, gap.from_id, gap.to_id) for gap in feed.open_gaps]


def test_a_page_fills_a_gap_with_the_bytes_of_its_elements() -> None:
    feed = a_feed(a_gap(10, 12))
    drafts, gaps = feed.repair(a_page(10, 12, [11, 12]))
    assert [draft.data["event"] for draft in drafts] == [b'{"a": 11}', b'{"a": 12}']
    assert [draft.data["recv_ns"] - NOW_NS for draft in drafts] == [0, 1]
    assert [(gap.state, gap.repaired_by) for gap in gaps][-1] == ("repaired", "rest")
    assert {(draft.data["source"], draft.data["connection"], draft.data["requested_ns"]) for draft in drafts} == {
        ("rest", 0, NOW_NS - 1)
    }
    assert (feed.repaired, feed.rows, bounds(feed)) == (2, 0, [])


def test_a_page_leaves_what_it_does_not_reach_open() -> None:
    feed = a_feed(a_gap(10, 20))
    events, gaps = told(feed, a_page(10, 20, [11, 12, 13]))
    assert len(events) == 3
    assert gaps[-1] == ("g", "open", 13, 20, None)


def test_each_row_of_a_gap_says_the_first_bounds_and_how_many_are_still_missing() -> None:
    feed = a_feed(a_gap(10, 20))
    _, (*_, rest) = feed.repair(a_page(10, 20, [11, 12, 13]))
    restarted = a_feed(*with_gap((), gap_draft(rest, NOW_NS).data))
    _, (*_, last) = restarted.repair(a_page(13, 20, [14, 15, 16, 17, 18, 19, 20]))
    names = ("state", "from_id", "to_id", "first_from_id", "first_to_id", "missing")
    assert [tuple(gap_draft(gap, NOW_NS).data[name] for name in names) for gap in (rest, last)] == [
        ("open", 13, 20, 10, 20, 7),
        ("repaired", 19, 20, 10, 20, 0),
    ]


def test_a_part_with_a_fate_of_its_own_has_first_bounds_of_its_own() -> None:
    feed = a_feed(a_gap(10, 20))
    _, gaps = feed.repair(a_page(10, 20, [13, 14, 15, 16, 17, 18, 19, 20]))
    rows = [gap_draft(gap, NOW_NS).data for gap in gaps]
    assert {
        (row["gap_id"], row["state"], row["first_from_id"], row["first_to_id"], row["missing"]) for row in rows
    } >= {
        ("g", "unrepairable", 10, 20, 2),
        ("n1", "repaired", 13, 20, 0),
    }


def test_what_an_answer_passes_over_the_exchange_does_not_have() -> None:
    feed = a_feed(a_gap(10, 20))
    _, gaps = told(feed, a_page(10, 20, [13, 14, 17]))
    assert [gap[1:] for gap in gaps if gap[1] == "unrepairable"] == [
        ("unrepairable", 10, 12, "the exchange has nothing there"),
        ("unrepairable", 14, 16, "the exchange has nothing there"),
    ]
    assert [(low, high) for _, low, high in bounds(feed)] == [(17, 20)]


def test_an_answer_that_begins_behind_an_old_gap_ends_it() -> None:
    feed = a_feed(a_gap(10, 20, from_ns=OLD_NS))
    events, gaps = told(feed, a_page(10, 20, [30, 31]))
    assert (events, gaps) == ([], [("g", "unrepairable", 10, 20, "older than the exchange keeps")])
    assert bounds(feed) == []


def test_a_page_that_comes_twice_or_was_not_asked_for_adds_nothing() -> None:
    feed = a_feed(a_gap(10, 12), a_gap(20, 22, "h"))
    told(feed, a_page(10, 12, [11, 12]))
    assert told(feed, a_page(10, 12, [11, 12])) == ([], [])
    assert told(feed, a_page(12, 20, [13, 14, 15, 16, 17, 18, 19, 20])) == ([], [])
    assert told(feed, a_page(10, 12, [11, 12, 21, 22])) == ([], []), "what lies beyond what was asked for"
    assert bounds(feed) == [("h", 20, 22)]


def test_a_page_covers_the_gaps_behind_the_first_too() -> None:
    feed = a_feed(a_gap(10, 11), a_gap(15, 16, "h"))
    events, gaps = told(feed, a_page(10, 16, [11, 12, 13, 14, 15, 16]))
    assert events == [b'{"a": 11}', b'{"a": 16}']
    assert [gap[:2] for gap in gaps] == [("g", "repaired"), ("h", "repaired")]


def test_closed_klines_are_filled_by_their_open_time() -> None:
    feed = a_feed(a_gap(60_000, 180_000), stream=BARS)
    page = a_page(60_000, 180_000, [120_000, 180_000], stream=BARS)
    events, gaps = told(feed, page)
    assert events == [b'[120000, "1.0"]', b'[180000, "1.0"]']
    assert gaps[-1][1] == "repaired"


def test_depth_has_nothing_to_ask_for() -> None:
    stream = stream_of("BTCUSDT", "depth@0ms")
    assert StreamRecorder(stream, lambda: "n", LastRow("depth", "BTCUSDT", 30, 1, 1, (a_gap(10, 20),))).open_gaps == []


@pytest.mark.parametrize("event", [b"", b"{}", b"[1]", b'[{"a":"1"}]', b'[{"a":-1}]', b"[{}]"])
def test_what_is_no_page_is_refused(event: bytes) -> None:
    data = {**AN_ANSWER, "event": event}
    with pytest.raises(ExchangeError):
        read_page(TRADES, data)


@pytest.mark.parametrize("key", ["from_id", "to_id", "refusal", "source"])
def test_a_page_that_is_not_of_rest_is_refused(key: str) -> None:
    data = {**AN_ANSWER, "event": b"[]"}
    with pytest.raises(WireError):
        read_page(TRADES, {**data, key: b"x"})


def requests() -> BackfillRequests:
    return BackfillRequests(5.0, Random(1))


def test_a_wish_is_repeated_until_its_gap_changes() -> None:
    subject, gaps = requests(), [a_gap(10, 20)]
    wish = subject.take_due(TRADES, gaps, 0.0)
    assert wish is not None
    assert (wish.gap_id, wish.from_id, wish.to_id) == ("g", 10, 20)
    assert subject.take_due(TRADES, gaps, 3.9) is None
    assert subject.take_due(TRADES, gaps, 6.1) is not None
    assert subject.take_due(TRADES, [a_gap(15, 20)], 6.2) is not None, "a page has come: the next one at once"
    assert subject.take_due(TRADES, [], 6.3) is None
    assert subject.take_due(TRADES, gaps, 6.4) is not None


def test_a_wish_covers_the_gaps_that_one_answer_holds() -> None:
    wish = requests().take_due(TRADES, [a_gap(10, 20), a_gap(500, 1010, "h"), a_gap(1000, 1011, "i")], 0.0)
    assert wish is not None
    assert (wish.from_id, wish.to_id) == (10, 1010)
    wish = requests().take_due(TRADES, [a_gap(10, 50_000)], 0.0)
    assert wish is not None
    assert wish.to_id == 50_000


def test_nothing_is_believed_at_the_third_time_and_asked_less_often_before() -> None:
    subject, gaps, page = requests(), [a_gap(10, 20)], a_page(10, 20, [])
    asked_s = []
    now_s = 0.0
    while True:
        if subject.take_due(TRADES, gaps, now_s):
            asked_s.append(now_s)
            if subject.count_refusal(page, now_s):
                break
        now_s += 1.0
    assert asked_s == [0.0, 10.0, 30.0]


@pytest.mark.parametrize(("ids", "nothing"), [([], True), ([5, 9, 10], True), ([9, 10, 11], False), ([21], False)])
def test_rows_in_front_of_what_was_asked_for_say_nothing(ids: list[int], nothing: bool) -> None:
    assert a_page(10, 20, ids).is_empty == nothing


def test_an_answer_to_another_wish_is_not_counted() -> None:
    subject = requests()
    subject.take_due(TRADES, [a_gap(10, 20)], 0.0)
    assert not any(subject.count_refusal(a_page(9, 20, []), 0.0) for _ in range(9))


@pytest.mark.parametrize(("refusal", "why"), [("-1122 Invalid symbol status.", "-1122 Invalid symbol status."),
                                              ("", "the exchange has nothing there")])  # fmt: skip
def test_a_gap_that_is_given_up_says_why(refusal: str, why: str) -> None:
    feed = a_feed(a_gap(10, 20))
    (gap,) = feed.give_up(a_page(10, 20, [], refusal=refusal))
    assert (gap.gap_id, gap.state, gap.reason, gap.why) == ("g", "unrepairable", "sequence", why)
    assert feed.open_gaps == []


@pytest.mark.parametrize(("from_id", "to_id", "ids"), [(30, 60, [15, 16]), (30, 20, [31, 32])])
def test_a_page_that_ends_before_it_begins_changes_nothing(from_id: int, to_id: int, ids: list[int]) -> None:
    feed = a_feed(a_gap(10, 60))
    try:
        page = a_page(from_id, to_id, ids)
    except WireError:
        assert from_id > to_id
    else:
        assert told(feed, page) == ([], [])
    assert bounds(feed) == [("g", 10, 60)]


@pytest.mark.parametrize("key", ["recv_ns", "requested_ns"])
@pytest.mark.parametrize("value", [-1, 2**64 - 1])
def test_a_page_with_an_impossible_stamp_is_refused(key: str, value: int) -> None:
    """The rows of a page have a stamp each, one behind the other: the last one would not go into 64 bits."""
    data = {**AN_ANSWER, "to_id": 3, "event": b'[{"a":2},{"a":3}]', "recv_ns": 2}
    with pytest.raises(WireError):
        read_page(TRADES, {**data, key: value})


def test_a_long_refusal_is_cut() -> None:
    assert len(a_page(1, 3, [], refusal="x" * 100_000).why_missing(a_gap(1, 3))) == 200


def offered(from_id: int, to_id: int, present: list[int], gap_id: str = "writer-1") -> GapOffer:
    return read_offer(
        {
            "stream": TRADES.name, "gap_id": gap_id, "from_id": from_id, "to_id": to_id, "from_ns": 5, "to_ns": 9,
            "reason": "file damaged", "present": present, "worker_epoch": 7, "worker_next": 100, "symbol": "BTCUSDT",
        }
    )  # fmt: skip


def taken_over(feed: StreamRecorder, offer: GapOffer) -> list[tuple[Any, ...]]:
    gaps = feed.take_over(offer)
    return [(gap.gap_id, gap.state, gap.from_id, gap.to_id, gap.why) for gap in gaps]


def test_a_gap_of_the_writer_becomes_one_of_the_stream() -> None:
    feed = a_feed(a_gap(40, 50))
    assert taken_over(feed, offered(10, 20, [])) == [("writer-1", "open", 10, 20, None)]
    assert bounds(feed) == [("writer-1", 10, 20), ("g", 40, 50)]
    _, gaps = told(feed, a_page(10, 20, list(range(11, 21))))
    assert gaps[-1] == ("writer-1", "repaired", 19, 20, "rest")


def test_rows_that_are_there_are_not_fetched_and_gaps_that_are_listed_are_not_listed_twice() -> None:
    feed = a_feed(a_gap(14, 16), a_gap(40, 50, "h"))
    rows = taken_over(feed, offered(10, 20, [12, 30]))
    assert rows == [
        ("writer-1", "open", 10, 11, None),
        ("n1", "open", 12, 14, None),
        ("n2", "open", 16, 20, None),
    ]
    assert [one[1:] for one in bounds(feed)] == [(10, 11), (12, 14), (14, 16), (16, 20), (40, 50)]


def test_a_gap_of_which_nothing_is_left_ends_at_once() -> None:
    feed = a_feed(a_gap(10, 18))
    assert taken_over(feed, offered(12, 14, []))[0][:2] == ("writer-1", "repaired")
    assert taken_over(feed, offered(17, 19, [19]))[0][:2] == ("writer-1", "repaired")


def test_a_gap_of_ids_that_went_back_since_is_given_up() -> None:
    assert taken_over(a_feed(a_gap(10, 20)), offered(10, 2000, [])) == [
        ("writer-1", "unrepairable", 10, 2000, "ids went back")
    ]


def test_an_offer_counts_where_the_writer_has_read_what_may_lie_in_the_gap() -> None:
    offer = offered(10, 20, [])
    assert offer.is_exact(7, 100)
    assert not offer.is_exact(7, 101), "a row that came late may lie in the gap"
    assert not offer.is_exact(8, 0), "a run before this one may have taken the gap over"


@pytest.mark.parametrize(
    "harm", [{"from_id": 20}, {"to_id": "x"}, {"present": [None]}, {"gap_id": 5}, {"symbol": None}]
)
def test_an_offer_that_is_none_is_refused(harm: dict[str, Any]) -> None:
    data = {"stream": "s", "gap_id": "g", "from_id": 1, "to_id": 2, "from_ns": 5, "to_ns": 9, "reason": "r",
            "worker_epoch": 7, "worker_next": 1, "symbol": "S"}  # fmt: skip
    assert read_offer(data).symbol == "S"
    with pytest.raises(WireError):
        read_offer(data | harm)
