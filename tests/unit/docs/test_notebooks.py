"""The notebooks run on a recorded day, cell by cell, and hold no outputs of anybody's recording."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.data import REPOSITORY
from tests.support.recorded_days import DayWriter

NOTEBOOKS = sorted((REPOSITORY / "docs" / "notebooks").glob("*.ipynb"))


def code_of(notebook: Path) -> list[str]:
    cells: list[dict[str, Any]] = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def test_there_is_one_and_its_outputs_are_stripped() -> None:
    assert [path.name for path in NOTEBOOKS] == ["first-look.ipynb"]
    for path in NOTEBOOKS:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        outputs = [(cell["execution_count"], cell["outputs"]) for cell in cells if cell["cell_type"] == "code"]
        assert outputs == [(None, [])] * len(outputs)


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_cell_runs_on_a_recorded_day(notebook: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    matplotlib = pytest.importorskip("matplotlib", reason="./run --group notebooks pytest installs matplotlib")
    matplotlib.use("Agg")
    from matplotlib import pyplot  # noqa: PLC0415 (optional)

    DayWriter().write(tmp_path / "data")
    monkeypatch.setenv("RECORDING", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for number, code in enumerate(code_of(notebook)):
        exec(compile(code, f"{notebook.name}, code cell {number}", "exec"), names)
    assert (names["symbol"], names["day"], len(names["bars"])) == ("BTCUSDT", "20261122", 18)
    assert names["books"]["why"].to_list().count("updates missing") == 2
    assert names["gaps"]["stem"].to_list() == ["aggtrade", "bookticker", "depth"]
    figures = [pyplot.figure(number) for number in pyplot.get_fignums()]
    assert len(figures) == 4
    for figure in figures:
        figure.canvas.draw()
    pyplot.close("all")
