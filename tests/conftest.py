"""Fixtures that all tests share."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory with a short name: paths of ipc sockets below it stay under 107 bytes."""
    directory = Path(tempfile.mkdtemp(prefix="bs-", dir="/tmp"))
    yield directory
    shutil.rmtree(directory, ignore_errors=True)
