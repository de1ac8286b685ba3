"""The configured processes as the page shows them."""

from collections.abc import Mapping

from binance_streamer.config.schema import Config
from binance_streamer.health.judge import processes
from binance_streamer.wire.statuses import IngestStatus, OrderbookStatus, RestStatus, Status, WriterStatus
from services.monitor.view.picture import ProcessPart


class Processes:
    """CPU is the difference of two statuses; everything else stands in the newest one."""

    def __init__(self, config: Config) -> None:
        self._names = processes(config)
        self._newest: dict[str, Status] = {}
        self._cpu_percent: dict[str, float] = {}

    def take(self, status: Status) -> None:
        """A status of a configured process."""
        before = self._newest.get(status.producer)
        self._newest[status.producer] = status
        if before is None or before.epoch != status.epoch or status.recv_ns <= before.recv_ns:
            self._cpu_percent.pop(status.producer, None)
            return
        seconds = (status.recv_ns - before.recv_ns) / 1e9
        self._cpu_percent[status.producer] = max(0.0, status.cpu_s - before.cpu_s) / seconds * 100

    def parts(self, present: Mapping[str, Status]) -> tuple[ProcessPart, ...]:
        """All of them, whether they are there or not."""
        return tuple(self._part(name, present.get(name)) for name in self._names)

    def _part(self, name: str, status: Status | None) -> ProcessPart:
        if status is None:
            known = self._newest.get(name)
            return ProcessPart(
                name=name, kind=_kind(name), up=False, state="down" if known else "not heard yet", pid=None,
                uptime_s=None, rss_bytes=None, cpu_percent=None, backlog_bytes=0, backlog_s=0.0, detail="",
            )  # fmt: skip
        journal = status.journal
        return ProcessPart(
            name=name,
            kind=_kind(name),
            up=True,
            state=_state(status),
            pid=status.pid,
            uptime_s=status.up_s,
            rss_bytes=status.rss_bytes,
            cpu_percent=self._cpu_percent.get(name),
            backlog_bytes=journal.unacknowledged_bytes if journal else 0,
            backlog_s=journal.unacknowledged_s if journal else 0.0,
            detail=_detail(status),
        )


def _kind(name: str) -> str:
    return "ingest" if name.startswith("ingest-") else name


def _state(status: Status) -> str:
    if isinstance(status, IngestStatus):
        journal = status.journal.state if status.journal else "starting"
        return journal if journal != "recording" or status.connections else "not connected"
    return status.state or "running"


def _detail(status: Status) -> str:
    """What distinguishes it, in a few words."""
    if isinstance(status, IngestStatus):
        is_open = sum(link.is_open for link in status.connections)
        return f"{is_open} of {len(status.connections)} connections open"
    if isinstance(status, WriterStatus):
        return f"{status.rows} rows, {status.bytes} bytes"
    if isinstance(status, RestStatus):
        return status.fault or f"{status.snapshots} snapshots, {status.used_weight} of {status.weight_limit} weight"
    if isinstance(status, OrderbookStatus):
        valid = sum(book.valid for book in status.books.values())
        return f"{valid} of {len(status.books)} books valid"
    return ""
