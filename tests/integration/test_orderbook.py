"""The order book service as a process: killed, cut off and lied to, it shows the true book or says that it does not."""

import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import msgpack
import pytest
import yaml
import zmq

from binance_streamer.client.books import BookClient
from binance_streamer.client.tap import Tap
from binance_streamer.config import schema as configuration
from binance_streamer.transport import sockets
from binance_streamer.wire.books import QueryError
from tests.chaos.pipeline import PATIENCE_S, Pipeline
from tests.support.processes import Program, command_line
from tests.support.recorded import recorded_rows
from tests.support.summaries import recorded_tops, wrong_numbers, wrong_tops
from tests.support.true_books import TrueBook, true_books
from tests.support.waiting import eventually

LEVELS = 5
SHARE = {"enabled": False, "levels": LEVELS, "output_interval": 0.2}


class Books(Pipeline):
    """A pipeline with the order book service, and everything that it said."""

    def __init__(
        self,
        place: Path,
        *,
        rate: float,
        streams: tuple[str, ...] = ("depth@0ms",),
        symbols: tuple[str, ...] = ("BTCUSDT", "ETHUSDT"),
        group_workers: int = 0,
        **orderbook: Any,
    ) -> None:
        super().__init__(
            place,
            "--seed",
            "5",
            rate=rate,
            symbols=symbols,
            streams=streams,
            group_workers=group_workers,
            group_settings={"depth_snapshot": True},
            orderbook={"levels": LEVELS, "publish_interval": 0.01, "output_interval": 0.2, **orderbook},
            network={"exchange_info_interval": 1},
        )
        self.said: list[dict[str, Any]] = []
        """Live tops."""
        self.summaries: list[dict[str, Any]] = []
        self.audits: list[dict[str, Any]] = []
        self.waited_ms: list[float] = []
        """From the snapshot that was asked for to the valid book."""
        self._snapshot_ns: dict[str, int] = {}
        self._tap: Tap | None = None

    def start_all(self) -> None:
        """Everything but books that are valid."""
        self.start()
        self.wait_connected()
        topics = ["orderbook.", "audit.", "depth_snapshot."]
        self._tap = Tap(self.config.endpoints.bus_subscribe, topics)
        self.start("orderbook")

    def hear(self, timeout_s: float = 0.2) -> None:
        """Take what has been said."""
        assert self._tap is not None
        while (message := self._tap.receive(timeout_s)) is not None:
            timeout_s = 0
            topic, stream_type, data = message
            if stream_type == "audit":
                self.audits.append(data)
            elif stream_type == "depth_snapshot":
                self._snapshot_ns[data["symbol"]] = data["recv_ns"]
            elif topic.variant == "summary":
                self.summaries.append(data)
            else:
                self.said.append(data)

    def heard_audits(self, number: int) -> bool:
        """Return True if so many audits have been published."""
        self.hear()
        return len(self.audits) >= number

    def wait_tops(self, number: int) -> None:
        """Until so many valid tops have been said."""

        def are_said() -> bool:
            self.hear()
            return len([said for said in self.said if said["valid"]]) >= number

        eventually(are_said, PATIENCE_S, what=f"{number} tops")

    def wait_valid(self, since_ns: int) -> None:
        """Until every book has been said to be valid, in a message made after this."""

        def all_valid() -> bool:
            self.hear()
            new = {said["symbol"]: said for said in self.said if said["recv_ns"] >= since_ns}
            return len(new) == len(self.symbols) and all(said["valid"] for said in new.values())

        eventually(all_valid, PATIENCE_S, what="every book is valid", every_s=0)

    def wait_after(self, kill_ns: int) -> None:
        """As `wait_valid`, of a service that was started after this; notes how long it took behind its snapshots."""
        self.wait_valid(kill_ns)
        for symbol in self.symbols:
            first = next(
                said for said in self.said if said["symbol"] == symbol and said["valid"] and said["recv_ns"] >= kill_ns
            )
            self.waited_ms.append((first["valid_since_ns"] - self._snapshot_ns[symbol]) / 1e6)

    def ask(self, symbol: str, depth: int | None) -> dict[str, Any]:
        """The service's answer."""
        dealer = sockets.query_dealer(self._context, self.config.endpoints.orderbook_query)
        try:
            dealer.send(msgpack.packb({"symbol": symbol, "depth": depth}))
            assert dealer.poll(60_000), "no answer"
            answer: dict[str, Any] = msgpack.unpackb(dealer.recv())
        finally:
            dealer.close(linger=0)
        return answer

    def stop(self) -> None:
        """The service first, like every producer."""
        self.ask_to_end("orderbook")
        assert self.programs["orderbook"].wait(PATIENCE_S) == 0
        super().stop()

    def check_all_that_was_said(self) -> int:
        """Compare every top and every summary with the true book at its id; how many were compared."""
        compared = 0
        for symbol in self.symbols:
            tops = [_top(said) for said in self.said if said["symbol"] == symbol and said["valid"]]
            tops += recorded_tops(recorded_rows(self.data, symbol, "orderbook"))
            assert wrong_tops(self.simulator.tape, symbol, tops, LEVELS) == []
            compared += len(tops)
        return compared

    def check_summaries_once(self) -> None:
        """Every summary that was published is in the files, none twice, and none in between is missing."""
        for symbol in self.symbols:
            rows = recorded_rows(self.data, symbol, "orderbook")
            assert wrong_numbers(symbol, rows) == []
            places = {(int(row["epoch"]), int(row["seq"])) for row in rows}
            assert {(one["epoch"], one["seq"]) for one in self.summaries if one["symbol"] == symbol} <= places

    def check_whole_books(self) -> None:
        """Of a market that stands still: what is answered is the whole true book."""
        for symbol in self.symbols:
            stream = f"{symbol.lower()}@depth@0ms"
            last_id = max(int(row["final_update_id"]) for row in recorded_rows(self.data, symbol, "depth"))
            answer = eventually(
                lambda s=symbol, u=last_id: (found := self.ask(s, None))["update_id"] == u and found,  # type: ignore[misc]
                PATIENCE_S,
                what=f"the book of {stream} is at its last update",
            )
            book = self._true_books(symbol, [last_id])[last_id]
            assert answer["valid"]
            assert (_pairs(answer["bids"]), _pairs(answer["asks"])) == (book.bids, book.asks)
            assert answer["levels"] == answer["trusted_levels"] == [len(book.bids), len(book.asks)]
            shallow = self.ask(symbol, 3)
            assert (_pairs(shallow["bids"]), _pairs(shallow["asks"])) == (book.bids[:3], book.asks[:3])

    def _true_books(self, symbol: str, update_ids: list[int]) -> dict[int, TrueBook]:
        stream = f"{symbol.lower()}@depth@0ms"
        return {book.update_id: book for book in true_books(self.simulator.tape, symbol, stream, update_ids)}

    def __exit__(self, *_: Any) -> None:
        if self._tap is not None:
            self._tap.close()
        super().__exit__()


