"""supervisord as a user starts it, with the files that `apply` generates, against the simulator."""

import json
import os
import signal
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import Simulator, alive
from tests.support.recorded import recorded_rows
from tests.support.site import Site, supervised
from tests.support.tape import ids_of, sent_events
from tests.support.waiting import eventually

SYMBOLS = {"BTCUSDT": ["aggTrade", "depth@0ms"], "龙虾USDT": ["aggTrade"]}
LOBSTER = "ingest-%E9%BE%99%E8%99%BEUSDT"
PROGRAMS = ["bus", LOBSTER, "ingest-BTCUSDT", "orderbook", "rest", "writer"]

NO_UTF8 = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.fixture
def site(place: Path) -> Iterator[Site]:
    with (
        Simulator(place, "--symbols", ",".join(SYMBOLS), "--rate", "100") as simulator,
        supervised(place, simulator, SYMBOLS, monitor={"enabled": False}) as made,
    ):
        yield made


def test_supervisord_records_from_the_generated_files_as_they_are(site: Site) -> None:
    assert site.call("supervisord", "-c", "supervisord.conf").returncode == 0
    assert site.control("start", "all").returncode == 0
    first = site.wait_until_all_run(PROGRAMS)
    again = site.control("start", "all")
    assert (again.returncode, again.stderr) == (0, "")
    assert site.pids() == first
    site.wait_for_rows(SYMBOLS)

    assert stat.S_IMODE((site.state / "supervisord.sock").stat().st_mode) == 0o700
    assert stat.S_IMODE((site.root / "config/run").stat().st_mode) == 0o700

    restarted = site.control("restart", LOBSTER)
    assert restarted.returncode == 0, restarted
    after = site.wait_until_all_run(PROGRAMS)
    assert [name for name in PROGRAMS if after[name] != first[name]] == [LOBSTER]

    site.simulator.command("pause")
    site.wait_for_rows(SYMBOLS, 5)
    assert site.control("shutdown").returncode == 0
    eventually(lambda: not any(alive(pid) for pid in after.values()), 60, what="all programs end")
    eventually(lambda: not (site.state / "supervisord.sock").exists(), 60, what="supervisord ends")


def test_a_killed_supervisord_takes_its_programs_with_it_and_the_next_one_goes_on(site: Site) -> None:
    assert site.call("supervisord", "-c", "supervisord.conf").returncode == 0
    first = site.wait_until_all_run(PROGRAMS)
    site.wait_for_rows(SYMBOLS)
    os.kill(site.supervisord_pid(), signal.SIGKILL)
    eventually(lambda: not any(alive(pid) for pid in first.values()), 60, what="the programs end by themselves")

    assert site.call("supervisord", "-c", "supervisord.conf").returncode == 0
    second = site.wait_until_all_run(PROGRAMS)
    assert not set(first.values()) & set(second.values())
    rows = len(recorded_rows(site.root / "config/data", "BTCUSDT", "aggtrade"))
    site.wait_for_rows(SYMBOLS, rows + 1)


def recorded_status(site: Site) -> str:
    """The answer of `status`, "" while it does not say that all is recorded."""
    done = site.ours("status", "--json")
    return done.stdout if done.returncode == 0 else ""


def test_start_status_restart_and_stop(site: Site) -> None:
    (site.root / "supervisord.conf").write_text("; of yesterday\n")
    started = site.ours("start", "--wait")
    assert started.returncode == 0, started
    *_, recorded, folder = started.stdout.splitlines()
    assert recorded == "everything that is configured is recorded"
    assert folder == f"recording into {site.root / 'config/data'}"
    first = site.wait_until_all_run(PROGRAMS)
    site.wait_for_rows(SYMBOLS)

    found = eventually(lambda: recorded_status(site), 60, what="all is recorded", every_s=0.5)
    told = json.loads(found)
    assert (told["healthy"], told["supervisord_pid"]) == (True, site.supervisord_pid())
    assert {program["name"]: program["pid"] for program in told["programs"]} == first
    assert all(program["state"] == "RUNNING" for program in told["programs"])
    assert {process["pid"] for process in told["processes"]} == set(first.values())
    streams = [(symbol["symbol"], one) for symbol in told["symbols"] for one in symbol["streams"]]
    assert [(symbol, one["stream"], one["state"]) for symbol, one in streams] == [
        ("BTCUSDT", "aggTrade", "live"),
        ("BTCUSDT", "depth@0ms", "live"),
        ("龙虾USDT", "aggTrade", "live"),
    ]
    assert all(one["messages"] > 0 and one["age_s"] < 60 for _, one in streams)
    assert told["disk"]["free_bytes"] > 0
    late = json.loads(site.ours("latency", "--live", "--duration", "3", "--json").stdout)
    assert {(one["symbol"], one["stream"]) for one in late["streams"]} <= {
        (symbol, stream) for symbol, streams in SYMBOLS.items() for stream in streams
    }
    assert late["streams"]
    assert late["clock_now"]["offset_ms"] is not None
    assert "writer info started" in site.ours("logs", "writer").stdout
    table = site.ours("status").stdout
    assert "RECORDING everything" in table
    assert "龙虾USDT" in table

    restarted = site.ours("restart")
    assert [line.split(":")[0] for line in restarted.stdout.splitlines()] == [
        "bus",
        "writer",
        "rest",
        "orderbook",
        "ingest-BTCUSDT",
        LOBSTER,
    ]
    second = site.wait_until_all_run(PROGRAMS)
    assert not set(first.values()) & set(second.values())

    assert site.ours("stop", "ingest-龙虾USDT").stdout == f"{LOBSTER}: stopped\n"
    stopped = site.ours("status")
    assert stopped.returncode == 1
    assert "NOT RECORDING" in stopped.stdout
    assert "failure: ingest-龙虾USDT: no status" in stopped.stdout
    assert site.ours("start", "ingest-龙虾USDT").returncode == 0
    third = site.wait_until_all_run(PROGRAMS)
    assert [name for name in PROGRAMS if third[name] != second[name]] == [LOBSTER]

    site.simulator.command("pause")
    sent = ids_of(sent_events(site.simulator.tape)["btcusdt@aggTrade"], "a")
    eventually(
        lambda: int(recorded_rows(site.root / "config/data", "BTCUSDT", "aggtrade")[-1]["agg_trade_id"]) >= sent[-1],
        what="what was sent before the pause is recorded",
    )
    stopped = site.ours("stop")
    assert (stopped.returncode, stopped.stdout.splitlines()[-1]) == (0, "stopped")
    assert not any(alive(pid) for pid in third.values())
    assert site.ours("stop").returncode == 69


