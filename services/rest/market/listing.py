"""Records changes of the exchange's list of symbols, and publishes which of the configured ones are trading."""

import logging
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from msgspec import UNSET, UnsetType

from binance_streamer.config.symbols import symbol_fault
from services.rest.answers import AnswerError, Odd, RestAnswer
from services.rest.market.exchange_info import (
    TRADING,
    UNLISTED,
    Listing,
    Universe,
    read_exchange_info,
)
from services.rest.market.group_members import GroupMembers
from services.rest.market.trading_hours import ALWAYS, Range, TradingSchedule, read_schedule
from services.rest.messages import FrameSink, exchange_info_draft, symbol_status_draft, trading_schedule_draft
from services.rest.oddities import Oddities
from services.rest.state import StateError, read_file
from services.runtime.clock import wall_ns
from services.runtime.files import replace_file

_log = logging.getLogger(__name__)

_PUBLISH_INTERVAL_S = 60.0
"""So often statuses are published again, for workers that have started since."""


class ListingRecorder:
    """The list as it was recorded last; its file lets the next run record changes only."""

    def __init__(
        self,
        path: Path,
        configured: Sequence[str],
        producer: FrameSink,
        *,
        oddities: Oddities,
        members: GroupMembers | None = None,
    ) -> None:
        """`configured` are the recorded symbols; with `members` they follow those of groups."""
        self._path = path
        self._configured = configured
        self._producer = producer
        self._members = members
        self._oddities = oddities
        self._listing = _loaded(path)
        self._statuses: dict[str, str] = {}
        self._nearest: dict[str, list[str]] = {}
        self._markets: dict[str, str] = {}
        self._schedule: TradingSchedule | None = None
        self._recorded_schedule: TradingSchedule | None = None  # the journal may have been full since
        self._next_publish_s = float("inf")

    @property
    def idle(self) -> frozenset[str]:
        """Configured symbols that are not trading."""
        return frozenset(symbol for symbol, status in self.statuses().items() if status != TRADING)

    @property
    def follows_sessions(self) -> bool:
        """Return True if a configured symbol is a contract that follows the hours of another market."""
        return any(symbol in self._markets for symbol in self._configured)

    @property
    def hours_unknown(self) -> list[str]:
        """Configured contracts that follow a market whose hours are not known."""
        return [symbol for symbol in self._configured if self._closed(symbol) == [ALWAYS]]

    def off_session(self, now_ms: int) -> list[str]:
        """Configured symbols whose market is closed."""
        return [
            symbol
            for symbol in self._configured
            if self._schedule is not None and self._schedule.is_closed(self._markets.get(symbol, ""), now_ms)
        ]

    def may_list(self, symbol: str) -> bool:
        """Return True if the exchange lists the symbol; before the first list every symbol may be listed."""
        return not self._statuses or symbol in self._statuses

    def statuses(self) -> dict[str, str]:
        """Return the status of each configured symbol; empty before the first list."""
        if not self._statuses:
            return {}
        return {symbol: self._statuses.get(symbol, UNLISTED) for symbol in self._configured}

    def nearest_names(self) -> dict[str, list[str]]:
        """For each configured symbol that the exchange does not list: up to three listed names like it, nearest first.

        Empty before the exchange has told its list.
        """
        return self._nearest

    def take(self, answer: RestAnswer, now_s: float) -> int | None:
        """Record what changed; returns the weight limit. Raises `AnswerError` for what is none, or in doubt."""
        universe = read_exchange_info(answer.body)
        self._note(universe.odd)
        if self._listing is not None and self._listing.count_doubt(universe):
            raise AnswerError(
                f"expected about {len(self._listing.symbols)} symbols, got {len(universe.symbols)}; "
                "believed when it comes a second time"
            )
        self._record(answer, universe)
        self._markets = universe.markets
        if self._members is not None:
            self._note(self._members.take(universe.contracts))
            self._configured = self._members.symbols
        self._publish_changes(universe)
        missing = [symbol for symbol in self._configured if symbol not in self._statuses]
        self._nearest = {symbol: get_close_matches(symbol, self._statuses) for symbol in missing}
        self._next_publish_s = now_s
        return universe.weight_limit

    def take_schedule(self, answer: RestAnswer, now_s: float) -> None:
        """Record the hours of the markets where they changed; raises `AnswerError`."""
        schedule = read_schedule(answer)
        self._note(schedule.odd)
        if self._recorded_schedule is None or schedule.closed != self._recorded_schedule.closed:
            self._producer.append([trading_schedule_draft(answer)])
            self._next_publish_s = now_s
            if not self._producer.is_full:
                self._recorded_schedule = schedule
        self._schedule = schedule

    def take_no_schedule(self) -> None:
        """Take it that no schedule comes: an earlier one stays valid, else the hours of all markets are unknown."""
        self._schedule = self._schedule or TradingSchedule({}, [])

    def publish_due(self, now_s: float) -> None:
        """Publish the statuses of the configured symbols once a minute, and after each new list."""
        if now_s < self._next_publish_s:
            return
        self._next_publish_s = now_s + _PUBLISH_INTERVAL_S
        for symbol, status in self.statuses().items():
            self._producer.publish_live(symbol_status_draft(symbol, status, wall_ns(), self._closed(symbol)))

    def _closed(self, symbol: str) -> list[Range] | UnsetType:
        """Return the hours to publish; unset before the first answer: what an earlier run published stays valid."""
        market = self._markets.get(symbol)
        if market is None:
            return []
        return UNSET if self._schedule is None else self._schedule.closed.get(market, [ALWAYS])

    def _note(self, odd: Sequence[Odd]) -> None:
        for one in odd:
            self._oddities.note(one)

    def _record(self, answer: RestAnswer, universe: Universe) -> None:
        event = answer.body
        if self._listing is not None:
            change = self._listing.change_to(universe)
            if not change:
                return
            _log.info("exchange info changed symbols=%d removed=%d", len(change.changed), len(change.removed))
            event = change.as_json()
        self._producer.append([exchange_info_draft(answer, event)])
        if self._producer.is_full:
            return  # not recorded: it is a change still when the list comes next
        self._listing = self._listing or Listing(universe.symbols, universe.other)
        self._listing.take(universe)
        try:
            replace_file(self._path, self._listing.saved())
        except OSError as error:
            _log.warning("the next run will record what is recorded already: %s", error)

    def _publish_changes(self, universe: Universe) -> None:
        """Publish changes of symbols that are not configured; the configured ones are published every minute anyway."""
        before, self._statuses = self._statuses, universe.statuses
        for symbol, status in universe.statuses.items():
            is_change = before.get(symbol, status) != status
            if is_change and symbol not in self._configured and symbol_fault(symbol) is None:
                self._producer.publish_live(symbol_status_draft(symbol, status, wall_ns(), UNSET))


def _loaded(path: Path) -> Listing | None:
    try:
        content = read_file(path)
        return None if content is None else Listing.loaded(content)
    except (StateError, AnswerError) as error:
        _log.warning("the whole exchange info will be recorded again: %s", error)
        return None
