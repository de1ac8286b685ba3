"""Exchange clock minus ours, with an error bound, and steps of our clock. Stamps are passed in.

A step is a change of the wall clock against the monotonic one. NTP slews both alike (clock_gettime(2)), so whatever
changes between them is somebody setting the clock, or a machine that slept.
"""

from typing import NamedTuple

SAMPLES = 5
"""Requests of one measurement, weight 1 each: the quickest tells most, and the first one has to connect."""
LEAST_STEP_MS = 1.0
"""Below, reading two clocks one after the other is as uncertain on a busy machine."""
RESOLUTION_MS = 1.0
"""The exchange's time is a whole number of milliseconds, and nobody says whether it is rounded or cut."""


class Sample(NamedTuple):
    """One answer: the exchange's time, and our wall clock when the request left and when the answer was there."""

    server_ms: int
    requested_ns: int
    recv_ns: int

    @property
    def round_trip_ms(self) -> float:
        """Negative where our clock was set back meanwhile."""
        return (self.recv_ns - self.requested_ns) / 1e6

    @property
    def offset_ms(self) -> float:
        """Exchange clock minus ours in ms, as if the answer had been made at half the round trip."""
        return self.server_ms - (self.requested_ns + self.recv_ns) / 2e6

    @property
    def error_ms(self) -> float:
        """Bound in ms to either side of the offset: the answer may have been made at either end of the round trip."""
        return self.round_trip_ms / 2 + RESOLUTION_MS


class Measurement(NamedTuple):
    """The quickest of so many samples."""

    best: Sample
    samples: int


class Step(NamedTuple):
    """Our wall clock moved so far (forward is positive), between these two stamps of it."""

    step_ms: float
    before_ns: int
    after_ns: int


class ClockReading(NamedTuple):
    """Both clocks, read within `uncertainty_ns`."""

    wall_ns: int
    monotonic_ns: int
    uncertainty_ns: int


class OffsetMeter:
    """Collects samples into measurements, one every interval."""

    def __init__(self, interval_s: float) -> None:
        self.newest: Measurement | None = None
        self.offset_ms: float | None = None
        """The best that is known, from the first sample on; a step of our clock moves it at once."""
        self.due_s = float("-inf")
        self._interval_s = interval_s
        self._samples: list[Sample] = []
        self._is_spoilt = False

    def take(self, sample: Sample, now_s: float) -> Measurement | None:
        """Take a sample. Return the measurement that it completes, None where more samples are needed."""
        is_spoilt, self._is_spoilt = self._is_spoilt, False
        if is_spoilt or sample.round_trip_ms < 0:
            return None
        self._samples.append(sample)
        best = min(self._samples, key=lambda taken: taken.round_trip_ms)
        if self.offset_ms is None:
            self.offset_ms = best.offset_ms
        if len(self._samples) < SAMPLES:
            return None
        self._samples.clear()
        self.due_s = now_s + self._interval_s
        self.offset_ms = best.offset_ms
        self.newest = Measurement(best, SAMPLES)
        return self.newest

    def exchange_ms(self, wall_ns: int) -> int:
        """Return the exchange's clock at a stamp of ours, in milliseconds since 1970; ours while it is not measured."""
        return int(wall_ns / 1e6 + (self.offset_ms or 0))

    def note_step(self, step: Step, *, is_asking: bool) -> None:
        """Measure anew at once, because our clock was set.

        `is_asking`: a request is under way. Its sample is of no use, since its stamps lie on both sides of the step.
        """
        self._samples.clear()
        self._is_spoilt = is_asking
        self.due_s = float("-inf")
        if self.offset_ms is not None:
            self.offset_ms -= step.step_ms


class StepWatch:
    """Compares the two clocks from one reading to the next."""

    def __init__(self, first: ClockReading) -> None:
        self.steps = 0
        self.newest: Step | None = None
        self._last = first

    def look(self, reading: ClockReading) -> Step | None:
        """Return the step between the last reading and this one; None where it is too small to be told from chance."""
        last, self._last = self._last, reading
        moved_ns = (reading.wall_ns - last.wall_ns) - (reading.monotonic_ns - last.monotonic_ns)
        if abs(moved_ns) < LEAST_STEP_MS * 1e6 + last.uncertainty_ns + reading.uncertainty_ns:
            return None
        self.steps += 1
        self.newest = Step(moved_ns / 1e6, last.wall_ns, reading.wall_ns)
        return self.newest