def test_a_worker_that_restarts_goes_on_with_the_streams_that_were_applied(site: Site) -> None:
    worker, lobster = "ingest-BTCUSDT", {"龙虾USDT": ["aggTrade"]}
    site.change_symbols({"BTCUSDT": ["bookTicker"], **lobster})
    assert site.ours("apply").returncode == 0
    assert site.ours("start").returncode == 0
    first = site.wait_until_all_run(PROGRAMS)
    eventually(lambda: site.rows("BTCUSDT", "bookticker"), 60, what="rows of the stream")

    unapplied = "has changed, and runs once it is applied"
    assert unapplied not in site.ours("status").stdout
    site.change_symbols(lobster)
    assert unapplied in site.ours("status").stdout
    for text in (site.config.read_text(encoding="utf-8"), "mode: devel"):
        site.config.write_text(text, encoding="utf-8")
        os.kill(eventually(lambda: site.pids().get(worker), 60, what="the worker runs"), signal.SIGKILL)
        rows = len(site.rows("BTCUSDT", "bookticker"))
        eventually(lambda more=rows: len(site.rows("BTCUSDT", "bookticker")) > more + 20, 60, what="it goes on")  # type: ignore[misc]
    assert not site.rows("BTCUSDT", "aggtrade")
    after = site.wait_until_all_run(PROGRAMS)
    assert {name for name in PROGRAMS if after[name] != first[name]} == {worker}


def test_sockets_that_are_deleted_under_a_running_system(site: Site) -> None:
    assert site.ours("start").returncode == 0
    first = site.wait_until_all_run(PROGRAMS)
    site.wait_for_rows(SYMBOLS)
    pid = site.supervisord_pid()
    deleted = [path for path in (site.root / "config").glob("run*/*") if path.is_socket()]
    assert len(deleted) == 6
    for path in deleted:
        path.unlink()

    for command in (("start",), ("apply",), ("up", "--duration", "1"), ("restart", "writer"), ("stop", "writer")):
        refused = site.ours(*command)
        assert refused.returncode == 69, (command, refused)
        assert f"supervisord (pid {pid}) runs, but its socket" in refused.stderr
    assert f"supervisord (pid {pid}) runs, but its socket" in site.ours("doctor", "--offline").stdout
    ours = {path for path in deleted if path.parent.name == "run"}
    eventually(lambda: all(path.exists() for path in ours), 60, what="the processes bind anew")
    os.kill(first[LOBSTER], signal.SIGKILL)
    rows = len(site.rows("龙虾USDT", "aggtrade"))
    eventually(
        lambda: len(site.rows("龙虾USDT", "aggtrade")) > rows + 20, 60, what="the next worker reaches the writer"
    )
    eventually(lambda: "what is heard on the bus" in site.ours("status").stdout, 60, what="status hears them")

    stopped = site.ours("stop")
    assert (stopped.returncode, stopped.stdout) == (0, "stopped\n")
    assert not alive(pid)
    assert not any(alive(one) for one in first.values())
    assert site.ours("start").returncode == 0
    site.wait_until_all_run(PROGRAMS)


def test_only_our_programs_run_and_in_utf8_whatever_the_environment_says(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("services", "supervisor", "simulator"):
        (site.root / name).mkdir()
        (site.root / name / "__init__.py").write_text("raise SystemExit('a stranger was imported')")
    for variable, value in {**NO_UTF8, "PYTHONPATH": str(site.root), "PYTHONSTARTUP": "/nowhere"}.items():
        monkeypatch.setenv(variable, value)
    assert "龙虾USDT" in site.ours("symbols").stdout
    assert "龙虾USDT" in site.ours("config").stdout
    started = site.ours("start")
    assert started.returncode == 0, started
    monkeypatch.undo()
    site.wait_until_all_run(PROGRAMS)
    site.wait_for_rows(SYMBOLS)
    for variable, value in NO_UTF8.items():
        monkeypatch.setenv(variable, value)
    table = site.ours("status")
    assert "龙虾USDT" in table.stdout
    assert "Traceback" not in table.stderr
    assert site.ours("restart", "ingest-龙虾USDT").returncode == 0
    assert site.ours("stop").returncode == 0
