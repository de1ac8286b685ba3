"""The configuration: `config/streamer.yaml`, read and validated into typed structs.

Anything that is not understood is a `ConfigError` that names the file and the key. Relative paths are taken from the
folder of the file. A file may stand on another one: see `binance_streamer.config.yaml_base`.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from binance_streamer.config import yaml_base as layers
from binance_streamer.config.amounts import bytes_of, seconds_of
from binance_streamer.config.complaints import complaint, keys_of, nearest
from binance_streamer.config.endpoints import EXPECTED, is_endpoint, is_local, is_loopback
from binance_streamer.config.symbols import encode_name, symbol_fault
from binance_streamer.exchange.messages import ExchangeError
from binance_streamer.exchange.rest_series import Polled, polled_of, series_spellings
from binance_streamer.exchange.stream_types import suffixes
from binance_streamer.exchange.streams import OF_ALL, UPPER, Stream, stream_of
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
"""The streams of a symbol that names none: trades, the book at full speed, and bars, whose ids prove a loss."""

Seconds = Annotated[float, Meta(gt=0, le=86_400)]
"""A time above 0 and of a day at most: a longer one is likely a mistake in the unit, such as milliseconds."""
Count = Annotated[int, Meta(ge=1)]
"""A number of things, of which at least one is needed."""


_LEAST_PARQUET_S = 86_400.0
"""A sealed file that goes sooner would go before anybody could copy it, and before late rows have come."""
_SHORTEST_LIKELY = 5
"""Letters of a symbol; the shortest that the exchange lists has so many."""

_Refusal = Callable[[str, str], "ConfigError"]
"""Makes the error for a key (`network.rest_url`) and a reason; adds the file and the line."""


class ConfigError(ValueError):
    """The configuration cannot be used; the text names the file, the key, and what was expected."""


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pass


class SymbolConfig(_Section, frozen=True):
    """The streams and snapshots that are recorded of one symbol.

    `symbol` is in upper case, as the exchange spells it. `streams` are suffixes such as `depth@0ms`; `stream_types`
    has all. Series that are polled from REST stand among them, `openInterest@60s`: `rest_series` has all. Without
    `depth_snapshot` no order book is kept of the symbol. Where `enabled` is false, no process is started for it. With
    `standby` two workers are, of which one records, and the other one goes on in its place at once when it ends.
    """

    symbol: str
    streams: tuple[str, ...] = DEFAULT_STREAMS
    depth_snapshot: bool = True
    enabled: bool = True
    standby: bool = False


class MatchConfig(_Section, frozen=True):
    """The symbols of the exchange that belong to a group, by what its list says of them.

    `symbol` is a glob. An empty `quote` is any; `contract` are contract types (docs/exchange.md §4).
    """

    symbol: str = "*"
    quote: tuple[str, ...] = ()
    contract: tuple[str, ...] = ("PERPETUAL",)


class GroupConfig(_Section, frozen=True, kw_only=True):
    """Symbols that share workers and connections, all with the same streams.

    They are those of `match` that trade, or `members`, by name. A symbol that `symbols` names is left out, one of
    `exclude` too. With `top` only so many of those that match are, by their turnover of 24 hours. With `depth_snapshot`
    each member has snapshots and an order book, as a named symbol has.
    """

    name: Annotated[str, Meta(pattern="^[a-z][a-z0-9_]*$", max_length=32)]
    match: MatchConfig | None = None
    members: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    top: Annotated[int, Meta(ge=1)] | None = None
    workers: Annotated[int, Meta(ge=1, le=64)] = 1
    streams: tuple[str, ...] = DEFAULT_STREAMS
    depth_snapshot: bool = False


class ModeConfig(_Section, frozen=True, kw_only=True):
    """The symbols and groups of one mode, and how long `up` records them.

    `run_duration` is in seconds from the first recorded message on; 0 is unlimited. Under a supervisord that stays it
    is ignored: that one records until `stop`.
    """

    run_duration: Annotated[float, Meta(ge=0)] = 0
    symbols: tuple[SymbolConfig, ...] = ()
    groups: tuple[GroupConfig, ...] = ()


class NetworkConfig(_Section, frozen=True):
    """Connections to the exchange and requests to REST; all times are in seconds.

    `connect_attempts` in five minutes hold for all processes of this machine together, which share
    one address (docs/exchange.md §3). `weight_share` is the part of the address's request weight that we may
    use.
    """

    websocket_url: str = "wss://fstream.binance.com"
    rest_url: str = "https://fapi.binance.com"
    ca_file: str = ""
    """Certificates (PEM) to verify the exchange against, in place of the system's; empty: the system's."""
    connect_timeout: Seconds = 10
    request_timeout: Seconds = 10
    frame_timeout: Seconds = 10
    """From the first byte of a message to its last; a connection that stops half way is replaced."""
    stale_timeout: Seconds = 60
    """Silence after which a stream gets a new connection, times the patience of its stream type."""
    reconnect_delay: Seconds = 5
    reconnect_delay_max: Seconds = 60
    """The bound of the delay begins at `reconnect_delay` and doubles to this; a random part of it is waited."""
    connect_attempts: Count = 300
    connections: Annotated[int, Meta(ge=1, le=4)] | None = None
    """Per route and symbol; None: two in production, one in development."""
    connection_lifetime: Annotated[float, Meta(ge=1, le=86_400)] = 23 * 3600
    """Then a successor takes over, an hour before the exchange closes it at 24 h (docs/exchange.md §3)."""
    weight_share: Annotated[float, Meta(gt=0, le=1)] = 0.5
    snapshot_interval: Annotated[float, Meta(gt=0)] = 3600
    snapshot_spacing: Annotated[float, Meta(ge=0)] = 2
    """Between two snapshots of any symbols: a burst of seven got a collector banned (docs/exchange.md §4)."""
    snapshot_retry: Seconds = 5
    exchange_info_interval: Seconds = 600
    clock_interval: Seconds = 60
    repair: bool = True
    """Fetch missing aggTrades and closed klines from REST; false: their gaps stay open."""


class RetentionConfig(_Section, frozen=True):
    """The time for which days stay (`7d`, `36h`), and the bytes of all of them (`500GB`); empty: without a limit.

    A time counts from the end of the UTC day on. `csv` is of daily files; empty: they go once they are sealed.
    `parquet` is of sealed files. `max_bytes` is of both together.
    """

    csv: str = ""
    parquet: str = ""
    max_bytes: str = ""


class StorageConfig(_Section, frozen=True):
    """The folders of recordings and journals, and how soon a row is readable and durable. Times are in seconds.

    A row is readable after `flush_interval`; after `commit_interval` it is durable and its journal record acknowledged.
    A row of a compressed file is both after `compress_interval`.
    """

    output_directory: str = "../data"
    journal_directory: str = "../var/journal"
    journal_retention: Annotated[float, Meta(ge=0)] = 3600
    """Acknowledged segments are kept so long; shorter where their disk is nearly full."""
    file_format: Literal["csv", "csv.zst"] = "csv"
    rotation: Literal["daily"] = "daily"
    flush_interval: Seconds = 1
    commit_interval: Seconds = 5
    compress_interval: Seconds = 30
    """In `csv.zst`: a zstd frame is closed after so long, however little it holds; journals keep its rows as long."""
    fsync: bool = True
    """False: a power cut may cost rows that were acknowledged already."""
    lake: str = ""
    """A folder for sealed days, or `s3://BUCKET/PREFIX` (docs/files.md); empty: none are sealed, no archiver runs."""
    keep_csv: bool = True
    """False: a daily file is removed once its day is sealed, or after `retention.csv`."""
    retention: RetentionConfig = RetentionConfig()

    @property
    def lake_folder(self) -> str:
        """Return the folder of the lake; empty where there is none, or it is a bucket."""
        return "" if "://" in self.lake else self.lake

    @property
    def durable_interval_s(self) -> float:
        """Return the seconds between two commits; with `csv.zst` a commit waits for the frames that it closes."""
        return self.commit_interval if self.file_format == "csv" else self.compress_interval


class ArchiverConfig(_Section, frozen=True):
    """Settings of the process that seals days into `storage.lake`; times are in seconds."""

    grace: Annotated[float, Meta(ge=0, le=7 * 86_400)] = 7200
    """After the end of a UTC day, for late rows and for what REST fetches; a later row opens the day again."""
    interval: Seconds = 60
    """Between two looks for days that are to be sealed."""


class PerformanceConfig(_Section, frozen=True):
    """Sizes that bound memory and disk, and the priority of the processes.

    `batch_size` counts rows: so many of one file are written at once, without waiting for `flush_interval`.
    """

    batch_size: Count = 5000
    collect: Annotated[float, Meta(ge=0, le=1)] = 0.005
    """Messages of a worker that arrive within so many seconds are recorded and published together; 0: none waits."""
    max_frame_bytes: Annotated[int, Meta(ge=1024, le=MAX_FRAME_BYTES)] = MAX_FRAME_BYTES
    """A larger message is refused: its connection is replaced, and a gap `oversize` is listed."""
    journal_max_bytes: Annotated[int, Meta(ge=16 * 2**20)] = 8 * 2**30
    """Of one producer (8 GiB); beyond it nothing more is kept, as on a full disk."""
    process_priority: Annotated[int, Meta(ge=-20, le=19)] = 0
    """Nice value; below 0 it needs CAP_SYS_NICE, and is reported where that is missing."""


class OrderbookConfig(_Section, frozen=True):
    """Settings of the order book service; times are in seconds.

    `levels` of each side are published and written into summaries. The books themselves keep all levels that are known.
    """

    enabled: bool = True
    levels: Annotated[int, Meta(ge=1, le=500)] = 20
    publish_interval: Seconds = 0.1
    """At most one live message of a symbol in this time, and one at once when its validity changes."""
    output_interval: Seconds = 10
    audit_interval: Annotated[float, Meta(ge=0)] = 600
    """Between two audits of a symbol; 0: only when the price nears the end of the snapshot's levels."""


