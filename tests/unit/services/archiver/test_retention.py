"""The plan of what is removed: whatever is stored, it is sealed, and the oldest goes first."""

from hypothesis import given
from hypothesis import strategies as st

from binance_streamer.config.schema import RetentionConfig
from binance_streamer.days.certificate import day_bounds_ns
from services.archiver.retention import DAILY, SEALED, Removal, Rules, StoredDay, removals, rules_of, stored_days

DAY_NS = 86_400 * 10**9
DAYS = [f"202611{number:02}" for number in range(10, 24)]
NOW_NS = day_bounds_ns("20261124")[0]
sizes = st.integers(0, 100)
stored = st.lists(
    st.builds(StoredDay, st.sampled_from(DAYS), st.sampled_from(["BTCUSDT", "ETHUSDT"]), sizes, sizes, st.booleans()),
    max_size=20,
    unique_by=lambda one: one[:2],
)
limits = st.none() | st.integers(0, 1500)
rules = st.builds(
    lambda daily, more, most: Rules(daily * DAY_NS, None if more is None else (daily + more) * DAY_NS, most),
    st.integers(0, 12),
    st.none() | st.integers(0, 5),
    limits,
)


def age_ns(day: str) -> int:
    return NOW_NS - day_bounds_ns(day)[1]


def size_of(one: StoredDay, removal: Removal) -> int:
    return one.daily_bytes if removal.kind == DAILY else one.sealed_bytes


@given(stored, rules)
def test_only_sealed_days_go_the_oldest_first_and_no_more_than_needed(days: list[StoredDay], rules: Rules) -> None:
    by_key = {one[:2]: one for one in days}
    plan = removals(days, rules, NOW_NS)
    assert len({one[:3] for one in plan}) == len(plan)
    left = sum(one.daily_bytes + one.sealed_bytes for one in days)
    gone: set[tuple[str, str, str]] = set()
    for one in plan:
        day = by_key[one.day, one.symbol]
        assert day.is_sealed
        assert one.size == size_of(day, one) > 0
        if one.kind == SEALED:
            assert not day.daily_bytes or (DAILY, *day[:2]) in gone
        if one.why == "size":
            assert rules.most_bytes is not None
            assert left > rules.most_bytes
        left -= one.size
        gone.add((one.kind, one.day, one.symbol))
    for kind in (DAILY, SEALED):
        removed = [key for what, *key in gone if what == kind]
        kept = [
            list(one[:2])
            for one in days
            if one.is_sealed
            and (one.daily_bytes if kind == DAILY else one.sealed_bytes)
            and (kind, *one[:2]) not in gone
        ]
        assert not removed or not kept or max(removed) < min(kept)
    for kept_day in (one for one in days if one.is_sealed):
        if kept_day.daily_bytes:
            assert ((DAILY, *kept_day[:2]) in gone) or age_ns(kept_day.day) < rules.daily_ns
        if kept_day.sealed_bytes and rules.sealed_ns is not None:
            assert ((SEALED, *kept_day[:2]) in gone) or age_ns(kept_day.day) < rules.sealed_ns
    removable = sum(one.daily_bytes + one.sealed_bytes for one in days if one.is_sealed)
    if rules.most_bytes is not None and left > rules.most_bytes:
        assert sum(one.size for one in plan) == removable


def test_by_size_daily_files_go_before_the_last_copy_of_anything() -> None:
    days = [
        StoredDay("20261110", "BTCUSDT", 0, 10, is_sealed=True),
        StoredDay("20261111", "BTCUSDT", 50, 10, is_sealed=True),
        StoredDay("20261112", "BTCUSDT", 50, 10, is_sealed=True),
        StoredDay("20261113", "BTCUSDT", 50, 0, is_sealed=False),
    ]
    year = Rules(365 * DAY_NS, None, 75)
    assert removals(days, year, NOW_NS) == [
        Removal(DAILY, "20261111", "BTCUSDT", 50, "size"),
        Removal(DAILY, "20261112", "BTCUSDT", 50, "size"),
        Removal(SEALED, "20261110", "BTCUSDT", 10, "size"),
    ]
    assert removals(days, year._replace(most_bytes=180), NOW_NS) == []


def test_rules_are_read_from_the_configuration() -> None:
    assert rules_of(RetentionConfig()) == Rules(0, None, None)
    given_rules = rules_of(RetentionConfig(csv="36h", parquet="400d", max_bytes="1.5TB"))
    assert given_rules == Rules(36 * 3600 * 10**9, 400 * DAY_NS, 1_500_000_000_000)


def test_a_day_is_sealed_if_it_is_settled_or_has_no_daily_files_any_more() -> None:
    daily = {("20261110", "A"): 5, ("20261111", "A"): 6}
    sealed = {("20261109", "A"): 1, ("20261110", "A"): 2}
    assert stored_days(daily, sealed, {("20261110", "A")}) == [
        StoredDay("20261109", "A", 0, 1, is_sealed=True),
        StoredDay("20261110", "A", 5, 2, is_sealed=True),
        StoredDay("20261111", "A", 6, 0, is_sealed=False),
    ]
