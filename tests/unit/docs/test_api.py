"""The examples of docs/api.md run, and print what they should."""

import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq

from binance_streamer.config.schema import load
from binance_streamer.wire.books import BookView, encode_view
from binance_streamer.wire.frames import encode_frame, encode_topic
from binance_streamer.wire.status_parts import StreamStatus
from binance_streamer.wire.statuses import IngestStatus, status_data
from tests.support.data import REPOSITORY
from tests.support.recorded_market import record_messages
from tests.support.writer_peer import aggregate

PAGE = (REPOSITORY / "docs" / "api.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"## ([^\n]+)\n(?:(?!\n## ).)*?```python\n(.*?)```", PAGE, flags=re.DOTALL)
PRINTED = {
    "Live messages": "BTCUSDT aggtrade 5 1.5 2\n",
    "Recorded messages, then live ones": "1 1790526539100000000 84551.07\n",
    "What a process says of itself": "{'btcusdt@aggTrade': 'live'}\n",
    "A whole order book": "('99.5', '1') ('100.5', '2')\n",
    "Messages of the exchange": ("btcusdt@aggTrade market 6 7 1790000000123\n10 12 [('99.5', '1')] [('100.5', '0')]\n"),
}
RUN = {"recv_ns": 5, "producer": "ingest-BTCUSDT", "epoch": 1, "seq": 1}
TRADE = {"symbol": "BTCUSDT", "stream": "btcusdt@aggTrade", "source": "ws", "connection": 1, **RUN}
WRITER = {"symbol": "writer", "stream": "status", "source": "local", **RUN, "producer": "writer"}
BOOK: dict[str, Any] = {
    "symbol": "BTCUSDT", "stream": "btcusdt@depth@0ms", "recv_ns": 5, "producer": "orderbook", "epoch": 1,
    "state": "valid", "reason": "", "valid": True, "valid_since_ns": 1, "update_id": 12, "event_time_ms": 3,
    "transact_time_ms": 2, "depth_recv_ns": 4, "bids": [("99.5", "1")], "asks": [("100.5", "2")], "levels": (1, 1),
    "trusted_levels": (1, 1), "updates": 1, "resyncs": 0, "audits_passed": 0, "audits_failed": 0,
}  # fmt: skip


def serve(pub: "zmq.Socket[bytes]", router: "zmq.Socket[bytes]", stop: threading.Event) -> None:
    """Publish a trade and a status again and again, and answer questions with one book."""
    status = IngestStatus(**RUN, streams={"btcusdt@aggTrade": StreamStatus(state="live")})  # type: ignore[arg-type]
    trade = encode_frame("aggtrade", {**TRADE, "event": b'{"p":"1.5","q":"2"}'})
    while not stop.wait(0.01):
        pub.send_multipart([encode_topic("aggtrade", "BTCUSDT"), trade])
        pub.send_multipart([encode_topic("status", "ingest-BTCUSDT"), encode_frame("status", status_data(status))])
        durable = encode_frame("status", {**WRITER, "durable_ns": time.time_ns()})
        pub.send_multipart([encode_topic("status", "writer"), durable])
        if router.poll(0):
            sender, _ = router.recv_multipart()
            router.send_multipart([sender, encode_view(BookView(**BOOK))])


@pytest.fixture
def recorder(place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A bus and an order book service at the endpoints of `config/streamer.yaml`, in whose folder the example runs."""
    (place / "config").mkdir()
    (place / "var" / "run").mkdir(mode=0o700, parents=True)
    path = place / "config" / "streamer.yaml"
    path.write_text("mode: production\nmodes: {production: {symbols: [{symbol: BTCUSDT}]}}\n")
    config = load(path)
    endpoints = config.endpoints
    record_messages(
        [(1_790_526_539_100_000_000, "btcusdt@aggTrade", aggregate(7))], Path(config.storage.output_directory)
    )
    monkeypatch.chdir(place)
    stop = threading.Event()
    with zmq.Context() as context, context.socket(zmq.PUB) as pub, context.socket(zmq.ROUTER) as router:
        pub.bind(endpoints.bus_subscribe)
        router.bind(endpoints.orderbook_query)
        thread = threading.Thread(target=serve, args=(pub, router, stop))
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


@pytest.mark.timeout(120)  # a tap is iterated over for ever
@pytest.mark.usefixtures("recorder")
@pytest.mark.parametrize(("title", "example"), EXAMPLES, ids=[title for title, _ in EXAMPLES])
def test_an_example_prints_what_it_should(title: str, example: str, capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(example, f"docs/api.md, {title}", "exec"), {})
    assert capsys.readouterr().out == PRINTED[title]


def test_every_example_is_run() -> None:
    assert {title for title, _ in EXAMPLES} == PRINTED.keys()
    assert PAGE.count("```python") == len(EXAMPLES)
