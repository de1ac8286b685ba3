"""Modes for a demo: each symbol has a worker of its own, or all of them are a group."""

from binance_streamer.cli.demo.captures import CapturedStreams
from binance_streamer.cli.demo.simulator import Market
from binance_streamer.config.schema import GroupConfig, MatchConfig, ModeConfig, SymbolConfig

SYMBOLS_A_WORKER = 75
"""Of a group: 520 symbols have seven workers, more than there are cores on a small machine, and few enough to be
started in seconds."""


def named(found: CapturedStreams) -> ModeConfig:
    """Return a mode in which each symbol of the market is named."""
    symbols = found.symbols.items()
    return ModeConfig(symbols=tuple(SymbolConfig(symbol=symbol, streams=streams) for symbol, streams in symbols))


def grouped(market: Market, workers: int) -> ModeConfig:
    """Return a mode with one group of all that the exchange lists, but for the symbol that is left for `apply`."""
    exclude = (market.spare,) if market.spare else ()
    return ModeConfig(groups=(GroupConfig(name="all", match=MatchConfig(), exclude=exclude, workers=workers),))
