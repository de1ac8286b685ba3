"""Publishes the books: tops live, at most so often; summary rows and audit rows through the journal, so that they are
recorded. The fields of each message are in `messages`."""

import logging
import math
from collections.abc import Collection

from binance_streamer.config.schema import OrderbookConfig
from services.orderbook import messages
from services.orderbook.book.audit import Outcome
from services.orderbook.keeper import Keeper, Now
from services.runtime.delivery.producer import Producer

_log = logging.getLogger(__name__)

_SUMMARIES_S = 0.1
"""Between two appends of summary rows: those of many symbols go together."""


class Publisher:
    """Decides for each book when its top is published, and when its summary row is appended."""

    def __init__(self, producer: Producer, config: OrderbookConfig) -> None:
        self._producer = producer
        self._config = config
        self._published: dict[Keeper, tuple[object, ...]] = {}
        self._published_s: dict[Keeper, float] = {}
        self._delayed_until_s: dict[Keeper, float] = {}
        self._summary_s: dict[Keeper, float] = {}
        self._next_summaries_s = math.inf

    def begin(self, keepers: Collection[Keeper], now_s: float) -> None:
        """Publish these books, too; their summary rows are spread over the interval."""
        interval_s = self._config.output_interval
        self._published_s |= dict.fromkeys(keepers, -math.inf)
        self._summary_s |= {keeper: now_s + interval_s * (n + 1) / len(keepers) for n, keeper in enumerate(keepers)}
        self._next_summaries_s = now_s

    def end(self, keeper: Keeper, now: Now) -> None:
        """Publish that a book is not valid any more, and nothing of it from here on."""
        self.publish_changes(keeper, now)
        self._delayed_until_s.pop(keeper, None)
        self._published.pop(keeper, None)
        del self._published_s[keeper], self._summary_s[keeper]

    def due_s(self) -> float:
        """Return when the next delayed top or summary row is due, by the monotonic clock."""
        return min((self._next_summaries_s, *self._delayed_until_s.values()))

    def publish_changes(self, keeper: Keeper, now: Now) -> None:
        """Publish the top of a book if it has changed, and record its findings.

        A change of validity is published at once; other changes at most every `publish_interval`.
        """
        if keeper.findings:
            self._record_findings(keeper, now)
        if keeper.has_changed_validity:
            _log_validity(keeper)
        due_s = self._published_s[keeper] + self._config.publish_interval
        if now.s < due_s and not keeper.has_changed_validity:
            self._delayed_until_s[keeper] = due_s
            return
        keeper.has_changed_validity = False
        self._delayed_until_s.pop(keeper, None)
        state = _published_state(keeper)
        if state != self._published.get(keeper):
            self._published[keeper] = state
            self._published_s[keeper] = now.s
            self._producer.publish_live(messages.live_draft(keeper, self._config.levels, now.ns))

    def publish_delayed(self, now: Now) -> None:
        """Publish the tops that were delayed until now."""
        for keeper in [keeper for keeper, due_s in self._delayed_until_s.items() if now.s >= due_s]:
            self.publish_changes(keeper, now)

    def append_summaries(self, now: Now) -> None:
        """Append the summary rows that are due. Rows of intervals that were missed are left out, not made up for."""
        if now.s < self._next_summaries_s:
            return
        due = [keeper for keeper, due_s in self._summary_s.items() if now.s >= due_s]
        interval_s = self._config.output_interval
        for keeper in due:
            missed = math.floor((now.s - self._summary_s[keeper]) / interval_s)
            self._summary_s[keeper] += interval_s * (missed + 1)
        self._next_summaries_s = max(now.s + _SUMMARIES_S, min(self._summary_s.values(), default=math.inf))
        if due:
            self._producer.append([messages.summary_draft(keeper, self._config.levels, now.ns) for keeper in due])

    def _record_findings(self, keeper: Keeper, now: Now) -> None:
        findings, keeper.findings = keeper.findings, []
        compared = [finding for finding in findings if finding.outcome is not Outcome.NOT_COMPARABLE]
        for finding in compared:
            if finding.outcome is Outcome.FAILED:
                _log.error(
                    "audit failed symbol=%s kind=%s last_update_id=%d compared=%d different=%d first=%s",
                    *(keeper.symbol, finding.kind, finding.last_update_id, finding.compared),
                    *(len(finding.differences), finding.differences[:1]),
                )
        if compared:
            self._producer.append([messages.audit_draft(keeper, finding, now.ns) for finding in compared])


def _published_state(keeper: Keeper) -> tuple[object, ...]:
    """Return what makes a top worth publishing when it differs from the top before."""
    sequence = keeper.sequence
    book_id = sequence.book.update_id if keeper.is_valid else None
    return book_id, sequence.state, sequence.reason, keeper.resyncs, *keeper.audits.values()


def _log_validity(keeper: Keeper) -> None:
    if keeper.is_valid:
        _log.info("valid symbol=%s update_id=%d", keeper.symbol, keeper.book.update_id)
    else:
        _log.warning("not valid symbol=%s reason=%s", keeper.symbol, keeper.sequence.reason)
