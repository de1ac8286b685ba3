"""Behind a journal each connection begins where the journal ends: nothing twice, nothing missing without a gap."""

import itertools
import math
from collections.abc import Collection, Sequence
from typing import NamedTuple

from binance_streamer.exchange.streams import stream_of
from services.ingest.connections.events import JOURNAL, Delivered, Lost
from services.ingest.streams.stream_set import StreamSet
from services.ingest.takeover.recent import Arrived
from services.ingest.takeover.release import doubt, recall, release
from services.runtime.gaps.drafts import Draft
from services.runtime.gaps.last_rows import LastRow, LastRows
from services.runtime.gaps.stream_states import fold
from tests.support.drafts import singles
from tests.support.running_network import book_ticker, force_order, frame, mark_price, ns

STREAMS = [stream_of("BTCUSDT", suffix)._replace(route="all") for suffix in ("aggTrade", "markPrice@1s", "forceOrder")]
TRADES, PRICES, FORCED = (stream.name for stream in STREAMS)
TAKEN_S = 20.0


def trade(number: int) -> bytes:
    return frame("aggTrade", f'{{"e":"aggTrade","a":{number},"s":"BTCUSDT","E":{ns(number) // 10**6}}}')


def delivered(at_s: float, *messages: bytes, connection: int = 1) -> Delivered:
    return Delivered(connection, range(ns(at_s), ns(at_s) + len(messages)), list(messages), 0)


def arrived(*items: Delivered) -> list[Arrived]:
    return [Arrived((one.stamps_ns[0] - ns(0)) / 1e9, one) for one in items]


class Journalled(NamedTuple):
    """A journal as a worker has left it: where its streams stand, and what is read back of those without ids."""

    last_rows: LastRows
    recorded: dict[str, list[tuple[int, bytes]]]


def journal_of(*items: Delivered) -> Journalled:
    streams = StreamSet("BTCUSDT", STREAMS, last_rows={}, new_gap_id=lambda: "theirs")
    rows: LastRows = {}
    recorded: dict[str, list[tuple[int, bytes]]] = {}
    for item in arrived(*items):
        assert isinstance(item.what, Delivered)
        streams.deliver(item.what, item.at_s)
    for draft in singles(streams.collect(0)):
        fold(rows, draft)
        if draft.stream_name != TRADES:
            recorded.setdefault(draft.stream_name, []).append((draft.data["recv_ns"], draft.data["event"]))
    return Journalled(rows, recorded)


class Outcome(NamedTuple):
    rows: list[tuple[str, float]]
    """Stream, and the second at which the message was received."""
    gaps: list[tuple[str, object, object]]
    """Stream, and the bounds: ids, or seconds where there are none."""


def taken_over(
    journal: Journalled, items: Sequence[Arrived], *, open_since_s: float = 0.0, unlisted: Collection[str] | None = ()
) -> tuple[StreamSet, Outcome]:
    numbers = itertools.count()
    streams = StreamSet("BTCUSDT", STREAMS, last_rows=journal.last_rows, new_gap_id=lambda: f"ours-{next(numbers)}")
    recall(streams, journal.recorded, ns(TAKEN_S), TAKEN_S)
    doubt(streams, unlisted)
    release(streams, items, journal.last_rows)
    streams.lose(Lost(JOURNAL, "all", "restart", {1: open_since_s}), TAKEN_S)
    streams.expire(TAKEN_S + 10)
    return streams, outcome_of(streams)


def outcome_of(streams: StreamSet) -> Outcome:
    drafts = list(singles(streams.collect(0)))
    rows = [
        (draft.stream_name or draft.stream_type, (draft.data["recv_ns"] - ns(0)) / 1e9)
        for draft in drafts
        if draft.stream_type != "gap"
    ]
    return Outcome(rows, [_bounds(draft) for draft in drafts if draft.stream_type == "gap"])


def _bounds(draft: Draft) -> tuple[str, object, object]:
    gap = draft.data
    if gap["from_id"] is not None:
        return gap["stream"], gap["from_id"], gap["to_id"]
    return gap["stream"], (gap["from_ns"] - ns(0)) / 1e9, (gap["to_ns"] - ns(0)) / 1e9


def test_a_stream_with_ids_begins_behind_the_newest_id_of_the_journal() -> None:
    journal = journal_of(delivered(9, trade(9)), delivered(10, trade(10)))
    items = arrived(*(delivered(number, trade(number)) for number in (9, 10, 11, 12)))
    _, outcome = taken_over(journal, items)
    assert outcome == Outcome([(TRADES, 11.0), (TRADES, 12.0)], [])


