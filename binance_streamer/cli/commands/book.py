"""`book`: an order book as a ladder, asks above bids.

In: the order book service's answer. Out: text, a picture for a terminal, or JSON. Prices and quantities keep the
exchange's digits; sums are decimal, so that no binary rounding shows.
"""

import itertools
import sys
import time
from collections.abc import Iterator
from decimal import Decimal
from typing import Annotated, NamedTuple

import msgspec
import typer
from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from binance_streamer.cli.commands.tap import printable
from binance_streamer.cli.errors import CommandError, Exit
from binance_streamer.cli.hints import HINTS
from binance_streamer.cli.options import ConfigFile
from binance_streamer.client.books import BookClient, NoAnswerError
from binance_streamer.config.schema import DEFAULT_PATH, Config, load
from binance_streamer.exchange.streams import UPPER
from binance_streamer.wire.books import BookView, QueryError
from binance_streamer.wire.frames import WireError

_DRAW_S = 0.25
"""Between two pictures on a terminal: more of them an eye does not follow."""
_PRINT_S = 1.0
"""Between two books that are printed below one another."""


def book(
    symbol: Annotated[str, typer.Argument(metavar="SYMBOL", help="BTCUSDT")],
    *,
    depth: Annotated[int, typer.Option(metavar="N", min=0, help="Levels of each side; 0: all.")] = 10,
    watch: Annotated[bool, typer.Option("--watch", help="Again and again, until Ctrl-C.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line.")] = False,
    config: ConfigFile = DEFAULT_PATH,
) -> None:
    """Show the order book of a symbol as a ladder.

    Asks the order book service, which must run. Exits with 1 where the book is not valid now, and says why.

    \b
    Examples:
      binance-streamer book BTCUSDT
      binance-streamer book BTCUSDT --depth 20 --watch
      binance-streamer book BTCUSDT --depth 0 --json | jq '.bids | length'
    """
    raise typer.Exit(show(load(config), symbol, depth or None, is_watching=watch, as_json=as_json))


class Rung(NamedTuple):
    """One price: the quantity on its side, and the quantity up to there from the best price on."""

    side: str
    price: str
    quantity: str
    total: str
    is_trusted: bool


def show(config: Config, symbol: str, depth: int | None, *, is_watching: bool, as_json: bool) -> Exit:
    """Print the book once, or again and again until Ctrl-C."""
    endpoints = config.endpoints
    symbol = symbol.translate(UPPER)
    with BookClient(endpoints.orderbook_query, curve_directory=endpoints.curve_directory) as client:
        if is_watching:
            return _watch(client, symbol, depth, as_json=as_json)
        view = _asked(client, symbol, depth)
    sys.stdout.write((json_line(view) if as_json else plain(view)) + "\n")
    return Exit.OK if view.valid else Exit.INCOMPLETE


def _watch(client: BookClient, symbol: str, depth: int | None, *, as_json: bool) -> Exit:
    """Show the book again and again until Ctrl-C or until the reader is gone; drawn in place on a terminal."""
    try:
        if as_json or not sys.stdout.isatty():
            for view in _views(client, symbol, depth, _PRINT_S):
                sys.stdout.write((json_line(view) if as_json else plain(view) + "\n") + "\n")
                sys.stdout.flush()
        else:
            with Live(auto_refresh=False, screen=True) as live:
                for view in _views(client, symbol, depth, _DRAW_S):
                    live.update(picture(view), refresh=True)
    except (KeyboardInterrupt, BrokenPipeError):
        pass
    return Exit.OK


def _views(client: BookClient, symbol: str, depth: int | None, every_s: float) -> Iterator[BookView]:
    """Yield answers for ever, with `every_s` seconds between them; the first one at once."""
    for number in itertools.count():
        if number:
            time.sleep(every_s)
        yield _asked(client, symbol, depth)


def _asked(client: BookClient, symbol: str, depth: int | None) -> BookView:
    """Ask once; `CommandError` where no service answers, or where it refuses, for an unknown symbol for example."""
    try:
        return client.ask(symbol, depth)
    except NoAnswerError as error:
        raise CommandError(
            f"{error}: does the order book service run? Asked was that of {HINTS.recording()}; see "
            "`binance-streamer status`, and orderbook.enabled in the configuration",
            Exit.INCOMPLETE,
        ) from error
    except (QueryError, WireError) as error:
        raise CommandError(printable(str(error)), Exit.INCOMPLETE) from error


def json_line(view: BookView) -> str:
    """Return the answer as one JSON object."""
    return msgspec.json.encode(view).decode()


def rungs(view: BookView) -> list[Rung]:
    """Return the prices of both sides, from the highest to the lowest."""
    asks = _side("ask", view.asks, view.trusted_levels[1])
    return [*reversed(asks), *_side("bid", view.bids, view.trusted_levels[0])]


def _side(name: str, levels: tuple[tuple[str, str], ...], trusted: int) -> list[Rung]:
    """Return the rungs of one side, the best price first, with running totals; the first `trusted` are certain."""
    totals = itertools.accumulate(Decimal(quantity) for _, quantity in levels)
    return [
        Rung(name, price, quantity, f"{total:f}", number < trusted)
        for number, ((price, quantity), total) in enumerate(zip(levels, totals, strict=True))
    ]


def heading(view: BookView) -> str:
    """Return the first line: the symbol, and whether the book is valid or why it is not."""
    if not view.valid:
        return printable(f"{view.symbol}  NOT VALID  {view.state}: {view.reason}")
    age = "" if view.depth_recv_ns is None else f", received {(view.recv_ns - view.depth_recv_ns) / 1e6:.0f} ms ago"
    return printable(f"{view.symbol}  valid  update {view.update_id} of {view.stream}{age}")


def footing(view: BookView) -> str:
    """Return the last lines: spread, numbers of levels and updates, audits, levels that are uncertain."""
    spread = f"{Decimal(view.asks[0][0]) - Decimal(view.bids[0][0]):f}" if view.bids and view.asks else "-"
    unknown = sum(not rung.is_trusted for rung in rungs(view))
    note = f"\n? beyond the snapshot's levels: others may be missing between these {unknown}" if unknown else ""
    return (
        f"spread {spread}, {view.levels[0]} bids, {view.levels[1]} asks, {view.updates} updates, "
        f"{view.resyncs} resyncs, audits {view.audits_passed} passed, {view.audits_failed} failed{note}"
    )


def plain(view: BookView) -> str:
    """Return the ladder as plain text, columns aligned; only the heading where the book has no level."""
    rows = [("total", "bid", "price", "ask", "total")]
    for side, price, quantity, total, is_trusted in rungs(view):
        shown = price + (" " if is_trusted else "?")
        rows.append((total, quantity, shown, "", "") if side == "bid" else ("", "", shown, quantity, total))
    if len(rows) == 1:
        return heading(view)
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([heading(view), *lines, footing(view)])


def picture(view: BookView) -> RenderableType:
    """Return the ladder in colours, for a terminal."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name, style in (("total", "dim"), ("bid", "green"), ("price", ""), ("ask", "red"), ("total", "dim")):
        table.add_column(name, justify="right", style=style, no_wrap=True)
    for side, price, quantity, total, is_trusted in rungs(view):
        shown = Text(price + (" " if is_trusted else "?"), style="green" if side == "bid" else "red")
        table.add_row(*((total, quantity, shown, "", "") if side == "bid" else ("", "", shown, quantity, total)))
    title = Text(heading(view), style="bold" if view.valid else "bold red")
    return Group(title, table, Text(footing(view), style="dim")) if view.valid else Group(title)
