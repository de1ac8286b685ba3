"""The journal of another process is read as it is, while that one may go on writing; nothing of it is changed."""

from pathlib import Path

from services.runtime.delivery.events import EventFrames
from services.runtime.gaps.last_rows import LastRow
from services.runtime.journal.foreign import ForeignJournal
from services.runtime.journal.journal import Journal

NAME = "btcusdt@bookTicker"
FRAMES = EventFrames(("bookticker", "BTCUSDT", NAME), 1, producer="ingest-a-0", epoch=1)


def event(number: int) -> bytes:
    return b'{"e":"bookTicker","u":%d,"E":%d,"s":"BTCUSDT"}' % (number, number)


def frame(number: int) -> bytes:
    return FRAMES.encode(number, [number * 10**9], [event(number)])[0]


def test_it_tells_where_streams_stand_and_what_came_last_while_its_owner_goes_on(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "ingest-a-0", 1, max_bytes=1 << 20, segment_bytes=300)
    for number in range(1, 6):
        journal.append([frame(number)], {NAME: LastRow("bookticker", "BTCUSDT", number - 1, 0, number - 1)})
    found = ForeignJournal(tmp_path)
    assert found.last_rows == {NAME: LastRow("bookticker", "BTCUSDT", 5, 5, 5 * 10**9, (), event(5))}
    assert found.recorded_events([NAME], 4 * 10**9) == {NAME: [(4 * 10**9, event(4)), (5 * 10**9, event(5))]}
    found.sync()
    journal.append([frame(6)], {})
    journal.close()
    assert ForeignJournal(tmp_path).last_rows[NAME].last_id == 6


def test_a_torn_tail_is_left_to_its_owner(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "ingest-a-0", 1, max_bytes=1 << 20)
    journal.append([frame(1)], {})
    journal.close()
    (segment,) = tmp_path.glob("*.journal")
    torn = segment.read_bytes() + b"half of a record"
    segment.write_bytes(torn)
    assert ForeignJournal(tmp_path).last_rows[NAME].last_id == 1
    assert segment.read_bytes() == torn


def test_one_that_has_been_deleted_has_no_rows(tmp_path: Path) -> None:
    gone = ForeignJournal(tmp_path / "gone")
    gone.sync()
    assert (gone.last_rows, gone.recorded_events([], 0)) == ({}, {})
