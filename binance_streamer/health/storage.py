"""Says in words what is stored, what retention removes next and when, and what of it is a problem.

In: the archiver's status, or volumes that were measured here. Out: lines for people, and warnings. None of it is a
failure: what cannot be sealed or removed stays where it is.
"""

from collections.abc import Iterator
from datetime import UTC, datetime

from binance_streamer.config.schema import AlertsConfig
from binance_streamer.health.gap_files import dashed_day
from binance_streamer.health.sizes import size
from binance_streamer.wire.status_parts import DiskRoom, PlannedRemoval, Volumes
from binance_streamer.wire.statuses import ArchiverStatus, Status

_DAY_NS = 86_400 * 10**9


def stored_of(archiver: Status | None) -> Volumes | None:
    """Return what the archiver has measured of the stored days; None where it has not, or is not heard."""
    return archiver.stored if isinstance(archiver, ArchiverStatus) and archiver.stored.disks else None


def archiver_warnings(alerts: AlertsConfig, archiver: Status | None) -> Iterator[tuple[str, str]]:
    """Yield what is concerned, and why, for each problem of the archiver.

    A removal by age is as it was configured. One of the last copy for the sake of `max_bytes` is told `disk_days`
    before, so that there is time to copy the day, or to allow more.
    """
    if not isinstance(archiver, ArchiverStatus):
        return
    if archiver.fault:
        yield "archiver", archiver.fault
    for what, why in archiver.pending.items():
        yield what, f"not sealed: {why}"
    for what, why in archiver.unproven.items():
        yield what, f"its daily files stay: {why}"
    soon_ns = archiver.recv_ns + int(alerts.disk_days * _DAY_NS)
    for one in archiver.stored.removals:
        if one.why == "size" and one.format == "parquet" and one.at_ns < soon_ns:
            yield "retention", f"{removal_text(one)}, the last copy: copy it, or raise storage.retention.max_bytes"
    for room in archiver.stored.disks[1:]:  # the first is the data disk, of which the writer speaks
        if room.days_left is not None and room.days_left < alerts.disk_days:
            yield f"disk of {room.path}", f"full in {room.days_left:.1f} days"


def removal_text(one: PlannedRemoval) -> str:
    """Write a removal in short: `csv of 2026-11-22 (1.8 GB) goes on 2026-11-30 00:00 UTC by age`."""
    at = datetime.fromtimestamp(one.at_ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M")
    return f"{one.format} of {dashed_day(one.day)} ({size(one.bytes)}) goes on {at} UTC by {one.why}"


def volume_lines(found: Volumes) -> list[str]:
    """Write the volumes for people: a line for formats, for what goes next, and for each disk."""
    lines = [
        ", ".join(
            f"{name} {size(one.bytes)} of {one.days} days"
            + (f", {size(round(one.bytes_per_day))} a day" if one.bytes_per_day is not None else "")
            for name, one in sorted(found.formats.items())
        )
        or "nothing yet"
    ]
    lines += ["; ".join(map(removal_text, found.removals))] if found.removals else []
    return lines + [
        f"{room.path}: {size(room.free_bytes)} free, {_headroom(room, fills=found.fills)}" for room in found.disks
    ]


def _headroom(room: DiskRoom, *, fills: bool | None) -> str:
    if room.days_left is not None:
        return f"{room.days_left:.1f} days of headroom"
    return "no whole day yet to measure" if fills is None else "does not fill"
