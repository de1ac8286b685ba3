"""Days that are verified, shown: which ones, a progress bar, a table of outcomes, or JSON. Needs the extra `days`."""

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

import msgspec
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from binance_streamer.cli.commands.tap import printable
from binance_streamer.cli.errors import Exit
from binance_streamer.cli.recordings.choosing import chosen_days, nothing_of
from binance_streamer.cli.recordings.words import readable_buckets, terminated_as_interrupted
from binance_streamer.days.certificate import Certificate, day_bounds_ns
from binance_streamer.days.checks.archive import archive_of, compare_archive
from binance_streamer.days.checks.archive_files import ArchiveError, archive_file
from binance_streamer.days.checks.certified import certificate_of
from binance_streamer.days.checks.finding import FAILED, NOT_APPLICABLE, NOT_CHECKED, PASSED, DayReport
from binance_streamer.days.checks.verify import DayVerifier, verify_day
from binance_streamer.days.day_files import DayFiles
from binance_streamer.days.recorded.places import ReadableDay
from binance_streamer.health.gap_files import DAY_S, day_text
from binance_streamer.health.sizes import amount

OPEN, RECORDED, SEALED = "open", "recorded", "sealed"
_OUTCOMES = (PASSED, FAILED, NOT_CHECKED, NOT_APPLICABLE)
_GRACE_S = 7200
"""Rows come late: the archiver waits as long before it seals a day."""
_WIDTH = 200
_MOST_SHOWN = 40
"""Findings in the table; `--json` has all that were kept."""


def verify_places(words: Sequence[str], recorded: Sequence[str], *, archive: str | None, as_json: bool) -> Exit:
    """Verify what the words of the command line name, show it, and return the exit code.

    `recorded` are the data folder and the lake of the configuration: for days that are named without a place.
    """
    with readable_buckets(Exit.NOT_CHECKED), terminated_as_interrupted():
        reports = _reports(words, recorded, archive, as_json=as_json)
    if not as_json:
        _show(reports)
    if any(report.findings for report in reports):
        return Exit.INCOMPLETE
    return Exit.NOT_CHECKED if any(report.blocked for report in reports) else Exit.OK


def _reports(words: Sequence[str], recorded: Sequence[str], archive: str | None, *, as_json: bool) -> list[DayReport]:
    """Verify the days that are meant, with a progress bar; as JSON each is printed as soon as it is there."""
    chosen = _chosen(words, recorded)
    reports = []
    total = sum(files.size_bytes for files in chosen)
    with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("verifying", total=total)
        for report in _verified(chosen, archive, recorded, partial(progress.advance, task)):
            progress.update(task, description=f"verified {report.symbol} {report.day}")
            if as_json:
                typer.echo(msgspec.json.encode(report).decode())
            reports.append(report)
    return reports


def _chosen(words: Sequence[str], recorded: Sequence[str]) -> list[ReadableDay]:
    """Return the days that are meant; without any, yesterday's, or today's where nothing older is there."""
    found = chosen_days(words, recorded, Exit.NOT_CHECKED)
    if words:
        return found
    yesterday, today = day_text(time.time() - DAY_S), day_text(time.time())
    recent = yesterday if any(one.day == yesterday for one in found) else today
    wanted = [one for one in found if one.day == recent]
    if not wanted:
        raise nothing_of([recent], recorded, Exit.NOT_CHECKED)
    return wanted


def _verified(
    chosen: Iterable[ReadableDay], archive: str | None, lakes: Sequence[str], progressed: Callable[[int], None]
) -> Iterator[DayReport]:
    """Verify days in order, each with the last ids of the day before it, where that was verified too."""
    before: ReadableDay | None = None
    last_ids: dict[str, int] = {}
    for day in chosen:
        if before is None or (before.place, before.symbol) != (day.place, day.symbol) or not _follows(before, day):
            last_ids = {}
        with day.here() as files:
            report, last_ids = _verified_here(files, archive, lakes, last_ids=last_ids, progressed=progressed)
            yield report.at(day.place, instead_of=str(files.root))
        before = day


