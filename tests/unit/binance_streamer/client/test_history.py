"""Recorded messages and then live ones, over daily files, compressed ones and sealed days; the live ones are a list."""

import fcntl
import json
import os
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from binance_streamer.client import history
from binance_streamer.client.history import History, is_live_only
from binance_streamer.client.tap import HistoryError
from binance_streamer.compression import zstd
from binance_streamer.days.schema import columns
from binance_streamer.wire.frames import Topic
from tests.support.recorded_market import RUN, record_messages
from tests.support.s3 import BUCKET, served
from tests.support.sealing import DAY, DAY_MS, begun, sealed, trade, write

TRADES = Topic("trade", "BTCUSDT", "")
EPOCH = 77
GAPS = [(5, 1, 3 * 10**6), (EPOCH, 1, 10**6), (EPOCH, 2, 2 * 10**6)]
"""Gap rows: epoch, number, and how long behind the beginning each was received."""
BEGIN_NS = DAY_MS * 10**6
FORCE_ORDER = (
    b'{"e":"forceOrder","E":1795305600200,"o":{"s":"BTCUSDT","S":"SELL","o":"LIMIT","f":"IOC","q":"0.014","p":"9910.50",'
    b'"ap":"9910.10","X":"FILLED","l":"0.014","z":"0.014","T":1795305600190}}'
)
MARK_PRICE = (
    b'{"e":"markPriceUpdate","E":1795305600000,"s":"BTCUSDT","p":"84551.10","ap":"84551.20","P":"84552.00",'
    b'"i":"84550.00","r":"0.00010000","T":1795334400000}'
)


