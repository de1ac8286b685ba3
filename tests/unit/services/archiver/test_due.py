"""Days that are to be sealed: over, past their grace, quiet, and not what their certificate says."""

import os
from pathlib import Path

from services.archiver.due import Days, Times, certificate_of, days_of
from tests.support.sealing import DAY, DAY_MS, begun, certificate_file, seal_days, trade, write

END_NS = (DAY_MS + 86_400_000) * 10**6
"""The end of the day of `write`."""
HOUR_NS = 3600 * 10**9


def at(now_ns: int) -> Times:
    return Times(now_ns=now_ns, grace_ns=2 * HOUR_NS, quiet_ns=15 * 10**9)


def written(data: Path, *numbers: int, symbol: str = "BTCUSDT", grown_ns: int = END_NS) -> Path:
    """A daily file that has last grown at this time."""
    path = write(data, map(trade, numbers), symbol=symbol)
    os.utime(path, ns=(grown_ns, grown_ns))
    return path


def names(days: Days) -> list[tuple[str, str]]:
    return [(due.symbol, due.day) for due in days.due]


def test_a_day_is_due_once_its_grace_has_passed(tmp_path: Path) -> None:
    lake = begun(tmp_path / "lake")
    written(tmp_path / "data", 1)
    assert names(days_of(tmp_path / "data", lake, at(END_NS + 2 * HOUR_NS - 1))) == []
    days = days_of(tmp_path / "data", lake, at(END_NS + 2 * HOUR_NS))
    assert names(days) == [("BTCUSDT", DAY)]
    assert days.due[0].size == (tmp_path / "data" / "BTCUSDT" / f"trade_BTCUSDT_{DAY}.csv").stat().st_size


def test_a_file_that_grows_is_left_alone(tmp_path: Path) -> None:
    lake = begun(tmp_path / "lake")
    now_ns = END_NS + 5 * HOUR_NS
    written(tmp_path / "data", 1, grown_ns=now_ns - 14 * 10**9)
    assert names(days_of(tmp_path / "data", lake, at(now_ns))) == []
    assert names(days_of(tmp_path / "data", lake, at(now_ns + 10**9))) == [("BTCUSDT", DAY)]


def test_a_sealed_day_is_due_again_for_a_late_row_only(tmp_path: Path) -> None:
    data, lake, times = tmp_path / "data", begun(tmp_path / "lake"), at(END_NS + 5 * HOUR_NS)
    written(data, 1)
    written(data, 1, symbol="ETHUSDT")
    seal_days(data, lake, times)
    settled = days_of(data, lake, times)
    assert (names(settled), [day.symbol for day in settled.settled]) == ([], ["BTCUSDT", "ETHUSDT"])
    written(data, 2)
    assert names(days_of(data, lake, times)) == [("BTCUSDT", DAY)]
    seal_days(data, lake, times)
    certificate = certificate_of(lake, "BTCUSDT", DAY)
    assert certificate is not None
    assert certificate.streams["trade"].facts.rows == 2


def test_a_damaged_certificate_is_none(tmp_path: Path) -> None:
    data, lake, times = tmp_path / "data", begun(tmp_path / "lake"), at(END_NS + 5 * HOUR_NS)
    written(data, 1)
    seal_days(data, lake, times)
    certificate_file(Path(lake.uri)).write_bytes(b'{"symbol": ')
    assert names(days_of(data, lake, times)) == [("BTCUSDT", DAY)]


def test_older_days_are_passed_over_where_a_first_day_is_given(tmp_path: Path) -> None:
    lake = begun(tmp_path / "lake")
    written(tmp_path / "data", 1)
    assert names(days_of(tmp_path / "data", lake, at(END_NS + 5 * HOUR_NS), from_day="20261123")) == []
    assert names(days_of(tmp_path / "data", lake, at(END_NS + 5 * HOUR_NS), from_day=DAY)) == [("BTCUSDT", DAY)]


def test_a_name_that_is_no_day_is_never_due(tmp_path: Path) -> None:
    write(tmp_path / "data", [trade(1)], day="99999999")
    assert names(days_of(tmp_path / "data", begun(tmp_path / "lake"), at(END_NS + 5 * HOUR_NS))) == []
