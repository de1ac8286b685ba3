"""The clock's offset is never claimed to be known better than it is, and a step of the clock spoils no measurement."""

from hypothesis import given
from hypothesis import strategies as st

from services.rest.market.clock_offset import SAMPLES, ClockReading, Measurement, OffsetMeter, Sample, Step, StepWatch

S = 10**9
AT_NS = 1_790_000_000 * S


def a_sample(offset_ms: float, there_ms: float, back_ms: float, requested_ns: int = AT_NS) -> Sample:
    """Of an exchange whose clock is so far ahead; the answer is made `there_ms` after the request left."""
    server_ms = (requested_ns + round((there_ms + offset_ms) * 1e6)) // 10**6
    return Sample(server_ms, requested_ns, requested_ns + int((there_ms + back_ms) * 1e6))


def measured(meter: OffsetMeter, *samples: Sample, now_s: float = 0.0) -> Measurement | None:
    """What the last of these completes; the others complete nothing."""
    *before, last = samples
    for sample in before:
        assert meter.take(sample, now_s) is None
    return meter.take(last, now_s)


@given(
    st.floats(min_value=-1e7, max_value=1e7),
    st.lists(st.tuples(st.floats(0, 5000), st.floats(0, 5000)), min_size=SAMPLES, max_size=SAMPLES),
    st.integers(min_value=0, max_value=999_999),
)
def test_the_true_offset_is_within_the_error_however_lopsided_the_way(
    offset_ms: float, ways_ms: list[tuple[float, float]], part_ns: int
) -> None:
    samples = [a_sample(offset_ms, there, back, AT_NS + part_ns) for there, back in ways_ms]
    found = measured(OffsetMeter(60), *samples)
    assert found
    assert abs(found.best.offset_ms - offset_ms) <= found.best.error_ms + 0.001
    assert found.best.round_trip_ms == min(sample.round_trip_ms for sample in samples)


def test_the_quickest_answer_is_the_measurement() -> None:
    slow, quick = a_sample(250, 900, 100), a_sample(250, 4, 6)
    meter = OffsetMeter(60)
    assert measured(meter, slow, slow, quick, slow, slow, now_s=7.0) == (quick, 5)
    assert (quick.round_trip_ms, quick.offset_ms, quick.error_ms) == (10.0, 249.0, 6.0)
    assert meter.offset_ms == 249.0
    assert meter.due_s == 67.0


def test_the_first_answer_is_better_than_none() -> None:
    meter = OffsetMeter(60)
    meter.take(a_sample(250, 900, 100), 0.0)
    assert meter.offset_ms == 650.0
    assert meter.newest is None
    assert meter.due_s == float("-inf")


def test_a_round_trip_into_the_past_is_no_sample() -> None:
    meter = OffsetMeter(60)
    assert meter.take(Sample(AT_NS // 10**6, AT_NS, AT_NS - 1), 0.0) is None
    assert meter.offset_ms is None


def test_a_step_moves_the_offset_at_once_and_begins_a_measurement_anew() -> None:
    meter = OffsetMeter(60)
    good = a_sample(100, 5, 5)
    measured(meter, *[good] * SAMPLES)
    meter.take(good, 60.0)
    meter.note_step(Step(-30_000.0, AT_NS, AT_NS - 30 * S), is_asking=True)
    assert meter.offset_ms == 30_100.0
    assert meter.due_s == float("-inf")
    spoilt = Sample(good.server_ms, good.requested_ns, good.requested_ns + 1)
    assert meter.take(spoilt, 60.0) is None
    after = a_sample(30_100, 5, 5, AT_NS - 30 * S)
    assert measured(meter, *[after] * SAMPLES, now_s=60.0) == (after, SAMPLES)


def test_clocks_that_go_together_have_no_step() -> None:
    watch = StepWatch(ClockReading(AT_NS, 5 * S, 100))
    for second in range(1, 100):
        # 500 ppm is the most that the kernel's clock is slewed by NTP (adjtimex(2)), if one clock only were
        assert watch.look(ClockReading(AT_NS + second * (S + 500_000), (5 + second) * S, 100)) is None
    assert (watch.steps, watch.newest) == (0, None)


def test_a_step_is_told_once_with_its_size_and_its_stamps() -> None:
    watch = StepWatch(ClockReading(AT_NS, 5 * S, 100))
    assert watch.look(ClockReading(AT_NS - 2 * S, 6 * S, 100)) == (-3000.0, AT_NS, AT_NS - 2 * S)
    assert watch.look(ClockReading(AT_NS - S, 7 * S, 100)) is None
    assert watch.look(ClockReading(AT_NS + 2 * S, 8 * S, 100)) == (2000.0, AT_NS - S, AT_NS + 2 * S)
    assert watch.steps == 2
    assert watch.newest == (2000.0, AT_NS - S, AT_NS + 2 * S)


def test_a_reading_that_was_interrupted_is_no_step() -> None:
    watch = StepWatch(ClockReading(AT_NS, 5 * S, 100))
    assert watch.look(ClockReading(AT_NS + S + 9_000_000, 6 * S, 9_000_000)) is None
    assert watch.look(ClockReading(AT_NS + 2 * S, 7 * S, 100)) is None
