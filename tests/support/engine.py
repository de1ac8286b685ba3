"""A container engine for tests: the one that can be reached, or one that is started for them and stopped again."""

import contextlib
import json
import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support.data import REPOSITORY

TOOL_VARIABLE = "CONTAINER_ENGINE"
"""Names a command that takes `start` and `stop`, and on `start` prints what to export: DOCKER_HOST, BASE_IMAGE."""
_START_S = 600.0
_COMMAND_S = 300.0


class Engine:
    """Docker and compose by their command lines; every failure is an AssertionError with what they said."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = {**os.environ, **environment}
        self._compose = ["docker", "compose"] if self._runs("docker", "compose", "version") else ["docker-compose"]
        if not self._runs(*self._compose, "version"):
            pytest.skip("neither `docker compose` nor `docker-compose` is there")

    def docker(self, *arguments: str | Path) -> str:
        """`docker …`; what it wrote to stdout."""
        return self._run(["docker", *map(str, arguments)], {})

    def inspect(self, *names: str) -> list[dict[str, Any]]:
        """`docker inspect`."""
        found: list[dict[str, Any]] = json.loads(self.docker("inspect", *names))
        return found

    def build(self, tag: str) -> None:
        """The image of this checkout. The host's network: a registry may be reachable from there alone."""
        arguments = [f"--build-arg={name}" for name in ("BASE_IMAGE", "PIP_INDEX_URL") if name in self._environment]
        self.docker("build", "--quiet", "--network", "host", *arguments, "--tag", tag, REPOSITORY)

    def compose(
        self,
        project: str,
        variables: Mapping[str, str],
        *arguments: str,
        file: Path = REPOSITORY / "docker-compose.yml",
    ) -> str:
        """`docker compose …` with this file, else with that of the checkout."""
        named = ["--file", str(file), "--project-name", project]
        return self._run([*self._compose, *named, *arguments], variables)

    def _run(self, command: Sequence[str], variables: Mapping[str, str]) -> str:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            cwd=REPOSITORY,
            env={**self._environment, **variables},
            timeout=_COMMAND_S,
        )
        assert done.returncode == 0, f"{shlex.join(command)}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def _runs(self, *command: str) -> bool:
        if shutil.which(command[0]) is None:
            return False
        done = subprocess.run(command, capture_output=True, check=False, env=self._environment, timeout=_COMMAND_S)
        return done.returncode == 0


@contextlib.contextmanager
def container_engine() -> Iterator[Engine]:
    """An engine; the test is skipped where none can be started. One that ran before goes on."""
    tool = _tool()
    if tool is None:
        if shutil.which("docker") is None or not _answers():
            pytest.skip(f"no container engine: docker does not answer, and ${TOOL_VARIABLE} names no command")
        yield Engine({})
        return
    was_running = _runs_already()
    done = subprocess.run([tool, "start"], capture_output=True, text=True, check=False, timeout=_START_S)
    if done.returncode != 0:
        pytest.skip(f"no container engine: {tool} start: {(done.stderr or done.stdout).strip()[-500:]}")
    words = shlex.split(done.stdout)
    try:
        yield Engine(dict(word.split("=", 1) for word in words if "=" in word))
    finally:
        if not was_running:
            subprocess.run([tool, "stop"], capture_output=True, check=False, timeout=_START_S)


def _tool() -> Path | None:
    named = os.environ.get(TOOL_VARIABLE)
    path = Path(named) if named else REPOSITORY.parent / "shared" / "tools" / "container-engine"
    return path if named or path.is_file() else None


def _answers() -> bool:
    return subprocess.run(["docker", "info"], capture_output=True, check=False, timeout=60).returncode == 0


def _runs_already() -> bool:
    """Return True if the engine of this tool was started before these tests, so that it stays."""
    folder = Path(os.environ.get("CONTAINER_ENGINE_DIR", "/var/tmp/container-engine"))
    try:
        pid = int((folder / "dockerd.pid").read_text(encoding="ascii"))
        return b"dockerd" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except (OSError, ValueError):
        return False
