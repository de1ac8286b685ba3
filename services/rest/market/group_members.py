"""The members of groups: found in the exchange's list, and kept in the file by which all other processes go."""

import logging
import math
from collections.abc import Collection, Mapping, Sequence
from itertools import chain

from binance_streamer.config.groups import TRADING, Contract, MembersFile, matches, member_fault, members_of
from binance_streamer.config.schema import Config
from services.rest.answers import Odd
from services.rest.market.exchange_info import UNLISTED
from services.runtime.files import replace_file

_log = logging.getLogger(__name__)

_STAYS = 1.25
"""Of `top`: a member stays up to this rank, so that two with a like turnover do not take turns."""


class GroupMembers:
    """The members of the groups of a configuration; those of the run before until the exchange has told its list."""

    def __init__(self, config: Config) -> None:
        self._groups = [group for group in config.groups if group.match is not None]
        self._named = {symbol.symbol for symbol in config.selected.symbols}
        self._file = MembersFile(config)
        self._absent: frozenset[str] = frozenset()
        self._has_judged = False
        self._turnover: Mapping[str, float] = {}
        self._leave_out_named()

    @property
    def config(self) -> Config:
        """Return the configuration with the members as they are now; another object where they have changed."""
        return self._file.config

    @property
    def are_known(self) -> bool:
        """Return True where the members of every group are known."""
        return self._file.is_known

    @property
    def symbols(self) -> list[str]:
        """The names of all symbols that are recorded now, named ones and members."""
        return [symbol.symbol for symbol in self.config.symbols]

    @property
    def needs_turnover(self) -> bool:
        """Return True where a group takes those with the most turnover alone."""
        return any(group.top is not None for group in self._groups)

    def take_turnover(self, turnover: Mapping[str, float]) -> None:
        """Choose by these from the next list on: turnover of 24 hours by symbol."""
        self._turnover = turnover

    def take(self, listed: Sequence[Contract]) -> list[Odd]:
        """Find the members in a list of the exchange; write the file where it has others, and tell of each change.

        Returns the symbols that would be members, but cannot be recorded under their names.
        """
        if not self._groups:
            return []
        before = {group.name: self._file.found.get(group.name, ()) for group in self._groups}
        judged = [*listed, *self._absent_once(listed, before)]
        found = self._found(judged, before)
        for name, members in found.items():
            self._tell(name, set(members) - set(before[name]), set(before[name]) - set(members))
        self._write(found)
        self._has_judged = self._has_judged or found.items() <= self._file.found.items()
        return self._odd_names(listed)

    def _found(self, listed: Sequence[Contract], before: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        """Return the members of each group; none is in two, and a member stays in its group.

        With the first list of a run that holds as far as the group still matches: its configuration may be another one.
        """
        found: dict[str, tuple[str, ...]] = {}
        taken = set(self._named)
        owners = {symbol: name for name, symbols in before.items() for symbol in symbols} if self._has_judged else {}
        for group in self._groups:
            known = set(before[group.name])
            if not self._has_judged:
                known -= {one.symbol for one in listed if one.contract and one.quote and not matches(group, one)}
            foreign = taken | {symbol for symbol, owner in owners.items() if owner != group.name}
            members = [one for one in members_of(group, listed, known) if one not in foreign]
            if group.top is not None and not self._turnover and not known:
                # who they are is not known yet, nor who is left for the groups behind it
                return {name: some for name, some in before.items() if name in self._file.found} | found
            found[group.name] = tuple(members if group.top is None else self._top(members, known, group.top))
            taken.update(found[group.name])
        return found

    def _top(self, members: Sequence[str], known: Collection[str], most: int) -> list[str]:
        """Return those with the most turnover: members first that stay, then the others by their rank.

        Until the turnover is known those of before stay, and nobody is added.
        """
        if not self._turnover:
            return [one for one in members if one in known]
        ranked = sorted(members, key=lambda one: (-self._turnover.get(one, 0.0), one))
        stays = [one for one in ranked[: math.ceil(most * _STAYS)] if one in known]
        return sorted([*stays, *(one for one in ranked if one not in stays)][:most])

    def _absent_once(self, listed: Sequence[Contract], before: Mapping[str, Sequence[str]]) -> list[Contract]:
        """Return the members that this list lacks and the one before had: absence counts when it comes twice."""
        absent = frozenset(chain.from_iterable(before.values())) - {one.symbol for one in listed}
        first, self._absent = absent - self._absent, absent
        return [Contract(symbol, UNLISTED) for symbol in first]

    def _odd_names(self, listed: Sequence[Contract]) -> list[Odd]:
        faults = [(one.symbol, member_fault(one.symbol)) for one in listed if one.status == TRADING
                  and any(matches(group, one) for group in self._groups)]  # fmt: skip
        return [
            Odd("exchangeInfo names of members", symbol.encode(errors="replace"), f"not recorded: {symbol!r} {fault}")
            for symbol, fault in faults
            if fault is not None
        ]

    def _leave_out_named(self) -> None:
        """Write the members of the run before without those that are named now: their workers are to let them go."""
        names = [group.name for group in self._groups if group.name in self._file.found]
        before = {name: self._file.found[name] for name in names}
        kept = {name: tuple(one for one in symbols if one not in self._named) for name, symbols in before.items()}
        if kept != before:
            self._write(kept)

    def _write(self, found: Mapping[str, Sequence[str]]) -> None:
        """Write the members where the file has others; it is read for that, since another hand may have changed it."""
        content = self._file.content(found)
        try:
            if not self._has(content):
                replace_file(self._file.path, content)
        except OSError as error:
            _log.error("workers do not learn of new members of groups: %s", error)
        self._file.refresh()

    def _has(self, content: bytes) -> bool:
        try:
            return self._file.path.read_bytes() == content
        except OSError:
            return False

    def _tell(self, group: str, begun: set[str], ended: set[str]) -> None:
        if begun:
            _log.info("group=%s gets symbols=%d: %.400s", group, len(begun), " ".join(sorted(begun)))
        if ended:
            _log.info("group=%s lets go symbols=%d: %.400s", group, len(ended), " ".join(sorted(ended)))
