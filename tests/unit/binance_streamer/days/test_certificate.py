"""A certificate gives the condition of a day, its two percentages, and by whose fault something is missing."""

from typing import Any

import pyarrow as pa
import pytest

from binance_streamer.days.certificate import (
    AuditCounts,
    Certificate,
    CertifiedClock,
    CertifiedStream,
    DegradedTime,
    audit_counts,
    certified_clock,
    certified_stream,
    certify,
    decoded,
    encoded,
)
from binance_streamer.days.checks.facts import StreamFacts
from binance_streamer.days.checks.ids import IdHole
from binance_streamer.days.checks.numbering import RunFacts
from binance_streamer.days.schema import table_schema
from binance_streamer.health.gaps import GapRow

START_NS = 1_795_305_600_000_000_000
DAY_NS = 86_400 * 10**9
HOUR_NS = 3600 * 10**9
WHOLE_DAY = StreamFacts(rows=9, first_id=1, last_id=9, first_recv_ns=START_NS + 5, last_recv_ns=START_NS + DAY_NS - 5)


def gap(stream: str, **values: Any) -> GapRow:
    fields: dict[str, Any] = {"gap_id": "g", "symbol": "BTCUSDT", "stream": stream, "state": "unrepairable", **values}
    return GapRow(**fields)


def certificate(streams: dict[str, CertifiedStream], **values: Any) -> Certificate:
    options: dict[str, Any] = {"audits": AuditCounts(), "clock": None, "sealed_at": "x", "versions": {}, **values}
    return certify("BTCUSDT", "2026-11-22", streams, **options)


def test_a_whole_day_is_available_and_clean() -> None:
    made = certificate({stem: certified_stream(stem, WHOLE_DAY, []) for stem in ("aggtrade", "depth")})
    assert (made.condition, made.verified_percent, made.clean_percent) == ("available", 100.0, 100.0)
    assert made.degraded == ()


def test_what_cannot_be_proven_lowers_verified_and_never_clean() -> None:
    stems = ("aggtrade", "bookticker", "markprice", "depth")
    made = certificate({stem: certified_stream(stem, WHOLE_DAY, []) for stem in stems})
    assert (made.verified_percent, made.clean_percent) == (50.0, 100.0)
    assert made.streams["markprice"].continuity == "not provable"
    assert made.streams["depth"].continuity == "proven by ids"


def test_files_of_our_own_are_no_streams() -> None:
    made = certificate({stem: certified_stream(stem, WHOLE_DAY, []) for stem in ("depth", "gap", "audit", "snapshot")})
    assert (made.verified_percent, made.clean_percent) == (100.0, 100.0)


def test_a_day_of_the_exchange_itself_is_there_and_proves_nothing() -> None:
    """The clock, and the list of symbols: there is no stream of a market in such a day."""
    made = certificate({"clock": certified_stream("clock", WHOLE_DAY, [])})
    assert (made.condition, made.verified_percent, made.clean_percent) == ("available", 0.0, None)


def test_a_gap_degrades_its_time() -> None:
    lost = gap(
        "btcusdt@depth@0ms",
        from_id=3,
        to_id=5,
        from_ns=START_NS + HOUR_NS,
        to_ns=START_NS + 2 * HOUR_NS,
        reason="disconnected",
    )
    made = certificate({stem: certified_stream(stem, WHOLE_DAY, [lost]) for stem in ("aggtrade", "depth")})
    assert made.condition == "degraded"
    assert made.degraded == (DegradedTime(START_NS + HOUR_NS, START_NS + 2 * HOUR_NS),)
    assert made.clean_percent == round(100 * 47 / 48, 4)
    (listed,) = made.streams["depth"].gaps
    assert (listed.fault, listed.state, listed.from_id) == ("network", "unrepairable", 3)
    assert made.streams["aggtrade"].condition == "available"


def test_a_repaired_gap_is_listed_and_degrades_nothing() -> None:
    filled = gap(
        "btcusdt@aggTrade", state="repaired", from_id=3, to_id=5, from_ns=START_NS, to_ns=START_NS + 9, reason="restart"
    )
    made = certificate({"aggtrade": certified_stream("aggtrade", WHOLE_DAY, [filled])})
    assert (made.condition, made.clean_percent) == ("available", 100.0)
    assert made.streams["aggtrade"].gaps[0].fault == "this software"


