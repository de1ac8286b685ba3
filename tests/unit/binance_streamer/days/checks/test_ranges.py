"""Sets of ranges, against sets of ids."""

from random import Random

from binance_streamer.days.checks.ranges import RangeSet


def ids(ranges: RangeSet) -> set[int]:
    return {number for low, high in ranges for number in range(low + 1, high + 1)}


def test_ranges_that_touch_are_one() -> None:
    assert list(RangeSet([(0, 5), (9, 12), (5, 9)])) == [(0, 12)]
    assert list(RangeSet([(0, 5), (6, 9)])) == [(0, 5), (6, 9)]


def test_what_is_empty_adds_nothing() -> None:
    ranges = RangeSet([(3, 3), (7, 4)])
    assert len(ranges) == 0
    assert ranges.add(1, 1) == 0


def test_adding_says_how_much_was_new() -> None:
    ranges = RangeSet([(0, 5), (8, 10)])
    assert ranges.add(3, 9) == 3
    assert list(ranges) == [(0, 10)]


def test_any_ranges_are_the_sets_of_their_ids() -> None:
    random = Random(1)
    for _ in range(2000):
        one, other = (
            RangeSet((low, low + random.randint(0, 6)) for low in random.choices(range(40), k=random.randint(0, 8)))
            for _ in range(2)
        )
        low, high = sorted(random.sample(range(45), 2))
        new = len(set(range(low + 1, high + 1)) - ids(one))
        assert ids(one.minus(other)) == ids(one) - ids(other)
        assert ids(one.within(low, high)) == ids(one) & set(range(low + 1, high + 1))
        before = ids(one)
        assert one.add(low, high) == new
        assert ids(one) == before | set(range(low + 1, high + 1))
        assert all(first[1] < second[0] for first, second in zip(one, list(one)[1:], strict=False))