class Live:
    """The live messages that a test has, and the history in front of them."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.recording: Path | str = place
        self.waiting: deque[tuple[tuple[Topic, str, dict[str, Any]], int]] = deque()
        self.statuses = 0
        self.opened: list[History] = []

    def add(self, *numbers: int, epoch: int = EPOCH, topic: Topic = TRADES) -> None:
        """Trades with these numbers."""
        for number in numbers:
            stamps = {"recv_ns": BEGIN_NS + number * 10**6, "epoch": epoch, "seq": number}
            data = {**stamps, "producer": "ingest-BTCUSDT", "event": b"{}"}
            self.waiting.append(((topic, topic.stream_type, data), 100))

    def commit(self, step: int = 1, *, later_s: int = 0) -> None:
        """The writer says that all is durable that was there by now, or by a later time."""
        self.statuses += step
        durable_ns = time.time_ns() + (1 + later_s) * 10**9
        status = {"producer": "writer", "epoch": 1, "seq": self.statuses, "durable_ns": durable_ns, "recv_ns": 0}
        self.waiting.append(((Topic("status", "writer", ""), "status", status), 100))

    def history(self, *topics: str, start: int = BEGIN_NS) -> History:
        found = History(topics or ["trade.BTCUSDT."], start, self.recording, self._take)
        self.opened.append(found)
        return found

    def _take(self, _: float) -> tuple[tuple[Topic, str, dict[str, Any]], int] | None:
        return self.waiting.popleft() if self.waiting else None


@pytest.fixture
def live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Live]:
    monkeypatch.setattr(history, "_LOOK_S", 0.001)
    monkeypatch.setattr(history, "_IDLE_LOOK_S", 0.001)
    (tmp_path / "data").mkdir()
    found = Live(tmp_path / "data")
    yield found
    for one in found.opened:
        one.close()


def numbers(opened: History) -> list[int]:
    """The numbers of all that comes now: each silence is a look at the files at least, however slow that is."""
    found, silences = [], 0
    while silences < 5:
        message = opened.receive(0.004)
        if message is None:
            silences += 1
        else:
            found.append(message[2]["seq"])
    return found


def configured(live: Live, root: Path) -> Live:
    """A configuration with a lake."""
    path = root / "streamer.yaml"
    path.write_text(
        "mode: production\nmodes: {production: {symbols: [{symbol: BTCUSDT}]}}\n"
        f"storage: {{output_directory: {root / 'data'}, lake: {root / 'lake'}}}\n"
    )
    live.recording = path
    return live


def live_behind_two_trades(live: Live) -> History:
    """A history that has come to the end of the files, which have two trades, and goes on live."""
    write(live.place, map(trade, range(1, 3)))
    live.commit()
    live.add(1, 2)
    opened = live.history()
    assert numbers(opened) == [1, 2]
    return opened


def test_recorded_rows_come_first_and_live_ones_follow_on_them(live: Live) -> None:
    write(live.place, map(trade, range(1, 6)))
    live.add(4, 5, 6, 7)
    live.commit()
    assert numbers(live.history()) == [1, 2, 3, 4, 5, 6, 7]


def test_live_messages_from_before_the_beginning_keep_no_recorded_row_back(live: Live) -> None:
    """Their stamps are those of a clock that has been set back since the rows were recorded."""
    write(live.place, map(trade, range(11, 13)))
    opened = live.history(start=BEGIN_NS + 10 * 10**6)
    live.commit()
    live.add(1, epoch=EPOCH + 1)
    assert numbers(opened) == [11, 12]


def test_what_is_not_yet_in_the_files_is_waited_for(live: Live) -> None:
    write(live.place, map(trade, range(1, 4)))
    live.commit()
    live.add(7, 8)
    opened = live.history()
    assert numbers(opened) == [1, 2, 3]
    write(live.place, map(trade, [4, 5]))
    assert numbers(opened) == [4, 5]
    write(live.place, map(trade, [6]))
    live.add(9)
    assert numbers(opened) == [6, 7, 8, 9]


def test_a_live_hole_is_filled_from_the_files(live: Live) -> None:
    path = write(live.place, map(trade, range(1, 3)))
    live.commit()
    live.add(2, 3, 4)
    opened = live.history()
    assert numbers(opened) == [1, 2, 3, 4]
    live.add(7)
    assert numbers(opened) == []
    write(live.place, map(trade, range(3, 9)))
    assert numbers(opened) == [5, 6, 7, 8]
    path.unlink()  # no file is needed as long as nothing is missing
    live.add(8, 9)
    assert numbers(opened) == [9]


def test_a_beginning_within_the_recording_needs_no_word_of_the_writer(live: Live) -> None:
    write(live.place, map(trade, range(1, 9)))
    assert numbers(live.history(start=BEGIN_NS + 5 * 10**6)) == [5, 6, 7, 8]


def test_the_first_row_of_all_waits_until_nothing_before_it_can_come(live: Live) -> None:
    write(live.place, map(trade, range(3, 5)))
    opened = live.history()
    assert numbers(opened) == []
    live.commit()
    assert numbers(opened) == [3, 4]


def test_a_new_epoch_waits_for_the_end_of_the_one_before(live: Live) -> None:
    path = write(live.place, map(trade, range(1, 3)))
    live.commit()
    live.add(2, 3)
    opened = live.history()
    assert numbers(opened) == [1, 2, 3]
    live.add(1, 2, epoch=5)  # compared for equality only: a lower one may be younger
    assert numbers(opened) == []
    write(live.place, [trade(3), trade(4), trade(1, epoch=5)])
    os.utime(path, ns=(0, time.time_ns() + 50 * 10**9))
    assert numbers(opened) == [4]
    live.commit(later_s=100)
    assert numbers(opened) == [1, 2]


def test_rows_that_the_files_lack_for_ever_are_passed_over(live: Live) -> None:
    """The journal was full from 3 to 6; of these the bus brought the last two."""
    write(live.place, map(trade, [1, 2, 7, 8]))
    live.commit()
    live.add(5, 6, 7)
    assert numbers(live.history()) == [1, 2, 5, 6, 7, 8]


def test_messages_beyond_memory_come_from_the_files(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "_WAITING_BYTES", 10_000)
    write(live.place, map(trade, range(1, 3)))
    live.commit()
    live.add(*range(10, 30))
    opened = live.history()
    assert numbers(opened) == [1, 2]
    write(live.place, map(trade, range(3, 31)))
    live.add(30, 31)
    assert numbers(opened) == list(range(3, 32))


def test_live_messages_of_a_slow_reader_stay_where_they_are(live: Live) -> None:
    write(live.place, [trade(1)])
    live.commit()
    live.add(*range(1, 5000))
    opened = live.history()
    assert [message[2]["seq"] for _ in range(20) if (message := opened.receive(0.02))] == list(range(1, 21))
    assert len(live.waiting) > 4000


@pytest.mark.parametrize("steps", [[3], [1] * 9], ids=["a status is missed", "none is missed"])
def test_the_last_message_of_a_quiet_stream_that_was_lost_live_comes_from_the_files(
    live: Live, steps: list[int]
) -> None:
    """None is behind it: a missed status of the writer is a sign, and without one ten statuses are enough."""
    opened = live_behind_two_trades(live)
    write(live.place, [trade(3)])
    live.commit()
    assert numbers(opened) == []
    for step in steps:
        live.commit(step=step)
    assert numbers(opened) == [3]


def test_statuses_that_are_missed_all_the_time_keep_nobody_from_the_files(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They come at shorter times than those between two looks at the files."""
    monkeypatch.setattr(history, "_IDLE_LOOK_S", 0.1)
    opened = live_behind_two_trades(live)
    write(live.place, [trade(3)])
    end_s, found = time.monotonic() + 10, list[int]()
    while not found and time.monotonic() < end_s:
        live.commit(step=3)
        found = numbers(opened)
    assert found == [3]


