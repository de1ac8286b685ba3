import configparser
import stat
import sys
from pathlib import Path

import pytest

from binance_streamer.cli.errors import CommandError, Exit
from binance_streamer.cli.supervisor import files
from binance_streamer.config import schema as configuration
from binance_streamer.config.schema import Config
from binance_streamer.deploy.supervisord import (
    Program,
    Site,
    control_socket,
    ingest_name,
    partner_name,
    program_name,
    program_sections,
    programs,
    site_of,
    state_directory,
    text_of,
    worker_symbol,
)
from tests.support.data import REPOSITORY

SERVICES = {"bus", "writer", "rest", "ingest"}
YAML = """
mode: production
modes:
  production:
    symbols:
      - symbol: BTCUSDT
      - symbol: 币安人生USDT
      - symbol: OLDUSDT
        enabled: false
"""


@pytest.fixture
def yaml(tmp_path: Path) -> Path:
    path = tmp_path / "config" / "streamer.yaml"
    path.parent.mkdir()
    path.write_text(YAML, encoding="utf-8")
    return path


def wanted(yaml: Path, services: set[str] = SERVICES) -> list[Program]:
    return programs(configuration.load(yaml), yaml, services)


def parsed(text: str) -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser(inline_comment_prefixes=(";", "#"), strict=True)
    parser.read_string(text)
    return parser


def test_programs_start_in_the_order_bus_writer_rest_ingest(yaml: Path) -> None:
    assert [(program.name, program.priority, program.stop_wait_s) for program in wanted(yaml)] == [
        ("bus", 10, 15),
        ("writer", 20, 30),
        ("rest", 30, 15),
        ("ingest-BTCUSDT", 40, 15),
        ("ingest-%E5%B8%81%E5%AE%89%E4%BA%BA%E7%94%9FUSDT", 40, 15),
    ]


def test_a_symbol_with_a_standby_has_two_programs_which_share_its_connections(yaml: Path) -> None:
    yaml.write_text(YAML.replace("- symbol: BTCUSDT", "- symbol: BTCUSDT\n        standby: true"), encoding="utf-8")
    *_, worker, other, standby = wanted(yaml)
    assert (worker.name, other.name, standby.name) == (
        "ingest-BTCUSDT",
        "ingest-%E5%B8%81%E5%AE%89%E4%BA%BA%E7%94%9FUSDT",
        "standby-BTCUSDT",
    )
    assert standby.arguments == (*worker.arguments, "--standby")
    assert standby.settings == worker.settings
    config = configuration.load(yaml)
    assert [config.connections_of(symbol) for symbol in config.symbols] == [1, 2]


def test_the_two_workers_of_a_symbol_know_each_other_by_name() -> None:
    assert (partner_name("ingest-BTCUSDT"), partner_name("standby-%E5")) == ("standby-BTCUSDT", "ingest-%E5")
    assert [worker_symbol(name) for name in ("standby-BTCUSDT", "ingest-BTCUSDT", "rest")] == [
        "BTCUSDT",
        "BTCUSDT",
        None,
    ]
    assert program_name("standby-币安人生USDT") == "standby-%E5%B8%81%E5%AE%89%E4%BA%BA%E7%94%9FUSDT"


def test_a_service_that_is_not_built_has_no_program(yaml: Path) -> None:
    assert [program.name for program in wanted(yaml, {"bus", "orderbook"})][:2] == ["bus", "orderbook"]


def test_the_monitor_runs_unless_it_is_switched_off(yaml: Path) -> None:
    assert "monitor" in [program.name for program in wanted(yaml, {*SERVICES, "monitor"})]
    yaml.write_text(YAML + "monitor: {enabled: false}\n", encoding="utf-8")
    assert "monitor" not in [program.name for program in wanted(yaml, {*SERVICES, "monitor"})]