def test_ids_that_nobody_has_are_listed() -> None:
    _, outcome = taken_over(journal_of(delivered(10, trade(10))), arrived(delivered(13, trade(13))))
    assert outcome == Outcome([(TRADES, 13.0)], [(TRADES, 10, 12)])


def test_a_stream_without_ids_goes_on_where_the_overlap_is_proven() -> None:
    journal = journal_of(delivered(9, mark_price(9)), delivered(10, mark_price(10)))
    items = arrived(*(delivered(at_s, mark_price(at_s)) for at_s in (9, 10, 11)))
    _, outcome = taken_over(journal, items)
    assert outcome == Outcome([(PRICES, 11.0)], [])


def test_a_stream_without_ids_and_without_an_overlap_has_a_gap_in_time() -> None:
    journal = journal_of(delivered(10, mark_price(10)))
    _, outcome = taken_over(journal, arrived(delivered(13, mark_price(13))), open_since_s=12)
    assert outcome == Outcome([(PRICES, 13.0)], [(PRICES, 10.0, 13.0)])


def test_the_last_message_of_a_quiet_stream_proves_it_however_old_it_is() -> None:
    journal = journal_of(delivered(1, force_order(1)), delivered(19, mark_price(19)))
    items = arrived(delivered(1, force_order(1)), delivered(19, mark_price(19)), delivered(19.5, force_order(19.5)))
    _, outcome = taken_over(journal, items)
    assert outcome == Outcome([(FORCED, 19.5)], [])


def test_a_stream_that_had_no_row_begins_in_the_last_seconds_of_the_journal() -> None:
    journal = journal_of(delivered(10, mark_price(10)))
    items = arrived(*(delivered(at_s, force_order(at_s)) for at_s in (5, 9, 11)), delivered(10, mark_price(10)))
    _, outcome = taken_over(journal, sorted(items, key=lambda one: one.at_s))
    assert outcome.rows == [(FORCED, 9.0), (FORCED, 11.0)]


def test_what_is_not_readable_is_recorded_where_it_is_later_than_all_of_the_journal() -> None:
    journal = journal_of(delivered(10, trade(10)))
    items = arrived(*(delivered(at_s, book_ticker(at_s)) for at_s in (9, 11)))
    _, outcome = taken_over(journal, items)
    assert outcome.rows == [("raw", 11.0)]


def test_what_became_of_connections_happens_between_the_messages() -> None:
    journal = journal_of(delivered(10, mark_price(10)))
    lost = Lost(1, "all", "disconnected", {JOURNAL: -math.inf})
    items = [
        *arrived(delivered(10, mark_price(10)), delivered(11, mark_price(11))),
        Arrived(12.0, lambda streams: streams.lose(lost, 12.0)),
        *arrived(delivered(14, mark_price(14), connection=2)),
    ]
    _, outcome = taken_over(journal, items)
    assert outcome == Outcome([(PRICES, 11.0), (PRICES, 14.0)], [(PRICES, 11.0, 14.0)])


def goes_on_quietly(unlisted: Collection[str] | None) -> Outcome:
    """The stream's last message is old, and its next one comes behind the takeover."""
    journal = journal_of(delivered(1, force_order(1)))
    streams, outcome = taken_over(journal, [], open_since_s=15, unlisted=unlisted)
    assert outcome == Outcome([], [])
    streams.deliver(delivered(25, force_order(25)), 25.0)
    return outcome_of(streams)


def test_a_quiet_stream_goes_on_unless_something_of_it_is_unlisted() -> None:
    without = Outcome([(FORCED, 25.0)], [])
    with_gap = Outcome([(FORCED, 25.0)], [(FORCED, 1.0, 25.0)])
    assert goes_on_quietly(()) == without
    assert goes_on_quietly({PRICES}) == without
    assert goes_on_quietly({FORCED}) == with_gap
    assert goes_on_quietly(None) == with_gap


def test_a_row_whose_event_the_journal_does_not_hold_leads_to_a_gap() -> None:
    journal = Journalled({FORCED: LastRow("forceorder", "BTCUSDT", None, None, ns(1))}, {})
    streams, _ = taken_over(journal, [], open_since_s=15, unlisted={FORCED})
    streams.deliver(delivered(25, force_order(25)), 25.0)
    assert outcome_of(streams) == Outcome([(FORCED, 25.0)], [(FORCED, 1.0, 25.0)])
