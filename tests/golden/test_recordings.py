"""Recordings of a recorded market have what was sent, digit by digit, and lead to its golden book."""

import gzip
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.support.books import GoldenBook
from tests.support.data import captured, golden, market_data
from tests.support.processes import command_line
from tests.support.recorded import levels_of, recorded_rows
from tests.support.tape import sent_events

# column → key, as docs/files.md says; written out again here so that a slip in the code is not repeated
COLUMNS = {
    "aggTrade": "agg_trade_id=a price=p quantity=q first_trade_id=f last_trade_id=l transact_time=T is_buyer_maker=m "
    "event_time=E normal_quantity=nq",
    "trade": "id=t price=p qty=q time=T is_buyer_maker=m event_time=E order_type=X",
    "depth": "first_update_id=U final_update_id=u prev_final_update_id=pu transact_time=T event_time=E bids=b asks=a",
    "bookTicker": "update_id=u best_bid_price=b best_bid_qty=B best_ask_price=a best_ask_qty=A transaction_time=T "
    "event_time=E",
    "kline": "open_time=k.t open=k.o high=k.h low=k.l close=k.c volume=k.v close_time=k.T quote_volume=k.q count=k.n "
    "taker_buy_volume=k.V taker_buy_quote_volume=k.Q ignore=k.B is_closed=k.x first_trade_id=k.f last_trade_id=k.L "
    "event_time=E",
    "markPrice": "event_time=E mark_price=p mark_price_average=ap index_price=i estimated_settle_price=P "
    "funding_rate=r next_funding_time=T",
}
IMPLIED = {"e", "s", "k.s", "k.i"}
OWN = Path(__file__).parent / "own"


def stem_of(stream: str) -> str:
    """The files that a stream is in: btcusdt@depth@100ms → depth_100ms."""
    _, _, suffix = stream.partition("@")
    return {
        "aggTrade": "aggtrade",
        "depth@0ms": "depth",
        "depth@100ms": "depth_100ms",
        "bookTicker": "bookticker",
        "markPrice@1s": "markprice",
        "kline_1m": "kline_1m",
        "trade": "trade",
    }[suffix]


def cells_of(stream: str, event: bytes) -> dict[str, str]:
    """Return the cells that the row of a message must have, straight from its JSON."""
    kind = stream.split("@")[1].split("_", maxsplit=1)[0]
    fields = flat(json.loads(event, parse_int=str, parse_float=str))
    expected = {}
    for word in COLUMNS[kind].split():
        column, key = word.split("=")
        value = fields.pop(key, "")
        expected[column] = value if isinstance(value, str) else "[" + ",".join(f"[{p},{q}]" for p, q in value) + "]"
    rest = {key: value for key, value in fields.items() if key not in IMPLIED}
    expected["extra"] = json.dumps(rest, separators=(",", ":"), ensure_ascii=False) if rest else ""
    return expected


def flat(event: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in event.items():
        if isinstance(value, dict):
            found.update({f"{key}.{inner}": scalar(item) for inner, item in value.items()})
        else:
            found[key] = scalar(value)
    return found


def scalar(value: Any) -> Any:
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else value


def recorded_cells(data: Path, symbol: str, stream: str) -> list[dict[str, str]]:
    ours = {"recv_ns", "epoch", "seq", "source"}
    found = []
    for row in recorded_rows(data, symbol, stem_of(stream)):
        extra = row["extra"]
        if extra:
            row["extra"] = json.dumps(json.loads(extra, parse_int=str), separators=(",", ":"), ensure_ascii=False)
        found.append({column: cell for column, cell in row.items() if column not in ours})
    return found


def symbol_of(stream: str) -> str:
    return "".join(c.upper() if c.isascii() else c for c in stream.partition("@")[0])


def check_recording(capture: Path, data: Path, counts: dict[str, int], books: dict[str, Any]) -> None:
    sent = sent_events(data / "tape")
    streams = [name for name in counts if not name.startswith(("REST", "!"))]
    assert sorted(sent) == sorted(streams)
    for stream in streams:
        recorded = recorded_cells(data, symbol_of(stream), stream)
        assert len(recorded) == counts[stream], stream
        assert recorded == [cells_of(stream, event) for event in sent[stream]], stream
        assert recorded_rows(data, symbol_of(stream), "gap") == []
    snapshots = {}
    for message in captured(capture):
        if message.name.startswith("/fapi/v1/depth?"):
            snapshots[json.loads(message.event)["lastUpdateId"]] = message.event
    for symbol, expected in books.items():
        check_book(data, symbol, expected, snapshots)


def check_book(data: Path, symbol: str, expected: dict[str, Any], snapshots: dict[int, bytes]) -> None:
    first = recorded_rows(data, symbol, "snapshot")[0]
    body = json.loads(snapshots[int(first["last_update_id"])], parse_float=Decimal)
    assert levels_of(first["bids"]) == [(Decimal(p), Decimal(q)) for p, q in body["bids"]]
    assert levels_of(first["asks"]) == [(Decimal(p), Decimal(q)) for p, q in body["asks"]]
    assert int(first["last_update_id"]) == expected["last_update_id"]
    book = GoldenBook(int(first["last_update_id"]), levels_of(first["bids"]), levels_of(first["asks"]))
    stem = next(s for s in ("depth", "depth_100ms") if recorded_rows(data, symbol, s))
    for row in recorded_rows(data, symbol, stem):
        book.update(int(row["final_update_id"]), levels_of(row["bids"]), levels_of(row["asks"]))
    assert book.updates_applied == expected["updates_applied"]
    assert book.final_book == expected["final_book"]
    assert book.chain_digest == expected["chain_digest"]


def record(capture: Path, directory: Path) -> Path:
    data = directory / "data"
    arguments = ("demo", "--capture", capture, "--speed", "0", "--data-dir", data)
    with command_line(*arguments, output=directory / "demo.txt") as demo:
        assert demo.wait(1000) == 0, demo.text()
    return data


@pytest.mark.timeout(1200)
def test_our_own_recording_is_recorded_again(tmp_path: Path) -> None:
    expected = golden(OWN)
    capture = tmp_path / "own.gz"
    capture.write_bytes(gzip.compress((OWN / "messages.txt").read_bytes()))
    data = record(capture, tmp_path)
    check_recording(capture, data, expected["counts"], expected["books"])


@pytest.mark.timeout(1200)  # 168 000 messages, in as much of the machine as there is
@pytest.mark.parametrize("folder", ["usdm-4sym-20210722", "usdm-btceth-20240808", "usdm-2026-wire"])
def test_recorded_markets_are_recorded_again(folder: str, tmp_path: Path) -> None:
    path = market_data(folder)
    expected = golden(path)
    data = record(path / "capture.gz", tmp_path)
    check_recording(path / "capture.gz", data, expected["counts"], expected["books"])
