"""What survives a restart, in the run directory: the pace, and the symbols that were recorded last."""

from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec

from services.rest.schedule.pacing import SavedPace
from services.runtime.atomic_write import write_whole


class StateError(ValueError):
    """The file is there but cannot be used."""


_Seconds = Annotated[float, msgspec.Meta(ge=0)]
_Weight = Annotated[int, msgspec.Meta(ge=0)]


class _File(msgspec.Struct, forbid_unknown_fields=True):
    written_ns: int
    stand_down_s: _Seconds
    sent: list[tuple[_Seconds, _Weight]]
    reported: list[tuple[_Seconds, _Weight]]
    taken_ms: dict[str, int]


class RestState(NamedTuple):
    """The pace, and when each periodic symbol's last snapshot was taken, by the exchange's clock."""

    pace: SavedPace
    taken_ms: dict[str, int]


def save(path: Path, state: RestState, wall_ns: int) -> None:
    """Replace the file in one step; OSError where the disk refuses."""
    write_whole(path, msgspec.json.encode(_File(wall_ns, *state.pace, state.taken_ms)))


def load(path: Path, wall_ns: int) -> tuple[RestState, float] | None:
    """The saved state and the seconds since then, None without a file; StateError when it is damaged.

    A wall clock that was set back counts as no time passed: the stand-down lasts longer then, never shorter.
    """
    content = read_whole(path)
    if content is None:
        return None
    try:
        file = msgspec.json.decode(content, type=_File)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise StateError(f"{path}: {error}") from error
    state = RestState(SavedPace(file.stand_down_s, file.sent, file.reported), file.taken_ms)
    return state, max(0.0, (wall_ns - file.written_ns) / 1e9)


def read_whole(path: Path) -> bytes | None:
    """The file's bytes, None without a file; StateError when it cannot be read."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StateError(f"{path}: {error}") from error
