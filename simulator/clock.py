"""The exchange's clock: the wall clock of this machine and an offset that faults may step."""

import time


class ExchangeClock:
    """The wall clock plus `offset_ms`; `start_time_ms` makes it begin at another time."""

    def __init__(self, *, offset_ms: int = 0, start_time_ms: int | None = None) -> None:
        self.offset_ms = offset_ms
        if start_time_ms is not None:
            self.offset_ms += start_time_ms - time.time_ns() // 1_000_000

    def now_ms(self) -> int:
        """Return the exchange's time in ms since 1970, UTC."""
        return time.time_ns() // 1_000_000 + self.offset_ms

    def step(self, step_ms: int) -> None:
        """Set the clock forward by so much, or back where it is negative."""
        self.offset_ms += step_ms
