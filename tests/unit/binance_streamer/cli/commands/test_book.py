"""A book as a ladder."""

import io
import json
import threading
from pathlib import Path
from typing import Any

import msgpack
import pytest
from rich.console import Console

from binance_streamer.cli.commands.book import json_line, picture, plain
from binance_streamer.client.books import BookClient, NoAnswerError
from binance_streamer.transport.curve import Context
from binance_streamer.transport.sockets import query_router
from binance_streamer.wire.books import BookView, Query, QueryError, decode_answer, decode_query, encode_query
from binance_streamer.wire.frames import WireError

ANSWER: dict[str, Any] = {
    "symbol": "BTCUSDT", "stream": "btcusdt@depth@0ms", "recv_ns": 1_790_526_539_070_000_000, "producer": "orderbook",
    "epoch": 7, "state": "valid", "reason": "", "valid": True, "valid_since_ns": 1_790_526_500_000_000_000,
    "update_id": 11671659687966, "event_time_ms": 1790526538985, "transact_time_ms": 1790526538981,
    "depth_recv_ns": 1_790_526_539_058_000_000, "bids": [["84551.00", "2.027"], ["84550.90", "0.100"]],
    "asks": [["84551.10", "5.302"], ["84560.00", "12.000"]], "levels": [1012, 990], "trusted_levels": [2, 1],
    "updates": 77, "resyncs": 1, "audits_passed": 3, "audits_failed": 0,
}  # fmt: skip


def view(**others: object) -> BookView:
    return decode_answer(msgpack.packb({**ANSWER, **others}))


def test_an_answer_that_comes_late_is_not_the_next_question_s(place: Path) -> None:
    endpoint = f"ipc://{place}/query"
    with Context(None) as context, query_router(context, endpoint) as router, BookClient(endpoint) as client:
        with pytest.raises(NoAnswerError):
            client.ask("BTCUSDT", 5, timeout_s=0.3)

        def answer_all() -> None:
            symbol = ""
            while symbol != "ETHUSDT" and router.poll(30_000):
                asker, question = router.recv_multipart()
                symbol = decode_query(question).symbol
                router.send_multipart([asker, msgpack.packb({**ANSWER, "symbol": symbol})])

        service = threading.Thread(target=answer_all)
        service.start()
        assert client.ask("ETHUSDT", 5, timeout_s=30).symbol == "ETHUSDT"
        service.join()


def test_the_ladder_has_asks_above_bids_and_marks_what_may_not_be_complete() -> None:
    assert (
        plain(view())
        == """\
BTCUSDT  valid  update 11671659687966 of btcusdt@depth@0ms, received 12 ms ago
total    bid      price     ask   total
                84560.00?  12.000  17.302
                84551.10    5.302   5.302
2.027  2.027  84551.00
2.127  0.100  84550.90
spread 0.10, 1012 bids, 990 asks, 77 updates, 1 resyncs, audits 3 passed, 0 failed
? beyond the snapshot's levels: others may be missing between these 1""".replace(
            "\n                8", "\n              8"
        )
    )


def test_a_book_that_is_not_valid_shows_no_prices() -> None:
    invalid = view(valid=False, state="unreliable", reason="gap\x1b[2J", bids=[], asks=[], update_id=None)
    assert plain(invalid) == "BTCUSDT  NOT VALID  unreliable: gap?[2J"


def test_an_empty_side_has_no_spread() -> None:
    assert "spread -, " in plain(view(asks=[], trusted_levels=[2, 0]))


def test_a_terminal_shows_the_same() -> None:
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(picture(view()))
    shown = console.export_text()
    assert [line.split() for line in shown.splitlines()[2:4]] == [
        ["84560.00?", "12.000", "17.302"],
        ["84551.10", "5.302", "5.302"],
    ]


def test_json_keeps_the_exchanges_digits() -> None:
    shown = json.loads(json_line(view()))
    assert shown["bids"] == [["84551.00", "2.027"], ["84550.90", "0.100"]]
    assert shown == ANSWER


def test_a_question_is_read_back() -> None:
    for query in (Query("BTCUSDT", 5), Query("龙虾USDT")):
        assert decode_query(encode_query(query)) == query
    assert decode_query(msgpack.packb({"symbol": "BTCUSDT"})) == Query("BTCUSDT", None)


@pytest.mark.parametrize(
    "wrong",
    [b"", b"\xc1", b"\x90", msgpack.packb({}), msgpack.packb({"symbol": 5}),
     msgpack.packb({"symbol": "A", "depth": -1}), msgpack.packb({"symbol": "A", "depth": 1.5}), b"\x91" * 100_000],
)  # fmt: skip
def test_what_is_no_question_is_refused(wrong: bytes) -> None:
    with pytest.raises(WireError):
        decode_query(wrong)


def test_a_refusal_and_what_is_no_answer_are_errors() -> None:
    with pytest.raises(QueryError, match="no book") as raised:
        decode_answer(msgpack.packb({"error": "unknown_symbol", "message": "no book"}))
    assert raised.value.code == "unknown_symbol"
    for wrong in (b"", msgpack.packb({**ANSWER, "bids": [["1"]]}), msgpack.packb([])):
        with pytest.raises(WireError):
            decode_answer(wrong)
