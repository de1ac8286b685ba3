"""The symbols whose books are kept: named ones, and the members of groups with `depth_snapshot` as they come and go."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from binance_streamer.config.groups import MembersFile, workers_by_symbol
from binance_streamer.config.schema import Config, has_book, streams_of
from binance_streamer.wire.frames import encode_topic
from services.orderbook.keeper import SPEEDS


class Kept(NamedTuple):
    """The messages that feed the book of a symbol, beside its updates and snapshots."""

    with_quotes: bool
    """Its bookTicker is on the bus, too."""
    status_topic: bytes
    """Of its worker."""


class KeptSymbols:
    """The symbols as they are now; `chosen` are those of a share, none of them: all."""

    def __init__(self, config: Config, chosen: Sequence[str] = ()) -> None:
        self._members = MembersFile(config)
        self._chosen = frozenset(chosen)
        self.by_name: Mapping[str, Kept] = {}
        self._take()

    def refresh(self) -> bool:
        """Look at the members of groups; return True where they have changed."""
        has_changed = self._members.refresh()
        if has_changed:
            self._take()
        return has_changed

    @property
    def topics(self) -> set[bytes]:
        """The prefixes to subscribe to: whole kinds, or single topics where at most half of the symbols are kept."""
        topics = {topic for symbol in self.by_name for topic in self.topics_of(symbol)}
        topics |= {kept.status_topic for kept in self.by_name.values()}
        if len(self.by_name) <= len(self._members.config.symbols) / 2:
            return {topic.rpartition(b".")[0] + b"." for topic in topics}
        kinds = {topic.partition(b".")[0] + b"." for topic in topics}
        return {b"status.ingest-" if kind == b"status." else kind for kind in kinds}

    def topics_of(self, symbol: str) -> Iterable[bytes]:
        """Yield the topics of a symbol's updates in the order of `SPEEDS`, of its snapshots and, where kept, quotes."""
        for variant in SPEEDS:
            yield encode_topic("depth", symbol, variant)
        yield encode_topic("depth_snapshot", symbol)
        if self.by_name[symbol].with_quotes:
            yield encode_topic("bookticker", symbol)

    def _take(self) -> None:
        config = self._members.config
        workers = workers_by_symbol(config)
        self.by_name = {
            symbol.symbol: Kept(
                any(stream.stream_type == "bookticker" for stream in streams_of(symbol)),
                encode_topic("status", f"ingest-{workers[symbol.symbol]}"),
            )
            for symbol in config.symbols
            if has_book(symbol) and (not self._chosen or symbol.symbol in self._chosen)
        }
