"""The journal: nothing that was appended is lost, nothing that was not appended appears."""

import errno
import os
import shutil
import tracemalloc
from pathlib import Path

import pytest

from binance_streamer.wire.frames import Position
from services.runtime.gaps.last_rows import LastRow
from services.runtime.journal import segments
from services.runtime.journal.journal import Journal, JournalFullError
from services.runtime.journal.reader import Chunk, Cursor

ROW = LastRow("aggtrade", "BTCUSDT", 41, 1000, 2000)


def opened(directory: Path, epoch: int = 1, *, segment_bytes: int = 200, max_bytes: int = 1 << 20) -> Journal:
    return Journal(directory, "ingest-BTCUSDT", epoch, max_bytes=max_bytes, segment_bytes=segment_bytes)


def filled(directory: Path, count: int, *, epoch: int = 1) -> Journal:
    journal = opened(directory, epoch)
    for number in range(count):
        journal.append([f"{epoch}:frame{number:03d}".encode()], {})
    return journal


def everything(journal: Journal, cursor: Cursor | None = None, *, max_bytes: int = 100) -> list[Chunk]:
    chunks: list[Chunk] = []
    cursor = cursor or journal.oldest()
    while (chunk := journal.read(cursor, max_bytes=max_bytes)) is not None:
        chunks.append(chunk)
        cursor = chunk.behind
    return chunks


def frames_of(chunks: list[Chunk]) -> bytes:
    return b"".join(chunk.batch.frames for chunk in chunks)


def test_frames_are_read_back_in_order_over_segments_and_runs(tmp_path: Path) -> None:
    filled(tmp_path, 20).close()
    journal = filled(tmp_path, 20, epoch=2)
    expected = [f"1:frame{n:03d}" for n in range(20)] + [f"2:frame{n:03d}" for n in range(20)]
    assert frames_of(everything(journal)).decode() == "".join(expected)
    assert len(list(tmp_path.glob("*.journal"))) > 4
    journal.close()


def test_each_batch_names_the_record_before_it(tmp_path: Path) -> None:
    filled(tmp_path, 5).close()
    journal = filled(tmp_path, 5, epoch=2)
    chunks = everything(journal, max_bytes=1)
    assert [chunk.batch.after for chunk in chunks] == [
        None,
        *(Position(1, n) for n in range(5)),
        *(Position(2, n) for n in range(4)),
    ]
    assert [(chunk.batch.epoch, chunk.batch.first) for chunk in chunks] == [(e, n) for e in (1, 2) for n in range(5)]
    journal.close()


def test_a_batch_never_spans_epochs(tmp_path: Path) -> None:
    filled(tmp_path, 2).close()
    journal = filled(tmp_path, 2, epoch=2)
    assert [chunk.batch.epoch for chunk in everything(journal, max_bytes=1 << 20)] == [1, 2]
    journal.close()


def test_a_position_is_found_again(tmp_path: Path) -> None:
    filled(tmp_path, 30).close()
    journal = filled(tmp_path, 30, epoch=2)
    for epoch in (1, 2):
        for position in (0, 1, 7, 29):
            cursor = journal.behind(Position(epoch, position))
            assert cursor is not None
            chunk = journal.read(cursor, max_frames=1)
            assert chunk is not None
            assert (chunk.batch.epoch, chunk.batch.first) == (epoch, position)
    behind_first_run = journal.behind(Position(1, 30))
    assert behind_first_run is not None
    chunk = journal.read(behind_first_run, max_frames=1)
    assert chunk is not None
    assert (chunk.batch.epoch, chunk.batch.first, chunk.batch.after) == (2, 0, Position(1, 29))
    assert journal.behind(Position(3, 0)) is None
    journal.close()


def test_a_tail_torn_at_any_byte_is_cut_and_costs_only_the_torn_record(tmp_path: Path) -> None:
    whole = filled(tmp_path / "whole", 3)
    whole.close()
    (path,) = (tmp_path / "whole").glob("*.journal")
    content = path.read_bytes()
    sizes = []
    for cut in range(len(content)):
        directory = tmp_path / str(cut)
        directory.mkdir()
        (directory / path.name).write_bytes(content[:cut])
        journal = opened(directory, 2)
        kept = sum(file.stat().st_size for file in directory.glob("*.journal"))
        assert kept + journal.torn_bytes == cut
        sizes.append(len(everything(journal, max_bytes=1)))
        journal.append([b"after"], {})
        assert frames_of(everything(journal)).endswith(b"after")
        journal.close()
    assert sorted(sizes) == sizes
    assert sizes[0] == 0
    assert sizes[-1] == 2


