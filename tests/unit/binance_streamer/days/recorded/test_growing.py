"""A daily file is read piece by piece while it grows, and says what is settled."""

import os
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from binance_streamer.days.recorded import growing
from binance_streamer.days.recorded.growing import GrowingFile
from binance_streamer.days.recorded.received import Recorded
from binance_streamer.days.sources import sources_of_symbol
from binance_streamer.wire.frames import Topic
from tests.support.sealing import DAY_MS, trade, write

BEGIN_NS = DAY_MS * 10**6
TOPIC = Topic("trade", "BTCUSDT", "")


def opened(
    data: Path, last: dict[int, int] | None = None, *, piece_bytes: int = 10**6, from_ns: int = 0
) -> GrowingFile:
    """The only file of trades."""
    (source,) = sources_of_symbol(data, "BTCUSDT")
    numbers = {TOPIC: {} if last is None else last}
    return GrowingFile(source, from_ns, numbers.__getitem__, piece_bytes=piece_bytes)


def taken(file: GrowingFile) -> list[int]:
    """The numbers of all messages that can be read now."""
    file.fill()
    found = []
    while file.head is not None:
        found.append(file.head.seq)
        file.advance()
    return found


@pytest.mark.parametrize("piece_bytes", [10, 200, 10**6])
def test_whole_rows_come_once_however_small_the_pieces(tmp_path: Path, piece_bytes: int) -> None:
    path = write(tmp_path, map(trade, range(1, 30)))
    with path.open("a", encoding="utf-8") as file:
        file.write(trade(30)[:20])
    found = opened(tmp_path, piece_bytes=piece_bytes)
    found.look(None)
    assert taken(found) == list(range(1, 30))
    with path.open("a", encoding="utf-8") as file:
        file.write(trade(30)[20:] + "\n")
    assert taken(found) == []
    found.look(None)
    assert taken(found) == [30]


def test_what_has_gone_out_is_passed_over_without_making_messages_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, map(trade, range(1, 200)))
    last: dict[int, int] = {}
    found = opened(tmp_path, last, piece_bytes=1000)
    found.look(None)
    found.fill()
    found.park()
    last[77] = 195
    made: list[int] = []

    def count(rows: pa.Table, *_: str) -> Iterator[Recorded]:
        made.append(len(rows))
        return iter(())

    monkeypatch.setattr(growing, "messages_of", count)
    found.look(None)
    found.fill()
    assert sum(made) == 4


def test_a_row_is_settled_when_a_commit_began_behind_the_last_change_of_its_file(tmp_path: Path) -> None:
    path = write(tmp_path, [trade(1)])
    os.utime(path, ns=(5_000, 5_000))
    found = opened(tmp_path)
    found.look(5_000)
    found.fill()
    assert not found.is_settled
    write(tmp_path, [trade(2)])
    os.utime(path, ns=(8_000, 8_000))
    found.look(7_000)  # behind the first row, not behind the second
    assert found.is_settled
    found.advance()
    assert found.head is not None
    assert not found.is_settled
    found.look(9_000)
    assert found.is_settled


def test_the_rows_in_front_of_the_beginning_are_known_by_their_last_numbers(tmp_path: Path) -> None:
    write(tmp_path, [trade(1, epoch=5), trade(2, epoch=5), trade(3), trade(4), trade(5)])
    found = opened(tmp_path, from_ns=BEGIN_NS + 4 * 10**6)
    found.look(None)
    assert taken(found) == [4, 5]
    assert found.skipped == {5: 2, 77: 3}


def test_a_clock_that_is_set_back_behind_the_beginning_costs_no_row(tmp_path: Path) -> None:
    write(tmp_path, [trade(1), trade(5), trade(2).replace(",77,2,", ",77,6,")])
    found = opened(tmp_path, from_ns=BEGIN_NS + 4 * 10**6)
    found.look(None)
    assert taken(found) == [5, 6]


def test_a_file_that_is_gone_says_so(tmp_path: Path) -> None:
    path = write(tmp_path, [trade(1)])
    found = opened(tmp_path)
    path.unlink()
    with pytest.raises(FileNotFoundError):
        found.look(None)
