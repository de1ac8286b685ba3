"""Epochs name runs, also where clock and process number repeat."""

import os
import time

import pytest

from services.runtime.clock import new_epoch


def test_runs_of_the_same_moment_and_process_number_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: 1_764_177_600_123_456_789)
    monkeypatch.setattr(os, "getpid", lambda: 7)  # as every time in a container
    epochs = {new_epoch() for _ in range(20)}
    assert len(epochs) > 15
    assert all(abs(epoch - 1_764_177_600_123_456_789) < 4_194_304 for epoch in epochs)
