"""Starts the order book service: sockets, lock of its endpoint, producer; and ends it, draining its journal."""

from collections.abc import Sequence

from binance_streamer.config import schema as configuration
from binance_streamer.config.schema import Config, has_book, streams_of
from binance_streamer.exchange.streams import UPPER
from binance_streamer.transport.sockets import query_router
from services.orderbook.service import Service, Sockets
from services.runtime.delivery.producer import producing
from services.runtime.lock import held_endpoint
from services.runtime.process import Shell, arguments_of, run_service

NAME = "orderbook"
_DRAIN_TIMEOUT_S = 5.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the service until SIGTERM; return the exit code."""
    parser = arguments_of(
        "services.orderbook",
        "Keeps the order books of all configured symbols that have a depth stream.",
        "python -m services.orderbook -c config/streamer.yaml",
    )
    parser.add_argument(
        "--symbols",
        metavar="A,B",
        help="only these: a share, whose process is named after the first of them, orderbook-A",
    )
    options = parser.parse_args(arguments)
    chosen = tuple(options.symbols.split(",")) if options.symbols else ()
    name = f"{NAME}-{chosen[0].translate(UPPER)}" if chosen else NAME
    return run_service(name, options.config, lambda shell: keep(shell, chosen))


def keep(shell: Shell, chosen: Sequence[str]) -> None:
    """Keep the books until the process is asked to stop, then push the recorded rows to the writer."""
    symbols = _symbols(shell.config, chosen)
    endpoint = shell.config.endpoints.orderbook_query
    with producing(shell) as (producer, pub):
        with held_endpoint(shell, endpoint), query_router(shell.context, endpoint) as router:
            Service(shell, producer, Sockets(pub, router), symbols).run()
        producer.drain(_DRAIN_TIMEOUT_S)


def _symbols(config: Config, chosen: Sequence[str]) -> dict[str, bool]:
    """Return the symbols whose books are kept, and for each whether its bookTicker is recorded too.

    `ConfigError` where a chosen symbol cannot have a book.
    """
    found = {
        symbol.symbol: any(stream.stream_type == "bookticker" for stream in streams_of(symbol))
        for symbol in config.symbols
        if has_book(symbol)
    }
    unknown = [name for name in chosen if name not in found]
    if unknown:
        raise configuration.ConfigError(
            f"--symbols: {unknown[0]} is not configured with a depth stream and depth_snapshot: a book needs both"
        )
    return {name: found[name] for name in chosen or found}
