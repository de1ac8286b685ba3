"""The code keeps to its measures: none may become worse than `reached` in `limits.py`."""

import pytest

from tests.architecture.limits import LIMITS, Limit
from tests.architecture.measured import MEASURES, Measure, Offender, measure
from tests.architecture.sources import changed


@pytest.mark.parametrize("name", LIMITS)
def test_a_measure_becomes_no_worse(name: str) -> None:
    limit, now = LIMITS[name], measure(name)
    if limit.allows(now.value):
        return
    pytest.fail(
        f"{name}: {now.value:g}, reached before: {limit.reached:g}, aimed: {limit.aimed:g}.\n"
        f"Mend what your change adds (>). `./run python -m tests.architecture.measures --all` lists all of:\n"
        f"{now.places(20, first=changed())}",
        pytrace=False,
    )


def test_each_measure_has_a_limit() -> None:
    assert list(MEASURES) == list(LIMITS)


@pytest.mark.parametrize(
    ("value", "allowed", "attained", "improved"),
    [(31, False, False, False), (30, True, False, False), (29, True, False, True), (14, True, True, True)],
)
def test_fewer_is_better(*, value: float, allowed: bool, attained: bool, improved: bool) -> None:
    limit = Limit(aimed=14, reached=30)
    assert (limit.allows(value), limit.attains(value), limit.improves(value)) == (allowed, attained, improved)


@pytest.mark.parametrize(
    ("value", "allowed", "attained", "improved"),
    [(15, False, False, False), (16, True, False, False), (17, True, False, True), (25, True, True, True)],
)
def test_more_is_better(*, value: float, allowed: bool, attained: bool, improved: bool) -> None:
    limit = Limit(aimed=25, reached=16, more_is_better=True)
    assert (limit.allows(value), limit.attains(value), limit.improves(value)) == (allowed, attained, improved)


def test_better_than_aimed_leaves_room_up_to_the_aim() -> None:
    limit = Limit(aimed=14, reached=9)
    assert limit.allows(14)
    assert not limit.allows(15)


def test_places_in_files_of_the_change_are_named_first() -> None:
    found = Measure(3, tuple(Offender(path, 1, "long") for path in ("a.py", "b.py", "c.py")))
    assert found.places(2, first={"c.py"}).splitlines() == [
        "  > c.py:1  long",
        "    a.py:1  long",
        "    … and 1 more (--all)",
    ]
