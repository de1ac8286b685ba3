"""Fixtures that all tests share."""

import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import kill_all_of

_OF_PROCESSES = {"browser", "chaos", "containers", "golden", "integration"}
_DAY_S = 86_400
_LEAST_S = 90  # nearly every test of processes is over by then


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory with a short name: paths of ipc sockets below it stay under 107 bytes.

    What still runs in it when the test is over is killed: a test that fails may have started a whole recorder.
    """
    directory = Path(tempfile.mkdtemp(prefix="bs-", dir="/tmp"))
    yield directory
    kill_all_of(directory)
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(autouse=True)
def _not_over_midnight(request: pytest.FixtureRequest) -> None:
    """Let no test of processes run over midnight UTC by chance, when files and counts of gaps begin anew.

    What happens at midnight has tests of its own, whose exchange has a clock that they set.
    """
    left_s = _DAY_S - time.time() % _DAY_S
    if left_s < _LEAST_S and _OF_PROCESSES & set(request.path.parts):
        time.sleep(left_s + 1)
