"""Whatever is wrong with the configuration is said with the file and the key."""

from pathlib import Path

import pytest

from binance_streamer.config import schema as config

ROOT = Path(__file__).parents[4]
FILE = Path("/etc/recorder/streamer.yaml")
MINIMAL = "mode: production\nmodes:\n  production:\n    symbols:\n      - symbol: BTCUSDT\n"


def parsed(extra: str = "") -> config.Config:
    return config.parse(MINIMAL + extra, FILE)


def test_the_committed_file_is_valid_and_records_the_default_streams() -> None:
    found = config.load(ROOT / "config/streamer.yaml")
    assert found.mode == "production"
    assert [symbol.symbol for symbol in found.symbols] == ["BTCUSDT", "ETHUSDT", "SOLUSDT"]
    assert found.symbol("ETHUSDT").streams == ("aggTrade", "depth@0ms", "kline_1m")
    assert found.network.websocket_url == "wss://fstream.binance.com"
    assert found.network.rest_url == "https://fapi.binance.com"


def test_the_committed_file_names_every_default_as_it_is() -> None:
    found = config.load(ROOT / "config/streamer.yaml")
    bare = config.parse(MINIMAL, ROOT / "config/streamer.yaml")
    for section in ("network", "storage", "performance", "orderbook", "monitor", "alerts", "logging", "endpoints"):
        assert getattr(found, section) == getattr(bare, section)


def test_what_is_dumped_is_read_back_the_same() -> None:
    found = config.load(ROOT / "config/streamer.yaml")
    assert config.parse(config.dump(found), Path("elsewhere/x.yaml")) == found


def test_paths_are_taken_from_the_folder_of_the_file() -> None:
    found = parsed()
    assert found.storage.output_directory == "/etc/data"
    assert found.endpoints.bus_subscribe == "ipc:///etc/var/run/bus.subscribe"
    assert found.log_file("ingest-BTCUSDT") == Path("/etc/var/log/ingest-BTCUSDT.log")


def test_a_lake_is_a_folder_or_a_bucket() -> None:
    folder, bucket = parsed("storage: {lake: ../lake}\n").storage, parsed("storage: {lake: s3://b-1/usdm/}\n").storage
    assert (folder.lake, folder.lake_folder) == ("/etc/lake", "/etc/lake")
    assert (bucket.lake, bucket.lake_folder) == ("s3://b-1/usdm", "")


