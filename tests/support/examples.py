"""The number of random cases that a property is tried with: `PROPERTY_TIMES=10` asks for ten times as many as usual."""

import os

TIMES_VARIABLE = "PROPERTY_TIMES"


def examples(count: int) -> int:
    """Return the usual number of cases of a property, times what the environment asks for."""
    return count * int(os.environ.get(TIMES_VARIABLE) or 1)
