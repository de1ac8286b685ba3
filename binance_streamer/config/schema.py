"""The configuration: `config/streamer.yaml`, read and validated into typed structs.

Anything that is not understood is a `ConfigError` that names the file and the key. Relative paths are taken from the
folder of the file. A file may stand on another one: see `binance_streamer.config.yaml_base`.
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from binance_streamer.config import yaml_base as layers
from binance_streamer.config.complaints import complaint, keys_of, nearest
from binance_streamer.config.endpoints import EXPECTED, is_endpoint, is_local, is_loopback
from binance_streamer.config.symbols import encode_name, symbol_fault
from binance_streamer.exchange.messages import ExchangeError
from binance_streamer.exchange.stream_types import suffixes
from binance_streamer.exchange.streams import UPPER, Stream, stream_of
from binance_streamer.wire.frames import MAX_FRAME_BYTES

OWN_PATH = Path("recording/streamer.yaml")
"""Where `binance-streamer init` puts the user's own configuration: in no checkout's history."""
DEFAULT_PATH = Path("config/streamer.yaml")
"""The example of a checkout."""
EXIT_CODE = 78
"""EX_CONFIG of sysexits.h: what a process ends with when its configuration is not valid."""

LEVEL_VARIABLE = "BINANCE_STREAMER_LOG_LEVEL"
"""In the environment: stands above `logging.level`."""

DEFAULT_STREAMS = ("aggTrade", "depth@0ms", "kline_1m")

Seconds = Annotated[float, Meta(gt=0, le=86_400)]
Count = Annotated[int, Meta(ge=1)]


_SHORTEST_LIKELY = 5
"""Letters of a symbol; the shortest that the exchange lists has so many."""

_Refusal = Callable[[str, str], "ConfigError"]


class ConfigError(ValueError):
    """The configuration cannot be used; the text names the file, the key, and what was expected."""


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pass


class SymbolConfig(_Section, frozen=True):
    """The streams and snapshots that are recorded of one symbol."""

    symbol: str
    streams: tuple[str, ...] = DEFAULT_STREAMS
    depth_snapshot: bool = True
    enabled: bool = True


class ModeConfig(_Section, frozen=True, kw_only=True):
    """`run_duration` in seconds ends `up`; 0 is unlimited. Under supervisord it is ignored."""

    run_duration: Annotated[float, Meta(ge=0)] = 0
    symbols: tuple[SymbolConfig, ...]


class NetworkConfig(_Section, frozen=True):
    """Times in seconds. `connect_attempts` in five minutes hold for all processes of this machine together."""

    websocket_url: str = "wss://fstream.binance.com"
    rest_url: str = "https://fapi.binance.com"
    ca_file: str = ""
    connect_timeout: Seconds = 10
    request_timeout: Seconds = 10
    frame_timeout: Seconds = 10
    stale_timeout: Seconds = 60
    reconnect_delay: Seconds = 5
    reconnect_delay_max: Seconds = 60
    connect_attempts: Count = 300
    connections: Annotated[int, Meta(ge=1, le=4)] | None = None
    connection_lifetime: Annotated[float, Meta(ge=1, le=86_400)] = 23 * 3600
    weight_share: Annotated[float, Meta(gt=0, le=1)] = 0.5
    snapshot_interval: Annotated[float, Meta(gt=0)] = 3600
    snapshot_spacing: Annotated[float, Meta(ge=0)] = 2
    snapshot_retry: Seconds = 5
    exchange_info_interval: Seconds = 600
    clock_interval: Seconds = 60
    repair: bool = True


class StorageConfig(_Section, frozen=True):
    """Where recordings lie, and how soon a row is readable (`flush_interval`) and durable (`commit_interval`)."""

    output_directory: str = "../data"
    journal_directory: str = "../var/journal"
    journal_retention: Annotated[float, Meta(ge=0)] = 3600
    file_format: Literal["csv"] = "csv"
    rotation: Literal["daily"] = "daily"
    flush_interval: Seconds = 1
    commit_interval: Seconds = 5
    fsync: bool = True


class PerformanceConfig(_Section, frozen=True):
    """`batch_size` rows of a file are written at once; `process_priority` is a nice value."""

    batch_size: Count = 5000
    max_frame_bytes: Annotated[int, Meta(ge=1024, le=MAX_FRAME_BYTES)] = MAX_FRAME_BYTES
    journal_max_bytes: Annotated[int, Meta(ge=16 * 2**20)] = 8 * 2**30
    process_priority: Annotated[int, Meta(ge=-20, le=19)] = 0


class OrderbookConfig(_Section, frozen=True):
    """Of the order book service: `levels` a side are published and in summaries; times in seconds."""

    enabled: bool = True
    levels: Annotated[int, Meta(ge=1, le=500)] = 20
    publish_interval: Seconds = 0.1
    output_interval: Seconds = 10
    audit_interval: Annotated[float, Meta(ge=0)] = 600


class MonitorConfig(_Section, frozen=True):
    """Of the process that serves metrics, health and a page at `http://address`."""

    enabled: bool = True
    address: str = "127.0.0.1:8787"
    hosts: tuple[str, ...] = ()
    """Names under which browsers and Prometheus may ask for it, beside loopback names and the address."""


Condition = Literal["recording", "process", "gap", "backlog", "disk", "clock", "rest", "book"]
CONDITIONS: tuple[Condition, ...] = ("recording", "process", "gap", "backlog", "disk", "clock", "rest", "book")
"""The kinds of problems that an alert may be about."""


class WebhookConfig(_Section, frozen=True):
    """Where alerts are posted to. `chat_id` is Telegram's; the token stands in its url."""

    url: str
    format: Literal["json", "slack", "telegram"] = "json"
    chat_id: str = ""
    conditions: tuple[Condition, ...] = CONDITIONS


