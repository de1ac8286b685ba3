"""A certificate is made again from the files: whatever of it is changed, `verify` finds, but for what no file says."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from binance_streamer.days.certificate import Certificate
from binance_streamer.days.checks.certified import certificate_of
from binance_streamer.days.checks.verify import verify_day
from binance_streamer.days.day_files import day_of
from binance_streamer.days.schema import columns
from tests.support.recorded_days import DAY, EPOCH, START_MS, SYMBOL, DayWriter, recv_ns
from tests.support.sealing import begun, seal_days

NO_FILE_SAYS = frozenset(
    {
        "sealed_at",
        "versions.binance-streamer",
        "versions.deltalake",
        "versions.pyarrow",
        "versions.python",
    }
)
"""Fields that cannot be verified from the files alone (docs/verifying.md)."""
KINDS = 65
"""Kinds of fields that the certificate of this day has; each is changed in turn."""


class Day(NamedTuple):
    """A day that was recorded and sealed, in both of its places."""

    data: Path
    lake: Path


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Day:
    """A day with gaps, a message that became a raw row, audits, and a clock that was measured and set."""
    place = tmp_path_factory.mktemp("certified")
    writer = DayWriter()
    lost = writer.place_of("aggtrade", lambda cells: cells[0] == "1150")
    del writer.lines["aggtrade"][lost]
    for stem in ("kline_1m", "orderbook", "bookticker"):
        del writer.lines[stem]
    writer.write(place / "data")
    _write(place / "data" / SYMBOL / f"raw_{SYMBOL}_{DAY}.csv", "raw", [_raw_trade(1150, seq=148)])
    outcomes = ["passed,7,20,0,0,[]", "failed,8,20,0,1,[]"]
    audits = [
        f"btcusdt@depth@0ms,depth_snapshot,{one},{recv_ns(START_MS)},{EPOCH},{number},local,"
        for number, one in enumerate(outcomes, 1)
    ]
    _write(place / "data" / SYMBOL / f"audit_{SYMBOL}_{DAY}.csv", "audit", audits)
    clock = [f"{3.5 + n},1.25,0.5,5,{START_MS + n},,,{recv_ns(START_MS + n)},{EPOCH},{n},local," for n in range(1, 4)]
    clock.append(f",,,,,12.5,{recv_ns(START_MS)},{recv_ns(START_MS + 9)},{EPOCH},4,local,")
    _write(place / "data" / f"clock_{DAY}.csv", "clock", clock)
    seal_days(place / "data", begun(place / "lake"))
    return Day(place / "data", place / "lake")


def _write(path: Path, stem: str, lines: list[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in [",".join(columns(stem)), *lines]), encoding="utf-8")


def _raw_trade(number: int, *, seq: int) -> str:
    values = '""s"":""BTCUSDT"",""p"":null,""q"":""1"",""f"":1,""l"":1,""T"":1'
    event = f'{{""e"":""aggTrade"",""E"":1,""a"":{number},{values}}}'
    return f'aggtrade,btcusdt@aggTrade,p is null,utf-8,"{event}",{recv_ns(START_MS + 75_000)},{EPOCH},{seq},ws'


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of all values that are no map; of a list both itself and what is in it."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, (*path, key))
        return
    yield path
    if isinstance(value, list):
        for place, inner in enumerate(value):
            yield from leaves(inner, (*path, place))


def kind_of(path: tuple[Any, ...]) -> str:
    """A path without the stream and the place in a list: `streams.*.gaps.*.reason`."""
    parts = ["*" if isinstance(part, int) else str(part) for part in path]
    if len(parts) > 1 and parts[0] == "streams":
        parts[1] = "*"
    return ".".join(parts)


def changed(value: Any, path: tuple[Any, ...]) -> Any:
    """The certificate with another value in this place; a list loses its last element, or gets one that it had."""
    head, *rest = path
    copy = list(value) if isinstance(value, list) else dict(value)
    copy[head] = changed(copy[head], tuple(rest)) if rest else _other(copy[head])
    return copy


def _other(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    if isinstance(value, list):
        return value[:-1]
    if value is None:
        return 1
    return f"{value[:-1]}{'1' if value.endswith('0') else '0'}"


def says_so(place: Path, certificate: Certificate) -> bool:
    """Return True if `verify` calls the day in this place something else than whole."""
    files = day_of(SYMBOL, DAY, place)
    assert files is not None
    report, _ = verify_day(files, certificate, state="sealed")
    return bool(report.findings or report.blocked)


def certificate(day: Day) -> Certificate:
    files = day_of(SYMBOL, DAY, day.lake)
    assert files is not None
    found = certificate_of(files, [])
    assert found is not None
    return found


def test_the_certificate_of_a_day_is_found_right_in_both_places(day: Day) -> None:
    made = certificate(day)
    assert (made.audits.passed, made.audits.failed) == (1, 1)
    assert made.clock is not None
    assert (made.clock.offset_ms, made.clock.error_ms, made.clock.steps) == (5.5, 1.25, 1)
    assert not says_so(day.lake, made)
    assert not says_so(day.data, made)


def test_a_message_that_became_a_raw_row_is_no_hole(day: Day) -> None:
    """The hole that a gap row lists is one."""
    holes = certificate(day).streams["aggtrade"].facts.holes
    assert [(hole.from_id, hole.to_id) for hole in holes] == [(1100, 1103)]


def test_every_field_that_is_changed_is_found(day: Day) -> None:
    made = certificate(day)
    plain = msgspec.json.decode(msgspec.json.encode(made))
    kinds: dict[str, tuple[Any, ...]] = {}
    for path in leaves(plain):
        value: Any = plain
        for part in path:
            value = value[part]
        if value != []:  # an empty list has no element to lose
            kinds.setdefault(kind_of(path), path)
    unseen = set()
    for kind, path in kinds.items():
        try:
            other = msgspec.convert(changed(plain, path), Certificate)
        except msgspec.ValidationError:  # no certificate any more, which `verify` says
            continue
        assert other != made, kind
        if not says_so(day.lake, other) and not says_so(day.data, other):
            unseen.add(kind)
    assert unseen == NO_FILE_SAYS
    assert len(kinds) == KINDS