class MonitorConfig(_Section, frozen=True):
    """Settings of the process that serves metrics, health and a page at `http://address`.

    `address` is HOST:PORT. Beyond loopback it needs `endpoints.insecure`, because this HTTP is not encrypted.
    """

    enabled: bool = True
    address: str = "127.0.0.1:8787"
    hosts: tuple[str, ...] = ()
    """Names under which browsers and Prometheus may ask for it, beside loopback names and the address.

    Others get 403, because a stranger's page could read it by DNS rebinding.
    """
    token_file: str = ""
    """A file with the token that recorded days are read with; beyond loopback none are read without one."""


Condition = Literal["recording", "process", "gap", "backlog", "disk", "clock", "rest", "book"]
CONDITIONS: tuple[Condition, ...] = ("recording", "process", "gap", "backlog", "disk", "clock", "rest", "book")
"""The kinds of problems that an alert may be about."""


class WebhookConfig(_Section, frozen=True):
    """One address to which alerts are posted, and the kinds of problems that it is told.

    `chat_id` is Telegram's. `url` is a secret, since it holds the token: it is neither shown nor logged.
    """

    url: str
    format: Literal["json", "slack", "telegram"] = "json"
    chat_id: str = ""
    conditions: tuple[Condition, ...] = CONDITIONS


