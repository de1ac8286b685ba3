"""Messages off the bus, and those that are missing."""

import msgpack
import pytest

from binance_streamer.wire.frames import WireError
from services.orderbook.inbox import Inbox
from services.orderbook.silence import WorkerStatuses

TOPIC = b"depth.BTCUSDT.0ms"


def parts(seq: int, *, epoch: int = 7, topic: bytes = TOPIC, **others: object) -> list[bytes]:
    data = {"symbol": "BTCUSDT", "stream": "btcusdt@depth@0ms", "recv_ns": 5, "producer": "ingest-BTCUSDT",
            "epoch": epoch, "seq": seq, "source": "ws", "connection": 1, "event": b"{}", **others}  # fmt: skip
    return [topic, msgpack.packb(("depth", data))]


def test_missed_messages_are_counted_per_topic() -> None:
    inbox = Inbox()
    assert [inbox.read(parts(seq))[1] for seq in (3, 4, 7, 8, 8)] == [0, 0, 2, 0, 0]
    assert inbox.read(parts(20, topic=b"depth.BTCUSDT.100ms"))[1] == 0
    assert (inbox.missed, inbox.restarts) == (2, 0)


def test_a_new_epoch_is_a_restart_and_nothing_missed() -> None:
    inbox = Inbox()
    inbox.read(parts(30))
    assert inbox.read(parts(4, epoch=8))[1] == 0
    assert inbox.read(parts(5, epoch=8))[1] == 0
    assert (inbox.missed, inbox.restarts) == (0, 1)


@pytest.mark.parametrize(
    "wrong",
    [
        [TOPIC],
        [TOPIC, b""],
        [TOPIC, b"\xc1"],
        [TOPIC, msgpack.packb(("depth", {}))],
        [TOPIC, msgpack.packb(["depth"])],
        parts(1, event="text"),
        parts(1, event=None),
        parts(-1),
        parts(1, epoch=2**64 - 1),
        [TOPIC, b"\x91" * 100_000],
    ],
)
def test_what_is_no_message_is_refused(wrong: list[bytes]) -> None:
    with pytest.raises(WireError):
        Inbox().read(wrong)


def status(
    state: str, connection: str = "delivering", silent_s: float = 1.0, not_trading: tuple[str, ...] = ()
) -> bytes:
    stream = {"state": state, "silent_s": silent_s, "patience_s": 60.0}
    data = {
        "symbol": "ingest-all-0", "stream": "status", "recv_ns": 5, "producer": "ingest-all-0", "epoch": 7,
        "seq": 1, "source": "local", "streams": {"btcusdt@depth@0ms": stream}, "not_trading": not_trading,
        "connections": [{"connection": 1, "route": "public", "state": connection}] if connection else [],
    }  # fmt: skip
    packed: bytes = msgpack.packb(("status", data))
    return packed


STATUS_TOPIC = b"status.ingest-all-0."


def of_all_0() -> WorkerStatuses:
    """A group's worker has BTCUSDT."""
    workers = WorkerStatuses()
    workers.topics = {"BTCUSDT": STATUS_TOPIC}
    return workers


def fault(workers: WorkerStatuses, now_s: float) -> str:
    return workers.fault("BTCUSDT", "btcusdt@depth@0ms", 100.0, now_s)


def test_a_stream_that_was_just_heard_needs_no_word_of_its_worker() -> None:
    assert fault(WorkerStatuses(), 109.0) == ""


def test_a_silent_stream_is_believed_while_its_worker_says_that_it_is_connected() -> None:
    workers = of_all_0()
    workers.take_status(STATUS_TOPIC, status("live"), 119.0)
    assert fault(workers, 120.0) == ""
    assert "neither the stream nor its worker" in fault(workers, 130.0)
    workers.take_status(STATUS_TOPIC, status("live", connection=""), 130.0)
    assert "no connection" in fault(workers, 130.0)
    workers.take_status(STATUS_TOPIC, status("stale", silent_s=61.0), 130.0)
    assert "silent for 61 s" in fault(workers, 130.0)


def test_a_symbol_that_does_not_trade_is_silent_without_a_fault() -> None:
    workers = of_all_0()
    workers.take_status(STATUS_TOPIC, status("stale", silent_s=61.0, not_trading=("BTCUSDT",)), 130.0)
    assert fault(workers, 130.0) == ""


def test_a_worker_whose_status_cannot_be_read_is_not_believed() -> None:
    workers = of_all_0()
    workers.take_status(STATUS_TOPIC, b"\xc1", 119.0)
    assert "cannot be read" in fault(workers, 120.0)
