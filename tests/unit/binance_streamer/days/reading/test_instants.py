"""Instants and lengths as users write them."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from binance_streamer.days.reading.instants import Instant, day_of_ns, length_ns, to_ns

NOON = 1_795_348_800_000_000_000
"""2026-11-22 12:00 UTC."""


@pytest.mark.parametrize(
    ("instant", "ns"),
    [
        (NOON, NOON),
        (0, 0),
        (datetime(2026, 11, 22, 12), NOON),  # noqa: DTZ001 (without a zone it is UTC)
        (datetime(2026, 11, 22, 12, 0, 0, 7, tzinfo=UTC), NOON + 7_000),
        (datetime(2026, 11, 22, 14, tzinfo=timezone(timedelta(hours=2))), NOON),
        (date(2026, 11, 22), NOON - 43_200 * 10**9),
        ("2026-11-22", NOON - 43_200 * 10**9),
        ("2026-11-22T12:00", NOON),
        ("2026-11-22T14:00+02:00", NOON),
        ("2026-11-22T12:00:00.5Z", NOON + 500_000_000),
        ("2026-11-22 12:00:00.123456789", NOON + 123_456_789),
    ],
)
def test_an_instant_is_nanoseconds(instant: Instant, ns: int) -> None:
    assert to_ns(instant) == ns


@pytest.mark.parametrize("instant", [1_795_348_800_000, 1_795_348_800, "noon", "2026-11-22T12:00:00.1234567891"])
def test_what_is_no_instant_is_refused(instant: Instant) -> None:
    with pytest.raises(ValueError, match=r"nano|nine|Invalid"):
        to_ns(instant)


@pytest.mark.parametrize(
    ("text", "ns"), [("1ns", 1), ("100ms", 10**8), ("5m", 300 * 10**9), ("2h", 7200 * 10**9), ("1d", 86_400 * 10**9)]
)
def test_a_length_of_time(text: str, ns: int) -> None:
    assert length_ns(text) == ns


@pytest.mark.parametrize("text", ["", "0s", "1", "-1s", "1 s", "1M"])
def test_what_is_no_length_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="length of time"):
        length_ns(text)


def test_the_day_of_a_stamp() -> None:
    assert [day_of_ns(ns) for ns in (0, NOON, -5, 2**63 - 1)] == ["19700101", "20261122", "19700101", "22620411"]
