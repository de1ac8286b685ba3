"""The rows of a day are found in sealed files, in daily ones, or in both."""

import os
from pathlib import Path

import pytest

from binance_streamer.days import certificate
from binance_streamer.days.certificate import CertifiedFile, certified_stream
from binance_streamer.days.checks.facts import StreamFacts
from binance_streamer.days.reading.instants import DAY_NS
from binance_streamer.days.reading.location import Location
from binance_streamer.days.reading.parts import DayParts, RowFiles
from binance_streamer.days.rows import Span
from tests.support.sealing import DAY, DAY_MS, begun, sealed, trade, write

START_NS = DAY_MS * 10**6


def certify(root: Path, path: Path, size: int) -> None:
    """A certificate that says that so many bytes of a file of trades are sealed."""
    source = CertifiedFile(path=str(path.relative_to(root / "data")), size_bytes=size)
    stream = certified_stream(
        "trade", StreamFacts(), [], sealed=[CertifiedFile(path="x", size_bytes=1)], sources=[source]
    )
    made = certificate.certify(
        "BTCUSDT",
        "2026-11-22",
        {"trade": stream},
        audits=certificate.AuditCounts(),
        clock=None,
        sealed_at="",
        versions={},
    )
    begun(root / "lake").put_certificate("BTCUSDT", DAY, certificate.encoded(made))


def parts(root: Path) -> RowFiles:
    return RowFiles(Location(root / "data", str(root / "lake")))


def test_a_day_that_is_not_sealed_is_its_daily_files(tmp_path: Path) -> None:
    path = write(tmp_path / "data", [trade(1)])
    assert parts(tmp_path).of("trade", "BTCUSDT") == [DayParts(DAY, "", (path,))]
    assert parts(tmp_path).of("trade", "ETHUSDT") == []
    assert parts(tmp_path).names() == {("BTCUSDT", "trade", DAY)}
    assert parts(tmp_path).stems("BTCUSDT") == {"trade"}


def test_a_sealed_day_is_its_sealed_file_while_the_certificate_has_the_daily_files(tmp_path: Path) -> None:
    path = write(tmp_path / "data", [trade(1)])
    lake = begun(tmp_path / "lake")
    file = lake.local(sealed(lake, path).path)
    assert parts(tmp_path).of("trade", "BTCUSDT") == [DayParts(DAY, str(file), (path,))]  # nothing says so yet
    certify(tmp_path, path, path.stat().st_size)
    assert parts(tmp_path).of("trade", "BTCUSDT") == [DayParts(DAY, str(file), ())]
    write(tmp_path / "data", [trade(2)])
    assert parts(tmp_path).of("trade", "BTCUSDT") == [DayParts(DAY, str(file), (path,))]
    path.unlink()
    assert parts(tmp_path).of("trade", "BTCUSDT") == [DayParts(DAY, str(file), ())]
    assert parts(tmp_path).names() == {("BTCUSDT", "trade", DAY)}
    assert parts(tmp_path).stems("BTCUSDT") == {"trade"}


def test_a_sealed_day_of_a_symbol_outside_ascii_is_its_file(tmp_path: Path) -> None:
    path = write(tmp_path / "data", [trade(1)], symbol="牛来USDT")
    lake = begun(tmp_path / "lake")
    file = lake.local(sealed(lake, path, symbol="牛来USDT").path)
    path.unlink()
    assert parts(tmp_path).of("trade", "牛来USDT") == [DayParts(DAY, str(file), ())]
    assert file.is_file()


@pytest.mark.parametrize(
    ("from_ns", "to_ns", "is_there"),
    [
        (START_NS, START_NS + DAY_NS, True),
        (START_NS + 5_000_000, START_NS + 5_000_001, True),
        (START_NS - DAY_NS, START_NS, False),
        (START_NS + 10 * DAY_NS, START_NS + 11 * DAY_NS, False),
    ],
)
def test_sealed_days_are_found_by_the_receipt_of_their_rows(
    tmp_path: Path, from_ns: int, to_ns: int, *, is_there: bool
) -> None:
    path = write(tmp_path / "data", [trade(1), trade(9)])
    sealed(begun(tmp_path / "lake"), path)
    path.unlink()
    assert bool(parts(tmp_path).of("trade", "BTCUSDT", Span(from_ns, to_ns))) is is_there


def test_an_old_daily_file_counts_if_it_was_changed_since(tmp_path: Path) -> None:
    path = write(tmp_path / "data", [trade(1)])
    later = Span(START_NS + 4 * DAY_NS, START_NS + 5 * DAY_NS)
    for changed_ns, is_there in ((START_NS + DAY_NS, False), (START_NS + 4 * DAY_NS + 1, True)):
        os.utime(path, ns=(changed_ns, changed_ns))
        assert bool(parts(tmp_path).of("trade", "BTCUSDT", later)) is is_there
        assert parts(tmp_path).of("trade", "BTCUSDT", Span(START_NS, START_NS + DAY_NS))
