"""Retention on real folders: what is removed lies elsewhere or is too old, and a kill at any step loses no row."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from binance_streamer.config.schema import RetentionConfig, StorageConfig
from binance_streamer.days import certificate as certificates
from binance_streamer.days.certificate import day_bounds_ns
from binance_streamer.days.lake import Lake
from binance_streamer.days.rows import batches
from binance_streamer.days.sources import sources
from services.archiver.due import Times, certificate_of, days_of
from services.archiver.keeping import Result, Retention
from services.archiver.removal import finish_removal, remove_from_lake
from tests.support.sealing import begun, seal_days, skip_without_leases, trade, write

DAYS = ("20261120", "20261121", "20261122")
DAY_NS = 86_400 * 10**9
NOW_NS = day_bounds_ns("20261123")[0]


class KilledError(BaseException):
    """Stands for a kill: nothing catches it."""


@pytest.fixture(autouse=True)
def leases(tmp_path: Path) -> None:
    """Nothing is removed where the file system has no leases."""
    skip_without_leases(tmp_path)


def times(now_ns: int = NOW_NS) -> Times:
    return Times(now_ns=now_ns, grace_ns=0, quiet_ns=-(10**18))  # the files are of today


def seal(place: Path, lake: Lake, now_ns: int = NOW_NS) -> None:
    seal_days(place / "data", lake, times(now_ns))


def keep(place: Path, lake: Lake, now_ns: int = NOW_NS, **retention: str) -> Result:
    storage = StorageConfig(
        output_directory=str(place / "data"),
        lake=lake.uri,
        keep_csv=False,
        retention=RetentionConfig(**retention),
    )
    return Retention(storage, lake, times(now_ns), lambda: None).keep()


def recorded(place: Path, *, rows: int = 3) -> Lake:
    """Three days of one symbol, each with trades, sealed."""
    data, lake = place / "data", begun(place / "lake")
    for number, day in enumerate(DAYS):
        write(data, map(trade, range(100 * number, 100 * number + rows)), day=day)
    seal(place, lake)
    return lake


def daily(place: Path) -> list[str]:
    return [one.day for one in sources(place / "data")]


def sealed(lake: Lake) -> list[str]:
    return sorted(place.day for place, _ in lake.stored())


def ids(place: Path, lake: Lake) -> set[int]:
    """The ids of all trades, wherever they lie."""
    found: set[int] = set()
    for day in DAYS:
        for batch in lake.read("trade", "BTCUSDT", day) or ():
            found.update(batch.column("id").to_pylist())
    for one in sources(place / "data"):
        for batch in batches(one.path, one.stem):
            found.update(batch.column("id").to_pylist())
    return found


def test_daily_files_go_by_age_and_their_rows_stay(tmp_path: Path) -> None:
    lake = recorded(tmp_path)
    before = ids(tmp_path, lake)
    assert len(before) == 9
    result = keep(tmp_path, lake, csv="1d")
    assert (result.daily_files, result.sealed_files, result.refused) == (2, 0, 0)
    assert daily(tmp_path) == [DAYS[2]]
    assert sealed(lake) == list(DAYS)
    assert ids(tmp_path, lake) == before


def test_without_an_age_daily_files_go_once_they_are_sealed(tmp_path: Path) -> None:
    lake = recorded(tmp_path)
    write(tmp_path / "data", [trade(500)], symbol="ETHUSDT", day=DAYS[0])
    keep(tmp_path, lake)
    assert [(one.symbol, one.day) for one in sources(tmp_path / "data")] == [("ETHUSDT", DAYS[0])]


def test_sealed_files_go_by_age_with_one_commit_and_the_certificate_stays(tmp_path: Path) -> None:
    lake = recorded(tmp_path)
    version = DeltaTable(f"{lake.uri}/trade").version()
    certificate = certificate_of(lake, "BTCUSDT", DAYS[0])
    assert certificate is not None
    result = keep(tmp_path, lake, csv="1d", parquet="2d")
    assert (result.daily_files, result.sealed_files) == (2, 1)
    assert sealed(lake) == [*DAYS[1:]]
    assert DeltaTable(f"{lake.uri}/trade").version() == version + 1
    assert not list(Path(lake.uri).glob("trade/symbol=BTCUSDT/day=2026-11-20/*"))
    after = certificate_of(lake, "BTCUSDT", DAYS[0])
    assert after is not None
    assert [one.removed for one in after.streams["trade"].sealed] == [True]
    assert (after.streams["trade"].facts, after.condition) == (
        certificate.streams["trade"].facts,
        certificate.condition,
    )
    assert days_of(tmp_path / "data", lake, times()).due == []


def test_by_size_the_oldest_day_goes_first_and_no_more(tmp_path: Path) -> None:
    lake = recorded(tmp_path)
    sizes = [size for _, size in sorted(lake.stored(), key=lambda one: one[0].day)]
    keep(tmp_path, lake, max_bytes=f"{(sum(sizes) - 1) / 1000}kB")
    assert (daily(tmp_path), sealed(lake)) == ([], [*DAYS[1:]])
    keep(tmp_path, lake, max_bytes=f"{sum(sizes[1:]) / 1000}kB")
    assert sealed(lake) == [*DAYS[1:]]


def test_a_pending_day_stays_and_the_next_oldest_goes(tmp_path: Path) -> None:
    data, lake = tmp_path / "data", begun(tmp_path / "lake")
    write(data, [trade(1)], day=DAYS[0])
    write(data, [trade(2)], day=DAYS[1])
    seal(tmp_path, lake)
    write(data, [trade(3, price="1.123456789")], day=DAYS[0])
    seal(tmp_path, lake)
    result = keep(tmp_path, lake, max_bytes="0.001kB")
    assert result.refused
    assert (daily(tmp_path), sealed(lake)) == ([DAYS[0]], [DAYS[0]])


def test_the_last_copy_of_a_day_with_a_daily_file_or_with_something_pending_is_never_removed(tmp_path: Path) -> None:
    lake = recorded(tmp_path)
    assert remove_from_lake(tmp_path / "data", lake, "BTCUSDT", DAYS[0]) == 0
    write(tmp_path / "data", [trade(3, price="1.123456789")], day=DAYS[0])
    seal(tmp_path, lake)
    next(sources(tmp_path / "data")).path.unlink()
    assert remove_from_lake(tmp_path / "data", lake, "BTCUSDT", DAYS[0]) == 0
    assert sealed(lake) == list(DAYS)


def test_a_daily_file_stays_while_its_copy_is_damaged(tmp_path: Path) -> None:
    lake = recorded(tmp_path)
    (path,) = Path(lake.uri).glob("trade/symbol=BTCUSDT/day=2026-11-20/*.parquet")
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
    result = keep(tmp_path, lake)
    assert daily(tmp_path) == [DAYS[0]]
    assert list(result.unproven) == [f"BTCUSDT {DAYS[0]}"]
    path.unlink()
    assert list(keep(tmp_path, lake, max_bytes="0.001kB").unproven) == [f"BTCUSDT {DAYS[0]}"]
    assert daily(tmp_path) == [DAYS[0]]


def test_an_open_file_stays_and_its_sealed_file_with_it(tmp_path: Path) -> None:
    lake = recorded(tmp_path)
    path = next(sources(tmp_path / "data")).path
    with path.open("ab"):
        keep(tmp_path, lake, csv="1d", parquet="1d")
        assert (daily(tmp_path), sealed(lake)) == ([DAYS[0], DAYS[2]], [DAYS[0], DAYS[2]])
    keep(tmp_path, lake, csv="1d", parquet="1d")
    assert (daily(tmp_path), sealed(lake)) == ([DAYS[2]], [DAYS[2]])


def test_a_row_that_comes_after_its_day_was_removed_is_pending_and_changes_no_certificate(tmp_path: Path) -> None:
    lake = recorded(tmp_path)
    keep(tmp_path, lake, csv="1d", parquet="2d")
    before = certificate_of(lake, "BTCUSDT", DAYS[0])
    write(tmp_path / "data", [trade(7)], day=DAYS[0])
    seal(tmp_path, lake)
    after = certificate_of(lake, "BTCUSDT", DAYS[0])
    assert before is not None
    assert after is not None
    stream = after.streams["trade"]
    assert (stream.condition, stream.facts) == (certificates.PENDING, before.streams["trade"].facts)
    assert "came after retention had removed its day" in stream.why
    keep(tmp_path, lake)
    assert daily(tmp_path) == [DAYS[0]]


STEPS = (
    (Lake, "put_certificate"),
    (Lake, "mark_removing"),
    (Lake, "unmark_removing"),
    (DeltaTable, "create_write_transaction"),
    (Path, "rename"),
    (Path, "unlink"),
    (Path, "hardlink_to"),
)
"""Everything that a removal changes; a kill comes after the nth call of any of them."""


def kills(patch: pytest.MonkeyPatch, steps: int) -> Iterator[int]:
    """Let so many steps happen, then kill."""
    left = [steps]

    def counted(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **more: Any) -> Any:
            if left[0] == 0:
                raise KilledError
            left[0] -= 1
            return real(*arguments, **more)

        return call

    for owner, name in STEPS:
        patch.setattr(owner, name, counted(getattr(owner, name)))
    yield steps


@pytest.mark.parametrize("is_late", [False, True])
def test_a_kill_after_any_step_of_a_removal_loses_no_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_late: bool
) -> None:
    """The oldest day goes from the lake as well; in no other day a row is missing at any moment, or comes twice."""
    is_killed, steps = True, 0
    while is_killed:
        place = tmp_path / str(steps)
        lake = recorded(place)
        rest = {number for number in ids(place, lake) if number >= 100}
        with monkeypatch.context() as patch:
            next(kills(patch, steps))
            try:
                keep(place, lake, csv="1d", parquet="2d")
                is_killed = False
            except KilledError:
                pass
        assert ids(place, lake) >= rest
        if is_late:
            write(place / "data", [trade(105)], day=DAYS[1])
        again = begun(Path(lake.uri))
        finish_removal(again)
        seal(place, again)
        keep(place, again, csv="1d", parquet="2d")
        assert (daily(place), sealed(again)) == ([DAYS[2]], [*DAYS[1:]])
        assert ids(place, again) == rest | ({105} if is_late else set())
        assert again.removing() is None
        assert len(list(Path(again.uri).rglob("*.parquet"))) == 2
        certificate = certificate_of(again, "BTCUSDT", DAYS[0])
        assert certificate is not None
        assert [one.removed for one in certificate.streams["trade"].sealed] == [True]
        rows = sum(batch.num_rows for batch in again.read("trade", "BTCUSDT", DAYS[1]) or ())
        assert rows == (4 if is_late else 3)
        steps += 1
    assert steps > 10
