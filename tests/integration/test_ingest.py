"""A real worker against the simulator: its journal, taken together, is the tape."""

import json
import signal
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import zmq

from binance_streamer.config import schema as configuration
from binance_streamer.config.symbols import encode_name
from binance_streamer.wire.frames import decode_frame, encode_frame
from services.runtime.journal.records import JournalRecord, scan
from tests.support.configs import write_config
from tests.support.processes import Program, Simulator, service
from tests.support.recorded import recorded_rows
from tests.support.tape import read_tape
from tests.support.waiting import eventually

SUFFIXES = ("aggTrade", "depth@0ms", "kline_1m", "markPrice@1s", "bookTicker")
AGG_TRADE = "btcusdt@aggTrade"
DEPTH = "btcusdt@depth@0ms"
ID_KEYS = {AGG_TRADE: "a", DEPTH: "u"}


class Recording:
    """A simulator, a configuration, and workers that may be killed and started again."""

    def __init__(
        self,
        directory: Path,
        *,
        symbol: str,
        suffixes: tuple[str, ...],
        rate: int,
        before: tuple[str, ...],
        network: dict[str, Any],
    ) -> None:
        self.directory = directory
        self.symbol = symbol
        self._stack = ExitStack()
        self._frames: dict[Path, list[tuple[str, dict[str, Any]]]] = defaultdict(list)
        self._scanned: dict[Path, int] = defaultdict(int)
        arguments = ["--symbols", symbol, "--rate", str(rate)]
        self.simulator = self._stack.enter_context(Simulator(directory, *arguments))
        self.config = write_config(directory, {symbol: suffixes}, {**self.simulator.urls, "connections": 1, **network})
        for command in before:
            self.simulator.command(command)
        self.worker = self.start()

    def start(self) -> Program:
        self.worker = self._stack.enter_context(
            service("ingest", self.config, "--symbol", self.symbol, output=self.directory / "ingest.out")
        )
        return self.worker

    def journalled(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """All frames, of all runs; each is decoded once, or a slow machine would never come to the end of a journal."""
        journal = self.directory / "journal" / encode_name(f"ingest-{self.symbol}")
        for path in sorted(journal.glob("*.journal")):
            frames = self._frames[path]
            for record in scan(path.read_bytes(), self._scanned[path]):
                if isinstance(record, JournalRecord):
                    self._scanned[path] = record.end
                    frames += [] if record.is_head else [decode_frame(record.payload)]
            yield from frames

    def rows(self) -> dict[str, list[bytes]]:
        found: dict[str, list[bytes]] = defaultdict(list)
        for stream_type, data in self.journalled():
            if stream_type not in ("gap", "raw"):
                found[data["stream"]].append(data["event"])
        return found

    def gaps(self) -> list[dict[str, Any]]:
        """The last word on each gap, repaired ones left out."""
        last = {data["gap_id"]: data for stream_type, data in self.journalled() if stream_type == "gap"}
        return [gap for gap in last.values() if gap["state"] != "repaired"]

    def count(self, stream: str) -> int:
        return len(self.rows()[stream])

    def has_grown(self, stream: str, by: int = 200) -> None:
        """Wait for so many more rows."""
        wanted = self.count(stream) + by
        eventually(lambda: self.count(stream) >= wanted, what=f"{by} more rows of {stream}")

    def finish(self) -> dict[str, list[bytes]]:
        """Stop the market, then the worker; returns what the tape says was sent, per stream."""
        self.simulator.command("pause")
        sent: dict[str, list[bytes]] = defaultdict(list)
        last: dict[str, bytes] = {}
        for message in read_tape(self.simulator.tape):
            sent[message.stream].append(message.event)
            if message.copies:
                last[message.stream] = message.event

        def is_settled() -> bool:
            rows = self.rows()
            return all(event in rows[stream] for stream, event in last.items())

        eventually(is_settled, what="the journal has what was sent last", every_s=0.3)
        assert self.worker.stop() == 0
        self.simulator.command("quit")
        self.simulator.wait()
        return sent

    def close(self) -> None:
        self._stack.close()


@pytest.fixture
def record(place: Path) -> Iterator[Callable[..., Recording]]:
    recordings = []

    def start(
        symbol: str = "BTCUSDT",
        suffixes: tuple[str, ...] = SUFFIXES,
        rate: int = 600,
        before: tuple[str, ...] = (),
        **network: Any,
    ) -> Recording:
        recording = Recording(place, symbol=symbol, suffixes=suffixes, rate=rate, before=before, network=network)
        recordings.append(recording)
        return recording

    yield start
    for recording in recordings:
        recording.close()


def ids(stream: str, events: list[bytes]) -> list[int]:
    return [json.loads(event)[ID_KEYS[stream]] for event in events]


def assert_rows_and_gaps_are_the_tape(recording: Recording, sent: dict[str, list[bytes]]) -> None:
    """Id for id, from the first one on, which another connection may have brought late; nothing twice or in both."""
    rows, gaps = recording.rows(), recording.gaps()
    for stream in ID_KEYS:
        recorded = ids(stream, rows[stream])
        assert len(set(recorded)) == len(recorded), f"{stream}: a row twice"
        expected = {one for one in ids(stream, sent[stream]) if one >= min(recorded)}
        missing = {
            one
            for one in expected
            if any(gap["stream"] == stream and gap["from_id"] < one <= gap["to_id"] for gap in gaps)
        }
        assert not missing & set(recorded), f"{stream}: a row in a gap"
        assert missing | set(recorded) == expected, stream


def test_without_a_fault_every_stream_is_the_tape_in_its_order_without_a_gap(
    record: Callable[..., Recording],
) -> None:
    recording = record()
    recording.has_grown(DEPTH, 500)
    recording.has_grown("btcusdt@markPrice@1s", 1)
    sent = recording.finish()
    rows = recording.rows()
    assert set(rows) == {f"btcusdt@{suffix}" for suffix in SUFFIXES}
    for stream, events in rows.items():
        assert events == sent[stream], stream
    assert recording.gaps() == []


def test_a_worker_holds_less_than_40_megabytes(record: Callable[..., Recording]) -> None:
    recording = record(rate=3000)
    recording.has_grown(DEPTH, 3000)
    pages = int(Path(f"/proc/{recording.worker.pid}/statm").read_text(encoding="ascii").split()[1])
    assert pages * 4096 < 40_000_000


def test_what_one_connection_loses_is_a_gap_with_its_exact_bounds(record: Callable[..., Recording]) -> None:
    recording = record()
    recording.has_grown(DEPTH)
    for command in (
        f"drop 5 {DEPTH}",
        f"drop 3 {AGG_TRADE}",
        f"reorder 6 {DEPTH}",
        f"double 4 {AGG_TRADE}",
        "close fin",
    ):
        recording.simulator.command(command)
        recording.has_grown(DEPTH, 100)
        recording.has_grown(AGG_TRADE, 20)
    recording.has_grown("btcusdt@markPrice@1s", 2)
    sent = recording.finish()
    assert_rows_and_gaps_are_the_tape(recording, sent)
    gaps = recording.gaps()
    assert {gap["reason"] for gap in gaps if gap["stream"] == DEPTH} == {"sequence", "disconnected"}
    for stream in ("btcusdt@markPrice@1s", "btcusdt@bookTicker"):
        (gap,) = [gap for gap in gaps if gap["stream"] == stream]
        assert (gap["reason"], gap["from_id"], gap["to_id"]) == ("disconnected", None, None)
        assert gap["from_ns"] < gap["to_ns"]


def test_what_one_of_two_connections_loses_is_no_gap(record: Callable[..., Recording]) -> None:
    recording = record(connections=2)
    recording.has_grown(DEPTH)
    eventually(lambda: json.loads(recording.simulator.command("stats"))["connections"] == 4)
    for command in (
        f"drop 5 {DEPTH} on 1",
        f"drop 5 {AGG_TRADE} on 2",
        f"close rst {DEPTH} on 1",
        f"close fin {AGG_TRADE} on 2",
        "shutdown-event",
    ):
        recording.simulator.command(command)
        recording.has_grown(DEPTH, 500)
        eventually(lambda: json.loads(recording.simulator.command("stats"))["connections"] == 4)
    sent = recording.finish()
    assert recording.gaps() == []
    rows = recording.rows()
    for stream in ID_KEYS:
        since_first = sent[stream][sent[stream].index(rows[stream][0]) :]
        before = sent[stream][
            : -len(since_first)
        ]  # what the slower connection brings of it is recorded behind the first
        assert [row for row in rows[stream] if row not in before] == since_first, stream
    for stream in ("btcusdt@markPrice@1s", "btcusdt@bookTicker"):
        assert sorted(rows[stream]) == sorted(sent[stream]), stream


def test_a_planned_replacement_loses_nothing_and_writes_no_gap(record: Callable[..., Recording]) -> None:
    recording = record(connection_lifetime=2)
    recording.has_grown(DEPTH)
    eventually(lambda: recording.simulator.stats()["attempts"] >= 8, 60)
    sent = recording.finish()
    assert recording.gaps() == []
    rows = recording.rows()
    for stream in (AGG_TRADE, DEPTH, "btcusdt@markPrice@1s", "btcusdt@bookTicker"):
        assert sorted(rows[stream]) == sorted(sent[stream]), stream


def test_a_killed_worker_repeats_no_row_and_lists_what_it_missed(record: Callable[..., Recording]) -> None:
    recording = record(connections=2)
    for _ in range(3):
        recording.has_grown(DEPTH)
        recording.worker.kill()
        recording.start()
    recording.has_grown(DEPTH)
    recording.has_grown("btcusdt@markPrice@1s", 1)
    sent = recording.finish()
    assert_rows_and_gaps_are_the_tape(recording, sent)
    assert {gap["reason"] for gap in recording.gaps()} == {"restart"}
    for events in recording.rows().values():
        assert len(set(events)) == len(events)


def test_nasty_messages_are_recorded_raw_and_cost_nothing_else(record: Callable[..., Recording]) -> None:
    recording = record()
    recording.has_grown(DEPTH)
    for command in (
        f"garbage {DEPTH}",
        f"truncated {DEPTH}",
        f"nested {DEPTH} 100000",
        f"unknown-event {DEPTH}",
        f"huge-integer {DEPTH}",
        f"wrong-symbol {AGG_TRADE}",
        f"unknown-field {AGG_TRADE} 3",
        f"missing-field {AGG_TRADE} a 1",
        f"fragment 5 {DEPTH}",
        f"huge {DEPTH}",
        f"masked {DEPTH}",
        f"rsv {DEPTH}",
    ):
        recording.simulator.command(command)
        recording.has_grown(DEPTH, 60)
        recording.has_grown(AGG_TRADE, 20)
    sent = recording.finish()
    assert_rows_and_gaps_are_the_tape(recording, sent)
    assert {"oversize", "frame error"} <= {gap["reason"] for gap in recording.gaps() if gap["stream"] == DEPTH}
    assert len([data for stream_type, data in recording.journalled() if stream_type == "raw"]) >= 7


@pytest.mark.slow  # a successor may take half a minute to prove itself
def test_a_stream_that_falls_silent_gets_a_new_connection_and_a_gap(record: Callable[..., Recording]) -> None:
    recording = record(stale_timeout=2)
    recording.has_grown("btcusdt@bookTicker", 20)
    recording.simulator.command("silent btcusdt@bookTicker on 1")
    eventually(lambda: recording.simulator.stats()["attempts"] == 3, 90)
    eventually(lambda: recording.simulator.stats()["connections"] == 3)
    eventually(lambda: recording.simulator.stats()["connections"] == 2, 90)
    recording.has_grown("btcusdt@bookTicker", 10)
    sent = recording.finish()
    assert_rows_and_gaps_are_the_tape(recording, sent)
    assert {(gap["stream"], gap["reason"]) for gap in recording.gaps()} == {("btcusdt@bookTicker", "stall")}


def test_a_depth_stream_that_never_delivers_falls_back_to_100ms(record: Callable[..., Recording]) -> None:
    recording = record(suffixes=("aggTrade", "depth@0ms"), before=(f"silent {DEPTH}",), stale_timeout=1)
    eventually(lambda: recording.count("btcusdt@depth@100ms") > 10, 90)
    assert recording.worker.stop() == 0


def test_symbols_outside_ascii_are_recorded(record: Callable[..., Recording]) -> None:
    recording = record(symbol="币安人生USDT", suffixes=("aggTrade", "depth@0ms"))
    eventually(lambda: recording.count("币安人生usdt@depth@0ms") > 100)
    assert recording.worker.stop() == 0


@contextmanager
def bus(directory: Path) -> Iterator[tuple["zmq.Socket[bytes]", "zmq.Socket[bytes]"]]:
    """What is published, and where to publish to subscribers."""
    (directory / "run").mkdir(mode=0o700, exist_ok=True)
    with zmq.Context() as context, context.socket(zmq.SUB) as published, context.socket(zmq.PUB) as subscribers:
        published.setsockopt(zmq.SUBSCRIBE, b"")
        published.setsockopt(zmq.RCVTIMEO, 60_000)
        for one in (published, subscribers):
            one.setsockopt(zmq.LINGER, 0)
        published.bind(f"ipc://{directory}/run/bus.publish")
        subscribers.bind(f"ipc://{directory}/run/bus.subscribe")
        yield published, subscribers


def next_of(published: "zmq.Socket[bytes]", topic: bytes) -> dict[str, Any]:
    while True:
        name, frame = published.recv_multipart()
        if name == topic:
            return decode_frame(frame)[1]


def test_a_refusing_exchange_sees_no_more_attempts_than_the_budget(
    place: Path, record: Callable[..., Recording]
) -> None:
    with bus(place) as (published, _):
        recording = record(connect_attempts=6, reconnect_delay=0.05, reconnect_delay_max=0.1)
        recording.has_grown(DEPTH)
        recording.simulator.command("reject 403 600")
        recording.simulator.command("close fin")
        while not next_of(published, b"status.ingest-BTCUSDT.")["attempts_exhausted"]:
            pass
        recording.worker.kill()
        pid = recording.start().pid
        while (status := next_of(published, b"status.ingest-BTCUSDT."))["pid"] != pid:
            pass
        while not status["attempts_exhausted"]:
            status = next_of(published, b"status.ingest-BTCUSDT.")
        assert recording.simulator.stats()["attempts"] == 6


def test_a_snapshot_is_asked_for_until_one_that_helps_is_on_the_bus(
    place: Path, record: Callable[..., Recording]
) -> None:
    with bus(place) as (published, subscribers):
        recording = record(snapshot_retry=0.3)
        first = next_of(published, b"request.BTCUSDT.")
        again = next_of(published, b"request.BTCUSDT.")
        assert first["stream"] == "depth_snapshot"
        assert first["reason"] == "connected"
        assert again["last_update_id"] == first["last_update_id"]
        assert again["seq"] == first["seq"] + 1

        def answered(last_update_id: int) -> int | None:
            body = b'{"lastUpdateId":%d,"bids":[],"asks":[]}' % last_update_id
            names = {"symbol": "BTCUSDT", "stream": "/fapi/v1/depth", "producer": "rest", "source": "rest"}
            data = {**names, "recv_ns": 1, "epoch": 1, "seq": 1, "event": body}
            subscribers.send_multipart([b"depth_snapshot.BTCUSDT.", encode_frame("depth_snapshot", data)])
            wanted: int | None = next_of(published, b"status.ingest-BTCUSDT.")["snapshots_wanted"].get("BTCUSDT")
            return wanted

        assert answered(first["last_update_id"] - 1) == first["last_update_id"]
        eventually(lambda: answered(first["last_update_id"]) is None)
        recording.simulator.command(f"drop 2 {DEPTH}")
        assert next_of(published, b"request.BTCUSDT.")["reason"] == "sequence"


def test_status_says_how_each_stream_and_connection_is(place: Path, record: Callable[..., Recording]) -> None:
    with bus(place) as (published, _):
        recording = record(connections=2)
        recording.has_grown(DEPTH)
        status: dict[str, Any] = {}

        def is_known() -> bool:
            status.update(next_of(published, b"status.ingest-BTCUSDT."))
            links = status["connections"]
            return len(links) == 4 and all(link["state"] == "delivering" for link in links)

        eventually(is_known, 60)
        depth = status["streams"][DEPTH]
        assert depth["state"] == "live"
        assert depth["gaps"] == 0
        assert depth["rate"] > 0
        assert depth["messages"] == depth["rows"] + depth["repeats"]
        assert isinstance(depth["last_id"], int)
        assert abs(depth["latency_ms"]) < 60_000
        assert status["journal"]["appended"] > 0
        shares = [link["first_arrivals"] for link in status["connections"] if link["route"] == "public"]
        assert 0.9 < sum(shares) < 1.1


def test_a_worker_takes_the_word_of_rest_for_whether_its_symbol_trades(
    place: Path, record: Callable[..., Recording]
) -> None:
    with bus(place) as (published, subscribers):
        record(suffixes=("aggTrade",))

        def is_trading_after(status: str) -> bool:
            data = {"symbol": "BTCUSDT", "stream": "symbol_status", "producer": "rest", "source": "local", "recv_ns": 1,
                    "epoch": 1, "seq": 1, "status": status}  # fmt: skip
            subscribers.send_multipart([b"symbol_status.BTCUSDT.", encode_frame("symbol_status", data)])
            not_trading: list[str] = next_of(published, b"status.ingest-BTCUSDT.")["not_trading"]
            return "BTCUSDT" not in not_trading

        eventually(lambda: not is_trading_after("SETTLING"))
        eventually(lambda: is_trading_after("TRADING"))


def test_a_journal_without_a_worker_is_drained_to_the_writer(place: Path, record: Callable[..., Recording]) -> None:
    recording = record(suffixes=("aggTrade",))
    recording.has_grown(AGG_TRADE, 50)
    recording.worker.kill()
    expected = [json.loads(event)["a"] for event in recording.rows()[AGG_TRADE]]
    with (
        service("writer", recording.config, output=place / "writer.out") as writer,
        service("ingest", recording.config, "--symbol", "BTCUSDT", "--drain", output=place / "drain.out") as drain,
    ):
        assert drain.wait() == 0
        assert writer.stop() == 0
    rows = recorded_rows(place / "data", "BTCUSDT", "aggtrade")
    assert [int(row["agg_trade_id"]) for row in rows] == expected


def test_a_drained_journal_is_kept_where_its_symbol_was_added_again(
    place: Path, record: Callable[..., Recording]
) -> None:
    recording = record(suffixes=("aggTrade",))
    recording.has_grown(AGG_TRADE, 50)
    recording.worker.kill()
    journal = configuration.load(recording.config).journal_of("ingest-BTCUSDT")
    drain = ("--symbol", "BTCUSDT", "--drain", "--forget")
    with service("writer", recording.config, output=place / "writer.out") as writer:
        with service("ingest", recording.config, *drain, output=place / "kept.out") as kept:
            assert kept.wait() == 0
            assert "not forgotten" in kept.text()
        assert list(journal.glob("*.journal"))
        recording.config.write_text(recording.config.read_text().replace("BTCUSDT", "ETHUSDT"))
        with service("ingest", recording.config, *drain, output=place / "forgotten.out") as forgotten:
            assert forgotten.wait() == 0
        assert not list(journal.glob("*.journal"))
        assert writer.stop() == 0


def test_a_removed_symbol_leaves_no_gap_open(place: Path, record: Callable[..., Recording]) -> None:
    """Nobody asks for what is missing of it any more: the drain that deletes its journal says so."""
    recording = record(suffixes=("aggTrade",))
    recording.has_grown(AGG_TRADE, 50)
    recording.worker.kill()
    recording.start()
    recording.has_grown(AGG_TRADE, 50)
    recording.worker.kill()
    (missed,) = recording.gaps()
    assert missed["state"] == "open"
    recording.config.write_text(recording.config.read_text().replace("BTCUSDT", "ETHUSDT"))
    drain = ("--symbol", "BTCUSDT", "--drain", "--forget")
    with service("writer", recording.config, output=place / "writer.out") as writer:
        with service("ingest", recording.config, *drain, output=place / "forgotten.out") as forgotten:
            assert forgotten.wait() == 0
        assert writer.stop() == 0
    *_, last = recorded_rows(place / "data", "BTCUSDT", "gap")
    assert (last["gap_id"], last["state"]) == (missed["gap_id"], "unrepairable")
    assert (int(last["from_id"]), int(last["to_id"])) == (missed["from_id"], missed["to_id"])
    assert json.loads(last["extra"]) == {"why": "the stream is not recorded any more"}


@pytest.mark.parametrize("symbol", ["btcusdt", "../x", "A.B", ""])
def test_a_bad_symbol_is_a_configuration_error(place: Path, symbol: str) -> None:
    config = write_config(place, {"BTCUSDT": ["aggTrade"]}, {})
    with service("ingest", config, "--symbol", symbol, output=place / "out") as worker:
        assert worker.wait() == 78
        assert "--symbol" in worker.text()


def test_without_an_exchange_a_worker_stays_and_obeys(place: Path) -> None:
    config = write_config(place, {"BTCUSDT": ["aggTrade"]}, {"websocket_url": "ws://127.0.0.1:9"})
    with service("ingest", config, "--symbol", "BTCUSDT", output=place / "out") as worker:
        eventually(lambda: worker.text().count("\n") >= 2, what="started, and could not connect")
        assert worker.exit_code is None
        worker.send(signal.SIGINT)
        assert worker.wait() == 0
