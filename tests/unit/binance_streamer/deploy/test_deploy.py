"""Values that have a meaning in a generated file come back as they are when its own program reads it."""

import os
import shlex
import subprocess
from pathlib import Path

import msgspec
import pytest
import yaml
from supervisor.options import ClientOptions, ServerOptions

from binance_streamer.cli.supervisor import files
from binance_streamer.cli.supervisor.compose_file import compose_text
from binance_streamer.config import schema as configuration
from binance_streamer.config.schema import ConfigError
from binance_streamer.deploy.digest import SETTINGS_VARIABLE
from binance_streamer.deploy.supervisord import configured_socket, control_socket, site_of, text_of
from tests.support.data import REPOSITORY

FOLDERS = [
    "plain",
    "100%",
    "%(here)s",
    "%(ENV_HOME)s %%",
    "a #b ;c",
    "# first",
    "a [b] *?",
    'quoted "twice"',
    "it's",
    "back\\slash",
    "ends ",
    "币安 人生",
    "$HOME `ls` ${x}",
    "a,b=c",
]
YAML = "mode: production\nmodes: {production: {symbols: [{symbol: $UMUSDT}, {symbol: 币安人生USDT}]}}\n"


@pytest.mark.parametrize("form", ["checkout", "elsewhere"])
@pytest.mark.parametrize("folder", FOLDERS)
def test_supervisor_reads_back_what_was_meant(
    tmp_path: Path, folder: str, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/usr/bin")
    path = tmp_path / folder / "config" / "streamer.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(YAML, encoding="utf-8")
    config = configuration.load(path)
    site = site_of(config, path)
    if form == "checkout":
        site = site._replace(python="python", path=site.root / ".venv" / "bin")
    site.state.mkdir(parents=True)
    wanted = files.wanted_programs(config, path)
    files.write_text(site.main, text_of(site, wanted))

    options = ServerOptions()
    options.realize(["-n", "-c", str(site.main)])
    assert Path(options.directory) == site.root
    assert Path(options.pidfile) == site.state / "supervisord.pid"
    assert Path(options.childlogdir) == site.state
    (server,) = options.server_configs
    assert Path(server["file"]) == control_socket(site.state) == configured_socket(site.main)
    client = ClientOptions()
    client.realize(["-c", str(site.main)])
    assert client.serverurl == f"unix://{control_socket(site.state)}"
    found = {group.process_configs[0].name: group.process_configs[0] for group in options.process_group_configs}
    assert set(found) == {program.name for program in wanted}
    for program in wanted:
        one = found[program.name]
        words = shlex.split(one.command)
        assert words[0] == site.python
        assert (Path(one.directory) / words[-1]).resolve() == path
        if words[-5:-4] == ["services.ingest"]:
            assert words[-3] in ("$UMUSDT", "币安人生USDT")
        assert Path(one.directory).resolve() == site.root
        assert Path(one.environment[SETTINGS_VARIABLE]).resolve().parent == site.state / "settings"
        assert Path(one.stdout_logfile).resolve().parent == site.state
        if form == "checkout":
            assert Path(one.environment["PATH"].removesuffix(":/usr/bin")).resolve() == site.root / ".venv" / "bin"


@pytest.mark.parametrize(
    ("folder", "run_directory"), [("a", "/x/a\\nb"), ("a", "/x/\\x85"), ("\"both'", ""), ("a", "/x/\\\"both'")]
)
def test_what_its_files_cannot_hold_is_refused_with_advice(tmp_path: Path, folder: str, run_directory: str) -> None:
    path = tmp_path / folder / "config" / "streamer.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(YAML + (f'endpoints: {{run_directory: "{run_directory}"}}\n' if run_directory else ""), "utf-8")
    config = configuration.load(path)
    with pytest.raises(ConfigError, match="rename the folder"):
        text_of(site_of(config, path), files.wanted_programs(config, path))


def test_a_certificate_with_a_hostile_name_is_one_word_of_the_shell(tmp_path: Path) -> None:
    folder = tmp_path / "config"
    folder.mkdir()
    for name in ("streamer.yaml", "compose.yaml", "demo.yaml"):
        text = (REPOSITORY / "config" / name).read_text(encoding="utf-8")
        (folder / name).write_text(text.replace("simulator.pem", "a $(touch b); 'c'.pem"), encoding="utf-8")
    command = yaml.safe_load(compose_text(folder / "streamer.yaml"))["services"]["simulator"]["command"]
    script = command[-1].replace("$$", "$")
    (tmp_path / "demo").mkdir()
    seen = "python() { printf '%s\\n' \"$@\"; }; openssl() { :; }; "
    done = subprocess.run(
        ["sh", "-c", seen + script.replace("exec python", "python")],
        check=False, cwd=tmp_path, capture_output=True, text=True, env=dict(os.environ),
    )  # fmt: skip
    words = done.stdout.splitlines()
    assert words[words.index("--tls-cert") + 1] == "a $(touch b); 'c'.pem"
    assert not (tmp_path / "demo" / "b").exists()


@pytest.mark.parametrize("text", ["1E3", "1e-7", "-0.5E+9", "NO", "1:30", "010", "~", "null", "true", "# a", "a: b"])
def test_yaml_that_we_write_is_read_back_by_our_own_rules(tmp_path: Path, text: str) -> None:
    config = configuration.parse(YAML, tmp_path / "streamer.yaml")
    webhook = configuration.WebhookConfig(url="https://x/", format="telegram", chat_id=text)
    hostile = msgspec.structs.replace(config, alerts=configuration.AlertsConfig(webhooks=(webhook,)))
    assert configuration.parse(configuration.dump(hostile), tmp_path / "streamer.yaml") == hostile
