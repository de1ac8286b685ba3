"""The oracle must be right about recordings that are, and catch every kind that is not."""

from collections.abc import Sequence

import pytest

from tests.chaos.oracle import STRICT, Gap, Message, Row, Rules, Verdict, judge

BOTH = pytest.mark.parametrize("has_ids", [True, False], ids=["ids", "no ids"])


def tape(count: int = 10, *, has_ids: bool) -> list[Message]:
    """Ids 10, 20, …, each behind the one before; sent at 1000, 2000, …"""
    return [
        Message(1000 * (n + 1), 1, b"%d" % n, *((10 * n, 10 * (n + 1)) if has_ids else (None, None)))
        for n in range(count)
    ]


def rows(*places: int) -> list[Row]:
    """Each was received 5 after it was sent."""
    return [Row(b"%d" % n, 1000 * (n + 1) + 5, 7, seq) for seq, n in enumerate(places, 1)]


def gap(before: int, behind: int, *, has_ids: bool, state: str = "open", gap_id: str = "g") -> Gap:
    """Return a gap of exactly the messages that are missing between two rows."""
    from_id, to_id = (10 * (before + 1), 10 * behind) if has_ids else (None, None)
    return Gap(gap_id, state, from_id, to_id, 1000 * (before + 1) + 5, 1000 * (behind + 1) + 5, "restart")


def judged(places: Sequence[int], gaps: Sequence[Gap] = (), *, has_ids: bool, rules: Rules = STRICT) -> Verdict:
    return judge(tape(has_ids=has_ids), rows(*places), gaps, rules)


@BOTH
def test_a_whole_recording_is_right(has_ids: bool) -> None:
    verdict = judged(range(10), has_ids=has_ids)
    assert verdict.is_right
    assert (verdict.expected, verdict.recorded, verdict.missing, verdict.true_gaps) == (10, 10, [], [])


@BOTH
def test_a_listed_hole_is_right(has_ids: bool) -> None:
    verdict = judged([0, 1, 2, 6, 7, 8, 9], [gap(2, 6, has_ids=has_ids)], has_ids=has_ids)
    assert verdict.faults == []
    assert (verdict.missing, verdict.true_gaps, verdict.gap_ns) == ([3, 4, 5], [6], 4000)


@BOTH
def test_an_unlisted_hole_is_a_loss(has_ids: bool) -> None:
    assert judged([0, 1, 2, 6, 7, 8, 9], has_ids=has_ids).lost == [3, 4, 5]


@BOTH
def test_a_missing_tail_and_a_missing_beginning_are_losses_if_they_were_handed_over(has_ids: bool) -> None:
    assert judged(range(1, 8), has_ids=has_ids).lost == [0, 8, 9]
    unheard = [message._replace(copies=0) for message in tape(has_ids=has_ids)]
    assert judge(unheard, rows(*range(1, 8)), []).lost == []


@BOTH
def test_an_empty_recording_loses_everything(has_ids: bool) -> None:
    assert judged([], has_ids=has_ids).lost == list(range(10))


@BOTH
def test_a_gap_that_is_too_narrow_loses_the_rest(has_ids: bool) -> None:
    assert judged([0, 1, 2, 6, 7, 8, 9], [gap(2, 5, has_ids=has_ids)], has_ids=has_ids).faults


def test_ids_that_a_narrow_gap_leaves_out_are_lost() -> None:
    assert judged([0, 1, 2, 6, 7, 8, 9], [gap(2, 5, has_ids=True)], has_ids=True).lost == [5]
    assert judged([0, 1, 2, 6, 7, 8, 9], [gap(3, 6, has_ids=True)], has_ids=True).lost == [3]


@BOTH
def test_a_gap_that_is_too_wide_lists_rows(has_ids: bool) -> None:
    wide = gap(1, 7, has_ids=has_ids)
    assert judged([0, 1, 2, 6, 7, 8, 9], [wide], has_ids=has_ids).in_both == [2, 6]
    excused = judged([0, 1, 2, 6, 7, 8, 9], [wide], has_ids=has_ids, rules=Rules(gaps_may_cover_rows=True))
    assert excused.is_right


@BOTH
def test_a_repaired_gap_excuses_nothing(has_ids: bool) -> None:
    repaired = gap(2, 6, has_ids=has_ids, state="repaired")
    assert judged([0, 1, 2, 6, 7, 8, 9], [repaired], has_ids=has_ids).lost == [3, 4, 5]
    assert judged(range(10), [repaired], has_ids=has_ids).is_right


