"""The demo in containers, for real: built, started, tapped, killed, restarted, stopped, and compared with its tape."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.oracle import Rules
from tests.chaos.pipeline import Down
from tests.chaos.recording import judged
from tests.chaos.runs import wrongs
from tests.containers.stack import PATIENCE_S, Stack, exit_codes
from tests.support.data import REPOSITORY
from tests.support.engine import container_engine
from tests.support.recorded import recorded_rows
from tests.support.waiting import eventually

pytestmark = [pytest.mark.containers, pytest.mark.timeout(1800)]

TWO_CONNECTIONS = Rules(any_order=True, times_may_differ=True)
"""The one that began first may deliver later: what it has of a hole's end comes as a straggler."""


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """The demo, healthy."""
    with container_engine() as engine:
        stack = Stack(engine)
        engine.build(stack.image)
        with stack:
            stack.compose("up", "--detach", "--no-build")
            stack.wait_healthy()
            yield stack


def test_the_image_holds_no_tools_and_its_processes_no_rights(stack: Stack) -> None:
    script = (
        "exec 2>&1; id -u; grep CapBnd /proc/1/status; grep NoNewPrivs /proc/1/status; "
        "touch /x; touch /app/x; command -v pip; command -v gcc; true"
    )
    _, text = stack.execute("demo-writer", "sh", "-c", script)
    uid, bounding, no_new, *refused = text.splitlines()
    assert uid == "10001"
    assert bounding.split() == ["CapBnd:", "0000000000000000"]
    assert no_new.split() == ["NoNewPrivs:", "1"]
    assert [line.rpartition(": ")[2] for line in refused] == ["Read-only file system"] * 2
    for name, container in stack.containers().items():
        bindings = container["HostConfig"]["PortBindings"] or {}
        assert all(one["HostIp"] == "127.0.0.1" for each in bindings.values() for one in each), name


def test_it_records_exactly_once_over_a_kill_and_a_restart(stack: Stack, tmp_path: Path) -> None:
    with stack.tap("aggtrade.BTCUSDT.") as tap:
        message = tap.receive(PATIENCE_S)
        assert message is not None, "no trade came"
        assert json.loads(message.data["event"])["e"] == "aggTrade"

    before = stack.kill("demo-writer")
    eventually(
        lambda: stack.containers()["demo-writer"]["State"]["Pid"] not in (0, before),
        PATIENCE_S,
        what="the writer is started again",
        every_s=0.5,
    )
    down_ns = time.time_ns()
    stack.compose("restart", "demo-ingest-BTCUSDT")
    routes = {"public", "market"}
    stack.status(
        "ingest-BTCUSDT",
        lambda data: {link["route"] for link in data["connections"] if link["state"] == "delivering"} == routes,
    )
    down = Down("BTCUSDT", down_ns, time.time_ns())
    stack.wait_healthy()
    eventually(
        lambda: ",repaired,btcusdt@aggTrade," in stack.execute("demo-writer", "sh", "-c", "cat demo/data/*/gap_*")[1],
        PATIENCE_S,
        what="the trades that were missed are fetched",
        every_s=1,
    )
    stack.wait_health(200)

    stack.simulate("pause")
    stack.wait_recorded()
    check = ("python", "-m", "binance_streamer.health.healthcheck", "-c", "config/demo.yaml", "ingest-ETHUSDT")
    eventually(
        lambda: "expected every" in stack.execute("demo-ingest-ETHUSDT", *check)[1],
        PATIENCE_S,
        what="a worker whose data stopped is not healthy",
        every_s=1,
    )
    assert "ETHUSDT" in stack.wait_health(503)

    stack.compose("stop")
    containers = stack.containers()
    assert set(exit_codes(containers, list(containers)).values()) == {0}
    config = stack.fetch(tmp_path)
    assert unwritten(config) == ""
    data = tmp_path / "demo" / "data"
    streams = list(judged(tmp_path / "demo" / "tape", data, TWO_CONNECTIONS))
    assert {stream.stream.symbol for stream in streams} == {symbol.symbol for symbol in stack.symbols}
    assert len(streams) == sum(len(symbol.streams) for symbol in stack.symbols)
    assert all(stream.verdict.recorded > 10 for stream in streams)
    wrong = {stream.stream.name: texts for stream in streams if (texts := wrongs(stream, [down]))}
    assert not wrong, wrong
    of_btc = [stream.verdict for stream in streams if stream.stream.symbol == "BTCUSDT"]
    assert any(verdict.gaps for verdict in of_btc)
    assert any(verdict.repaired for verdict in of_btc)
    assert recorded_rows(data, "ETHUSDT", "gap") == []


def unwritten(config: Path) -> str:
    """What the journals hold that is not in the files."""
    command = [sys.executable, "-m", "services.writer.audit", "-c", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=REPOSITORY)
    return "" if done.returncode == 0 else done.stdout + done.stderr
