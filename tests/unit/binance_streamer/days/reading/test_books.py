"""Books at any instant: the exchange's true book, or said not to be known."""

import json
import operator
import random
from bisect import bisect_right
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from binance_streamer.days import RecordedBook, Recording
from binance_streamer.days.parquet import Place
from binance_streamer.days.reading.books import BookReader
from binance_streamer.days.schema import columns
from binance_streamer.days.seal import seal
from binance_streamer.days.sources import sources
from tests.support.recorded_days import START_MS, DayWriter
from tests.support.recorded_market import record_messages
from tests.support.sealing import begun, compress, parts, write
from tests.support.virtual_market import VirtualMarket

Sides = tuple[dict[Decimal, Decimal], dict[Decimal, Decimal]]


def at(second: float) -> int:
    return (START_MS + int(1000 * second)) * 10**6


def seal_all(data: Path, lake: Path) -> None:
    """Seal all daily files."""
    begin = begun(lake)
    for one in sources(data):
        seal(parts([one.path]), Place(one.stem, one.symbol, one.day), begin)


def sides_of(book: RecordedBook) -> Sides:
    """Levels of both sides, which must be in order."""
    assert book.bids["price"].is_sorted(descending=True)
    assert book.asks["price"].is_sorted()
    bids, asks = (dict(side.iter_rows()) for side in (book.bids, book.asks))
    return bids, asks


@pytest.fixture(params=["open", "sealed"])
def recording(request: pytest.FixtureRequest, tmp_path: Path) -> Recording:
    DayWriter().write(tmp_path / "data")
    seal_all(tmp_path / "data", tmp_path / "lake")
    return Recording(tmp_path / ("data" if request.param == "open" else "lake"))


def test_a_book_is_the_snapshot_and_the_updates_behind_it(recording: Recording) -> None:
    book = recording.book_at("BTCUSDT", at(1))
    bids, asks = sides_of(book)
    assert (book.is_known, book.update_id, book.recv_ns) == (True, 7030, at(0.305))
    assert bids == {Decimal(84000 - level): Decimal(level + 1) for level in range(1, 20)}  # the update removed the best
    assert asks == {Decimal(84010 + level): Decimal(level + 1) for level in range(20)}
    assert (book.bids_known_to, book.asks_known_to, book.unknown_from_ns) == (None, None, None)


@pytest.mark.parametrize(
    ("second", "why", "from_ns", "to_ns"),
    [
        (0.1, "not recorded", None, at(0.305)),  # None: nothing is recorded before, or behind
        (90, "updates missing", at(89.305) + 1, at(92.305)),  # at the last update the book was known still
        (93, "no snapshot", at(92.305), at(95.305)),
        (200, "not recorded", at(179.305) + 1, None),
        (86_400, "not recorded", at(179.305) + 1, None),
        (4 * 86_400, "not recorded", None, None),
    ],
)
def test_a_book_that_is_not_known_says_between_which_instants(
    recording: Recording, second: float, why: str, from_ns: int | None, to_ns: int | None
) -> None:
    book = recording.book_at("BTCUSDT", at(second))
    assert (book.is_known, book.why, len(book.bids), len(book.asks), book.update_id) == (False, why, 0, 0, None)
    assert (book.unknown_from_ns, book.unknown_to_ns) == (from_ns, to_ns)


@pytest.mark.parametrize("form", ["data", "lake"])
def test_a_listed_gap_and_the_end_of_the_recording_are_known_without_reading_all_ids(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    DayWriter().write(tmp_path / "data")
    seal_all(tmp_path / "data", tmp_path / "lake")
    recording = Recording(tmp_path / form)
    facts = operator.attrgetter("why", "unknown_from_ns", "unknown_to_ns")
    asked = [at(second) for second in (90, 92, 93, 95, 200)]
    with monkeypatch.context() as patched:
        patched.setattr(BookReader, "_by_listed_gap", lambda *_: None)
        expected = [facts(recording.book_at("BTCUSDT", ns)) for ns in asked]
    monkeypatch.setattr(BookReader, "_by_all_ids", lambda *_: pytest.fail("all ids were read"))
    assert [facts(recording.book_at("BTCUSDT", ns)) for ns in asked] == expected


def write_long_day(data: Path) -> Path:
    """Write ten minutes of ten updates a second, a megabyte of depth, and a snapshot at their beginning."""
    levels = ",".join(f"[{84010 + level},1]" for level in range(20))
    depth = write(data, [], stem="depth")
    with depth.open("a", encoding="utf-8") as file:
        for number in range(6000):
            ms = START_MS + 100 * number
            cells = f'"[[{84000 - number % 50},{number}]]","[{levels}]"'
            ids = f"{7000 + number},{7000 + number},{6999 + number}"
            file.write(f"{ids},{ms},{ms},{cells},{ms}000000,7,{number + 1},ws,\n")
    write(data, [f'7000,{START_MS},{START_MS},"[[84000,1]]","[{levels}]",1,{at(0)},7,1,rest,'], stem="snapshot")
    return depth


@pytest.mark.parametrize("is_compressed", [False, True])
def test_an_update_that_came_late_is_found_at_the_end_of_its_file(tmp_path: Path, *, is_compressed: bool) -> None:
    """A row that stands two thousand rows behind its place: no near rows prove the book, all rows do."""
    path = write_long_day(tmp_path)
    recording = Recording(tmp_path)
    books = [recording.book_at("BTCUSDT", at(second)) for second in (9.9, 10.2, 500)]
    assert [(book.is_known, book.update_id) for book in books] == [(True, 7099), (True, 7102), (True, 12000)]
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines[:101], *lines[102:], lines[101]]))
    if is_compressed:
        compress(path, lines=500)
    for book in books:
        found = recording.book_at("BTCUSDT", book.ns)
        assert (found.update_id, found.recv_ns, sides_of(found)) == (book.update_id, book.recv_ns, sides_of(book))


