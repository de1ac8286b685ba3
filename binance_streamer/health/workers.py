"""The workers of symbols: a named symbol has its own, a member of a group shares one with others."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from binance_streamer.config.groups import parts_of, workers_by_symbol
from binance_streamer.config.schema import Config
from binance_streamer.health.problem import Problem
from binance_streamer.wire.statuses import IngestStatus, Status, is_blocked

_PATIENCE_S = 60.0
"""To connect, and to receive the first message of each stream."""
_MOST_APART = 3
"""Problems of a group's worker that are told one by one; more of them have one cause, and are one problem."""


def with_symbols(config: Config, present: Mapping[str, Status]) -> dict[str, Status]:
    """Return the statuses by name, that of a group's worker under `ingest-<symbol>` of each of its symbols, too."""
    workers = workers_by_symbol(config)
    found = {f"ingest-{symbol}": present.get(f"ingest-{worker}") for symbol, worker in workers.items()}
    return {**present, **{name: status for name, status in found.items() if status is not None}}


def folded_by_worker(config: Config, problems: Iterable[Problem]) -> Iterator[Problem]:
    """Yield the problems of symbols, with which `what` begins; many of one worker of a group as one."""
    workers = workers_by_symbol(config)
    by_worker: dict[tuple[str, str], list[Problem]] = {}
    for problem in problems:
        symbol = problem.what.partition(" ")[0]
        worker = workers.get(symbol, symbol)
        if worker == symbol:
            yield problem
        else:
            by_worker.setdefault((worker, problem.severity), []).append(problem)
    for (worker, _), some in by_worker.items():
        yield from some if len(some) <= _MOST_APART else [_one_of(worker, some)]


def _one_of(worker: str, problems: list[Problem]) -> Problem:
    why, count = Counter(problem.why for problem in problems).most_common(1)[0]
    first = next(problem for problem in problems if problem.why == why)
    since_ms = min((problem.since_ms for problem in problems if problem.since_ms is not None), default=None)
    of_what = "order books" if first.condition == "book" else "streams"
    text = f"{len(problems)} {of_what}, {first.what} and others; of {count} of them: {why}"
    return Problem(first.condition, first.severity, f"ingest-{worker}", text, since_ms)


def empty_groups(config: Config, present: Mapping[str, Status]) -> Iterator[Problem]:
    """Yield a problem for each group that matches nothing; one whose members are not known yet has blocked workers."""
    for group in config.groups:
        workers = [present.get(f"ingest-{worker}") for worker in parts_of(group)]
        if not group.members and any(one is not None and not is_blocked(one) for one in workers):
            why = "no symbol that trades is its member: it records NOTHING; correct it in the YAML, then `apply`"
            yield Problem("recording", "failure", f"group {group.name}", why)


def waiting_symbols(config: Config, present: Mapping[str, Status]) -> Iterator[Problem]:
    """Yield a problem for each symbol that its worker does not record yet: nobody does, or still another one."""
    for worker in config.workers:
        status = present.get(f"ingest-{worker}")
        if isinstance(status, IngestStatus):
            for symbol, fault in status.waiting.items():
                if fault:
                    yield Problem("recording", "failure", symbol, fault)
                elif status.up_s > _PATIENCE_S:
                    yield Problem(
                        "recording", "warning", symbol, f"another worker than ingest-{worker} records it still"
                    )


def standby_fault(standby: Status | None) -> str:
    """Return why this worker could not go on now; empty where it could, is young, or says nothing at all."""
    if not isinstance(standby, IngestStatus) or standby.is_warm or standby.up_s <= _PATIENCE_S:
        return ""
    return "it does not receive every stream: should the recording worker end now, there would be a gap"
