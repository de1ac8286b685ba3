"""A recorded market, recorded, sealed and replayed: the same messages, and the golden books in the real service."""

import gzip
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from binance_streamer.client.books import BookClient, NoAnswerError
from binance_streamer.client.tap import Tap
from binance_streamer.config import schema as configuration
from binance_streamer.days.lake import Lake
from binance_streamer.days.parquet import Place
from binance_streamer.days.seal import Part, seal
from binance_streamer.days.sources import sources
from binance_streamer.wire.books import BookView
from tests.support.books import GoldenBook
from tests.support.configs import write_config
from tests.support.data import Captured, captured, golden, market_data
from tests.support.processes import Program, command_line, service
from tests.support.recorded_market import record, record_snapshots
from tests.support.sealing import begun
from tests.support.waiting import eventually

OWN = Path(__file__).parent / "own"
FOLDERS = ["own", "usdm-4sym-20210722", "usdm-btceth-20240808"]


@pytest.fixture(scope="module", params=FOLDERS)
def market(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """A capture, the folder of its `golden.json`, and the daily files recorded of it."""
    place = tmp_path_factory.mktemp("recorded")
    folder = OWN if request.param == "own" else market_data(request.param)
    capture = folder / "capture.gz"
    if folder == OWN:
        capture = place / "own.gz"
        capture.write_bytes(gzip.compress((OWN / "messages.txt").read_bytes()))
    data = place / "data"
    record(capture, data)
    record_snapshots(capture, data)
    return capture, folder, data


def sealed(data: Path, root: Path) -> Lake:
    lake = begun(root)
    for one in sources(data):
        seal([Part(one.path, one.path.stat().st_size)], Place(one.stem, one.symbol, one.day), lake)
    return lake


def sent(capture: Path) -> Iterator[Captured]:
    """Return the messages of a capture that are recorded."""
    for message in captured(capture):
        if not message.name.startswith(("!", "/fapi/v1/exchangeInfo")):
            yield message


def replaying(place: Path, *arguments: str | Path) -> Program:
    return command_line("replay", *arguments, output=place / "replay.out")


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("form", ["csv", "sealed"])
def test_a_subscriber_gets_every_message_as_it_was_received(
    market: tuple[Path, Path, Path], form: str, tmp_path: Path
) -> None:
    capture, _, data = market
    place = data if form == "csv" else Path(sealed(data, tmp_path / "lake").uri)
    endpoint = f"ipc://{tmp_path}/bus"
    expected: dict[str, list[tuple[int, bytes]]] = {}
    for message in sent(capture):
        event = message.event.replace(b", ", b",")
        expected.setdefault(message.name, []).append((message.recv_ns, event))
    found: dict[str, list[tuple[int, bytes]]] = {}
    seqs: dict[Any, list[int]] = {}
    with (
        Tap(endpoint) as tap,
        replaying(tmp_path, place, "--speed", "max", "--bind", endpoint) as program,
    ):
        before_ns = 0
        for _ in range(sum(map(len, expected.values()))):
            tapped = tap.receive(300)
            assert tapped is not None, program.text()
            topic, _, data_of = tapped
            assert data_of["recv_ns"] >= before_ns
            before_ns = data_of["recv_ns"]
            name = data_of["stream"]
            found.setdefault(name, []).append((data_of["recv_ns"], data_of["event"]))
            seqs.setdefault(topic, []).append(data_of["seq"])
            assert data_of["producer"] == "replay"
            assert data_of["source"] == ("rest" if name.startswith("/") else "ws")
        assert program.wait(300) == 0, program.text()
    assert sorted(found) == sorted(expected)
    for name, messages in expected.items():
        assert found[name] == sorted(messages, key=lambda one: one[0]), name
    assert all(numbers == list(range(1, len(numbers) + 1)) for numbers in seqs.values())


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("form", ["csv", "sealed"])
def test_an_order_book_service_rebuilds_the_golden_books(
    market: tuple[Path, Path, Path], form: str, tmp_path: Path
) -> None:
    capture, folder, data = market
    books = golden(folder)["books"]
    if not books:
        pytest.skip("no golden books in this recording")
    place = data if form == "csv" else Path(sealed(data, tmp_path / "lake").uri)
    endpoint = f"ipc://{tmp_path}/bus"
    speeds = {message.name.partition("@")[2] for message in sent(capture) if "@depth" in message.name}
    path = write_config(
        tmp_path,
        {symbol: sorted(speeds) for symbol in books},
        {},
        endpoints={"bus_subscribe": endpoint},
        orderbook={"enabled": True},
    )
    config = configuration.load(path)
    with (
        service("orderbook", path, output=tmp_path / "orderbook.out") as keeper,
        BookClient(config.endpoints.orderbook_query) as client,
    ):
        eventually(lambda: _answers(client, next(iter(books))), what="the service answers")
        with replaying(tmp_path, place, "--speed", "max", "--bind", endpoint, "--streams", "depth,snapshot") as program:
            for symbol, expected in books.items():
                view = eventually(
                    lambda symbol=symbol, expected=expected: _whole(client, symbol, expected["updates_applied"]),  # type: ignore[misc]
                    300,
                    what=f"the book of {symbol}: {program.text()} {keeper.text()}",
                )
                sides = ([(Decimal(p), Decimal(q)) for p, q in side] for side in (view.bids, view.asks))
                assert GoldenBook(0, *sides).final_book == expected["final_book"], symbol
                assert (len(view.bids), len(view.asks)) == (expected["bid_levels"], expected["ask_levels"])
                assert view.resyncs == 0
            assert program.wait(300) == 0, program.text()


def _answers(client: BookClient, symbol: str) -> bool:
    try:
        client.ask(symbol, 1)
    except NoAnswerError:
        return False
    return True


def _whole(client: BookClient, symbol: str, updates: int) -> BookView | None:
    view = client.ask(symbol, None, timeout_s=60)
    return view if view.valid and view.updates == updates else None
