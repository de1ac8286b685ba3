"""One module for each command of `binance-streamer`."""
