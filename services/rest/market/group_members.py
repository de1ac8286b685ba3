"""The members of groups: found in the exchange's list, and kept in the file by which all other processes go."""

import logging
from collections.abc import Mapping, Sequence

from binance_streamer.config.groups import Contract, MembersFile, members_of
from binance_streamer.config.schema import Config
from services.runtime.files import replace_file

_log = logging.getLogger(__name__)


class GroupMembers:
    """The members of the groups of a configuration; those of the run before until the exchange has told its list."""

    def __init__(self, config: Config) -> None:
        self._groups = [group for group in config.groups if group.match is not None]
        self._named = {symbol.symbol for symbol in config.selected.symbols}
        self._file = MembersFile(config)

    @property
    def symbols(self) -> list[str]:
        """The names of all symbols that are recorded now, named ones and members."""
        return [symbol.symbol for symbol in self._file.config.symbols]

    def take(self, listed: Sequence[Contract]) -> None:
        """Find the members in a list of the exchange; write the file where it has others, and tell of each change."""
        taken, found = set(self._named), {}
        for group in self._groups:
            before = self._file.found.get(group.name, ())
            members = tuple(symbol for symbol in members_of(group, listed, before) if symbol not in taken)
            taken.update(members)
            found[group.name] = members
            self._tell(group.name, set(members) - set(before), set(before) - set(members))
        if self._groups:
            self._write(found)

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