def test_production_has_two_connections_unless_told_otherwise() -> None:
    assert parsed().connections == 2
    assert parsed("network: {connections: 3}\n").connections == 3
    development = MINIMAL.replace("production", "development")
    assert config.parse(development, FILE).connections == 1


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "the file is empty"),
        ("# nothing\n", "the file is empty"),
        ("- 1", "expected a map with the key 'mode', got a list"),
        ("mode: [", "not valid YAML: line 1, column 8: expected the node content"),
        (MINIMAL.replace("mode: production", "mode: nosuch"), "mode: expected development or production, got 'nosuch'"),
        (MINIMAL + "logging: {level: LOUD}\n", "logging.level: expected debug or error or info or warning, got 'LOUD'"),
        (
            MINIMAL + "alerts: {webhooks: [{url: 'https://x/', format: teams}]}\n",
            r"alerts.webhooks\[0\].format: expected json or slack or telegram, got 'teams'",
        ),
        ("mode: production", "top level: the key 'modes' is missing"),
        (MINIMAL + "mode: production\n", "duplicate key 'mode'"),
        (MINIMAL + "x: &a {b: 1}\ny: *a\n", "aliases are not supported"),
        (MINIMAL + "netwerk: {}\n", "netwerk"),
        (
            MINIMAL + "network: {conections: 2}\n",
            r"network.conections: there is no such key; did you mean 'connections'\? \(line 6\)",
        ),
        (MINIMAL + "network: {connections: 5}\n", r"network.connections: expected a whole number <= 4: 5 \(line 6\)"),
        (
            MINIMAL + "network: {connections: two}\n",
            "network.connections: expected a whole number or nothing, got text: 'two'",
        ),
        (MINIMAL + "network: {reconnect_delay: .inf}\n", "network.reconnect_delay"),
        (MINIMAL + "network: {reconnect_delay: 1:30}\n", "network.reconnect_delay"),
        (MINIMAL + "network: {reconnect_delay: 90}\n", "must not exceed reconnect_delay_max"),
        (MINIMAL + "network: {rest_url: fapi.binance.com}\n", "network.rest_url: expected http:// or https://"),
        (MINIMAL + "storage: {flush_interval: 10}\n", "storage.flush_interval: must not exceed commit_interval"),
        (MINIMAL + "storage: {file_format: parquet}\n", "storage.file_format"),
        (
            MINIMAL + "storage: {file_format: csv.zst, compress_interval: 31}\n",
            "storage.compress_interval: must be at most half of alerts.backlog",
        ),
        (MINIMAL + "storage: {lake: x, keep_csv: false, retention: {csv: 7}}\n", "storage.retention.csv: expected "),
        (
            MINIMAL + "storage: {lake: x, keep_csv: false, retention: {max_bytes: 9GiB}}\n",
            "storage.retention.max_bytes: expected a size such as 500GB",
        ),
        (MINIMAL + "storage: {lake: 's3://bucket'}\n", "storage.lake: expected a directory or s3://BUCKET/PREFIX;"),
        (MINIMAL + "storage: {lake: 's3://key:secret@bucket/lake'}\n", "storage.lake: expected a directory or s3://"),
        (MINIMAL + "storage: {lake: 'gs://bucket/lake'}\n", "storage.lake: expected a directory or s3://BUCKET/PREFIX"),
        (MINIMAL + "storage: {lake: x, retention: {csv: 7d}}\n", "storage.retention: needs storage.lake and keep_csv"),
        (MINIMAL + "storage: {keep_csv: false, retention: {csv: 7d}}\n", "storage.retention: needs storage.lake and"),
        (
            MINIMAL + "storage: {lake: x, keep_csv: false, retention: {csv: 7d, parquet: 6d}}\n",
            "storage.retention.parquet: must be a day at least, and not less than csv",
        ),
        (
            MINIMAL + "storage: {lake: x, keep_csv: false, retention: {max_bytes: 0GB}}\n",
            "storage.retention.max_bytes: must be above 0",
        ),
        (MINIMAL + "storage: {fsync: NO}\n", "storage.fsync: expected true or false, got text: 'NO'"),
        (MINIMAL + "storage: {journal_directory: ../data}\n", "journal_directory: must not be the output_directory"),
        (
            MINIMAL + "storage: {journal_directory: ../x/../data}\n",
            "journal_directory: must not be the output_directory",
        ),
        (MINIMAL + "storage: {output_directory: ''}\n", "output_directory: expected a directory"),
        (MINIMAL + "endpoints: {bus_publish: 'ipc:///x', bus_subscribe: 'ipc:///x'}\n", "endpoints.bus_subscribe"),
        (MINIMAL + "performance: {process_priority: 20}\n", "performance.process_priority"),
        (MINIMAL + "logging: {file: log.txt}\n", "logging.file: must contain {process}"),
        (MINIMAL + "endpoints: {bus_publish: udp://x}\n", "endpoints.bus_publish: expected ipc://PATH or tcp://"),
        (
            MINIMAL + "endpoints: {bus_publish: 'ipc://@abstract'}\n",
            "endpoints.bus_publish: expected ipc://PATH or tcp://",
        ),
        (MINIMAL + "endpoints: {writer_acks: 'ipc://relative/x'}\n", "endpoints.writer_acks: expected ipc://PATH"),
        (MINIMAL + "endpoints: {writer_acks: 'tcp://127.0.0.1:65536'}\n", "endpoints.writer_acks: expected ipc://PATH"),
        (MINIMAL + "endpoints: {writer_acks: 'tcp://127.0.0.1;10.0.0.1:5'}\n", "endpoints.writer_acks: expected"),
        (MINIMAL + "network: {rest_url: 'http://fapi.binance.com'}\n", "network.rest_url: .*is not this machine"),
        (MINIMAL + "network: {websocket_url: 'ws://10.0.0.1:80'}\n", "network.websocket_url: .*is not this machine"),
        (MINIMAL + "network: {websocket_url: 'wss://'}\n", "network.websocket_url: .*names no host"),
        (MINIMAL + "network: {rest_url: 'https://x:99999'}\n", "network.rest_url: .*out of range"),
        (MINIMAL + 'storage: {output_directory: "a\\0b"}\n', "a text holds a NUL character"),
        (MINIMAL + 'base: "a\\0b"\n', "a text holds a NUL character"),
        (MINIMAL + 'storage: {output_directory: "a\\ud800b"}\n', r"line 6, column 29: a text holds .* \(a surrogate\)"),
        (MINIMAL + "storage: {fsync: !!int x}\n", "line 6, column 18: tags are not supported: remove 'tag:yaml"),
        (MINIMAL + "x: !!timestamp y\n", "tags are not supported"),
        ("!!map [1, 2]", "tags are not supported"),
        (MINIMAL + f"logging: {{level: {'A' * 5000}}}\n", "line 6, column 18: a value has more than 4096 characters"),
        (MINIMAL + "network: {websocket_url: 'wss://[::1'}\n", "network.websocket_url: .*Invalid IPv6"),
        (MINIMAL.replace("mode: production", "mode: development"), "modes.development is missing"),
        (MINIMAL.replace("BTCUSDT", "btcusdt"), r"symbols\[0\].symbol: 'btcusdt' must be in upper case"),
        (MINIMAL.replace("BTCUSDT", "../X"), r"symbols\[0\].symbol: '../X' must not contain"),
        (MINIMAL.replace("BTCUSDT", '"A\\nB"'), r"symbols\[0\].symbol"),
        (MINIMAL + "      - symbol: BTCUSDT\n", r"symbols\[1\].symbol: 'BTCUSDT' is listed twice"),
        (
            MINIMAL + "        streams: [aggtrade]\n",
            r"symbols\[0\].streams\[0\]: stream 'aggtrade': expected .*; did you mean 'aggTrade'\? \(line 6\)",
        ),
        (
            MINIMAL + "        streams: [aggTrade, openInterest, openInterest@30s]\n",
            r"symbols\[0\].streams: openInterest is listed twice",
        ),
        (
            MINIMAL + "        streams: [openInterest@60s]\n",
            r"symbols\[0\].streams: at least one stream of the websocket",
        ),
        (MINIMAL + "        streams: [aggTrade, longShortRatio@1m]\n", r"streams\[1\]: .*a period of 5m, 15m"),
        (MINIMAL + "        streams: [aggTrade, openIntrest@60s]\n", r"streams\[1\]: .*did you mean 'openInterest'"),
        (MINIMAL + "        streams: [kline_2m]\n", r"symbols\[0\].streams\[0\]: stream 'kline_2m'"),
        (MINIMAL + "        streams: ['!bookTicker']\n", "!bookTicker is for groups; of a symbol it is bookTicker"),
        (
            MINIMAL + "    groups: [{name: all, match: {}, streams: [bookTicker, '!bookTicker']}]\n",
            r"groups\[0\].streams: bookTicker is listed twice: !bookTicker brings it too",
        ),
        (MINIMAL + "        streams: []\n", "at least one stream"),
        (MINIMAL + "        enabled: false\n", "at least one symbol must be enabled"),
    ],
)
def test_a_fault_is_named_with_its_file_and_key(text: str, complaint: str) -> None:
    with pytest.raises(config.ConfigError, match=complaint) as caught:
        config.parse(text, FILE)
    assert str(caught.value).startswith(f"{FILE}: ")