def test_sealed_days_daily_files_and_live_messages_follow_one_another(live: Live, tmp_path: Path) -> None:
    path = write(live.place, [trade(number) for number in (2, 1, 3)])
    sealed(begun(tmp_path / "lake"), path)
    path.unlink()
    write(live.place, map(trade, range(4, 6)), day="20261123")
    live.add(5, 6)
    live.commit()
    assert numbers(configured(live, tmp_path).history()) == [1, 2, 3, 4, 5, 6]
    live.commit()
    assert numbers(live.history(start=BEGIN_NS + 3 * 10**6)) == [3, 4, 5]


def test_a_sealed_day_whose_daily_file_is_still_there_comes_once(live: Live, tmp_path: Path) -> None:
    path = write(live.place, map(trade, range(1, 4)))
    sealed(begun(tmp_path / "lake"), path)
    write(live.place, [trade(4)])
    live.commit()
    assert numbers(configured(live, tmp_path).history()) == [1, 2, 3, 4]


def test_sealed_days_in_a_bucket_come_first_too(live: Live, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sealed(begun(tmp_path / "lake"), write(tmp_path / "data", map(trade, range(1, 4))))
    live.add(3, 4)
    with served(tmp_path / "lake") as bucket:
        for name, value in bucket.environment.items():
            monkeypatch.setenv(name, value)
        live.recording = f"s3://{BUCKET}"
        assert numbers(live.history()) == [1, 2, 3, 4]


def test_a_daily_file_that_is_sealed_and_removed_goes_on_in_the_lake(
    live: Live, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("binance_streamer.days.recorded.following._PIECE_BYTES", (120, 120))
    path = write(live.place, map(trade, range(1, 40)))
    begun(tmp_path / "lake")
    live.commit()
    opened = configured(live, tmp_path).history()
    first = [message[2]["seq"] for _ in range(5) if (message := opened.receive(1))]
    sealed(begun(tmp_path / "lake"), path)
    path.unlink()
    live.add(39, 40)
    assert [*first, *numbers(opened)] == list(range(1, 41))


def test_rows_around_midnight_are_in_order_whatever_file_they_are_in(live: Live) -> None:
    """A row that REST brought later lies in its own day, and comes where it was recorded."""
    write(live.place, [trade(1), trade(2), trade(6).replace(",ws,", ",rest,")])
    write(live.place, [trade(3), trade(4), trade(5), trade(7)], day="20261123")
    live.commit()
    opened = live.history()
    assert numbers(opened) == [1, 2, 3, 4, 5, 6, 7]


def test_compressed_files_grow_frame_by_frame(live: Live) -> None:
    plain = write(live.place, map(trade, range(1, 4)))
    path = plain.with_suffix(".csv.zst")
    path.write_bytes(zstd.compress(plain.read_bytes()))
    plain.unlink()
    live.commit()
    opened = live.history()
    assert numbers(opened) == [1, 2, 3]
    frame = zstd.compress(f"{trade(4)}\n{trade(5)}\n".encode())
    with path.open("ab") as file:
        file.write(frame[:20])
    live.add(5, 6)
    assert numbers(opened) == []
    with path.open("ab") as file:
        file.write(frame[20:])
    assert numbers(opened) == [4, 5, 6]


def test_a_file_that_a_starting_writer_cut_is_read_again(live: Live) -> None:
    path = write(live.place, map(trade, range(1, 6)))
    os.utime(path, ns=(0, time.time_ns() + 10**10))  # not settled
    opened = live.history(start=BEGIN_NS + 2 * 10**6)
    assert numbers(opened) == [2, 3, 4, 5]
    text = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join(text[:4]), encoding="utf-8")
    live.add(9)
    assert numbers(opened) == []
    write(live.place, map(trade, range(4, 9)))
    assert numbers(opened) == [6, 7, 8, 9]


def test_frames_are_those_that_were_live(live: Live) -> None:
    stamps = BEGIN_NS + 10**6, BEGIN_NS + 2 * 10**6
    names = "btcusdt@forceOrder", "btcusdt@markPrice@1s"
    record_messages(zip(stamps, names, (FORCE_ORDER, MARK_PRICE), strict=True), live.place)
    live.commit()
    opened = live.history("forceorder.", "markprice.BTCUSDT.")
    assert [opened.receive(0.1), opened.receive(0.1)] == [
        (
            topic,
            topic.stream_type,
            {"symbol": "BTCUSDT", "stream": name, "recv_ns": stamp, "source": "ws", "connection": 0, "event": event,
             "producer": "ingest-BTCUSDT", "epoch": RUN.epoch, "seq": 1},
        )
        for topic, name, stamp, event in (
            (Topic("forceorder", "BTCUSDT", ""), names[0], stamps[0], FORCE_ORDER),
            (Topic("markprice", "BTCUSDT", "1s"), names[1], stamps[1], MARK_PRICE),
        )
    ]  # fmt: skip
    assert json.loads(FORCE_ORDER)["o"]["T"] == 1795305600190


def test_what_is_not_recorded_comes_as_it_comes(live: Live) -> None:
    write(live.place, [trade(1)])
    live.add(1, topic=Topic("request", "BTCUSDT", ""))
    live.add(1)
    assert live.history("").receive(0.02) == (Topic("request", "BTCUSDT", ""), "request", {
        "recv_ns": BEGIN_NS + 10**6, "epoch": EPOCH, "seq": 1, "event": b"{}", "producer": "ingest-BTCUSDT",
    })  # fmt: skip
    assert is_live_only(Topic("orderbook", "BTCUSDT", ""))
    assert not is_live_only(Topic("orderbook", "BTCUSDT", "summary"))
    assert not is_live_only(TRADES)


@pytest.mark.parametrize(
    ("topics", "start", "says"),
    [
        (["trade.ETHUSDT."], BEGIN_NS, "nothing of trade.ETHUSDT. is recorded in "),
        (["trade.BTCUSDT.", "depth.BTCUSDT."], BEGIN_NS, "nothing of depth.BTCUSDT. is recorded in "),
        (["status."], BEGIN_NS, "nothing of status. is recorded in "),
        (["trade."], 2**62, "expected a time that is over, got 4611686018427387904"),
    ],
)
def test_what_cannot_be_shown_is_an_error(live: Live, topics: list[str], start: int, says: str) -> None:
    write(live.place, [trade(1)])
    with pytest.raises(HistoryError, match=says):
        live.history(*topics, start=start)


def test_a_place_that_is_not_there_is_an_error(live: Live, tmp_path: Path) -> None:
    live.recording = tmp_path / "nowhere"
    with pytest.raises(HistoryError, match=r"no recording at .*nowhere"):
        live.history()


def test_files_that_this_user_may_not_read_are_an_error(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> None:
        raise PermissionError(13, "Permission denied", "data/BTCUSDT")

    write(live.place, [trade(1)])
    live.commit()
    opened = live.history()
    assert numbers(opened) == [1]
    monkeypatch.setattr("binance_streamer.days.recorded.growing.GrowingFile.fill", refuse)
    with pytest.raises(HistoryError, match="Permission denied: 'data/BTCUSDT'"):
        opened.receive(1)
    with pytest.raises(HistoryError, match="Permission denied: 'data/BTCUSDT'"):
        live.history()


def test_a_file_of_other_columns_is_an_error_that_names_it(live: Live) -> None:
    path = write(live.place, [trade(1)])
    path.write_text(f"number,price\n{trade(1)}\n", encoding="utf-8")
    with pytest.raises(HistoryError, match=r"trade_BTCUSDT_20261122\.csv line 1: has other columns"):
        live.history()


def test_all_epochs_are_given_where_the_writer_has_ended(live: Live) -> None:
    write(live.place, [trade(1), trade(2), trade(1, epoch=78), trade(3, epoch=78), trade(1, epoch=76)])
    (live.place / ".writer.lock").write_text(f"ended {time.time_ns() + 10**9}\n")
    assert numbers(live.history()) == [1, 2, 1, 3, 1]


def test_what_is_written_behind_the_end_of_a_writer_is_waited_for(live: Live) -> None:
    path = write(live.place, [trade(1), trade(1, epoch=78)])
    os.utime(path, ns=(0, time.time_ns() + 2 * 10**9))
    (live.place / ".writer.lock").write_text(f"ended {time.time_ns()}\n")
    assert numbers(live.history()) == []


def test_a_folder_that_no_writer_has_is_read_as_it_is_after_a_while(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(live.place, [trade(1), trade(1, epoch=78)])
    (live.place / ".writer.lock").write_text("pid 4711\n")
    assert numbers(live.history()) == []
    monkeypatch.setattr(history, "_ABANDONED_S", 0.0)
    assert numbers(live.history()) == [1, 1]
    with (live.place / ".writer.lock").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert numbers(live.history()) == []


def test_rows_name_the_worker_of_their_symbol_and_of_an_epoch_that_is_live_the_one_that_is_heard(
    live: Live, tmp_path: Path
) -> None:
    path = tmp_path / "streamer.yaml"
    path.write_text(
        "mode: production\nmodes: {production: {groups: [{name: alts, members: [BTCUSDT], workers: 1}]}}\n"
        f"storage: {{output_directory: {tmp_path / 'data'}}}\n"
    )
    live.recording = path
    write(live.place, [trade(1), trade(1, epoch=5)])
    live.add(2, epoch=5)
    live.commit()
    opened = live.history()
    producers = [message[2]["producer"] for _ in range(3) if (message := opened.receive(0.1))]
    assert producers == ["ingest-alts-0", "ingest-BTCUSDT", "ingest-BTCUSDT"]


def test_of_a_topic_of_several_producers_what_was_received_before_is_left_out(live: Live) -> None:
    """A message of the other producer has begun the topic by then."""
    path = live.place / "BTCUSDT" / f"gap_BTCUSDT_{DAY}.csv"
    path.parent.mkdir()
    fields = "open,btcusdt@trade,10,20,0,0,sequence,,10,20,10"
    rows = [f"g{epoch}-{seq},{fields},{BEGIN_NS + at},{epoch},{seq},local," for epoch, seq, at in GAPS]
    path.write_text("\n".join([",".join(columns("gap")), *rows, ""]))
    topic = Topic("gap", "BTCUSDT", "")
    live.commit()
    opened = live.history("gap.BTCUSDT.", start=BEGIN_NS + 3 * 10**6)
    assert numbers(opened) == [1]
    live.add(1, 2, 3, 4, topic=topic)
    assert numbers(opened) == []
    with path.open("a") as file:
        file.write(f"g-3,{fields},{BEGIN_NS + 3 * 10**6},{EPOCH},3,local,\n")
    live.commit()
    assert numbers(opened) == [3, 4]
