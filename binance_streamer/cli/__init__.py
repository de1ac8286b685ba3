"""The command line `binance-streamer`.

In: words of a user. Out: text on stdout, faults on stderr, an exit code. `commands` has the commands, `app` puts them
together; `supervisor` speaks to supervisord, `demo` has the simulated exchange and the comparison with it, `recordings`
reads recorded files. Open `app` first.
"""

from binance_streamer.cli.app import main

__all__ = ["main"]
