from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from simulated_exchange import SimulatedExchange

Start = Callable[..., SimulatedExchange]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts simulators with the given arguments; all are stopped in the end."""
    started: list[SimulatedExchange] = []

    def start(*arguments: str) -> SimulatedExchange:
        directory = tmp_path / str(len(started))
        directory.mkdir()
        started.append(SimulatedExchange(directory, *arguments))
        return started[-1]

    yield start
    for exchange in started:
        if exchange.process.poll() is None:
            exchange.stop()
