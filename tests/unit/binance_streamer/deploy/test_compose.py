"""`docker-compose.yml`: what the configuration generates, and what every container must not be allowed."""

import importlib.util
import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from binance_streamer.cli.supervisor import compose_file as composes
from binance_streamer.cli.supervisor.compose_file import compose_path, compose_text
from binance_streamer.cli.supervisor.files import built_services
from binance_streamer.config import own_config
from binance_streamer.config import schema as configuration
from binance_streamer.config.schema import ConfigError
from binance_streamer.deploy import compose
from tests.support.data import REPOSITORY

YAML = """
mode: production
modes:
  production:
    symbols:
      - symbol: BTCUSDT
      - symbol: 币安人生USDT
      - symbol: $UMUSDT
        streams: [aggTrade]
      - symbol: OLDUSDT
        enabled: false
"""
SERVICES = {"bus", "writer", "rest", "ingest", "orderbook", "monitor"}
OF_ALL_SYMBOLS = {"rest", "orderbook", "monitor"}
Services = dict[str, dict[str, Any]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = tmp_path / "config"
    found.mkdir()
    (found / "streamer.yaml").write_text(YAML, encoding="utf-8")
    for name in ("compose.yaml", "demo.yaml"):
        (found / name).write_text((REPOSITORY / "config" / name).read_text(encoding="utf-8"), encoding="utf-8")
    return found


def generated(folder: Path, services: set[str] = SERVICES) -> Services:
    record, demo = (
        compose.Stack(profile, folder / file, configuration.load(folder / file), services, ("./config:/app/config:ro",))
        for profile, file in (("record", "compose.yaml"), ("demo", "demo.yaml"))
    )
    found: Services = yaml.safe_load(compose.text(record, demo, "."))["services"]
    return found


def committed() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text(encoding="utf-8"))
    return found


def test_the_committed_file_is_what_the_configuration_generates() -> None:
    path = REPOSITORY / "config" / "streamer.yaml"
    assert compose_path(path) == REPOSITORY / "docker-compose.yml"
    text = compose_path(path).read_text(encoding="utf-8")
    assert text == compose_text(path), "run `binance-streamer apply --compose`"


def test_old_and_new_compose_read_it() -> None:
    assert {"name", "version"}.isdisjoint(committed())


def test_a_service_for_every_process_that_is_there_in_both_stacks() -> None:
    expected = {*(built_services() - {"ingest", "archiver"}), "ingest-BTCUSDT", "ingest-ETHUSDT"}
    services = committed()["services"]
    record = {name for name, service in services.items() if service["profiles"] == ["record"]}
    demo = {name for name, service in services.items() if service["profiles"] == ["demo"]}
    assert record == expected | {"ingest-SOLUSDT"}
    assert demo == {f"demo-{name}" for name in expected} | {"simulator"}


