"""The kernel is built where it can be; where not, it is said why, and an old one does not stay."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from services.writer.kernel.build import build


def test_without_a_compiler_no_old_kernel_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    built = tmp_path / "_kernel.abi3.so"
    built.write_bytes(b"old")
    assert build(built) == "there is no C compiler"
    assert list(tmp_path.iterdir()) == []


def test_a_compiler_that_fails_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "false")
    assert build(tmp_path / "_kernel.abi3.so") == "the compiler ended with 1"
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_a_reason(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "Not a directory" in build(tmp_path / "file" / "_kernel.abi3.so")


def state_with(environment: dict[str, str]) -> str:
    code = "from services.writer import kernel; print(kernel.state, kernel.template_class is not None)"
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **environment}, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_it_can_be_left_unused() -> None:
    assert state_with({"BINANCE_STREAMER_PURE": "1"}) == "not used, because BINANCE_STREAMER_PURE is set False"
    assert state_with({"BINANCE_STREAMER_PURE": "0"}) in ("in use True", "not built False")
