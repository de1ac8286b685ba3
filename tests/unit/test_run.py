"""`./run` on a machine that lacks something: one line that says what to do."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.data import REPOSITORY

DEAD_INDEX = "http://127.0.0.1:9/simple"
"""Nobody listens on the port of the discard protocol."""


def checkout(place: Path) -> Path:
    """A fresh checkout, as far as `run` looks at it."""
    for name in ("run", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, place / name)
    return place


def first_call(place: Path, environment: Mapping[str, str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [place / "run", "binance-streamer", "--help"],
        check=False,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


def programs(folder: Path) -> str:
    """A PATH with the few programs that `run` needs beside Python."""
    folder.mkdir()
    for name in ("sh", "dirname", "sed"):
        (folder / name).symlink_to(shutil.which(name) or "")
    return str(folder)


def test_without_python_it_says_what_to_install(tmp_path: Path) -> None:
    done = first_call(checkout(tmp_path), {"PATH": programs(tmp_path / "bin")})
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("run: there is no python3: install Python 3.11 or newer with pip")


def test_without_pip_it_says_what_to_install(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    path = f"{programs(tmp_path / 'bin')}:{tmp_path / 'venv' / 'bin'}"
    done = first_call(checkout(tmp_path), {"PATH": path})
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("run: python3 has no pip: install it (Debian, Ubuntu: apt install python3-pip")


def test_without_a_network_for_uv_it_says_that_it_is_needed_once(tmp_path: Path) -> None:
    python = Path(sys.base_prefix) / "bin" / "python3"
    if subprocess.run([python, "-m", "pip", "--version"], check=False, capture_output=True).returncode:
        pytest.skip(f"{python} has no pip")
    path = f"{programs(tmp_path / 'bin')}:{tmp_path / 'python'}"
    (tmp_path / "python").mkdir()
    (tmp_path / "python" / "python3").symlink_to(python)
    done = first_call(
        checkout(tmp_path),
        {"PATH": path, "PIP_INDEX_URL": DEAD_INDEX, "PIP_EXTRA_INDEX_URL": "", "PIP_RETRIES": "0"},
    )
    assert (done.returncode, done.stdout) == (1, "")
    installing, line = done.stderr.splitlines()
    assert installing == "run: installing uv into .tools/ (only once)"
    assert line.startswith("run: the first call installs uv, which needs the network once; pip says: ")
    assert "No matching distribution found for uv" in line


def test_without_a_network_for_packages_it_says_that_it_is_needed_once(tmp_path: Path) -> None:
    uv = REPOSITORY / ".tools" / "bin" / "uv"
    if not uv.exists():
        pytest.skip("these tests were not started by ./run, which installs uv")
    (checkout(tmp_path) / ".tools" / "bin").mkdir(parents=True)
    (tmp_path / ".tools" / "bin" / "uv").symlink_to(uv)
    done = first_call(
        tmp_path,
        {
            "UV_DEFAULT_INDEX": DEAD_INDEX,
            "UV_INDEX_URL": DEAD_INDEX,
            "UV_CACHE_DIR": str(tmp_path / "cache"),
            "UV_HTTP_RETRIES": "0",
        },
    )
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("run: the first call installs packages into .venv/, which needs the network once; uv says: ")
    assert "Connection refused" in line
