"""Warnings about what is stored, and its lines for people."""

from binance_streamer.config.schema import AlertsConfig
from binance_streamer.health.storage import archiver_warnings, removal_text, stored_of, volume_lines
from binance_streamer.wire.status_parts import DiskRoom, PlannedRemoval, StoredFormat, Volumes
from binance_streamer.wire.statuses import ArchiverStatus, BusStatus

DAY_NS = 86_400 * 10**9
NOW_NS = 20_000 * DAY_NS
ALERTS = AlertsConfig(disk_days=3)


def room(days_left: float | None, path: str = "/data") -> DiskRoom:
    return DiskRoom(path=path, free_bytes=5 * 10**9, total_bytes=10**10, days_left=days_left)


def removal(name: str, why: str, *, days: int = 1) -> PlannedRemoval:
    return PlannedRemoval(format=name, day="20241002", bytes=2 * 10**9, at_ns=NOW_NS + days * DAY_NS, why=why)


def warnings(stored: Volumes = Volumes(), **more: object) -> list[str]:  # noqa: B008 (a constant)
    status = ArchiverStatus(recv_ns=NOW_NS, stored=stored, **more)  # type: ignore[arg-type]
    return [what for what, _ in archiver_warnings(ALERTS, status)]


def test_only_the_last_copy_that_goes_by_size_and_soon_is_a_problem() -> None:
    assert warnings(Volumes(removals=(removal("parquet", "size"),))) == ["retention"]
    for harmless in (removal("csv", "size"), removal("parquet", "age"), removal("parquet", "size", days=4)):
        assert warnings(Volumes(removals=(harmless,))) == []


def test_what_is_not_proven_or_pending_or_failed_is_a_problem() -> None:
    found = warnings(fault="no room", pending={"A 20241002 depth": "line 2"}, unproven={"B 20241002": "damaged"})
    assert found == ["archiver", "A 20241002 depth", "B 20241002"]


def test_a_second_disk_that_fills_is_a_problem() -> None:
    assert warnings(Volumes(disks=(room(1), room(2, "/lake")))) == ["disk of /lake"]
    assert warnings(Volumes(disks=(room(None), room(4, "/lake"), room(None, "/other")))) == []


def test_nothing_is_stored_where_nobody_measured() -> None:
    assert stored_of(None) is stored_of(ArchiverStatus()) is stored_of(BusStatus()) is None
    assert list(archiver_warnings(ALERTS, BusStatus())) == []
    measured = Volumes(disks=(room(1),))
    assert stored_of(ArchiverStatus(stored=measured)) == measured


def test_lines_for_people() -> None:
    stored = Volumes(
        formats={
            "csv": StoredFormat(bytes=4 * 10**9, days=2, bytes_per_day=2e9),
            "parquet": StoredFormat(bytes=9, days=1),
        },
        removals=(removal("csv", "age"),),
        disks=(room(2.5), room(None, "/lake")),
        fills=True,
    )
    assert volume_lines(stored) == [
        "csv 4.0 GB of 2 days, 2.0 GB a day, parquet 9 B of 1 days",
        "csv of 2024-10-02 (2.0 GB) goes on 2024-10-05 00:00 UTC by age",
        "/data: 5.0 GB free, 2.5 days of headroom",
        "/lake: 5.0 GB free, does not fill",
    ]
    assert volume_lines(Volumes(disks=(room(None),)))[1].endswith("no whole day yet to measure")
    assert removal_text(removal("parquet", "size")).startswith("parquet of 2024-10-02 (2.0 GB) goes on ")
