"""The wheel in an environment that has nothing else: what docs/installing.md says."""

import os
import re
import subprocess
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.data import REPOSITORY
from tests.support.recorded import recorded_rows

UV = REPOSITORY / ".tools" / "bin" / "uv"


def call(*command: str | Path, place: Path, environment: Mapping[str, str] | None = None) -> str:
    """Run a command of somebody who stands in `place`, outside of any environment; return what it prints."""
    apart = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        [str(word) for word in command],
        check=False,
        cwd=place,
        env={**apart, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, f"{command}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Our wheel, built from the sources."""
    if not UV.exists():
        pytest.skip("these tests were not started by ./run, which installs uv")
    folder = tmp_path_factory.mktemp("dist")
    call(UV, "build", "--wheel", "--quiet", "--out-dir", folder, REPOSITORY, place=folder)
    (found,) = folder.glob("*.whl")
    return found


def test_the_wheel_has_what_the_processes_read_and_the_licence(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {
        "binance_streamer/py.typed",
        "binance_streamer/template.yaml",
        "services/monitor/static/index.html",
    } <= names
    assert any(re.fullmatch(r"binance_streamer-[^/]+\.dist-info/licenses/LICENSE", name) for name in names)
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {
        "binance_streamer",
        "services",
        "simulator",
    }


def test_an_installed_recorder_runs_a_demo_and_makes_a_configuration(wheel: Path, place: Path) -> None:
    environment = place / "env"
    call(UV, "venv", "--quiet", environment, place=place)
    lock = REPOSITORY / "requirements.lock"
    call(UV, "pip", "install", "--quiet", "--python", environment, "-c", lock, wheel, place=place)
    where = call(environment / "bin" / "python", "-c", "import services; print(services.__file__)", place=place)
    assert Path(where.strip()).is_relative_to(environment)

    program = environment / "bin" / "binance-streamer"
    said = call(program, "demo", "--duration", "3", "--data-dir", "demo-1", place=place)
    assert "everything that was sent is in the files" in said
    assert recorded_rows(place / "demo-1", "BTCUSDT", "aggtrade")
    call(program, "init", place=place)
    assert call(program, "symbols", place=place).startswith("BTCUSDT  aggTrade depth@0ms kline_1m")


def test_uvx_runs_it_without_an_installation(wheel: Path, place: Path) -> None:
    lock = REPOSITORY / "requirements.lock"
    command: list[str | Path] = [UV, "tool", "run", "--quiet", "-c", lock, "--from", wheel, "binance-streamer"]
    said = call(*command, "demo", "--duration", "3", "--data-dir", "demo-1", place=place)
    assert "everything that was sent is in the files" in said
