"""`demo` as a user runs it: real processes, and the tape as the truth."""

import json
import os
import re
import signal
from pathlib import Path
from urllib.parse import quote

import psutil
import pytest

from tests.support.books import GoldenBook
from tests.support.data import golden, market_data
from tests.support.processes import Program, alive, command_line
from tests.support.recorded import levels_of, recorded_rows
from tests.support.tape import ids_of, sent_events
from tests.support.waiting import eventually


def demo(place: Path, name: str, *arguments: str | Path) -> Program:
    return command_line("demo", "--data-dir", place / name, *arguments, output=place / f"{name}.out")


def family(program: Program) -> list[int]:
    """The pids of all processes below a demo."""
    return [process.pid for process in psutil.Process(program.pid).children(recursive=True)]


def wait_for_rows(program: Program) -> None:
    eventually(lambda: re.search(r" [1-9]\d* rows,", program.text()), 120, what="rows are recorded")


def assert_recorded(data: Path, symbols: list[str]) -> None:
    """The aggTrade and depth ids of the files are those of the tape, in its order."""
    sent = sent_events(data / "tape")
    for symbol in symbols:
        lower = symbol.lower()
        trades = [int(row["agg_trade_id"]) for row in recorded_rows(data, symbol, "aggtrade")]
        updates = [int(row["final_update_id"]) for row in recorded_rows(data, symbol, "depth")]
        assert trades == ids_of(sent[f"{lower}@aggTrade"], "a")
        assert updates == ids_of(sent[f"{lower}@depth@0ms"], "u")
        assert trades
        assert updates


def test_two_demos_run_at_once_and_record_everything(place: Path) -> None:
    with (
        demo(place, "one", "--symbols", "2", "--duration", "3") as one,
        demo(place, "two", "--symbols", "1", "--duration", "3", "--seed", "7") as two,
    ):
        assert one.wait(120) == 0, one.text()
        assert two.wait(120) == 0, two.text()

    assert_recorded(place / "one", ["BTCUSDT", "ETHUSDT"])
    assert_recorded(place / "two", ["BTCUSDT"])
    assert not (place / "two" / "ETHUSDT").exists()
    lines = [line for line in one.text().splitlines() if "backlog" in line]
    assert lines
    assert re.fullmatch(
        r" +\d+ s  \d+ messages, \d+/s, \d+ rows, 0 gaps, latency \S+ ms, backlog \S+ k?B, writer recording", lines[-1]
    )
    assert "everything that was sent is in the files" in one.text()
    assert str(place / "one") in one.text()


def test_ctrl_c_ends_a_demo_with_all_rows_in_the_files(place: Path) -> None:
    with demo(place, "out", "--symbols", "1", "--rate", "6000") as running:
        wait_for_rows(running)
        pids = family(running)
        os.killpg(running.pid, signal.SIGINT)  # as a terminal does: to the whole foreground group
        assert running.wait(90) == 0, running.text()

    assert_recorded(place / "out", ["BTCUSDT"])
    assert "Traceback" not in running.text()
    assert not [pid for pid in pids if alive(pid)]


def test_a_killed_demo_leaves_no_process_behind(place: Path) -> None:
    with demo(place, "out", "--symbols", "1") as running:
        wait_for_rows(running)
        pids = family(running)
        assert len(pids) >= 8  # supervisord, simulator, bus, writer, rest, orderbook, ingest, monitor
        running.kill()
        eventually(lambda: not [pid for pid in pids if alive(pid)], 60, what="all of them end")


def test_a_killed_supervisord_ends_the_demo_and_its_processes(place: Path) -> None:
    with demo(place, "out", "--symbols", "1") as running:
        wait_for_rows(running)
        pids = family(running)
        kill_process(running, "supervisor.supervisord")
        assert running.wait(60) == 1
        assert "supervisord ended" in running.text()
        assert "Traceback" not in running.text()
        eventually(lambda: not [pid for pid in pids if alive(pid)], 60, what="all of them end")


def kill_process(running: Program, module: str) -> None:
    processes = psutil.Process(running.pid).children(recursive=True)
    next(process for process in processes if module in process.cmdline()).kill()