class AlertsConfig(_Section, frozen=True):
    """Thresholds beyond which something is a problem, for `status`, `/healthz` and the webhooks. Times are in seconds.

    `delay` and `repeat_interval` concern webhooks alone: `status` and `/healthz` show a problem at once.
    """

    backlog: Seconds = 60
    clock: Seconds = 0.5
    disk_days: Annotated[float, Meta(ge=0)] = 3
    """A disk that will be full in so many days, at the present rate, is a problem."""
    disk_free_bytes: Annotated[int, Meta(ge=0)] = 2**30
    delay: Annotated[float, Meta(ge=0, le=86_400)] = 10
    repeat_interval: Seconds = 3600
    webhooks: tuple[WebhookConfig, ...] = ()


class LoggingConfig(_Section, frozen=True):
    """Level, place and rotation of the log files.

    `file` is a template: `{process}` becomes `writer`, `ingest-BTCUSDT`. Each process needs a file of its own, because
    two that rotated the same file would lose lines.
    """

    level: Literal["debug", "info", "warning", "error"] = "info"
    file: str = "../var/log/{process}.log"
    max_file_size: Annotated[int, Meta(ge=4096)] = 10 * 2**20
    backup_count: Annotated[int, Meta(ge=0)] = 5


BOUND_ENDPOINTS = ("bus_publish", "bus_subscribe", "writer_intake", "writer_acks", "orderbook_query")
"""Keys of the endpoints that one of our processes binds, and all others connect to: no two may be the same."""


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
    """The whole file, defaults filled in, paths and endpoints absolute.

    Frozen, as are its parts: a process reads it once at its start, and a change takes effect when it is started again.
    """

    mode: Literal["development", "production"]
    modes: dict[Literal["development", "production"], ModeConfig]
    network: NetworkConfig = NetworkConfig()
    storage: StorageConfig = StorageConfig()
    archiver: ArchiverConfig = ArchiverConfig()
    performance: PerformanceConfig = PerformanceConfig()
    orderbook: OrderbookConfig = OrderbookConfig()
    monitor: MonitorConfig = MonitorConfig()
    alerts: AlertsConfig = AlertsConfig()
    logging: LoggingConfig = LoggingConfig()
    endpoints: EndpointsConfig = EndpointsConfig()

    @property
    def selected(self) -> ModeConfig:
        """Symbols and run duration of the mode in force."""
        return self.modes[self.mode]

    @property
    def named(self) -> tuple[SymbolConfig, ...]:
        """The enabled symbols of the mode in force that are named: each has a worker of its own."""
        return tuple(symbol for symbol in self.selected.symbols if symbol.enabled)

    @property
    def groups(self) -> tuple[GroupConfig, ...]:
        """The groups of the mode in force."""
        return self.selected.groups

    @property
    def symbols(self) -> tuple[SymbolConfig, ...]:
        """All symbols that are recorded: the named ones, and the members of groups as far as they are known here."""
        return (*self.named, *(member_of(group, symbol) for group in self.groups for symbol in group.members))

    @property
    def workers(self) -> tuple[str, ...]:
        """The names of all workers: of a named symbol its own, of a group `<group>-<k>`."""
        parts = (part_name(group, number) for group in self.groups for number in range(group.workers))
        return (*(symbol.symbol for symbol in self.named), *parts)

    def symbol(self, name: str) -> SymbolConfig:
        """Return the settings of one symbol, enabled or not.

        One that is not configured has the default streams: the worker of a removed symbol still needs settings to
        drain its journal.
        """
        for symbol in (*self.selected.symbols, *self.symbols):
            if symbol.symbol == name:
                return symbol
        return SymbolConfig(symbol=name)

    @property
    def connections(self) -> int:
        """Redundant connections per route and symbol: as configured, else two in production and one in development.

        With two, messages that one loses while it is replaced come over the other one.
        """
        return self.network.connections or (2 if self.mode == "production" else 1)

    def connections_of(self, symbol: SymbolConfig) -> int:
        """Return the redundant connections per route of one worker of the symbol: two workers share them, rounded up.

        So a pair with `connections: 2` has one each, no more in all than a worker alone; with 3 it has two each.
        """
        return (self.connections + 1) // 2 if symbol.standby else self.connections

    def log_file(self, process: str) -> Path:
        """Return the path of the log of this process; a symbol outside ASCII is percent-encoded in it."""
        return Path(self.logging.file.replace("{process}", encode_name(process)))

    def journal_of(self, producer: str) -> Path:
        """Return the directory of this producer's journal: `ingest-BTCUSDT`, `rest`, …; it may not exist yet."""
        return Path(self.storage.journal_directory) / encode_name(producer)


