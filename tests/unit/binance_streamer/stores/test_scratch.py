"""Scratch folders: whenever a command is ended while it makes one, none is left."""

import gc
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from binance_streamer.stores.scratch import ScratchFolder


class EndedError(Exception):
    """As the handler of SIGTERM raises it, between any two steps."""


def ended_at(step: int) -> Callable[[FrameType, str, Any], Any]:
    """A trace function that ends what runs at the given step."""
    steps = iter(range(step))

    def trace(_: FrameType, __: str, ___: Any) -> Any:
        if next(steps, None) is None:
            raise EndedError
        return trace

    return trace


def made_until(step: int, within: Path) -> bool:
    """Make a folder and end at the given step; return True where it was made before."""
    before = sys.gettrace()
    sys.settrace(ended_at(step))
    try:
        folder = ScratchFolder("made-", within)
    except EndedError:
        return False
    finally:
        sys.settrace(before)
    folder.close()
    return True


def test_one_that_is_ended_at_any_step_leaves_no_folder(tmp_path: Path) -> None:
    step = 1
    while not made_until(step, tmp_path):
        gc.collect()
        assert list(tmp_path.iterdir()) == [], step
        step += 1
    assert step > 20


def test_it_goes_with_all_that_is_in_it(tmp_path: Path) -> None:
    with ScratchFolder("made-", tmp_path) as folder:
        (folder / "inner").mkdir()
        (folder / "inner" / "rows").write_text("1")
        assert list(tmp_path.iterdir()) == [folder]
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        ScratchFolder("made-", tmp_path / "missing")
