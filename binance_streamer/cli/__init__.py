"""The command line."""

from binance_streamer.cli.app import main

__all__ = ["main"]