def _verified_here(
    files: DayFiles,
    archive: str | None,
    lakes: Sequence[str],
    *,
    last_ids: dict[str, int],
    progressed: Callable[[int], None],
) -> tuple[DayReport, dict[str, int]]:
    """Verify a day whose files are on this machine; return the report, and the last ids for the day behind it."""
    beside = [partial(_compare_with_archive, archive)] if archive else []
    certificate: Certificate | None = None
    try:
        certificate = certificate_of(files, lakes)
    except (msgspec.MsgspecError, OSError) as error:
        beside.append(partial(_block_certificate, str(error)))
    return verify_day(
        files,
        certificate,
        state=_state(files, certificate),
        last_ids=last_ids,
        progressed=progressed,
        beside=beside,
    )


def _block_certificate(fault: str, verifier: DayVerifier, _: Path) -> None:
    verifier.block("certificate", f"the certificate cannot be read: {fault}")


def _compare_with_archive(root: str, verifier: DayVerifier, folder: Path) -> None:
    """Compare every stream of a day that the archive may have; what it does not have is not checked."""
    files = verifier.files
    for stem in sorted(files.streams):
        stream = verifier.readable(stem)
        if stream is None or archive_file(stem, files.symbol, files.day) is None:
            continue
        try:
            found = archive_of(stem, files.symbol, files.day, root=root, folder=folder)
            if found is None:
                verifier.block("archive", f"{root} has no file of {files.symbol} {stem} {files.day} (yet)")
                continue
            findings, counts = compare_archive(stream, verifier.gaps_of(stem), *found, spill=folder)
        except ArchiveError as error:
            verifier.block("archive", str(error))
            continue
        verifier.findings += findings
        why = f"{counts.listed} rows that we lack are listed in gap rows" if counts.listed else ""
        verifier.count("archive", sum(counts), why)


def _state(files: DayFiles, certificate: Certificate | None) -> str:
    _, end_ns = day_bounds_ns(files.day)
    if time.time() < end_ns / 1e9 + _GRACE_S:
        return OPEN
    return SEALED if certificate is not None else RECORDED


def _follows(day: ReadableDay, next_day: ReadableDay) -> bool:
    return day_bounds_ns(day.day)[1] == day_bounds_ns(next_day.day)[0]


def _show(reports: Sequence[DayReport]) -> None:
    """Print a line per day, the checks with what they compared, and the findings."""
    console = Console(width=None if Console().is_terminal else _WIDTH, highlight=False, soft_wrap=True)
    console.print(_table(("symbol", "day", "place", "state", "rows", "outcome"), map(_day_cells, reports)))
    console.print()
    console.print(_table(("check", "compared", *_OUTCOMES, ""), _check_rows(reports)))
    findings = [finding for report in reports for finding in report.findings]
    if findings:
        console.print()
        for finding in findings[:_MOST_SHOWN]:  # lines and no table, which would cut a long path
            number = "" if finding.id is None else f" id {finding.id}"
            console.print(Text(printable(f"{finding.check}: {finding.stream}{number}: {finding.text}")))
            console.print(Text(f"    {printable(finding.file)}"))
        if len(findings) > _MOST_SHOWN:
            console.print(Text(f"and {len(findings) - _MOST_SHOWN} more: --json has all of them"))
    for text in (text for report in reports for text in report.blocked):
        console.print(Text(f"not checked: {printable(text)}"))
    if any(report.state == OPEN for report in reports):
        console.print(Text("an open day may still grow; rows come late until two hours behind its end"))


def _day_cells(report: DayReport) -> tuple[str, ...]:
    if report.findings:
        outcome = amount(len(report.findings), "finding")
    else:
        outcome = "could not be checked" if report.blocked else "whole"
    return report.symbol, report.day, report.place, report.state, str(report.rows), outcome


def _check_rows(reports: Sequence[DayReport]) -> Iterator[tuple[str, ...]]:
    """Yield a row per check: how much it compared, and the number of days by outcome."""
    for place, name in enumerate(result.check for result in reports[0].results):
        results = [report.results[place] for report in reports]
        states = Counter(result.state for result in results)
        why = next((result.why for result in results if result.why), "")
        counts = (states[outcome] for outcome in _OUTCOMES)
        yield name, str(sum(result.compared for result in results)), *map(str, counts), why


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        table.add_column(heading, no_wrap=True)
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    return table
