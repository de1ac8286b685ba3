"""Records one symbol, or those of a group's worker: `python -m services.ingest --symbol BTCUSDT`."""

import os
import sys
from collections.abc import Sequence
from dataclasses import replace

import zmq

from binance_streamer.config import schema as configuration
from binance_streamer.config.groups import MembersFile, is_part, is_wanted
from binance_streamer.config.symbols import symbol_fault
from binance_streamer.deploy.digest import SETTINGS_VARIABLE
from binance_streamer.exchange.streams import UPPER
from services.ingest.intake import Intake, new_intake
from services.ingest.streams.stream_set import StreamSet
from services.ingest.symbols import WorkerSymbols
from services.ingest.takeover.claims import SymbolClaims, claiming
from services.ingest.takeover.moves import SymbolMoves
from services.ingest.takeover.noted_outages import NotedOutages, noted_outages_path
from services.ingest.takeover.standby import Standby
from services.ingest.takeover.unlisted import UnlistedLosses, unlisted_path
from services.ingest.takeover.waiting import WorkerStreams
from services.ingest.worker import IngestWorker
from services.runtime.clock import monotonic_s, new_epoch, wall_ns
from services.runtime.delivery.producer import Producer, lock_path, producing
from services.runtime.files import raise_descriptor_limit
from services.runtime.gaps.last_rows import newest_ns
from services.runtime.lock import Blockage, FileLock
from services.runtime.process import Shell, StopRequestedError, arguments_of, run_service

_SWITCH_INTERVAL_S = 0.0005
"""The reader waits about so long for a busy recorder to let it run, and a stamp is late by as much; Python's default of
5 ms is ten times that. Messages are stamped behind the recv, so this is the error of `recv_ns` under load."""

_LOOK_S = 0.2
_HANDED_ON_S = 20.0
"""For another worker to go on with a symbol behind a journal that is about to be deleted; else the journal is kept."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the service until it is asked to stop; return the exit code (78: the configuration is not valid)."""
    parser = arguments_of(
        "services.ingest",
        "Records the streams of one symbol of the exchange, or of those that a worker of a group serves.",
        "python -m services.ingest --symbol BTCUSDT -c config/streamer.yaml",
    )
    parser.add_argument(
        "--symbol", "--worker", dest="worker", required=True, metavar="S",
        help="a symbol as the exchange spells it, configured or not; or a worker of a group: perpetuals-0",
    )  # fmt: skip
    parser.add_argument(
        "--standby", action="store_true", help="a second worker, which waits for the journal of the first, and is warm"
    )
    parser.add_argument(
        "--drain", action="store_true", help="push the journal of a symbol to its end, without connecting, and end"
    )
    parser.add_argument(
        "--forget", action="store_true", help="with --drain: delete the journal once all of it is durable in the files"
    )
    options = parser.parse_args(arguments)
    worker: str = options.worker
    fault = _worker_fault(worker)
    if fault:
        print(f"ingest: --symbol {worker!r} {fault}", file=sys.stderr)  # noqa: T201 (there is no log yet)
        return configuration.EXIT_CODE
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    raise_descriptor_limit()  # a lock for each symbol is a file
    if options.forget and not options.drain:
        parser.error("--forget needs --drain")
    body = _record
    if options.drain:
        os.environ.pop(SETTINGS_VARIABLE, None)  # by the file as it is now, in a container of another process too
        body = _drain_and_forget if options.forget else _drain
    name = f"standby-{worker}" if options.standby else f"ingest-{worker}"
    return run_service(name, options.config, lambda shell: body(shell, worker))


def _worker_fault(worker: str) -> str | None:
    """Return the reason why this can be neither a symbol nor a worker of a group, or None."""
    if is_part(worker):
        return None
    fault = symbol_fault(worker)
    return "must be in upper case" if worker != worker.translate(UPPER) else fault


def _record(shell: Shell, worker: str) -> None:
    """Record the symbols of this worker, as soon as they are known and its journal is ours.

    Whoever records is `ingest-<worker>` to all others, and whoever waits `standby-<worker>`; the log alone has the name
    with which the process was started.
    """
    symbols = _known_symbols(shell, worker)
    recording = replace(shell, name=f"ingest-{worker}")
    lock = FileLock(lock_path(shell, recording.name))
    if _is_held(lock):
        standby = Standby(replace(shell, name=f"standby-{worker}"), worker, symbols, lock)
        if not standby.wait():
            return
        recording = replace(recording, epoch=new_epoch())
        with (
            producing(recording, lock, standby.pub) as (producer, pub),
            claiming(recording.config, recording.name) as claims,
        ):
            intake, streams = standby.take_over(recording, producer, claims)
            _run(recording, producer, pub, claims=claims, intake=intake, streams=streams)
        return
    UnlistedLosses(unlisted_path(shell, recording.name)).take_over()  # what the last run has noted is over
    with (
        producing(recording, lock if lock.is_ours else None) as (producer, pub),
        claiming(recording.config, recording.name) as claims,
    ):
        intake, streams = new_intake(recording, worker, symbols, claims, producer.last_rows)
        ended_ns = newest_ns(streams.last_rows.values())
        intake.coordinator.outages.resume(NotedOutages(noted_outages_path(shell, producer.name)).read(), ended_ns)
        _run(recording, producer, pub, claims=claims, intake=intake, streams=streams)