def part_name(group: GroupConfig, number: int) -> str:
    """Return the name of a worker of a group."""
    return f"{group.name}-{number}"


def member_of(group: GroupConfig, symbol: str) -> SymbolConfig:
    """Return the settings of a member of a group."""
    return SymbolConfig(symbol=symbol, streams=group.streams, depth_snapshot=group.depth_snapshot)


def with_members(config: Config, found: Mapping[str, Sequence[str]]) -> Config:
    """Return the configuration with these members of the groups that match, by the group's name.

    A symbol belongs to the first group that has it, and to none where it is named.
    """
    taken = {symbol.symbol for symbol in config.selected.symbols}
    groups = []
    for group in config.groups:
        members = group.members if group.match is None else tuple(found.get(group.name, ()))
        members = tuple(symbol for symbol in members if symbol not in taken)
        taken.update(members)
        groups.append(msgspec.structs.replace(group, members=members))
    selected = msgspec.structs.replace(config.selected, groups=tuple(groups))
    return msgspec.structs.replace(config, modes={**config.modes, config.mode: selected})


def streams_of(symbol: SymbolConfig) -> tuple[Stream, ...]:
    """Return the streams of a symbol that come by websocket, in the configured order.

    Raises `ExchangeError` where one does not exist.
    """
    return tuple(
        stream_of(symbol.symbol, suffix) for suffix in symbol.streams if polled_of(symbol.symbol, suffix) is None
    )


