"""State that survives a restart, in the run directory: the pace, and when periodic snapshots were taken last."""

import logging
from pathlib import Path
from typing import NamedTuple

import msgspec

from services.rest.schedule.pacing import Pace, SavedPace
from services.runtime.clock import wall_ns
from services.runtime.files import replace_file

_log = logging.getLogger(__name__)


class StateError(ValueError):
    """The file is there but cannot be used."""


class RestState(NamedTuple):
    """The pace, and when each periodic symbol's last snapshot was taken, by the exchange's clock."""

    pace: SavedPace
    taken_ms: dict[str, int]


def save(path: Path, state: RestState, now_ns: int) -> None:
    """Replace the file in one step; OSError where the disk refuses."""
    replace_file(path, msgspec.json.encode((now_ns, state)))


def load(path: Path, now_ns: int) -> tuple[RestState, float] | None:
    """Return the saved state and the seconds since then, None without a file; raise StateError where it is damaged.

    A wall clock that was set back counts as no time passed: the stand-down lasts longer then, never shorter.
    """
    content = read_file(path)
    if content is None:
        return None
    try:
        written_ns, state = msgspec.json.decode(content, type=tuple[int, RestState])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise StateError(f"{path}: {error}") from error
    return state, max(0.0, (now_ns - written_ns) / 1e9)


def read_file(path: Path) -> bytes | None:
    """Return the file's bytes, None without a file; raise StateError where it cannot be read."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StateError(f"{path}: {error}") from error


class StateFile:
    """The file of one process: read at its start, and written before each request leaves and after each answer."""

    def __init__(self, path: Path) -> None:
        self.fault = ""
        """Why the file cannot be written now; empty where it can."""
        self._path = path

    def restore(self, pace: Pace, now_s: float) -> dict[str, int]:
        """Let the pace go on where the process before ended; return when each periodic symbol was taken last, in ms.

        Where the file is damaged nobody knows what was sent: a full minute's weight counts as used.
        """
        try:
            loaded = load(self._path, wall_ns())
        except StateError as error:
            _log.warning("assuming a full minute's weight used: %s", error)
            pace.assume_used_up(now_s)
            return {}
        if loaded is None:
            return {}
        saved, elapsed_s = loaded
        pace.restore(saved.pace, now_s, elapsed_s)
        return saved.taken_ms

    def save(self, state: RestState) -> None:
        """Write the state; where the disk refuses, say so once and go on."""
        try:
            save(self._path, state, wall_ns())
        except OSError as error:
            if not self.fault:
                _log.warning("a restart will not know what was sent: %s", error)
            self.fault = str(error)
        else:
            self.fault = ""
