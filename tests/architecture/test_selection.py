"""`./run pytest` runs the quick selection; a command of the documents that wants more than that names a path."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
PYTEST = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["pytest"]["ini_options"]
_command = re.compile(r"\./run (?:--group readers )?pytest[^\n`;#]*")


def test_the_quick_selection_is_there() -> None:
    assert [name for name in PYTEST["testpaths"] if not (ROOT / name).exists()] == []
    assert {"tests/architecture", "tests/unit", "tests/property"} < set(PYTEST["testpaths"])


def test_a_documented_command_that_selects_names_where() -> None:
    texts = [ROOT / "README.md", ROOT / ".ci" / "run", ROOT / "pyproject.toml", *(ROOT / "docs").rglob("*.md")]
    commands = [line for path in texts for line in _command.findall(path.read_text(encoding="utf-8"))]
    selecting = [line for line in commands if re.search(r" -[mk]\b", line)]
    assert len(selecting) > 10
    assert [line for line in selecting if " tests" not in line] == []
