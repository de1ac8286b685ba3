"""A mount namespace that processes share: small or read-only disks, another /etc/hosts. Nobody else sees any of it."""

import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from tests.support.processes import Program
from tests.support.waiting import eventually


def require_namespaces(place: Path) -> None:
    """Skip the test where there are none."""
    probe = ["unshare", "-Urm", "mount", "-t", "tmpfs", "tmpfs", str(place)]
    if subprocess.run(probe, capture_output=True, check=False).returncode != 0:
        pytest.skip("NOT RUN: no mount namespaces here")


class Namespace:
    """Made by the shell commands of `mounts`; ends with the `with` block."""

    def __init__(self, place: Path, mounts: str) -> None:
        command = ["unshare", "-Urm", "sh", "-c", f"{mounts} && echo ready && exec sleep 1d"]
        self._holder = Program(command, place / "namespace.out")
        eventually(lambda: "ready" in self._holder.text(), what="the mounts are made")
        self.enter = ["nsenter", "-t", str(self._holder.pid), "-U", "-m", "--preserve-credentials"]
        """A command in front of another one that is to live in it."""

    def inside(self, path: Path) -> Path:
        """Return a path as the processes in the namespace see it, for a look from outside."""
        return Path(f"/proc/{self._holder.pid}/root{path}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *arguments: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._holder.__exit__(*arguments)
