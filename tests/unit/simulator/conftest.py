from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.simulated_exchange import SimulatedExchange, Start


@pytest.fixture
def start(place: Path) -> Iterator[Start]:
    """Starts simulators with the given arguments; all are ended in the end."""
    with ExitStack() as stack:
        started: list[SimulatedExchange] = []

        def start(*arguments: str | Path) -> SimulatedExchange:
            directory = place / str(len(started))
            directory.mkdir()
            started.append(stack.enter_context(SimulatedExchange(directory, *arguments)))
            return started[-1]

        yield start
        for exchange in started:
            exchange.finish()
