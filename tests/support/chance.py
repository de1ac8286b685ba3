"""A source of random numbers that always gives the same one, so that a test can write down exact delays."""

from random import Random


class Chance(Random):
    """`random()` gives `value`: 0.0 is the shortest delay, 0.5 the middle, 1.0 the longest."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self._value = value

    def random(self) -> float:
        """Return the value that the test gave."""
        return self._value
