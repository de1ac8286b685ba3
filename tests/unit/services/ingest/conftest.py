"""Fixtures that several test files share."""

from pathlib import Path

import pytest

from tests.support.running_network import Running, Start


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Start:
    return lambda *streams, **settings: Running(tmp_path, monkeypatch, streams, settings)
