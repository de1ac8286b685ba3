"""Rows that the order book service has recorded, compared with the true book of the tape."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tests.support.recorded import levels_of
from tests.support.true_books import TrueBook, true_books

Row = Mapping[str, str]


def recorded_tops(rows: Iterable[Row]) -> list[TrueBook]:
    """Return the books in the summary rows of a valid book, whose best prices must be those of their levels."""
    tops = []
    for row in rows:
        if row["synchronised"] == "true":
            bids, asks = (
                [(str(price), str(quantity)) for price, quantity in levels_of(row[side])] for side in ("bids", "asks")
            )
            assert (row["best_bid"], row["best_ask"]) == (bids[0][0], asks[0][0])
            tops.append(TrueBook(int(row["last_update_id"]), bids, asks))
    return tops


def wrong_tops(tape: Path, symbol: str, tops: Iterable[TrueBook], levels: int) -> list[str]:
    """Return the recorded tops that are not the true book's first `levels`; an id at which no update ended is wrong."""
    tops = list(tops)
    ids = [top.update_id for top in tops]
    true = {book.update_id: book for book in true_books(tape, symbol, f"{symbol.lower()}@depth@0ms", ids)}
    found = []
    for top in tops:
        book = true.get(top.update_id)
        if book is None:
            found.append(f"{symbol}: {top.update_id} is no id of the exchange")
        elif top != TrueBook(top.update_id, book.bids[:levels], book.asks[:levels]):
            found.append(f"{symbol}: wrong book at {top.update_id}: {top}")
    return found


def level_counts(rows: Iterable[Row]) -> list[tuple[int, int]]:
    """Return (`recv_ns`, levels of both sides) of each row of a valid book."""
    return [
        (int(row["recv_ns"]), int(row["bid_levels"]) + int(row["ask_levels"]))
        for row in rows
        if row["synchronised"] == "true"
    ]


def levels_at(counts: Sequence[tuple[int, int]], at_ns: int) -> int:
    """Return the levels of the newest row up to a moment; before the first row those of that, without rows 0."""
    number = bisect_right(counts, at_ns, key=lambda count: count[0])
    return counts[max(0, number - 1)][1] if counts else 0


def wrong_numbers(symbol: str, rows: Iterable[Row]) -> list[str]:
    """Return what is wrong with the numbers of summary rows: there twice, or missing between others of their run."""
    places = [(int(row["epoch"]), int(row["seq"])) for row in rows]
    found = [f"{symbol}: summary rows twice"] if len(places) != len(set(places)) else []
    for epoch in {epoch for epoch, _ in places}:
        numbers = [seq for one, seq in places if one == epoch]
        if numbers != list(range(1, len(numbers) + 1)):
            found.append(f"{symbol}: summary rows of run {epoch} are not 1 to {len(numbers)}: {numbers}")
    return found
