"""The command line of the system that this one follows, as other names for the commands of `binance-streamer`.

python -m binance_streamer.main                       up
python -m binance_streamer.main --status              status
python -m binance_streamer.main --list-symbols        symbols
python -m binance_streamer.main --daemon restart      restart; start, stop, status likewise
"""

import argparse
from collections.abc import Sequence

from binance_streamer.cli import main as run
from binance_streamer.deploy.interpreter import be_utf8


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command that is meant, and end the process with its exit code."""
    if arguments is None:
        be_utf8()
    run(translated(arguments))


def translated(arguments: Sequence[str] | None = None) -> list[str]:
    """Return the arguments of `binance-streamer` that do the same."""
    parser = argparse.ArgumentParser(
        prog="binance_streamer.main",
        description="Other names for commands of binance-streamer, which has more: binance-streamer --help.",
        epilog="example: python -m binance_streamer.main -c config/streamer.yaml --daemon start",
    )
    parser.add_argument("-c", "--config", metavar="FILE", help="the configuration; without it, the one that init made")
    parser.add_argument("-v", "--verbose", action="store_true", help="say what is done; processes log debug lines")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--status", action="store_true", help="binance-streamer status")
    what.add_argument("--list-symbols", action="store_true", help="binance-streamer symbols")
    what.add_argument(
        "--daemon", choices=("start", "stop", "restart", "status"), help="binance-streamer start, stop, restart, status"
    )
    options = parser.parse_args(arguments)
    command = options.daemon or ("status" if options.status else "symbols" if options.list_symbols else "up")
    before = (["-c", options.config] if options.config else []) + (["-v"] if options.verbose else [])
    return [*before, command]


if __name__ == "__main__":
    main()
