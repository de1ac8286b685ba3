"""What is told of the books, and when: live tops, summary rows, audit rows."""

import logging
import math
from collections.abc import Collection

from binance_streamer.config.schema import OrderbookConfig
from services.orderbook import messages
from services.orderbook.book.audit import Outcome
from services.orderbook.keeper import Keeper, Now
from services.runtime.delivery.producer import Producer

_log = logging.getLogger(__name__)


class Publisher:
    """Through the producer: tops live, rows the durable way."""

    def __init__(self, producer: Producer, config: OrderbookConfig, keepers: Collection[Keeper], now_s: float) -> None:
        self._producer = producer
        self._config = config
        self._told: dict[Keeper, tuple[object, ...]] = {}
        self._at_s = dict.fromkeys(keepers, -math.inf)
        self._later: dict[Keeper, float] = {}
        interval_s = config.output_interval
        self._summary_s = {keeper: now_s + interval_s * (n + 1) / len(keepers) for n, keeper in enumerate(keepers)}

    def due_s(self) -> float:
        """When a top is due that was held back."""
        return min(self._later.values(), default=math.inf)

    def changed(self, keeper: Keeper, now: Now) -> None:
        """Tell of a book, if there is news: at once where its validity changed, else not before its time."""
        if keeper.findings:
            self._record_findings(keeper, now)
        if keeper.is_urgent:
            _log_validity(keeper)
        due_s = self._at_s[keeper] + self._config.publish_interval
        if now.s < due_s and not keeper.is_urgent:
            self._later[keeper] = due_s
            return
        keeper.is_urgent = False
        self._later.pop(keeper, None)
        news = _news(keeper)
        if news != self._told.get(keeper):
            self._told[keeper] = news
            self._at_s[keeper] = now.s
            self._producer.publish_live(messages.live_draft(keeper, self._config.levels, now.ns))

    def held_back(self, now: Now) -> None:
        """Tell of the books whose time has come."""
        if now.s < self.due_s():
            return
        for keeper in [keeper for keeper, due_s in self._later.items() if now.s >= due_s]:
            self.changed(keeper, now)

    def summarise(self, now: Now) -> None:
        """Record the books whose interval is over."""
        due = [keeper for keeper, due_s in self._summary_s.items() if now.s >= due_s]
        if not due:
            return
        interval_s = self._config.output_interval
        for keeper in due:
            missed = math.floor((now.s - self._summary_s[keeper]) / interval_s)
            self._summary_s[keeper] += interval_s * (missed + 1)
        self._producer.append([messages.summary_draft(keeper, self._config.levels, now.ns) for keeper in due])

    def _record_findings(self, keeper: Keeper, now: Now) -> None:
        findings, keeper.findings = keeper.findings, []
        told = [finding for finding in findings if finding.outcome is not Outcome.NOT_COMPARABLE]
        for finding in told:
            if finding.outcome is Outcome.FAILED:
                _log.error(
                    "audit failed symbol=%s kind=%s last_update_id=%d compared=%d different=%d first=%s",
                    *(keeper.symbol, finding.kind, finding.last_update_id, finding.compared),
                    *(len(finding.differences), finding.differences[:1]),
                )
        if told:
            self._producer.append([messages.audit_draft(keeper, finding, now.ns) for finding in told])


def _news(keeper: Keeper) -> tuple[object, ...]:
    sequence = keeper.sequence
    book_id = sequence.book.update_id if keeper.is_valid else None
    return book_id, sequence.state, sequence.reason, keeper.resyncs, *keeper.audits.values()


def _log_validity(keeper: Keeper) -> None:
    if keeper.is_valid:
        _log.info("valid symbol=%s update_id=%d", keeper.symbol, keeper.book.update_id)
    else:
        _log.warning("not valid symbol=%s reason=%s", keeper.symbol, keeper.sequence.reason)
