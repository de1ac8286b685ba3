"""Backfill: REST is asked for rows of open gaps, again and again until a gap is filled or given up.

Who asks remembers, in its journal; who answers forgets. So either may be away or be killed at any moment, and messages
between them may be lost: what is still open is asked for again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

from binance_streamer.exchange.rest import SURELY_KEPT_MS, RestRow, rest_page, span_of
from binance_streamer.exchange.streams import Stream
from binance_streamer.wire.frames import WireError
from binance_streamer.wire.requests import BackfillAnswer, BackfillRequest, read_answer
from services.runtime.gaps.drafts import Gap
from services.runtime.gaps.open_gaps import OpenGap
from services.runtime.retry import RandomSource, doubled_s, spread_s

_MOST_REFUSALS = 3
"""So many answers in a row that have nothing are believed; the pauses between them double. What has just been traded
may not be there yet."""
_LONGEST_WHY = 200
_NOTHING = "the exchange has nothing there"
_TOO_OLD = "older than the exchange keeps"


class BackfillPage(NamedTuple):
    """An answer of REST to a request for missing rows, and its rows in the order of ids, empty where it has none."""

    answer: BackfillAnswer
    rows: Sequence[RestRow]

    @property
    def wanted(self) -> list[RestRow]:
        """Return the rows that were asked for; an answer may begin before them and end behind."""
        return [row for row in self.rows if self.answer.from_id <= row.previous_id and row.last_id <= self.answer.to_id]

    @property
    def reached(self) -> int:
        """Return the id up to which the answer is complete: what it does not have until there, nobody has."""
        return min(self.answer.to_id, self.rows[-1].last_id) if self.rows else self.answer.from_id

    @property
    def is_empty(self) -> bool:
        """Return True where no row lies behind the first id asked for.

        There is none, or a wrong clock found older ones.
        """
        return self.reached <= self.answer.from_id

    def why_missing(self, gap: OpenGap) -> str:
        """Return why nobody will bring what is still missing in this gap, for its row."""
        if self.answer.refusal:
            return self.answer.refusal[:_LONGEST_WHY]
        is_old = gap.from_ns // 1_000_000 < self.answer.recv_ns // 1_000_000 - SURELY_KEPT_MS
        return _TOO_OLD if is_old and self.answer.from_id <= gap.from_id else _NOTHING


def read_page(stream: Stream, data: Mapping[str, Any]) -> BackfillPage:
    """Return the answer in a message of the bus.

    Raise `WireError`, or `ExchangeError` where its rows are not readable.
    """
    answer = read_answer(data)
    return BackfillPage(answer, rest_page(stream, answer.event).rows)


class GapOffer(NamedTuple):
    """A gap that the writer has listed, and the ids in it that are there.

    `worker_epoch` and `worker_next` are the position up to which the writer had read the journal of this worker.
    """

    stream: str
    gap: OpenGap
    present: tuple[int, ...]
    worker_epoch: int
    worker_next: int
    symbol: str

    def is_exact(self, epoch: int, late_behind: int) -> bool:
        """Return True where nothing in the gap can be there, but for what `present` names.

        The writer has read all that earlier runs of the worker have journalled, which may have taken the gap over, and
        of this run (`epoch`) all rows that came late, which may lie in the gap: those before position `late_behind`.
        """
        return self.worker_epoch == epoch and self.worker_next >= late_behind

    def refused(self, why: str) -> Gap:
        """Return the row that ends the gap."""
        _, from_id, to_id, from_ns, to_ns, reason, *_ = msgspec.structs.astuple(self.gap)
        return Gap(
            self.gap.gap_id, self.symbol, self.stream, "unrepairable", from_id, to_id, from_ns, to_ns, reason, why=why
        )


def read_offer(data: Mapping[str, Any]) -> GapOffer:
    """Return the offer in a message of the bus; raise `WireError` where it is none."""
    try:
        found = msgspec.convert(data, _Offer)
    except msgspec.ValidationError as error:
        raise WireError(f"offered_gap: {error}") from error
    if found.from_id >= found.to_id:
        raise WireError(f"offered_gap: expected ids that grow, got {found.from_id}, {found.to_id}")
    gap = OpenGap(found.gap_id, found.from_id, found.to_id, found.from_ns, found.to_ns, found.reason)
    present = tuple(last for last in found.present if found.from_id < last <= found.to_id)
    return GapOffer(found.stream, gap, present, found.worker_epoch, found.worker_next, found.symbol)


class _Offer(msgspec.Struct):
    stream: str
    gap_id: str
    from_id: int
    to_id: int
    from_ns: int
    to_ns: int
    reason: str
    worker_epoch: int
    worker_next: int
    symbol: str
    present: list[int] = []


@dataclass(slots=True)
class _Asked:
    from_id: int
    next_s: float
    refusals: int = 0


class BackfillRequests:
    """One outstanding request per stream, for its oldest gap: that is the first which REST will no longer have."""

    def __init__(self, retry_s: float, rng: RandomSource) -> None:
        self._retry_s = retry_s
        self._rng = rng
        self._asked: dict[str, _Asked] = {}

    def take_due(self, stream: Stream, gaps: Sequence[OpenGap], now_s: float) -> BackfillRequest | None:
        """Return the request that is due, and note it: at once for a new oldest gap, else after the retry time.

        It covers the oldest gap, and those behind it that the same answer has.
        """
        if not gaps:
            self._asked.pop(stream.name, None)
            return None
        oldest = gaps[0]
        asked = self._asked.get(stream.name)
        if asked is None or asked.from_id != oldest.from_id:
            asked = self._asked[stream.name] = _Asked(oldest.from_id, now_s)
        if now_s < asked.next_s:
            return None
        asked.next_s = now_s + spread_s(self._retry_s, self._rng)
        within = [gap.to_id for gap in gaps if gap.to_id <= oldest.from_id + span_of(stream)]
        return BackfillRequest(
            symbol=stream.symbol,
            stream=stream.name,
            gap_id=oldest.gap_id,
            from_id=oldest.from_id,
            to_id=max([oldest.to_id, *within]),
            from_ns=oldest.from_ns,
            reason=oldest.reason,
        )

    def count_refusal(self, page: BackfillPage, now_s: float) -> bool:
        """Count an empty answer; return True where it has come so often that it is believed, else ask again later."""
        asked = self._asked.get(page.answer.stream)
        if asked is None or asked.from_id != page.answer.from_id:
            return False
        asked.refusals += 1
        first_s = 2 * self._retry_s
        asked.next_s = now_s + doubled_s(asked.refusals, first_s=first_s, ceiling_s=first_s * 2**_MOST_REFUSALS)
        return asked.refusals >= _MOST_REFUSALS