class AlertsConfig(_Section, frozen=True):
    """Thresholds of what counts as a problem, for `status`, `/healthz` and the webhooks. Times in seconds."""

    backlog: Seconds = 60
    clock: Seconds = 0.5
    disk_days: Annotated[float, Meta(ge=0)] = 3
    disk_free_bytes: Annotated[int, Meta(ge=0)] = 2**30
    delay: Annotated[float, Meta(ge=0, le=86_400)] = 10
    repeat_interval: Seconds = 3600
    webhooks: tuple[WebhookConfig, ...] = ()


class LoggingConfig(_Section, frozen=True):
    """`file` is a template: `{process}` becomes `writer`, `ingest-BTCUSDT`."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    file: str = "../var/log/{process}.log"
    max_file_size: Annotated[int, Meta(ge=4096)] = 10 * 2**20
    backup_count: Annotated[int, Meta(ge=0)] = 5


BOUND_ENDPOINTS = ("bus_publish", "bus_subscribe", "writer_intake", "writer_acks", "orderbook_query")


class EndpointsConfig(_Section, frozen=True):
    """ZeroMQ endpoints; `{run}` becomes `run_directory`.

    `curve_directory` holds keys and turns encryption on; `insecure` does without where other machines can reach us.
    """

    run_directory: str = "../var/run"
    bus_publish: str = "ipc://{run}/bus.publish"
    bus_subscribe: str = "ipc://{run}/bus.subscribe"
    writer_intake: str = "ipc://{run}/writer.intake"
    writer_acks: str = "ipc://{run}/writer.acks"
    orderbook_query: str = "ipc://{run}/orderbook.query"
    curve_directory: str = ""
    insecure: bool = False


class Config(_Section, frozen=True):
    """The whole file, defaults filled in, paths and endpoints absolute."""

    mode: Literal["development", "production"]
    modes: dict[Literal["development", "production"], ModeConfig]
    network: NetworkConfig = NetworkConfig()
    storage: StorageConfig = StorageConfig()
    performance: PerformanceConfig = PerformanceConfig()
    orderbook: OrderbookConfig = OrderbookConfig()
    monitor: MonitorConfig = MonitorConfig()
    alerts: AlertsConfig = AlertsConfig()
    logging: LoggingConfig = LoggingConfig()
    endpoints: EndpointsConfig = EndpointsConfig()

    @property
    def selected(self) -> ModeConfig:
        """The settings of the mode in force."""
        return self.modes[self.mode]

    @property
    def symbols(self) -> tuple[SymbolConfig, ...]:
        """The enabled symbols of the mode in force."""
        return tuple(symbol for symbol in self.selected.symbols if symbol.enabled)

    def symbol(self, name: str) -> SymbolConfig:
        """The settings of one symbol; one that is not configured has the default streams."""
        for symbol in self.selected.symbols:
            if symbol.symbol == name:
                return symbol
        return SymbolConfig(symbol=name)

    @property
    def connections(self) -> int:
        """Redundant connections per route: as configured, else two in production."""
        return self.network.connections or (2 if self.mode == "production" else 1)

    def log_file(self, process: str) -> Path:
        """Where this process logs."""
        return Path(self.logging.file.replace("{process}", encode_name(process)))

    def journal_of(self, producer: str) -> Path:
        """The directory of this producer's journal."""
        return Path(self.storage.journal_directory) / encode_name(producer)


