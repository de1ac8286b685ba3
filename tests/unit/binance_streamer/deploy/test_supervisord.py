import configparser
import stat
from pathlib import Path

import pytest

from binance_streamer.cli.supervisor import files as sites
from binance_streamer.config import schema as configuration
from binance_streamer.config.schema import Config
from binance_streamer.deploy.supervisord import (
    Program,
    Site,
    checkout_site,
    control_socket,
    files,
    ingest_name,
    program_name,
    programs,
    state_directory,
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


def test_a_checkout_may_lie_anywhere(yaml: Path) -> None:
    config = configuration.load(yaml)
    texts = files(checkout_site(config, yaml), wanted(yaml))
    assert sorted(str(path.relative_to(yaml.parents[1])) for path in texts) == [
        "config/supervisor.d/bus.conf",
        "config/supervisor.d/ingest-%E5%B8%81%E5%AE%89%E4%BA%BA%E7%94%9FUSDT.conf",
        "config/supervisor.d/ingest-BTCUSDT.conf",
        "config/supervisor.d/rest.conf",
        "config/supervisor.d/writer.conf",
        "supervisord.conf",
    ]
    assert not [path for path, text in texts.items() if str(yaml.parents[1]) in text]


def test_a_worker_is_restarted_for_ever_and_given_time_to_end(yaml: Path) -> None:
    config = configuration.load(yaml)
    site = checkout_site(config, yaml)
    worker = parsed(files(site, wanted(yaml))[site.include / "ingest-BTCUSDT.conf"])
    assert dict(worker["program:ingest-BTCUSDT"]) == {
        "command": "python -E -P -X utf8 -m services.ingest --symbol BTCUSDT -c config/streamer.yaml",
        "directory": "%(here)s/../..",
        "environment": 'PATH="%(here)s/../../.venv/bin:%(ENV_PATH)s",'
        'BINANCE_STREAMER_SETTINGS="%(here)s/../../var/run.supervisor/settings/d2f7f968bac4.yaml"',
        "priority": "40",
        "autostart": "true",
        "autorestart": "true",
        "startsecs": "1",
        "startretries": "1000000000",
        "stopsignal": "TERM",
        "stopwaitsecs": "15",
        "killasgroup": "true",
        "redirect_stderr": "true",
        "stdout_logfile": "%(here)s/../../var/run.supervisor/ingest-BTCUSDT.log",
        "stdout_logfile_maxbytes": "1MB",
        "stdout_logfile_backups": "1",
    }


def test_a_log_has_no_percent_sign_which_supervisor_would_expand(yaml: Path) -> None:
    config = configuration.load(yaml)
    site = checkout_site(config, yaml)
    name = ingest_name("币安人生USDT")
    section = parsed(files(site, wanted(yaml))[site.include / f"{name}.conf"])[f"program:{name}"]
    assert section["stdout_logfile"].endswith("/ingest-=E5=B8=81=E5=AE=89=E4=BA=BA=E7=94=9FUSDT.log")
    assert (
        section["command"] == "python -E -P -X utf8 -m services.ingest --symbol '币安人生USDT' -c config/streamer.yaml"
    )


def test_supervisord_listens_on_a_private_socket_alone(yaml: Path) -> None:
    config = configuration.load(yaml)
    site = checkout_site(config, yaml)
    main = parsed(files(site, [])[site.root / "supervisord.conf"])
    assert main["unix_http_server"]["chmod"] == "0700"
    assert "inet_http_server" not in main
    assert main["supervisord"]["umask"] == "027"
    assert main["include"]["files"] == "config/supervisor.d/*.conf"


def test_programs_are_found_in_a_folder_with_a_space(tmp_path: Path) -> None:
    path = tmp_path / "my checkout" / "my config" / "streamer.yaml"
    path.parent.mkdir(parents=True)
    path.write_text("mode: development\nmodes: {development: {symbols: [{symbol: BTCUSDT}]}}\n")
    config = configuration.load(path)
    texts = files(checkout_site(config, path), [Program("bus", ("-m", "services.bus"), 10)])
    for file, text in texts.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    (main,) = [file for file in texts if file.name == "supervisord.conf"]
    patterns = parsed(texts[main])["include"]["files"].split()  # as supervisor 4.3 does, and joins them to the folder
    found = [program for pattern in patterns for program in main.parent.glob(pattern)]
    assert found == [path.parent / "supervisor.d" / "bus.conf"]


def test_what_lies_outside_the_site_is_named_absolutely() -> None:
    site = Site(Path("/a/b"), Path("/a/b/d"), Path("/var/x"), python="/opt/my python/bin/python")
    texts = files(site, [Program("bus", ("-m", "services.bus", "-c", "/etc/100%.yaml"), 10)])
    bus = parsed(texts[Path("/a/b/d/bus.conf")])["program:bus"]
    assert bus["command"] == "'/opt/my python/bin/python' -E -P -X utf8 -m services.bus -c /etc/100%%.yaml"
    assert bus["stdout_logfile"] == "/var/x/bus.log"


def test_two_configurations_have_two_control_sockets(tmp_path: Path) -> None:
    def socket(run: str) -> Path:
        text = YAML + f"endpoints: {{run_directory: {run}}}\n"
        return control_socket(state_directory(configuration.parse(text, tmp_path / "x.yaml")))

    assert socket("run") == tmp_path / "run.supervisor/supervisord.sock"
    assert socket("run2") != socket("run")


def test_a_symbol_that_is_removed_takes_its_program_with_it(yaml: Path) -> None:
    def refresh() -> list[str]:
        config = configuration.load(yaml)
        site = checkout_site(config, yaml)
        texts = files(site, wanted(yaml))
        sites.write(site, texts)
        assert sites.outdated(site, texts) == []
        return sorted(path.name for path in site.include.iterdir())

    before = refresh()
    yaml.write_text(YAML.replace("- symbol: BTCUSDT", "- symbol: SOLUSDT"), encoding="utf-8")

    assert set(before) ^ set(refresh()) == {"ingest-BTCUSDT.conf", "ingest-SOLUSDT.conf"}


def test_unchanged_files_are_not_touched(yaml: Path) -> None:
    config = configuration.load(yaml)
    site = checkout_site(config, yaml)
    texts = files(site, wanted(yaml))
    sites.write(site, texts)
    before = {path: path.stat().st_ino for path in texts}
    sites.write(site, texts)
    assert {path: path.stat().st_ino for path in texts} == before


def test_a_changed_and_a_stray_file_are_reported(yaml: Path) -> None:
    config = configuration.load(yaml)
    site = checkout_site(config, yaml)
    texts = files(site, wanted(yaml))
    sites.write(site, texts)
    (site.include / "bus.conf").write_text("[program:bus]\n")
    (site.include / "old.conf").write_text("[program:old]\n")
    assert sites.outdated(site, texts) == [
        f"{site.include}/bus.conf is missing or differs",
        f"{site.include}/old.conf is of a program that is no longer configured",
    ]


def committed() -> tuple[Site, Config, Path]:
    path = REPOSITORY / "config" / "streamer.yaml"
    config = configuration.load(path)
    return checkout_site(config, path), config, path


def test_the_committed_files_are_what_the_yaml_generates() -> None:
    site, config, path = committed()
    assert sites.outdated(site, sites.site_files(site, config, path)) == []


def test_supervisord_finds_its_directory_in_a_fresh_checkout() -> None:
    site, _, _ = committed()
    kept = site.state / ".gitignore"
    assert kept.read_text() == "*\n!.gitignore\n"
    assert stat.S_ISREG(kept.stat().st_mode)