def test_an_ingest_worker_gets_its_symbol_as_the_exchange_spells_it(yaml: Path) -> None:
    assert wanted(yaml)[-1].arguments == ("-m", "services.ingest", "--symbol", "币安人生USDT", "-c", str(yaml))


def test_no_two_symbols_share_a_program() -> None:
    names = {ingest_name(symbol) for symbol in ("AUSDT", "aUSDT", "AUSDT_260925", "ÄUSDT", "A-USDT", "%C3%84USDT")}
    assert len(names) == 6


@pytest.mark.parametrize(
    ("given", "program"),
    [
        ("writer", "writer"),
        ("ingest-BTCUSDT", "ingest-BTCUSDT"),
        ("ingest-ÄUSDT", "ingest-%C3%84USDT"),
        ("ingest-%C3%84USDT", "ingest-%C3%84USDT"),
    ],
)
def test_a_program_is_named_plainly_or_encoded(given: str, program: str) -> None:
    assert program_name(given) == program


def in_a_checkout(yaml: Path) -> Site:
    """The site of this configuration as if our checkout were there."""
    site = site_of(configuration.load(yaml), yaml)
    return site._replace(python="python", path=site.root / ".venv" / "bin")


def test_a_checkout_may_lie_anywhere(yaml: Path) -> None:
    text = text_of(in_a_checkout(yaml), wanted(yaml))
    assert list(program_sections(text)) == [
        "bus",
        "writer",
        "rest",
        "ingest-BTCUSDT",
        "ingest-%E5%B8%81%E5%AE%89%E4%BA%BA%E7%94%9FUSDT",
    ]
    assert str(yaml.parents[1]) not in text


def test_a_lake_brings_an_archiver_and_restarts_nobody_else(yaml: Path) -> None:
    services = {*SERVICES, "archiver"}
    before = {program.name: program.settings for program in wanted(yaml, services)}
    yaml.write_text(YAML + "\nstorage: {lake: lake, keep_csv: false}\n", encoding="utf-8")
    after = {program.name: program.settings for program in wanted(yaml, services)}
    assert {**before, "archiver": after["archiver"]} == after
    assert "archiver" not in before


def test_a_worker_is_restarted_for_ever_and_given_time_to_end(yaml: Path) -> None:
    found = parsed(text_of(in_a_checkout(yaml), wanted(yaml)))
    assert dict(found["program:ingest-BTCUSDT"]) == {
        "command": "python -E -P -X utf8 -m services.ingest --symbol BTCUSDT -c config/streamer.yaml",
        "directory": "%(here)s",
        "environment": 'PATH="%(here)s/.venv/bin:%(ENV_PATH)s",'
        'BINANCE_STREAMER_SETTINGS="%(here)s/var/run.supervisor/settings/e5c87693bc77.yaml"',
        "priority": "40",
        "autostart": "true",
        "autorestart": "true",
        "startsecs": "1",
        "startretries": "1000000000",
        "stopsignal": "TERM",
        "stopwaitsecs": "15",
        "killasgroup": "true",
        "redirect_stderr": "true",
        "stdout_logfile": "%(here)s/var/run.supervisor/ingest-BTCUSDT.log",
        "stdout_logfile_maxbytes": "1MB",
        "stdout_logfile_backups": "1",
    }


def test_elsewhere_programs_are_run_by_the_python_that_runs_us(yaml: Path) -> None:
    site = site_of(configuration.load(yaml), yaml)
    bus = parsed(text_of(site, wanted(yaml)))["program:bus"]
    assert bus["command"] == f"{sys.executable} -E -P -X utf8 -m services.bus -c config/streamer.yaml"
    assert "PATH=" not in bus["environment"]