def streams_of(symbol: SymbolConfig) -> tuple[Stream, ...]:
    """The streams of a symbol, parsed; raises `ExchangeError`."""
    return tuple(stream_of(symbol.symbol, suffix) for suffix in symbol.streams)


def has_book(symbol: SymbolConfig) -> bool:
    """Return True when an order book can be kept of it: that takes a depth stream and its snapshots."""
    return symbol.depth_snapshot and any(stream.type.builds_book for stream in streams_of(symbol))


def default_path() -> Path:
    """The configuration in force where none is named: the user's own, else the example of a checkout."""
    return OWN_PATH if OWN_PATH.is_file() else DEFAULT_PATH


def load(path: Path) -> Config:
    """Read and validate; every fault is a `ConfigError`."""
    return load_with_text(path)[0]


def load_with_text(path: Path) -> tuple[Config, str]:
    """The configuration of a file, and a text that `parse` reads back into it, without the files it stands on."""
    try:
        text = layers.text_of(path)
    except layers.LayerError as error:
        raise ConfigError(f"{error}; name another file with -c FILE, or make one: binance-streamer init") from error
    merged = _merged(text, path)
    return _configured(merged, path), msgspec.json.encode(merged.plain).decode()


def parse(text: str, path: Path) -> Config:
    """The configuration in a YAML text; `path` is for error messages, and for relative paths and its base."""
    return _configured(_merged(text, path), path)


def _merged(text: str, path: Path) -> layers.Merged:
    try:
        return layers.merged(text, path)
    except layers.LayerError as error:
        raise ConfigError(str(error)) from error


def _configured(merged: layers.Merged, path: Path) -> Config:
    source = merged.source

    def refuse(key: str, why: str) -> ConfigError:
        return ConfigError(f"{source}: {key or 'top level'}: {why}{merged.line_of(keys_of(key))}")

    try:
        config = msgspec.convert(merged.plain, Config)
    except msgspec.ValidationError as error:
        raise refuse(*_complaint(merged.plain, str(error))) from error
    _check(config, refuse)
    try:
        config = _resolved(config, path.resolve().parent)
    except RuntimeError as error:
        raise ConfigError(f"{source}: a path that begins with ~: {error}") from error
    if config.storage.output_directory == config.storage.journal_directory:
        raise ConfigError(f"{source}: storage.journal_directory: must not be the output_directory")
    return config


def default_of(config: Config, path: Path) -> Config:
    """The same symbols, and everything else as it is where the file says nothing."""
    return _resolved(Config(mode=config.mode, modes=config.modes), path.resolve().parent)


def dump(config: Config) -> str:
    """YAML that `parse` reads back into the same configuration."""
    return layers.dumped(msgspec.to_builtins(config))


def shown(config: Config) -> str:
    """YAML for eyes: what is secret, the path of a webhook, is left out."""
    webhooks = tuple(
        msgspec.structs.replace(webhook, url=f"https://{urlsplit(webhook.url).hostname}/HIDDEN")
        for webhook in config.alerts.webhooks
    )
    return dump(msgspec.structs.replace(config, alerts=msgspec.structs.replace(config.alerts, webhooks=webhooks)))


