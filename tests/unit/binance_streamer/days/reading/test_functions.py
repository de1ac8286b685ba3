"""The functions of `binance_streamer.days` are the questions of a `Recording`."""

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

from binance_streamer import days
from binance_streamer.days import Recording
from binance_streamer.days.reading import functions
from tests.support.recorded_days import DayWriter

NAMES = sorted(
    name for name, value in vars(Recording).items() if inspect.isfunction(value) and not name.startswith("_")
)


@pytest.mark.parametrize("name", NAMES)
def test_each_question_is_a_function_with_the_same_parameters(name: str) -> None:
    own = list(inspect.signature(getattr(functions, name)).parameters.values())
    wanted = list(inspect.signature(getattr(Recording, name)).parameters.values())[1:]
    assert [str(one) for one in own[:-1]] == [str(one) for one in wanted]
    assert own[-1].name == "recording"
    assert getattr(days, name) is getattr(functions, name)
    assert name in days.__all__


def test_functions_ask_the_recording_that_is_named(tmp_path: Path) -> None:
    DayWriter().write(tmp_path)
    for recording in (tmp_path, str(tmp_path), Recording(tmp_path)):
        assert len(days.scan("depth", "BTCUSDT", recording=recording).collect()) == 178
        assert days.book_at("BTCUSDT", "2026-11-22T00:01", recording=recording).is_known
        assert len(days.gaps(recording=recording)) == 3


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nothing"):
        _ = days.nothing


def test_sealing_imports_neither_polars_nor_duckdb() -> None:
    program = "import sys, binance_streamer.days.seal; print({'polars', 'duckdb'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout == "set()\n"
