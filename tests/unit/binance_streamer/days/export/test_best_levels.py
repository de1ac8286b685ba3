"""The best levels of a book when they change, beside a book that is sorted anew each time."""

import random
from pathlib import Path

from binance_streamer.days.export.best_levels import best_levels
from binance_streamer.days.export.book_messages import BookFeed
from tests.support.exports import best_prices, export_day
from tests.support.recorded_days import COLUMNS, START_MS, DayWriter


def test_the_best_level_is_that_of_book_ticker_across_a_hole(tmp_path: Path) -> None:
    writer = DayWriter()
    tops = best_prices(writer)
    newest: tuple[float, float] | None = None
    changes = {at // 10**6: cells.split(",") for at, _, cells in best_levels(BookFeed(export_day(tmp_path)), 1)}
    compared = 0
    for number in range(180):
        at_ms = START_MS + 1000 * number + 300
        cells = changes.get(at_ms) or changes.get(at_ms + 2)
        newest = (float(cells[2]), float(cells[0])) if cells else newest
        if at_ms in tops and number > 0:
            assert newest == tops[at_ms], number
            compared += 1
    assert compared >= 165


def test_changes_are_those_of_a_book_that_is_sorted_each_time(tmp_path: Path) -> None:
    dice = random.Random(7)
    writer = DayWriter()
    for stem in COLUMNS:
        writer.lines[stem] = []
    bids, asks = {100 - n: 1 for n in range(30)}, {101 + n: 1 for n in range(30)}
    levels = [[[price, 1] for price in side] for side in (bids, asks)]
    writer.add("snapshot", f'1,{START_MS},{START_MS},"{levels[0]}","{levels[1]}",1'.replace(" ", ""), START_MS, "rest")
    expected = [(START_MS, shown(bids, asks))]
    for number in range(2, 300):
        at_ms = START_MS + number
        bid, ask, bid_quantity, ask_quantity = (
            dice.randrange(*bounds) for bounds in ((60, 101), (101, 140), (3,), (3,))
        )
        cells = f'{number},{number},{number - 1},{at_ms},{at_ms},"[[{bid},{bid_quantity}]]","[[{ask},{ask_quantity}]]"'
        writer.add("depth", cells, at_ms)
        for side, price, quantity in ((bids, bid, bid_quantity), (asks, ask, ask_quantity)):
            side[price] = quantity
            if not quantity:
                del side[price]
        if shown(bids, asks) != expected[-1][1]:
            expected.append((at_ms, shown(bids, asks)))
    found = [(at_ns // 10**6, cells) for at_ns, _, cells in best_levels(BookFeed(export_day(tmp_path, writer)), 25)]
    assert found == expected
    assert 100 < len(found) < 299


def shown(bids: dict[int, int], asks: dict[int, int]) -> str:
    cells: list[object] = []
    best = sorted(asks)[:25], sorted(bids, reverse=True)[:25]
    for place in range(25):
        for prices, side in zip(best, (asks, bids), strict=True):
            cells += [prices[place], side[prices[place]]] if place < len(prices) else ["", ""]
    return ",".join(map(str, cells))
