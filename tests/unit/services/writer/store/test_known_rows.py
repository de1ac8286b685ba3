"""Closed bars that REST brings again, because a worker's journal is older than the files, are rows once.

Aggregates, of which the same holds, are in tests/unit/services/writer/test_recorder.py.
"""

from pathlib import Path

import pytest

from tests.support.writer_folder import FolderPeer, WriterFolder

BARS = "btcusdt@kline_1m"
FIRST_MS = 1_790_520_000_000
MINUTE_MS = 60_000


@pytest.fixture
def folder(tmp_path: Path) -> WriterFolder:
    return WriterFolder(tmp_path)


def opened_ms(number: int) -> int:
    return FIRST_MS + number * MINUTE_MS


def emit_bar(peer: FolderPeer, number: int, *, is_closed: bool = True) -> None:
    """The worker has had this bar of a connection."""
    at = opened_ms(number)
    event = (
        f'{{"e":"kline","E":{at + MINUTE_MS},"s":"BTCUSDT","k":{{"t":{at},"T":{at + MINUTE_MS - 1},"s":"BTCUSDT",'
        f'"i":"1m","f":1,"L":2,"o":"1","c":"1","h":"1","l":"1","v":"1","n":2,"x":{str(is_closed).lower()},"q":"1",'
        '"V":"1","Q":"1","B":"0"}}'
    )
    recv_ns = (at + MINUTE_MS + 200) * 1_000_000 if number < 1000 else opened_ms(2) * 1_000_000
    peer.emit("kline", "BTCUSDT", BARS, event.encode(), recv_ns=recv_ns)


def emit_fetched(peer: FolderPeer, number: int) -> None:
    """The worker has had this bar fetched from REST."""
    at = opened_ms(number)
    event = f'[{at},"1","1","1","1","1",{at + MINUTE_MS - 1},"1",2,"1","1","0"]'
    peer.emit("kline", "BTCUSDT", BARS, event.encode(), source="rest", requested_ns=1)


def recorded_bars(folder: WriterFolder) -> list[int]:
    rows = [row for row in folder.rows("kline_1m") if row["is_closed"] == "true"]
    return sorted((int(row["open_time"]) - FIRST_MS) // MINUTE_MS for row in rows)


def recorded_with_a_journal_of_two_bars(folder: WriterFolder) -> FolderPeer:
    """Durable are bars 1 to 6 but 5; the journal of the next run ends behind the second one."""
    folder.start()
    peer = folder.peer()
    for number in (1, 2):
        emit_bar(peer, number)
    peer.deliver()
    old = list(peer.journal)
    emit_bar(peer, 3)
    emit_bar(peer, 4)
    gap = {"gap_id": "g1", "state": "open", "from_id": opened_ms(4), "to_id": opened_ms(5), "from_ns": 1, "to_ns": 2}
    peer.emit("gap", "BTCUSDT", BARS, None, source="local", reason="sequence", **gap)
    peer.deliver()
    emit_bar(peer, 6, is_closed=False)
    emit_bar(peer, 6)
    emit_bar(peer, 7, is_closed=False)
    peer.deliver()
    after = folder.peer(epoch=300)
    after.journal = old
    after.cursor = len(old)
    return after


@pytest.mark.parametrize("ends", ["nothing", "writer is killed behind", "writer is killed before"])
def test_a_bar_that_is_in_the_files_is_not_recorded_again(folder: WriterFolder, ends: str) -> None:
    after = recorded_with_a_journal_of_two_bars(folder)
    if ends == "writer is killed before":
        folder.kill()
        folder.start()
    emit_bar(after, 8)
    after.deliver()
    if ends == "writer is killed behind":
        folder.kill()
        folder.start()
    for number in range(3, 8):
        emit_fetched(after, number)
    after.deliver()
    assert recorded_bars(folder) == [1, 2, 3, 4, 5, 6, 7, 8]


def test_one_with_an_odd_time_does_not_keep_out_what_comes_later(folder: WriterFolder) -> None:
    folder.start()
    peer = folder.peer()
    emit_bar(peer, 1)
    emit_bar(peer, 1_000_000)  # in two years
    peer.deliver()
    after = folder.peer(epoch=300)
    after.journal = peer.journal[:1]
    after.cursor = 1
    emit_bar(after, 4)
    for number in (2, 3):
        emit_fetched(after, number)
    after.deliver()
    assert recorded_bars(folder)[:4] == [1, 2, 3, 4]


def test_a_journal_as_new_as_the_files_has_all_bars_of_rest_recorded(folder: WriterFolder) -> None:
    folder.start()
    peer = folder.peer()
    emit_bar(peer, 1)
    emit_bar(peer, 4)
    peer.deliver()
    peer.epoch += 1000
    emit_bar(peer, 5)
    for number in (2, 3):
        emit_fetched(peer, number)
    peer.deliver()
    assert recorded_bars(folder) == [1, 2, 3, 4, 5]


def test_bars_that_a_damaged_journal_lost_are_recorded_when_rest_brings_them(folder: WriterFolder) -> None:
    """The writer lists them by time: it does not know which bars they were."""
    folder.start()
    peer = folder.peer()
    emit_bar(peer, 1)
    old = list(peer.journal)
    for number in range(2, 8):
        emit_bar(peer, number)
    del peer.journal[3:5]  # bars 4 and 5
    peer.deliver()
    assert recorded_bars(folder) == [1, 2, 3, 6, 7]
    after = folder.peer(epoch=300)
    after.journal = old
    after.cursor = 1
    emit_bar(after, 8)
    for number in range(2, 8):
        emit_fetched(after, number)
    after.deliver()
    assert set(recorded_bars(folder)) == set(range(1, 9))
