"""Both sides together: crossing, what is known beyond a snapshot, and updates that cannot be read."""

import pytest

from binance_streamer.exchange.depth import read_snapshot, read_update
from binance_streamer.exchange.messages import ExchangeError
from services.orderbook.book.book import OrderBook, TrustedRange
from tests.support.depth import pairs, snapshot, update


def loaded(*, bids: str = "99.0x1 98.0x2", asks: str = "101.0x3 102.0x4") -> OrderBook:
    book = OrderBook()
    book.load(snapshot(5, bids=bids, asks=asks))
    book.check()
    return book


def test_a_book_is_its_snapshot_and_then_its_updates() -> None:
    book = loaded()
    book.apply(update("5>9", bids="99.0x0.0 98.5x7", asks="101.0x8 103.0x9"))
    book.check()
    assert book.update_id == 9
    assert book.levels() == (pairs("98.5x7 98.0x2"), pairs("101.0x8 102.0x4 103.0x9"))
    assert (book.best_bid, book.best_ask) == (("98.5", "7"), ("101.0", "8"))
    assert book.top(1) == (pairs("98.5x7"), pairs("101.0x8"))
    assert book.counts == (2, 3)


def test_a_copy_goes_its_own_way() -> None:
    book = loaded()
    copy = book.copy()
    book.apply(update("5>9", bids="98.55x7", asks="101.0x0"))
    copy.apply(update("5>8", bids="99.0x0"))
    book.check()
    copy.check()
    assert (copy.update_id, copy.levels()) == (8, (pairs("98.0x2"), pairs("101.0x3 102.0x4")))
    assert (book.update_id, book.levels()) == (9, (pairs("99.00x1 98.55x7 98.00x2"), pairs("102.0x4")))


def test_loading_forgets_what_was_there() -> None:
    book = loaded()
    book.apply(update("5>9", bids="98.5x7"))
    book.load(snapshot(20, bids="50x1"))
    book.check()
    assert (book.update_id, book.levels()) == (20, (pairs("50x1"), []))


@pytest.mark.parametrize(
    ("bids", "asks", "is_crossed"),
    [
        ("100.0x1", "100.1x1", False),
        ("100.1x1", "100.1x1", True),
        ("100.2x1", "100.1x1", True),
        ("100x1", "100.01x1", False),
        ("100.01x1", "100x1", True),
        ("100x1", "100.00x1", True),
        ("", "100.0x1", False),
        ("100.0x1", "", False),
    ],
)
def test_a_book_is_crossed_where_the_best_bid_is_not_below_the_best_ask(bids: str, asks: str, is_crossed: bool) -> None:
    assert loaded(bids=bids, asks=asks).is_crossed is is_crossed


def test_a_side_of_fewer_than_a_thousand_levels_is_known_as_a_whole() -> None:
    book = loaded()
    assert book.trusted_range == TrustedRange(None, None)
    assert book.trusted(*book.top(5)) == (2, 2)
    assert book.known_top(5) == book.top(5) == book.levels()


def test_beyond_a_thousand_levels_nothing_is_known() -> None:
    book = OrderBook()
    bids = [(f"{price}.0", "1") for price in range(2000, 1000, -1)]
    asks = [(f"{price}.0", "1") for price in range(2001, 3001)]
    book.load(snapshot(5, bids=bids, asks=asks))
    assert book.trusted_range == TrustedRange("1001.0", "3000.0")
    book.apply(update("5>6", bids=[("900.0", "1")], asks=[(price, "0.0") for price, _ in asks] + [("3000.1", "1")]))
    assert [book.bids.trusts(price) for price in ("1001.0", "1000.9", "900.0")] == [True, False, False]
    assert book.trusted(*book.top(2000)) == (1000, 0)
    assert not book.is_top_known
    assert book.best_ask == ("3000.1", "1")


def test_a_known_top_ends_where_levels_may_be_missing() -> None:
    book = OrderBook()
    bids = [(f"{price}.0", "1") for price in range(2000, 1000, -1)]
    asks = [(f"{price}.0", "1") for price in range(2001, 3001)]
    book.load(snapshot(5, bids=bids, asks=asks))
    gone = [(price, "0.0") for price, _ in bids[2:]]
    book.apply(update("5>6", bids=[*gone, ("999.5", "3"), ("900.0", "1")], asks=[("3000.1", "1")]))
    assert book.top(3)[0] == [*bids[:2], ("999.5", "3")]
    assert book.known_top(3) == (bids[:2], asks[:3])
    assert book.known_top(1001) == (bids[:2], asks)


def test_an_update_that_cannot_be_read_changes_nothing() -> None:
    book = loaded()
    before = book.levels()
    text = b'{"e":"depthUpdate","E":1,"T":1,"s":"BTCUSDT","U":6,"u":9,"pu":5,"b":[["98.0","0.0"]],"a":[["1",2]]}'
    with pytest.raises(ExchangeError):
        book.apply(read_update(text))
    assert (book.update_id, book.levels()) == (5, before)


@pytest.mark.parametrize("quantity", ["-1.0", "abc", "0E-8", "1e5", "\u0669", "NaN", "+1"])
def test_a_quantity_that_is_no_decimal_number_makes_an_update_unreadable(quantity: str) -> None:
    book = loaded()
    before = book.levels()
    text = '{"e":"depthUpdate","E":1,"T":1,"s":"X","u":9,"pu":5,"b":[["99.0","7"]],"a":[["101.0","2"],["102.0","%s"]]}'
    with pytest.raises(ExchangeError):
        book.apply(read_update((text % quantity).encode()))
    assert book.levels() == before


def test_spaces_between_levels_are_no_fault() -> None:
    text = b'{"e":"depthUpdate","E":1,"T":1,"s":"BTCUSDT","u":9,"pu":5,"b":[ ["98.0", "7"] ],"a":[]}'
    assert read_update(text).levels() == (pairs("98.0x7"), [])


@pytest.mark.parametrize(
    "text",
    [b"", b"[]", b'{"e":"aggTrade"}', b'{"e":"depthUpdate","E":1,"T":1,"s":"BTCUSDT","u":"9","pu":5,"b":[],"a":[]}'],
)
def test_what_is_no_update_is_refused(text: bytes) -> None:
    with pytest.raises(ExchangeError):
        read_update(text)


def test_a_snapshot_may_lack_times_and_levels() -> None:
    empty = read_snapshot(b'{"lastUpdateId":-1,"bids":[],"asks":[]}')
    assert (empty.last_update_id, empty.bids, empty.asks, empty.event_time_ms) == (-1, [], [], 0)
    with pytest.raises(ExchangeError):
        read_snapshot(b'{"code":-1121,"msg":"Invalid symbol."}')