def _complaint(plain: dict[str, Any], report: str) -> tuple[str, str]:
    """Return the key and the complaint; msgspec does not name the mode, so that each is tried alone."""
    report = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in report)  # keys may be bait
    if "$.modes[...]" in report:
        for name, mode in plain["modes"].items():
            try:
                msgspec.convert(mode, ModeConfig)
            except msgspec.ValidationError:
                return complaint(plain, Config, report.replace("$.modes[...]", f"$.modes.{name}"))
    return complaint(plain, Config, report)


def _check(config: Config, refuse: _Refusal) -> None:
    if config.mode not in config.modes:
        raise refuse("mode", f"is {config.mode!r}, but modes.{config.mode} is missing")
    for mode_name, mode in config.modes.items():
        _check_symbols(mode, f"modes.{mode_name}.symbols", refuse)
    _check_urls(config.network, refuse)
    _check_times(config, refuse)
    _check_endpoints(config.endpoints, refuse)
    _check_directories(config.storage, refuse)
    _check_monitor(config, refuse)
    if "{process}" not in config.logging.file:
        raise refuse("logging.file", "must contain {process}: each process writes a log of its own")


def _check_urls(network: NetworkConfig, refuse: _Refusal) -> None:
    for key, schemes in (("websocket_url", ("ws://", "wss://")), ("rest_url", ("http://", "https://"))):
        url = getattr(network, key)
        if not url.startswith(schemes):
            raise refuse(f"network.{key}", f"expected {' or '.join(schemes)}…, got {url!r}")
        try:
            parts = urlsplit(url)
            host, _ = parts.hostname or "", parts.port
        except ValueError as error:
            raise refuse(f"network.{key}", f"{url!r}: {error}") from error
        if not host:
            raise refuse(f"network.{key}", f"{url!r} names no host")
        if url.startswith(schemes[0]) and not is_loopback(host):
            raise refuse(f"network.{key}", f"{url!r} is not encrypted, and {host!r} is not this machine: {schemes[1]}")


def _check_times(config: Config, refuse: _Refusal) -> None:
    for name in ("network", "storage", "orderbook", "alerts"):
        section = getattr(config, name)
        for key in section.__struct_fields__:
            value = getattr(section, key)
            if isinstance(value, float) and not math.isfinite(value):
                raise refuse(f"{name}.{key}", "must be a finite number")
    if not math.isfinite(config.selected.run_duration):
        raise refuse(f"modes.{config.mode}.run_duration", "must be a finite number; 0 is unlimited")
    if config.network.reconnect_delay > config.network.reconnect_delay_max:
        raise refuse("network.reconnect_delay", "must not exceed reconnect_delay_max")
    if config.storage.flush_interval > config.storage.commit_interval:
        raise refuse("storage.flush_interval", "must not exceed commit_interval")


def _check_endpoints(endpoints: EndpointsConfig, refuse: _Refusal) -> None:
    for key in BOUND_ENDPOINTS:
        value = getattr(endpoints, key)
        if not is_endpoint(value):
            raise refuse(f"endpoints.{key}", f"{EXPECTED}, got {value!r}")
        if not (is_local(value) or endpoints.curve_directory or endpoints.insecure):
            raise refuse(
                f"endpoints.{key}",
                f"{value!r} is open to other machines: set endpoints.curve_directory (docs/security.md), "
                "or endpoints.insecure: true in a network that is yours alone",
            )
    values = [getattr(endpoints, key) for key in BOUND_ENDPOINTS]
    for number, key in enumerate(BOUND_ENDPOINTS):
        if values[number] in values[:number]:
            raise refuse(f"endpoints.{key}", f"{values[number]!r} is another endpoint's address already")


