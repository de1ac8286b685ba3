"""A process is started again where something changed that it reads, and only there."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from binance_streamer.config import schema as configuration
from binance_streamer.deploy.digest import SECTIONS, UNREAD, settings_of
from tests.support.data import REPOSITORY

YAML = """
mode: production
modes:
  production:
    symbols:
      - symbol: BTCUSDT
        streams: [aggTrade, depth@0ms]
      - symbol: ETHUSDT
"""
ALL = {"bus", "writer", "rest", "orderbook", "monitor", "ingest-BTCUSDT", "ingest-ETHUSDT"}
OF_SYMBOLS = {"rest", "orderbook", "monitor"}


def names(text: str, path: Path = Path("/x/config/streamer.yaml")) -> dict[str, str]:
    """The settings of every process, by its name."""
    config = configuration.parse(text, path)
    found = {service: settings_of(config, path, service) for service in ALL if "-" not in service}
    for symbol in ("BTCUSDT", "ETHUSDT"):
        found[f"ingest-{symbol}"] = settings_of(config, path, "ingest", symbol)
    return found


def changed_by(text: str) -> set[str]:
    before, after = names(YAML), names(text)
    return {name for name in ALL if before[name] != after[name]}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (YAML.replace("depth@0ms", "kline_1m"), {"ingest-BTCUSDT"} | OF_SYMBOLS),
        (YAML.replace("depth@0ms", "depth@0ms, openInterest@60s"), OF_SYMBOLS),
        (YAML + "      - symbol: SOLUSDT\n", OF_SYMBOLS),
        (YAML + "        depth_snapshot: false\n", {"ingest-ETHUSDT"} | OF_SYMBOLS),
        (YAML + "      - symbol: SOLUSDT\n        enabled: false\n", set()),
        (YAML + "    run_duration: 60\n", set()),
        (YAML + "network: {snapshot_interval: 60}\n", OF_SYMBOLS),
        (YAML + "network: {stale_timeout: 30}\n", ALL - {"bus", "writer"}),
        (YAML + "network: {stale_timeout: 60}\n", set()),
        (YAML + "network: {connections: 3}\n", ALL - {"bus", "writer"}),
        (YAML + "storage: {file_format: csv.zst}\n", ALL - {"bus", "ingest-BTCUSDT", "ingest-ETHUSDT"}),
        (YAML + "storage: {compress_interval: 9}\n", ALL - {"bus", "ingest-BTCUSDT", "ingest-ETHUSDT"}),
        (YAML + "storage: {flush_interval: 2}\n", ALL - {"bus", "ingest-BTCUSDT", "ingest-ETHUSDT"}),
        (YAML + "storage: {journal_directory: ../journals}\n", ALL - {"bus"}),
        (YAML + "logging: {level: debug}\n", ALL),
        (YAML + "alerts: {clock: 3}\n", {"monitor"}),
        (YAML + "endpoints: {orderbook_query: 'ipc://{run}/q'}\n", ALL - {"ingest-BTCUSDT", "ingest-ETHUSDT"}),
    ],
)
def test_a_change_concerns_those_who_read_it(text: str, expected: set[str]) -> None:
    assert changed_by(text) == expected


def test_the_mode_concerns_a_worker_by_its_connections() -> None:
    text = YAML.replace("production", "development")
    assert {"ingest-BTCUSDT", "ingest-ETHUSDT"} <= changed_by(text)
    assert changed_by(text + "network: {connections: 2}\n") >= {"ingest-BTCUSDT"}


def test_the_same_file_has_the_same_settings_in_every_checkout(tmp_path: Path) -> None:
    text = YAML + "storage: {journal_directory: ../elsewhere}\nlogging: {file: 'logs/{process}'}\n"
    assert names(text, tmp_path / "config" / "streamer.yaml") == names(text, Path("/x/config/streamer.yaml"))
    assert names(text, Path("/streamer.yaml")) == names(text, Path("/streamer.yaml"))


def sources(service: str) -> Iterator[Path]:
    """Modules that the process of a service reaches, of its own and of the runtime."""
    seen: set[Path] = set()
    waiting = [REPOSITORY / "services" / service / "app.py"]
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        yield path
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("services."):
                base = REPOSITORY / node.module.replace(".", "/")
                candidates = [base.with_suffix(".py"), *(base / f"{alias.name}.py" for alias in node.names)]
                waiting += [candidate for candidate in candidates if candidate.is_file()]


def attributes(service: str) -> set[str]:
    return {
        node.attr
        for path in sources(service)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
    }


BUILT = sorted(path.parent.name for path in (REPOSITORY / "services").glob("*/app.py"))


@pytest.mark.parametrize("service", BUILT)
def test_no_service_reads_what_does_not_restart_it(service: str) -> None:
    used = attributes(service)
    unread = {section for sections in SECTIONS.values() for section in sections} - set(SECTIONS[service])
    for keys in UNREAD.get(service, {}).values():
        unread |= keys
    assert used & unread == set()


def test_every_service_has_settings() -> None:
    assert set(BUILT) <= set(SECTIONS)
