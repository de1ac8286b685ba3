"""Starts the order book service: sockets, lock of its endpoint, producer; and ends it, draining its journal."""

from collections.abc import Sequence

from binance_streamer.config import schema as configuration
from binance_streamer.config.schema import Config
from binance_streamer.exchange.streams import UPPER
from binance_streamer.transport.sockets import query_router
from services.orderbook.kept_symbols import KeptSymbols
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
        "Keeps the order books of symbols that have a depth stream and snapshots, members of groups among them.",
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
    symbols = _kept(shell.config, chosen)
    endpoint = shell.config.endpoints.orderbook_query
    with producing(shell) as (producer, pub):
        with held_endpoint(shell, endpoint), query_router(shell.context, endpoint) as router:
            Service(shell, producer, Sockets(pub, router), symbols).run()
        producer.drain(_DRAIN_TIMEOUT_S)


def _kept(config: Config, chosen: Sequence[str]) -> KeptSymbols:
    """Return the symbols whose books are kept; `ConfigError` where a chosen symbol cannot have a book."""
    found = KeptSymbols(config, chosen)
    unknown = [name for name in chosen if name not in found.by_name]
    if unknown:
        raise configuration.ConfigError(
            f"--symbols: {unknown[0]} is not configured with a depth stream and depth_snapshot: a book needs both"
        )
    return found