def test_a_log_has_no_percent_sign_which_supervisor_would_expand(yaml: Path) -> None:
    found = parsed(text_of(in_a_checkout(yaml), wanted(yaml)))
    section = found[f"program:{ingest_name('币安人生USDT')}"]
    assert section["stdout_logfile"].endswith("/ingest-=E5=B8=81=E5=AE=89=E4=BA=BA=E7=94=9FUSDT.log")
    assert (
        section["command"] == "python -E -P -X utf8 -m services.ingest --symbol '币安人生USDT' -c config/streamer.yaml"
    )


def test_supervisord_listens_on_a_private_socket_alone(yaml: Path) -> None:
    main = parsed(text_of(in_a_checkout(yaml), []))
    assert main["unix_http_server"]["chmod"] == "0700"
    assert "inet_http_server" not in main
    assert main["supervisord"]["umask"] == "027"


def test_what_lies_outside_the_site_is_named_absolutely() -> None:
    site = Site(Path("/a/b"), Path("/var/x"), "/opt/my python/bin/python")
    text = text_of(site, [Program("bus", ("-m", "services.bus", "-c", "/etc/100%.yaml"), 10)])
    bus = parsed(text)["program:bus"]
    assert bus["command"] == "'/opt/my python/bin/python' -E -P -X utf8 -m services.bus -c /etc/100%%.yaml"
    assert bus["stdout_logfile"] == "/var/x/bus.log"


def test_two_configurations_have_two_control_sockets(tmp_path: Path) -> None:
    def socket(run: str) -> Path:
        text = YAML + f"endpoints: {{run_directory: {run}}}\n"
        return control_socket(state_directory(configuration.parse(text, tmp_path / "x.yaml")))

    assert socket("run") == tmp_path / "run.supervisor/supervisord.sock"
    assert socket("run2") != socket("run")


def test_a_program_that_changed_came_or_went_is_known_by_its_section(yaml: Path) -> None:
    config = configuration.load(yaml)
    site = files.prepare(config, yaml)
    assert files.is_current(config, yaml)
    assert files.outdated_programs(site.main, files.wanted_text(config, yaml)) == set()

    yaml.write_text(YAML.replace("- symbol: BTCUSDT", "- symbol: SOLUSDT"), encoding="utf-8")
    config = configuration.load(yaml)
    assert not files.is_current(config, yaml)
    found = files.outdated_programs(site.main, files.wanted_text(config, yaml))
    assert found == {"ingest-BTCUSDT", "ingest-SOLUSDT", "rest", "orderbook", "monitor"}
    files.prepare(config, yaml)
    assert files.is_current(config, yaml)


def test_a_file_of_somebody_else_has_none_of_our_programs(yaml: Path) -> None:
    site = in_a_checkout(yaml)
    site.main.write_bytes(b"[program:bus]\xff\n")
    config = configuration.load(yaml)
    text = files.wanted_text(config, yaml)
    assert not files.is_current(config, yaml)
    assert files.outdated_programs(site.main, text) == set(program_sections(text))


def test_an_unchanged_file_is_not_touched(yaml: Path) -> None:
    config = configuration.load(yaml)
    main = files.prepare(config, yaml).main
    before = main.stat().st_ino
    assert files.prepare(config, yaml).main.stat().st_ino == before


def test_a_folder_that_cannot_be_written_is_said(yaml: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.replace", refuse)
    with pytest.raises(CommandError, match=r"cannot write .*supervisord\.conf") as refused:
        files.prepare(configuration.load(yaml), yaml)
    assert refused.value.code is Exit.CONFIG


def committed() -> tuple[Site, Config, Path]:
    path = REPOSITORY / "config" / "streamer.yaml"
    config = configuration.load(path)
    return site_of(config, path), config, path


def test_the_committed_file_is_what_the_yaml_generates() -> None:
    _, config, path = committed()
    assert files.is_current(config, path)


def test_supervisord_finds_its_directory_in_a_fresh_checkout() -> None:
    site, _, _ = committed()
    kept = site.state / ".gitignore"
    assert kept.read_text() == "*\n!.gitignore\n"
    assert stat.S_ISREG(kept.stat().st_mode)