@contextmanager
def books(place: Path, *, rate: float, **options: Any) -> Iterator[Books]:
    with Books(place, rate=rate, **options) as running:
        running.start_all()
        running.wait_valid(0)
        yield running


def _pairs(levels: list[list[str]]) -> list[tuple[str, str]]:
    return [(price, quantity) for price, quantity in levels]


def _top(said: dict[str, Any]) -> TrueBook:
    return TrueBook(said["update_id"], _pairs(said["bids"]), _pairs(said["asks"]))


def _killed(running: Books, names: tuple[str, ...]) -> None:
    for name in names:
        before_ns = running.kill(name)
        running.hear(0.3)
        running.restart(name, before_ns)
        if name == "orderbook":
            running.wait_after(before_ns)
        running.wait_valid(time.time_ns())


def test_killed_or_cut_off_it_says_no_wrong_top_and_every_summary_is_in_the_files(place: Path) -> None:
    with books(place, rate=600, streams=("depth@0ms", "bookTicker"), audit_interval=2) as running:
        _killed(running, ("orderbook", "bus", "ingest-BTCUSDT", "writer", "orderbook"))
        running.wait_tops(200)
        running.until(
            "orderbook",
            lambda status: min(book["tops_compared"] for book in status["books"].values()) > 10,
            "tops are compared with bookTicker",
        )
        running.settle()
        running.hear()
        running.check_whole_books()
        running.stop()
        running.check_nothing_is_left()
        assert running.check_all_that_was_said() >= 200
        running.check_summaries_once()
        assert not [audit for audit in running.audits if audit["outcome"] != "passed"]
        print("valid so many ms behind the snapshot:", [round(ms, 1) for ms in running.waited_ms])


