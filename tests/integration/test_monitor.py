"""The monitor over a whole recorder: health and alerts as processes come and go, metrics that are the truth."""

import contextlib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from tests.support.addresses import free_port
from tests.support.configs import write_config
from tests.support.processes import Program, Simulator, service
from tests.support.receiver import Receiver
from tests.support.recorded import recorded_rows
from tests.support.waiting import eventually


class Recorder:
    """All processes of a recorder of one symbol; each may be killed and started again."""

    def __init__(self, place: Path, running: contextlib.ExitStack, symbol: str = "BTCUSDT", **network: Any) -> None:
        self._place = place
        self._running = running
        self._symbol = symbol
        self.simulator = running.enter_context(Simulator(place, "--symbols", symbol, "--rate", "100"))
        self.receiver = running.enter_context(Receiver())
        self._port = free_port()
        self._config = write_config(
            place,
            {symbol: ["aggTrade", "depth@0ms", "forceOrder"]},
            {**self.simulator.urls, **network},
            orderbook={"enabled": False},
            alerts={"delay": 1, "webhooks": [{"url": self.receiver.url}]},
            monitor={"enabled": True, "address": f"127.0.0.1:{self._port}"},
        )
        self.processes: dict[str, Program] = {}
        for name in ("bus", "writer", "rest", "ingest", "monitor"):
            self.start(name)

    def start(self, name: str) -> None:
        """A process of this name."""
        arguments = ("--symbol", self._symbol) if name == "ingest" else ()
        program = service(name, self._config, *arguments, output=self._place / f"{name}.out")
        self.processes[name] = self._running.enter_context(program)

    def health(self) -> tuple[int, dict[str, Any]]:
        """Status and body of /healthz; 0 where nobody answers."""
        try:
            answer = requests.get(f"http://127.0.0.1:{self._port}/healthz", timeout=60)
        except requests.ConnectionError:
            return 0, {}
        return answer.status_code, answer.json()

    def until_healthy(self) -> dict[str, Any]:
        """The body of a 200."""
        return eventually(
            lambda: found[1] if (found := self.health())[0] == 200 else None, 120, what=f"healthy: {self.health()}"
        )

    def until_named(self, what: str) -> dict[str, Any]:
        """The problem of a 503 that names this."""

        def named() -> dict[str, Any] | None:
            status, body = self.health()
            found = [problem for problem in body.get("problems", ()) if problem["what"] == what]
            return found[0] if status == 503 and found else None

        return eventually(named, 120, what=f"{what} is named: {self.health()}")

    def metric(self, name: str, **labels: str) -> float:
        """Its value; NaN where it is absent."""
        text = requests.get(f"http://127.0.0.1:{self._port}/metrics", timeout=60).text
        found = [
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == f"binance_streamer_{name}" and sample.labels == labels
        ]
        assert len(found) <= 1, (name, labels)
        return found[0] if found else math.nan

    def alerts_of(self, what: str) -> list[str]:
        """The events of its alerts that the receiver got, in order."""
        happenings = zip(self.receiver.told(), self.receiver.told("event"), strict=True)
        return [event for name, event in happenings if name == what]

    def rows_of_newest_run(self, kind: str) -> int:
        """In the files, what the worker recorded since it was started last."""
        epochs = [row["epoch"] for row in recorded_rows(self._place / "data", "BTCUSDT", kind) if row["source"] == "ws"]
        return epochs.count(epochs[-1])


@pytest.fixture
def recorder(place: Path) -> Iterator[Recorder]:
    with contextlib.ExitStack() as running:
        yield Recorder(place, running)


def of(stream: str) -> dict[str, str]:
    return {"symbol": "BTCUSDT", "stream": stream}


def test_health_and_metrics_follow_the_processes(recorder: Recorder) -> None:
    body = recorder.until_healthy()
    assert body["streams"]["BTCUSDT"] == {"aggTrade": "live", "depth@0ms": "live", "forceOrder": "quiet"}

    recorder.processes["writer"].kill()
    problem = recorder.until_named("writer")
    assert (problem["condition"], problem["severity"]) == ("process", "failure")
    eventually(lambda: recorder.alerts_of("writer")[-1:] == ["opened"], 60, what="the absence outlives alerts.delay")
    recorder.processes["monitor"].kill()
    recorder.start("monitor")
    recorder.until_named("writer")
    recorder.start("writer")
    recorder.until_healthy()

    recorder.processes["ingest"].kill()
    recorder.start("ingest")
    recorder.until_healthy()
    eventually(lambda: recorder.metric("symbol_gaps_today", symbol="BTCUSDT") >= 2, 60,
               what="the worker's absence is a gap of each stream with ids")  # fmt: skip

    def is_counted(kind: str, stream: str) -> bool:
        return recorder.metric("messages_total", **of(stream)) == recorder.rows_of_newest_run(kind)

    eventually(lambda: min(map(recorder.rows_of_newest_run, ("aggtrade", "depth"))) > 10, 60, what="there are rows")
    recorder.simulator.command("pause")
    eventually(lambda: is_counted("aggtrade", "aggTrade") and is_counted("depth", "depth@0ms"), 60,
               what="metrics say how many rows there are")  # fmt: skip

    eventually(lambda: recorder.alerts_of("writer")[-1:] == ["closed"], 60, what="the alert is closed")
    told = recorder.alerts_of("writer")  # twice, where it came late at first
    assert told == ["opened", "closed"] * (len(told) // 2), "a restarted monitor knows what it told"
    assert len(told) <= 4
    eventually(lambda: recorder.metric("stream_recorded", **of("forceOrder")) == 1)
    assert recorder.metric("bus_messages_in_total") > 0
    gaps = recorder.metric("gaps_today", **of("aggTrade"))
    assert gaps >= 1

    recorder.processes["monitor"].kill()
    recorder.start("monitor")
    eventually(lambda: recorder.health()[0], 60, what="the monitor is back")
    eventually(lambda: recorder.metric("gaps_today", **of("aggTrade")) == gaps, 60,
               what="today's gaps are known to the next monitor")  # fmt: skip


def test_a_contract_whose_market_is_closed_is_healthy_but_not_without_a_connection(place: Path) -> None:
    with contextlib.ExitStack() as running:
        recorder = Recorder(place, running, "TSLAUSDT", stale_timeout=3, exchange_info_interval=1)
        assert recorder.until_healthy()["symbols"] == {"TSLAUSDT": "TRADING"}
        recorder.simulator.command("session EQUITY 86400")

        def is_shown() -> bool:
            status, body = recorder.health()
            streams = body["streams"]["TSLAUSDT"]
            return (status, body["symbols"]["TSLAUSDT"], streams["depth@0ms"]) == (200, "OFF SESSION", "off session")

        eventually(is_shown, 60, what="the depth stream has nothing to say, and that is well")
        recorder.simulator.command("refuse 60")
        recorder.simulator.command("close fin *")
        recorder.until_named("TSLAUSDT depth@0ms")