def test_a_hole_that_nobody_listed_degrades_too() -> None:
    facts = StreamFacts(
        **{name: getattr(WHOLE_DAY, name) for name in ("rows", "first_id", "last_id", "first_recv_ns", "last_recv_ns")},
        holes=(IdHole(3, 5, START_NS + HOUR_NS, START_NS + 2 * HOUR_NS),),
    )
    made = certificate({"trade": certified_stream("trade", facts, [])})
    assert made.condition == "degraded"
    assert made.clean_percent == round(100 * 23 / 24, 4)


def test_open_bars_that_are_missing_leave_closed_ones_clean() -> None:
    """Ids prove closed bars; a time without open ones is degraded, and not unclean."""
    outage = gap("btcusdt@kline_1m", from_ns=START_NS + HOUR_NS, to_ns=START_NS + 2 * HOUR_NS, reason="disconnected")
    made = certificate({"kline_1m": certified_stream("kline_1m", WHOLE_DAY, [outage])})
    assert (made.condition, made.clean_percent) == ("degraded", 100.0)
    assert made.degraded == (DegradedTime(START_NS + HOUR_NS, START_NS + 2 * HOUR_NS),)


def test_time_that_was_not_recorded_is_not_clean() -> None:
    half = StreamFacts(rows=9, first_recv_ns=START_NS + DAY_NS // 2, last_recv_ns=START_NS + DAY_NS - 5)
    made = certificate({"depth": certified_stream("depth", half, [])})
    assert (made.condition, made.clean_percent) == ("degraded", 50.0)
    quiet = StreamFacts(rows=1, first_recv_ns=START_NS + HOUR_NS, last_recv_ns=START_NS + HOUR_NS)
    streams = {"depth": certified_stream("depth", WHOLE_DAY, []), "aggtrade": certified_stream("aggtrade", quiet, [])}
    assert certificate(streams).clean_percent == 100.0


@pytest.mark.parametrize(
    ("facts", "pending", "condition"),
    [(WHOLE_DAY, "gap.csv line 3: no number", "pending"), (StreamFacts(), "", "missing"), (WHOLE_DAY, "", "available")],
)
def test_conditions_of_a_stream(facts: StreamFacts, pending: str, condition: str) -> None:
    stream = certified_stream("depth", facts, [], pending=pending)
    made = certificate({"depth": stream})
    assert (stream.condition, made.condition) == (condition, condition)
    assert made.why == (f"depth: {pending}" if pending else "")


def test_a_failed_audit_degrades_the_day() -> None:
    made = certificate({"depth": certified_stream("depth", WHOLE_DAY, [])}, audits=AuditCounts(passed=3, failed=1))
    assert made.condition == "degraded"


def test_restarts_are_the_runs_of_the_worker_less_one() -> None:
    runs = (RunFacts(1, 5, START_NS, START_NS + 5), RunFacts(2, 4, START_NS + 9, START_NS + 12))
    facts = StreamFacts(rows=9, first_recv_ns=START_NS, last_recv_ns=START_NS + DAY_NS, runs=runs)
    assert certificate({"depth": certified_stream("depth", facts, [])}).restarts == 1


def test_the_same_day_gives_the_same_bytes() -> None:
    stems = ["depth", "aggtrade", "bookticker"]
    one, other = (
        certificate({stem: certified_stream(stem, WHOLE_DAY, []) for stem in order}, versions={"b": "1", "a": "2"})
        for order in (stems, stems[::-1])
    )
    assert encoded(one) == encoded(other)
    assert decoded(encoded(one)) == one


def test_audits_and_clock_are_counted_from_their_rows() -> None:
    audits = pa.table({"outcome": ["passed", "failed", "passed", "not comparable"]})
    assert audit_counts([audits]) == AuditCounts(passed=2, failed=1)
    schema = table_schema("clock")
    rows: list[dict[str, Any]] = [
        {"offset_ms": 1.5, "error_ms": 0.7},
        {"offset_ms": -2.0, "error_ms": 3.5},
        {"offset_ms": 4.0, "error_ms": 1.0},
        {"step_ms": 100.0},
    ]
    assert certified_clock([pa.Table.from_pylist(rows, schema=schema)]) == CertifiedClock(
        measurements=3, offset_ms=1.5, least_ms=-2.0, most_ms=4.0, error_ms=3.5, steps=1
    )
    assert certified_clock([schema.empty_table()]) is None
