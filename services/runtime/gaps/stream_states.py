"""Where the streams of one producer stand in its journal, and the gaps that a journal without room has left.

Rows that the journal did not take are a gap like any other: between where the stream stood before them and where it
would stand behind them. Nobody else has to find that out. The gap is listed in front of the stream's next message that
the journal takes, and whoever lists the other gaps of the stream is told of it at once (`rows`).
"""

from collections.abc import Container, Sequence
from dataclasses import dataclass, replace

from binance_streamer.exchange.messages import Reading
from binance_streamer.exchange.stream_types import has_sequence_ids, is_repairable
from services.runtime.delivery.events import EventRun
from services.runtime.gaps.drafts import Bounds, Draft, Gap, gap_draft, state_of_new
from services.runtime.gaps.last_rows import LastRow, LastRows, behind_row, fold_message

OVERSIZE, JOURNAL_FULL = "oversize", "journal full"


@dataclass(frozen=True, slots=True)
class _Loss:
    """Messages of one stream that the journal did not take.

    `ids` are missing in (from, to], where they prove it; they fall where the ids began anew. `first_ns` is the stamp of
    the row before, or of the first message where there is no such row; `last_ns` that of the last message.
    """

    gap_id: str
    symbol: str
    stream: str
    stream_type: str
    ids: tuple[int | None, int | None]
    first_ns: int
    last_ns: int
    reason: str

    def draft(self, behind_ns: int, recv_ns: int) -> Draft:
        """Return the gap row; `behind_ns` is the stamp of the row behind the gap."""
        bounds = Bounds(*self.ids, self.first_ns, behind_ns)
        state = state_of_new(self.stream_type, bounds)
        gap = Gap(self.gap_id, self.symbol, self.stream, state, *bounds, self.reason)
        return gap_draft(gap, recv_ns)


class StreamStates:
    """The last rows of one producer: as its journal has them, and as they are with what it did not take listed."""

    def __init__(self, epoch: int, last_rows: LastRows) -> None:
        self.kept = dict(last_rows)
        """As the journal has them; never changed in place."""
        self._epoch = epoch
        self._losses: dict[tuple[str, str], _Loss] = {}  # by symbol and stream: ours are named alike for all symbols
        self._count = 0

    @property
    def rows(self) -> LastRows:
        """The last rows with a gap for all that the journal did not take, whether listed yet or not."""
        rows = dict(self.kept)
        for loss in self._losses.values():
            fold(rows, loss.draft(loss.last_ns, 0))
        return rows

    @property
    def unlisted(self) -> list[str]:
        """The streams that have lost messages of which no gap is journalled yet."""
        return [stream for _, stream in self._losses]

    def with_symbols(self, symbols: Container[str], rows: LastRows) -> LastRows:
        """Return the rows that the journal has, with these in place of all that it has of the symbols."""
        return {name: row for name, row in self.kept.items() if row.symbol not in symbols} | rows

    def adopt(self, symbols: Container[str], kept: LastRows) -> None:
        """Go on from these rows, which the journal has now; what it did not take of the symbols was another's to do."""
        self.kept = kept
        self._losses = {key: loss for key, loss in self._losses.items() if loss.symbol not in symbols}

    def gaps_before(self, drafts: Sequence[Draft | EventRun], recv_ns: int) -> list[Draft]:
        """Return the gap rows that must stand in front of these drafts, since they go on behind a loss."""
        if not self._losses:
            return []
        stamps = {_key(draft): draft.span_ns[0] for draft in reversed(drafts) if draft.stream_type != "gap"}
        losses = [self._losses[key] for key in dict.fromkeys(map(_key, drafts)) if key in self._losses]
        return [loss.draft(stamps.get((loss.symbol, loss.stream), loss.last_ns), recv_ns) for loss in losses]

    def keep(self, rows: LastRows, listed: Sequence[Draft]) -> None:
        """The journal has taken what leads to these rows, and the gaps that are listed with it."""
        self.kept = rows
        for gap in listed:
            self._losses.pop(_key(gap), None)

    def lose(self, drafts: Sequence[Draft | EventRun], rows: LastRows) -> None:
        """The journal has taken none of the drafts, which would have led to these rows."""
        for draft in drafts:
            if draft.stream_type != "gap":
                name = draft.stream_name
                loss = self._loss(draft, self.kept.get(name), rows.get(name), JOURNAL_FULL)
                if loss is not None:
                    self._losses[_key(draft)] = loss

    def refuse(self, draft: Draft, rows: LastRows, recv_ns: int) -> list[Draft]:
        """Return the gap row in place of a draft that is too large; none where the gap that it fills is open still."""
        behind = dict(rows)
        fold(behind, draft)
        name = draft.stream_name
        loss = self._loss(draft, rows.get(name), behind.get(name), OVERSIZE)
        return [loss.draft(draft.span_ns[1], recv_ns)] if loss else []

    def _loss(
        self, draft: Draft | EventRun, before: LastRow | None, behind: LastRow | None, reason: str
    ) -> _Loss | None:
        """Return what is missing without the draft, together with what was lost of its stream before."""
        if isinstance(draft, Draft) and draft.data["source"] == "rest" and is_repairable(draft.stream_type):
            return None
        stream_type = behind.stream_type if behind else draft.stream_type
        ids: tuple[int | None, int | None] = (None, None)
        if has_sequence_ids(stream_type) and before and behind and None not in (before.last_id, behind.last_id):
            ids = before.last_id, behind.last_id
            if before.last_id == behind.last_id:
                return None
        from_ns, to_ns = draft.span_ns
        earlier = self._losses.get(_key(draft)) if reason == JOURNAL_FULL else None
        if before:
            from_ns = before.recv_ns
        elif earlier:
            from_ns = earlier.first_ns
        if earlier:
            return replace(earlier, ids=ids, first_ns=from_ns, last_ns=max(to_ns, earlier.last_ns))
        self._count += 1
        gap_id = f"{self._epoch}-journal-{self._count}"
        return _Loss(gap_id, draft.symbol, draft.stream_name, stream_type, ids, from_ns, to_ns, reason)


def _key(draft: Draft | EventRun) -> tuple[str, str]:
    return draft.symbol, draft.stream_name


def fold(rows: LastRows, draft: Draft | EventRun) -> None:
    """Bring `rows` up to date with one draft."""
    if isinstance(draft, EventRun):
        name, symbol, stream_type, *_ = draft.stream
        reading: Reading = draft.reading
        rows[name] = behind_row(
            rows.get(name), stream_type, symbol, reading, recv_ns=draft.stamps_ns[-1], event=draft.events[-1]
        )
    else:
        fold_message(rows, draft.stream_type, draft.data, draft.reading)
