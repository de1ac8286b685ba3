"""The examples of docs/reading.md run one behind the other, and print what they should."""

import re
from pathlib import Path

import pytest

from tests.support.data import REPOSITORY
from tests.support.recorded_days import DayWriter

PAGE = (REPOSITORY / "docs" / "reading.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
PRINTED = (
    ("│ BTCUSDT ┆ aggtrade   ┆ 20261122 │",),
    ("│ 7030            ┆ ", "│ 7090            ┆ "),
    ("│ aggtrade   ┆ unrepairable ┆ disconnected ┆ network ┆ 3       │", "│ 0       ┆ 101 ┆", "│ 1       ┆ 256 ┆"),
    ("┆ 234    ┆ 240          │", "┆ 240    ┆ 240          │"),
    ("True 8800 [(Decimal('83999.00000000'), ", "updates missing 2.999999999\n", "│ 1795305660000000000 ┆     ┆ 8800 "),
    ("[('BTCUSDT', 357, Decimal('84002.20000000'))]\n",),
)
"""Texts that the output of each example has."""


def test_the_examples_print_what_they_should(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    DayWriter().write(tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for number, (example, expected) in enumerate(zip(EXAMPLES, PRINTED, strict=True)):
        exec(compile(example, f"docs/reading.md, example {number}", "exec"), names)
        printed = capsys.readouterr().out
        for text in expected:
            assert text in printed, printed
