"""The journal on a disk that is really full: a small tmpfs in a namespace of its own, reached through /proc."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from binance_streamer.wire.frames import Position
from services.runtime.journal.journal import Journal, JournalFullError
from tests.chaos.namespace import Namespace, require_namespaces

_RECORD = bytes(8 * 1024)
_SEGMENT_BYTES = 64 * 1024


@pytest.fixture
def small_disk(place: Path) -> Iterator[Path]:
    require_namespaces(place)
    with Namespace(place, f"mount -t tmpfs -o size=512k tmpfs {place}") as namespace:
        yield namespace.inside(place)


def opened(directory: Path) -> Journal:
    return Journal(directory / "journal", "ingest-BTCUSDT", 1, max_bytes=1 << 30, segment_bytes=_SEGMENT_BYTES)


def fill(journal: Journal) -> None:
    """Append until the disk has no room."""
    with pytest.raises(JournalFullError, match="No space left"):
        append(journal, 100)


def append(journal: Journal, count: int) -> None:
    for _ in range(count):
        journal.append([_RECORD], {})


def test_a_full_disk_takes_new_records_in_place_of_acknowledged_ones_of_any_age(small_disk: Path) -> None:
    journal = opened(small_disk)
    fill(journal)
    count = journal.next_position
    journal.acknowledge(Position(1, count), 100.0)
    for _ in range(200):  # three times the disk
        journal.append([_RECORD], {})
        journal.acknowledge(Position(1, journal.next_position), 100.0)
    assert journal.next_position == count + 200
    newest = journal.behind(Position(1, count + 199))
    assert newest is not None
    chunk = journal.read(newest)
    assert chunk is not None
    assert chunk.batch.frames == _RECORD
    journal.close()


def test_a_full_disk_costs_no_record_that_is_not_acknowledged(small_disk: Path) -> None:
    journal = opened(small_disk)
    fill(journal)
    durable = journal.next_position // 2
    journal.acknowledge(Position(1, durable), 100.0)
    last = journal.next_position
    fill(journal)
    assert journal.next_position > last
    oldest = journal.read(journal.oldest(), max_frames=1)
    assert oldest is not None
    assert oldest.batch.first <= durable
    cursor = journal.oldest()
    positions: list[int] = []
    while (chunk := journal.read(cursor)) is not None:
        positions += range(chunk.batch.first, chunk.batch.first + chunk.frame_count)
        cursor = chunk.behind
    assert positions == list(range(oldest.batch.first, journal.next_position))
    journal.close()


def test_a_disk_that_is_nearly_full_keeps_nothing_that_is_acknowledged(small_disk: Path) -> None:
    journal = opened(small_disk)
    while len(list((small_disk / "journal").glob("*.journal"))) < 4:
        journal.append([_RECORD], {})
    journal.acknowledge(Position(1, journal.next_position), 100.0)
    assert journal.trim(100.0, 3600.0) == 0
    (small_disk / "filler").write_bytes(bytes(512 * 1024 - journal.size_bytes - 32 * 1024))
    assert journal.trim(100.0, 3600.0) == 3
    journal.close()
