"""`up` as a user runs it, against the simulator."""

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from binance_streamer.cli.supervisor.files import built_services
from binance_streamer.config import schema as configuration
from binance_streamer.deploy.supervisord import programs
from services.runtime.lock import FileLock
from tests.support.configs import write_config
from tests.support.processes import Program, Simulator, alive, command_line
from tests.support.recorded import recorded_rows
from tests.support.tape import ids_of, sent_events
from tests.support.waiting import eventually


@pytest.fixture
def simulator(place: Path) -> Iterator[Simulator]:
    with Simulator(place, "--symbols", "BTCUSDT", "--rate", "100") as running:
        yield running


@pytest.fixture
def config(place: Path, simulator: Simulator) -> Path:
    return write_config(place, {"BTCUSDT": ["aggTrade", "depth@0ms"]}, simulator.urls)


NO_STATUS = "ingest-ETHUSDT: no status(: it| for [0-9]+ s or more: it) does not run"


def up(place: Path, config: Path, *arguments: str, name: str = "up") -> Program:
    return command_line("up", "-c", config, *arguments, output=place / f"{name}.out")


def trades(place: Path) -> list[int]:
    return [int(row["agg_trade_id"]) for row in recorded_rows(place / "data", "BTCUSDT", "aggtrade")]


def family(program: Program) -> list[int]:
    return [process.pid for process in psutil.Process(program.pid).children(recursive=True)]


def assert_a_piece_of_the_truth(found: list[int], simulator: Simulator) -> None:
    """Rows without a hole and without a repeat, as sent."""
    sent = ids_of(sent_events(simulator.tape)["btcusdt@aggTrade"], "a")
    start = sent.index(found[0])
    assert found == sent[start : start + len(found)]


def test_up_ends_after_its_duration_with_everything_in_the_files(
    place: Path, config: Path, simulator: Simulator
) -> None:
    with up(place, config, "--duration", "3") as running:
        assert running.wait(120) == 0, running.text()
    assert_a_piece_of_the_truth(trades(place), simulator)
    stamps_ns = [int(row["recv_ns"]) for row in recorded_rows(place / "data", "BTCUSDT", "aggtrade")]
    assert max(stamps_ns) - min(stamps_ns) > 1_000_000_000
    assert f"recorded: {place / 'data'}" in running.text()


def test_up_that_could_not_keep_everything_is_no_success(place: Path, config: Path, simulator: Simulator) -> None:
    """The worker's journal may grow no further: no file of it, by its resource limit."""
    with up(place, config, "--duration", "600") as running:
        eventually(lambda: trades(place), 60, what="it records")
        (worker,) = (psutil.Process(pid) for pid in family(running) if _is_worker(pid))
        worker.rlimit(psutil.RLIMIT_FSIZE, (4096, 4096))
        eventually(lambda: "journal full" in _log_of_worker(place), 60, what="it is full")
        running.send(signal.SIGINT)
        assert running.wait(120) == 1, running.text()
    assert "ingest-BTCUSDT" in running.text()
    assert f"recorded: {place / 'data'}" not in running.text()


def test_a_loss_that_no_status_tells_of_is_no_success_either(place: Path, config: Path, simulator: Simulator) -> None:
    """The journal is full while the recording ends, and the bus, which has the last status, stands still."""
    with up(place, config, "--duration", "600") as running:
        eventually(lambda: re.search(r"[1-9]\d* rows", running.text()), 60, what="it records")
        processes = [psutil.Process(pid) for pid in family(running)]
        (bus,) = (process for process in processes if "services.bus" in process.cmdline())
        (worker,) = (process for process in processes if _is_worker(process.pid))
        bus.suspend()
        worker.rlimit(psutil.RLIMIT_FSIZE, (4096, 4096))
        eventually(lambda: "journal full" in _log_of_worker(place), 60, what="it is full")
        running.send(signal.SIGINT)
        assert running.wait(120) == 1, running.text()
    assert "ingest-BTCUSDT ended with exit code 74" in running.text()
    assert f"recorded: {place / 'data'}" not in running.text()


def test_up_whose_writer_is_blocked_says_why_and_ends_without_success(place: Path, config: Path) -> None:
    data = place / "data"
    data.mkdir()
    held = FileLock(data / ".writer.lock")
    assert held.try_acquire()
    with up(place, config, "--duration", "1") as running:
        eventually(lambda: "writer blocked: " in running.text(), 60, what="its table says why")
        assert running.wait(120) == 1, running.text()
    held.release()
    assert f"writer: blocked: the data directory {data} is held by pid {os.getpid()}" in running.text()
    assert f"nothing was recorded: {data}" in running.text()


def test_up_without_a_message_ends_with_a_reason(place: Path, simulator: Simulator) -> None:
    dead = {"websocket_url": "ws://127.0.0.1:1", "rest_url": simulator.urls["rest_url"]}
    config = write_config(place, {"BTCUSDT": ["aggTrade", "depth@0ms"]}, dead)
    with up(place, config, "--duration", "1") as running:
        assert running.wait(120) == 1, running.text()
    assert "no connection of /market: " in running.text()
    assert f"nothing was recorded: {place / 'data'}" in running.text()


@pytest.fixture
def two_symbols(place: Path) -> Iterator[Path]:
    with Simulator(place, "--symbols", "BTCUSDT,ETHUSDT", "--rate", "100") as simulator:
        yield write_config(place, {"BTCUSDT": ["aggTrade"], "ETHUSDT": ["aggTrade"]}, simulator.urls)