def test_books_of_a_group_follow_its_members(place: Path) -> None:
    """One is listed and one has ended while the others are kept; a worker of the group is killed."""
    symbols = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
    with Books(place, rate=300, symbols=symbols, group_workers=2, audit_interval=1) as running:
        running.simulator.command("symbol SOLUSDT PENDING_TRADING")
        running.symbols = symbols[:2]
        running.start_all()
        running.wait_valid(0)
        assert set(running.status("orderbook")["books"]) == {"BTCUSDT", "ETHUSDT"}
        running.simulator.command("symbol SOLUSDT TRADING")
        running.symbols = symbols
        running.wait_valid(0)
        worker = next(name for name in running.ingests if "SOLUSDT" in running.symbols_of(name.removeprefix("ingest-")))
        running.restart(worker, running.kill(worker))
        running.wait_valid(time.time_ns())
        eventually(lambda: running.heard_audits(10), PATIENCE_S, what="ten audits")
        running.simulator.command("symbol ETHUSDT SETTLING")
        running.until("orderbook", lambda status: set(status["books"]) == {"BTCUSDT", "SOLUSDT"}, "one book is ended")
        running.hear()
        assert [said["valid"] for said in running.said if said["symbol"] == "ETHUSDT"][-1] is False
        running.symbols = ("BTCUSDT", "SOLUSDT")
        running.settle()
        running.hear()
        running.check_whole_books()
        running.stop()
        running.symbols = symbols
        assert running.check_all_that_was_said() > 100
        running.check_summaries_once()
        assert {audit["outcome"] for audit in running.audits} == {"passed"}
        assert all(recorded_rows(running.data, symbol, "snapshot") for symbol in symbols)


@pytest.mark.slow
def test_killed_again_and_again_under_5000_updates_a_second(place: Path) -> None:
    with books(place, rate=5000, audit_interval=5) as running:
        _killed(running, ("orderbook", "ingest-ETHUSDT", "orderbook", "bus", "orderbook", "rest", "orderbook") * 2)
        running.wait_tops(1000)
        running.settle()
        running.hear()
        running.check_whole_books()
        running.stop()
        running.check_nothing_is_left()
        assert running.check_all_that_was_said() >= 1000
        running.check_summaries_once()
        print("valid so many ms behind the snapshot:", [round(ms, 1) for ms in running.waited_ms])


def test_the_next_audit_finds_an_update_that_was_lost_without_a_trace(place: Path) -> None:
    with books(place, rate=100, audit_interval=1) as running:
        eventually(lambda: running.heard_audits(1), PATIENCE_S, what="a first audit")
        assert {audit["outcome"] for audit in running.audits} == {"passed"}
        # a hidden update may cross the book, which is noticed without an audit, or be undone by those behind it
        for _ in range(20):
            running.simulator.command("hide 2 btcusdt@depth@0ms")
            seen = len(running.audits)
            eventually(lambda n=seen: running.heard_audits(n + 5), PATIENCE_S, what="five audits")  # type: ignore[misc]
            failed = [audit for audit in running.audits if audit["outcome"] == "failed"]
            if failed:
                break
        for audit in failed:  # two, where an audit came between the two hidden updates
            assert (audit["symbol"], audit["kind"]) == ("BTCUSDT", "depth_snapshot")
            assert min(audit["different"], 50) == len(audit["differences"]) > 0
        running.wait_valid(time.time_ns())
        book = running.status("orderbook")["books"]["BTCUSDT"]
        assert (book["audits_failed"], book["valid"]) == (len(failed), True)
        assert 1 <= len(failed) <= 2
        assert book["resyncs"] >= 1
        since = len(running.audits)
        eventually(lambda: running.heard_audits(since + 3), PATIENCE_S, what="more audits")
        assert {audit["outcome"] for audit in running.audits[since:]} == {"passed"}
        running.settle()
        running.check_whole_books()
        running.stop()
        rows = recorded_rows(running.data, "BTCUSDT", "audit")
        assert [row["outcome"] for row in rows].count("failed") == len(failed)


def test_a_best_quote_finds_an_update_that_was_lost_without_a_trace(place: Path) -> None:
    with books(place, rate=200, streams=("depth@0ms", "bookTicker"), audit_interval=0) as running:
        for _ in range(50):
            running.simulator.command("hide 2 btcusdt@depth@0ms")
            running.wait_tops(len(running.said) + 100)
            failed = [audit for audit in running.audits if audit["kind"] == "bookticker"]
            if failed:
                break
        assert {(audit["symbol"], audit["outcome"]) for audit in failed} == {("BTCUSDT", "failed")}
        difference = failed[0]["differences"][0]
        assert difference[2] != difference[3]
        running.wait_valid(time.time_ns())
        running.settle()
        running.check_whole_books()
        running.stop()


