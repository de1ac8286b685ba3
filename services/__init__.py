"""The processes of the pipeline. No service imports another; they share `binance_streamer` and `services.runtime`."""
