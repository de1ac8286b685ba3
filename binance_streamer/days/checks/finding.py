"""Findings: the faults that a check sees in a recorded day, each with file and row; and the report of all checks."""

import msgspec

CHECKS = (
    *("files", "schema", "order", "unique", "numbers", "ids", "gaps"),
    *("book", "tops", "klines", "digest", "certificate", "archive"),
)
"""All checks, in the order in which a report has them."""
PASSED, FAILED, NOT_CHECKED, NOT_APPLICABLE = "passed", "failed", "not checked", "does not apply"
"""Outcomes of a check. `not checked`: something of it could not be, see `DayReport.blocked`; `does not apply`: the day
has nothing that it compares, no such stream, no certificate, or no archive was named."""
MOST_KEPT = 100
"""Findings of one check and stream that are kept; the others are counted. A damaged day has as many as rows."""


class Finding(msgspec.Struct, frozen=True):
    """One fault. `check` names the check that saw it, `stream` the beginning of the file's name (`depth_100ms`).

    `id` is the exchange's id of the row (of klines the opening time in ms), `recv_ns` our receive stamp; None where the
    fault is not that of a row.
    """

    check: str
    stream: str
    file: str
    id: int | None
    recv_ns: int | None
    text: str


class FindingList:
    """Collects the findings of one check and stream, the first ones whole and the rest as a number."""

    def __init__(self, check: str, stream: str, file: str) -> None:
        self.check, self.stream, self.file = check, stream, file
        self.kept: list[Finding] = []
        self.count = 0

    def add(self, text: str, *, id: int | None = None, recv_ns: int | None = None) -> None:  # noqa: A002
        """Add a fault of the row with this id and receive stamp."""
        self.count += 1
        if self.count <= MOST_KEPT:
            self.kept.append(Finding(self.check, self.stream, self.file, id, recv_ns, text))

    def all(self) -> list[Finding]:
        """Return the kept ones, and a last one that counts those that were not kept."""
        more = self.count - len(self.kept)
        left = Finding(self.check, self.stream, self.file, None, None, f"and {more} more of this kind")
        return [*self.kept, left] if more else self.kept


class CheckResult(msgspec.Struct, frozen=True):
    """The outcome of one check on one day. `state`: one of the outcomes; `why` says what is known of it."""

    check: str
    state: str
    compared: int = 0
    """The number of rows, files, gaps, or whatever else the check compares."""
    why: str = ""


class DayReport(msgspec.Struct, frozen=True, kw_only=True):
    """The verification of one symbol and day in one place.

    `state`: open (the day may still grow), recorded, or sealed. `blocked` names what was to be checked, and could not.
    """

    symbol: str
    day: str
    place: str
    state: str
    rows: int
    results: tuple[CheckResult, ...]
    findings: tuple[Finding, ...]
    blocked: tuple[str, ...]

    def at(self, place: str, *, instead_of: str) -> "DayReport":
        """Return the report with the place's name where that of the folder of its copy stands."""
        if place == instead_of:
            return self
        renamed = msgspec.json.encode(self).decode().replace(instead_of, place)
        return msgspec.json.decode(renamed, type=DayReport)