class MarketOfOneTest:
    """The worker and REST of BTCUSDT at the bus: its updates and snapshots are what a test says."""

    def __init__(self, pub: "zmq.Socket[bytes]", tap: Tap) -> None:
        self._pub = pub
        self._tap = tap
        self._seqs: Counter[str] = Counter()

    def update(self, previous: int, **fields: Any) -> None:
        """Ten ids behind `previous`; without more, one without levels that happened and was sent at `previous`."""
        ids = {"U": previous + 1, "u": previous + 10, "pu": previous}
        event = {"e": "depthUpdate", "E": previous, "T": previous, "s": "BTCUSDT", "b": [], "a": [], **ids, **fields}
        self._publish("depth", "btcusdt@depth@0ms", event, "0ms")

    def snapshot(self, last_update_id: int, best: int) -> None:
        """Bids from `best` down, 1000 of them, and one ask."""
        bids = [[f"{price}.0", "1"] for price in range(best, best - 1000, -1)]
        sides = {"bids": bids, "asks": [["6000.0", "1"]]}
        self._publish("depth_snapshot", "/fapi/v1/depth", {"lastUpdateId": last_update_id, "E": 1, "T": 1, **sides})

    def requests(self) -> list[str]:
        """The reasons of the snapshots that the service has asked for since the last call."""
        found = []
        while (told := self._tap.receive(0)) is not None:
            found.append(told[2]["reason"])
        return found

    def request(self, reason: str) -> dict[str, Any]:
        """The service's next request with this reason; without the first update it would ask for nothing."""

        def asked() -> Any:
            self.update(0)  # heard when both subscriptions have come to the bus
            told = self._tap.receive(0.2)
            return told if told is not None and told[2]["reason"] == reason else None

        return eventually(asked, PATIENCE_S, what=f"a request: {reason}")[2]  # type: ignore[no-any-return]

    def _publish(self, stream_type: str, stream: str, event: dict[str, Any], variant: str = "") -> None:
        topic = f"{stream_type}.BTCUSDT.{variant}"
        self._seqs[topic] += 1
        data = {"symbol": "BTCUSDT", "stream": stream, "recv_ns": time.time_ns(), "source": "ws", "connection": 1}
        data |= {"producer": "test", "epoch": 1, "seq": self._seqs[topic], "event": json.dumps(event).encode()}
        self._pub.send_multipart([topic.encode(), msgpack.packb((stream_type, data))])


@contextmanager
def market_of_one_test(place: Path) -> Iterator[tuple[MarketOfOneTest, BookClient]]:
    """The service without a worker and without REST, and somebody to ask it."""
    with Pipeline(place, symbols=("BTCUSDT",), streams=("depth@0ms",), orderbook={"audit_interval": 0}) as running:
        running.start("bus", "orderbook")
        endpoints = running.config.endpoints
        with (
            closing(sockets.bus_pub(running._context, endpoints.bus_publish)) as pub,
            Tap(endpoints.bus_subscribe, ["request."]) as tap,
            BookClient(endpoints.orderbook_query) as client,
        ):
            yield MarketOfOneTest(pub, tap), client


def test_a_book_asks_for_a_wider_snapshot_before_its_price_leaves_the_one_that_it_has(place: Path) -> None:
    """Half of the bids of the first snapshot go, then the other half."""
    with market_of_one_test(place) as (market, client):
        market.request("starting")
        market.snapshot(5, 5000)
        eventually(lambda: client.ask("BTCUSDT", 3, timeout_s=60).valid, PATIENCE_S, what="the book is valid")
        market.update(10, b=[[f"{price}.0", "0"] for price in range(4400, 5001)])
        assert market.request("range")["last_update_id"] == 20
        market.snapshot(25, 4399)
        market.update(20)
        market.update(30, b=[[f"{price}.0", "0"] for price in range(3900, 4400)])
        eventually(lambda: client.ask("BTCUSDT", 3, timeout_s=60).update_id == 40, PATIENCE_S, what="update 40")
        answer = client.ask("BTCUSDT", None, timeout_s=60)
        assert answer.valid
        assert answer.bids[0] == ("3899.0", "1")
        assert len(answer.bids) == 500


