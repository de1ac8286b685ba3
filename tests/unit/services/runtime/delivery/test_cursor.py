"""The oldest record that waits for the writer, on a real journal."""

from pathlib import Path

from binance_streamer.wire.frames import Ack, Position, encode_frame
from services.runtime.delivery.cursor import Delivery
from services.runtime.journal.journal import Journal


def opened(directory: Path, epoch: int) -> tuple[Journal, Delivery]:
    journal = Journal(directory, "p", epoch, max_bytes=1 << 20, segment_bytes=300)
    return journal, Delivery(journal, 0.0)


def append(journal: Journal, *stamps_ns: int) -> None:
    for recv_ns in stamps_ns:
        data = {"symbol": "BTCUSDT", "stream": "x", "recv_ns": recv_ns, "producer": "p", "epoch": 1, "seq": 1}
        journal.append([encode_frame("trade", {**data, "source": "ws"})], {})


def acknowledge(delivery: Delivery, durable: Position) -> None:
    delivery.take_ack(Ack("w", durable, durable, "commit"), 0.0)


def test_the_first_record_that_is_not_durable_is_the_oldest(tmp_path: Path) -> None:
    journal, delivery = opened(tmp_path, 1)
    assert delivery.oldest_open_ns() is None
    append(journal, 1000, 1001, 1002, 1003, 1004)
    assert delivery.oldest_open_ns() == 1000
    acknowledge(delivery, Position(1, 3))
    assert delivery.oldest_open_ns() == 1003
    acknowledge(delivery, Position(1, 5))
    assert delivery.oldest_open_ns() is None
    append(journal, 2000)
    assert delivery.oldest_open_ns() == 2000
    journal.close()


def test_what_an_earlier_run_left_keeps_its_age(tmp_path: Path) -> None:
    journal, delivery = opened(tmp_path, 1)
    append(journal, 1000, 1001)
    journal.close()
    journal, delivery = opened(tmp_path, 2)
    append(journal, 5000)
    assert delivery.oldest_open_ns() == 1000
    acknowledge(delivery, Position(1, 2))
    assert delivery.oldest_open_ns() == 5000
    journal.close()


def test_damage_before_the_oldest_record_is_counted_once(tmp_path: Path) -> None:
    journal, delivery = opened(tmp_path, 1)
    append(journal, 1000, 1001, 1002)
    journal.close()
    (first, *_) = sorted(tmp_path.glob("*.journal"))
    content = bytearray(first.read_bytes())
    content[content.index(b"recv_ns")] ^= 1
    first.write_bytes(content)
    journal, delivery = opened(tmp_path, 2)
    assert delivery.oldest_open_ns() == 1001
    damaged_bytes = journal.damaged_bytes
    assert damaged_bytes > 0
    assert delivery.oldest_open_ns() == 1001
    assert journal.damaged_bytes == damaged_bytes
    journal.close()
