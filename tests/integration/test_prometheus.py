"""Prometheus itself, with the rules and the dashboard of ops/, over a recorder that runs."""

import contextlib
import json
import math
import re
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from tests.support.addresses import free_port
from tests.support.configs import write_config
from tests.support.data import REPOSITORY
from tests.support.processes import Program, Simulator, service
from tests.support.waiting import eventually

OPS = REPOSITORY / "ops"
RULES = OPS / "prometheus" / "alerts.yml"
EMPTY_WHILE_ALL_IS_WELL = "Not recorded"
NEEDS_AN_HOUR = "Disk full in"


def free_address() -> str:
    return f"127.0.0.1:{free_port()}"


class Prometheus(Program):
    """Scrapes one monitor by the committed configuration, every second; no alert waits longer than a second."""

    def __init__(self, place: Path, target: str) -> None:
        configuration = yaml.safe_load((OPS / "prometheus" / "prometheus.yml").read_text())
        configuration["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        configuration["scrape_configs"][0]["static_configs"][0]["targets"] = [target]
        (place / "prometheus.yml").write_text(yaml.safe_dump(configuration))
        rules = RULES.read_text()
        (place / "alerts.yml").write_text(re.sub(r"^( +for: )\w+$", r"\g<1>1s", rules, flags=re.MULTILINE))
        address = free_address()
        self._api = f"http://{address}/api/v1/"
        super().__init__(
            (
                shutil.which("prometheus") or "prometheus",
                f"--config.file={place / 'prometheus.yml'}",
                f"--storage.tsdb.path={place / 'tsdb'}",
                f"--web.listen-address={address}",
            ),
            place / "prometheus.out",
        )

    def asked(self, what: str, **parameters: str) -> Any:
        """`data` of the answer; None until it answers."""
        try:
            answer = requests.get(self._api + what, params=parameters, timeout=60)
        except requests.ConnectionError:
            return None
        if answer.status_code == 503:  # it starts
            return None
        assert answer.ok, f"{parameters}: {answer.text}"
        return answer.json()["data"]

    def values(self, expression: str) -> list[float]:
        """Of its series now, those that a panel can draw."""
        found = self.asked("query", query=expression)
        numbers = [float(series["value"][1]) for series in found["result"]] if found else []
        return [number for number in numbers if math.isfinite(number)]

    def firing(self) -> set[tuple[str, str]]:
        """The alerts that fire, each with its process or ""."""
        alerts = self.asked("alerts")["alerts"]
        return {
            (one["labels"]["alertname"], one["labels"].get("process", "")) for one in alerts if one["state"] == "firing"
        }


class Recorder:
    """All processes of a recorder of one symbol."""

    def __init__(self, place: Path, running: contextlib.ExitStack) -> None:
        self._place, self._running = place, running
        simulator = running.enter_context(Simulator(place, "--symbols", "BTCUSDT", "--rate", "100"))
        self.address = free_address()
        self._config = write_config(
            place,
            {"BTCUSDT": ["aggTrade", "depth@0ms", "kline_1m"]},
            simulator.urls,
            monitor={"enabled": True, "address": self.address},
        )
        for name in ("bus", "rest", "orderbook", "monitor"):
            self.start(name)
        self.worker = self.start_worker()

    def start_worker(self) -> Program:
        """The ingest worker of the symbol."""
        return self.start("ingest", "--symbol", "BTCUSDT")

    def start(self, name: str, *arguments: str) -> Program:
        """A process of this name."""
        output = self._place / f"{name}.out"
        return self._running.enter_context(service(name, self._config, *arguments, output=output))


@pytest.fixture
def running() -> Iterator[contextlib.ExitStack]:
    if shutil.which("prometheus") is None:
        pytest.skip("prometheus is absent: apt-get install prometheus")
    with contextlib.ExitStack() as stack:
        yield stack


def panels() -> list[tuple[str, str]]:
    """Title and expression of each query, with what Grafana puts in for "All"."""
    dashboard = json.loads((OPS / "grafana" / "dashboard.json").read_text())
    found = [(panel["title"], one["expr"]) for panel in dashboard["panels"] for one in panel.get("targets", ())]
    return [(title, re.sub(r"\$(instance|symbol)\b", ".*", expression)) for title, expression in found]


def choices(prometheus: Prometheus) -> dict[str, list[str]]:
    """What the dashboard's variables offer."""
    variables = json.loads((OPS / "grafana" / "dashboard.json").read_text())["templating"]["list"]
    queries = {one["name"]: one["query"]["query"] for one in variables if one["type"] == "query"}
    asked = {name: re.fullmatch(r"label_values\((\w+), (\w+)\)", query) for name, query in queries.items()}
    return {
        name: prometheus.asked(f"label/{words[2]}/values", **{"match[]": words[1]})
        for name, words in asked.items()
        if words is not None
    }


def all_are_drawn(prometheus: Prometheus, titles: Collection[str]) -> None:
    """Until no panel of these is empty."""
    missing = {one for one in panels() if one[0] in titles}

    def none_is_missing() -> bool:
        missing.difference_update([one for one in missing if prometheus.values(one[1])])
        return not missing

    eventually(none_is_missing, 150, what=f"drawn: {missing}", every_s=0.5)


@pytest.fixture
def recorder(place: Path, running: contextlib.ExitStack) -> Recorder:
    return Recorder(place, running)


@pytest.fixture
def writer(recorder: Recorder) -> Program:
    return recorder.start("writer")


@pytest.fixture
def prometheus(place: Path, running: contextlib.ExitStack, recorder: Recorder, writer: Program) -> Prometheus:
    """It scrapes a healthy recorder."""
    started = running.enter_context(Prometheus(place, recorder.address))
    eventually(lambda: started.values("up") == [1.0], 120, what="the monitor is scraped", every_s=0.2)
    eventually(lambda: started.values("binance_streamer_healthy") == [1.0], 120, what="healthy", every_s=0.2)
    return started


def test_prometheus_draws_the_panels_and_evaluates_the_rules(recorder: Recorder, prometheus: Prometheus) -> None:
    titles = {title for title, _ in panels()}
    assert {EMPTY_WHILE_ALL_IS_WELL, NEEDS_AN_HOUR} <= titles
    all_are_drawn(prometheus, titles - {EMPTY_WHILE_ALL_IS_WELL, NEEDS_AN_HOUR})
    assert choices(prometheus) == {"instance": [recorder.address], "symbol": ["BTCUSDT"]}

    rules = [rule for group in prometheus.asked("rules")["groups"] for rule in group["rules"]]
    assert len(rules) == RULES.read_text().count("- alert:")
    assert [(rule["name"], rule["health"]) for rule in rules if rule["health"] != "ok"] == []


@pytest.mark.slow
def test_alerts_fire_while_the_writer_is_away(recorder: Recorder, prometheus: Prometheus, writer: Program) -> None:
    [not_recorded] = [expression for title, expression in panels() if title == EMPTY_WHILE_ALL_IS_WELL]
    alarms = {("ProcessDown", "writer"), ("NotRecording", "")}

    def is_quiet() -> bool:
        return not (prometheus.values(not_recorded) or alarms & prometheus.firing())

    eventually(is_quiet, 120, what="all is well", every_s=0.5)
    writer.kill()
    eventually(lambda: alarms <= prometheus.firing(), 120, what="the alerts fire", every_s=0.5)
    assert ("ProcessDown", "bus") not in prometheus.firing()
    recorder.worker.kill()
    all_are_drawn(prometheus, {EMPTY_WHILE_ALL_IS_WELL})
    recorder.start_worker()
    recorder.start("writer")
    eventually(is_quiet, 120, what="the alerts are over", every_s=0.5)