def test_copies_that_were_sent_a_millisecond_later_leave_a_book_as_it_is(place: Path) -> None:
    """Two connections bring each update, as spot sends it; the twin is a count that does begin anew."""
    with market_of_one_test(place) as (market, client):
        market.request("starting")
        market.snapshot(5, 5000)
        eventually(lambda: client.ask("BTCUSDT", 3, timeout_s=60).valid, PATIENCE_S, what="the book is valid")
        for previous in range(10, 2010, 10):
            levels = [[f"{5000 - previous % 70}.0", str(previous)]]
            market.update(previous, b=levels)
            market.update(previous, b=levels, E=previous + 1)
            market.update(previous - 10, E=previous + 2)
        eventually(lambda: client.ask("BTCUSDT", 3, timeout_s=60).update_id == 2010, PATIENCE_S, what="update 2010")
        answer = client.ask("BTCUSDT", None, timeout_s=60)
        assert answer.valid
        assert dict(answer.bids)[f"{5000 - 2000 % 70}.0"] == "2000"
        assert "ids went back" not in market.requests()
        market.update(1000, T=9999)
        eventually(lambda: "ids went back" in market.requests(), PATIENCE_S, what="a new count is one")
        assert not client.ask("BTCUSDT", 3, timeout_s=60).valid


def test_two_shares_keep_their_books_beside_each_other(place: Path) -> None:
    """Each with a file that gives it an address of its own for questions; names, journals and rows are apart."""
    with Pipeline(place, rate=200, symbols=("BTCUSDT", "ETHUSDT"), streams=("depth@0ms",), orderbook=SHARE) as running:
        running.start()
        running.wait_connected()
        for symbol in running.symbols:
            endpoint = f"ipc://{{run}}/{symbol}.query"
            path = place / f"{symbol}.yaml"
            path.write_text(yaml.safe_dump({"base": "streamer.yaml", "endpoints": {"orderbook_query": endpoint}}))
            command: list[str | Path] = [sys.executable, "-m", "services.orderbook", "-c", path, "--symbols", symbol]
            running.programs[f"orderbook-{symbol}"] = Program(command, place / f"{symbol}.out", {})
        for symbol, other in (running.symbols, running.symbols[::-1]):
            told = running.until(f"orderbook-{symbol}", lambda status: status["valid"] == 1, "its book is valid")
            assert list(told["books"]) == [symbol]
            with BookClient(configuration.load(place / f"{symbol}.yaml").endpoints.orderbook_query) as client:
                answer = client.ask(symbol, 3, timeout_s=60)
                assert (answer.valid, answer.producer) == (True, f"orderbook-{symbol}")
                with pytest.raises(QueryError, match=f"no book of '{other}' is kept, but of {symbol}"):
                    client.ask(other, 3, timeout_s=60)
        for symbol in running.symbols:
            eventually(
                lambda s=symbol: recorded_rows(running.data, s, "orderbook"),  # type: ignore[misc]
                PATIENCE_S,
                what=f"summaries of {symbol}",
            )
            running.ask_to_end(f"orderbook-{symbol}")
            assert running.programs[f"orderbook-{symbol}"].wait(PATIENCE_S) == 0
        running.stop()
        for symbol in running.symbols:
            rows = recorded_rows(running.data, symbol, "orderbook")
            assert len({row["epoch"] for row in rows}) == 1
            assert wrong_numbers(symbol, rows) == []
            tops = recorded_tops(rows)
            assert wrong_tops(running.simulator.tape, symbol, tops, LEVELS) == []
            assert tops


def test_questions_that_cannot_be_answered_say_what_to_do(place: Path) -> None:
    with books(place, rate=50) as running:
        refused = running.ask("SOLUSDT", 5)
        assert refused["error"] == "unknown_symbol"
        assert "but of BTCUSDT, ETHUSDT" in refused["message"]
        dealer = sockets.query_dealer(running._context, running.config.endpoints.orderbook_query)
        for wrong in (b"", b"\xc1", msgpack.packb([]), msgpack.packb({"symbol": "BTCUSDT", "depth": 0})):
            dealer.send(wrong)
            assert dealer.poll(60_000)
            assert msgpack.unpackb(dealer.recv())["error"] == "bad_query"
        dealer.send_multipart([b"too", b"many", b"parts"])
        assert dealer.poll(60_000)
        assert msgpack.unpackb(dealer.recv_multipart()[-1])["error"] == "bad_query"
        dealer.close(linger=0)
        assert running.ask("BTCUSDT", 1)["valid"]

        def shown(*arguments: str, code: int) -> list[str]:
            output = place / "book.out"
            output.unlink(missing_ok=True)
            with command_line("book", *arguments, "-c", running.config_path, output=output) as program:
                assert program.wait() == code, program.text()
                return program.text().splitlines()

        ladder = shown("btcusdt", "--depth", "2", code=0)
        assert ladder[0].startswith("BTCUSDT  valid  update ")
        assert len(ladder) == 7
        assert "no book of 'SOLUSDT' is kept" in shown("SOLUSDT", code=1)[0]
        running.programs["orderbook"].kill()
        assert "does the order book service run?" in shown("BTCUSDT", code=1)[0]