def series_of(symbol: SymbolConfig) -> tuple[Polled, ...]:
    """Return the series of a symbol that are polled from REST, in the configured order."""
    found = (polled_of(symbol.symbol, name) for name in symbol.streams)
    return tuple(one for one in found if one is not None)


def has_book(symbol: SymbolConfig) -> bool:
    """Return True when an order book can be kept of it: that takes a depth stream and its snapshots.

    Updates alone only change levels; without a snapshot nobody knows the levels that they do not name.
    """
    return symbol.depth_snapshot and any(stream.type.builds_book for stream in streams_of(symbol))


def default_path() -> Path:
    """Return the configuration in force where none is named: the user's own, else the example of a checkout."""
    return OWN_PATH if OWN_PATH.is_file() else DEFAULT_PATH


def load(path: Path) -> Config:
    """Read and validate a configuration; every fault is a `ConfigError` that names file, key and, where known, line."""
    return load_with_text(path)[0]


def load_with_text(path: Path) -> tuple[Config, str]:
    """Return the configuration of a file, and a text that `parse` reads back into it, without the files it stands on.

    The text keeps the settings as they were read, so that a later edit does not change a process that is restarted.
    """
    try:
        text = layers.text_of(path)
    except layers.LayerError as error:
        raise ConfigError(f"{error}; name another file with -c FILE, or make one: binance-streamer init") from error
    try:
        str(path.resolve()).encode()
    except UnicodeEncodeError as error:
        raise ConfigError(f"{path}: the name of a folder is not UTF-8: rename it") from error
    merged = _merged(text, path)
    return _configured(merged, path), msgspec.json.encode(merged.plain).decode()


def parse(text: str, path: Path) -> Config:
    """Return the configuration in a YAML text; raises `ConfigError`.

    `path` need not exist: it stands in error messages, and relative paths and the base are taken from its folder.
    """
    return _configured(_merged(text, path), path)


def _merged(text: str, path: Path) -> layers.Merged:
    try:
        return layers.merged(text, path)
    except layers.LayerError as error:
        raise ConfigError(str(error)) from error


def _configured(merged: layers.Merged, path: Path) -> Config:
    """Return the validated configuration of a merged map.

    In this order: types first, then the rules between keys, then paths; so a rule can rely on the type of each value.
    """
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
    if config.storage.lake in (config.storage.output_directory, config.storage.journal_directory):
        raise ConfigError(f"{source}: storage.lake: must be a directory of its own")
    return config


def default_of(config: Config, path: Path) -> Config:
    """Return a configuration with the same symbols, and everything else as it is where the file says nothing."""
    return _resolved(Config(mode=config.mode, modes=config.modes), path.resolve().parent)


def dump(config: Config) -> str:
    """Return YAML that `parse` reads back into the same configuration; secrets included, see `shown`."""
    return layers.dumped(msgspec.to_builtins(config))


