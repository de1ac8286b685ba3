"""The gaps of a day, read from the recorded files."""

import csv
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from binance_streamer.config.symbols import decode_name, encode_name
from binance_streamer.exchange.streams import suffix_of

DAY_S = 86_400


class GapSummary(msgspec.Struct, frozen=True):
    """Gaps of one stream: how many, how many of them a late copy or REST has filled, and ids that are missing still."""

    listed: int = 0
    repaired: int = 0
    missing_ids: int = 0


def day_text(wall_s: float) -> str:
    """The UTC day: `20261126`."""
    return time.strftime("%Y%m%d", time.gmtime(wall_s))


def gaps_of(data_directory: Path, symbol: str, day: str) -> dict[str, GapSummary]:
    """By stream. A gap is what the last row of its `gap_id` says; none where there is no file."""
    folder = encode_name(symbol)
    newest: dict[str, dict[str, str]] = {}
    for row in _rows(data_directory / folder / f"gap_{folder}_{day}.csv"):
        newest[row["gap_id"]] = row
    found: dict[str, GapSummary] = {}
    for row in newest.values():
        before = found.get(row["stream"], GapSummary())
        is_repaired = row["state"] == "repaired"
        found[row["stream"]] = GapSummary(
            before.listed + 1,
            before.repaired + is_repaired,
            before.missing_ids + (0 if is_repaired else _ids(row)),
        )
    return found


def gaps_of_all_days(data_directory: Path) -> dict[tuple[str, str], GapSummary]:
    """By symbol and stream (`depth@0ms`)."""
    found: dict[tuple[str, str], GapSummary] = {}
    for path in sorted(data_directory.glob("*/gap_*.csv")):
        symbol = decode_name(path.parent.name)
        for stream, gaps in gaps_of(data_directory, symbol, path.stem[-8:]).items():
            key = symbol, suffix_of(stream)
            before = found.get(key, GapSummary())
            found[key] = GapSummary(
                before.listed + gaps.listed, before.repaired + gaps.repaired, before.missing_ids + gaps.missing_ids
            )
    return found


def _rows(path: Path) -> Iterator[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8", errors="replace") as file:
            yield from (row for row in csv.DictReader(file) if row.get("gap_id") and row.get("repaired_by") is not None)
    except OSError:
        return


def _ids(row: dict[str, str]) -> int:
    """Ids are dense for trades only; of a depth stream this is the length of the hole in its chain."""
    ends = row["from_id"], row["to_id"]
    return max(0, int(ends[1]) - int(ends[0])) if all(end.isdigit() for end in ends) else 0
