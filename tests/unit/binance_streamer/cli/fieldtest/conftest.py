from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.simulated_exchange import SimulatedExchange


@pytest.fixture
def exchange(place: Path) -> Iterator[SimulatedExchange]:
    """A simulator of one symbol."""
    with SimulatedExchange(place, "--symbols", "BTCUSDT", "--rate", "100") as exchange:
        yield exchange