def shown(config: Config) -> str:
    """Return YAML for people: of a webhook's address, which holds its token, only the host is left."""
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
    """Raise the first fault in what the types cannot say: relations between keys, addresses, symbols.

    The symbols of all modes are checked, so that a switch of the mode does not find a wrong one.
    """
    if config.mode not in config.modes:
        raise refuse("mode", f"is {config.mode!r}, but modes.{config.mode} is missing")
    for mode_name, mode in config.modes.items():
        _check_symbols(mode, f"modes.{mode_name}.symbols", refuse)
        _check_groups(mode, f"modes.{mode_name}.groups", refuse)
    _check_urls(config.network, refuse)
    _check_times(config, refuse)
    _check_endpoints(config.endpoints, refuse)
    _check_directories(config.storage, refuse)
    _check_monitor(config, refuse)
    if "{process}" not in config.logging.file:
        raise refuse("logging.file", "must contain {process}: each process writes a log of its own")


def _check_urls(network: NetworkConfig, refuse: _Refusal) -> None:
    """Refuse an address without host or with another scheme, and an unencrypted one that is not loopback.

    On the way to another machine anybody could change unencrypted market data without being noticed.
    """
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
    """Refuse infinite numbers (1e999), for which no timer could be set, and bounds that are out of order."""
    for name in ("network", "storage", "archiver", "orderbook", "alerts"):
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
    if config.storage.file_format != "csv" and 2 * config.storage.compress_interval > config.alerts.backlog:
        raise refuse("storage.compress_interval", "must be at most half of alerts.backlog: every row waits so long")


def _check_endpoints(endpoints: EndpointsConfig, refuse: _Refusal) -> None:
    """Refuse malformed endpoints, unprotected ones that other machines can reach, and two with the same address.

    With the same address the second process could not bind, and would be restarted for ever.
    """
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
    """Refuse an unprotected monitor, and webhooks that are malformed, not encrypted, or without a chat."""
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


