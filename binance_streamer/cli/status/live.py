"""The state that `up` and `demo` show while they record: the recorder's snapshot, and totals since they began.

In: status messages off the bus. Out: snapshots, totals, losses. The snapshot speaks of the present run of each process.
The totals go on when a process is started again.
"""

import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from binance_streamer.config import schema as configuration
from binance_streamer.config.schema import Config
from binance_streamer.exchange.streams import stream_of
from binance_streamer.health.gaps import NO_GAPS
from binance_streamer.health.observer import Observer
from binance_streamer.health.snapshot import Snapshot
from binance_streamer.wire.frames import WireError
from binance_streamer.wire.status_parts import JournalStatus, StreamStatus
from binance_streamer.wire.statuses import IngestStatus, Status, WriterStatus, read_status


class StreamTotals(NamedTuple):
    """Rows of one stream, each message once, and gaps that its worker has listed, over all runs of the worker."""

    rows: int = 0
    gaps: int = 0

    def plus(self, rows: int, gaps: int) -> "StreamTotals":
        """Return these totals with those of another run added."""
        return StreamTotals(self.rows + rows, self.gaps + gaps)


class RunTotals:
    """Counts over all runs of all processes since this was made, also of workers that were added meanwhile."""

    def __init__(self) -> None:
        self.newest: dict[str, Status] = {}
        self.restarts = 0
        self._earlier_messages = self._earlier_rows = 0
        self._earlier_losses: Counter[str] = Counter()
        self._earlier_streams: dict[str, StreamTotals] = {}

    def take(self, status: Status) -> None:
        """Take in a status; one of another epoch than the one before is a restart, whose counts begin anew."""
        before = self.newest.get(status.producer)
        if before is not None and before.epoch != status.epoch:
            self.restarts += 1
            self._earlier_messages += _messages(before)
            self._earlier_rows += _rows(before)
            self._earlier_losses[status.producer] += _lost(before)
            self._earlier_streams |= {name: self._stream(name, before) for name in _streams(before)}
        self.newest[status.producer] = status

    @property
    def messages(self) -> int:
        """Market messages that all workers have received, copies too."""
        return self._earlier_messages + sum(_messages(status) for status in self.newest.values())

    @property
    def rows(self) -> int:
        """Rows that the writer has written."""
        return self._earlier_rows + sum(_rows(status) for status in self.newest.values())

    @property
    def has_begun(self) -> bool:
        """True once messages are recorded; rows of REST alone are no market data."""
        return bool(self.messages and self.rows)

    def stream(self, symbol: str, suffix: str) -> StreamTotals:
        """Return the totals of a stream: `BTCUSDT` and `depth@0ms`; zeros before its worker has said a status."""
        return self._stream(stream_of(symbol, suffix).name, self.newest.get(f"ingest-{symbol}"))

    def _stream(self, name: str, status: Status | None) -> StreamTotals:
        """Add what this status counts of a stream to the runs before."""
        of_run = _streams(status).get(name, StreamStatus())
        return self._earlier_streams.get(name, StreamTotals()).plus(of_run.rows, of_run.gaps)

    @property
    def losses(self) -> list[str]:
        """A line for each process that received something and could not keep it."""
        counts = Counter(self._earlier_losses)
        counts.update({producer: _lost(status) for producer, status in self.newest.items()})
        return [_loss(producer, count) for producer, count in sorted(counts.items()) if count]


class LiveStatus:
    """Fed with the data of status messages, gives the snapshot of now and the totals."""

    def __init__(self, config: Config, config_path: Path) -> None:
        self.totals = RunTotals()
        self._news: list[str] = []
        self._announced: set[int] = set()
        self._config_path = config_path
        self._observer = Observer(config)

    def take(self, data: dict[str, Any]) -> None:
        """Take in a status message; one that cannot be read is left out."""
        try:
            status = read_status(data)
        except WireError:
            return
        if isinstance(status, IngestStatus) and self._is_new_stranger(status.producer):
            self._observer.follow(self._current_config())  # a symbol may have been added by `apply`
        if isinstance(status, IngestStatus):
            self._note_handover(status)
        self.totals.take(status)
        self._observer.take(data, time.monotonic())

    def take_news(self) -> list[str]:
        """Return a line for each worker that has taken a journal over, or could do so, since the last call."""
        news, self._news = self._news, []
        return news

    def snapshot(self) -> Snapshot:
        """Build the snapshot of now. It has no gaps of the day: they lie in the files, which nobody reads here."""
        return self._observer.snapshot(NO_GAPS, time.monotonic(), time.time_ns() // 1_000_000)

    def _note_handover(self, status: IngestStatus) -> None:
        role, _, symbol = status.producer.partition("-")
        recorder = self.totals.newest.get(f"ingest-{symbol}")
        if recorder is None:
            return
        if role == "standby" and status.is_warm and status.pid not in self._announced:
            self._announced.add(status.pid)
            self._news.append(f"{symbol}: worker {recorder.pid} records, and {status.pid} could go on at once")
        elif role == "ingest" and status.epoch != recorder.epoch and status.took_over_ms is not None:
            text = f"worker {status.pid} goes on with the journal of {recorder.pid}, after {status.took_over_ms:.0f} ms"
            self._news.append(f"{symbol}: {text}")

    def _is_new_stranger(self, producer: str) -> bool:
        return producer not in self.totals.newest and not self._observer.expects(producer)

    def _current_config(self) -> Config | None:
        try:
            return configuration.load(self._config_path)
        except (configuration.ConfigError, OSError):
            return None  # somebody is editing it; what runs is what was known


def _streams(status: Status | None) -> Mapping[str, StreamStatus]:
    """Return the streams of a worker's status by their names at the exchange; none for another process."""
    return status.streams if isinstance(status, IngestStatus) else {}


def _messages(status: Status) -> int:
    """Return the market messages that a worker's status counts, copies too; 0 for another process."""
    return sum(stream.messages for stream in _streams(status).values())


def _rows(status: Status) -> int:
    """Return the rows that the writer's status counts; 0 for another process."""
    return status.rows if isinstance(status, WriterStatus) else 0


def _lost(status: Status) -> int:
    """Messages that a producer's journal did not take; of the writer, gaps that it found in what was journalled."""
    if isinstance(status, WriterStatus):
        return status.gaps
    journal = status.journal or JournalStatus()
    return journal.not_journalled + journal.refused_frames


def _loss(producer: str, count: int) -> str:
    """Return the line about a process that lost something: how much, and where the gaps are listed."""
    if producer == "writer":
        return f"writer: {count} holes in what was journalled or recorded; the files gap_… list them"
    return f"{producer}: {count} messages were not kept, its log says why; the files gap_… list them once it goes on"