def test_a_folder_whose_name_is_not_utf8_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "utf\udce4latin"
    folder.mkdir()
    (folder / "streamer.yaml").write_text(MINIMAL)
    with pytest.raises(config.ConfigError, match="the name of a folder is not UTF-8: rename it"):
        config.load(folder / "streamer.yaml")


def test_a_missing_file_says_how_to_name_another(tmp_path: Path) -> None:
    with pytest.raises(config.ConfigError, match=r"none.yaml: there is no such file; .*-c FILE"):
        config.load(tmp_path / "none.yaml")
    with pytest.raises(config.ConfigError, match=r"it is a folder; .*-c FILE"):
        config.load(tmp_path)


@pytest.mark.parametrize("symbol", ["币安人生USDT", "1000SHIBUSDT", "BTCUSDT_260925", "0GUSDT"])
def test_every_spelling_of_the_exchange_is_taken(symbol: str) -> None:
    found = config.parse(MINIMAL.replace("BTCUSDT", symbol), FILE)
    assert found.symbols[0].symbol == symbol


def test_an_enormous_yaml_nesting_is_an_error_not_a_crash() -> None:
    with pytest.raises(config.ConfigError, match="not valid YAML"):
        config.parse("[" * 5000, FILE)


PLAIN = "endpoints: {{{key}: '{endpoint}'{more}}}\n"
OPEN = ["tcp://*:5555", "tcp://0.0.0.0:5555", "tcp://[::]:5555", "tcp://10.0.0.5:5555", "tcp://writer:5555",
        "tcp://localhost.example.com:5555", "tcp://eth0:5555", "tcp://[::ffff:10.0.0.5]:5555"]  # fmt: skip