def test_up_with_one_worker_that_is_blocked_says_so_and_is_no_success(place: Path, two_symbols: Path) -> None:
    """A file lies where the folder of its journal belongs."""
    (place / "journal").mkdir()
    (place / "journal" / "ingest-ETHUSDT").touch()
    with up(place, two_symbols, "--duration", "3") as running:
        assert running.wait(120) == 1, running.text()
    assert trades(place)
    assert f"ingest-ETHUSDT: blocked: the journal {place / 'journal' / 'ingest-ETHUSDT'}" in running.text()
    assert f"recorded, but not all of it: {place / 'data'}" in running.text()


def test_up_with_a_process_that_ends_at_each_start_says_why_and_is_no_success(place: Path, two_symbols: Path) -> None:
    """The configuration that a worker was started for is gone when it is killed, maybe before its first status."""
    with up(place, two_symbols, "--duration", "600") as running:
        eventually(lambda: trades(place) and recorded_rows(place / "data", "ETHUSDT", "aggtrade"), 60)
        two_symbols.write_text(two_symbols.read_text().replace("aggTrade", "trade"))
        for kept in place.rglob("settings/*"):
            kept.unlink()
        (worker,) = (pid for pid in family(running) if "ETHUSDT" in psutil.Process(pid).cmdline())
        os.kill(worker, signal.SIGKILL)
        eventually(lambda: re.search(NO_STATUS, running.text()), 90)
        running.send(signal.SIGINT)
        assert running.wait(120) == 1, running.text()
    ended_often = [line for line in running.text().splitlines() if line.startswith("ingest-ETHUSDT ends as soon as")]
    assert len(ended_often) <= 2, "while it went on, and at the end"
    _, _, last_words = running.text().rpartition("bus has stopped")
    assert re.search(NO_STATUS, last_words)
    assert f"recorded, but not all of it: {place / 'data'}" in last_words


def _is_worker(pid: int) -> bool:
    return "services.ingest" in psutil.Process(pid).cmdline()


def _log_of_worker(place: Path) -> str:
    return (place / "log" / "ingest-BTCUSDT.log").read_text(encoding="utf-8")


def test_the_configured_run_duration_ends_up(place: Path, config: Path, simulator: Simulator) -> None:
    config.write_text(config.read_text().replace("  development:\n", "  development:\n    run_duration: 2\n"))
    with up(place, config) as running:
        assert running.wait(120) == 0, running.text()
    assert_a_piece_of_the_truth(trades(place), simulator)


def test_a_second_run_goes_on_where_the_first_one_ended(place: Path, config: Path, simulator: Simulator) -> None:
    for number in ("1", "2"):
        with up(place, config, "--duration", "2", name=number) as running:
            assert running.wait(120) == 0, running.text()
    found = sorted(trades(place))
    sent = ids_of(sent_events(simulator.tape)["btcusdt@aggTrade"], "a")
    rows = [row for row in recorded_rows(place / "data", "BTCUSDT", "gap") if row["stream"] == "btcusdt@aggTrade"]
    assert rows
    gaps = {row["gap_id"]: row for row in rows}  # the last state of each
    still_open = [row for row in gaps.values() if row["state"] == "open"]
    missing = [number for row in still_open for number in range(int(row["from_id"]) + 1, int(row["to_id"]) + 1)]
    assert sorted([*found, *missing]) == list(range(found[0], found[-1] + 1))
    delivered = [row for row in recorded_rows(place / "data", "BTCUSDT", "aggtrade") if row["source"] == "ws"]
    assert {int(row["agg_trade_id"]) for row in delivered} <= set(sent)


def test_a_second_up_is_told_of_the_first(place: Path, config: Path) -> None:
    with up(place, config) as first:
        eventually(lambda: "rows" in first.text(), 60, what="it records")
        with up(place, config, name="second") as second:
            assert second.wait(60) == 69
        assert "runs for this configuration already" in second.text()
        assert first.exit_code is None
        assert first.stop(90) == 0


def test_ctrl_c_ends_up_cleanly(place: Path, config: Path) -> None:
    with up(place, config) as running:
        eventually(lambda: trades(place), 60, what="rows")
        pids = family(running)
        os.killpg(running.pid, signal.SIGINT)
        assert running.wait(90) == 0, running.text()
    assert "Traceback" not in running.text()
    assert not [pid for pid in pids if alive(pid)]


def test_a_killed_up_leaves_no_process_behind(place: Path, config: Path) -> None:
    wanted = programs(configuration.load(config), config, built_services())
    with up(place, config) as running:
        eventually(lambda: len(family(running)) == 1 + len(wanted), 60, what="everything runs")
        pids = family(running)
        running.kill()
        eventually(lambda: not [pid for pid in pids if alive(pid)], 60, what="all of them end")


def test_a_bad_configuration_is_said_without_a_traceback(place: Path) -> None:
    config = place / "streamer.yaml"
    config.write_text("mode: nonsense\n")
    with up(place, config) as refused:
        assert refused.wait(60) == 78
    assert str(config) in refused.text()
    assert "mode" in refused.text()
    assert "Traceback" not in refused.text()


def test_an_exchange_that_is_not_reached_is_said_and_nothing_received_is_no_success(place: Path) -> None:
    nowhere = {"websocket_url": "ws://127.0.0.1:9", "rest_url": "http://127.0.0.1:9"}
    config = write_config(place, {"BTCUSDT": ["aggTrade"]}, nowhere)
    with up(place, config) as running:
        eventually(lambda: "no connection of /market: refused" in running.text(), 60, what="it says so")
        os.killpg(running.pid, signal.SIGINT)
        assert running.wait(90) == 1
    assert "doctor" in running.text()
    assert f"nothing was recorded: {place / 'data'}" in running.text()