def _run(  # noqa: PLR0913 (the parts of a worker)
    shell: Shell,
    producer: Producer,
    pub: "zmq.Socket[bytes]",
    *,
    claims: SymbolClaims,
    intake: Intake,
    streams: WorkerStreams,
) -> None:
    moves = SymbolMoves(shell, claims, producer, intake=intake, streams=streams)
    IngestWorker(shell, producer, pub, intake=intake, moves=moves).run()


def _known_symbols(shell: Shell, worker: str) -> WorkerSymbols:
    """Return the symbols of this worker; those of a group are waited for until the exchange has told its list.

    A worker that began without them would end the open gaps of all its streams.
    """
    symbols = WorkerSymbols(shell.config, worker, shell.config_path)
    with Blockage(shell) as blockage:
        while not symbols.are_known:
            blockage.tell("the members of the group are not known yet: rest asks the exchange for its list")
            if shell.stop.wait(_LOOK_S):
                raise StopRequestedError
            symbols = WorkerSymbols(shell.config, worker, shell.config_path)
    return symbols


def _is_held(lock: FileLock) -> bool:
    """Try to take the lock; return True where another process has it."""
    try:
        return not lock.try_acquire()
    except OSError:  # `producing` waits for the disk, and says so
        return False


def _drain(shell: Shell, worker: str) -> None:
    with producing(shell) as (producer, _):
        if _try_drain(shell, producer):
            shell.log.info("drained worker=%s", worker)


def _drain_and_forget(shell: Shell, worker: str) -> None:
    with producing(shell) as (producer, _):
        if not _try_drain(shell, producer, until_durable=True):
            return
        claims = SymbolClaims(shell.config, producer.name)
        if _is_configured(shell, worker):
            shell.log.warning("drained, and not forgotten: worker=%s is configured again", worker)
        elif symbols := _await_next(shell, claims, producer):
            shell.log.warning("drained, and not forgotten: others are to go on with symbols=%s", " ".join(symbols))
        elif _try_end_gaps(shell, claims, producer, worker):
            producer.forget()
            shell.log.info("drained and forgotten worker=%s", worker)


def _await_next(shell: Shell, claims: SymbolClaims, producer: Producer) -> list[str]:
    """Return the symbols that other workers are to record, and that stand in this journal still, after a while."""
    deadline_s = monotonic_s() + _HANDED_ON_S
    while True:
        config = MembersFile(configuration.load(shell.config_path)).config
        standing = {row.symbol for row in producer.last_rows.values() if claims.owner(row.symbol) == producer.name}
        wanted = sorted(symbol for symbol in standing if is_wanted(config, symbol))
        if not wanted or monotonic_s() > deadline_s:
            return wanted
        if shell.stop.wait(_LOOK_S):
            raise StopRequestedError


def _try_end_gaps(shell: Shell, claims: SymbolClaims, producer: Producer, worker: str) -> bool:
    """End the open gaps of a worker whose journal is about to go: a worker without streams lists all as ended.

    Return False if their rows did not become durable before the process was asked to end. Gaps of a symbol that has
    moved are those of its worker.
    """
    own = {None, producer.name}
    rows = {name: row for name, row in producer.last_rows.items() if claims.owner(row.symbol) in own}
    no_streams = StreamSet(worker, (), last_rows=rows, new_gap_id=str)
    ended = no_streams.collect(wall_ns())
    return not ended or (producer.append(ended) and _try_drain(shell, producer, until_durable=True))


def _try_drain(shell: Shell, producer: Producer, *, until_durable: bool = False) -> bool:
    """Push the journal to its end, however long that takes; return False if asked to end before."""
    while not shell.stop.requested:
        if producer.drain(1.0, until_durable=until_durable):
            return True
    return False


def _is_configured(shell: Shell, worker: str) -> bool:
    """Return True where the configuration file, as it is now, has the worker.

    One that was added again meanwhile goes on behind the last rows of its journal, which must not be deleted then.
    """
    return worker in configuration.load(shell.config_path).workers
