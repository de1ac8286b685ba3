"""Interval sets against plain sets."""

from hypothesis import given
from hypothesis import strategies as st

from services.writer.store.sequences import Interval, Sequences


@given(st.lists(st.tuples(st.integers(1, 60), st.integers(0, 5))), st.integers(1, 70))
def test_intervals_hold_what_a_set_holds(added: list[tuple[int, int]], asked: int) -> None:
    sequences = Sequences()
    numbers: set[int] = set()
    for first, length in added:
        sequences.add(Interval("x", 1, first, first + length))
        numbers |= set(range(first, first + length + 1))
    assert sequences.has("x", 1, asked) == (asked in numbers)
    again = Sequences()
    for interval in sequences:
        again.add(interval)
    assert again.has("x", 1, asked) == (asked in numbers)


def test_other_names_and_epochs_are_other_sets() -> None:
    sequences = Sequences()
    sequences.add(Interval("x", 1, 1, 9))
    assert sequences.has("x", 1, 9)
    assert not sequences.has("y", 1, 9)
    assert not sequences.has("x", 2, 9)
    assert sequences.has_epoch(1)
    assert not sequences.has_epoch(2)