def test_a_process_that_is_killed_is_replaced_and_costs_no_row(place: Path) -> None:
    with demo(place, "out", "--symbols", "1") as running:
        wait_for_rows(running)
        kill_process(running, "services.writer")
        count = len(recorded_rows(place / "out", "BTCUSDT", "aggtrade"))
        eventually(lambda: len(recorded_rows(place / "out", "BTCUSDT", "aggtrade")) > count + 20, what="it goes on")
        os.killpg(running.pid, signal.SIGINT)
        assert running.wait(120) == 0, running.text()

    assert_recorded(place / "out", ["BTCUSDT"])
    assert running.text().endswith("everything that was sent is in the files\n")


def test_what_nobody_received_is_told_as_gaps(place: Path) -> None:
    with demo(place, "out", "--symbols", "1") as running:
        wait_for_rows(running)
        kill_process(running, "services.ingest")
        eventually(lambda: recorded_rows(place / "out", "BTCUSDT", "gap"), what="the worker's absence is listed")
        os.killpg(running.pid, signal.SIGINT)
        assert running.wait(120) in (0, 1), running.text()  # 1: something lay in the socket of the one that was killed

    last = running.text().splitlines()[-1]
    found = re.search(r"is listed as (\d+) gaps?: (\S+)$", last)
    assert found is not None, last
    paths = list(place.glob(found[2].removeprefix(f"{place}/")))
    rows = {row["gap_id"]: row["state"] for row in recorded_rows(place / "out", "BTCUSDT", "gap")}
    assert [path for path in paths if path.name.startswith("gap_BTCUSDT_")] == paths != []
    assert int(found[1]) == len([state for state in rows.values() if state != "repaired"]) >= 1


def test_a_folder_with_something_in_it_is_refused(place: Path) -> None:
    (place / "out").mkdir()
    (place / "out" / "mine.txt").write_text("keep me")
    with demo(place, "out") as refused:
        assert refused.wait(60) == 78
    assert "is not empty" in refused.text()
    assert [path.name for path in (place / "out").iterdir()] == ["mine.txt"]


def test_what_is_no_recording_is_refused(place: Path) -> None:
    (place / "x.gz").write_text("no gzip")
    with demo(place, "out", "--capture", place / "x.gz") as refused:
        assert refused.wait(60) == 78
    assert "cannot be read as a recording" in refused.text()


@pytest.mark.timeout(1200)  # 168 000 messages, in as much of the machine as there is
@pytest.mark.parametrize(("folder", "stem"), [("usdm-4sym-20210722", "depth_100ms"), ("usdm-btceth-20240808", "depth")])
def test_a_recording_is_replayed_into_files_that_lead_to_its_golden_books(place: Path, folder: str, stem: str) -> None:
    recording = market_data(folder)
    with demo(place, "out", "--capture", recording / "capture.gz", "--speed", "max") as played:
        assert played.wait(1000) == 0, played.text()

    for symbol, expected in golden(recording)["books"].items():
        snapshot = recorded_rows(place / "out", symbol, "snapshot")[0]
        assert int(snapshot["last_update_id"]) == expected["last_update_id"]
        book = GoldenBook(int(snapshot["last_update_id"]), levels_of(snapshot["bids"]), levels_of(snapshot["asks"]))
        for row in recorded_rows(place / "out", symbol, stem):
            book.update(int(row["final_update_id"]), levels_of(row["bids"]), levels_of(row["asks"]))
        assert (book.updates_applied, book.final_book, book.chain_digest) == (
            expected["updates_applied"],
            expected["final_book"],
            expected["chain_digest"],
        )
        assert not list((place / "out" / quote(symbol)).glob("gap_*"))


def test_streams_of_all_symbols_are_skipped_and_counted(place: Path) -> None:
    recording = market_data("usdm-2026-wire")
    with demo(place, "out", "--capture", recording / "capture.gz", "--speed", "max") as played:
        assert played.wait(120) == 0, played.text()
    assert "not replayed: 2 messages of !forceOrder@arr" in played.text()
    forms = {name: len(events) for name, events in sent_events(place / "out" / "tape").items()}
    assert {**forms, "!forceOrder@arr": 2} == golden(recording)["counts"]
    rows = recorded_rows(place / "out", "BTCUSDT", "markprice")
    events = [json.loads(event) for event in sent_events(place / "out" / "tape")["btcusdt@markPrice@1s"]]
    assert [(row["mark_price"], row["funding_rate"]) for row in rows] == [(event["p"], event["r"]) for event in events]