def _check_monitor(config: Config, refuse: _Refusal) -> None:
    address = config.monitor.address
    if not is_endpoint(f"tcp://{address}"):
        raise refuse("monitor.address", f"expected HOST:PORT, got {address!r}")
    if not (is_local(f"tcp://{address}") or config.endpoints.insecure):
        raise refuse(
            "monitor.address",
            f"{address!r} is open to other machines, and HTTP is not encrypted: use 127.0.0.1 behind a proxy of yours, "
            "or endpoints.insecure: true in a network that is yours alone",
        )
    for number, webhook in enumerate(config.alerts.webhooks):
        key = f"alerts.webhooks[{number}]"
        try:
            host = urlsplit(webhook.url).hostname
        except ValueError:
            host = None
        if not host or not webhook.url.startswith(("http://", "https://")):
            raise refuse(f"{key}.url", "expected https://HOST/… (not shown here: it may hold a token)")
        if webhook.url.startswith("http://") and not (is_loopback(host) or config.endpoints.insecure):
            raise refuse(f"{key}.url", f"is not encrypted, and {host!r} is not this machine: https://")
        if webhook.format == "telegram" and not webhook.chat_id:
            raise refuse(f"{key}.chat_id", "is needed for Telegram")


def _check_directories(storage: StorageConfig, refuse: _Refusal) -> None:
    for key in ("output_directory", "journal_directory"):
        if not getattr(storage, key):
            raise refuse(f"storage.{key}", "expected a directory, got nothing")


def _check_symbols(mode: ModeConfig, key: str, refuse: _Refusal) -> None:
    if not any(symbol.enabled for symbol in mode.symbols):
        raise refuse(key, "at least one symbol must be enabled")
    seen: set[str] = set()
    for number, symbol in enumerate(mode.symbols):
        place = f"{key}[{number}]"
        fault = symbol_fault(symbol.symbol)
        if fault:
            raise refuse(f"{place}.symbol", f"{symbol.symbol!r} {fault}{_symbol_like(symbol.symbol)}")
        if symbol.symbol != symbol.symbol.translate(UPPER):
            raise refuse(
                f"{place}.symbol",
                f"{symbol.symbol!r} must be in upper case, as the exchange spells it{_symbol_like(symbol.symbol)}",
            )
        if symbol.symbol in seen:
            raise refuse(f"{place}.symbol", f"{symbol.symbol!r} is listed twice")
        seen.add(symbol.symbol)
        if not symbol.streams:
            raise refuse(f"{place}.streams", "at least one stream is needed; use enabled: false to pause a symbol")
        if len(set(symbol.streams)) != len(symbol.streams):
            raise refuse(f"{place}.streams", "a stream is listed twice")
        for index, suffix in enumerate(symbol.streams):
            try:
                stream_of(symbol.symbol, suffix)
            except ExchangeError as error:
                raise refuse(f"{place}.streams[{index}]", f"{error}{nearest(suffix, suffixes())}") from error


def _symbol_like(text: str) -> str:
    """Return a question about the symbol that was meant with `btcusdt` or `BTC/USDT`; empty where none is likely."""
    likely = "".join(letter for letter in text.translate(UPPER) if letter.isalnum() or letter == "_")
    return f"; did you mean {likely!r}?" if len(likely) >= _SHORTEST_LIKELY and not symbol_fault(likely) else ""


def _resolved(config: Config, folder: Path) -> Config:
    def absolute(text: str) -> str:
        return str((folder / Path(text).expanduser()).resolve())

    run_directory = absolute(config.endpoints.run_directory)
    endpoints = {key: getattr(config.endpoints, key).replace("{run}", run_directory) for key in BOUND_ENDPOINTS}
    curve_directory = config.endpoints.curve_directory and absolute(config.endpoints.curve_directory)
    replace = msgspec.structs.replace
    storage = config.storage
    return replace(
        config,
        storage=replace(
            storage,
            output_directory=absolute(storage.output_directory),
            journal_directory=absolute(storage.journal_directory),
        ),
        network=replace(config.network, ca_file=config.network.ca_file and absolute(config.network.ca_file)),
        logging=replace(config.logging, file=absolute(config.logging.file)),
        endpoints=replace(config.endpoints, run_directory=run_directory, curve_directory=curve_directory, **endpoints),
    )
