"""One series of one symbol, answer by answer: holes, corrections, and a journal without room."""

import json
from typing import Any

from binance_streamer.exchange.rest_series import polled_of
from services.rest.answers import RestAnswer
from services.rest.market.series_record import SeriesRecord
from services.rest.schedule.task import Moment
from services.runtime.gaps.drafts import Draft
from tests.support.rest_scene import NOW_MS

STEP_MS = 300_000
FIRST_MS = NOW_MS // STEP_MS * STEP_MS


class Scene:
    """A record whose drafts are all journalled."""

    def __init__(self) -> None:
        polled = polled_of("BTCUSDT", "longShortRatio@5m")
        assert polled is not None
        self.record = SeriesRecord(polled, None, iter(["g1", "g2", "g3"]).__next__)

    def answer(self, buckets: dict[int, str], *, now: int, is_kept: bool = True) -> list[Draft]:
        """Answer with these buckets, by their number; `now` is the number of the one that has just begun."""
        now_ms = FIRST_MS + now * STEP_MS + 10_000
        rows = [{"longShortRatio": ratio, "timestamp": FIRST_MS + n * STEP_MS} for n, ratio in buckets.items()]
        window = self.record.window(now_ms)
        assert window is not None
        answer = RestAnswer(200, {}, json.dumps(rows).encode(), now_ms * 10**6, now_ms * 10**6)
        taken = self.record.take_list(answer, window, Moment(now * 300.0, now_ms))
        if is_kept:
            self.record.commit()
        return taken.drafts


def told(drafts: list[Draft]) -> list[Any]:
    """Number and ratio of each row; name, state, bounds and count of each gap."""
    found: list[Any] = []
    for draft in drafts:
        if draft.stream_type == "gap":
            gap = draft.data
            bounds = [(gap[key] - FIRST_MS) // STEP_MS for key in ("from_id", "to_id")]
            found.append((gap["gap_id"], gap["state"], *bounds, gap["reason"], gap["missing"]))
        else:
            event = json.loads(draft.data["event"])
            found.append(((event["timestamp"] - FIRST_MS) // STEP_MS, event["longShortRatio"]))
    return found


def test_buckets_that_an_answer_passes_over_are_a_gap_that_a_later_one_fills() -> None:
    scene = Scene()
    assert told(scene.answer({0: "1.0"}, now=1)) == [(0, "1.0")]
    assert told(scene.answer({0: "1.0", 4: "1.4"}, now=5)) == [("g1", "open", 0, 3, "sequence", 3), (4, "1.4")]
    window = scene.record.window(FIRST_MS + 6 * STEP_MS)
    assert window is not None
    assert window.start_ms == FIRST_MS - STEP_MS, "the gap is asked for again"
    assert told(scene.answer({0: "1.0", 3: "1.3", 4: "1.4", 5: "1.5"}, now=6)) == [
        (3, "1.3"),
        (5, "1.5"),
        ("g1", "open", 0, 2, "sequence", 2),
    ]
    assert told(scene.answer({1: "1.1", 2: "1.2", 4: "1.4", 5: "1.5"}, now=6)) == [
        (1, "1.1"),
        (2, "1.2"),
        ("g1", "repaired", 0, 2, "sequence", 0),
    ]


def test_a_bucket_that_never_comes_is_given_up_after_twelve_answers() -> None:
    scene = Scene()
    scene.answer({0: "1.0"}, now=1)
    scene.answer({2: "1.2"}, now=3)
    for number in range(3, 14):
        assert told(scene.answer({number: "1.3"}, now=number + 1)) == [(number, "1.3")]
    assert told(scene.answer({14: "1.4"}, now=15)) == [(14, "1.4"), ("g1", "unrepairable", 0, 1, "sequence", 1)]
    window = scene.record.window(FIRST_MS + 16 * STEP_MS)
    assert window is not None
    assert window.start_ms == FIRST_MS + 13 * STEP_MS


def test_a_bucket_that_is_another_one_later_gets_a_second_row() -> None:
    scene = Scene()
    scene.answer({0: "1.0", 1: "1.1"}, now=2)
    assert told(scene.answer({0: "1.0", 1: "1.9", 2: "1.2"}, now=3)) == [(1, "1.9"), (2, "1.2")]
    assert told(scene.answer({1: "1.9", 2: "1.2"}, now=3)) == []


def test_what_the_journal_had_no_room_for_is_told_again() -> None:
    scene = Scene()
    scene.answer({0: "1.0"}, now=1)
    lost = told(scene.answer({0: "1.0", 2: "1.2"}, now=3, is_kept=False))
    assert lost == [("g1", "open", 0, 1, "sequence", 1), (2, "1.2")]
    assert told(scene.answer({0: "1.0", 1: "1.1", 2: "1.2"}, now=3)) == [(1, "1.1"), (2, "1.2")]


def test_an_outage_is_listed_once_and_closed_by_the_first_answer() -> None:
    scene = Scene()
    scene.answer({0: "1.0"}, now=1)
    now_ms = FIRST_MS + 5 * STEP_MS
    listed = scene.record.list_overdue(now_ms, now_ms * 10**6)
    scene.record.commit()
    assert told(listed) == [("g1", "open", 0, 3, "not answered", 3)]
    assert scene.record.list_overdue(now_ms + STEP_MS, now_ms * 10**6) == []
    came = told(scene.answer(dict.fromkeys(range(7), "1.0"), now=7))
    assert came[:6] == [(number, "1.0") for number in range(1, 7)]
    (gap,) = came[6:]
    assert gap == ("g1", "repaired", 0, 3, "not answered", 0)


def test_a_bucket_of_the_far_future_hides_none_of_the_present() -> None:
    scene = Scene()
    assert told(scene.answer({0: "1.0", 10_000: "9.9"}, now=1)) == [(0, "1.0")]
    assert told(scene.answer({1: "1.1"}, now=2)) == [(1, "1.1")]
