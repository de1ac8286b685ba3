"""The difference in docs/adding-a-stream.md is all that a new stream type takes."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.support.data import REPOSITORY
from tests.support.differences import apply_difference

_TEST = "tests/unit/binance_streamer/exchange/test_stream_types.py"
_PATTERNS = "tests/unit/docs/test_file_patterns.py"


def test_the_difference_makes_a_stream_type_with_its_test(tmp_path: Path) -> None:
    page = (REPOSITORY / "docs" / "adding-a-stream.md").read_text(encoding="utf-8")
    (difference,) = re.findall(r"```diff\n(.*?)```", page, flags=re.DOTALL)
    for folder in ("binance_streamer", "services", "docs"):
        shutil.copytree(REPOSITORY / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name in (_TEST, _PATTERNS, "tests/support/data.py", "pyproject.toml", "README.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / name, tmp_path / name)
    for package in {*(tmp_path / _TEST).parents, *(tmp_path / _PATTERNS).parents, tmp_path / "tests/support"} - {
        tmp_path,
        *tmp_path.parents,
    }:
        (package / "__init__.py").touch()
    apply_difference(difference, tmp_path)  # where a hunk does not fit, bring the page up to date
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-v", _TEST, _PATTERNS]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, check=False, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert "test_a_message_of_each_type[openInterest@3s] PASSED" in done.stdout