def test_a_damaged_record_in_the_middle_costs_only_itself(tmp_path: Path) -> None:
    journal = filled(tmp_path, 9)
    journal.close()
    path = sorted(tmp_path.glob("*.journal"))[1]
    content = bytearray(path.read_bytes())
    content[content.index(b"frame004")] ^= 1
    path.write_bytes(content)
    journal = opened(tmp_path, 2)
    chunks = everything(journal, max_bytes=1)
    assert [chunk.batch.first for chunk in chunks] == [0, 1, 2, 3, 5, 6, 7, 8]
    assert chunks[4].batch.after == Position(1, 3)
    assert journal.damaged_bytes > 0
    journal.close()


def test_the_last_rows_are_known_after_a_restart(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    journal.append([b"x" * 100], {})
    journal.append([b"y" * 100], {"btcusdt@aggTrade": ROW})
    journal.close()
    again = opened(tmp_path, 2)
    assert again.last_rows == {"btcusdt@aggTrade": ROW}
    again.close()


def test_a_segment_may_begin_with_rows_of_another_journal_and_nothing_behind_them(tmp_path: Path) -> None:
    journal = filled(tmp_path, 5)
    journal.begin_segment({"btcusdt@aggTrade": ROW})
    assert segments.rows_in(tmp_path) == {"btcusdt@aggTrade": ROW}
    journal.append([b"behind"], {})
    assert frames_of(everything(journal)) == b"".join(b"1:frame%03d" % n for n in range(5)) + b"behind"
    journal.close()
    again = opened(tmp_path, 2)
    assert again.last_rows == {"btcusdt@aggTrade": ROW}
    assert frames_of(everything(again)).endswith(b"1:frame004behind")
    again.close()


def test_an_unreadable_head_falls_back_to_an_older_one(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    for _ in range(3):
        journal.append([b"z" * 150], {"s": ROW})
    journal.close()
    newest = sorted(tmp_path.glob("*.journal"))[-1]
    content = bytearray(newest.read_bytes())
    content[30] ^= 1
    newest.write_bytes(content)
    again = opened(tmp_path, 2)
    assert again.last_rows == {"s": ROW}
    again.close()


def test_acknowledged_segments_go_after_the_retention_time_but_never_the_newest(tmp_path: Path) -> None:
    journal = filled(tmp_path, 30)
    before = len(list(tmp_path.glob("*.journal")))
    journal.acknowledge(Position(1, 30), 100.0)
    assert journal.trim(100.0, 60.0) == 0
    assert journal.trim(161.0, 60.0) == before - 1
    assert len(list(tmp_path.glob("*.journal"))) == 1
    oldest = journal.read(journal.oldest(), max_frames=1)
    assert oldest is not None
    assert oldest.batch.after is None
    journal.close()


def test_a_segment_that_was_the_newest_when_it_became_durable_goes_too(tmp_path: Path) -> None:
    journal = filled(tmp_path, 3)
    assert len(list(tmp_path.glob("*.journal"))) == 1
    journal.acknowledge(Position(1, 3), 100.0)
    journal.append([b"x" * 190], {})
    assert len(list(tmp_path.glob("*.journal"))) == 2
    assert journal.trim(161.0, 60.0) == 1
    journal.close()


def test_what_is_not_acknowledged_is_never_trimmed(tmp_path: Path) -> None:
    journal = filled(tmp_path, 30)
    journal.acknowledge(Position(1, 12), 0.0)
    journal.trim(1e9, 0.0)
    first = journal.read(journal.oldest(), max_frames=1)
    assert first is not None
    assert 0 < first.batch.first <= 12
    journal.close()


def test_a_word_about_an_unknown_epoch_trims_nothing(tmp_path: Path) -> None:
    journal = filled(tmp_path, 30)
    journal.acknowledge(Position(99, 30), 0.0)
    assert journal.trim(1e9, 0.0) == 0
    journal.close()


def test_a_full_journal_takes_nothing_and_goes_on_when_there_is_room(tmp_path: Path) -> None:
    journal = opened(tmp_path, max_bytes=500)
    for _ in range(5):
        journal.append([b"n" * 40], {})
    kept = frames_of(everything(journal))
    position = journal.next_position
    with pytest.raises(JournalFullError):
        journal.append([b"m" * 200], {})
    assert frames_of(everything(journal)) == kept
    journal.acknowledge(Position(1, position), 0.0)
    journal.append([b"o" * 200], {})
    assert frames_of(everything(journal)).endswith(b"o" * 200)
    assert journal.next_position == position + 1
    journal.close()


def test_a_write_that_stops_half_way_leaves_no_half_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = filled(tmp_path, 2)
    before = frames_of(everything(journal))
    real_write = os.write

    def disk_that_fills_up(descriptor: int, content: bytes | memoryview) -> int:
        if len(content) <= 20:
            raise OSError(errno.ENOSPC, "no space")
        return real_write(descriptor, content[: len(content) // 2])

    monkeypatch.setattr(os, "write", disk_that_fills_up)
    for _ in range(2):  # into the open segment, and into one that has to be created
        with pytest.raises(JournalFullError):
            journal.append([b"x" * 60], {})
        with pytest.raises(JournalFullError):
            journal.append([b"x" * 300], {})
    monkeypatch.undo()
    journal.append([b"good"], {})
    assert frames_of(everything(journal)) == before + b"good"
    journal.close()
    again = opened(tmp_path, 2)
    assert again.torn_bytes == 0
    assert frames_of(everything(again)) == before + b"good"
    again.close()


def test_an_error_of_the_disk_is_not_taken_for_a_full_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = filled(tmp_path, 2)

    def broken_disk(descriptor: int, content: bytes | memoryview) -> int:
        raise OSError(errno.EIO, "input/output error")

    monkeypatch.setattr(os, "write", broken_disk)
    with pytest.raises(OSError, match="input/output error"):
        journal.append([b"x"], {})
    monkeypatch.undo()
    journal.close()


def test_frames_larger_than_a_batch_travel_alone(tmp_path: Path) -> None:
    journal = opened(tmp_path, segment_bytes=1 << 23, max_bytes=1 << 30)
    large = os.urandom(3 * 1024 * 1024)
    journal.append([b"small", large, b"small"], {})
    chunks = everything(journal, max_bytes=256 * 1024)
    assert [chunk.batch.frames for chunk in chunks] == [b"small", large, b"small"]
    assert journal.damaged_bytes == 0
    journal.close()


def test_a_reader_that_is_behind_finds_its_way_back_into_memory(tmp_path: Path) -> None:
    """What memory holds is not read from the disk, wherever a reader comes from: here the disk has lost it."""
    journal = opened(tmp_path, segment_bytes=1 << 23, max_bytes=1 << 30)
    frames = [b"%04d" % number + os.urandom(996) for number in range(3000)]
    for first in range(0, 3000, 30):
        journal.append(frames[first : first + 30], {})
    (segment,) = tmp_path.glob("*.journal")
    with segment.open("r+b") as file:
        file.seek(-512 * 1024, os.SEEK_END)
        file.write(bytes(512 * 1024))
    assert frames_of(everything(journal, max_bytes=100_000)) == b"".join(frames)
    assert journal.damaged_bytes == 0
    journal.close()


def test_finding_an_acknowledged_position_reads_little_of_a_large_segment(tmp_path: Path) -> None:
    """At the beginning of a new segment, and far from the end of one: the writer says a word every few seconds."""
    journal = opened(tmp_path, segment_bytes=8 << 20, max_bytes=1 << 30)
    for number in range(9000):
        journal.append([b"%04d" % number + b"x" * 996], {})
    assert len(list(tmp_path.glob("*.journal"))) == 2
    second = next(
        number for number in range(9000) if (journal.behind(Position(1, number)) or Cursor(0, 0, None))[0] == 2
    )
    tracemalloc.start()
    for position in (10, second, 8999):
        found = journal.behind(Position(1, position))
        assert found is not None
        assert found.previous == Position(1, position - 1)
        chunk = journal.read(found, max_frames=1)
        assert chunk is not None
        assert chunk.batch.frames[:4] == b"%04d" % position
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()
    journal.close()


@pytest.mark.parametrize("fsync", [True, False])
def test_descriptors_do_not_become_more_with_the_segments(tmp_path: Path, fsync: bool) -> None:
    journal = Journal(tmp_path, "ingest-BTCUSDT", 1, max_bytes=1 << 20, segment_bytes=200)
    journal.fsync = fsync
    counts = []
    for number in range(20):
        journal.append([b"%d" % number * 150], {})
        if fsync:
            journal.sync()
        counts.append(sum(1 for _ in Path("/proc/self/fd").iterdir()))
    assert counts[-1] <= counts[1]
    assert len(everything(journal)) == 20
    journal.close()


def test_a_journal_whose_folder_is_deleted_goes_on_in_a_new_one(tmp_path: Path) -> None:
    directory = tmp_path / "journal"
    journal = filled(directory, 20)
    shutil.rmtree(directory)
    for number in range(20, 40):
        journal.append([f"1:frame{number:03d}".encode()], {})
    journal.close()
    kept = frames_of(everything(opened(directory, 2))).decode()
    assert kept.endswith("".join(f"1:frame{number:03d}" for number in range(30, 40)))


def test_a_newest_segment_that_is_deleted_takes_nothing_more(tmp_path: Path) -> None:
    journal = opened(tmp_path, segment_bytes=1 << 20)
    journal.append([b"before"], {})
    for path in tmp_path.glob("*.journal"):
        path.unlink()
    journal.trim(0, 0)
    journal.append([b"after"], {})
    journal.close()
    assert frames_of(everything(opened(tmp_path, 2))) == b"after"