@pytest.mark.parametrize("endpoint", OPEN)
@pytest.mark.parametrize("key", config.BOUND_ENDPOINTS)
def test_an_endpoint_that_others_reach_needs_keys_or_a_word(key: str, endpoint: str) -> None:
    with pytest.raises(config.ConfigError, match=rf"^{FILE}: endpoints.{key}: .* is open to other machines"):
        parsed(PLAIN.format(key=key, endpoint=endpoint, more=""))
    allowed = parsed(PLAIN.format(key=key, endpoint=endpoint, more=", insecure: true"))
    assert getattr(allowed.endpoints, key) == endpoint
    encrypted = parsed(PLAIN.format(key=key, endpoint=endpoint, more=", curve_directory: keys"))
    assert encrypted.endpoints.curve_directory == "/etc/recorder/keys"


@pytest.mark.parametrize("endpoint", ["tcp://127.0.0.1:5555", "tcp://127.1.2.3:5555", "tcp://[::1]:5555",
                                      "tcp://localhost:5555", "ipc:///run/recorder/x"])  # fmt: skip
def test_an_endpoint_of_this_machine_needs_neither(endpoint: str) -> None:
    assert parsed(PLAIN.format(key="bus_publish", endpoint=endpoint, more="")).endpoints.bus_publish == endpoint


@pytest.mark.parametrize("text", ['"\\e[2J": 1', '"a\\nb": 1', 'network: {"\\u202e": 1}', 'mode: "x\\e[2J"'])
def test_a_name_in_the_file_is_no_line_and_no_escape_sequence_of_its_own(text: str) -> None:
    with pytest.raises(config.ConfigError) as caught:
        config.parse(f"{MINIMAL}{text}\n".replace("mode: production\n", "", text.startswith("mode")), FILE)
    assert str(caught.value).isprintable()


def test_a_file_is_laid_over_its_base_key_by_key(tmp_path: Path) -> None:
    (tmp_path / "streamer.yaml").write_text(MINIMAL + "network: {connections: 3, request_timeout: 7}\n")
    over = tmp_path / "compose.yaml"
    over.write_text("base: streamer.yaml\nnetwork: {connections: 4}\n")
    found = config.load(over)
    assert (found.network.connections, found.network.request_timeout) == (4, 7)
    assert [symbol.symbol for symbol in found.symbols] == ["BTCUSDT"]
    assert found.storage.output_directory == str(tmp_path.parent / "data")