_is_bucket = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[^\s/?#:@\x00-\x1f]+)+/?").fullmatch
"""A prefix is needed: beside other things in a bucket nobody could tell what belongs to the lake."""


def _check_directories(storage: StorageConfig, refuse: _Refusal) -> None:
    for key in ("output_directory", "journal_directory"):
        if not getattr(storage, key):
            raise refuse(f"storage.{key}", "expected a directory, got nothing")
    if "://" in storage.lake and not _is_bucket(storage.lake):
        raise refuse(
            "storage.lake", "expected a directory or s3://BUCKET/PREFIX; credentials come from the environment"
        )
    _check_retention(storage, refuse)


def _check_retention(storage: StorageConfig, refuse: _Refusal) -> None:
    """Refuse amounts that cannot be read, and those under which nothing, or more than was meant, would be removed."""
    retention = storage.retention
    seconds: dict[str, float] = {}
    for key, parse_amount in (("csv", seconds_of), ("parquet", seconds_of), ("max_bytes", bytes_of)):
        text = getattr(retention, key)
        try:
            seconds[key] = parse_amount(text) if text else 0.0
        except ValueError as error:
            raise refuse(f"storage.retention.{key}", str(error)) from error
    if retention != RetentionConfig() and (storage.keep_csv or not storage.lake):
        raise refuse("storage.retention", "needs storage.lake and keep_csv: false; daily files go before sealed ones")
    if retention.parquet and seconds["parquet"] < max(seconds["csv"], _LEAST_PARQUET_S):
        raise refuse("storage.retention.parquet", "must be a day at least, and not less than csv")
    if retention.max_bytes and not seconds["max_bytes"]:
        raise refuse("storage.retention.max_bytes", "must be above 0")


def _check_symbols(mode: ModeConfig, key: str, refuse: _Refusal) -> None:
    """Refuse a mode that records nothing, symbols and streams listed twice, and names that the exchange cannot have.

    A wrong name must end here: the exchange acknowledges an unknown stream and stays silent (docs/exchange.md §1.3).
    """
    if not mode.groups and not any(symbol.enabled for symbol in mode.symbols):
        raise refuse(key, "at least one symbol must be enabled")
    seen: set[str] = set()
    for number, symbol in enumerate(mode.symbols):
        place = f"{key}[{number}]"
        _check_name(symbol.symbol, f"{place}.symbol", seen, refuse)
        _check_streams(symbol.streams, f"{place}.streams", refuse)
        of_all = sorted(set(OF_ALL).intersection(symbol.streams))
        if of_all:
            raise refuse(f"{place}.streams", f"{of_all[0]} is for groups; of a symbol it is {OF_ALL[of_all[0]]}")


def _check_groups(mode: ModeConfig, key: str, refuse: _Refusal) -> None:
    """Refuse groups with the same name or without symbols, and members that are named elsewhere, too."""
    seen = {symbol.symbol for symbol in mode.symbols}
    for number, group in enumerate(mode.groups):
        place = f"{key}[{number}]"
        if group.name in [other.name for other in mode.groups[:number]]:
            raise refuse(f"{place}.name", f"{group.name!r} is listed twice")
        if (group.match is None) != bool(group.members):
            raise refuse(place, "needs either match, or members by name")
        if group.top is not None and group.match is None:
            raise refuse(f"{place}.top", "is a choice of what match names: remove it, or members")
        for index, symbol in enumerate(group.members):
            _check_name(symbol, f"{place}.members[{index}]", seen, refuse)
        _check_streams(group.streams, f"{place}.streams", refuse)
        for stream in set(OF_ALL).intersection(group.streams):
            if OF_ALL[stream] in group.streams:
                raise refuse(f"{place}.streams", f"{OF_ALL[stream]} is listed twice: {stream} brings it too")


def _check_name(symbol: str, place: str, seen: set[str], refuse: _Refusal) -> None:
    """Refuse a name that the exchange cannot have, and one that was seen before."""
    fault = symbol_fault(symbol)
    if fault:
        raise refuse(place, f"{symbol!r} {fault}{_symbol_like(symbol)}")
    if symbol != symbol.translate(UPPER):
        raise refuse(place, f"{symbol!r} must be in upper case, as the exchange spells it{_symbol_like(symbol)}")
    if symbol in seen:
        raise refuse(place, f"{symbol!r} is listed twice")
    seen.add(symbol)


def _check_streams(streams: Sequence[str], place: str, refuse: _Refusal) -> None:
    """Refuse streams and series that do not exist, those listed twice, and a symbol without any websocket stream."""
    if len(set(streams)) != len(streams):
        raise refuse(place, "a stream is listed twice")
    polled: set[str] = set()
    for index, suffix in enumerate(streams):
        try:
            series = polled_of("BTCUSDT", suffix) or stream_of("BTCUSDT", suffix)
        except ExchangeError as error:
            known = [*suffixes(), *series_spellings()]
            raise refuse(f"{place}[{index}]", f"{error}{nearest(suffix, known)}") from error
        if isinstance(series, Polled):
            if series.name in polled:
                raise refuse(place, f"{series.series.word} is listed twice: its rows would stand in the same file")
            polled.add(series.name)
    if len(polled) == len(streams):
        why = "at least one stream of the websocket is needed; use enabled: false to pause a symbol"
        raise refuse(place, why)


def _symbol_like(text: str) -> str:
    """Return a question about the symbol that was meant with `btcusdt` or `BTC/USDT`; empty where none is likely."""
    likely = "".join(letter for letter in text.translate(UPPER) if letter.isalnum() or letter == "_")
    return f"; did you mean {likely!r}?" if len(likely) >= _SHORTEST_LIKELY and not symbol_fault(likely) else ""


def _resolved(config: Config, folder: Path) -> Config:
    """Return the configuration with absolute paths, taken from the folder of the file, and `{run}` filled in.

    Processes have different working directories, so that a relative path would mean another place in each.
    """

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
            lake=absolute(storage.lake_folder) if storage.lake_folder else storage.lake.rstrip("/"),
        ),
        monitor=replace(config.monitor, token_file=config.monitor.token_file and absolute(config.monitor.token_file)),
        network=replace(config.network, ca_file=config.network.ca_file and absolute(config.network.ca_file)),
        logging=replace(config.logging, file=absolute(config.logging.file)),
        endpoints=replace(config.endpoints, run_directory=run_directory, curve_directory=curve_directory, **endpoints),
    )
