"""What lies in ops/ is valid, and speaks of metrics that there are."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import generate_latest

from services.monitor.metrics.metrics import registry_of
from tests.support.data import REPOSITORY
from tests.support.monitor_scene import NOW_MS, NOW_S, collector, frame

OPS = REPOSITORY / "ops"
ALERTS = OPS / "prometheus" / "alerts.yml"
DASHBOARD = OPS / "grafana" / "dashboard.json"


def metric_names() -> set[str]:
    seen = collector()
    seen.take(*frame("orderbook", "BTCUSDT", valid=True), NOW_S)
    found = set()
    for family in registry_of(seen.end_second(NOW_S, NOW_MS), 0).collect():
        suffixes = {"counter": ("_total",), "summary": ("_sum", "_count"), "histogram": ("_bucket", "_sum", "_count")}
        found |= {family.name + suffix for suffix in suffixes.get(family.type, ("",))}
    return found


def test_every_metric_is_documented() -> None:
    documented = set(re.findall(r"^\| `([a-z0-9_]+)` \|", (REPOSITORY / "docs" / "monitoring.md").read_text(), re.M))
    for name in metric_names():
        plain = name.removeprefix("binance_streamer_")
        assert {plain, re.sub("_(bucket|sum|count)$", "", plain)} & documented, name


def alert_rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]


def expressions() -> Iterator[tuple[str, str]]:
    for rule in alert_rules():
        yield rule["alert"], rule["expr"]
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]


@pytest.mark.parametrize(("where", "expression"), list(expressions()))
def test_alerts_and_panels_speak_of_metrics_that_there_are(where: str, expression: str) -> None:
    named = set(re.findall(r"binance_streamer_[a-z0-9_]+", expression))
    assert named or where == "RecorderUnreachable"
    assert named <= metric_names()


def test_every_alert_is_seen_firing_by_a_test() -> None:
    tests = yaml.safe_load((OPS / "prometheus" / "tests.yml").read_text())["tests"]
    fired = {one["alertname"] for test in tests for one in test.get("alert_rule_test", ()) if one["exp_alerts"]}
    assert {rule["alert"] for rule in alert_rules()} == fired


def test_panels_do_not_overlap_and_have_numbers_of_their_own() -> None:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
    assert len({panel["id"] for panel in panels}) == len(panels)


def test_the_scrape_asks_where_the_committed_configuration_listens() -> None:
    scrape = yaml.safe_load((OPS / "prometheus" / "prometheus.yml").read_text())["scrape_configs"][0]
    address = yaml.safe_load((REPOSITORY / "config" / "streamer.yaml").read_text())["monitor"]["address"]
    assert scrape["static_configs"][0]["targets"] == [address]


def promtool(*arguments: str | Path, text: bytes = b"") -> str:
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("promtool is absent: apt-get install prometheus")
    done = subprocess.run([program, *map(str, arguments)], input=text, capture_output=True, timeout=120, check=False)
    output = (done.stdout + done.stderr).decode()
    assert done.returncode == 0, output
    return output


def test_promtool_takes_configuration_and_rules() -> None:
    for name in ("prometheus.yml", "compose.yml"):
        assert "SUCCESS" in promtool("check", "config", OPS / "prometheus" / name)
    promtool("test", "rules", OPS / "prometheus" / "tests.yml")


def test_promtool_has_nothing_to_say_about_the_metrics() -> None:
    seen = collector()
    seen.take(*frame("orderbook", "BTCUSDT", valid=True), NOW_S)
    assert promtool("check", "metrics", text=generate_latest(registry_of(seen.end_second(NOW_S, NOW_MS), 0))) == ""
