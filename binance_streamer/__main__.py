"""`python -m binance_streamer` is `binance-streamer`."""

from binance_streamer.cli import main

main()
