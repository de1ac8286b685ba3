"""The command line `binance-streamer`.

`commands` has one module for each command; `app` puts them together. `main` runs it.
"""

from binance_streamer.cli.app import main

__all__ = ["main"]