def test_times_are_listed(recording: Recording) -> None:
    times = recording.book_times("BTCUSDT", "2026-11-22", "2026-11-22T00:04")
    assert times["why"].to_list() == ["not recorded", "", "updates missing", "no snapshot", "", "not recorded"]
    assert times["from_ns"].to_list()[1:] == times["to_ns"].to_list()[:-1]


def test_a_symbol_without_depth_updates_is_an_error(recording: Recording) -> None:
    with pytest.raises(LookupError, match="ETHUSDT"):
        recording.book_at("ETHUSDT", at(1))


def test_a_book_whose_price_left_the_snapshot_is_not_known(tmp_path: Path) -> None:
    """A snapshot of 1000 levels a side: what lies behind them is unknown until it changes."""
    days = DayWriter()
    bids = json.dumps([[price, 1] for price in range(84_000, 83_000, -1)]).replace(" ", "")
    days.lines["snapshot"] = []
    days.add("snapshot", f'7000,{START_MS},{START_MS},"{bids}","[[84010,1]]",{at(0)}', START_MS, "rest")
    none = ",".join(f"[{price},0]" for price in range(84_000, 83_000, -1))
    days.lines["depth"] = []
    for number, levels in ((1, "[[82900,5]]"), (2, f"[{none}]"), (3, "[[83500,7]]")):
        cells = f'{7000 + number},{7000 + number},{6999 + number},{START_MS},{START_MS},"{levels}","[]"'
        days.add("depth", cells, START_MS + 1000 * number)
    days.write(tmp_path)
    recording = Recording(tmp_path)
    first = recording.book_at("BTCUSDT", at(1.5))
    assert (len(first.bids), first.bids_known_to, first.asks_known_to) == (1001, Decimal(83_001), None)
    assert recording.book_at("BTCUSDT", at(2.5)).why == "beyond the levels of the snapshot"
    last = recording.book_at("BTCUSDT", at(3.005))
    assert (last.is_known, last.bids["price"].to_list()) == (True, [Decimal(83_500), Decimal(82_900)])


# --- the simulator's market


