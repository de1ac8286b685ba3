"""Journals that no configured process owns: those of removed symbols."""

from pathlib import Path

from binance_streamer.config.schema import Config
from binance_streamer.config.symbols import decode_name


def ownerless_journals(config: Config) -> list[str]:
    """Producers that have a journal and are not configured."""
    owners = {"rest", "orderbook", *(f"ingest-{symbol.symbol}" for symbol in config.symbols)}
    found = {decode_name(path.parent.name) for path in Path(config.storage.journal_directory).glob("*/*.journal")}
    return sorted(name for name in found - owners if not name.startswith("orderbook-"))  # shares, which nothing lists
