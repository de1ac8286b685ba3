"""Books at regular instants, each checked against the book of that instant (see also `test_books`)."""

from pathlib import Path

import pytest

from binance_streamer.days import Recording
from tests.support.recorded_days import DayWriter


@pytest.mark.parametrize("every", ["7s", "300ms"])
def test_a_row_is_the_book_of_its_instant(every: str, tmp_path: Path) -> None:
    DayWriter().write(tmp_path)
    recording = Recording(tmp_path)
    books = recording.books("BTCUSDT", "2026-11-21T23:59:50", "2026-11-22T00:03:30", every=every, depth=5)
    assert set(books["why"]) == {"", "not recorded", "no snapshot", "updates missing"} or every == "7s"
    for row in books.gather_every(1 if every == "7s" else 40).iter_rows(named=True):
        book = recording.book_at("BTCUSDT", row["ns"])
        assert (row["why"], row["update_id"]) == (book.why, book.update_id), row["ns"]
        assert row["bids"] == book.bids.head(5).to_dicts()
        assert row["asks"] == book.asks.head(5).to_dicts()


def test_without_any_rows_nothing_is_known(tmp_path: Path) -> None:
    days = DayWriter()
    days.lines["depth"] = []
    days.write(tmp_path)
    books = Recording(tmp_path).books("BTCUSDT", "2026-11-22", "2026-11-22T00:00:03")
    assert books.select("why", "update_id").rows() == [("not recorded", None)] * 3
