"""Each question about REST, clock, keys, host and files is contradicted by what it names."""

import pytest

from binance_streamer.cli.fieldtest.seen import Observations, RestSeen, RowsCompared
from tests.support.field_seen import NOW_MS, NOW_NS, Spoil, answer_of, bring, contradicted, everything


def _refusal(status: int, *, has_retry_after: bool, code: int) -> Spoil:
    return lambda seen: seen.rest.append(
        RestSeen("/fapi/v1/depth", status, None, NOW_NS, NOW_NS, None, has_retry_after, code)
    )


def _recorder(**values: object) -> Spoil:
    def spoil(seen: Observations) -> None:
        for name, value in values.items():
            setattr(seen.recorder, name, value)

    return spoil


def _clock(offset_ms: int) -> Spoil:
    def spoil(seen: Observations) -> None:
        seen.rest[0] = seen.rest[0]._replace(body={"serverTime": NOW_MS + offset_ms})

    return spoil


def _fault(name: str) -> Spoil:
    return lambda seen: seen.faults.update({name: "it was so"})


def _note(name: str, text: str) -> Spoil:
    return lambda seen: seen.notes.update({name: text})


def _banned_and_silent(seen: Observations) -> None:
    seen.rest[1] = seen.rest[1]._replace(recv_ns=NOW_NS + 10_000_000_000)


@pytest.mark.parametrize(
    ("number", "spoil", "named"),
    [
        ("5", _banned_and_silent, "no message came"),
        ("7", _refusal(429, has_retry_after=False, code=-1003), "429 without Retry-After"),
        ("7", _refusal(418, has_retry_after=True, code=-1), "418 with code -1, not -1003"),
        ("10", _recorder(losses=["ingest-BTCUSDT: 3 messages were not kept"]), "3 messages were not kept"),
        (
            "11a",
            lambda seen: seen.rows.append(RowsCompared("aggTrades of X", 1, ("p streamed 1, REST 2",))),
            "p streamed",
        ),
        ("11b", lambda seen: seen.rows.append(RowsCompared("klines of X", 1, ("n streamed 1, REST 2",))), "n streamed"),
        ("11d", _note("too old", "status 200 with no rows"), "no rows, and no error"),
        ("11e", _recorder(unrepaired={"restart": 2}), "2 gaps `restart`"),
        ("12c", _fault("snapshot"), "it was so"),
        ("13a", lambda seen: bring(seen, "trade", {"t": 19, "E": NOW_MS * 1000}), "another unit"),
        ("13a", _clock(NOW_MS * 999), "the time of REST"),
        ("13a", _clock(-5000), "ahead of the exchange's clock"),
        ("13a", _clock(20_000), "behind the exchange's clock"),
        ("13b", _recorder(clock=(900.0, 4.0)), "900.0 ms apart"),
        ("14", _recorder(new_keys={"BTCUSDT/trade": ("zz",)}), "BTCUSDT/trade: zz"),
        ("14", _recorder(raw_rows={"btcusdt@trade: no price": 4}), "4 messages without a row form"),
        ("15", _fault("hours"), "it was so"),
        ("19", lambda seen: seen.rest.append(seen.rest[0]._replace(used_weight=None)), "/fapi/v1/time"),
        ("20", _recorder(verified=2, findings=["ids: trade: a hole"]), "ids: trade: a hole"),
    ],
)
def test_a_contradiction_is_named(number: str, spoil: Spoil, named: str) -> None:
    found = contradicted(spoil)
    assert named in found[number]
    assert found.keys() <= {number, "13b"}  # a clock that is off is so for both questions


def test_refusals_that_only_the_recorder_got_are_told_and_settle_nothing() -> None:
    seen = everything()
    seen.rest.pop()
    seen.recorder.rest_answers = {"200": 5, "429": 2}
    assert answer_of("7", seen) == ("not seen", "the recorder was refused 2 times, its log has the answers")


@pytest.mark.parametrize("body", [None, [], {}, {"serverTime": "noon"}])
def test_a_time_that_cannot_be_read_measures_nothing(body: object) -> None:
    seen = everything()
    seen.rest[0] = seen.rest[0]._replace(body=body)
    assert answer_of("13b", seen)[0] == "not seen"
    assert answer_of("13a", seen)[0] == "not seen"


def test_without_the_libraries_files_are_not_verified() -> None:
    seen = everything()
    seen.recorder.verified = None
    assert answer_of("20", seen) == ("not seen", "the extra `days` is not installed")


def test_the_quickest_answer_is_the_measure_of_the_clock() -> None:
    seen = everything()
    slow = seen.rest[0]._replace(body={"serverTime": NOW_MS + 900}, requested_ns=NOW_NS - 2_000_000_000)
    seen.rest.insert(0, slow)
    assert answer_of("13b", seen) == ("confirmed", "two measurements are 0.5 ms apart, of ± 9.0 ms together")