@BOTH
def test_a_doubled_row(has_ids: bool) -> None:
    assert judged([0, 1, 2, 2, 3, 4, 5, 6, 7, 8, 9], has_ids=has_ids).doubled == [2]
    assert judged([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 4], has_ids=has_ids).doubled == [4]


@BOTH
def test_a_wrong_digit_is_a_loss_and_a_stranger(has_ids: bool) -> None:
    wrong = rows(*range(10))
    wrong[5] = wrong[5]._replace(key=b"5.0")
    verdict = judge(tape(has_ids=has_ids), wrong, [])
    assert (verdict.foreign, verdict.lost) == (1, [5])


@BOTH
def test_rows_out_of_order(has_ids: bool) -> None:
    swapped = [0, 1, 3, 2, 4, 5, 6, 7, 8, 9]
    assert judged(swapped, has_ids=has_ids).disordered == 1
    assert judged(swapped, has_ids=has_ids, rules=Rules(any_order=True)).is_right


@BOTH
def test_a_gap_where_nothing_is_missing(has_ids: bool) -> None:
    """By time it is excused between two neighbours: nobody can know that nothing was sent."""
    verdict = judged(range(10), [gap(4, 5, has_ids=has_ids)], has_ids=has_ids)
    assert bool(verdict.misplaced) == has_ids
    assert judged(range(10), [gap(4, 7, has_ids=has_ids)], has_ids=has_ids).in_both == [5, 6]


@BOTH
def test_a_gap_that_begins_late_or_ends_early_in_time(has_ids: bool) -> None:
    exact = gap(2, 6, has_ids=has_ids)
    for off in (exact._replace(from_ns=exact.from_ns + 1), exact._replace(to_ns=(exact.to_ns or 0) - 1)):
        assert judged([0, 1, 2, 6, 7, 8, 9], [off], has_ids=has_ids).faults


def test_a_hole_in_parts_is_right_if_they_cover_it() -> None:
    places = [0, 1, 2, 6, 7, 8, 9]
    parts = [gap(2, 4, has_ids=True), gap(3, 6, has_ids=True, gap_id="h")]
    times = [part._replace(from_ns=3005, to_ns=7005) for part in parts]
    assert judged(places, times, has_ids=True).is_right
    assert judged(places, times[:1], has_ids=True).lost == [4, 5]


def test_a_straggler_splits_a_hole() -> None:
    places = [0, 1, 2, 6, 7, 4, 8, 9]
    parts = [gap(2, 4, has_ids=True), gap(4, 6, has_ids=True, gap_id="h")]
    times = [part._replace(from_ns=3005, to_ns=7005) for part in parts]
    assert judged(places, times, has_ids=True, rules=Rules(any_order=True, times_may_differ=True)).is_right


def test_ids_that_jump_are_a_hole_that_must_be_listed_though_nothing_is_missing() -> None:
    sent = tape(4, has_ids=True)
    ahead = [*sent[:2], *(m._replace(previous_id=m.previous_id + 5000, last_id=m.last_id + 5000) for m in sent[2:])]  # type: ignore[operator]
    listed = Gap("g", "unrepairable", 20, 5020, 2005, 3005, "sequence")
    assert judge(ahead, rows(0, 1, 2, 3), [listed]).is_right
    back = [*ahead[2:], *sent[:2]]
    received = [Row(message.key, 1000 * n, 7, n + 1) for n, message in enumerate(back)]
    listed = Gap("g", "unrepairable", 5040, 0, 1000, 2000, "ids went back")
    assert judge(back, received, [listed]).is_right


def test_a_listed_outage_by_time_excuses_ids_too() -> None:
    """The writer lists messages that a journal has lost, and may know no ids of them."""
    outage = gap(2, 6, has_ids=False)
    assert judged([0, 1, 2, 6, 7, 8, 9], [outage], has_ids=True).is_right


@BOTH
def test_a_file_that_was_taken_away_is_right_if_its_time_is_listed(has_ids: bool) -> None:
    """The writer knows when its first row was received, and no more."""
    away = Gap("g", "open", None, 50 if has_ids else None, 1005, 6005, "file damaged")
    assert judged(range(5, 10), [away], has_ids=has_ids).is_right
    assert judged(range(5, 10), [away._replace(to_ns=5005)], has_ids=has_ids).lost == [0, 1, 2, 3, 4]
    late = away._replace(from_ns=2_000_000_000, to_ns=6005)
    assert judged(range(5, 10), [late], has_ids=has_ids).lost == [0, 1, 2, 3, 4]