class Watched:
    """A simulated market, recorded with some updates lost, and its book behind each update.

    The first run of a market says when its updates were received, the second one keeps the books that are wanted.
    """

    def __init__(self, seconds: int = 60, keep: frozenset[int] | None = None) -> None:
        self._keep = keep
        self._market = VirtualMarket(seed=7)
        self._first = json.loads(self._market.feed.snapshot(1000, self._market.now_ms))
        self._sides: Sides = tuple(  # type: ignore[assignment]
            {Decimal(price): Decimal(quantity) for price, quantity in self._first[side]} for side in ("bids", "asks")
        )
        self.messages: list[tuple[int, str, bytes]] = []
        self.received: list[int] = []
        """Receipt of all updates, also of the lost ones; the lists below have their places."""
        self.books: dict[int, Sides] = {}
        self.lost: list[bool] = []
        self.snapshots: list[tuple[int, str]] = []
        self.gaps: list[str] = []
        self._ids: list[int] = []
        self._market.on_message = self._take
        for _ in range(seconds // 10):
            self._market.run(10)
            self._market.messages = {suffix: [] for suffix in self._market.messages}
            self._market.texts.clear()

    def _take(self, suffix: str, event: dict[str, Any]) -> None:
        if suffix != "depth@0ms" or event["u"] <= self._first["lastUpdateId"]:
            return
        now_ns = self._market.now_ms * 10**6 + len(self.received)
        for side, changes in zip(self._sides, (event["b"], event["a"]), strict=True):
            for price, quantity in changes:
                side[Decimal(price)] = Decimal(quantity)
                if not Decimal(quantity):
                    del side[Decimal(price)]
        place = len(self.received)
        if place and self.lost[-1] and place % 97 not in (50, 51):  # the hole is over
            first = place - self.lost[::-1].index(False)
            ids = f"{self._ids[first - 1]},{event['pu']}"
            times = f"{self.received[first - 1]},{now_ns}"
            tail = f"disconnected,,{ids},,{now_ns},7,{place},local,"
            self.gaps.append(f"g-{place},unrepairable,btcusdt@depth@0ms,{ids},{times},{tail}")
        self._ids.append(event["u"])
        self.received.append(now_ns)
        if self._keep is None or place in self._keep:
            self.books[place] = dict(self._sides[0]), dict(self._sides[1])
        self.lost.append(place % 97 in (50, 51))
        if not self.lost[-1]:
            self.messages.append((now_ns, "btcusdt@depth@0ms", json.dumps(event).encode()))
        if place % 60 == 10 and not self.lost[-1]:
            levels = (
                "[" + ",".join(f"[{price},{side[price]}]" for price in sorted(side, reverse=is_bid)[:1000]) + "]"
                for side, is_bid in zip(self._sides, (True, False), strict=True)
            )
            bids, asks = levels
            times = f"{self._market.now_ms},{self._market.now_ms}"
            tail = f"{now_ns},{now_ns + 1},7,{place},rest,"
            self.snapshots.append((place, f'{event["u"]},{times},"{bids}","{asks}",{tail}'))

    def record(self, data: Path) -> None:
        """Write the daily files."""
        record_messages(self.messages, data)
        day = next(data.glob("BTCUSDT/depth_*")).name.rpartition("_")[2]
        for stem, rows in (("snapshot", [row for _, row in self.snapshots]), ("gap", self.gaps)):
            lines = [",".join(columns(stem)), *rows]
            (data / "BTCUSDT" / f"{stem}_BTCUSDT_{day}").write_text("".join(f"{line}\n" for line in lines))

    def is_known(self, ns: int) -> bool:
        """Return True if a snapshot leads to the book of an instant without a lost update, up to the next update."""
        place = bisect_right(self.received, ns) - 1
        bases = [at for at, _ in self.snapshots if at <= place]
        return bool(bases) and place + 1 < len(self.lost) and not any(self.lost[bases[-1] + 1 : place + 2])


def recorded_in(form: str, watched: Watched, folder: Path) -> Recording:
    """The recording of a market as plain or compressed daily files, or sealed."""
    watched.record(folder / "data")
    if form == "lake":
        seal_all(folder / "data", folder / "lake")
    if form == "zst":
        for path in list((folder / "data" / "BTCUSDT").iterdir()):
            compress(path, lines=200)
    return Recording(folder / ("lake" if form == "lake" else "data"))


def check(recording: Recording, watched: Watched, instants: list[int]) -> int:
    """Compare the books of these instants with the true ones; return how many of them are known."""
    known = 0
    for ns in instants:
        book = recording.book_at("BTCUSDT", ns)
        assert book.is_known is watched.is_known(ns), ns
        if book.is_known:
            known += 1
            assert sides_of(book) == watched.books[bisect_right(watched.received, ns) - 1]
        else:
            assert book.unknown_from_ns is not None
            assert book.unknown_to_ns is not None
            assert book.unknown_from_ns <= ns < book.unknown_to_ns
            assert not watched.is_known(book.unknown_from_ns)
            assert not watched.is_known(book.unknown_to_ns - 1)
    return known


def instants_of(watched: Watched, count: int) -> list[int]:
    rng = random.Random(1)
    return [rng.randrange(watched.received[0], watched.received[-1]) for _ in range(count)]


@pytest.mark.parametrize("form", ["plain", "zst", "lake"])
def test_at_random_instants_a_book_is_the_true_one_or_said_not_to_be_known(form: str, tmp_path: Path) -> None:
    watched = Watched()
    assert 10 < check(recorded_in(form, watched, tmp_path), watched, instants_of(watched, 40)) < 40


@pytest.mark.slow
@pytest.mark.parametrize("form", ["plain", "zst", "lake"])
def test_a_thousand_random_instants_of_half_an_hour(form: str, tmp_path: Path) -> None:
    """With holes that gap rows list, as the recorder does: their books are not known."""
    first = Watched(1800, frozenset())
    instants = instants_of(first, 1000)
    watched = Watched(1800, frozenset(bisect_right(first.received, ns) - 1 for ns in instants))
    recording = recorded_in(form, watched, tmp_path)
    assert 200 < check(recording, watched, instants) < 900


def test_books_at_regular_instants_are_those_of_each_instant(tmp_path: Path) -> None:
    watched = Watched()
    watched.record(tmp_path)
    recording = Recording(tmp_path)
    start = watched.received[0] - 500_000_000
    books = recording.books("BTCUSDT", start, start + 20 * 10**9, every="250ms", depth=7)
    assert books["ns"].to_list() == [start + 250_000_000 * number for number in range(80)]
    assert 10 < (books["why"] == "").sum() < 80
    for row in books.gather_every(5).iter_rows(named=True):
        book = recording.book_at("BTCUSDT", row["ns"])
        assert (row["why"], row["update_id"]) == (book.why, book.update_id)
        assert row["bids"] == book.bids.head(7).to_dicts()
        assert row["asks"] == book.asks.head(7).to_dicts()
    assert books.schema["bids"] == pl.List(pl.Struct({"price": pl.Decimal(38, 8), "quantity": pl.Decimal(38, 8)}))
