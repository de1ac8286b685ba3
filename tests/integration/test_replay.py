"""Recorded days that are played again by processes: to a second recorder, and to whoever is slow or impatient."""

import gzip
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from binance_streamer.client.tap import Tap, Tapped
from tests.support.configs import write_config
from tests.support.processes import Program, command_line
from tests.support.recorded import recorded_rows
from tests.support.recorded_days import DAY, SYMBOL, DayWriter
from tests.support.recorded_market import record, record_snapshots
from tests.support.waiting import eventually

OWN = Path(__file__).parent.parent / "golden" / "own" / "messages.txt"
OF_RECORDER = {"recv_ns", "epoch", "seq", "requested_ns"}
STREAMS = {
    "aggTrade": "aggtrade",
    "bookTicker": "bookticker",
    "depth@0ms": "depth",
    "kline_1m": "kline_1m",
}


@pytest.fixture
def data(place: Path) -> Path:
    """The recording of two symbols, one of them with letters of another script."""
    capture = place / "own.gz"
    capture.write_bytes(gzip.compress(OWN.read_bytes()))
    found = place / "recorded"
    record(capture, found)
    record_snapshots(capture, found)
    return found


@contextmanager
def serving(place: Path, *arguments: str | Path) -> Iterator[tuple[Program, int]]:
    """The days as an exchange, and its port."""
    with command_line("replay", *arguments, "--as-exchange", output=place / "exchange.out") as program:

        def port() -> int | None:
            assert program.exit_code is None, program.text()
            found = re.search(r"ws://127\.0\.0\.1:(\d+)", program.text())
            return int(found[1]) if found else None

        yield program, eventually(port, what="the replay serves")


def rows(data: Path, symbol: str, stem: str) -> list[dict[str, str]]:
    """All rows without what is the recorder's own, in one order."""
    found = [
        {name: cell for name, cell in row.items() if name not in OF_RECORDER}
        for row in recorded_rows(data, symbol, stem)
    ]
    return sorted(found, key=lambda row: sorted(row.items()))


def take_to_rest(data: Path, first: int, last: int) -> None:
    """Make of some aggTrades of BTCUSDT (the rows from `first` to `last`) what a recorder had repaired by REST."""
    (path,) = (data / "BTCUSDT").glob("aggtrade_*.csv")
    lines = path.read_text(encoding="utf-8").splitlines()
    for number in range(first, last):
        cells = lines[number].split(",")
        cells[7] = ""  # event_time: REST does not say it
        cells[-2:] = ["rest", ""]
        lines[number] = ",".join(cells)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


@pytest.mark.timeout(900)
def test_a_second_recorder_records_the_same_rows_of_the_replayed_exchange(place: Path, data: Path) -> None:
    take_to_rest(data, 8, 11)
    symbols = sorted(path.name for path in data.iterdir() if path.is_dir())
    names = ["BTCUSDT", "币安人生USDT"]
    with serving(place, data, "--speed", "1") as (exchange, port):
        urls = {"websocket_url": f"ws://127.0.0.1:{port}", "rest_url": f"http://127.0.0.1:{port}"}
        config = write_config(place, dict.fromkeys(names, tuple(STREAMS)), urls, orderbook={"enabled": True})
        with command_line("up", "-c", config, output=place / "up.out") as recorder:

            def is_played() -> bool:
                assert recorder.exit_code is None, recorder.text()
                return "have been played" in exchange.text()

            eventually(is_played, 300, what="all is played")

            def is_complete() -> bool:
                assert recorder.exit_code is None, recorder.text()
                return all(
                    len(recorded_rows(place / "data", name, stem)) >= len(recorded_rows(data, name, stem))
                    for name in names
                    for stem in (*STREAMS.values(), "snapshot")
                )

            eventually(is_complete, 120, what=f"all rows are there: {recorder.text()}")
            recorder.send(signal.SIGTERM)
            assert recorder.wait(120) in (0, 1), recorder.text()
    assert len(symbols) == len(names)
    for name in names:
        for stem in STREAMS.values():
            assert rows(place / "data", name, stem) == rows(data, name, stem), (name, stem)
        assert rows(place / "data", name, "snapshot")[0] in rows(data, name, "snapshot")
    repaired = [
        row["agg_trade_id"] for row in recorded_rows(place / "data", "BTCUSDT", "aggtrade") if row["source"] == "rest"
    ]
    assert len(repaired) == 3


