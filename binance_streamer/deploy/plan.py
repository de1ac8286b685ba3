"""Reckons what a configuration needs before anything is started, and says what to change where it does not fit.

In: a configuration, and what the machine has. Out: lines. Nothing is asked of the exchange. Costs of the processes are
those of docs/operations.md and benchmarks/RESULTS.md (2026-11-26 to 2026-11-30, two virtual cores, Python 3.11).
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from binance_streamer.config.groups import is_part, symbols_of
from binance_streamer.config.schema import Config, SymbolConfig, has_book, series_of, streams_of
from binance_streamer.deploy.rates import COMPRESSED, COMPRESSED_OTHERWISE, rate_of
from binance_streamer.exchange.rest_series import REQUEST_LIMITS, Polled
from binance_streamer.exchange.series_types import AnswerKind
from binance_streamer.exchange.streams import Stream, routes_needed
from binance_streamer.health.sizes import amount, size

_WEIGHT_LIMIT = 2400
"""A minute, of the address (docs/exchange.md §4)."""
_DAY_S = 86_400
_ATTEMPTS_WINDOW_S = 300
_SNAPSHOT_WEIGHT = 20
_SNAPSHOT_BYTES = 34_000
_SUMMARY_BYTES = 700
"""Of a row of the order book with 20 levels a side."""
_OWN_WEIGHT = 8.0
"""A minute: five samples of the clock, and every ten minutes the list of symbols and market hours."""
_WORKER_BYTES, _OTHERS_BYTES, _BOOK_BYTES = 38_000_000, 230_000_000, 2_000_000
"""Resident: a worker, 18 MB of it shared; bus, rest, writer, order books, monitor and supervisord together; and a book
more."""
_WORKER_START_S = 1.1
"""Of CPU, until a worker has its first row: twenty took 22 s on two cores."""
_IDLE_S, _TURN_S, _MESSAGE_S, _UPDATE_S = 0.003, 0.0005, 0.0001, 0.0003
"""CPU: of an idle worker a second; of a turn of its loop; of a message in worker, bus and writer; of an update of a
book."""
_MOST_TURNS = 190
"""A second; what arrives within 5 ms is one turn."""
_ENOUGH = 0.6
"""Part of the cores, and of the memory, that may be planned: busy minutes have several times the mean."""


class Machine(NamedTuple):
    """The machine that is to record."""

    cores: int
    memory_bytes: int
    free_bytes: int
    """On the disk of `storage.output_directory`."""


class PlanLine(NamedTuple):
    """One need: its value in words, and what to change where it does not fit; `advice` is empty where it does."""

    name: str
    value: str
    advice: str = ""


def plan_of(config: Config, machine: Machine) -> list[PlanLine]:
    """Return what the symbols of the mode in force need, one line each."""
    streams = [stream for symbol in config.symbols for stream in streams_of(symbol)]
    polled = [series for symbol in config.symbols for series in series_of(symbol)]
    return [
        PlanLine("symbols", f"{len(config.symbols)}, {amount(len(streams) + len(polled), 'stream')}"),
        *_start_lines(config, machine),
        *_rest_lines(config, polled),
        *_data_lines(config, machine, streams),
        *_machine_lines(config, machine),
    ]


def _weight_a_minute(config: Config, polled: Iterable[Polled]) -> float:
    """Return the request weight that snapshots, audits, series and what we ask for ourselves take in a minute."""
    books = _books(config)
    network, audits_s = config.network, config.orderbook.audit_interval
    found = _OWN_WEIGHT + books * _SNAPSHOT_WEIGHT * 60 / network.snapshot_interval
    if config.orderbook.enabled and audits_s:
        found += books * _SNAPSHOT_WEIGHT * 60 / audits_s
    return found + sum(one.series.weight * _requests_per_s(one) * 60 for one in _asked(polled))


def _requests_per_s(polled: Polled) -> float:
    """Return the requests a second that a series of one symbol takes."""
    return 1 / polled.interval_s


def _asked(polled: Iterable[Polled]) -> Iterator[Polled]:
    """Yield the series that have requests of their own: one for all symbols counts once."""
    seen: set[str] = set()
    for one in polled:
        if one.series.answer is not AnswerKind.LIST_OF_SYMBOLS or one.series.name not in seen:
            seen.add(one.series.name)
            yield one


class _Load(NamedTuple):
    """One worker: what it records, and how many connections bring each message, those of a standby counted in."""

    symbols: tuple[SymbolConfig, ...]
    copies: int

    @property
    def connections(self) -> int:
        """The connections of the worker, and of its standby: at most 200 streams are on one."""
        return routes_needed(stream for symbol in self.symbols for stream in streams_of(symbol)) * self.copies


def _loads(config: Config) -> list[_Load]:
    """Return the workers of the configuration, those of groups among them."""
    found = []
    for worker in config.workers:
        symbols = symbols_of(config, worker)
        copies = config.connections
        if symbols and not is_part(worker):
            copies = config.connections_of(symbols[0]) * (2 if symbols[0].standby else 1)
        found.append(_Load(symbols, copies))
    return found


def _processes(config: Config) -> int:
    """Return the number of workers, those that stand by included."""
    return len(config.workers) + sum(symbol.standby for symbol in config.named)


def _start_lines(config: Config, machine: Machine) -> Iterator[PlanLine]:
    connections = sum(load.connections for load in _loads(config))
    most = config.network.connect_attempts
    windows = -(-connections // most)
    yield PlanLine(
        "connections",
        f"{connections}; {most} attempts in five minutes",
        f"{windows} times five minutes pass before all are open: groups, fewer symbols, or connections: 1"
        if windows > 1
        else "",
    )
    workers = _processes(config)
    live_s = max((windows - 1) * _ATTEMPTS_WINDOW_S, workers * _WORKER_START_S * 2 / machine.cores)
    books = _books(config) if config.orderbook.enabled else 0
    heavy_s = max(config.network.snapshot_spacing, 60 * _SNAPSHOT_WEIGHT / _budget(config))
    yield PlanLine(
        "until all is live",
        f"{live_s / 60:.1f} minutes; order books {(live_s + books * heavy_s) / 60:.1f} minutes",
    )


def _books(config: Config) -> int:
    """Return the number of symbols of which snapshots are asked for, so that a book can be kept."""
    return sum(has_book(symbol) for symbol in config.symbols)


def _budget(config: Config) -> float:
    return _WEIGHT_LIMIT * config.network.weight_share


def _rest_lines(config: Config, polled: list[Polled]) -> Iterator[PlanLine]:
    weight, budget = _weight_a_minute(config, polled), _budget(config)
    advice = "longer intervals behind the @ of series, a longer orderbook.audit_interval, or a larger weight_share"
    yield PlanLine(
        "REST weight a minute",
        f"{weight:.0f} of {budget:.0f} (network.weight_share {config.network.weight_share:g} of {_WEIGHT_LIMIT})",
        advice if weight > budget else "",
    )
    for limit in REQUEST_LIMITS:
        wanted = sum(_requests_per_s(one) * limit.window_s for one in _asked(polled) if one.series.limit == limit)
        most = limit.requests * config.network.weight_share
        if wanted:
            late = "buckets come late, and complete: longer periods, or fewer of them, if that matters"
            value = f"{wanted:.0f} of {most:.0f}"
            yield PlanLine(f"{limit.name} requests in 5 min", value, late if wanted > most else "")


def _data_lines(config: Config, machine: Machine, streams: list[Stream]) -> Iterator[PlanLine]:
    rates = [(stream, rate_of(stream)) for stream in streams]
    messages = sum(rate.messages_per_s for _, rate in rates)
    is_compressed = config.storage.file_format != "csv"

    def part(stream: Stream) -> float:
        return COMPRESSED.get(stream.stream_type, COMPRESSED_OTHERWISE) if is_compressed else 1.0

    day_bytes = sum(rate.messages_per_s * rate.row_bytes * part(stream) for stream, rate in rates) * _DAY_S
    books = _books(config)
    own_bytes = books * _DAY_S * (_SNAPSHOT_BYTES / config.network.snapshot_interval)
    own_bytes += books * _DAY_S * (_SUMMARY_BYTES / config.orderbook.output_interval)
    day_bytes += own_bytes * (COMPRESSED["depth"] if is_compressed else 1)
    yield PlanLine("messages a second", f"{messages:.0f} on a mean day, several times that on a busy one")
    days = machine.free_bytes / day_bytes if day_bytes else 0.0
    is_little = days < config.alerts.disk_days and not config.storage.lake
    compress = "" if is_compressed else " storage.file_format: csv.zst,"
    yield PlanLine(
        "data a day",
        f"{size(int(day_bytes))} as {config.storage.file_format}; {size(machine.free_bytes)} free are {days:.1f} days",
        f"a larger disk,{compress} or a lake with retention" if is_little else "",
    )


def _machine_lines(config: Config, machine: Machine) -> Iterator[PlanLine]:
    workers = _processes(config)
    books = _books(config) if config.orderbook.enabled else 0
    needed = workers * _WORKER_BYTES + _OTHERS_BYTES + books * _BOOK_BYTES
    room = machine.memory_bytes * _ENOUGH
    fewer = f"fewer workers ({int(room / _WORKER_BYTES)} have room): groups, or fewer symbols; or more memory"
    yield PlanLine(
        "memory",
        f"{size(needed)} of {size(machine.memory_bytes)}, {amount(workers, 'worker')} of {size(_WORKER_BYTES)}",
        fewer if needed > room else "",
    )
    busy = sum(_cpu_of(config, load) for load in _loads(config))
    slower = "slower streams (depth@500ms), a group of workers that share messages, fewer symbols here, or more cores"
    yield PlanLine(
        "cores",
        f"{busy:.1f} of {machine.cores} on a mean day",
        slower if busy > machine.cores * _ENOUGH else "",
    )


def _cpu_of(config: Config, load: _Load) -> float:
    """Return seconds of CPU a second that a worker takes: each redundant connection brings its copies."""
    streams = [stream for symbol in load.symbols for stream in streams_of(symbol)]
    messages = sum(rate_of(stream).messages_per_s for stream in streams) * load.copies
    books = [symbol for symbol in load.symbols if has_book(symbol)] if config.orderbook.enabled else []
    updates = sum(
        rate_of(stream).messages_per_s for book in books for stream in streams_of(book) if stream.type.builds_book
    )
    return _IDLE_S + min(messages, _MOST_TURNS) * _TURN_S + messages * _MESSAGE_S + updates * _UPDATE_S
