"""Decides what is removed: days that are too old, and the oldest ones where there is too much.

In: what is stored of each symbol's day, the rules, the time. Out: removals in the order in which they are to happen.
It touches no file; `removal` does, and looks at each day again before.

Two kinds go, each with its oldest day first: daily files, whose rows lie in the lake too, and sealed files, which are
the last copy. For the sake of `max_bytes` all daily files go before the first sealed one: that loses no row.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Literal, NamedTuple

from binance_streamer.config.amounts import bytes_of, seconds_of
from binance_streamer.config.schema import RetentionConfig
from binance_streamer.days.certificate import day_bounds_ns

Kind = Literal["daily", "sealed"]
DAILY: Kind = "daily"
SEALED: Kind = "sealed"


class StoredDay(NamedTuple):
    """A symbol's day and the bytes of its daily and of its sealed files.

    `is_sealed`: it is over, and all that its daily files hold lies in the lake. Without that nothing of it is removed.
    """

    day: str
    symbol: str
    daily_bytes: int
    sealed_bytes: int
    is_sealed: bool


class Rules(NamedTuple):
    """The time for which a day stays after its end, in ns, and the bytes of all days; None is without limit."""

    daily_ns: int
    sealed_ns: int | None
    most_bytes: int | None


class Removal(NamedTuple):
    """Files of one kind of a symbol's day that are to go; `why` is `age` or `size`."""

    kind: Kind
    day: str
    symbol: str
    size: int
    why: str


def rules_of(retention: RetentionConfig) -> Rules:
    """Return the rules in a configuration that has been checked."""
    return Rules(
        daily_ns=int(seconds_of(retention.csv) * 1e9) if retention.csv else 0,
        sealed_ns=int(seconds_of(retention.parquet) * 1e9) if retention.parquet else None,
        most_bytes=bytes_of(retention.max_bytes) if retention.max_bytes else None,
    )


def removals(days: Iterable[StoredDay], rules: Rules, now_ns: int) -> list[Removal]:
    """Return what is to be removed, in order: first by age, then by size, of each the oldest first."""
    stored = sorted(days)
    found = list(_aged(stored, rules, now_ns))
    if rules.most_bytes is None:
        return found
    gone = {(one.kind, one.day, one.symbol) for one in found}
    excess = sum(one.daily_bytes + one.sealed_bytes for one in stored) - sum(one.size for one in found)
    excess -= rules.most_bytes
    for kind in (DAILY, SEALED):
        for one in stored:
            size = _size(one, kind)
            if excess <= 0:
                return found
            if one.is_sealed and size and (kind, one.day, one.symbol) not in gone:
                found.append(Removal(kind, one.day, one.symbol, size, "size"))
                excess -= size
    return found


def stored_days(
    daily: Mapping[tuple[str, str], int], sealed: Mapping[tuple[str, str], int], settled: set[tuple[str, str]]
) -> list[StoredDay]:
    """Join the bytes of daily and of sealed files, by day and symbol; `settled` days are sealed up to the last byte.

    A day without daily files was sealed before they went.
    """
    return [
        StoredDay(*key, daily.get(key, 0), sealed.get(key, 0), is_sealed=key in settled or key not in daily)
        for key in sorted({*daily, *sealed})
    ]


def _aged(stored: Iterable[StoredDay], rules: Rules, now_ns: int) -> Iterator[Removal]:
    for one in stored:
        if not one.is_sealed:
            continue
        age_ns = now_ns - day_bounds_ns(one.day)[1]
        if one.daily_bytes and age_ns >= rules.daily_ns:
            yield Removal(DAILY, one.day, one.symbol, one.daily_bytes, "age")
        if one.sealed_bytes and rules.sealed_ns is not None and age_ns >= rules.sealed_ns:
            yield Removal(SEALED, one.day, one.symbol, one.sealed_bytes, "age")


def _size(one: StoredDay, kind: Kind) -> int:
    return one.daily_bytes if kind == DAILY else one.sealed_bytes
