"""Verifies recorded days from their files alone: every check of `checks`, and what streams say of one another.

In: a `DayFiles`, and the certificate of the day where there is one. Out: `DayReport`. Rows are read once in the order
of the files and sorted, in bounded memory: what has to be looked at again is kept on the disk.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from binance_streamer.days.certificate import Certificate, audit_counts
from binance_streamer.days.checks.book import BookReplay, snapshots_of, summaries_of, tops_of, updates_of
from binance_streamer.days.checks.certified import (
    CountedDay,
    clock_of,
    compare_day,
    compare_files,
    compare_own_digest,
    compare_stream,
)
from binance_streamer.days.checks.facts import StreamFacts, StreamPass, takeovers_of
from binance_streamer.days.checks.finding import (
    CHECKS,
    FAILED,
    MOST_KEPT,
    NOT_APPLICABLE,
    NOT_CHECKED,
    PASSED,
    CheckResult,
    DayReport,
    Finding,
    FindingList,
)
from binance_streamer.days.checks.gaps import compare_days, new_counts_ns, newest_gaps
from binance_streamer.days.checks.ids import id_columns, is_provable, stream_type_of
from binance_streamer.days.checks.klines import KlineComparison, bars_of
from binance_streamer.days.checks.numbering import NumberHole, ids_of_numbers, unexplained
from binance_streamer.days.checks.order import KeyOrder, WrittenOrder
from binance_streamer.days.checks.ranges import RangeSet
from binance_streamer.days.day_files import DayFiles, StreamFiles, stem_of_name
from binance_streamer.days.digest import Digest
from binance_streamer.days.rows import NotSealable
from binance_streamer.days.schema import sort_key, table_schema
from binance_streamer.exchange.rows import SNAPSHOT_STEM
from binance_streamer.health.gaps import GapRow, stem_of_gap
from binance_streamer.health.sizes import amount
from binance_streamer.stores.scratch import ScratchFolder
from binance_streamer.wire.gap_reasons import OUR_LOSSES

_RAW = "raw"


class DayVerifier:
    """Verifies one day: `run` once, then `report`. The archive's comparison uses the rows that were read."""

    def __init__(self, files: DayFiles, certificate: Certificate | None, last_ids: Mapping[str, int]) -> None:
        """`last_ids` are those of the day before by stem, where it was verified just now."""
        self.files = files
        self.findings: list[Finding] = []
        self.blocked: list[str] = []
        self.last_ids: dict[str, int] = {}
        """The last id of each stream whose ids prove something, for the next day."""
        self._certificate = certificate
        self._before = last_ids
        self._compared: dict[str, int] = {}
        self._why: dict[str, str] = {}
        self._facts: dict[str, StreamFacts] = {}
        self._gaps: list[GapRow] = []
        self._grown: dict[str, Path] = {}
        self._raw_ids: dict[str, RangeSet] = {}
        self._unfinished: set[str] = set()
        for path in files.set_aside:
            self.block("schema", f"{path} has the columns of an older version")

    def run(self, spill: Path, progressed: Callable[[int], None]) -> None:
        """Check everything; `spill` is an empty folder, `progressed` takes the bytes of files that have been read."""
        if self._certificate is None:
            self._why |= dict.fromkeys(("files", "digest", "certificate"), "there is no certificate")
        else:
            found = compare_files(self.files, self._certificate)
            self.findings += found.findings
            self.count("files", found.files)
            self._grown = found.grown
            for path in found.grown.values():
                self.block("files", f"{path} has rows that are not sealed yet")
        self._gaps, self._takeovers = self._read_gaps(), takeovers_of(self.files)
        self._raw_ids = self.files.raw_ids()
        for stem, stream in sorted(self.files.streams.items()):
            try:
                self._read(stream, spill)
            except NotSealable as error:
                check = "schema" if error.line or error.column else "files"
                self.findings.append(Finding(check, stem, str(error.file), None, None, _place(error)))
            progressed(sum(path.stat().st_size for path in stream.paths))
        for stem in sorted(self._facts):
            found_type = stream_type_of(stem)
            if found_type is not None and found_type.builds_book:
                self._replay(stem)
            if stem.startswith("kline_"):
                self._compare_bars(stem)
        self._compare_certificate()

    def readable(self, stem: str) -> StreamFiles | None:
        """Return a stream whose rows have been read to their end; None where there is none, or it has a fault."""
        return self.files.streams[stem] if stem in self._facts else None

    def gaps_of(self, stem: str) -> list[GapRow]:
        """Return the gaps of a stream on this day and the one before, each in its newest state."""
        return [gap for gap in self._gaps if stem_of_gap(gap) == stem]

    def count(self, check: str, number: int, why: str = "") -> None:
        """Count what a check has compared; `why` says what it could not, or what is known of it."""
        self._compared[check] = self._compared.get(check, 0) + number
        if why:
            self._why[check] = why

    def block(self, check: str, why: str) -> None:
        """Say what a check was to compare, and could not: the day is then not whole, and not found wrong either."""
        self.blocked.append(why)
        self._unfinished.add(check)

    def report(self, state: str) -> DayReport:
        """Return everything that was found."""
        order = {check: place for place, check in enumerate(CHECKS)}
        found = sorted(self.findings, key=lambda finding: (order[finding.check], finding.stream))
        failed = {finding.check for finding in found}
        return DayReport(
            symbol=self.files.symbol,
            day=self.files.day,
            place=str(self.files.root),
            state=state,
            rows=sum(facts.rows for facts in self._facts.values()),
            results=tuple(self._result(check, is_failed=check in failed) for check in CHECKS),
            findings=tuple(found),
            blocked=tuple(self.blocked),
        )

    def _read_gaps(self) -> list[GapRow]:
        """Return the gaps of this day, and of the one before, which may reach into it."""
        found: list[Any] = []
        for stream in (self.files.beside("gap", -1), self.files.streams.get("gap")):
            if stream is not None:
                try:
                    found += stream.unordered()
                except NotSealable as error:
                    self.block("gaps", f"gaps cannot be checked: {error}")
        return newest_gaps(self.files.symbol, found)

    def _read(self, stream: StreamFiles, spill: Path) -> None:
        """Read one stream: order within its files, then everything that its sorted rows say."""
        stem, own = stream.stem, self.gaps_of(stream.stem)
        watched = StreamPass(stem, stream.file, own, self._takeovers)
        digest = Digest(table_schema(stem))
        orders = [_order(stream, path) for path in stream.paths]
        watches = [] if stem == _RAW else [(path, one.take) for path, one in zip(stream.paths, orders, strict=True)]
        for table in stream.read(spill, watches):
            watched.take(table)
            digest.take(table)
        facts = self._facts[stem] = watched.facts(self._raw_ids.get(stem))
        for check in ("schema", "order", "unique", "numbers"):
            self.count(check, facts.rows)
        self.count("ids", facts.rows if is_provable(stem) else 0)
        self.count("gaps", len(own))
        self.findings += watched.findings(self._raw_ids.get(stem))
        self.findings += [finding for order in orders for finding in order.findings()]
        self.findings += self._missing_numbers(stream, watched.number_holes())
        if watched.covered is not None and len(watched.covered):
            self.last_ids[stem] = list(watched.covered)[-1][1]
            if stem in self._before:
                self.findings += compare_days(stem, stream.file, self._before[stem], watched.covered, own)
        hexdigest = digest.hexdigest()
        self.findings += compare_own_digest(stream, hexdigest)
        self.count("digest", facts.rows if stream.is_sealed or self._certificate else 0)
        if self._certificate is not None and self._is_whole(stem):
            listed = self._certificate.streams.get(stem)
            self.findings += compare_stream(stream, facts, digest=hexdigest, listed=listed)
            self.count("certificate", 1)

    def _is_whole(self, stem: str) -> bool:
        """Return True if the rows that are here are those that the certificate is of: none removed, none added."""
        listed = self._certificate.streams.get(stem) if self._certificate else None
        removed = () if listed is None or self.files.is_lake else (file for file in listed.sources if file.removed)
        return stem not in self._grown and not any(removed)

    def _missing_numbers(self, stream: StreamFiles, holes: list[NumberHole]) -> list[Finding]:
        """Return findings for numbers that are neither in the days beside, nor raw rows, nor losses that are listed."""
        known: dict[int, RangeSet] = {}
        if holes:
            for epoch, seq in self.files.numbers_elsewhere(stream.stem):
                known.setdefault(epoch, RangeSet()).add(seq - 1, seq)
        # gap rows that a full journal did not keep are made again with other numbers, and no row says so
        gaps = self._gaps if stream.stem == "gap" else self.gaps_of(stream.stem)
        losses = [gap for gap in gaps if gap.reason in OUR_LOSSES]
        lost = [
            (hole, sum(high - low for low, high in ranges))
            for hole, ranges in unexplained(holes, known)
            if not any(gap.from_ns <= hole.to_ns and hole.from_ns <= (gap.to_ns or hole.to_ns) for gap in losses)
        ]
        columns = id_columns(stream.stem)
        wanted = {(hole.epoch, hole.high + 1) for hole, _ in lost[:MOST_KEPT]}
        ids = ids_of_numbers(stream.tables(), columns.last, wanted) if columns and wanted else {}
        found = FindingList("numbers", stream.stem, stream.file)
        for hole, count in lost:
            text = f"{amount(count, 'row')} missing: seq {hole.low + 1} to {hole.high} of epoch {hole.epoch}"
            found.add(text, id=ids.get((hole.epoch, hole.high + 1)), recv_ns=hole.to_ns)
        return found.all()

    def _compare_certificate(self) -> None:
        """Compare the certificate as a whole, where all of its streams are here as they were sealed."""
        if self._certificate is None or not all(map(self._is_whole, self._certificate.streams)):
            return
        if self._certificate.streams.keys() <= self._facts.keys():
            audits = self.readable("audit")
            counts = audit_counts(audits.tables() if audits else ())
            clock = clock_of(self.files, self._certificate)
            counted = CountedDay(self.files.symbol, self.files.day, self._facts, self._gaps, counts, clock)
            self.findings += compare_day(self._certificate, counted)

    def _replay(self, stem: str) -> None:
        """Rebuild the order book of a depth stream from its first snapshot on."""
        snapshots = self.readable(SNAPSHOT_STEM)
        if snapshots is None:
            self.count("book", 0, f"{stem}: no snapshot was recorded")
            return
        if new_counts_ns(self.gaps_of(stem)):
            self.block("book", f"the book of {stem} cannot be built: the exchange began its ids anew")
            return
        quotes, summaries = self.readable("bookticker"), self.readable("orderbook")
        replay = BookReplay(stem, {one: stream.file for one, stream in self.files.streams.items()})
        replay.run(
            updates_of(self.files.streams[stem].tables()),
            snapshots_of(snapshots.tables()),
            tops_of(quotes.tables()) if quotes else (),
            summaries_of(summaries.tables(), lambda name: stem_of_name(name) == stem) if summaries else (),
        )
        self.findings += replay.findings()
        counts = replay.counts
        self.count("book", counts.updates)
        if not counts.updates:
            self.block("book", f"the book of {stem} cannot be built: no snapshot joins its updates")
        self.count("tops", counts.tops)

    def _compare_bars(self, stem: str) -> None:
        """Compare closed klines with aggTrades."""
        trades = self.readable("aggtrade")
        if trades is None:
            self.count("klines", 0, "no aggTrades were recorded")
            return
        stream = self.files.streams[stem]
        comparison = KlineComparison(stem, stream.file, bars_of(stream.tables()))
        for table in trades.tables():
            comparison.take(table)
        found, counts = comparison.finish()
        self.findings += found
        why = f"{counts.explained} bars differ as an aggregate at their ends explains" if counts.explained else ""
        self.count("klines", counts.equal + counts.explained + counts.different, why)

    def _result(self, check: str, *, is_failed: bool) -> CheckResult:
        number, why = self._compared.get(check, 0), self._why.get(check, "")
        if is_failed:
            return CheckResult(check, FAILED, number, why)
        if check in self._unfinished:
            return CheckResult(check, NOT_CHECKED, number, why)
        return CheckResult(check, PASSED if number else NOT_APPLICABLE, number, why)


