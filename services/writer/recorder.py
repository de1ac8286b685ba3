"""Turns batches into rows in files and positions in the ledger: buffers, flushes, commits. No sockets, clock, threads.

The way of a batch: `take` decides by its positions whether it is new, makes its rows, lets the loss tracker look at
them, and puts them into the buffer of their file. `flush` writes those of plain files, after which rows can be read.
`begin_commit` writes all, closes the frames of compressed files by that, and collects what `fdatasync` has to make
durable; when that is done, `finish_commit` writes file lengths and positions in one transaction of the ledger. Only
then is a batch acknowledged as durable, and its producer may forget it.

A crash at any place leads back to the last such transaction: files are cut to its lengths, and producers push the rest.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from binance_streamer.config.schema import Config
from binance_streamer.config.symbols import symbol_fault
from binance_streamer.wire.frames import (
    Batch,
    BrokenBatchError,
    Topic,
    WireError,
    decode_batch,
    encode_frame,
    encode_topic,
    split_frames,
)
from binance_streamer.wire.statuses import WriterStatus
from services.runtime.delivery.events import MessageColumns
from services.runtime.gaps.drafts import Gap, gap_draft
from services.writer.positions import BatchVerdict, Loss, NextPositions, OutgoingAck, Positions, fault_of
from services.writer.rows.routes import RowRoute
from services.writer.rows.row_batches import row_batches
from services.writer.rows.rows import Row, RowMaker, Run
from services.writer.store import forgotten_gaps
from services.writer.store.buffers import Counts, RowBuffers
from services.writer.store.files import DataFiles, SyncWork
from services.writer.store.handovers import NOT_RECORDED, DurableOffer, OfferedGaps, RecordedSymbols
from services.writer.store.known_rows import KnownIds, KnownRows
from services.writer.store.ledger import FileRecord, LedgerEntry
from services.writer.store.losses import Hole, LossTracker
from services.writer.store.recovery import open_ledger, repair, with_end

NAME = "writer"


class Commit(NamedTuple):
    """Everything that becomes durable together: `work` by the disk, then `entry` by the ledger.

    `gaps` are (topic, frame) of the gaps that the writer listed since the commit before, for the bus; `offers` are the
    open ones of all commits that no worker has taken over.
    """

    begun_ns: int
    work: SyncWork
    entry: LedgerEntry
    moved: NextPositions
    gaps: list[tuple[bytes, bytes]]
    offers: Sequence[DurableOffer]


class Recorder:
    """Records batches in one data directory, which it has to itself.

    Raises `BlockedError` where nothing can be written for now, and `FileDamagedError` where a file is not as it was
    left: then buffers and files are no longer in step, so it has to be closed, and a new one recovers from the last
    commit. `OSError` is a fault of the disk that ends the process.
    """

    def __init__(
        self,
        config: Config,
        epoch: int,
        now_ns: int,
        *,
        suspects: frozenset[str] = frozenset(),
        counts: "Counts | None" = None,
    ) -> None:
        """Recover what is on the disk; raises `BlockedError` unless the ledger can be written.

        `suspects` are files that were found damaged, `counts` the totals of the recorder before this one.
        """
        self._run = Run(NAME, epoch)
        self.counts = Counts() if counts is None else counts
        self._maker = RowMaker(self.counts.raw, file_format=config.storage.file_format)
        self._gaps: list[tuple[bytes, bytes]] = []
        self._recorded_symbols = RecordedSymbols(config)
        self._offer_count = 0
        self._files = DataFiles(Path(config.storage.output_directory))
        self._ledger = open_ledger(self._files, now_ns)
        max_rows = config.performance.batch_size
        self._buffers = RowBuffers(self._files, self._ledger, max_rows=max_rows, counts=self.counts)
        try:
            self._load(suspects, now_ns)
            self._ledger.probe()
        except BaseException:
            self.close()
            raise

    def take(self, parts: Sequence[bytes], now_ns: int) -> OutgoingAck | None:
        """Take a message of the intake as far as it is new; returns what has to be sent to its producer at once."""
        try:
            batch = decode_batch(parts)
        except WireError:
            self._refuse("not a batch")
            return None
        fault = fault_of(batch, own_name=NAME)
        if fault:
            self._refuse(fault)
            return None
        run = Run(batch.producer, batch.epoch)
        is_each_row_looked_at = self._rebuilt.has_epoch(run.epoch) or self._offered.has_any_of(run.producer)
        messages = None if is_each_row_looked_at else self._maker.messages(run, batch.frames)
        if messages is not None:
            return self._take_messages(run, batch, messages, now_ns)
        try:
            return self._take_frames(batch, split_frames(batch.frames), now_ns, fault=None)
        except BrokenBatchError as error:
            return self._take_frames(batch, error.good, now_ns, fault=error)

    def ack(self, producer: str, reason: str) -> OutgoingAck:
        """Return the acknowledgement for a producer as of now, with the reason for which it is sent."""
        return OutgoingAck(producer, self._positions.ack(producer, reason))

    def acks(self, reason: str) -> list[OutgoingAck]:
        """Return acknowledgements for all producers that are known."""
        return [self.ack(name, reason) for name in self._positions.names()]

    def flush(self) -> None:
        """Write all rows of plain files that were taken, so that they can be read; nothing is durable by that."""
        self._buffers.write_plain()

    def begin_commit(self, now_ns: int) -> Commit | None:
        """Write all buffers, and return what is to become durable; None where nothing is new. One commit at a time.

        It takes in every file at once: a position stands before rows of all files, and where one of them were left
        out, its rows would come again, or those of the others twice.
        """
        self._end_gaps(self._offered.take_ended(self._recorded_symbols, now_ns), now_ns)
        self._buffers.write_all()
        work = self._files.begin_sync()
        moved = self._positions.moved()
        if not work.files and not moved:
            return None
        files = [FileRecord(file.path, file.length, file.first_ns, now_ns) for file in work.files]
        entry = LedgerEntry(
            moved,
            files,
            self._streams.take_changed(),
            self._streams.damages(),
            self._offered.list(),
            self._known.list(),
        )
        gaps, self._gaps = self._gaps, []
        return Commit(now_ns, work, entry, moved, gaps, self._offered.durable(self._positions.received))

    def finish_commit(self, commit: Commit) -> list[OutgoingAck]:
        """Write positions and file lengths, once the files are durable; returns the acknowledgements to send."""
        self._ledger.commit(commit.entry)
        self._files.end_sync(commit.work)
        self._durable_offers = commit.offers
        return [self.ack(name, "commit") for name in self._positions.commit(commit.moved)]

    def offers(self, now_ns: int) -> list[tuple[bytes, bytes]]:
        """Return (topic, frame) of an offer for each open gap that no worker has taken over, as of the last commit."""
        before, self._offer_count = self._offer_count, self._offer_count + len(self._durable_offers)
        return [one.message(self._run, before + at, now_ns) for at, one in enumerate(self._durable_offers, 1)]

    def status(self) -> WriterStatus:
        """Return the part of the status message that the recorder knows."""
        return WriterStatus(
            producers=self._positions.status(),
            **self._maker.status(),
            writer_id=self._positions.writer_id,
        )

    def close(self) -> None:
        """Close files and ledger; the next recorder cuts away what was not committed."""
        self._files.close()
        self._ledger.close()

    def _load(self, suspects: frozenset[str], now_ns: int) -> None:
        repaired = repair(self._files, self._ledger, suspects)
        damages = {damage.path: damage for damage in repaired.damages}
        damages |= {damage.path: damage for damage in self._ledger.damages()}
        offered = self._ledger.offered()
        if repaired.files:
            self._ledger.commit(
                LedgerEntry((), repaired.files, (), list(damages.values()), offered, self._ledger.known())
            )
        self._positions = Positions(self._ledger.writer_id, self._ledger.positions())
        self._streams = LossTracker(
            self._ledger.streams(), [with_end(self._files, damage) for damage in damages.values()]
        )
        self._rebuilt = self._ledger.rebuilt()
        self._known = KnownRows(self._ledger.known())
        self._offered = OfferedGaps(offered)
        if not self._ledger.positions():  # it is a new one
            self._end_gaps(forgotten_gaps.of_writer(self._files), now_ns)
        self._end_gaps(self._offered.take_ended(self._recorded_symbols, now_ns), now_ns)
        self._durable_offers = self._offered.durable(self._positions.received)

    def _end_gaps(self, gaps: Iterable[Gap], now_ns: int) -> None:
        """Record rows that end gaps."""
        for gap in gaps:
            self._record_gap_row(gap, now_ns)

    def _refuse(self, reason: str) -> None:
        self.counts.refused[reason] = self.counts.refused.get(reason, 0) + 1

    def _take_messages(
        self, run: Run, batch: Batch, messages: list[MessageColumns[RowRoute]], now_ns: int
    ) -> OutgoingAck | None:
        """Take a batch of nothing but the exchange's messages; the same as `_take_frames`, several rows at a time."""
        skip = self._skipped(run, batch, sum([len(some.events) for some in messages]), now_ns)
        if isinstance(skip, OutgoingAck):
            return skip
        if skip or self._streams.may_list_open(run.producer):  # then each row is looked at
            rows = self._maker.rows(run, batch.first + skip, split_frames(batch.frames)[skip:], now_ns=now_ns)
            self._record(run.producer, rows, now_ns)
            return None
        found = row_batches(self._maker, run, messages)
        noted = [
            row for row_batch in found for row in ([row_batch] if isinstance(row_batch, Row) else row_batch.telling)
        ]
        for hole in self._streams.note(run.producer, noted):
            self._record_gap(hole, run.producer, now_ns)
        for row_batch in found:
            lines = [row_batch.line] if isinstance(row_batch, Row) else row_batch.lines
            first = row_batch if isinstance(row_batch, Row) else row_batch.first
            self._buffers.add(row_batch.target, lines, first.recv_ns)
        return None

    def _take_frames(
        self, batch: Batch, frames: list[bytes], now_ns: int, *, fault: BrokenBatchError | None
    ) -> OutgoingAck | None:
        """Take frames one by one.

        A batch that breaks off (`fault`) is taken up to there, and its producer sends the rest again. Where it breaks
        in its first frame, all of it is one unreadable frame, so that the producer gets past it.
        """
        run = Run(batch.producer, batch.epoch)
        skip = self._skipped(run, batch, len(frames) or 1, now_ns)
        if isinstance(skip, OutgoingAck):
            return skip
        if frames:
            rows = self._maker.rows(run, batch.first + skip, frames[skip:], now_ns=now_ns)
        else:
            rows = [self._maker.unreadable(run, batch.first, batch.frames, reason=str(fault), now_ns=now_ns)]
        self._record(run.producer, rows, now_ns)
        return self.ack(batch.producer, "misfit") if fault else None

    def _skipped(self, run: Run, batch: Batch, count: int, now_ns: int) -> int | OutgoingAck:
        """Return how many frames of a batch are known already; an acknowledgement where it is not taken at all."""
        offer = self._positions.try_take(batch, count)
        if offer.verdict is not BatchVerdict.TAKE:
            return self.ack(batch.producer, "misfit" if offer.verdict is BatchVerdict.MISFIT else "known")
        if offer.loss in (Loss.JUMP, Loss.WIPED):
            self._streams.lost_positions(run, any_stream=offer.loss is Loss.WIPED)
        if offer.loss in (Loss.BEHIND, Loss.WIPED):
            self.flush()  # gaps that wait in the buffers are listed too
            listed = forgotten_gaps.listed_of(self._files, run.producer)
            missing = forgotten_gaps.missing_in(listed)
            last_ids = self._streams.last_ids(run.producer).items()
            self._known.note(KnownIds(run.producer, one, last, missing.get(one, ()), now_ns) for one, last in last_ids)
            self._end_gaps(forgotten_gaps.of_worker(listed), now_ns)
        return offer.skip

    def _record(self, producer: str, rows: list[Row], now_ns: int) -> None:
        if self._rebuilt:
            rows = [row for row in rows if not self._rebuilt.has(row.identity, row.epoch, row.seq)]
        for hole in self._streams.note(producer, rows):
            self._record_gap(hole, producer, now_ns)
        self._offered.note(producer, rows)  # behind their holes: late rows may follow in the same batch
        for row in self._known.without(producer, rows):
            self._buffers.add(row.target, [row.line], row.recv_ns)

    def _record_gap(self, hole: Hole, worker: str, now_ns: int) -> None:
        """Record a hole as a gap, and offer it to the worker behind whose rows it lies where REST may fill it."""
        symbol = hole.symbol if symbol_fault(hole.symbol) is None else "_unknown"
        gap_id = f"{NAME}-{self._run.epoch}-{symbol}-{self._next_gap_seq(symbol)}"
        gap = Gap(gap_id, symbol, hole.stream, hole.state, *hole[2:7])
        if gap.state == "open" and symbol not in self._recorded_symbols:
            gap = gap._replace(state="unrepairable", why=NOT_RECORDED)
        if gap.state == "open":
            self._offered.add(worker, gap, hole.late_ids)
        self._record_gap_row(gap, now_ns)
        self.counts.gaps += 1

    def _record_gap_row(self, gap: Gap, now_ns: int) -> None:
        seq = self._next_gap_seq(gap.symbol)
        data = {**gap_draft(gap, now_ns).data, "producer": NAME, "epoch": self._run.epoch, "seq": seq}
        frame = encode_frame("gap", data)
        self._gaps.append((encode_topic("gap", gap.symbol), frame))
        self._record(NAME, self._maker.rows(self._run, 0, [frame], now_ns=now_ns), now_ns)

    def _next_gap_seq(self, symbol: str) -> int:
        return self._streams.last_seq(self._run, Topic("gap", symbol, "")) + 1
