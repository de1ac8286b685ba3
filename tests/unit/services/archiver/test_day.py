"""A symbol's day is sealed: its streams, its certificate, and what it says of a stream that cannot be."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from binance_streamer.days import certificate as certificates
from binance_streamer.days.certificate import Certificate
from binance_streamer.days.lake import Lake, Published
from binance_streamer.days.parquet import Place
from services.archiver.day import DaySealer, Progress, digest_of_day
from services.archiver.due import RecordedDay, days_of
from tests.support.sealing import DAY, LATER, QUIET, begun, certificate_file, trade, write

NOW = datetime(2026, 11, 23, 2, tzinfo=UTC)


def sealed(data: Path, lake: Lake, *, progress: Progress = QUIET) -> Certificate:
    (due,) = days_of(data, lake, LATER).due
    return DaySealer(data, lake).seal(due, progress, now=NOW)


def test_a_certificate_lists_the_files_it_was_made_of(tmp_path: Path) -> None:
    data, lake = tmp_path / "data", begun(tmp_path / "lake")
    path = write(data, map(trade, (1, 2, 3)))
    certificate = sealed(data, lake)
    stream = certificate.streams["trade"]
    assert (stream.condition, stream.facts.rows, stream.why) == ("available", 3, "")
    (source,), (file,) = stream.sources, stream.sealed
    assert (source.path, source.size_bytes) == (f"BTCUSDT/trade_BTCUSDT_{DAY}.csv", path.stat().st_size)
    assert (Path(lake.uri) / file.path).stat().st_size == file.size_bytes
    assert len({source.sha256, file.sha256, ""}) == 3
    read = certificates.decoded(lake.certificate("BTCUSDT", DAY))
    assert read == certificate


def test_what_cannot_be_sealed_is_pending_with_line_and_column(tmp_path: Path) -> None:
    data, lake = tmp_path / "data", begun(tmp_path / "lake")
    write(data, [trade(1), trade(2, price="1.123456789")])
    (data / "BTCUSDT" / f"bookticker_BTCUSDT_{DAY}.csv.1795400000").write_text("old\n", encoding="utf-8")
    certificate = sealed(data, lake)
    assert (certificate.condition, certificate.streams["trade"].condition) == ("pending", "pending")
    assert certificate.streams["trade"].why.startswith(f"BTCUSDT/trade_BTCUSDT_{DAY}.csv line 3 column price: ")
    assert "other columns" in certificate.streams["bookticker"].why
    assert lake.read("trade", "BTCUSDT", DAY) is None
    assert days_of(data, lake, LATER).due == []


def test_a_pending_day_is_sealed_once_the_file_that_was_set_aside_is_moved_away(tmp_path: Path) -> None:
    data, lake = tmp_path / "data", begun(tmp_path / "lake")
    path = write(data, [trade(1)])
    aside = path.with_name(f"{path.name}.1790526539")
    aside.write_text("other,columns\n", encoding="utf-8")
    assert sealed(data, lake).streams["trade"].condition == "pending"
    assert days_of(data, lake, LATER).due == []
    aside.rename(tmp_path / "elsewhere")
    again = sealed(data, lake)
    assert (again.streams["trade"].condition, again.streams["trade"].facts.rows) == ("available", 1)
    assert days_of(data, lake, LATER).due == []


def test_a_late_row_seals_its_stream_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, lake = tmp_path / "data", begun(tmp_path / "lake")
    write(data, [trade(1)])
    write(data, [], stem="bookticker")
    first = sealed(data, lake)
    write(data, [trade(2)])
    published: list[str] = []
    real = Lake.publish

    def publish(self: Lake, place: Place, *arguments: Any, **more: Any) -> Published:
        published.append(place.stem)
        return real(self, place, *arguments, **more)

    monkeypatch.setattr(Lake, "publish", publish)
    second = sealed(data, lake)
    assert published == ["trade"]
    assert second.streams["bookticker"] == first.streams["bookticker"]
    assert second.streams["trade"].facts.rows == 2
    assert digest_of_day(first) != digest_of_day(second)


def test_a_file_begun_anew_is_added_to_what_was_sealed(tmp_path: Path) -> None:
    data, lake = tmp_path / "data", begun(tmp_path / "lake")
    write(data, map(trade, (1, 2, 4)))
    sealed(data, lake)
    (data / "BTCUSDT" / f"trade_BTCUSDT_{DAY}.csv").unlink()
    write(data, [trade(3)])
    certificate = sealed(data, lake)
    stream = certificate.streams["trade"]
    assert (stream.facts.rows, [one.removed for one in stream.sources]) == (4, [True, False])
    undisturbed = begun(tmp_path / "other")
    write(tmp_path / "all", map(trade, (1, 2, 3, 4)))
    assert sealed(tmp_path / "all", undisturbed).streams["trade"].digest == stream.digest


def test_a_lost_certificate_costs_no_row_whose_file_was_removed(tmp_path: Path) -> None:
    data, lake = tmp_path / "data", begun(tmp_path / "lake")
    path = write(data, map(trade, (1, 2)))
    sealed(data, lake)
    path.unlink()
    write(data, [trade(3)])
    certificate_file(Path(lake.uri)).unlink()
    assert sealed(data, lake).streams["trade"].facts.rows == 3


def test_both_formats_of_a_day_are_one(tmp_path: Path) -> None:
    data, lake = tmp_path / "data", begun(tmp_path / "lake")
    path = write(data, [trade(1)])
    other = write(tmp_path / "other", [trade(2)])
    path.with_name(f"{path.name}.zst").write_bytes(pa.compress(other.read_bytes(), "zstd", asbytes=True))
    stream = sealed(data, lake).streams["trade"]
    assert (stream.facts.rows, len(stream.sources)) == (2, 2)


def test_a_day_that_is_given_up_has_no_certificate_and_is_sealed_the_same_later(tmp_path: Path) -> None:
    class KilledError(Exception):
        """Stands for a kill within the day."""

    def kill(_: int) -> None:
        raise KilledError

    data, lake = tmp_path / "data", begun(tmp_path / "lake")
    write(data, [trade(1)])
    write(data, [], stem="bookticker")
    with pytest.raises(KilledError):
        sealed(data, lake, progress=Progress(lambda _: None, lambda: None, kill))
    assert not certificate_file(Path(lake.uri)).exists()
    again, undisturbed = begun(tmp_path / "lake"), begun(tmp_path / "other")
    assert sealed(data, again) == sealed(data, undisturbed)
    path = certificate_file(Path(lake.uri))
    assert path.read_bytes() == undisturbed.certificate("BTCUSDT", DAY)


def test_files_of_no_symbol_are_a_day_of_their_own(tmp_path: Path) -> None:
    data, lake = tmp_path / "data", begun(tmp_path / "lake")
    data.mkdir()
    line = '{"recv_ns":5,"epoch":7,"seq":1,"source":"rest","event":{"a":1}}\n'
    (data / f"exchange_info_{DAY}.jsonl").write_text(line, encoding="utf-8")
    (due,) = days_of(data, lake, LATER).due
    assert isinstance(due, RecordedDay)
    certificate = DaySealer(data, lake).seal(due, QUIET, now=NOW)
    assert (due.symbol, certificate.streams["exchange_info"].facts.rows) == ("_exchange", 1)


def test_progress_names_streams_and_counts_their_bytes(tmp_path: Path) -> None:
    data, lake = tmp_path / "data", begun(tmp_path / "lake")
    size = write(data, [trade(1)]).stat().st_size
    begun_stems: list[str] = []
    done: list[int] = []
    sealed(data, lake, progress=Progress(begun_stems.append, lambda: None, done.append))
    assert (begun_stems, done) == (["trade"], [size])
    assert os.listdir(lake.workplace() / "runs") == []  # noqa: PTH208