@BOTH
def test_a_number_that_is_used_twice_or_left_out(has_ids: bool) -> None:
    sent, good = tape(has_ids=has_ids), rows(*range(10))
    again = [row._replace(seq=row.seq - (n > 5)) for n, row in enumerate(good)]
    left_out = [row._replace(seq=row.seq + (n > 5)) for n, row in enumerate(good)]
    new_run = [row._replace(epoch=8, seq=row.seq - 6) if n > 5 else row for n, row in enumerate(good)]
    assert [judge(sent, found, []).misnumbered for found in (good, again, left_out, new_run)] == [0, 1, 1, 0]


def rest_tape(*, has_ids: bool = True) -> list[Message]:
    return [message._replace(rest_key=b"rest " + message.key) for message in tape(has_ids=has_ids)]


def with_rest(places: Sequence[int], rest: Sequence[int]) -> list[Row]:
    """Rows of connections, and behind them, much later, those that REST brought."""
    streamed = rows(*places)
    return streamed + [
        Row(b"rest %d" % n, 50_000 + n, 7, seq, is_repaired=True) for seq, n in enumerate(rest, len(streamed) + 1)
    ]


def test_what_rest_brought_is_recorded() -> None:
    gaps = [gap(2, 6, has_ids=True, state="repaired")]
    verdict = judge(rest_tape(), with_rest([0, 1, 2, 6, 7, 8, 9], [3, 4, 5]), gaps)
    assert (verdict.faults, verdict.missing, verdict.repaired, verdict.true_gaps) == ([], [], {3, 4, 5}, [])


@pytest.mark.parametrize("rest", [[3], [5], [4], [3, 5]])
def test_what_rest_has_left_over_must_be_listed_exactly(rest: list[int]) -> None:
    left = [n for n in (3, 4, 5) if n not in rest]
    runs = [left] if left[-1] - left[0] == len(left) - 1 else [[n] for n in left]
    gaps = [
        gap(2, 6, has_ids=True, gap_id=f"g{run[0]}")._replace(from_id=10 * run[0], to_id=10 * (run[-1] + 1))
        for run in runs
    ]
    recorded = with_rest([0, 1, 2, 6, 7, 8, 9], rest)
    assert judge(rest_tape(), recorded, gaps).faults == []
    assert judge(rest_tape(), recorded, []).lost == left
    assert judge(rest_tape(), recorded, [gap(2, 6, has_ids=True)]).in_both == rest
    wrong = [one._replace(to_ns=one.to_ns and one.to_ns + 1) for one in gaps]
    assert judge(rest_tape(), recorded, wrong).misplaced


def test_a_row_of_rest_beside_one_of_a_connection_is_doubled() -> None:
    assert judge(rest_tape(), with_rest(range(10), [4]), []).doubled == [4]
    assert judge(rest_tape(), [*with_rest([], [4]), *rows(*range(10))], []).doubled == [4]
    assert judge(rest_tape(), with_rest([0, 1, 2, 4, 5, 6, 7, 8, 9], [3, 3]), []).doubled == [3]


def test_a_row_that_rest_does_not_have_is_foreign() -> None:
    assert judge(tape(has_ids=True), with_rest(range(9), [9]), []).foreign == 1
    marked = [row._replace(is_repaired=True) for row in rows(9)]
    assert judge(rest_tape(), [*rows(*range(9)), *marked], []).foreign == 1


def test_a_time_that_nobody_listened_to_stays_listed_where_rest_brought_some_of_it() -> None:
    recorded = with_rest([0, 1, 2, 6, 7, 8, 9], [4])
    listed = [gap(2, 6, has_ids=False)]
    assert judge(rest_tape(has_ids=False), recorded, listed).faults == []
    assert judge(rest_tape(has_ids=False), recorded, []).lost == [3, 5]


def test_rows_of_connections_must_stand_in_order_though_rest_brought_some_late() -> None:
    recorded = with_rest([0, 1, 2, 7, 6, 8, 9], [3, 4, 5])
    assert judge(rest_tape(), recorded, []).disordered == 1
