"""The times in which a book is known: right, or flagged, by ids and receive stamps."""

import polars as pl
import pytest

from binance_streamer.days.reading.book_times import ID_COLUMNS, BookTime, book_times, chained
from binance_streamer.days.rows import Span

ALL = Span(0, 1000)


def times(updates: list[tuple[int, int, int]], snapshots: list[int], span: Span = ALL) -> list[BookTime]:
    """Of updates (id, previous id, receipt) and snapshots' ids."""
    rows = pl.DataFrame(updates, schema=dict.fromkeys(ID_COLUMNS, pl.Int64), orient="row")
    return book_times(
        chained(rows, pl.DataFrame({"last_update_id": snapshots}, schema={"last_update_id": pl.Int64})), span
    )


def chain(first: int, last: int) -> list[tuple[int, int, int]]:
    """Updates 10 ids and 10 ns apart."""
    return [(number, number - 10, number) for number in range(first, last + 1, 10)]


@pytest.mark.parametrize("snapshot", [105, 110, 101, 100])
def test_a_book_is_known_from_the_first_update_that_joins_a_snapshot(snapshot: int) -> None:
    assert times(chain(110, 200), [snapshot]) == [(0, 110, "not recorded"), (110, 201, ""), (201, 1000, "not recorded")]


def test_a_snapshot_in_the_middle_makes_it_known_from_there() -> None:
    assert times(chain(110, 200), [155]) == [
        (0, 110, "not recorded"),
        (110, 160, "no snapshot"),
        (160, 201, ""),
        (201, 1000, "not recorded"),
    ]


@pytest.mark.parametrize("snapshots", [[], [99], [201], [5]])
def test_without_a_snapshot_that_joins_it_is_not_known(snapshots: list[int]) -> None:
    assert times(chain(110, 200), snapshots)[1] == (110, 201, "no snapshot")


def test_behind_a_hole_it_is_not_known_until_the_next_snapshot() -> None:
    assert times([*chain(110, 200), *chain(310, 400)], [105, 355]) == [
        (0, 110, "not recorded"),
        (110, 201, ""),
        (201, 310, "updates missing"),
        (310, 360, "no snapshot"),
        (360, 401, ""),
        (401, 1000, "not recorded"),
    ]


def test_a_snapshot_within_a_hole_is_of_no_use() -> None:
    found = times([*chain(110, 200), *chain(310, 400)], [105, 250, 300])
    assert found[3:] == [(310, 401, ""), (401, 1000, "not recorded")]  # 300: the first update behind it hangs on it
    assert times([*chain(110, 200), *chain(310, 400)], [105, 250])[3] == (310, 401, "no snapshot")


def test_an_update_that_was_received_late_counts_when_a_later_one_was_there() -> None:
    updates = [(110, 100, 110), (120, 110, 150), (130, 120, 130), (140, 130, 160)]
    rows = chained(
        pl.DataFrame(updates, schema=dict.fromkeys(ID_COLUMNS, pl.Int64), orient="row"),
        pl.DataFrame({"last_update_id": [100]}),
    )
    assert rows["at_ns"].to_list() == [110, 130, 130, 160]
    assert book_times(rows, ALL)[1] == (110, 161, "")


def test_the_same_update_twice_is_one() -> None:
    assert times([*chain(110, 150), *chain(130, 200)], [105])[1] == (110, 201, "")


def test_a_time_is_cut_to_what_was_asked_for() -> None:
    assert times(chain(110, 200), [105], Span(120, 130)) == [(120, 130, "")]
    assert times([], [], Span(120, 130)) == [(120, 130, "not recorded")]
    assert times(chain(110, 200), [105], Span(201, 300)) == [(201, 300, "not recorded")]


def test_where_ids_began_anew_nothing_wrong_is_called_known() -> None:
    """The new count has lower ids; what cannot be told apart is not known."""
    old, new = chain(510, 600), [(number, number - 10, number + 700) for number in range(20, 60, 10)]
    known = [time for time in times([*old, *new], [505, 15]) if not time.why]
    assert known
    assert all(time.from_ns >= 510 and time.to_ns <= 601 for time in known)
