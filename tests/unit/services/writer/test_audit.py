"""What journals hold and the ledger does not, from real journals."""

from pathlib import Path

from services.runtime.journal.journal import Journal
from services.writer.audit import durable, leftovers, main
from services.writer.store.ledger import Ledger, LedgerEntry
from services.writer.store.recovery import LEDGER_NAME
from tests.support.configs import write_config


def journal(place: Path, producer: str, epoch: int, count: int, segment_bytes: int = 1 << 20) -> None:
    log = Journal(place / "journal" / producer, producer, epoch, max_bytes=1 << 30, segment_bytes=segment_bytes)
    for _ in range(count):
        log.append([b"frame" * 20], {})
    log.close()


def ledger(place: Path, *positions: tuple[str, int, int]) -> None:
    (place / "data").mkdir(exist_ok=True)
    opened = Ledger(place / "data" / LEDGER_NAME)
    opened.commit(LedgerEntry(positions, [], [], []))
    opened.close()


def left(place: Path) -> dict[str, int]:
    return dict(leftovers(place / "journal", durable(place / "data")))


def test_nothing_is_left_of_what_is_durable(tmp_path: Path) -> None:
    journal(tmp_path, "rest", 1, 10)
    journal(tmp_path, "rest", 2, 5)
    ledger(tmp_path, ("rest", 1, 10), ("rest", 2, 5))
    assert left(tmp_path) == {}


def test_a_producer_that_received_nothing_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "journal" / "ingest-BTCUSDT").mkdir(parents=True)
    journal(tmp_path, "rest", 1, 3)
    assert left(tmp_path) == {"rest": 3}


def test_every_run_and_producer_is_counted(tmp_path: Path) -> None:
    journal(tmp_path, "rest", 1, 10)
    journal(tmp_path, "rest", 2, 5)
    journal(tmp_path, "ingest-%E9%BE%99USDT", 3, 4)
    ledger(tmp_path, ("rest", 1, 9), ("rest", 2, 3))
    assert left(tmp_path) == {"ingest-龙USDT": 4, "rest": 3}


def test_small_segments_are_counted_as_one_journal(tmp_path: Path) -> None:
    journal(tmp_path, "rest", 1, 50, segment_bytes=1000)
    assert len(list((tmp_path / "journal/rest").glob("*.journal"))) > 5
    for position in range(51):
        ledger(tmp_path, ("rest", 1, position))
        assert left(tmp_path) == ({"rest": 50 - position} if position < 50 else {})


def test_without_a_ledger_everything_is_left(tmp_path: Path) -> None:
    journal(tmp_path, "rest", 1, 3)
    assert left(tmp_path) == {"rest": 3}


def test_the_command_ends_with_1_where_something_is_left(tmp_path: Path) -> None:
    config = write_config(tmp_path, {"BTCUSDT": ["aggTrade"]}, {})
    assert main(["-c", str(config)]) == 0
    journal(tmp_path, "rest", 1, 3)
    assert main(["-c", str(config)]) == 1
    ledger(tmp_path, ("rest", 1, 3))
    assert main(["-c", str(config)]) == 0
    assert not list((tmp_path / "data").glob("*-wal"))