def test_our_own_messages_are_replayed_too_and_symbols_are_merged(place: Path) -> None:
    DayWriter().write(place / "data")
    endpoint = f"ipc://{place}/bus"
    config = write_config(place, {SYMBOL: ["aggTrade"]}, {})
    arguments = ("replay", DAY, "-c", config, "--speed", "max", "--bind", endpoint, "--streams", "gap,orderbook")
    with Tap(endpoint) as tap, command_line(*arguments, output=place / "replay.out") as program:
        taken: list[Tapped] = []
        while (message := tap.receive(1)) is not None or program.exit_code is None:
            taken += [message] if message is not None else []
        assert program.wait(60) == 0, program.text()
    gaps = [data for topic, _, data in taken if topic.stream_type == "gap"]
    assert sorted(gap["gap_id"] for gap in gaps) == ["g-1", "g-2", "g-3"]
    (first,) = (gap for gap in gaps if gap["gap_id"] == "g-1")
    assert (first["from_id"], first["to_id"], first["missing"], first["stream"]) == (1100, 1103, 3, "btcusdt@aggTrade")
    (book, *_) = (data for topic, _, data in taken if topic == ("orderbook", SYMBOL, "summary"))
    assert book["synchronised"] is True
    assert book["bids"][0] == [book["best_bid"], book["bids"][0][1]]
    assert [data["recv_ns"] for _, _, data in taken] == sorted(data["recv_ns"] for _, _, data in taken)


def test_a_span_of_one_stream_at_the_recorded_distances(place: Path) -> None:
    """Ten seconds of recorded time at ten times the speed take about a second, never less."""
    DayWriter().write(place / "data")
    endpoint = f"ipc://{place}/bus"
    config = write_config(place, {SYMBOL: ["aggTrade"]}, {})
    arguments = ("replay", "-c", config, "--speed", "10", "--bind", endpoint, "--streams", "markPrice@1s")
    span = ("--from", "2026-11-22T00:01:00", "--to", "2026-11-22T00:01:10")
    with Tap(endpoint) as tap, command_line(*arguments, *span, output=place / "replay.out") as program:
        found = [tap.receive(120) for _ in range(10)]
        assert program.wait(60) == 0, program.text()
    assert [message.data["recv_ns"] for message in found if message] == [
        1_795_305_660_005_000_000 + number * 1_000_000_000 for number in range(10)
    ]
    assert "replayed 10 messages" in program.text()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_and_leaves_nothing(place: Path, number: signal.Signals, code: int) -> None:
    DayWriter().write(place / "data")
    config = write_config(place, {SYMBOL: ["aggTrade"]}, {})
    scratch = place / "tmp"
    scratch.mkdir()
    with command_line(
        "replay", "-c", config, output=place / "replay.out", environment={"TMPDIR": str(scratch)}
    ) as program:
        eventually(lambda: "bus at ipc://" in program.text(), what="it waits for a subscriber")
        assert list(scratch.iterdir()) != []
        program.send(number)
        assert program.wait(60) == code, program.text()
    assert "Traceback" not in program.text()
    assert list(scratch.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["20200101"], "no recorded files of 20200101"),
        (["nowhere"], "nowhere is not there"),
        (["--bind", "ipc:///a", "--connect", "ipc:///b"], "exclude one another"),
        (["--port", "1"], "means nothing without --as-exchange"),
        (["--speed", "0"], "a number above 0, or max"),
        (["--from", "yesterday"], "2026-11-22T13:00"),
    ],
)
def test_a_wrong_command_line_is_one_clear_line(place: Path, arguments: list[str], says: str) -> None:
    DayWriter().write(place / "data")
    config = write_config(place, {SYMBOL: ["aggTrade"]}, {})
    with command_line("replay", *arguments, "-c", config, output=place / "replay.out") as program:
        assert program.wait(60) != 0
    assert says in program.text().replace("\n", " ")
    assert "Traceback" not in program.text()