def test_no_container_may_more_than_it_must() -> None:
    for name, service in committed()["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["pids_limit"] <= 128, name
        assert service["mem_limit"], name
        assert service["init"] is True, name
        assert service["tmpfs"] == ["/tmp:size=64m"], name
        assert {"privileged", "user", "cap_add", "network_mode", "pid", "ipc", "devices"}.isdisjoint(service), name
        assert "docker.sock" not in str(service["volumes"]), name
        assert all(volume.endswith(":ro") for volume in service["volumes"] if volume.startswith(".")), name


def test_ports_are_published_to_this_machine_only() -> None:
    ports = [port for service in committed()["services"].values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:${") for port in ports)


def test_the_image_runs_as_a_user_without_rights_and_names_no_host() -> None:
    lines = (REPOSITORY / "Dockerfile").read_text(encoding="utf-8").splitlines()
    users = [line for line in lines if line.startswith("USER ")]
    assert users == ["USER 10001:10001"]
    assert lines[0].startswith("# ")
    assert "ARG BASE_IMAGE=python:3.12-slim-bookworm" in lines
    assert not any(re.search(r"--mount|<<|https?://|^# *syntax", line) for line in lines)


def test_the_image_is_made_of_pinned_and_hashed_packages() -> None:
    for name in ("requirements.lock", "requirements-build.lock"):
        pins = re.findall(r"^[a-z].*?(?=^[a-z]|\Z)", (REPOSITORY / name).read_text(encoding="utf-8"), re.DOTALL | re.M)
        assert pins
        assert all("==" in pin and "--hash=sha256:" in pin for pin in pins)


def test_a_stop_has_more_time_than_a_commit_needs(folder: Path) -> None:
    with (folder / "streamer.yaml").open("a", encoding="utf-8") as file:
        file.write("storage: {commit_interval: 60}\n")
    for name, service in generated(folder).items():
        if name not in ("simulator", "prometheus"):
            assert int(service["stop_grace_period"].removesuffix("s")) > 60, name


def test_producers_stop_before_the_writer_and_the_bus_last(folder: Path) -> None:
    services = generated(folder)
    assert "depends_on" not in services["bus"]
    assert services["writer"]["depends_on"] == ["bus"]
    for name in ("rest", "orderbook", "ingest-BTCUSDT"):
        assert services[name]["depends_on"] == ["bus", "writer"]
        assert set(services[f"demo-{name}"]["depends_on"]) == {"demo-bus", "demo-writer", "simulator"}


def test_the_service_on_which_all_others_depend_builds_the_image_once(folder: Path) -> None:
    services = generated(folder)
    building = {name for name, service in services.items() if "build" in service}
    assert building == {"bus", "simulator"}
    for name, service in services.items():
        if name not in (*building, "prometheus"):
            root = "bus" if service["profiles"] == ["record"] else "simulator"
            assert root in service["depends_on"], name
    images = {service["image"] for name, service in services.items() if name != "prometheus"}
    assert images == {"${STREAMER_IMAGE:-localhost/binance-streamer}"}


def test_the_stacks_share_no_volume_and_no_network(folder: Path) -> None:
    services = generated(folder)
    for name, service in services.items():
        volumes = {volume.partition(":/")[0] for volume in service["volumes"]} - {"./config"}
        if service["profiles"] == ["demo"]:
            assert volumes == {"demo"}, name
            assert set(service["networks"]) == {"demo"}, name
        else:
            assert "demo" not in volumes, name
            assert "networks" not in service, name


def test_commands_and_health_checks_name_modules_that_exist(folder: Path) -> None:
    services = generated(folder)
    commands = [service["command"] for service in services.values()]
    checks = [service["healthcheck"]["test"][1:] for service in services.values() if "healthcheck" in service]
    modules = {words[words.index("-m") + 1] for words in (*commands, *checks) if "-m" in words}
    assert "binance_streamer.health.healthcheck" in modules
    assert [name for name in modules if importlib.util.find_spec(name) is None] == []


def test_a_process_sees_no_more_files_than_it_needs(folder: Path) -> None:
    services = generated(folder)
    places = {
        "bus": {"var"},
        "writer": {"var", "data"},
        "rest": {"var", "var/journal"},
        "ingest-BTCUSDT": {"var", "var/journal"},
        "monitor": {"var", "data:ro"},
    }
    for name in services.keys() & places.keys():
        found = {volume.partition(":/app/")[2] for volume in services[name]["volumes"]} - {"config:ro"}
        assert found == places[name], name


def test_any_symbol_has_a_service(folder: Path) -> None:
    services = generated(folder)
    name = "ingest-.E5.B8.81.E5.AE.89.E4.BA.BA.E7.94.9FUSDT"
    assert re.fullmatch(r"[a-zA-Z0-9._-]+", name)
    assert services[name]["command"][-4:] == ["--symbol", "币安人生USDT", "-c", "config/compose.yaml"]
    assert services[name]["healthcheck"]["test"][-1] == "ingest-币安人生USDT"
    assert services["ingest-.24UMUSDT"]["command"][4] == "$$UMUSDT"  # compose makes one dollar sign of two
    assert not any("OLDUSDT" in service for service in services)


def test_a_change_of_a_section_starts_again_who_reads_it(folder: Path) -> None:
    before = generated(folder)
    with (folder / "streamer.yaml").open("a", encoding="utf-8") as file:
        file.write("network: {snapshot_interval: 60}\n")
    after = generated(folder)
    changed = {name for name in before if before[name] != after[name] and not name.startswith("demo-")}
    assert changed == OF_ALL_SYMBOLS & set(before)


def test_a_change_of_a_symbol_changes_its_services_alone(folder: Path) -> None:
    before = generated(folder)
    path = folder / "streamer.yaml"
    path.write_text(YAML.replace("streams: [aggTrade]", "streams: [trade]"), encoding="utf-8")
    after = generated(folder)
    changed = {name for name in before if before[name] != after[name]}
    assert changed == ({"ingest-.24UMUSDT"} | OF_ALL_SYMBOLS) & set(before)


def test_a_new_symbol_leaves_the_other_workers_alone(folder: Path) -> None:
    before = generated(folder)
    path = folder / "streamer.yaml"
    path.write_text(YAML + "      - symbol: XRPUSDT\n", encoding="utf-8")
    after = generated(folder)
    assert set(after) - set(before) == {"ingest-XRPUSDT"}
    assert {name for name in before if before[name] != after[name]} == OF_ALL_SYMBOLS & set(before)


def test_what_up_will_do_is_said_and_a_dry_run_writes_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = folder.parent / "docker-compose.yml"
    composes.write(folder / "streamer.yaml", dry_run=False)
    before = path.read_text(encoding="utf-8")
    capsys.readouterr()
    text = YAML.replace("BTCUSDT", "XRPUSDT").replace("streams: [aggTrade]", "streams: [trade]")
    (folder / "streamer.yaml").write_text(text, encoding="utf-8")
    composes.write(folder / "streamer.yaml", dry_run=True)
    assert path.read_text(encoding="utf-8") == before
    said = capsys.readouterr().out.splitlines()
    again = [name for name in ("rest", "orderbook", "monitor") if f"\n  {name}:\n" in before]
    assert sorted(said) == sorted([
        "ingest-XRPUSDT: will be started",
        "ingest-BTCUSDT: will be stopped",
        "ingest-.24UMUSDT: will be started again",
        *(f"{name}: will be started again" for name in again),
        "dry run: nothing was done",
    ])  # fmt: skip
    composes.write(folder / "streamer.yaml", dry_run=False)
    assert path.read_text(encoding="utf-8") == compose_text(folder / "streamer.yaml")
    composes.write(folder / "streamer.yaml", dry_run=False)
    assert capsys.readouterr().out.splitlines()[-1] == f"up to date: {path}"


def test_prometheus_scrapes_the_monitor_by_its_name() -> None:
    scraped = yaml.safe_load((REPOSITORY / "ops" / "prometheus" / "compose.yml").read_text())["scrape_configs"][0]
    port = configuration.load(REPOSITORY / "config" / "compose.yaml").monitor.address.rpartition(":")[2]
    assert scraped["static_configs"] == [{"targets": [f"monitor:{port}"]}]


def test_the_simulator_has_the_symbols_and_the_certificate_of_the_demo(folder: Path) -> None:
    script = generated(folder)["simulator"]["command"][2]
    assert "--symbols BTCUSDT,ETHUSDT" in script
    assert "subjectAltName=DNS:simulator " in script
    assert script.count("simulator.pem") == 3
    network = configuration.load(folder / "demo.yaml").network
    assert network.websocket_url == "wss://simulator:8443"
    assert Path(network.ca_file).name == "simulator.pem"


def test_endpoints_that_other_containers_cannot_reach_are_refused(folder: Path) -> None:
    (folder / "compose.yaml").write_text("base: streamer.yaml\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"endpoints\.bus_subscribe: expected tcp://"):
        compose_text(folder / "streamer.yaml")
    (folder / "compose.yaml").unlink()
    with pytest.raises(ConfigError, match=r"compose\.yaml is missing"):
        compose_text(folder / "streamer.yaml")


def test_the_profile_that_runs_where_none_is_given_is_that_of_the_recorder() -> None:
    lines = (REPOSITORY / ".env").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if not line.startswith("#")] == ["COMPOSE_PROFILES=record"]


def test_nothing_but_what_the_image_is_made_of_is_sent_to_the_engine() -> None:
    lines = [line for line in (REPOSITORY / ".dockerignore").read_text(encoding="utf-8").splitlines() if line[0] != "#"]
    assert lines[0] == "*"
    copied = re.findall(r"^COPY (?!--)(.*) \S+$", (REPOSITORY / "Dockerfile").read_text(encoding="utf-8"), re.M)
    names = {name.rstrip("/") for words in copied for name in words.split()}
    assert {line[1:] for line in lines if line.startswith("!")} == names
    assert all(os.access(REPOSITORY / name, os.R_OK) for name in names)


def test_a_configuration_of_ones_own_has_a_file_of_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = own_config.create(tmp_path / "recording")
    composes.write(path, dry_run=True)
    assert [one.name for one in path.parent.iterdir()] == ["streamer.yaml"]
    composes.write(path, dry_run=False)
    assert capsys.readouterr().out.splitlines()[-1].endswith("docker-compose.yml up -d --remove-orphans`")
    assert configuration.load(path.parent / "compose.yaml").symbols == configuration.load(path).symbols
    text = (path.parent / "docker-compose.yml").read_text(encoding="utf-8")
    services = yaml.safe_load(text)["services"]
    assert services.keys() == {
        "bus",
        "writer",
        "rest",
        "orderbook",
        "monitor",
        "prometheus",
        "ingest-BTCUSDT",
        "ingest-ETHUSDT",
    }
    assert {name for name, service in services.items() if "profiles" in service} == {"prometheus"}
    files = ["./streamer.yaml:/app/config/streamer.yaml:ro", "./compose.yaml:/app/config/compose.yaml:ro"]
    for name in services.keys() - {"prometheus"}:
        assert services[name]["volumes"][:2] == files, name
    root = Path(services["bus"]["build"]["context"])
    assert (path.parent / root / "Dockerfile").resolve() == REPOSITORY / "Dockerfile"
    (mounted,) = [one for one in services["prometheus"]["volumes"] if "ops" in one]
    assert (path.parent / mounted.partition(":")[0]).resolve() == REPOSITORY / "ops" / "prometheus"


def test_what_was_written_beside_ones_own_configuration_is_kept(tmp_path: Path) -> None:
    path = own_config.create(tmp_path)
    composes.write(path, dry_run=False)
    overlay = tmp_path / "compose.yaml"
    overlay.write_text(overlay.read_text(encoding="utf-8").replace("8787", "9999"), encoding="utf-8")
    composes.write(path, dry_run=False)
    monitor = yaml.safe_load((tmp_path / "docker-compose.yml").read_text(encoding="utf-8"))["services"]["monitor"]
    assert monitor["ports"] == ["127.0.0.1:${PAGE_PORT:-9999}:9999"]