def verify_day(  # noqa: PLR0913
    files: DayFiles,
    certificate: Certificate | None,
    *,
    state: str,
    last_ids: Mapping[str, int] | None = None,
    progressed: Callable[[int], None] = lambda _: None,
    beside: Iterable[Callable[[DayVerifier, Path], None]] = (),
) -> tuple[DayReport, dict[str, int]]:
    """Verify one day; return the report, and the last ids for the day behind it.

    Rows that have to be looked at again are kept in the folder for temporary files, compressed. `progressed` takes
    numbers of bytes that have been read; `beside` are checks against other sources, with a folder of their own.
    """
    with ScratchFolder("binance-streamer-verify-") as spill:
        verifier = DayVerifier(files, certificate, last_ids or {})
        verifier.run(spill, progressed)
        for number, check in enumerate(beside):
            folder = spill / f"beside-{number}"
            folder.mkdir()
            check(verifier, folder)
        return verifier.report(state), verifier.last_ids


def _order(stream: StreamFiles, path: Path) -> WrittenOrder | KeyOrder:
    if stream.is_sealed:
        return KeyOrder(stream.stem, str(path), sort_key(stream.stem))
    columns = id_columns(stream.stem)
    return WrittenOrder(stream.stem, str(path), columns.last if columns else None)


def _place(error: NotSealable) -> str:
    place = f"line {error.line}: " if error.line else ""
    return f"{place}{f'column {error.column}: ' if error.column else ''}{error.why}"
