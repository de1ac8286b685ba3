"""A corrupted day: each kind of damage is found by the check that is there for it, with file and id."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from binance_streamer.compression import zstd
from binance_streamer.days.certificate import (
    AuditCounts,
    Certificate,
    CertifiedFile,
    certified_stream,
    certify,
    encoded,
)
from binance_streamer.days.checks.certified import sha256_of
from binance_streamer.days.checks.facts import StreamPass
from binance_streamer.days.checks.finding import CHECKS, DayReport
from binance_streamer.days.checks.gaps import newest_gaps
from binance_streamer.days.checks.verify import verify_day
from binance_streamer.days.day_files import DayFiles, days_in
from binance_streamer.days.lake import Lake
from binance_streamer.days.parquet import Place
from binance_streamer.days.seal import Part, seal
from binance_streamer.health.gaps import stem_of_gap
from tests.support.recorded_days import DAY, EPOCH, SYMBOL, DayWriter

Change = Callable[[DayWriter], None]


def cell_changed(stem: str, place: int, old: str, new: str) -> Change:
    """Replace the first occurrence of a text in one line."""

    def change(day: DayWriter) -> None:
        line = day.lines[stem][place]
        assert old in line, line
        day.lines[stem][place] = line.replace(old, new, 1)

    return change


def removed(stem: str, place: int) -> Change:
    return lambda day: day.lines[stem].__delitem__(place)


def doubled(stem: str, place: int) -> Change:
    return lambda day: day.lines[stem].insert(place, day.lines[stem][place])


def moved(stem: str, place: int) -> Change:
    """Exchange a line with the one behind it."""

    def change(day: DayWriter) -> None:
        lines = day.lines[stem]
        lines[place], lines[place + 1] = lines[place + 1], lines[place]

    return change


def invented(stream: str, ids: str, times: str) -> Change:
    """Add a gap row with the next number, so that nothing but its bounds is wrong."""

    def change(day: DayWriter) -> None:
        day.add("gap", f"g-9,unrepairable,{stream},{ids},{times},disconnected,,{ids},", 1_795_305_700_000, "local")

    return change


CORRUPTIONS: dict[str, tuple[Change, str, str, int | None]] = {
    "a trade is removed": (removed("aggtrade", 50), "gaps", "aggtrade", 1050),
    "a trade is removed, by its number": (removed("aggtrade", 50), "numbers", "aggtrade", 1051),
    "a trade is doubled": (doubled("aggtrade", 50), "unique", "aggtrade", 1050),
    "a trade is moved": (moved("aggtrade", 50), "order", "aggtrade", 1050),
    "a trade's id is changed": (cell_changed("aggtrade", 50, "1050,", "1950,"), "gaps", "aggtrade", 1050),
    "a trade's price is changed": (cell_changed("aggtrade", 147, ",840", ",841"), "klines", "kline_1m", 1795305660000),
    "a trade's quantity is changed": (
        cell_changed("aggtrade", 150, "0.001", "0.002"),
        "klines",
        "kline_1m",
        1795305660000,
    ),
    "an update is removed": (removed("depth", 30), "gaps", "depth", 7930),
    "an update is doubled": (doubled("depth", 30), "unique", "depth", 7930),
    "an update is moved": (moved("depth", 30), "order", "depth", 7930),
    "a level at the top is changed": (cell_changed("depth", 30, "[[83998,2]]", "[[83998,3]]"), "book", "depth", 8080),
    "a level crosses the book": (cell_changed("depth", 30, "[[83998,2]]", "[[84998,2]]"), "book", "depth", 7930),
    "the top is changed": (cell_changed("depth", 30, "[[84010,1]]", "[[84010,2]]"), "tops", "depth", 7930),
    "a snapshot is changed": (cell_changed("snapshot", 2, "[83990,11]", "[83990,12]"), "book", "depth", 12130),
    "a summary is changed": (cell_changed("orderbook", 3, "[83998,", "[83997,"), "book", "depth", 8080),
    "a quote is removed": (removed("bookticker", 100), "numbers", "bookticker", 10210),
    "a quote is doubled": (doubled("bookticker", 100), "unique", "bookticker", 10180),
    "a quote is changed": (cell_changed("bookticker", 100, ",84010,", ",84011,"), "tops", "depth", 10180),
    "a bar is removed": (removed("kline_1m", 3), "gaps", "kline_1m", 1795305660000),
    "a bar is doubled": (doubled("kline_1m", 3), "unique", "kline_1m", 1795305660000),
    "a bar is changed": (cell_changed("kline_1m", 3, "84002.2,", "84002.3,"), "klines", "kline_1m", 1795305660000),
    "a mark price is removed": (removed("markprice", 77), "numbers", "markprice", None),
    "a gap row of trades is removed": (removed("gap", 0), "gaps", "aggtrade", 1103),
    "a gap row of depth is removed": (removed("gap", 1), "gaps", "depth", 9760),
    "a gap row in the middle is removed": (removed("gap", 1), "numbers", "gap", None),
    "a gap of ids is invented": (
        invented("btcusdt@aggTrade", "1010,1012", "1795305605005000000,1795305606505000000"),
        "gaps",
        "aggtrade",
        1011,
    ),
    "a gap of times is invented": (
        invented("btcusdt@markPrice@1s", ",", "1795305605005000000,1795305609005000000"),
        "gaps",
        "markprice",
        None,
    ),
    "a gap of times touches nothing": (
        invented("btcusdt@markPrice@1s", ",", "1795305605005000001,1795305605005000009"),
        "gaps",
        "markprice",
        None,
    ),
    "a gap is wider than its hole": (cell_changed("gap", 0, "1100,1103", "1100,1105"), "gaps", "aggtrade", 1104),
    "a gap is narrower than its hole": (cell_changed("gap", 0, "1100,1103", "1100,1102"), "gaps", "aggtrade", 1103),
    "a repaired gap is not": (cell_changed("gap", 0, "unrepairable", "repaired"), "gaps", "aggtrade", 1103),
    "a number is none": (cell_changed("aggtrade", 50, "1050,", "10x0,"), "schema", "aggtrade", None),
}  # fmt: skip


def verified(data: Path, certificate: Certificate | None = None) -> DayReport:
    (files,) = days_in([data])
    report, _ = verify_day(files, certificate, state="recorded")
    return report


def found(report: DayReport) -> list[tuple[str, str, int | None]]:
    return [(finding.check, finding.stream, finding.id) for finding in report.findings]


def test_a_whole_day_verifies_clean(tmp_path: Path) -> None:
    DayWriter().write(tmp_path)
    report = verified(tmp_path)
    assert report.findings == ()
    assert report.blocked == ()
    unchecked = {result.check for result in report.results if result.state != "passed"}
    assert unchecked == {"files", "digest", "certificate", "archive"}
    assert [result.check for result in report.results] == list(CHECKS)
    assert {result.check: result.compared for result in report.results} == {
        "files": 0, "schema": 919, "order": 919, "unique": 919, "numbers": 919, "ids": 541, "gaps": 3,
        "book": 174, "tops": 169, "klines": 2, "digest": 0, "certificate": 0, "archive": 0,
    }  # fmt: skip


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_corruption_is_found_by_its_check(name: str, tmp_path: Path) -> None:
    change, check, stream, number = CORRUPTIONS[name]
    day = DayWriter()
    change(day)
    day.write(tmp_path)
    report = verified(tmp_path)
    assert (check, stream, number) in found(report)
    finding = next(one for one in report.findings if (one.check, one.stream, one.id) == (check, stream, number))
    assert Path(finding.file).is_relative_to(tmp_path)


def test_a_bad_cell_is_named_by_its_line(tmp_path: Path) -> None:
    day = DayWriter()
    cell_changed("aggtrade", 50, "1050,", "10x0,")(day)
    day.write(tmp_path)
    (finding,) = (one for one in verified(tmp_path).findings if one.check == "schema")
    assert finding.text.startswith("line 52: column agg_trade_id: ")
    assert finding.file == str(tmp_path / SYMBOL / f"aggtrade_{SYMBOL}_{DAY}.csv")


def test_a_torn_last_line_of_a_running_day_is_no_fault(tmp_path: Path) -> None:
    DayWriter().write(tmp_path)
    path = tmp_path / SYMBOL / f"markprice_{SYMBOL}_{DAY}.csv"
    path.write_bytes(path.read_bytes()[:-7])
    assert verified(tmp_path).findings == ()


def test_files_of_older_columns_block(tmp_path: Path) -> None:
    DayWriter().write(tmp_path)
    aside = tmp_path / SYMBOL / f"gap_{SYMBOL}_{DAY}.csv.1795305600"
    aside.write_text("x\n")
    assert verified(tmp_path).blocked == (f"{aside} has the columns of an older version",)


def sealed(data: Path, root: Path) -> Certificate:
    """Seal a day into a lake, and write its certificate."""
    (files,) = days_in([data])
    gaps = newest_gaps(files.symbol, files.streams["gap"].unordered())
    lake = Lake(root)
    lake.begin()
    streams = {}
    for stem, stream in files.streams.items():
        (path,) = stream.paths
        size = path.stat().st_size
        watched = StreamPass(stem, stream.file, [gap for gap in gaps if stem_of_gap(gap) == stem])
        made = seal([Part(path, size)], Place(stem, SYMBOL, DAY), lake, watchers=[watched])
        streams[stem] = certified_stream(
            stem,
            watched.facts(),
            gaps,
            digest=made.facts.digest,
            sealed=[CertifiedFile(path=made.path, size_bytes=made.size, sha256=made.sha256)],
            sources=[CertifiedFile(path=str(path.relative_to(data)), size_bytes=size, sha256=sha256_of(path))],
        )
    certificate = certify(
        SYMBOL, "2026-11-22", streams, audits=AuditCounts(), clock=None, sealed_at="2026-11-23T02:00:00Z", versions={}
    )
    lake.put_certificate(SYMBOL, DAY, encoded(certificate))
    return certificate


@pytest.fixture
def lake(tmp_path: Path) -> tuple[Path, Certificate]:
    DayWriter().write(tmp_path / "data")
    return tmp_path / "lake", sealed(tmp_path / "data", tmp_path / "lake")


def lake_file(lake: Path, stem: str) -> Path:
    (path,) = (lake / stem).rglob("*.parquet")
    return path


def test_a_sealed_day_verifies_clean(tmp_path: Path, lake: tuple[Path, Certificate]) -> None:
    for place in (lake[0], tmp_path / "data"):
        report = verified(place, lake[1])
        assert report.findings == ()
        assert {result.check for result in report.results if result.state != "passed"} == {"archive"}


def flipped(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


def test_a_flipped_byte_of_a_sealed_file_is_found(lake: tuple[Path, Certificate]) -> None:
    """Anywhere in the file: by its SHA-256; in a page of values, or in its schema, also without a certificate."""
    path = lake_file(lake[0], "bookticker")
    size = path.stat().st_size
    for place in range(100, size, size // 7):
        flipped(path, place)
        assert ("files", str(path)) in [(one.check, one.file) for one in verified(*lake).findings]
        flipped(path, place)
    flipped(path, 100)
    (finding,) = verified(lake[0]).findings
    assert (finding.check, finding.stream, finding.file) == ("files", "bookticker", str(path))
    assert "CRC" in finding.text


def test_a_sealed_file_with_another_column_is_found(lake: tuple[Path, Certificate]) -> None:
    path = lake_file(lake[0], "bookticker")
    table = pq.read_table(path, partitioning=None)
    pq.write_table(table.rename_columns([name.replace("update_id", "updated_id") for name in table.schema.names]), path)
    (finding,) = verified(lake[0]).findings
    assert (finding.check, finding.text) == ("schema", "column update_id: is not in the file, or of another type")


def test_another_price_in_a_sealed_file_is_found_without_a_certificate(lake: tuple[Path, Certificate]) -> None:
    path = lake_file(lake[0], "markprice")
    table = pq.read_table(path, partitioning=None)
    prices = [*table["mark_price"].to_pylist()[:-1], Decimal("84551.2")]
    column = pa.array(prices, table.schema.field("mark_price").type)
    metadata = {key: value for key, value in pq.read_metadata(path).metadata.items() if b"binance" in key}
    pq.write_table(table.set_column(1, "mark_price", column).replace_schema_metadata(metadata), path)
    assert ("digest", "markprice", None) in found(verified(lake[0]))


def rewritten(path: Path, column: str, place: int, value: object) -> None:
    """Write a sealed file again with one other value, as a forger would who leaves everything else right."""
    table = pq.read_table(path, partitioning=None)
    values = table[column].to_pylist()
    values[place] = value
    array = pa.array(values, table.schema.field(column).type)
    pq.write_table(table.set_column(table.schema.get_field_index(column), column, array), path, compression="zstd")


def test_a_changed_digit_that_nothing_else_says_is_found_by_the_digest(lake: tuple[Path, Certificate]) -> None:
    path = lake_file(lake[0], "aggtrade")
    rewritten(path, "normal_quantity", 33, None)
    report = verified(*lake)
    assert ("digest", "aggtrade", 1000) in found(report)
    assert ("files", "aggtrade", None) in found(report)


def test_rows_of_a_sealed_file_that_change_places_are_found(lake: tuple[Path, Certificate]) -> None:
    path = lake_file(lake[0], "depth")
    table = pq.read_table(path, partitioning=None)
    order = list(range(len(table)))
    order[20], order[21] = order[21], order[20]
    pq.write_table(table.take(order), path, compression="zstd")
    assert ("order", "depth", 7630) in found(verified(*lake))


def test_a_last_gap_row_that_is_removed_is_found_by_the_certificate(
    tmp_path: Path, lake: tuple[Path, Certificate]
) -> None:
    day = DayWriter()
    removed("gap", 2)(day)
    day.write(tmp_path / "data")
    report = verified(tmp_path / "data", lake[1])
    assert ("certificate", "gap", None) in found(report)
    assert ("digest", "gap", None) in found(report)


@pytest.mark.parametrize(
    "values", [{"condition": "available"}, {"clean_percent": 100.0}, {"restarts": 1}, {"degraded": ()}]
)
def test_a_certificate_that_says_something_else_is_found(
    lake: tuple[Path, Certificate], values: dict[str, Any]
) -> None:
    (name,) = values
    (finding,) = verified(lake[0], msgspec.structs.replace(lake[1], **values)).findings
    assert finding.check == "certificate"
    assert finding.text.startswith(f"{name} is ")


def test_a_certificate_that_hides_a_gap_is_found(lake: tuple[Path, Certificate]) -> None:
    streams = dict(lake[1].streams)
    streams["depth"] = msgspec.structs.replace(streams["depth"], gaps=())
    report = verified(lake[0], msgspec.structs.replace(lake[1], streams=streams))
    assert [(one.check, one.stream) for one in report.findings] == [("certificate", "depth")]
    assert "g-2" in report.findings[0].text


def test_a_file_that_is_gone_is_found(lake: tuple[Path, Certificate]) -> None:
    lake_file(lake[0], "markprice").unlink()
    assert ("files", "markprice", None) in found(verified(*lake))


def test_rows_behind_what_was_sealed_wait_for_the_next_seal(tmp_path: Path, lake: tuple[Path, Certificate]) -> None:
    day = DayWriter()
    day.add("markprice", "1795305780000,84551.1,,84559.2,84590.8,0.00000801,1795334400000", 1_795_305_780_000)
    day.write(tmp_path / "data")
    path = tmp_path / "data" / SYMBOL / f"markprice_{SYMBOL}_{DAY}.csv"
    report = verified(tmp_path / "data", lake[1])
    assert report.findings == ()
    assert report.blocked == (f"{path} has rows that are not sealed yet",)


def test_a_daily_file_that_was_removed_is_not_missed(tmp_path: Path, lake: tuple[Path, Certificate]) -> None:
    """The certificate says that it was removed after it had been sealed."""
    streams = dict(lake[1].streams)
    (source,) = streams["markprice"].sources
    gone = msgspec.structs.replace(source, removed=True)
    streams["markprice"] = msgspec.structs.replace(streams["markprice"], sources=(gone,))
    (tmp_path / "data" / source.path).unlink()
    assert verified(tmp_path / "data", msgspec.structs.replace(lake[1], streams=streams)).findings == ()


def compressed(data: Path, stem: str) -> Path:
    """Replace a daily file by one of zstd frames with checksums, as the writer makes them."""
    path = data / SYMBOL / f"{stem}_{SYMBOL}_{DAY}.csv"
    text = path.read_bytes()
    lines = text.splitlines(keepends=True)
    frames = [b"".join(lines[place : place + 50]) for place in range(0, len(lines), 50)]
    options: dict[int, int] = {zstd.CompressionParameter.checksum_flag: 1}
    target = path.with_name(path.name + ".zst")
    target.write_bytes(b"".join(zstd.compress(frame, options=options) for frame in frames))
    path.unlink()
    return target


def test_a_compressed_day_verifies_clean(tmp_path: Path) -> None:
    DayWriter().write(tmp_path)
    for stem in ("aggtrade", "depth", "markprice", "gap"):
        compressed(tmp_path, stem)
    assert verified(tmp_path).findings == ()


def test_a_flipped_byte_of_a_compressed_file_is_found(tmp_path: Path) -> None:
    DayWriter().write(tmp_path)
    path = compressed(tmp_path, "markprice")
    for place in range(20, path.stat().st_size, path.stat().st_size // 9):
        flipped(path, place)
        named = [(one.check, one.stream, one.file) for one in verified(tmp_path).findings]
        assert ("files", "markprice", str(path)) in named, place
        flipped(path, place)
    assert verified(tmp_path).findings == ()


def test_a_hole_between_two_days_is_found(tmp_path: Path) -> None:
    DayWriter().write(tmp_path)
    (files,) = days_in([tmp_path])

    def ids_of(last: int) -> list[tuple[str, str, int | None]]:
        report, _ = verify_day(files, None, state="recorded", last_ids={"aggtrade": last})
        return found(report)

    assert ids_of(999) == []
    assert ids_of(997) == [("gaps", "aggtrade", 999)]


def test_last_ids_are_handed_on(tmp_path: Path) -> None:
    DayWriter().write(tmp_path)
    files: DayFiles = days_in([tmp_path])[0]
    _, last_ids = verify_day(files, None, state="recorded")
    assert last_ids == {"aggtrade": 1359, "depth": 12400, "kline_1m": 1795305720000}


def test_a_message_that_became_a_raw_row_is_not_missing(tmp_path: Path) -> None:
    """Its id and its number are those of the raw row; another raw row explains nothing."""
    for number in (1150, 1151):
        day = DayWriter()
        removed("aggtrade", day.place_of("aggtrade", lambda cells: cells[0] == "1150"))(day)
        data = tmp_path / str(number)
        day.write(data)
        values = f'""a"":{number},""s"":""BTCUSDT"",""p"":null,""q"":""1"",""f"":1,""l"":1,""T"":1'
        event = f'{{""e"":""aggTrade"",""E"":1,{values}}}'
        seq = 148 if number == 1150 else 149
        header = "stream_type,stream,reason,encoding,event,recv_ns,epoch,seq,source\n"
        row = f'aggtrade,btcusdt@aggTrade,p is null,utf-8,"{event}",1795305675005000000,{EPOCH},{seq},ws\n'
        (data / SYMBOL / f"raw_{SYMBOL}_{DAY}.csv").write_text(header + row)
    assert verified(tmp_path / "1150").findings == ()
    assert found(verified(tmp_path / "1151")) == [("numbers", "aggtrade", 1151), ("gaps", "aggtrade", 1150)]


def test_no_gap_is_needed_at_either_end_of_a_day(tmp_path: Path) -> None:
    """A gap that began on the day before reaches into this one; ids in front of the first row are those of that day."""
    day = DayWriter()
    times = "1795305500000000000,1795305600005000000"
    cells = f"g-0,unrepairable,btcusdt@aggTrade,900,999,{times},restart,,900,999,99"
    day.add("gap", cells, 1_795_305_600_000, "local")
    day.write(tmp_path)
    assert verified(tmp_path).findings == ()


def test_gap_rows_that_a_full_journal_did_not_keep_leave_a_hole_in_the_numbers(tmp_path: Path) -> None:
    """They are made again with other numbers, and the gap of the stream says `journal full`."""
    for reason in ("journal full", "disconnected"):
        day = DayWriter()
        number = day.lines["gap"][1]
        day.lines["gap"][1] = number.replace(f",{EPOCH},2,", f",{EPOCH},7,").replace("disconnected", reason)
        day.lines["gap"][2] = day.lines["gap"][2].replace(f",{EPOCH},3,", f",{EPOCH},8,")
        day.write(tmp_path / reason)
    assert verified(tmp_path / "journal full").findings == ()
    assert found(verified(tmp_path / "disconnected")) == [("numbers", "gap", None)]