def test_lists_are_replaced_and_bases_have_bases(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(MINIMAL + "logging: {level: debug}\n")
    (tmp_path / "b.yaml").write_text("base: a.yaml\nmodes: {production: {symbols: [{symbol: ETHUSDT}]}}\n")
    (tmp_path / "c.yaml").write_text("base: b.yaml\nmode: production\n")
    found = config.load(tmp_path / "c.yaml")
    assert [symbol.symbol for symbol in found.symbols] == ["ETHUSDT"]
    assert found.logging.level == "debug"


@pytest.mark.parametrize(
    ("upper", "complaint"),
    [
        ("base: none.yaml", r"none\.yaml: there is no such file"),
        ("base: ../streamer.yaml", "upper.yaml: base: expected the name of a file in the same folder"),
        ("base: [streamer.yaml]", "base: expected the name"),
        ("base:", "base: expected the name"),
        ("base: upper.yaml", "more than 8 files on one another, or one on itself"),
        ("base: broken.yaml", r"broken\.yaml: not valid YAML"),
        (
            "base: streamer.yaml\nnetwork: {conections: 2}",
            r"upper\.yaml over streamer\.yaml: network.conections: .*\(line 2\)",
        ),
        ("base: streamer.yaml\nnetwork: {connections: 5}", r"upper\.yaml over streamer\.yaml: network.connections"),
        ("base: streamer.yaml\nnetwork: 5", r"network: expected a map, got a whole number: 5 \(line 2\)"),
    ],
)
def test_what_is_wrong_with_layers_is_said_with_their_files(tmp_path: Path, upper: str, complaint: str) -> None:
    (tmp_path / "streamer.yaml").write_text(MINIMAL)
    (tmp_path / "broken.yaml").write_text("mode: [")
    (tmp_path / "upper.yaml").write_text(upper)
    with pytest.raises(config.ConfigError, match=complaint):
        config.load(tmp_path / "upper.yaml")


@pytest.mark.parametrize(
    ("extra", "complaint"),
    [
        ("monitor: {address: 0.0.0.0:8787}\n", "monitor.address: '0.0.0.0:8787' is open to other machines"),
        ("monitor: {address: 'monitor:8787'}\n", "open to other machines"),
        ("monitor: {address: '8787'}\n", "monitor.address: expected HOST:PORT"),
        ("monitor: {address: 127.0.0.1:0}\n", "monitor.address: expected HOST:PORT"),
        ("alerts: {backlog: 0}\n", "alerts.backlog"),
        ("alerts: {clock: .inf}\n", "alerts.clock"),
        ("alerts: {webhooks: [{url: hooks.example}]}\n", r"alerts.webhooks\[0\].url: expected https://HOST"),
        ("alerts: {webhooks: [{url: 'http://hooks.example/SECRET'}]}\n", "is not encrypted"),
        ("alerts: {webhooks: [{url: 'https://x/SECRET', format: telegram}]}\n", "chat_id: is needed for Telegram"),
        ("alerts: {webhooks: [{url: 'https://x/SECRET', format: mail}]}\n", r"alerts.webhooks.*format"),
        ("alerts: {webhooks: [{url: 'https://x/SECRET', conditions: [weather]}]}\n", "conditions"),
    ],
)
def test_monitor_and_alerts_are_checked_and_no_secret_is_said(extra: str, complaint: str) -> None:
    with pytest.raises(config.ConfigError, match=complaint) as raised:
        parsed(extra)
    assert "SECRET" not in str(raised.value)


@pytest.mark.parametrize("address", ["127.0.0.1:8787", "localhost:1", "'[::1]:65535'"])
def test_the_monitor_listens_on_this_machine_alone(address: str) -> None:
    parsed(f"monitor: {{address: {address}}}\n")


def test_the_monitor_may_listen_elsewhere_where_that_is_said() -> None:
    parsed("monitor: {address: 0.0.0.0:8787}\nendpoints: {insecure: true}\n")


def test_what_is_shown_hides_the_path_of_webhooks() -> None:
    found = parsed("alerts: {webhooks: [{url: 'https://user:SECRET@hooks.example/T0/SECRET', format: slack}]}\n")
    assert "SECRET" in config.dump(found)
    assert "SECRET" not in config.shown(found)
    assert config.parse(config.shown(found), FILE).alerts.webhooks[0].url == "https://hooks.example/HIDDEN"


def test_a_tilde_is_the_home_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    text = (
        MINIMAL + "storage: {output_directory: ~/out, journal_directory: '~/./journal'}\n"
        "logging: {file: '~/log/{process}'}\nnetwork: {ca_file: ~/ca.pem}\n"
        "endpoints: {run_directory: ~/run, curve_directory: ~/keys}\n"
    )
    found = config.parse(text, Path("/x/streamer.yaml"))
    paths = [
        found.storage.output_directory,
        found.storage.journal_directory,
        found.logging.file,
        found.network.ca_file,
        found.endpoints.run_directory,
        found.endpoints.curve_directory,
    ]
    assert paths == [f"{tmp_path}/{name}" for name in ("out", "journal", "log/{process}", "ca.pem", "run", "keys")]
    assert found.endpoints.bus_publish == f"ipc://{tmp_path}/run/bus.publish"


def test_a_home_that_is_not_known_is_refused_and_a_tilde_elsewhere_is_a_letter() -> None:
    with pytest.raises(config.ConfigError, match="begins with ~"):
        config.parse(MINIMAL + "storage: {output_directory: ~nobody-of-this-name/x}\n", Path("/x/s.yaml"))
    found = config.parse(MINIMAL + "storage: {output_directory: a/~b}\n", Path("/x/s.yaml"))
    assert found.storage.output_directory == "/x/a/~b"


TWO_MODES = """\
mode: production
modes:
  production:
    symbols:
      - symbol: BTCUSDT
  development:
    symbols:
      - ETHUSDT
"""


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (
            TWO_MODES,
            "modes.development.symbols[0]: expected a map, got text: 'ETHUSDT'; write `- symbol: ETHUSDT` (line 8)",
        ),
        (
            TWO_MODES.replace("- ETHUSDT", "- {symbl: X}"),
            "modes.development.symbols[0].symbl: there is no such key; did you mean 'symbol'? (line 8)",
        ),
        (
            TWO_MODES.replace("- ETHUSDT", "- {enabled: true}"),
            "modes.development.symbols[0]: the key 'symbol' is missing (line 8)",
        ),
        (
            TWO_MODES.replace("- ETHUSDT", "- symbol: ethusdt"),
            "modes.development.symbols[0].symbol: 'ethusdt' must be in upper case, as the exchange spells it; "
            "did you mean 'ETHUSDT'? (line 8)",
        ),
        (
            TWO_MODES.replace("- ETHUSDT", "- symbol: ETH/USDT"),
            "modes.development.symbols[0].symbol: 'ETH/USDT' must not contain '/'; did you mean 'ETHUSDT'? (line 8)",
        ),
        (TWO_MODES.replace("    symbols:\n      - ETHUSDT", "    symbols: ETHUSDT"),
         "modes.development.symbols: expected a list, got text: 'ETHUSDT' (line 7)"),
        (TWO_MODES.replace("development:", "developement:"),
         "modes: expected development or production, got 'developement'; did you mean 'development'? (line 2)"),
        (MINIMAL + "zzz: 1\n", "zzz: there is no such key; there are mode, modes, network, storage, archiver, "
         "performance, orderbook, monitor, alerts, logging, endpoints (line 6)"),
        (MINIMAL + "network: {ca_file: [a]}\n", "network.ca_file: expected text, got a list (line 6)"),
    ],
)  # fmt: skip
def test_a_fault_is_told_in_the_words_of_yaml(text: str, complaint: str) -> None:
    with pytest.raises(config.ConfigError) as caught:
        config.parse(text, FILE)
    assert str(caught.value) == f"{FILE}: {complaint}"


@pytest.mark.parametrize("key", ["network: {connect_attempts: ", "performance: {batch_size: -", "nosuch: {x: "])
def test_a_whole_number_of_thousands_of_digits_is_an_error_with_its_line(key: str) -> None:
    with pytest.raises(config.ConfigError, match=r"not valid YAML: line 6, .*more than 20 digits"):
        config.parse(f"{MINIMAL}{key}{'9' * 6000}}}\n", FILE)


def test_the_address_of_a_webhook_is_not_repeated_in_a_complaint() -> None:
    with pytest.raises(config.ConfigError) as caught:
        config.parse(MINIMAL + "alerts: {webhooks: ['https://hook/SECRET']}\n", FILE)
    assert str(caught.value) == f"{FILE}: alerts.webhooks[0]: expected a map, got text (line 6)"


def test_a_fault_that_stands_in_a_base_is_found_there(tmp_path: Path) -> None:
    (tmp_path / "streamer.yaml").write_text(MINIMAL + "network: {connections: 9}\n")
    (tmp_path / "upper.yaml").write_text("base: streamer.yaml\n")
    with pytest.raises(config.ConfigError, match=r"network.connections: .*: 9 \(streamer.yaml, line 6\)"):
        config.load(tmp_path / "upper.yaml")
