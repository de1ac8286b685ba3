"""What `status` says: of processes and streams, gaps, backlog, disk and clock, and whether all of it is well."""

from collections.abc import Mapping, Sequence

import msgspec

from binance_streamer.cli.recordings.gap_files import GapSummary
from binance_streamer.cli.supervisor.control import Process
from binance_streamer.config.schema import Config, streams_of
from binance_streamer.deploy.supervisord import ingest_name
from binance_streamer.exchange.streams import suffix_of
from binance_streamer.health.judge import Health, ReceivedStatus, disk_of, recorded_stream, stream_state, trading_status
from binance_streamer.wire.statuses import IngestStatus, RestStatus, Status, WriterStatus


class ProcessReport(msgspec.Struct, frozen=True):
    """A program; `state` is supervisord's word, empty where it knows none. What it says itself is None while silent."""

    name: str
    state: str
    pid: int
    uptime_s: float
    says: str | None
    rss_bytes: int | None
    cpu_s: float | None
    description: str


class StreamReport(msgspec.Struct, frozen=True):
    """A configured stream. `why` is empty where it is being recorded."""

    symbol: str
    stream: str
    state: str
    why: str
    messages: int
    rate: float
    last_message_s: float | None
    latency_ms: float | None
    gaps_today: GapSummary


class DiskReport(msgspec.Struct, frozen=True):
    """Room for the recorded files; the last two are None while the writer is too young to tell."""

    free_bytes: int
    total_bytes: int
    written_bytes_per_day: float | None
    days_left: float | None


class ClockReport(msgspec.Struct, frozen=True):
    """How far the exchange's clock is ahead of ours, within `error_ms`; None before it was measured."""

    offset_ms: float | None
    error_ms: float | None


class ProblemReport(msgspec.Struct, frozen=True):
    """As in `binance_streamer.health.judge`."""

    severity: str
    condition: str
    what: str
    why: str
    since_ms: int | None


class Report(msgspec.Struct, frozen=True):
    """All of it."""

    recording: bool
    problems: tuple[ProblemReport, ...]
    supervisord_pid: int | None
    processes: tuple[ProcessReport, ...]
    streams: tuple[StreamReport, ...]
    gaps_today: GapSummary
    backlog_bytes: int
    backlog_s: float
    disk: DiskReport | None
    clock: ClockReport | None
    ownerless_journals: tuple[str, ...]


def report_of(  # noqa: PLR0913 (all that there is)
    config: Config,
    told: Mapping[str, ReceivedStatus],
    health: Health,
    *,
    supervisord_pid: int | None,
    processes: Sequence[Process],
    gaps: Mapping[str, Mapping[str, GapSummary]],
    ownerless_journals: Sequence[str],
    now_ns: int,
) -> Report:
    """`gaps` of today by symbol and stream; `processes` are empty where supervisord does not run."""
    said = {name: one.status for name, one in told.items()}
    streams = [stream for symbol in config.symbols for stream in _streams(config, symbol.symbol, said, gaps, now_ns)]
    journals = [status.journal for status in said.values() if status.journal is not None]
    all_gaps = [one for of_symbol in gaps.values() for one in of_symbol.values()]
    return Report(
        health.healthy,
        tuple(ProblemReport(one.severity, one.condition, one.what, one.why, one.since_ms) for one in health.problems),
        supervisord_pid,
        tuple(_processes(processes, said, config)),
        tuple(streams),
        _sum(all_gaps),
        sum(journal.unacknowledged_bytes for journal in journals),
        max((journal.unacknowledged_s for journal in journals), default=0.0),
        _disk(said.get("writer")),
        _clock(said.get("rest")),
        tuple(ownerless_journals),
    )


def _processes(processes: Sequence[Process], said: Mapping[str, Status], config: Config) -> list[ProcessReport]:
    by_program = {_program(name): status for name, status in said.items()}
    if not processes:
        processes = [Process(name, "", one.pid, "", one.up_s) for name, one in sorted(by_program.items())]
    return [
        ProcessReport(
            one.name,
            one.state,
            one.pid,
            one.uptime_s,
            _says(by_program.get(one.name), config),
            by_program[one.name].rss_bytes if one.name in by_program else None,
            by_program[one.name].cpu_s if one.name in by_program else None,
            one.description,
        )
        for one in processes
    ]


def _program(producer: str) -> str:
    symbol = producer.removeprefix("ingest-")
    return producer if symbol == producer else ingest_name(symbol)


def _says(status: Status | None, config: Config) -> str | None:
    if status is None:
        return None
    if isinstance(status, IngestStatus):
        is_open = sum(link.is_open for link in status.connections)
        routes = {stream.route for stream in streams_of(config.symbol(status.producer.removeprefix("ingest-")))}
        return f"{is_open} of {max(len(status.connections), len(routes) * config.connections)} connections"
    rows = f", {status.rows} rows" if isinstance(status, WriterStatus) else ""
    return f"{status.state}{rows}"


def _streams(
    config: Config,
    symbol: str,
    said: Mapping[str, Status],
    gaps: Mapping[str, Mapping[str, GapSummary]],
    now_ns: int,
) -> list[StreamReport]:
    found = []
    ingest = said.get(f"ingest-{symbol}")
    trading = trading_status(symbol, said)
    for configured in streams_of(config.symbol(symbol)):
        of_stream = gaps.get(symbol, {}).get(configured.name, GapSummary())
        suffix = suffix_of(configured.name)
        if not isinstance(ingest, IngestStatus):
            state, why, told = "unknown", "its worker says nothing", None
        else:
            stream = recorded_stream(configured, ingest)
            state, why, _ = stream_state(stream, ingest, trading)
            told = ingest.streams.get(stream.name)
            of_stream = gaps.get(symbol, {}).get(stream.name, of_stream)
        last_ns = told.last_recv_ns if told else None
        found.append(
            StreamReport(
                symbol,
                suffix,
                state,
                why,
                told.messages if told else 0,
                told.rate if told else 0.0,
                None if last_ns is None else max(0.0, (now_ns - last_ns) / 1e9),
                told.latency_ms if told else None,
                of_stream,
            )
        )
    return found


def _sum(gaps: Sequence[GapSummary]) -> GapSummary:
    return GapSummary(
        sum(one.listed for one in gaps), sum(one.repaired for one in gaps), sum(one.missing_ids for one in gaps)
    )


def _disk(writer: Status | None) -> DiskReport | None:
    disk = disk_of(writer) if isinstance(writer, WriterStatus) else None
    return None if disk is None else DiskReport(*disk)


def _clock(rest: Status | None) -> ClockReport | None:
    return ClockReport(rest.clock_offset_ms, rest.clock_error_ms) if isinstance(rest, RestStatus) else None
