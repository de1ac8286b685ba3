"""Status messages of the recorder, folded into `RecorderSeen` while it runs."""

from typing import Any

from binance_streamer.cli.fieldtest.seen import ProcessSeen, RecorderSeen
from binance_streamer.cli.status.live import RunTotals
from binance_streamer.wire.frames import WireError
from binance_streamer.wire.status_parts import ConnectionStatus
from binance_streamer.wire.statuses import IngestStatus, OrderbookStatus, RestStatus, Status, WriterStatus, read_status

_STAGGER = 0.1
"""Lifetimes are spread over their last tenth (docs/operations.md)."""


class StatusFold:
    """Takes every status message. `lifetime_s` is the planned one of the recorder's connections."""

    def __init__(self, seen: RecorderSeen, lifetime_s: float) -> None:
        self.totals = RunTotals()
        self._seen = seen
        self._planned_s = lifetime_s * (1 - _STAGGER)
        self._first: dict[tuple[str, int], Status] = {}
        self._connections: dict[str, dict[int, ConnectionStatus]] = {}
        self._opened: dict[tuple[str, int], int] = {}

    def take(self, data: dict[str, Any]) -> None:
        """Take the data of a status message; one that cannot be read is left out."""
        try:
            status = read_status(data)
        except WireError:
            return
        before = self.totals.newest.get(status.producer)
        self.totals.take(status)
        self._first.setdefault((status.producer, status.epoch), status)
        self._note_process(status)
        if isinstance(status, IngestStatus):
            self._note_connections(status, is_new=before is None or before.epoch != status.epoch)
        elif isinstance(status, WriterStatus):
            self._note_writer(status)
        elif isinstance(status, RestStatus):
            self._note_rest(status)
        elif isinstance(status, OrderbookStatus):
            self._seen.audits = (status.audits_passed, status.audits_failed, status.tops_compared)
            self._seen.books = (status.valid, len(status.books))

    def _note_process(self, status: Status) -> None:
        """Note memory, and CPU since the first status of this run, without the start itself."""
        first = self._first[status.producer, status.epoch]
        up_s = status.up_s - first.up_s
        known = self._seen.processes.get(status.producer, ProcessSeen(0.0, 0))
        share = (status.cpu_s - first.cpu_s) / up_s if up_s > 5 else known.cpu_share
        self._seen.processes[status.producer] = ProcessSeen(share, max(known.rss_bytes, status.rss_bytes))

    def _note_connections(self, status: IngestStatus, *, is_new: bool) -> None:
        """Note connections that are gone since the status before; those of a restarted worker ended with it."""
        now = {one.connection: one for one in status.connections}
        gone = (
            [] if is_new else [one for number, one in self._connections[status.producer].items() if number not in now]
        )
        for one in gone:
            if one.is_delivering:
                self._seen.planned_ends += one.age_s >= self._planned_s - 1
                self._seen.early_ends += one.age_s < self._planned_s - 1
        self._connections[status.producer] = now
        self._opened[status.producer, status.epoch] = sum(status.opened.values())
        self._seen.opened = sum(self._opened.values())
        is_open = [one.is_open for of_worker in self._connections.values() for one in of_worker.values()]
        self._seen.most_open = max(self._seen.most_open, sum(is_open))

    def _note_writer(self, status: WriterStatus) -> None:
        self._seen.rows = status.rows
        self._seen.new_keys = status.new_keys
        self._seen.raw_rows = {
            f"{stream}: {reason}": count for stream, reasons in status.raw.items() for reason, count in reasons.items()
        }

    def _note_rest(self, status: RestStatus) -> None:
        self._seen.rest_answers = status.answers
        self._seen.not_understood = status.not_understood
        self._seen.weight = (max(self._seen.weight[0], status.used_weight), status.weight_limit)
        if status.clock_offset_ms is not None and status.clock_error_ms is not None:
            self._seen.clock = (status.clock_offset_ms, status.clock_error_ms)
