"""A day against an archive of own making, in a folder and over HTTP: rows that one side lacks, values that differ."""

import hashlib
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from binance_streamer.cli.errors import Exit
from binance_streamer.cli.recordings.verifying import verify_places
from binance_streamer.days.checks.archive import ArchiveCounts, archive_of, compare_archive
from binance_streamer.days.checks.archive_files import ArchiveError, archive_file
from binance_streamer.days.checks.finding import Finding
from binance_streamer.days.checks.gaps import newest_gaps
from binance_streamer.days.day_files import days_in
from binance_streamer.health.gaps import stem_of_gap
from tests.support.recorded_days import DAY, HOLE, SYMBOL, DayWriter

AGGREGATES = "data/futures/um/daily/aggTrades/BTCUSDT/BTCUSDT-aggTrades-2026-11-22.zip"
BARS = "data/futures/um/daily/klines/BTCUSDT/1m/BTCUSDT-1m-2026-11-22.zip"
HEADER = "agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker"


def their_trades(day: DayWriter) -> list[str]:
    """The rows of the archive: those of the recording with zeros dropped, and those that it misses and lists."""
    rows = [",".join(line.split(",")[:7]).replace(".0,", ",") for line in day.lines["aggtrade"]]
    missing = [f"{number},84000.1,0.001,{number * 2},{number * 2 + 1},1795305650500,true" for number in HOLE]
    return rows + missing


def their_bars(day: DayWriter) -> list[str]:
    return [",".join(line.split(",")[:12]) for line in day.lines["kline_1m"] if ",true," in line]


def put(root: Path, name: str, rows: list[str], header: str = "") -> None:
    """Write a zip file as the exchange does, with its checksum."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(path.stem + ".csv", "".join(f"{row}\n" for row in [*([header] if header else []), *rows]))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    path.with_name(path.name + ".CHECKSUM").write_text(f"{digest}  {path.name}\n")


@pytest.fixture
def day(tmp_path: Path) -> DayWriter:
    written = DayWriter()
    written.write(tmp_path / "data")
    return written


def compared(place: Path, root: str, stem: str = "aggtrade") -> tuple[list[Finding], ArchiveCounts]:
    (files,) = days_in([place / "data"])
    stream = files.streams[stem]
    spill = place / f"spill-{stem}"
    spill.mkdir()
    for _ in stream.read(spill, []):
        pass
    file = archive_of(stem, SYMBOL, DAY, root=root, folder=spill)
    assert file is not None
    gaps = [gap for gap in newest_gaps(SYMBOL, files.streams["gap"].unordered()) if stem_of_gap(gap) == stem]
    return compare_archive(stream, gaps, *file, spill=spill)


@pytest.mark.parametrize("header", [HEADER, ""])
def test_a_day_that_agrees(tmp_path: Path, day: DayWriter, header: str) -> None:
    """In any order of rows, with a header or without; what a gap row lists is known to be missing."""
    rows = their_trades(day)
    put(tmp_path / "archive", AGGREGATES, [*rows[200:], *rows[:200]], header)
    assert compared(tmp_path, str(tmp_path / "archive")) == ([], ArchiveCounts(same=357, listed=3))


def test_klines_are_compared_once_closed(tmp_path: Path, day: DayWriter) -> None:
    put(tmp_path / "archive", BARS, their_bars(day))
    assert compared(tmp_path, str(tmp_path / "archive"), "kline_1m") == ([], ArchiveCounts(same=3))


def test_each_difference_is_found_with_its_id(tmp_path: Path, day: DayWriter) -> None:
    rows = their_trades(day)
    rows[10] = rows[10].replace(",8400", ",8500", 1)  # id 1010
    del rows[20]  # id 1020
    rows.append("1360,84000.1,0.001,50720,50721,1795305779999,true")
    put(tmp_path / "archive", AGGREGATES, rows, HEADER)
    found, counts = compared(tmp_path, str(tmp_path / "archive"))
    assert [one.id for one in found] == [1010, 1020, 1360]
    assert "price is 84000.1" in found[0].text
    assert found[1].text == "BTCUSDT-aggTrades-2026-11-22.zip does not have id 1020"
    assert found[2].text == "BTCUSDT-aggTrades-2026-11-22.zip has id 1360, and we do not; no gap row lists it"
    assert counts == ArchiveCounts(same=355, different=1, missing_here=1, listed=3, missing_there=1)


def test_a_file_that_is_not_that_of_its_checksum_is_not_believed(tmp_path: Path, day: DayWriter) -> None:
    put(tmp_path / "archive", AGGREGATES, their_trades(day))
    path = tmp_path / "archive" / AGGREGATES
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(ArchiveError, match="SHA-256"):
        compared(tmp_path, str(tmp_path / "archive"))


def test_other_columns_are_named(tmp_path: Path, day: DayWriter) -> None:
    put(tmp_path / "archive", AGGREGATES, their_trades(day), HEADER.replace("price", "cost"))
    with pytest.raises(ArchiveError, match="price are missing"):
        compared(tmp_path, str(tmp_path / "archive"))


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder, and says nothing."""

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """The address of a server of the archive."""
    (tmp_path / "archive").mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path / "archive"))) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{http.server_address[1]}"
        finally:
            http.shutdown()
            thread.join()


def test_the_command_compares_over_http(
    tmp_path: Path, day: DayWriter, server: str, capsys: pytest.CaptureFixture[str]
) -> None:
    put(tmp_path / "archive", AGGREGATES, their_trades(day), HEADER)
    put(tmp_path / "archive", BARS, their_bars(day))
    data = tmp_path / "data"
    assert verify_places([str(data)], [str(data)], archive=server, as_json=False) == Exit.NOT_CHECKED
    shown = capsys.readouterr().out
    assert f"not checked: {server} has no file of BTCUSDT bookticker 20261122 (yet)" in shown
    (data / SYMBOL / f"bookticker_{SYMBOL}_{DAY}.csv").unlink()
    assert verify_places([str(data)], [str(data)], archive=server, as_json=False) == Exit.OK


@pytest.mark.parametrize(
    ("stem", "path"),
    [
        ("aggtrade", AGGREGATES),
        ("kline_1m", BARS),
        ("kline_1M", "data/futures/um/daily/klines/BTCUSDT/1mo/BTCUSDT-1mo-2026-11-22.zip"),
        ("trade", "data/futures/um/daily/trades/BTCUSDT/BTCUSDT-trades-2026-11-22.zip"),
        ("depth", None),
        ("markprice", None),
    ],
)
def test_names_of_the_archive(stem: str, path: str | None) -> None:
    file = archive_file(stem, SYMBOL, DAY)
    assert (file.path if file else None) == path
